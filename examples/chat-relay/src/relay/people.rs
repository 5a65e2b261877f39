//! Who people are: `hello`, coming back, being away, being forgotten.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use super::{Behind, Moment, Out, Relay, answer, problem};
use crate::limits::FRAME_BYTES_MAX;
use crate::names::PersonName;
use crate::protocol::{self, ErrorCode, Event, Hello, Member, Problem, Welcome};
use crate::room::Room;

/// A person that the relay knows.
#[derive(Debug)]
pub(super) struct Person<K> {
    pub(super) name: Arc<str>,
    token: String,
    whereabouts: Whereabouts<K>,
    pub(super) rooms: BTreeSet<Arc<str>>,
}

#[derive(Clone, Copy, Debug)]
enum Whereabouts<K> {
    Online(K),
    Away { since: Duration, last_seen: u64 },
}

impl<K> Person<K> {
    /// As the members of a room see the person.
    pub(super) fn as_member(&self) -> Member<'_> {
        let last_seen = match self.whereabouts {
            Whereabouts::Online(_) => None,
            Whereabouts::Away { last_seen, .. } => Some(last_seen),
        };
        Member { user: &self.name, online: last_seen.is_none(), last_seen }
    }
}

/// The members of a room, in the order of their names.
pub(super) fn members<'a, K>(
    people: &'a HashMap<Arc<str>, Person<K>>,
    room: &Room,
) -> Vec<Member<'a>> {
    room.members.iter().filter_map(|key| people.get(key)).map(Person::as_member).collect()
}

impl<K: Copy + Eq + Hash> Relay<K> {
    pub(super) fn hello(
        &mut self,
        now: Moment,
        who: K,
        id: Option<u64>,
        hello: Hello,
        out: &mut Vec<Out<K>>,
    ) -> Result<(), Problem> {
        if hello.v != 1 {
            return Err(problem(ErrorCode::Version, "this relay speaks version 1"));
        }
        let name = PersonName::new(&hello.name, self.limits.name_chars_max)
            .map_err(|error| problem(ErrorCode::Name, error.to_string()))?;
        let me = name.key.clone();
        self.authenticate(now, name, hello.token.as_deref(), out)?;
        self.take_over(who, &me, out);

        let mut refused = BTreeMap::new();
        for room in hello.at.keys() {
            if let Err(problem) = self.enter(now, &me, room, out) {
                refused.insert(room.clone(), problem.code);
            }
        }
        self.welcome(who, id, &me, refused, out);
        self.catch_up(who, &me, &hello.at, out);
        self.feed(who, out);
        Ok(())
    }

    /// Makes sure that the person exists and is who says `hello`.
    fn authenticate(
        &mut self,
        now: Moment,
        name: PersonName,
        token: Option<&str>,
        out: &mut Vec<Out<K>>,
    ) -> Result<(), Problem> {
        if let Some(person) = self.people.get(&name.key) {
            return match token {
                Some(token) if same_secret(token, &person.token) => Ok(()),
                Some(_) | None => {
                    Err(problem(ErrorCode::NameTaken, "somebody has this name; choose another"))
                }
            };
        }
        if self.people.len() >= self.limits.people_max {
            let Some((_, longest)) = self.away.first().cloned() else {
                return Err(Problem {
                    retry_ms: Some(RETRY_FULL_MS),
                    ..problem(ErrorCode::RelayFull, "the relay is full of people")
                });
            };
            self.forget_person(now, &longest, out);
        }
        let token = format!("{:032x}", (self.random)());
        let whereabouts = Whereabouts::Away { since: now.clock, last_seen: now.unix_ms };
        self.away.insert((now.clock, name.key.clone()));
        let person = Person { name: name.shown, token, whereabouts, rooms: BTreeSet::new() };
        self.people.insert(name.key, person);
        Ok(())
    }

    /// Gives the person to the connection, and closes the one that had it.
    fn take_over(&mut self, who: K, me: &Arc<str>, out: &mut Vec<Out<K>>) {
        let Some(person) = self.people.get_mut(me) else { return };
        match std::mem::replace(&mut person.whereabouts, Whereabouts::Online(who)) {
            Whereabouts::Online(older) => {
                let topics = person.rooms.iter().cloned();
                out.extend(topics.map(|topic| Out::Unsubscribe { who: older, topic }));
                // What was spent stays spent: a new connection is no way around the rate.
                let spent = self.sessions.get_mut(&older).map(|session| {
                    session.person = None;
                    session.bucket.clone()
                });
                if let (Some(spent), Some(session)) = (spent, self.sessions.get_mut(&who)) {
                    session.bucket = spent;
                }
                self.end_session(older, protocol::REPLACED, "replaced by a newer connection", out);
            }
            Whereabouts::Away { since, .. } => {
                self.away.remove(&(since, me.clone()));
                self.tell_presence(me, out);
            }
        }
        if let Some(session) = self.sessions.get_mut(&who) {
            session.person = Some(me.clone());
        }
    }

    fn welcome(
        &self,
        who: K,
        id: Option<u64>,
        me: &Arc<str>,
        refused: BTreeMap<String, ErrorCode>,
        out: &mut Vec<Out<K>>,
    ) {
        let Some(person) = self.people.get(me) else { return };
        let rooms = person.rooms.iter().filter_map(|name| self.rooms.get(name));
        let welcome = Welcome {
            user: &person.name,
            token: &person.token,
            ping_s: protocol::PING_S,
            frame_bytes_max: FRAME_BYTES_MAX,
            rooms: rooms.map(|room| (&**room.name(), room.log())).collect(),
            refused,
        };
        answer(out, who, id, &welcome);
    }

    /// Notes for each of the person's rooms where the connection goes on: after its cursor, after a reset from the
    /// first message that is kept, or, in a room that the client did not name, from now.
    fn catch_up(
        &mut self,
        who: K,
        me: &Arc<str>,
        at: &BTreeMap<String, (String, u64)>,
        out: &mut Vec<Out<K>>,
    ) {
        let Some(person) = self.people.get(me) else { return };
        let mut behind = VecDeque::new();
        for room in person.rooms.iter().filter_map(|name| self.rooms.get(name)) {
            let next = match at.get(&**room.name()) {
                None => room.head() + 1,
                Some((epoch, last)) => room.next_after(epoch, *last).unwrap_or_else(|| {
                    let reset = Event::Reset { room: room.name(), log: room.log() };
                    out.push(Out::Send { to: who, text: reset.line() });
                    room.first()
                }),
            };
            behind.push_back(Behind { room: room.name().clone(), next });
        }
        if let Some(session) = self.sessions.get_mut(&who) {
            session.behind = behind;
        }
    }

    /// The person's connection is gone.
    pub(super) fn lose_connection(&mut self, now: Moment, me: &Arc<str>, out: &mut Vec<Out<K>>) {
        let Some(person) = self.people.get_mut(me) else { return };
        person.whereabouts = Whereabouts::Away { since: now.clock, last_seen: now.unix_ms };
        self.away.insert((now.clock, me.clone()));
        if person.rooms.is_empty() {
            self.forget_person(now, me, out);
        } else {
            self.tell_presence(me, out);
        }
    }

    /// Takes an away person out of all rooms, and frees the name.
    pub(super) fn forget_person(&mut self, now: Moment, me: &Arc<str>, out: &mut Vec<Out<K>>) {
        let rooms = self.people.get(me).map(|person| person.rooms.clone()).unwrap_or_default();
        for room in rooms {
            self.exit(now, me, &room, out);
        }
        if let Some(person) = self.people.remove(me)
            && let Whereabouts::Away { since, .. } = person.whereabouts
        {
            self.away.remove(&(since, me.clone()));
        }
    }

    /// Whether a person has a connection.
    pub(super) fn is_here(&self, key: &Arc<str>) -> bool {
        self.people.get(key).is_some_and(|it| matches!(it.whereabouts, Whereabouts::Online(_)))
    }

    /// Who of these people is away the longest.
    pub(super) fn longest_away(&self, people: &BTreeSet<Arc<str>>) -> Option<Arc<str>> {
        let away_since = |key: &&Arc<str>| match self.people.get(*key)?.whereabouts {
            Whereabouts::Away { since, .. } => Some(since),
            Whereabouts::Online(_) => None,
        };
        let away = people.iter().filter_map(|key| Some((away_since(&key)?, key)));
        away.min().map(|(_, key)| key.clone())
    }

    /// Tells all rooms of a person whether the person is there.
    fn tell_presence(&self, me: &Arc<str>, out: &mut Vec<Out<K>>) {
        let Some(person) = self.people.get(me) else { return };
        for topic in &person.rooms {
            let event = Event::Presence { room: topic, member: person.as_member(), left: false };
            out.push(Out::Publish { topic: topic.clone(), text: event.line(), except: None });
        }
    }
}

/// A place becomes free when somebody has been away for long enough; nobody knows when.
/// Sooner than a connection without `hello` is closed.
pub(super) const RETRY_FULL_MS: u64 = 10_000;

/// Compares in a time that does not tell how much of a guess was right.
fn same_secret(guess: &str, secret: &str) -> bool {
    let pairs = guess.bytes().zip(secret.bytes());
    guess.len() == secret.len() && pairs.fold(0, |differing, (a, b)| differing | (a ^ b)) == 0
}

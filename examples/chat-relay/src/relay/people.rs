//! People in memory: their devices, and who sees them come and go.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::then::Step;
use super::{Admission, Key, Moment, Out, Relay, RoomId, Stage, ask_store};
use crate::bucket::Bucket;
use crate::limits::FRAME_BYTES_MAX;
use crate::protocol::{
    self, ErrorCode, Event, Granted, Member, Nothing, Problem, RoomInfo, Welcome,
};
use crate::store::job::{Access, Answer, Job, Known, PersonId, Refused};

use super::room::{Membership, Room};
use super::then::Asker;

/// A person who is in a room, or connected.
#[derive(Debug)]
pub(super) struct Person<K> {
    pub(super) name: Arc<str>,
    pub(super) key: Arc<str>,
    /// The connections, the oldest first.
    pub(super) devices: Vec<K>,
    /// The connections that get no events: they are no devices, and nobody sees them come or go.
    pub(super) quiet: Vec<K>,
    pub(super) rooms: BTreeSet<RoomId>,
    pub(super) bucket: Bucket,
    /// Answers of the store to `get` and `search` that are awaited.
    pub(super) reading: usize,
    /// Others see the person as here.
    online: bool,
    /// When the last connection ended, in milliseconds since 1970.
    last_seen_ms: u64,
    /// The same, as the store has it.
    seen_stored_ms: u64,
    /// What comes next for somebody without a connection, as [`Relay::leaving`] has it.
    leaving: Option<Leaving>,
}

/// What comes next for somebody who has no connection, and when.
#[derive(Clone, Copy, Debug)]
enum Leaving {
    /// Others see it.
    Sight(Duration),
    /// The name is free again, where there is nothing else to keep it.
    Name(Duration),
}

impl Leaving {
    fn due(self) -> Duration {
        match self {
            Self::Sight(due) | Self::Name(due) => due,
        }
    }
}

impl<K> Person<K> {
    fn last_seen(&self) -> Option<u64> {
        (!self.online).then_some(self.last_seen_ms)
    }

    fn store_seen(&mut self, me: PersonId) -> Out<K> {
        self.seen_stored_ms = self.last_seen_ms;
        ask_store(Step::Nothing, Job::Seen { person: me, at_ms: self.last_seen_ms })
    }

    /// As the store would answer.
    pub(super) fn as_known(&self, person: PersonId) -> Known {
        Known {
            person,
            key: self.key.clone(),
            shown: self.name.clone(),
            last_seen_ms: self.last_seen_ms,
            blocked: false,
        }
    }

    /// As the members of a room see the person.
    pub(super) fn as_member(&self, membership: &Membership) -> Member<'_> {
        Member {
            user: &self.name,
            role: Some(membership.role).into(),
            online: self.online,
            last_seen: self.last_seen(),
            recv: membership.marks.recv,
            read: membership.marks.read,
        }
    }

    /// As they see a person who has left.
    pub(super) fn as_gone(&self) -> Member<'_> {
        Member {
            user: &self.name,
            role: Granted::None,
            online: false,
            last_seen: None,
            recv: 0,
            read: 0,
        }
    }
}

/// How much later somebody has to be seen for it to be stored at once.
const SEEN_STEP_MS: u64 = 60_000;

pub(super) const SIGNED_OUT: &str = "signed out";

impl<K: Key> Relay<K> {
    /// Keeps a person in memory.
    pub(super) fn meet(&mut self, known: &Known, now: Duration) {
        if self.people.contains_key(&known.person) {
            return;
        }
        let person = Person {
            name: known.shown.clone(),
            key: known.key.clone(),
            devices: Vec::new(),
            quiet: Vec::new(),
            rooms: BTreeSet::new(),
            bucket: Bucket::full(self.rate(), now),
            reading: 0,
            online: false,
            last_seen_ms: known.last_seen_ms,
            seen_stored_ms: known.last_seen_ms,
            leaving: None,
        };
        self.keys.insert(known.key.clone(), known.person);
        self.people.insert(known.person, Box::new(person));
    }

    /// Gives a connection to a person; closes an older one of the same device, or the oldest of too many.
    pub(super) fn take_device(
        &mut self,
        now: Moment,
        who: K,
        me: PersonId,
        device: Option<&str>,
        out: &mut Vec<Out<K>>,
    ) {
        if let Some(session) = self.sessions.get_mut(&who) {
            session.stage = Stage::Person(me);
            session.device = device.map(Into::into);
        }
        let Some(person) = self.people.get_mut(&me) else { return };
        // One is the rule.
        person.devices.reserve_exact(1);
        person.devices.push(who);
        let devices = person.devices.clone();
        let came = !std::mem::replace(&mut person.online, true);
        if let Some(leaving) = person.leaving.take() {
            self.leaving.remove(&(leaving.due(), me));
        }
        let device_of =
            |it: &K| self.sessions.get(it).and_then(|session| session.device.as_deref());
        let older = devices.iter().copied().filter(|it| *it != who);
        let same = |it: &K| device.is_some() && device_of(it) == device;
        let mut replaced: Vec<K> = older.clone().filter(same).collect();
        if replaced.is_empty() && devices.len() > self.limits.devices_max {
            replaced.extend(older.clone().next());
        }
        for older in replaced {
            self.end_session(now, older, protocol::REPLACED, "replaced by a newer connection", out);
        }
        if came {
            self.tell_presence(me, out);
        }
    }

    /// Gives a connection to a person that gets no events.
    pub(super) fn take_quiet(&mut self, who: K, me: PersonId) {
        if let Some(session) = self.sessions.get_mut(&who) {
            session.stage = Stage::Person(me);
        }
        if let Some(person) = self.people.get_mut(&me) {
            person.quiet.push(who);
        }
    }

    /// A person's connection has ended, or is about to.
    pub(super) fn lose_device(&mut self, now: Moment, who: K, me: PersonId, out: &mut Vec<Out<K>>) {
        let Some(person) = self.people.get_mut(&me) else { return };
        person.quiet.retain(|it| *it != who);
        if let Some(at) = person.devices.iter().position(|it| *it == who) {
            person.devices.remove(at);
            person.last_seen_ms = now.unix_ms;
            // Others see it later, when the relay may not be there any more; but who comes back every few seconds costs no
            // write.
            let noted_at_ms = person.seen_stored_ms.saturating_add(SEEN_STEP_MS);
            if person.devices.is_empty() && now.unix_ms >= noted_at_ms {
                out.push(person.store_seen(me));
            }
            for room in &person.rooms {
                if let Some(room) = self.rooms.get_mut(room)
                    && room.live.remove(&who)
                {
                    out.push(Out::Unsubscribe { who, topic: room.name.clone() });
                }
            }
        }
        if person.devices.is_empty() && person.leaving.is_none() {
            self.will_leave(me, Leaving::Sight(now.clock + self.limits.away_after));
        }
    }

    fn will_leave(&mut self, me: PersonId, leaving: Leaving) {
        if let Some(person) = self.people.get_mut(&me) {
            person.leaving = Some(leaving);
            self.leaving.insert((leaving.due(), me));
        }
    }

    /// Tells the others of people who have been gone for long enough to be so.
    pub(super) fn tell_who_left(&mut self, now: Moment, out: &mut Vec<Out<K>>) {
        while let Some(&(due, me)) = self.leaving.first()
            && due <= now.clock
        {
            self.leaving.pop_first();
            let Some(person) = self.people.get_mut(&me) else { continue };
            let leaving = person.leaving.take();
            if std::mem::replace(&mut person.online, false) {
                if person.last_seen_ms > person.seen_stored_ms {
                    out.push(person.store_seen(me));
                }
                self.tell_presence(me, out);
            }
            match leaving {
                Some(Leaving::Sight(due)) if self.in_no_room(me) => {
                    self.will_leave(me, Leaving::Name(due + self.limits.name_kept));
                }
                Some(Leaving::Sight(_)) | None => {}
                Some(Leaving::Name(_)) => self.unmeet(me, out),
            }
        }
    }

    fn in_no_room(&self, me: PersonId) -> bool {
        self.people.get(&me).is_some_and(|person| person.rooms.is_empty())
    }

    /// Drops a person from memory who is in no room and has no connection; where names are free to take, one who has
    /// left nothing behind leaves the name, too.
    pub(super) fn unmeet(&mut self, me: PersonId, out: &mut Vec<Out<K>>) {
        let gone = |it: &Person<K>| it.devices.is_empty() && it.quiet.is_empty() && !it.online;
        let idle = |it: &Person<K>| it.rooms.is_empty() && it.leaving.is_none() && gone(it);
        if !self.people.get(&me).is_some_and(|it| idle(it)) {
            return;
        }
        if let Some(person) = self.people.remove(&me) {
            // Somebody else may have the name by now.
            if self.keys.get(&person.key) == Some(&me) {
                self.keys.remove(&person.key);
            }
            self.forget(me, out);
        }
    }

    pub(super) fn forget(&mut self, me: PersonId, out: &mut Vec<Out<K>>) {
        if matches!(self.admission, Admission::Open) {
            out.push(ask_store(Step::Forgot { person: me }, Job::ForgetPerson { person: me }));
        }
    }

    /// The store has dropped a person. One who has come back at that very moment has to come again.
    pub(super) fn forgot(
        &mut self,
        now: Moment,
        me: PersonId,
        answer: &Answer,
        out: &mut Vec<Out<K>>,
    ) {
        match answer {
            Answer::Done => self.end_all(now, me, protocol::STORE_FAILED, "come again", out),
            Answer::Refused(Refused::Exists | Refused::Unknown) => {}
            _ => {
                self.unforgotten.insert(me);
            }
        }
    }

    /// Ends all connections of a person.
    pub(super) fn end_all(
        &mut self,
        now: Moment,
        me: PersonId,
        code: u16,
        reason: &'static str,
        out: &mut Vec<Out<K>>,
    ) {
        let all = |it: &Person<K>| [&it.devices[..], &it.quiet[..]].concat();
        for who in self.people.get(&me).map(|it| all(it)).unwrap_or_default() {
            self.end_session(now, who, code, reason, out);
        }
    }

    pub(super) fn welcome(
        &self,
        asker: Asker<K>,
        me: PersonId,
        token: Option<&str>,
        at: &BTreeMap<String, (String, u64)>,
        out: &mut Vec<Out<K>>,
    ) {
        let Some(person) = self.people.get(&me) else { return };
        let rooms: BTreeMap<_, _> = person
            .rooms
            .iter()
            .filter_map(|id| self.rooms.get(id))
            .filter_map(|room| Some((&*room.name, self.room_info(room, me)?)))
            .collect();
        let refused = at.keys().filter(|name| !rooms.contains_key(name.as_str()));
        let welcome = Welcome {
            user: &person.name,
            token,
            ping_s: protocol::PING_S,
            frame_bytes_max: FRAME_BYTES_MAX,
            refused: refused.map(|name| (&**name, ErrorCode::NotMember)).collect(),
            rooms,
        };
        // Not paid for by the person: who polls comes back with every message.
        self.answer(out, asker, &welcome);
    }

    /// A room as one of its members sees it.
    pub(super) fn room_info<'a>(&'a self, room: &'a Room<K>, me: PersonId) -> Option<RoomInfo<'a>> {
        let membership = room.members.get(&me)?;
        let other = || room.members.keys().find(|it| **it != me);
        let with = match room.access {
            Access::Direct => other().and_then(|it| self.people.get(it)).map(|it| &*it.name),
            Access::Open | Access::Invite => None,
        };
        Some(RoomInfo {
            kind: room.access.into(),
            with,
            role: Some(membership.role).into(),
            log: room.log(),
            recv: membership.marks.recv,
            read: membership.marks.read,
        })
    }

    /// Tells the rooms of a person whether the person is there.
    fn tell_presence(&self, me: PersonId, out: &mut Vec<Out<K>>) {
        let Some(person) = self.people.get(&me) else { return };
        for id in &person.rooms {
            let Some(room) = self.rooms.get(id).filter(|room| room.tells()) else { continue };
            let (user, last_seen) = (&*person.name, person.last_seen());
            let event =
                Event::Presence { room: &room.name, user, online: person.online, last_seen };
            self.publish(*id, &event, None, out);
        }
    }

    /// Publishes what is not of the log.
    pub(super) fn publish(
        &self,
        id: RoomId,
        event: &Event<'_>,
        except: Option<K>,
        out: &mut Vec<Out<K>>,
    ) {
        let Some(room) = self.rooms.get(&id).filter(|room| !room.live.is_empty()) else { return };
        let (topic, next) = (room.name.clone(), room.head.saturating_add(1));
        out.push(Out::Publish { room: id, topic, text: event.line(), except, next });
    }

    /// The store has dropped a token, or all.
    pub(super) fn signed_out(
        &mut self,
        now: Moment,
        asker: Asker<K>,
        me: PersonId,
        all: bool,
        stored: Answer,
        out: &mut Vec<Out<K>>,
    ) -> Result<(), Problem> {
        let Answer::Done = stored else { return Err(super::refusal(stored)) };
        self.answer(out, asker, &Nothing {});
        if all {
            self.end_all(now, me, protocol::SIGNED_OUT, SIGNED_OUT, out);
        } else {
            self.end_session(now, asker.who, protocol::SIGNED_OUT, SIGNED_OUT, out);
        }
        Ok(())
    }
}

//! What people do in rooms: join, leave, send, get, eph.

use std::hash::Hash;
use std::sync::Arc;

use super::people::{self, RETRY_FULL_MS};
use super::{Moment, Out, Relay, answer, problem};
use crate::names::room_name;
use crate::protocol::{
    Eph, ErrorCode, Event, Fetched, Get, Joined, Member, Nothing, Problem, Send, TTL_S_MAX,
};
use crate::room::{Draft, Room, encode_body};

/// Characters of a `cid`: enough for any kind of unique identifier.
const CID_BYTES_MAX: usize = 64;

impl<K: Copy + Eq + Hash> Relay<K> {
    pub(super) fn join(
        &mut self,
        now: Moment,
        who: K,
        id: Option<u64>,
        me: &Arc<str>,
        room: &str,
        out: &mut Vec<Out<K>>,
    ) -> Result<(), Problem> {
        if self.enter(now, me, room, out)? {
            out.push(Out::Subscribe { who, topic: room.into() });
        }
        let room = self.room_of(me, room)?;
        let members = people::members(&self.people, room);
        answer(out, who, id, &Joined { room: room.name(), log: room.log(), members });
        Ok(())
    }

    pub(super) fn leave(
        &mut self,
        now: Moment,
        who: K,
        id: Option<u64>,
        me: &Arc<str>,
        room: &str,
        out: &mut Vec<Out<K>>,
    ) -> Result<(), Problem> {
        let room = self.room_of(me, room)?.name().clone();
        if let Some(session) = self.sessions.get_mut(&who) {
            session.behind.retain(|behind| behind.room != room);
        }
        out.push(Out::Unsubscribe { who, topic: room.clone() });
        self.exit(now, me, &room, out);
        answer(out, who, id, &Nothing {});
        Ok(())
    }

    pub(super) fn send(
        &mut self,
        now: Moment,
        who: K,
        id: Option<u64>,
        me: &Arc<str>,
        send: &Send,
        out: &mut Vec<Out<K>>,
    ) -> Result<(), Problem> {
        self.room_of(me, &send.room)?;
        let cid_fits = 1..=CID_BYTES_MAX;
        if !cid_fits.contains(&send.cid.len()) || !send.cid.bytes().all(|b| b.is_ascii_graphic()) {
            let text = "a cid is 1 to 64 characters of ASCII that can be seen";
            return Err(problem(ErrorCode::Fields, text));
        }
        let unencodable = |_| problem(ErrorCode::Json, "the body cannot be written as JSON");
        let body = encode_body(&send.body).map_err(unencodable)?;
        if body.get().len() > self.limits.body_bytes_max {
            let text = format!("a body has at most {} bytes", self.limits.body_bytes_max);
            return Err(problem(ErrorCode::TooLong, text));
        }
        let (Some(room), Some(person)) = (self.rooms.get_mut(&*send.room), self.people.get(me))
        else {
            return Err(not_member());
        };
        let draft = Draft { from: &person.name, from_key: me, cid: &send.cid, body: &body };
        let topic = room.name().clone();
        let (sent, message) = room.append(draft, now.unix_ms).map_err(unencodable)?;
        answer(out, who, id, &sent);
        if let Some(message) = message {
            let text = Event::Msg(message).line();
            out.push(Out::Publish { topic, text, except: None });
        }
        Ok(())
    }

    pub(super) fn get(
        &self,
        who: K,
        id: Option<u64>,
        me: &Arc<str>,
        get: &Get,
        out: &mut Vec<Out<K>>,
    ) -> Result<(), Problem> {
        let room = self.room_of(me, &get.room)?;
        if get.from == 0 || get.from > get.to || get.from > room.head() {
            let text = format!("from is 1 to the head, {}, and not more than to", room.head());
            return Err(problem(ErrorCode::Range, text));
        }
        let from = get.from.max(room.first());
        let mut bytes = 0;
        let mut msgs = Vec::new();
        for message in (from..=get.to.min(room.head())).map_while(|seq| room.message(seq)) {
            bytes += message.get().len();
            let full = msgs.len() >= self.limits.answer_messages_max
                || bytes > self.limits.answer_bytes_max;
            if full && !msgs.is_empty() {
                break;
            }
            msgs.push(message);
        }
        let (first, head) = (room.first(), room.head());
        answer(out, who, id, &Fetched { room: room.name(), first, head, msgs });
        Ok(())
    }

    pub(super) fn eph(
        &self,
        who: K,
        id: Option<u64>,
        me: &Arc<str>,
        eph: &Eph,
        out: &mut Vec<Out<K>>,
    ) -> Result<(), Problem> {
        let room = self.room_of(me, &eph.room)?;
        if eph.ttl_s > TTL_S_MAX {
            return Err(problem(ErrorCode::Range, format!("ttl_s is 0 to {TTL_S_MAX}")));
        }
        let from = self.people.get(me).map_or("", |person| &person.name);
        let event = Event::Eph { room: room.name(), kind: eph.kind, ttl_s: eph.ttl_s, from };
        let (topic, text) = (room.name().clone(), event.line());
        out.push(Out::Publish { topic, text, except: Some(who) });
        answer(out, who, id, &Nothing {});
        Ok(())
    }

    /// Makes the person a member of the room, and makes the room if there is none. False where the person was one
    /// already.
    pub(super) fn enter(
        &mut self,
        now: Moment,
        me: &Arc<str>,
        room: &str,
        out: &mut Vec<Out<K>>,
    ) -> Result<bool, Problem> {
        let name = room_name(room, self.limits.room_chars_max)
            .map_err(|error| problem(ErrorCode::RoomName, error.to_string()))?;
        let Some(person) = self.people.get(me) else { return Err(not_member()) };
        if person.rooms.contains(&name) {
            return Ok(false);
        }
        if person.rooms.len() >= self.limits.rooms_per_person_max {
            let text = format!("one person is in at most {} rooms", person.rooms.len());
            return Err(problem(ErrorCode::RoomsFull, text));
        }
        match self.rooms.get(&name) {
            Some(room) => self.make_place_for_member(now, room.name().clone(), out)?,
            None => self.make_room(now, &name, out)?,
        }
        // Making a place may have forgotten the room, where the last one in it was away.
        let (Some(room), Some(person)) = (self.rooms.get_mut(&name), self.people.get_mut(me))
        else {
            return Err(relay_full());
        };
        room.members.insert(me.clone());
        person.rooms.insert(name.clone());
        let event = Event::Presence { room: &name, member: person.as_member(), left: false };
        let text = event.line();
        out.push(Out::Publish { topic: name, text, except: None });
        Ok(true)
    }

    /// Ends a membership, tells the others, and forgets the room if nothing is left of it.
    pub(super) fn exit(
        &mut self,
        now: Moment,
        me: &Arc<str>,
        room: &Arc<str>,
        out: &mut Vec<Out<K>>,
    ) {
        let Some(person) = self.people.get_mut(me) else { return };
        person.rooms.remove(room);
        let Some(left) = self.rooms.get_mut(room) else { return };
        left.members.remove(me);
        left.active_ms = left.active_ms.max(now.unix_ms);
        if left.is_forgotten() {
            self.rooms.remove(room);
            return;
        }
        let member = Member { user: &person.name, online: false, last_seen: None };
        let event = Event::Presence { room, member, left: true };
        out.push(Out::Publish { topic: room.clone(), text: event.line(), except: None });
    }

    fn make_place_for_member(
        &mut self,
        now: Moment,
        room: Arc<str>,
        out: &mut Vec<Out<K>>,
    ) -> Result<(), Problem> {
        let Some(members) = self.rooms.get(&room).map(|room| &room.members) else { return Ok(()) };
        if members.len() < self.limits.members_max {
            return Ok(());
        }
        let Some(longest) = self.longest_away(members) else {
            return Err(problem(ErrorCode::RoomFull, "the room is full"));
        };
        self.exit(now, &longest, &room, out);
        Ok(())
    }

    fn make_room(
        &mut self,
        now: Moment,
        name: &Arc<str>,
        out: &mut Vec<Out<K>>,
    ) -> Result<(), Problem> {
        if self.rooms.len() >= self.limits.rooms_max {
            let nobody_here =
                self.rooms.values().filter(|room| !room.members.iter().any(|it| self.is_here(it)));
            // A room that has members still goes after all that have none.
            let quietest =
                nobody_here.min_by_key(|room| (!room.members.is_empty(), room.active_ms));
            let Some(quietest) = quietest.map(|room| room.name().clone()) else {
                return Err(relay_full());
            };
            let members =
                self.rooms.get(&quietest).map(|room| room.members.clone()).unwrap_or_default();
            for member in members {
                self.exit(now, &member, &quietest, out);
            }
            self.rooms.remove(&quietest);
        }
        let epoch = format!("{:012x}", (self.random)() >> 80);
        let kept = self.limits.history_messages_max;
        let room = Room::new(name.clone(), epoch, kept, now.unix_ms);
        self.rooms.insert(name.clone(), room);
        Ok(())
    }

    /// The room, if the person is in it. Whether it exists is nobody else's business.
    fn room_of(&self, me: &Arc<str>, room: &str) -> Result<&Room, Problem> {
        let room = self.rooms.get(room).filter(|room| room.members.contains(me));
        room.ok_or_else(not_member)
    }
}

fn not_member() -> Problem {
    problem(ErrorCode::NotMember, "you are not in this room; join it first")
}

fn relay_full() -> Problem {
    let retry_ms = Some(RETRY_FULL_MS);
    Problem { retry_ms, ..problem(ErrorCode::RelayFull, "the relay is full of rooms") }
}

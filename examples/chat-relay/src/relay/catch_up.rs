//! The log is the queue of a connection that is behind.
//!
//! A connection is either live in a room, and gets what is published there; or it is behind, and gets pieces of the
//! log, one at a time and the next when its socket has taken the last. What it costs the relay is one piece, however
//! far behind it is.

use std::collections::{BTreeMap, VecDeque};

use super::then::Step;
use super::{Key, Moment, Out, PersonId, Relay, RoomId, ask_store, say};
use crate::protocol::{self, Event, Message};
use crate::store::job::{self, Answer, Job, Refused};

/// A room that a connection is catching up with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Behind {
    pub(super) room: RoomId,
    pub(super) next: u64,
}

impl<K: Key> Relay<K> {
    /// The connections that get what happens in a room as it happens.
    pub fn live(&self, room: RoomId) -> impl Iterator<Item = K> + '_ {
        self.rooms.get(&room).into_iter().flat_map(|room| room.live.iter().copied())
    }

    /// Whether the connection is one of them.
    pub fn is_live(&self, room: RoomId, who: K) -> bool {
        self.rooms.get(&room).is_some_and(|room| room.live.contains(&who))
    }

    /// Too much waits for the connection: from `next` on it gets this room's log as its socket drains.
    pub fn hold_back(
        &mut self,
        now: Moment,
        room: RoomId,
        who: K,
        next: u64,
        out: &mut Vec<Out<K>>,
    ) {
        let Some(held) = self.rooms.get_mut(&room) else { return };
        if !held.live.remove(&who) {
            return;
        }
        out.push(Out::Unsubscribe { who, topic: held.name.clone() });
        if let Some(session) = self.sessions.get_mut(&who) {
            session.behind.push_back(Behind { room, next });
            self.lagging.entry(who).or_insert(now.clock);
        }
    }

    /// The connections that are behind in some room.
    pub fn behind(&self) -> impl Iterator<Item = K> + '_ {
        self.lagging.keys().copied()
    }

    /// Whether the connection is behind in some room.
    pub fn lags(&self, who: K) -> bool {
        self.lagging.contains_key(&who)
    }

    /// Whether there is more of the log for a connection, which can be [asked for](Self::drained) when its socket has
    /// room.
    pub fn is_behind(&self, who: K) -> bool {
        self.sessions.get(&who).is_some_and(|it| !it.feeding && !it.behind.is_empty())
    }

    /// The connection has room for the next piece of what it [is behind](Self::is_behind) with.
    pub fn drained(&mut self, now: Moment, who: K, out: &mut Vec<Out<K>>) {
        if self.is_behind(who) {
            self.feed(now, who, out);
        }
    }

    /// Notes for each of the person's rooms where the connection goes on: after its cursor, after a reset from the
    /// first message that is kept, or, in a room that the client did not name, from now.
    pub(super) fn catch_up(
        &mut self,
        now: Moment,
        who: K,
        me: PersonId,
        at: &BTreeMap<String, (String, u64)>,
        out: &mut Vec<Out<K>>,
    ) {
        let Some(person) = self.people.get(&me) else { return };
        let mut behind = VecDeque::new();
        for id in &person.rooms {
            let Some(room) = self.rooms.get_mut(id) else { continue };
            let Some((epoch, last)) = at.get(&*room.name) else {
                room.live.insert(who);
                out.push(Out::Subscribe { who, room: *id, topic: room.name.clone() });
                continue;
            };
            let next = room.next_after(epoch, *last).unwrap_or_else(|| {
                say(out, who, &Event::Reset { room: &room.name, log: room.log() }.line());
                room.first
            });
            behind.push_back(Behind { room: *id, next });
        }
        if let Some(session) = self.sessions.get_mut(&who) {
            session.behind = behind;
        }
        self.feed(now, who, out);
    }

    /// Makes the connection live in all rooms that it has caught up with, and asks for the next piece of the first that
    /// it has not.
    fn feed(&mut self, now: Moment, who: K, out: &mut Vec<Out<K>>) {
        let Some(session) = self.sessions.get_mut(&who) else { return };
        while let Some(behind) = session.behind.front_mut() {
            let Behind { room: id, next } = *behind;
            let Some(room) = self.rooms.get_mut(&id) else {
                session.behind.pop_front();
                continue;
            };
            if next > room.head {
                session.behind.pop_front();
                say(out, who, &Event::Live { room: &room.name, head: room.head }.line());
                room.live.insert(who);
                out.push(Out::Subscribe { who, room: id, topic: room.name.clone() });
                continue;
            }
            if next < room.first {
                // It was slower than the room: the log has moved on.
                behind.next = room.first;
                say(out, who, &Event::Reset { room: &room.name, log: room.log() }.line());
                continue;
            }
            session.feeding = true;
            self.lagging.entry(who).or_insert(now.clock);
            let job = Job::Read {
                room: id,
                from: next,
                to: room.head,
                messages_max: u32::MAX,
                bytes_max: self.limits.answer_bytes_max,
            };
            out.push(ask_store(Step::Feed { who, room: id }, job));
            return;
        }
        self.lagging.remove(&who);
    }

    /// The next piece is there.
    pub(super) fn fed(
        &mut self,
        now: Moment,
        who: K,
        id: RoomId,
        answer: Answer,
        out: &mut Vec<Out<K>>,
    ) {
        let Some(session) = self.sessions.get_mut(&who) else { return };
        session.feeding = false;
        let here = |behind: &&mut Behind| behind.room == id;
        let (Some(behind), Some(room)) =
            (session.behind.front_mut().filter(here), self.rooms.get_mut(&id))
        else {
            // It has left the room in the meantime.
            return self.feed(now, who, out);
        };
        let (first, messages) = match answer {
            // An empty one is right where all that was to be read was dropped before.
            Answer::Page { first, messages } if !messages.is_empty() || first > behind.next => {
                (first, messages)
            }
            Answer::Refused(Refused::Busy) => {
                self.unfed.insert(who);
                return;
            }
            _ => {
                let reason = "the log cannot be read";
                return self.end_session(now, who, protocol::STORE_FAILED, reason, out);
            }
        };
        self.lagging.insert(who, now.clock);
        room.first = room.first.max(first);
        let mut piece = String::new();
        if behind.next < room.first {
            behind.next = room.first;
            add_line(&mut piece, &Event::Reset { room: &room.name, log: room.log() });
        }
        for message in messages.iter().filter(|it| it.seq >= room.first) {
            if let Some(shown) = shown(&room.name, message) {
                add_line(&mut piece, &Event::Msg(shown));
            }
            behind.next = message.seq.saturating_add(1);
        }
        out.push(Out::Send { to: who, text: piece });
        if behind.next > room.head {
            self.feed(now, who, out);
        }
    }

    /// Asks again for those that the store had no time for.
    pub(super) fn feed_again(&mut self, now: Moment, out: &mut Vec<Out<K>>) {
        for who in std::mem::take(&mut self.unfed) {
            self.drained(now, who, out);
        }
    }

    /// Closes connections that are behind and take nothing.
    pub(super) fn close_the_slow(&mut self, now: Moment, out: &mut Vec<Out<K>>) {
        let late = |since: &std::time::Duration| *since + self.limits.lag_max <= now.clock;
        let mut slow: Vec<K> =
            self.lagging.iter().filter(|(_, since)| late(since)).map(|(who, _)| *who).collect();
        slow.sort_unstable();
        for who in slow {
            self.end_session(now, who, protocol::TOO_SLOW, "too slow", out);
        }
    }
}

/// A stored message, as it is told; `None` where the store has lost its form.
pub(super) fn shown<'a>(room: &'a str, message: &'a job::Message) -> Option<Message<'a>> {
    let body = serde_json::from_str(&message.body).ok()?;
    let job::Message { seq, ts, .. } = *message;
    Some(Message { room, seq, from: &message.from, cid: &message.cid, ts, body })
}

fn add_line(piece: &mut String, event: &Event<'_>) {
    if !piece.is_empty() {
        piece.push('\n');
    }
    piece.push_str(&event.line());
}

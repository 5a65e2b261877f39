//! What is said in rooms: send, get, search, marks, eph.

use std::sync::Arc;

use serde_json::value::RawValue;

use super::catch_up::shown;
use super::room::Marks;
use super::then::{Asker, Draft, Step};
use super::{Key, Moment, Out, PersonId, Relay, RoomId, ask_store, not_member, problem, refusal};
use crate::protocol::{
    Eph, ErrorCode, Event, Fetched, Found, Get, Mark, Message, Nothing, Problem, Search, Send,
    Sent, TTL_S_MAX,
};
use crate::store::job::{Answer, Job, Refused, Role};

/// Bytes of a `cid`: enough for any kind of unique identifier.
const CID_BYTES_MAX: usize = 64;

impl<K: Key> Relay<K> {
    pub(super) fn send(
        &mut self,
        now: Moment,
        asker: Asker<K>,
        me: PersonId,
        send: Send,
        out: &mut Vec<Out<K>>,
    ) -> Result<(), Problem> {
        let room = self.room_to_write(me, &send.room)?;
        let Some(person) = self.people.get(&me) else { return Err(not_member()) };
        let cid_fits = 1..=CID_BYTES_MAX;
        if !cid_fits.contains(&send.cid.len()) || !send.cid.bytes().all(|b| b.is_ascii_graphic()) {
            let text = "a cid is 1 to 64 characters of ASCII that can be seen";
            return Err(problem(ErrorCode::Fields, text));
        }
        let body = serde_json::to_string(&send.body)
            .map_err(|_| problem(ErrorCode::Json, "the body cannot be written as JSON"))?;
        if body.len() > self.limits.body_bytes_max {
            let text = format!("a body has at most {} bytes", self.limits.body_bytes_max);
            return Err(problem(ErrorCode::TooLong, text));
        }
        let body: Arc<str> = body.into();
        let job = Job::Send {
            room,
            from: me,
            cid: send.cid.clone(),
            body: body.clone(),
            now_ms: now.unix_ms,
        };
        let draft = Draft { asker, room, from: person.name.clone(), cid: send.cid, body };
        out.push(ask_store(Step::Sent(Box::new(draft)), job));
        Ok(())
    }

    /// The store has a message for good: its sender is told, and everybody in the room.
    pub(super) fn sent(
        &mut self,
        draft: &Draft<K>,
        stored: Answer,
        out: &mut Vec<Out<K>>,
    ) -> Result<(), Problem> {
        let Answer::Sent { seq, ts, dup } = stored else { return Err(refusal(stored)) };
        self.answer(out, draft.asker, &Sent { seq, ts, dup });
        let Some(room) = self.rooms.get_mut(&draft.room).filter(|_| !dup) else { return Ok(()) };
        room.head = room.head.max(seq);
        if room.live.is_empty() {
            return Ok(());
        }
        let Ok(body) = serde_json::from_str::<&RawValue>(&draft.body) else { return Ok(()) };
        let (topic, from, cid) = (room.name.clone(), &*draft.from, &*draft.cid);
        let text = Event::Msg(Message { room: &topic, seq, from, cid, ts, body }).line();
        out.push(Out::Publish { room: draft.room, topic, text, except: None, next: seq });
        Ok(())
    }

    /// Whether the person may ask for messages: what they come to waits in memory, so there is not more of it than a
    /// client needs that asks for the next page before it has the last.
    fn begins_to_read(&mut self, asker: Asker<K>, me: PersonId) -> Result<(), Problem> {
        if asker.id.is_none() {
            let text = "without an id there is no answer: nothing was looked for";
            return Err(problem(ErrorCode::Fields, text));
        }
        let Some(person) = self.people.get_mut(&me) else { return Err(not_member()) };
        if person.reading >= self.limits.reading_max {
            let text = "you wait for enough answers: take those first";
            return Err(problem(ErrorCode::Busy, text).retry_after(super::RETRY_BUSY_MS));
        }
        person.reading = person.reading.saturating_add(1);
        Ok(())
    }

    pub(super) fn has_read(&mut self, me: PersonId) {
        if let Some(person) = self.people.get_mut(&me) {
            person.reading = person.reading.saturating_sub(1);
        }
    }

    pub(super) fn get(
        &mut self,
        asker: Asker<K>,
        me: PersonId,
        get: &Get,
        out: &mut Vec<Out<K>>,
    ) -> Result<(), Problem> {
        let id = self.room_of(me, &get.room)?;
        let (first, head) = self.rooms.get(&id).map_or((1, 0), |room| (room.first, room.head));
        if get.from == 0 || get.from > get.to || get.from > head {
            let text = format!("from is 1 to the head, {head}, and not more than to");
            return Err(problem(ErrorCode::Range, text));
        }
        self.begins_to_read(asker, me)?;
        let job = Job::Read {
            room: id,
            from: get.from.max(first),
            to: get.to.min(head),
            messages_max: self.limits.answer_messages_max,
            bytes_max: self.limits.answer_bytes_max,
        };
        out.push(ask_store(Step::Fetched { asker, me, room: id }, job));
        Ok(())
    }

    pub(super) fn fetched(
        &mut self,
        asker: Asker<K>,
        id: RoomId,
        stored: Answer,
        out: &mut Vec<Out<K>>,
    ) -> Result<(), Problem> {
        let Answer::Page { messages, .. } = stored else { return Err(refusal(stored)) };
        let me = self.person_of(asker.who);
        let is_in = |room: &&super::Room<K>| me.is_some_and(|me| room.members.contains_key(&me));
        let room = self.rooms.get(&id).filter(is_in).ok_or_else(not_member)?;
        let msgs = messages.iter().filter_map(|it| shown(&room.name, it)).collect();
        let fetched = Fetched { room: &room.name, first: room.first, head: room.head, msgs };
        let bytes = self.answer(out, asker, &fetched);
        self.charge_for_answer(asker.who, bytes);
        Ok(())
    }

    pub(super) fn search(
        &mut self,
        now: Moment,
        asker: Asker<K>,
        me: PersonId,
        search: Search,
        out: &mut Vec<Out<K>>,
    ) -> Result<(), Problem> {
        if search.text.len() > self.limits.search_bytes_max {
            let text = format!("a search has at most {} bytes", self.limits.search_bytes_max);
            return Err(problem(ErrorCode::TooLong, text));
        }
        let rooms = match &search.room {
            Some(room) => vec![self.room_of(me, room)?],
            None => {
                self.people.get(&me).into_iter().flat_map(|it| it.rooms.iter().copied()).collect()
            }
        };
        self.begins_to_read(asker, me)?;
        if let Err(problem) = self.pay(now, asker.who, self.limits.search_cost) {
            self.has_read(me);
            return Err(problem);
        }
        let job = Job::Search {
            rooms,
            words: search.text,
            before: search.before,
            messages_max: self.limits.answer_messages_max,
            bytes_max: self.limits.answer_bytes_max,
        };
        out.push(ask_store(Step::Found { asker, me }, job));
        Ok(())
    }

    pub(super) fn found(
        &mut self,
        asker: Asker<K>,
        stored: Answer,
        out: &mut Vec<Out<K>>,
    ) -> Result<(), Problem> {
        let Answer::Found { messages, next } = stored else { return Err(refusal(stored)) };
        let Some(person) = self.person_of(asker.who).and_then(|it| self.people.get(&it)) else {
            return Ok(());
        };
        let of_mine = messages.iter().filter(|it| person.rooms.contains(&it.room));
        let msgs = of_mine.filter_map(|it| shown(&self.rooms.get(&it.room)?.name, it)).collect();
        let bytes = self.answer(out, asker, &Found { msgs, next });
        self.charge_for_answer(asker.who, bytes);
        Ok(())
    }

    pub(super) fn mark(
        &mut self,
        asker: Asker<K>,
        me: PersonId,
        mark: &Mark,
        out: &mut Vec<Out<K>>,
    ) -> Result<(), Problem> {
        let id = self.room_of(me, &mark.room)?;
        if let Some(room) = self.rooms.get_mut(&id)
            && let Some(member) = room.members.get_mut(&me)
        {
            let (recv, read) = (mark.recv.min(room.head), mark.read.min(room.head));
            member.wanted = member.wanted.merge(Marks { recv, read });
        }
        self.answer(out, asker, &Nothing {});
        self.store_mark(id, me, out);
        Ok(())
    }

    /// Stores the marks that a person's devices have asked for, unless the store is at it already.
    pub(super) fn store_mark(&mut self, id: RoomId, me: PersonId, out: &mut Vec<Out<K>>) {
        let Some(member) = self.rooms.get_mut(&id).and_then(|room| room.members.get_mut(&me))
        else {
            return;
        };
        if !member.storing && member.wanted != member.marks {
            member.storing = true;
            let Marks { recv, read } = member.wanted;
            let job = Job::Mark { room: id, person: me, recv, read };
            out.push(ask_store(Step::Marked { room: id, person: me }, job));
        }
    }

    pub(super) fn marked(
        &mut self,
        id: RoomId,
        me: PersonId,
        stored: &Answer,
        out: &mut Vec<Out<K>>,
    ) {
        let Some(member) = self.rooms.get_mut(&id).and_then(|room| room.members.get_mut(&me))
        else {
            return;
        };
        member.storing = false;
        match *stored {
            Answer::Marked { recv, read } => {
                member.marks = Marks { recv, read };
                member.wanted = member.wanted.merge(member.marks);
                self.tell_mark(id, me, out);
                self.store_mark(id, me, out);
            }
            Answer::Refused(Refused::Busy) => {
                self.unmarked.insert((id, me));
            }
            // The client can ask again; what others have seen stays.
            _ => member.wanted = member.marks,
        }
    }

    fn tell_mark(&self, id: RoomId, me: PersonId, out: &mut Vec<Out<K>>) {
        let Some(room) = self.rooms.get(&id).filter(|room| room.tells()) else { return };
        let (Some(member), Some(person)) = (room.members.get(&me), self.people.get(&me)) else {
            return;
        };
        let Marks { recv, read } = member.marks;
        self.publish(
            id,
            &Event::Mark { room: &room.name, user: &person.name, recv, read },
            None,
            out,
        );
    }

    pub(super) fn eph(
        &self,
        asker: Asker<K>,
        me: PersonId,
        eph: &Eph,
        out: &mut Vec<Out<K>>,
    ) -> Result<(), Problem> {
        let id = self.room_to_write(me, &eph.room)?;
        if eph.ttl_s > TTL_S_MAX {
            return Err(problem(ErrorCode::Range, format!("ttl_s is 0 to {TTL_S_MAX}")));
        }
        let Some(person) = self.people.get(&me) else { return Err(not_member()) };
        let (room, data) = (&*eph.room, eph.data.as_ref());
        let event = Event::Eph { room, from: &person.name, kind: eph.kind, ttl_s: eph.ttl_s, data };
        // The line is the data and a little more; that it has to be made to be measured costs who sends it.
        if data.is_some() && event.line().len() > self.limits.eph_bytes_max {
            let text = format!("data has at most {} bytes", self.limits.eph_bytes_max);
            return Err(problem(ErrorCode::TooLong, text));
        }
        self.publish(id, &event, Some(asker.who), out);
        self.answer(out, asker, &Nothing {});
        Ok(())
    }

    /// The room, if the person may write there.
    fn room_to_write(&self, me: PersonId, name: &str) -> Result<RoomId, Problem> {
        let id = self.room_of(me, name)?;
        // Who is about to be out of it is as good as out.
        let room = self.rooms.get(&id).filter(|room| !room.leaving.contains(&me));
        match room.and_then(|room| room.members.get(&me)).map(|it| it.role) {
            Some(Role::Member | Role::Owner) => Ok(id),
            Some(Role::Reader) => Err(problem(ErrorCode::Forbidden, "you may only read here")),
            None => Err(not_member()),
        }
    }
}

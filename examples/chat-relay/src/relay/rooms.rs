//! Who is in which room, and may what.

use std::sync::Arc;

use super::room::{Marks, Membership, Room};
use super::then::{Asker, NewRoom, RoleChange, Step};
use super::{
    Key, Moment, Out, PersonId, Relay, RoomId, ask_store, not_member, problem, refusal, relay_full,
};
use crate::names::{PersonName, room_name};
use crate::protocol::{
    ErrorCode, Event, Grant, InRoom, Join, Joined, ListMembers, Members, Nothing, Problem, ToUser,
};
use crate::store::job::{Access, Answer, Job, Known, Refused, Role};

impl<K: Key> Relay<K> {
    pub(super) fn join(
        &mut self,
        now: Moment,
        asker: Asker<K>,
        me: PersonId,
        join: &Join,
        out: &mut Vec<Out<K>>,
    ) -> Result<(), Problem> {
        let stays = |id: &RoomId| !self.rooms.get(id).is_some_and(|it| it.leaving.contains(&me));
        if let Some(id) = self.room_of(me, &join.room).ok().filter(stays) {
            return self.show_room(asker, me, id, out);
        }
        let name = room_name(&join.room, self.limits.room_chars_max)
            .map_err(|error| problem(ErrorCode::RoomName, error.to_string()))?;
        self.room_for_one_more(me)?;
        let Some(&id) = self.names.get(&name) else {
            let members = vec![(me, Role::Owner)];
            let known = self.known_person(me).into_iter().collect();
            return self.make_room(now, asker, me, name, join.access.into(), members, known, out);
        };
        let Some(room) = self.rooms.get(&id) else { return Err(not_member()) };
        if room.access != Access::Open {
            let text = "only who is let in by an owner comes into this room";
            return Err(problem(ErrorCode::Forbidden, text));
        }
        // Who comes first into a room that everybody has left has it.
        let is_first = room.members.is_empty() && room.entering == 0;
        self.place_for_one_more(id)?;
        let change = RoleChange {
            asker: Some(asker),
            room: id,
            person: me,
            role: Some(if is_first { Role::Owner } else { Role::Member }),
            known: self.known_person(me),
            joins: true,
            enters: true,
        };
        self.set_role(change, out);
        Ok(())
    }

    pub(super) fn leave(
        &mut self,
        asker: Asker<K>,
        me: PersonId,
        leave: &InRoom,
        out: &mut Vec<Out<K>>,
    ) -> Result<(), Problem> {
        let id = self.room_of(me, &leave.room)?;
        if self.rooms.get(&id).is_some_and(|room| room.access == Access::Direct) {
            return Err(problem(ErrorCode::Forbidden, "a room of two is not left"));
        }
        let change = RoleChange {
            asker: Some(asker),
            room: id,
            person: me,
            role: None,
            known: None,
            joins: false,
            enters: false,
        };
        self.set_role(change, out);
        Ok(())
    }

    pub(super) fn direct(
        &mut self,
        now: Moment,
        asker: Asker<K>,
        me: PersonId,
        direct: &ToUser,
        out: &mut Vec<Out<K>>,
    ) -> Result<(), Problem> {
        let key = self.key_of(&direct.user)?;
        if let Some(known) = self.known(&key) {
            return self.direct_with(asker, me, &known, now, out);
        }
        out.push(ask_store(Step::FoundOther { asker, me }, Job::Find { key }));
        Ok(())
    }

    pub(super) fn direct_with(
        &mut self,
        asker: Asker<K>,
        me: PersonId,
        other: &Known,
        now: Moment,
        out: &mut Vec<Out<K>>,
    ) -> Result<(), Problem> {
        if other.person == me {
            return Err(problem(ErrorCode::Forbidden, "that is you"));
        }
        let (one, two) = (me.min(other.person), me.max(other.person));
        let name: Arc<str> = format!("@{}-{}", one.0, two.0).into();
        if let Some(&id) = self.names.get(&name) {
            return self.show_room(asker, me, id, out);
        }
        self.room_for_one_more(me)?;
        if other.blocked {
            return Err(problem(ErrorCode::UserUnknown, "nobody has this name"));
        }
        self.room_from_another(other.person)?;
        let members = vec![(one, Role::Member), (two, Role::Member)];
        let known = self.known_person(me).into_iter().chain([other.clone()]).collect();
        self.make_room(now, asker, me, name, Access::Direct, members, known, out)
    }

    #[allow(clippy::too_many_arguments, reason = "a room is all of these")]
    fn make_room(
        &mut self,
        now: Moment,
        asker: Asker<K>,
        me: PersonId,
        name: Arc<str>,
        access: Access,
        members: Vec<(PersonId, Role)>,
        known: Vec<Known>,
        out: &mut Vec<Out<K>>,
    ) -> Result<(), Problem> {
        self.pay(now, asker.who, self.limits.room_cost)?;
        if self.rooms.len().saturating_add(self.making) >= self.limits.rooms_max {
            return Err(relay_full());
        }
        self.making = self.making.saturating_add(1);
        for (person, _) in &members {
            self.begins_to_enter(*person);
        }
        let mut epoch = self.secret();
        epoch.truncate(12);
        let job = Job::MakeRoom {
            name: name.clone(),
            epoch: epoch.clone(),
            access,
            members: members.clone(),
            now_ms: now.unix_ms,
        };
        let new = NewRoom { asker, me, name, epoch, access, members, known };
        out.push(ask_store(Step::MadeRoom(Box::new(new)), job));
        Ok(())
    }

    pub(super) fn made_room(
        &mut self,
        now: Moment,
        new: NewRoom<K>,
        stored: Answer,
        out: &mut Vec<Out<K>>,
    ) -> Result<(), Problem> {
        let NewRoom { asker, me, name, epoch, access, members, known } = new;
        self.making = self.making.saturating_sub(1);
        for (person, _) in &members {
            self.has_entered(*person);
        }
        let id = match stored {
            Answer::Room(id) => id,
            // Somebody else was faster; that room is known by now.
            Answer::Refused(Refused::Exists) if access == Access::Direct => {
                let id = *self.names.get(&name).ok_or_else(not_member)?;
                return self.show_room(asker, me, id, out);
            }
            Answer::Refused(Refused::Exists) if self.names.contains_key(&name) => {
                let join = Join { room: name.to_string(), access: Default::default() };
                return self.join(now, asker, me, &join, out);
            }
            Answer::Refused(Refused::Exists) => {
                let text = "what was in a room of this name is being dropped";
                let busy = problem(ErrorCode::Busy, text).retry_after(super::RETRY_BUSY_MS);
                return Err(busy);
            }
            stored => return Err(refusal(stored)),
        };
        for known in &known {
            self.meet(known, now.clock);
        }
        self.names.insert(name.clone(), id);
        self.rooms.insert(id, Room::empty(name, epoch, access));
        // All are members before the first is told: a room of two is called by the other's name.
        for (person, role) in &members {
            self.add_member(id, *person, *role, out);
        }
        for (person, _) in members {
            self.let_in_all(id, person, asker.who, out);
        }
        self.show_room(asker, me, id, out)
    }

    pub(super) fn grant(
        &mut self,
        asker: Asker<K>,
        me: PersonId,
        grant: &Grant,
        out: &mut Vec<Out<K>>,
    ) -> Result<(), Problem> {
        let id = self.room_of(me, &grant.room)?;
        self.is_owner(me, id)?;
        self.grant_by_name(asker, Some(me), id, grant, out)
    }

    pub(super) fn is_owner(&self, me: PersonId, id: RoomId) -> Result<(), Problem> {
        let mine = self.rooms.get(&id).and_then(|room| room.members.get(&me));
        if mine.is_none_or(|mine| mine.role != Role::Owner) {
            return Err(problem(ErrorCode::Forbidden, "only an owner grants"));
        }
        Ok(())
    }

    pub(super) fn grant_by_name(
        &mut self,
        asker: Asker<K>,
        by: Option<PersonId>,
        room: RoomId,
        grant: &Grant,
        out: &mut Vec<Out<K>>,
    ) -> Result<(), Problem> {
        let key = self.key_of(&grant.user)?;
        if let Some(known) = self.known(&key) {
            return self.grant_to(asker, room, known, grant.role.into(), out);
        }
        let then = Step::FoundGrantee { asker, by, room, role: grant.role };
        out.push(ask_store(then, Job::Find { key }));
        Ok(())
    }

    pub(super) fn grant_to(
        &mut self,
        asker: Asker<K>,
        id: RoomId,
        known: Known,
        role: Option<Role>,
        out: &mut Vec<Out<K>>,
    ) -> Result<(), Problem> {
        let room = self.rooms.get(&id).ok_or_else(not_member)?;
        if room.access == Access::Direct {
            return Err(problem(ErrorCode::Forbidden, "a room of two stays as it is"));
        }
        let is_member = room.members.contains_key(&known.person);
        let owners = room.members.iter().filter(|(_, it)| it.role == Role::Owner);
        let is_last_owner = owners.map(|(person, _)| *person).eq([known.person]);
        if is_last_owner && role.is_some_and(|role| role != Role::Owner) {
            return Err(problem(ErrorCode::Forbidden, "make somebody else an owner first"));
        }
        match (is_member, role) {
            (false, None) => {
                return Err(problem(ErrorCode::UserUnknown, "nobody in this room has this name"));
            }
            (false, Some(_)) => {
                self.place_for_one_more(id)?;
                self.room_from_another(known.person)?;
            }
            (true, _) => {}
        }
        let change = RoleChange {
            asker: Some(asker),
            room: id,
            person: known.person,
            role,
            known: Some(known),
            joins: false,
            enters: !is_member,
        };
        self.set_role(change, out);
        Ok(())
    }

    fn set_role(&mut self, change: RoleChange<K>, out: &mut Vec<Out<K>>) {
        let RoleChange { room, person, role, enters, .. } = change;
        if enters {
            self.begins_to_enter(person);
            if let Some(room) = self.rooms.get_mut(&room) {
                room.entering = room.entering.saturating_add(1);
            }
        }
        if let Some(room) = self.rooms.get_mut(&room).filter(|_| role.is_none()) {
            room.leaving.insert(person);
        }
        out.push(ask_store(Step::SetRole(change), Job::SetRole { room, person, role }));
    }

    pub(super) fn role_is_set(
        &mut self,
        now: Moment,
        change: RoleChange<K>,
        stored: Answer,
        out: &mut Vec<Out<K>>,
    ) -> Result<(), Problem> {
        let RoleChange { asker, room: id, person, role, known, joins, enters } = change;
        if let Some(room) = self.rooms.get_mut(&id).filter(|_| role.is_none()) {
            room.leaving.remove(&person);
        }
        if enters {
            self.has_entered(person);
            if let Some(room) = self.rooms.get_mut(&id) {
                room.entering = room.entering.saturating_sub(1);
            }
        }
        if stored != Answer::Done {
            if asker.is_none() {
                self.heirless.insert(id);
            }
            // Everybody else may have left it meanwhile.
            self.forget_if_over(id, out);
            return Err(refusal(stored));
        }
        if let Some(known) = &known {
            self.meet(known, now.clock);
        }
        let mut done = Ok(());
        match (role, asker) {
            (Some(role), Some(asker)) if joins => {
                self.enter(id, person, role, asker.who, out);
                done = self.show_room(asker, person, id, out);
                // Everybody else may have left it.
                self.pass_on(id, out);
            }
            (Some(role), _) => {
                self.change_role(id, person, role, out);
                // Two owners may have taken it from each other at once.
                self.pass_on(id, out);
            }
            (None, _) => self.exit(id, person, out),
        }
        if let Some(asker) = asker.filter(|_| !joins) {
            self.answer(out, asker, &Nothing {});
        }
        // Where the room has gone in the meantime.
        self.unmeet(person, out);
        done
    }

    fn change_role(&mut self, id: RoomId, person: PersonId, role: Role, out: &mut Vec<Out<K>>) {
        let member = self.rooms.get_mut(&id).and_then(|room| room.members.get_mut(&person));
        match member {
            Some(member) => {
                member.role = role;
                self.tell_member(id, person, out);
            }
            None => {
                self.add_member(id, person, role, out);
                let devices = self.people.get(&person).map(|it| it.devices.clone());
                for who in devices.unwrap_or_default() {
                    self.let_in(id, person, who, true, out);
                }
            }
        }
    }

    /// Makes the person a member; `who` is the connection that asked, and gets the room in its answer.
    fn enter(&mut self, id: RoomId, person: PersonId, role: Role, who: K, out: &mut Vec<Out<K>>) {
        self.add_member(id, person, role, out);
        self.let_in_all(id, person, who, out);
    }

    /// All connections of a new member hear what happens in the room from now on; `who` gets the room in its answer.
    fn let_in_all(&mut self, id: RoomId, person: PersonId, who: K, out: &mut Vec<Out<K>>) {
        let devices = self.people.get(&person).map(|it| it.devices.clone()).unwrap_or_default();
        for device in devices {
            self.let_in(id, person, device, device != who, out);
        }
    }

    fn add_member(&mut self, id: RoomId, person: PersonId, role: Role, out: &mut Vec<Out<K>>) {
        let (Some(room), Some(of_person)) = (self.rooms.get_mut(&id), self.people.get_mut(&person))
        else {
            return;
        };
        let marks = Marks { recv: room.head, read: room.head };
        room.members.entry(person).or_insert(Membership::new(role, marks)).role = role;
        of_person.rooms.insert(id);
        self.tell_member(id, person, out);
    }

    /// A connection of a new member hears what happens in the room from now on.
    fn let_in(&mut self, id: RoomId, person: PersonId, who: K, tell: bool, out: &mut Vec<Out<K>>) {
        if tell
            && let Some(room) = self.rooms.get(&id)
            && let Some(info) = self.room_info(room, person)
        {
            super::say(out, who, &Event::Added { room: &room.name, info }.line());
        }
        let is_behind = |it: &super::Session| it.behind.iter().any(|behind| behind.room == id);
        if self.sessions.get(&who).is_some_and(|it| is_behind(it)) {
            return;
        }
        if let Some(room) = self.rooms.get_mut(&id)
            && room.live.insert(who)
        {
            out.push(Out::Subscribe { who, room: id, topic: room.name.clone() });
        }
    }

    /// Ends a membership, tells the others, and forgets the room if nothing is left of it.
    pub(super) fn exit(&mut self, id: RoomId, person: PersonId, out: &mut Vec<Out<K>>) {
        if !self.take_out(id, person, out) {
            return;
        }
        let (Some(room), Some(of_person)) = (self.rooms.get(&id), self.people.get(&person)) else {
            return;
        };
        let left = Event::Member { room: &room.name, member: of_person.as_gone() };
        self.publish(id, &left, None, out);
        self.forget_if_over(id, out);
        self.pass_on(id, out);
        self.unmeet(person, out);
    }

    /// Ends a membership, and tells the person's own connections; false where there was none.
    fn take_out(&mut self, id: RoomId, person: PersonId, out: &mut Vec<Out<K>>) -> bool {
        let (Some(room), Some(of_person)) = (self.rooms.get_mut(&id), self.people.get_mut(&person))
        else {
            return false;
        };
        if room.members.remove(&person).is_none() {
            return false;
        }
        of_person.rooms.remove(&id);
        let gone = Event::Removed { room: &room.name }.line();
        for who in of_person.devices.iter().copied() {
            if let Some(session) = self.sessions.get_mut(&who) {
                session.behind.retain(|behind| behind.room != id);
                if session.behind.is_empty() && !session.feeding {
                    self.lagging.remove(&who);
                }
            }
            if room.live.remove(&who) {
                out.push(Out::Unsubscribe { who, topic: room.name.clone() });
            }
            super::say(out, who, &gone);
        }
        true
    }

    /// Gives a room that has no owner to its heir.
    pub(super) fn pass_on(&mut self, id: RoomId, out: &mut Vec<Out<K>>) {
        let Some(heir) = self.rooms.get(&id).and_then(Room::heir) else { return };
        let change = RoleChange {
            asker: None,
            room: id,
            person: heir,
            role: Some(Role::Owner),
            known: None,
            joins: false,
            enters: false,
        };
        self.set_role(change, out);
    }

    /// Forgets a room that nothing is left of, unless somebody is about to come in.
    pub(super) fn forget_if_over(&mut self, id: RoomId, out: &mut Vec<Out<K>>) {
        if self.rooms.get(&id).is_some_and(|room| room.is_over() && room.entering == 0)
            && let Some(room) = self.rooms.remove(&id)
        {
            self.names.remove(&room.name);
            out.push(ask_to_forget(id));
        }
    }

    /// The store has dropped a room that nothing is left of, or could not: then its name cannot be given again yet.
    pub(super) fn forgot_room(&mut self, id: RoomId, answer: &Answer, out: &mut Vec<Out<K>>) {
        match answer {
            Answer::Done | Answer::Refused(Refused::NoRoom) => {}
            Answer::More => out.push(ask_to_forget(id)),
            _ => {
                self.unforgotten_rooms.insert(id);
            }
        }
    }

    /// Drops a room that the store has dropped, and tells all who were in it.
    pub(super) fn remove_room(&mut self, id: RoomId, out: &mut Vec<Out<K>>) {
        let members: Option<Vec<_>> =
            self.rooms.get(&id).map(|room| room.members.keys().copied().collect());
        for person in members.unwrap_or_default() {
            self.take_out(id, person, out);
            self.unmeet(person, out);
        }
        if let Some(room) = self.rooms.remove(&id) {
            self.names.remove(&room.name);
        }
    }

    pub(super) fn list_members(
        &mut self,
        asker: Asker<K>,
        me: PersonId,
        list: &ListMembers,
        out: &mut Vec<Out<K>>,
    ) -> Result<(), Problem> {
        let id = self.room_of(me, &list.room)?;
        let room = self.rooms.get(&id).ok_or_else(not_member)?;
        let bytes = self.answer(out, asker, &self.members_of(room, list.after));
        self.charge_for_answer(asker.who, bytes);
        Ok(())
    }

    fn members_of<'a>(&'a self, room: &'a Room<K>, after: u64) -> Members<'a> {
        let max = self.limits.answer_members_max;
        let page: Vec<_> = room.members_after(after).take(max).collect();
        let last = page.last().map(|(person, _)| u64::from(person.0));
        let next = last.filter(|last| room.members_after(*last).next().is_some());
        let shown =
            |(person, it): &(PersonId, &Membership)| Some(self.people.get(person)?.as_member(it));
        Members { members: page.iter().filter_map(shown).collect(), next }
    }

    /// Answers with a room that the person is in.
    fn show_room(
        &mut self,
        asker: Asker<K>,
        me: PersonId,
        id: RoomId,
        out: &mut Vec<Out<K>>,
    ) -> Result<(), Problem> {
        let room = self.rooms.get(&id).ok_or_else(not_member)?;
        let info = self.room_info(room, me).ok_or_else(not_member)?;
        let members = self.members_of(room, 0);
        let bytes = self.answer(out, asker, &Joined { room: &room.name, info, members });
        self.charge_for_answer(asker.who, bytes);
        Ok(())
    }

    fn tell_member(&self, id: RoomId, person: PersonId, out: &mut Vec<Out<K>>) {
        let (Some(room), Some(of_person)) = (self.rooms.get(&id), self.people.get(&person)) else {
            return;
        };
        let Some(membership) = room.members.get(&person) else { return };
        let member = of_person.as_member(membership);
        self.publish(id, &Event::Member { room: &room.name, member }, None, out);
    }

    /// The room, if the person is in it. Whether it exists is nobody else's business.
    pub(super) fn room_of(&self, me: PersonId, name: &str) -> Result<RoomId, Problem> {
        let id = *self.names.get(name).ok_or_else(not_member)?;
        let is_in = self.rooms.get(&id).is_some_and(|room| room.members.contains_key(&me));
        is_in.then_some(id).ok_or_else(not_member)
    }

    /// A person who is in memory, as the store would answer.
    pub(super) fn known(&self, key: &str) -> Option<Known> {
        self.known_person(*self.keys.get(key)?)
    }

    fn known_person(&self, id: PersonId) -> Option<Known> {
        self.people.get(&id).map(|person| person.as_known(id))
    }

    pub(super) fn key_of(&self, name: &str) -> Result<Arc<str>, Problem> {
        PersonName::new(name, self.limits.name_chars_max)
            .map(|name| name.key)
            .map_err(|error| problem(ErrorCode::Name, error.to_string()))
    }
}

pub(super) fn ask_to_forget<K>(room: RoomId) -> Out<K> {
    ask_store(Step::ForgotRoom { room }, Job::ForgetRoom { room })
}

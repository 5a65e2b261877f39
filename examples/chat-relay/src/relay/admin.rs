//! What the one who runs the relay asks for.

use std::sync::Arc;

use super::then::{AdminStep, Asker, Step};
use super::{Admission, Key, Moment, Out, Relay, ask_store, person, problem, refusal};
use crate::protocol::{
    Admin, ErrorCode, Invitation, Nothing, People, PersonInfo, Problem, RoomSummary, Rooms,
    SIGNED_OUT,
};
use crate::store::job::{Answer, Job};

fn no_room() -> Problem {
    problem(ErrorCode::NotMember, "there is no room of this name")
}

/// People or rooms in one answer.
const PAGE: usize = 100;
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

impl<K: Key> Relay<K> {
    pub(super) fn admin(
        &mut self,
        now: Moment,
        asker: Asker<K>,
        admin: Admin,
        out: &mut Vec<Out<K>>,
    ) -> Result<(), Problem> {
        let (step, job) = match admin {
            Admin::People { after } => {
                let people_max = u32::try_from(PAGE).unwrap_or(u32::MAX);
                (AdminStep::People, Job::People { after: after.into(), people_max })
            }
            Admin::Rooms { after } => return self.list_rooms(asker, &after, out),
            Admin::Block { user, blocked } => {
                (AdminStep::Block(blocked), Job::Find { key: self.key_of(&user)? })
            }
            Admin::SignOut { .. } if matches!(self.admission, Admission::Open) => {
                let text =
                    "here a name is its token, and would be nobody's for ever: block the person";
                return Err(problem(ErrorCode::Forbidden, text));
            }
            Admin::SignOut { user } => (AdminStep::SignOut, Job::Find { key: self.key_of(&user)? }),
            Admin::Invite { uses, days } => {
                if uses == 0 || days == 0 {
                    let text = "an invitation is for 1 person and 1 day at least";
                    return Err(problem(ErrorCode::Range, text));
                }
                let code = self.secret();
                let lasts_ms = u64::from(days).saturating_mul(DAY_MS);
                let until_ms = now.unix_ms.saturating_add(lasts_ms);
                (AdminStep::Invited(code.clone()), Job::Invite { code, uses, until_ms })
            }
            Admin::RemoveRoom { room } => {
                let id = *self.names.get(&*room).ok_or_else(no_room)?;
                (AdminStep::RemovedRoom(id), Job::ForgetRoom { room: id })
            }
            Admin::Role(grant) => {
                let id = *self.names.get(&*grant.room).ok_or_else(no_room)?;
                return self.grant_by_name(asker, None, id, &grant, out);
            }
        };
        out.push(ask_store(Step::Admin { asker, step }, job));
        Ok(())
    }

    pub(super) fn administered(
        &mut self,
        now: Moment,
        asker: Asker<K>,
        step: AdminStep,
        stored: Answer,
        out: &mut Vec<Out<K>>,
    ) -> Result<(), Problem> {
        match step {
            AdminStep::People => return self.show_people(asker, stored, out),
            AdminStep::Block(blocked) => {
                let id = person(stored)?.person;
                let step = AdminStep::Blocked(id);
                let job = Job::Block { person: id, blocked };
                out.push(ask_store(Step::Admin { asker, step }, job));
                return Ok(());
            }
            AdminStep::SignOut => {
                let id = person(stored)?.person;
                let step = AdminStep::SignedOut(id);
                let job = Job::SignOut { person: id, token: None };
                out.push(ask_store(Step::Admin { asker, step }, job));
                return Ok(());
            }
            AdminStep::Blocked(_)
            | AdminStep::SignedOut(_)
            | AdminStep::Invited(_)
            | AdminStep::RemovedRoom(_) => {}
        }
        let (Answer::Done | Answer::More) = stored else { return Err(refusal(stored)) };
        match step {
            AdminStep::Blocked(person) | AdminStep::SignedOut(person) => {
                self.end_all(now, person, SIGNED_OUT, super::people::SIGNED_OUT, out);
            }
            AdminStep::RemovedRoom(id) => {
                self.remove_room(id, out);
                if stored == Answer::More {
                    out.push(super::rooms::ask_to_forget(id));
                }
            }
            AdminStep::Invited(code) => {
                self.answer(out, asker, &Invitation { invitation: &code });
                return Ok(());
            }
            AdminStep::People | AdminStep::Block(_) | AdminStep::SignOut => {}
        }
        self.answer(out, asker, &Nothing {});
        Ok(())
    }

    fn show_people(
        &self,
        asker: Asker<K>,
        stored: Answer,
        out: &mut Vec<Out<K>>,
    ) -> Result<(), Problem> {
        let Answer::People(known) = stored else { return Err(refusal(stored)) };
        let shown = |it| {
            let known: &crate::store::job::Known = it;
            let here = self.people.get(&known.person);
            PersonInfo {
                user: &known.shown,
                key: &known.key,
                devices: here.map_or(0, |it| it.devices.len()),
                rooms: here.map_or(0, |it| it.rooms.len()),
                last_seen: known.last_seen_ms,
                blocked: known.blocked,
            }
        };
        self.answer(out, asker, &People { people: known.iter().map(shown).collect() });
        Ok(())
    }

    fn list_rooms(
        &self,
        asker: Asker<K>,
        after: &str,
        out: &mut Vec<Out<K>>,
    ) -> Result<(), Problem> {
        let mut later: Vec<(&Arc<str>, &super::RoomId)> =
            self.names.iter().filter(|(name, _)| &***name > after).collect();
        if later.len() > PAGE {
            // Only the page is put in order: there may be a hundred thousand.
            later.select_nth_unstable(PAGE);
            later.truncate(PAGE);
        }
        later.sort_unstable();
        let rooms = later.into_iter().filter_map(|(name, id)| {
            let room = self.rooms.get(id)?;
            Some(RoomSummary {
                room: name,
                kind: room.access.into(),
                members: room.members.len(),
                first: room.first,
                head: room.head,
            })
        });
        self.answer(out, asker, &Rooms { rooms: rooms.collect() });
        Ok(())
    }
}

//! How many rooms and members there may be. Those that the store is at count already, so that nobody gets more by not
//! waiting for an answer.

use std::collections::hash_map::Entry;

use super::{Key, PersonId, Relay, RoomId, problem};
use crate::protocol::{ErrorCode, Problem};

impl<K: Key> Relay<K> {
    pub(super) fn room_for_one_more(&self, person: PersonId) -> Result<(), Problem> {
        let max = self.limits.rooms_per_person_max;
        if self.rooms_of(person) < max {
            return Ok(());
        }
        Err(problem(ErrorCode::RoomsFull, format!("one person is in at most {max} rooms")))
    }

    /// How many rooms a person is in, or about to be.
    fn rooms_of(&self, person: PersonId) -> usize {
        let rooms = self.people.get(&person).map_or(0, |it| it.rooms.len());
        rooms.saturating_add(self.entering.get(&person).copied().unwrap_or(0))
    }

    pub(super) fn begins_to_enter(&mut self, person: PersonId) {
        let entering = self.entering.entry(person).or_default();
        *entering = entering.saturating_add(1);
    }

    /// The store has answered.
    pub(super) fn has_entered(&mut self, person: PersonId) {
        if let Entry::Occupied(mut entering) = self.entering.entry(person) {
            *entering.get_mut() = entering.get().saturating_sub(1);
            if *entering.get() == 0 {
                entering.remove();
            }
        }
    }

    /// Whether others may bring the person into one more room. They never fill the last quarter: that is the person's
    /// own.
    pub(super) fn room_from_another(&self, person: PersonId) -> Result<(), Problem> {
        let max = self.limits.rooms_per_person_max;
        if self.rooms_of(person) < max.saturating_sub(max / 4) {
            return Ok(());
        }
        Err(problem(
            ErrorCode::RoomsFull,
            "this person is in too many rooms to be brought into another",
        ))
    }

    pub(super) fn place_for_one_more(&self, id: RoomId) -> Result<(), Problem> {
        let members = self.rooms.get(&id).map_or(0, |room| room.members.len() + room.entering);
        if members < self.limits.members_max {
            return Ok(());
        }
        Err(problem(ErrorCode::RoomFull, "the room is full"))
    }
}

//! A room as it is kept in memory: where its log is, who is in it, and who listens.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use crate::limits::MEMBERS_TOLD_MAX;
use crate::protocol::RoomHead;
use crate::store::job::{Access, PersonId, Role, RoomId, StoredRoom};

/// A room.
#[derive(Debug)]
pub(super) struct Room<K> {
    pub(super) name: Arc<str>,
    pub(super) epoch: String,
    pub(super) access: Access,
    pub(super) first: u64,
    pub(super) head: u64,
    pub(super) members: BTreeMap<PersonId, Membership>,
    /// The connections that get what happens here as it happens.
    pub(super) live: BTreeSet<K>,
    /// How many members the store is about to let in. They count already.
    pub(super) entering: usize,
    /// Members whose membership the store is about to end.
    pub(super) leaving: BTreeSet<PersonId>,
}

/// A person's part in a room.
#[derive(Clone, Copy, Debug)]
pub(super) struct Membership {
    pub(super) role: Role,
    /// The marks that are stored.
    pub(super) marks: Marks,
    /// The marks that the person's devices have asked for.
    pub(super) wanted: Marks,
    /// The store is at it.
    pub(super) storing: bool,
}

/// How far a person has received and read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks {
    pub(super) recv: u64,
    pub(super) read: u64,
}

impl Marks {
    /// The later of both, where `read` raises `recv`.
    pub(super) fn merge(self, other: Self) -> Self {
        let read = self.read.max(other.read);
        Self { recv: self.recv.max(other.recv).max(read), read }
    }
}

impl Membership {
    pub(super) fn new(role: Role, marks: Marks) -> Self {
        Self { role, marks, wanted: marks, storing: false }
    }
}

impl<K: Ord> Room<K> {
    pub(super) fn empty(name: Arc<str>, epoch: String, access: Access) -> Self {
        let (first, head, members) = (1, 0, Vec::new());
        Self::stored(StoredRoom { room: RoomId(0), name, epoch, access, first, head, members })
    }

    pub(super) fn stored(room: StoredRoom) -> Self {
        let member = |it: crate::store::job::StoredMember| {
            let marks = Marks { recv: it.recv, read: it.read };
            (it.person, Membership::new(it.role, marks))
        };
        let StoredRoom { name, epoch, access, first, head, members, .. } = room;
        let members = members.into_iter().map(member).collect();
        let (live, leaving) = (BTreeSet::new(), BTreeSet::new());
        Self { name, epoch, access, first, head, members, live, entering: 0, leaving }
    }

    /// Where the log is, as the protocol says it.
    pub(super) fn log(&self) -> RoomHead<'_> {
        RoomHead { epoch: &self.epoch, first: self.first, head: self.head }
    }

    /// The next number for a client that has everything up to `last` of the log `epoch`, or `None` where that would
    /// leave a hole: another log, older than what is kept, or beyond the head.
    pub(super) fn next_after(&self, epoch: &str, last: u64) -> Option<u64> {
        let next = last.checked_add(1)?;
        let fits = self.first <= next && next <= self.head.saturating_add(1);
        (epoch == self.epoch && fits).then_some(next)
    }

    /// Whether nobody could come into it any more, or there is nothing to come for.
    pub(super) fn is_over(&self) -> bool {
        self.members.is_empty() && (self.first > self.head || self.access != Access::Open)
    }

    /// Whether its members are told of each other's marks and presence.
    pub(super) fn tells(&self) -> bool {
        self.members.len() <= MEMBERS_TOLD_MAX
    }

    /// The members after one, in the order of their numbers.
    pub(super) fn members_after(
        &self,
        after: u64,
    ) -> impl Iterator<Item = (PersonId, &Membership)> + '_ {
        let after = PersonId(u32::try_from(after).unwrap_or(u32::MAX));
        let range = (Bound::Excluded(after), Bound::Unbounded);
        self.members.range(range).map(|(person, membership)| (*person, membership))
    }

    /// Who becomes its owner, if nobody is: who may do the most, and of those the first that the relay knew. Who is
    /// about to leave does not, and would be brought back by it.
    pub(super) fn heir(&self) -> Option<PersonId> {
        let of = |(person, it): (&PersonId, &Membership)| (it.role, std::cmp::Reverse(*person));
        let stays = |(person, _): &(&PersonId, &Membership)| !self.leaving.contains(person);
        let (role, std::cmp::Reverse(heir)) = self.members.iter().filter(stays).map(of).max()?;
        (role != Role::Owner && self.access != Access::Direct).then_some(heir)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_resumes_only_where_nothing_would_be_missing() {
        let mut room = Room::<u8>::empty("r".into(), "k1".into(), Access::Open);
        assert_eq!(room.next_after("k1", 0), Some(1));
        assert_eq!(room.next_after("k1", 1), None);
        (room.first, room.head) = (51, 150);
        let table = [
            ("k1", 150, Some(151)),
            ("k1", 50, Some(51)),
            ("k1", 49, None),
            ("k1", 0, None),
            ("k1", 151, None),
            ("k1", u64::MAX, None),
            ("k2", 150, None),
            ("", 0, None),
        ];
        for (epoch, last, next) in table {
            assert_eq!(room.next_after(epoch, last), next, "{epoch} {last}");
        }
    }

    #[test]
    fn marks_only_grow_and_what_was_read_has_arrived() {
        let marks = Marks { recv: 5, read: 3 };
        assert_eq!(marks.merge(Marks { recv: 4, read: 2 }), marks);
        assert_eq!(marks.merge(Marks { recv: 0, read: 9 }), Marks { recv: 9, read: 9 });
    }

    #[test]
    fn a_room_without_an_owner_gets_the_eldest_of_those_who_may_do_the_most() {
        let mut room = Room::<u8>::empty("r".into(), "k1".into(), Access::Invite);
        assert_eq!(room.heir(), None);
        for (person, role) in [(1, Role::Reader), (3, Role::Member), (2, Role::Member)] {
            room.members.insert(PersonId(person), Membership::new(role, Marks::default()));
        }
        assert_eq!(room.heir(), Some(PersonId(2)));
        room.members.insert(PersonId(9), Membership::new(Role::Owner, Marks::default()));
        assert_eq!(room.heir(), None);
    }
}

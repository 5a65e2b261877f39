//! Connections by number.

use std::fmt;
use std::num::NonZeroU32;

/// Names a connection of a reactor.
///
/// It stays unique after the connection's end: an id that was kept for too long reaches nobody, never somebody else.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId {
    pub(super) index: u32,
    pub(super) generation: u32,
}

/// A token has room for both on 64 bits; on 32, fewer connections and generations are told apart.
const INDEX_BITS: u32 = if usize::BITS >= 64 { 32 } else { 20 };
/// One bit is left free, for tokens that are no connections.
const GENERATION_BITS: u32 = usize::BITS - 1 - INDEX_BITS;
const GENERATION_MAX: u32 = u32::MAX >> (u32::BITS - GENERATION_BITS);
/// The most entries of a slab.
const ENTRIES_MAX: usize = (1 << INDEX_BITS) - 1;

impl ConnectionId {
    pub(super) fn to_token(self) -> usize {
        (self.generation as usize) << INDEX_BITS | self.index as usize
    }

    pub(super) fn from_token(token: usize) -> Self {
        let index = (token & ENTRIES_MAX) as u32;
        Self { index, generation: (token >> INDEX_BITS) as u32 }
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.index, self.generation)
    }
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConnectionId({self})")
    }
}

/// Values by [`ConnectionId`]: insert, find and remove in constant time. A place that is used again has a new
/// generation, which the `slab` crate does not keep.
pub(super) struct Slab<T> {
    entries: Vec<Entry<T>>,
    /// The first of the free entries, each of which names the next.
    free: Option<Place>,
    taken: usize,
}

struct Entry<T> {
    generation: u32,
    next_free: Option<Place>,
    value: Option<T>,
}

/// An index, and 1: so that there is none in as many bytes as one.
#[derive(Clone, Copy)]
struct Place(NonZeroU32);

impl Place {
    fn new(index: u32) -> Option<Self> {
        index.checked_add(1).and_then(NonZeroU32::new).map(Self)
    }

    fn index(self) -> u32 {
        self.0.get() - 1
    }
}

impl<T> Slab<T> {
    pub(super) const fn new() -> Self {
        Self { entries: Vec::new(), free: None, taken: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.taken
    }

    /// Gives the value back where there is no room for it.
    pub(super) fn insert(&mut self, value: T) -> Result<ConnectionId, T> {
        let index = match self.free {
            Some(place) => place.index(),
            None if self.entries.len() >= ENTRIES_MAX => return Err(value),
            None => {
                self.entries.push(Entry { generation: 0, next_free: None, value: None });
                (self.entries.len() - 1) as u32
            }
        };
        let Some(entry) = self.entries.get_mut(index as usize) else { return Err(value) };
        self.free = entry.next_free.take();
        entry.value = Some(value);
        self.taken += 1;
        Ok(ConnectionId { index, generation: entry.generation })
    }

    pub(super) fn remove(&mut self, id: ConnectionId) -> Option<T> {
        let entry =
            self.entries.get_mut(id.index as usize).filter(|it| it.generation == id.generation)?;
        let value = entry.value.take()?;
        entry.generation =
            if entry.generation == GENERATION_MAX { 0 } else { entry.generation + 1 };
        entry.next_free = std::mem::replace(&mut self.free, Place::new(id.index));
        self.taken -= 1;
        Some(value)
    }

    #[inline]
    pub(super) fn get(&self, id: ConnectionId) -> Option<&T> {
        let entry = self.entries.get(id.index as usize)?;
        if entry.generation == id.generation { entry.value.as_ref() } else { None }
    }

    #[inline]
    pub(super) fn get_mut(&mut self, id: ConnectionId) -> Option<&mut T> {
        let entry = self.entries.get_mut(id.index as usize)?;
        if entry.generation == id.generation { entry.value.as_mut() } else { None }
    }

    /// The id of whoever is at an index now.
    pub(super) fn id_at(&self, index: u32) -> Option<ConnectionId> {
        let entry = self.entries.get(index as usize)?;
        entry.value.as_ref().map(|_| ConnectionId { index, generation: entry.generation })
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = ConnectionId> {
        (0..self.entries.len() as u32).filter_map(|index| self.id_at(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_a_removed_value_finds_nothing_although_its_place_is_used_again() {
        let mut slab = Slab::new();
        let first = slab.insert('a').unwrap();
        assert_eq!(slab.remove(first), Some('a'));
        let second = slab.insert('b').unwrap();
        assert_eq!((first.index, slab.len()), (second.index, 1));
        assert_eq!((slab.get(first), slab.get(second)), (None, Some(&'b')));
        assert_eq!((slab.remove(first), slab.id_at(second.index)), (None, Some(second)));
    }

    #[test]
    fn an_id_survives_the_way_through_a_token_whose_top_bit_is_free() {
        for id in [(0, 0), (7, 1), (ENTRIES_MAX as u32, GENERATION_MAX)] {
            let id = ConnectionId { index: id.0, generation: id.1 };
            assert_eq!(ConnectionId::from_token(id.to_token()), id);
            assert!(id.to_token() <= usize::MAX >> 1);
        }
    }

    #[test]
    fn places_are_used_again_before_new_ones_are_made() {
        let mut slab = Slab::new();
        let ids: Vec<_> = (0..4).map(|n| slab.insert(n).unwrap()).collect();
        for &id in &ids[1..3] {
            slab.remove(id);
        }
        let again: Vec<_> = (0..3).map(|n| slab.insert(n).unwrap().index).collect();
        assert_eq!(again, [2, 1, 4]);
        assert_eq!(slab.ids().count(), 5);
    }
}

//! What all connections together hold in buffers.

use super::slab::ConnectionId;

/// How many bytes each connection holds, and all of them: pieces of messages, and what waits for sockets that are full.
#[derive(Default)]
pub(super) struct Memory {
    /// By index of connection; most hold nothing.
    held: Vec<u32>,
    total: usize,
}

impl Memory {
    /// What all connections hold.
    pub(super) fn total(&self) -> usize {
        self.total
    }

    /// A connection holds so many bytes now.
    #[inline]
    pub(super) fn set(&mut self, id: ConnectionId, bytes: usize) {
        let before = self.held.get(id.index as usize).copied().unwrap_or_default();
        if before as usize != bytes {
            self.change(id, before, bytes);
        }
    }

    #[inline(never)]
    fn change(&mut self, id: ConnectionId, before: u32, bytes: usize) {
        let index = id.index as usize;
        if self.held.len() <= index {
            self.held.resize(index + 1, 0);
        }
        // More than 4 GiB of one connection count as that.
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        if let Some(held) = self.held.get_mut(index) {
            *held = bytes;
            self.total = self.total.saturating_sub(before as usize) + bytes as usize;
        }
    }

    /// The indices of the connections that hold the most, as many of them as have to go until the others hold no more
    /// than this.
    pub(super) fn largest(&self, others_bytes_max: usize) -> Vec<u32> {
        let mut holders: Vec<(u32, u32)> = (0..)
            .zip(&self.held)
            .filter(|(_, held)| **held > 0)
            .map(|(at, it)| (*it, at))
            .collect();
        holders.sort_unstable_by(|a, b| b.cmp(a));
        let mut left = self.total;
        let go = holders.into_iter().take_while(|(held, _)| {
            let goes = left > others_bytes_max;
            left = left.saturating_sub(*held as usize);
            goes
        });
        go.map(|(_, index)| index).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_hold_the_most_go_first_and_no_more_of_them_than_have_to() {
        let mut memory = Memory::default();
        for (index, bytes) in [(0, 10), (5, 300), (2, 200), (9, 40), (3, 0)] {
            memory.set(ConnectionId { index, generation: 0 }, bytes);
        }
        assert_eq!(memory.total(), 550);
        for (max, go) in
            [(550, &[][..]), (549, &[5]), (250, &[5]), (249, &[5, 2]), (0, &[5, 2, 9, 0])]
        {
            assert_eq!(memory.largest(max), go, "{max}");
        }
        memory.set(ConnectionId { index: 5, generation: 1 }, 0);
        assert_eq!((memory.total(), memory.largest(200)), (250, vec![2]));
    }
}

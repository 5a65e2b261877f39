//! An end of a connection in the hands of a test.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

use super::Sim;
use super::pipe::Pipe;

/// The other end of a connection, in the hands of a test.
pub struct Peer {
    pub(super) number: usize,
    pub(super) side: usize,
    pub(super) sim: Rc<RefCell<Sim>>,
}

impl Peer {
    fn with<R>(&self, f: impl FnOnce(&mut Pipe, usize) -> R) -> R {
        let mut sim = self.sim.borrow_mut();
        f(sim.pipes.get_mut(&self.number).expect("a connection"), self.side)
    }

    /// Which connection of the net this is.
    pub fn number(&self) -> usize {
        self.number
    }

    /// Writes, whatever room there is.
    pub fn write(&self, bytes: &[u8]) {
        self.with(|pipe, side| pipe.push(side, bytes.iter()));
    }

    /// Writes as much as there is room for, and says how much that was.
    pub fn write_some(&self, bytes: &[u8]) -> usize {
        let capacity = self.sim.borrow().capacity;
        self.with(|pipe, side| {
            let room = capacity.saturating_sub(pipe.ends[1 - side].inbox.len());
            let taken = room.min(bytes.len());
            if taken > 0 {
                pipe.push(side, bytes[..taken].iter());
            }
            taken
        })
    }

    /// Whether some of what is written would be taken.
    pub fn has_room(&self) -> bool {
        let capacity = self.sim.borrow().capacity;
        self.with(|pipe, side| {
            let other = &pipe.ends[1 - side];
            !pipe.reset && !other.dropped && other.inbox.len() < capacity
        })
    }

    /// All that the reactor has written since the last read.
    pub fn read(&self) -> Vec<u8> {
        self.read_up_to(usize::MAX)
    }

    /// The same, up to so many bytes.
    pub fn read_up_to(&self, bytes: usize) -> Vec<u8> {
        let (now, full_until) = (self.sim.borrow().now, self.sim.borrow().full_until);
        self.with(|pipe, side| pipe.pull(side, bytes, now, full_until))
    }

    /// How many bytes wait to be read.
    pub fn pending(&self) -> usize {
        self.with(|pipe, side| pipe.ends[side].inbox.len())
    }

    /// How many bytes of ours the reactor has not read.
    pub fn unread(&self) -> usize {
        self.with(|pipe, side| pipe.ends[1 - side].inbox.len())
    }

    /// Looks at what waits to be read.
    pub fn with_output<R>(&self, look: impl FnOnce(&[u8]) -> R) -> R {
        self.with(|pipe, side| look(pipe.ends[side].inbox.make_contiguous()))
    }

    /// Ends our direction.
    pub fn end(&self) {
        self.with(Pipe::end);
    }

    /// Breaks the connection.
    pub fn reset(&self) {
        self.with(|pipe, _| pipe.break_off());
    }

    /// Whether the reactor has ended its direction, and all was read.
    pub fn is_ended(&self) -> bool {
        self.with(|pipe, side| pipe.ends[1 - side].ended && pipe.ends[side].inbox.is_empty())
    }

    /// Whether the connection is broken.
    pub fn is_reset(&self) -> bool {
        self.with(|pipe, _| pipe.reset)
    }

    /// Whether the reactor has let go of the socket.
    pub fn is_dropped(&self) -> bool {
        self.with(|pipe, side| pipe.ends[1 - side].dropped)
    }

    /// When the reactor has last read something of us.
    pub fn read_at(&self) -> Instant {
        self.with(|pipe, side| pipe.ends[1 - side].read_at)
    }

    /// When the reactor took the connection.
    pub fn taken_at(&self) -> Option<Instant> {
        self.with(|pipe, side| {
            let other = &pipe.ends[1 - side];
            other.owner.map(|_| other.since)
        })
    }
}

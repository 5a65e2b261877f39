//! A connection in memory: two ends, each with a buffer of what has come to it.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Instant;

/// The end that has connected.
pub(super) const DIALER: usize = 0;
/// The end that is accepted.
pub(super) const ACCEPTED: usize = 1;

pub(super) struct Pipe {
    pub(super) ends: [End; 2],
    pub(super) connected: bool,
    /// Where it comes from, if that was said.
    pub(super) from: Option<SocketAddr>,
    /// The stream is broken.
    pub(super) reset: bool,
}

/// One end. Readiness is edge-triggered to the letter.
pub(super) struct End {
    /// The reactor whose end this is, or a test's.
    pub(super) owner: Option<usize>,
    pub(super) token: Option<usize>,
    /// What has come and was not read.
    pub(super) inbox: VecDeque<u8>,
    /// This end has ended its direction.
    pub(super) ended: bool,
    /// This end is let go of.
    pub(super) dropped: bool,
    pub(super) readable_edge: bool,
    pub(super) writable_edge: bool,
    /// Room is told of: it was asked for.
    pub(super) tells_room: bool,
    /// It was asked for in vain.
    pub(super) unregistered: bool,
    /// A write came to less than was offered, so that room is an edge.
    pub(super) full: bool,
    /// The last write came to less than was offered.
    pub(super) was_short: bool,
    /// It was full before.
    pub(super) was_full: bool,
    /// When this end last read something.
    pub(super) read_at: Instant,
    /// When it was last told that it may write, or found that it may.
    pub(super) writable_at: Instant,
    /// When this end was taken or made by its reactor.
    pub(super) since: Instant,
}

impl End {
    fn new(now: Instant) -> Self {
        Self {
            owner: None,
            token: None,
            inbox: VecDeque::new(),
            ended: false,
            dropped: false,
            readable_edge: false,
            writable_edge: false,
            tells_room: false,
            unregistered: false,
            full: false,
            was_short: false,
            was_full: false,
            read_at: now,
            writable_at: now,
            since: now,
        }
    }
}

impl End {
    /// Whether something has changed that is to be told.
    pub(super) fn has_changed(&self) -> bool {
        self.readable_edge || (self.tells_room && self.writable_edge)
    }
}

impl Pipe {
    pub(super) fn new(connected: bool, now: Instant) -> Self {
        Self { ends: [End::new(now), End::new(now)], connected, from: None, reset: false }
    }

    /// Appends bytes to what the other end may read.
    pub(super) fn push<'b>(&mut self, side: usize, bytes: impl Iterator<Item = &'b u8>) {
        let other = &mut self.ends[1 - side];
        if !other.dropped {
            other.inbox.extend(bytes);
            other.readable_edge = true;
        }
    }

    /// Takes bytes that have come. Where that leaves no more than `full_until`, the other end is told of the room that it
    /// has waited for.
    pub(super) fn pull(
        &mut self,
        side: usize,
        bytes: usize,
        now: Instant,
        full_until: usize,
    ) -> Vec<u8> {
        let [end, other] = self.both(side);
        let taken: Vec<u8> = end.inbox.drain(..bytes.min(end.inbox.len())).collect();
        if !taken.is_empty() {
            end.read_at = now;
            if other.full && end.inbox.len() <= full_until {
                (other.full, other.writable_edge) = (false, true);
            }
        }
        taken
    }

    /// Ends the direction of one end.
    pub(super) fn end(&mut self, side: usize) {
        let [end, other] = self.both(side);
        end.ended = true;
        other.readable_edge = true;
    }

    /// Lets go of one end. What it has not read makes it a reset, as of a socket.
    pub(super) fn let_go(&mut self, side: usize) {
        let [end, other] = self.both(side);
        (end.dropped, end.ended, end.token) = (true, true, None);
        other.readable_edge = true;
        if !std::mem::take(&mut end.inbox).is_empty() {
            self.break_off();
        }
    }

    pub(super) fn break_off(&mut self) {
        self.reset = true;
        for end in &mut self.ends {
            (end.readable_edge, end.writable_edge) = (true, true);
        }
    }

    /// Whether the stream of one end can be written.
    pub(super) fn may_write(&self, side: usize) -> io::Result<()> {
        match (self.reset || self.ends[side].ended, self.connected) {
            (true, _) => Err(ErrorKind::BrokenPipe.into()),
            (false, false) => Err(ErrorKind::WouldBlock.into()),
            (false, true) => Ok(()),
        }
    }

    pub(super) fn both(&mut self, side: usize) -> [&mut End; 2] {
        let [dialer, accepted] = &mut self.ends;
        if side == DIALER { [dialer, accepted] } else { [accepted, dialer] }
    }
}

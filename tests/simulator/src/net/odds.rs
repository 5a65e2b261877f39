//! How likely each fault is, and what can be broken on purpose.

use super::random::Random;

/// How often, in a thousand, a fault happens where it can.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Odds {
    /// A call is interrupted.
    pub interrupted: u16,
    /// A read brings less than there is; the rest is as if it came just then.
    pub short_read: u16,
    /// A read finds nothing; what there is, is as if it came just then.
    pub no_read: u16,
    /// A write comes to less than there is room for.
    pub short_write: u16,
    /// A write finds no room; there is some just then.
    pub no_write: u16,
    /// An event of a poll without a change behind it.
    pub spurious: u16,
    /// An event tells all that is so, beside what has changed.
    pub whole: u16,
    /// An event waits for the next poll.
    pub held: u16,
    /// An event for a token that is gone.
    pub stale: u16,
    /// The events of a poll come in another order.
    pub permuted: u16,
    /// Accepting fails: EMFILE, ENFILE, ENOMEM, or ECONNABORTED, where the connection is gone.
    pub accept: u16,
    /// Registering fails, or asking to be told of room.
    pub register: u16,
    /// Connecting fails at once.
    pub connect: u16,
    /// Connecting takes its time, or comes to nothing later.
    pub late: u16,
    /// A stream breaks, at each read and each write of it.
    pub reset: u16,
}

impl Odds {
    /// No faults.
    pub const CALM: Self = Self {
        interrupted: 0,
        short_read: 0,
        no_read: 0,
        short_write: 0,
        no_write: 0,
        spurious: 0,
        whole: 0,
        held: 0,
        stale: 0,
        permuted: 0,
        accept: 0,
        register: 0,
        connect: 0,
        late: 0,
        reset: 0,
    };

    /// Faults that every loop has to bear, of which none ends a connection.
    pub const ROUGH: Self =
        Self { interrupted: 125, short_write: 1000, spurious: 250, permuted: 1000, ..Self::CALM };

    /// [`ROUGH`](Self::ROUGH), or [`CALM`](Self::CALM).
    pub const fn rough(rough: bool) -> Self {
        if rough { Self::ROUGH } else { Self::CALM }
    }

    /// Odds of one run: each fault is left out, rare, or frequent.
    pub fn drawn(random: &mut Random) -> Self {
        if random.draw(8) == 0 {
            return Self::CALM;
        }
        let mut odds = |often: usize| match random.draw(4) {
            0 => 0,
            1 => often as u16,
            _ => random.draw(1 + often / 5) as u16,
        };
        Self {
            interrupted: odds(400),
            short_read: odds(900),
            no_read: odds(300),
            short_write: odds(900),
            no_write: odds(300),
            spurious: odds(400),
            whole: odds(1000),
            held: odds(500),
            stale: odds(300),
            permuted: odds(1000),
            accept: odds(500),
            register: odds(150),
            connect: odds(150),
            late: odds(500),
            reset: odds(10),
        }
    }
}

/// What can go wrong on purpose, so that the checks can be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// A socket has room again, and nobody is told.
    WritableEdge,
    /// Bytes come, and nobody is told.
    ReadableEdge,
    /// A byte is lost.
    ByteLost,
    /// Two bytes change places.
    BytesSwapped,
    /// A byte comes twice.
    ByteTwice,
    /// Polls sleep longer than they were asked to.
    Oversleeps,
    /// A clock that runs a fifth too fast: deadlines come early.
    Early,
    /// A stream that was let go is kept.
    StreamKept,
    /// The handler is told of a message twice.
    MessageTwice,
    /// The handler is asked for the same answer twice.
    RequestTwice,
    /// The body of a request lacks its last byte.
    BodyCut,
    /// The handler of a stream is not told of room.
    RoomMissed,
    /// A connection that is to be paused is not.
    PauseMissed,
    /// One that is to be resumed is not.
    ResumeMissed,
    /// The handler is told of an end twice.
    CloseTwice,
    /// The handler is not told of an end.
    CloseMissed,
    /// A peer is not told of the answer to its ping.
    PongMissed,
}

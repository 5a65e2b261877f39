//! What an endpoint offers, or accepts.

/// How an endpoint compresses: what a server accepts, or a client offers, and how it then sends. Begin with
/// [`default`](Self::default) and set what is to be other; the [module](super) tells what becomes of each setting.
///
/// ```
/// use tautline::Deflate;
/// use tautline::deflate::{Level, WindowBits};
///
/// let mut deflate = Deflate::default();
/// deflate.level = Level::new(6).expect("1 to 9");
/// deflate.sending.context_takeover = true;
/// deflate.receiving.context_takeover = true;
/// deflate.receiving.max_window_bits = WindowBits::new(12).expect("9 to 15");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Deflate {
    /// How hard the compressor tries. Default 1, which takes a quarter of the time of 6 for a result that is a third
    /// longer.
    pub level: Level,
    /// Messages shorter than this are sent as they are, unless the application asks for
    /// [compression](crate::Message::compressed). Default 64 bytes: below it, there is nothing to gain.
    pub compress_from_bytes: u16,
    /// The direction in which this endpoint sends.
    pub sending: Direction,
    /// The direction in which this endpoint receives.
    pub receiving: Direction,
}

/// What is asked for in one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Direction {
    /// Whether a message may refer to the text of those before it. Default: no, so that nothing is kept between them.
    pub context_takeover: bool,
    /// How far back it may refer to earlier messages at most. Default 15.
    pub max_window_bits: WindowBits,
}

/// How hard a compressor tries: 1, the fastest, to 9, the smallest result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Level(u8);

/// The base-2 logarithm of a window: 9, which is 512 bytes, to 15, which is 32 KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WindowBits(u8);

impl Default for Deflate {
    fn default() -> Self {
        let direction = Direction { context_takeover: false, max_window_bits: WindowBits::MAX };
        Self {
            level: Level::FASTEST,
            compress_from_bytes: 64,
            sending: direction,
            receiving: direction,
        }
    }
}

impl Level {
    /// The fastest, 1.
    pub const FASTEST: Self = Self(1);

    /// A level; `None` where it is not 1 to 9.
    pub const fn new(level: u8) -> Option<Self> {
        if matches!(level, 1..=9) { Some(Self(level)) } else { None }
    }

    /// 1 to 9.
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl WindowBits {
    /// The smallest window, of 512 bytes.
    pub const MIN: Self = Self(9);
    /// The largest window, of 32 KiB.
    pub const MAX: Self = Self(15);

    /// Window bits; `None` where they are not 9 to 15.
    //= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.1
    //# An endpoint MUST NOT use an LZ77 sliding window longer than 32,768
    //# bytes to compress messages to send.
    pub const fn new(bits: u8) -> Option<Self> {
        if matches!(bits, 9..=15) { Some(Self(bits)) } else { None }
    }

    /// 9 to 15.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// The length of the window.
    pub(crate) const fn bytes(self) -> usize {
        1 << self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_window_bits_are_what_they_were_made_of_within_their_limits() {
        let levels: Vec<_> = (0..=u8::MAX).filter_map(Level::new).map(Level::get).collect();
        let bits: Vec<_> = (0..=u8::MAX).filter_map(WindowBits::new).map(WindowBits::get).collect();
        assert_eq!(levels, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(bits, [9, 10, 11, 12, 13, 14, 15]);
    }
}

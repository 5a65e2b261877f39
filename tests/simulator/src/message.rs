//! Messages that say who they are from, so that whoever gets one can tell that it is the right one.

use std::fmt;

/// What a message is: it is filled from this, and known again by it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Who made it: an end of a connection, or a topic.
    pub(crate) from: u64,
    /// Which of its messages it is.
    pub(crate) number: u64,
    /// How long it is.
    pub(crate) bytes: usize,
    /// Whether it is text.
    pub(crate) text: bool,
}

impl Stamp {
    /// The message, in ASCII: half noise, half repetition, so that compression has something to do.
    pub(crate) fn fill(&self) -> String {
        let mut word = self.from.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (self.number << 32);
        word ^= self.bytes as u64;
        let mut filled = String::with_capacity(self.bytes + 64);
        while filled.len() < self.bytes {
            word = (word ^ (word >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let digits = format!("{:016x}", word ^ (word >> 32));
            filled.push_str(&digits);
            filled.push_str(&digits);
        }
        filled.truncate(self.bytes);
        filled
    }
}

impl fmt::Debug for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, number, bytes, text } = self;
        let kind = if *text { "text" } else { "binary" };
        write!(f, "number {number} of {from} ({bytes} bytes, {kind})")
    }
}

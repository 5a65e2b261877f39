//! The one source of chance: a xorshift generator. The same seed, the same run.

/// Draws numbers.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A generator of its own for this seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// Another generator, that takes nothing from this one.
    pub const fn apart(&self) -> Self {
        Self::new(self.0)
    }

    /// Any number.
    pub const fn number(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number from 0 to `below`, exclusive.
    pub const fn draw(&mut self, below: usize) -> usize {
        let below = if below == 0 { 1 } else { below };
        (self.number() >> 11) as usize % below
    }

    /// Whether something happens that happens so many times in a thousand.
    pub const fn happens(&mut self, per_mille: u16) -> bool {
        per_mille > 0 && self.draw(1000) < per_mille as usize
    }

    /// One of several.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.draw(of.len())]
    }
}

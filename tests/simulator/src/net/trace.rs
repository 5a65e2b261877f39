//! What happened, as a number that tells two runs apart, and the last lines of it for people.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

/// A run's calls and events, with their times.
#[derive(Debug, Default)]
pub struct Trace {
    hash: u64,
    lines: VecDeque<Line>,
    /// How many lines are kept.
    pub lines_max: usize,
}

/// One thing that happened.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    at: Duration,
    /// The loop; `None` is a peer that is no engine.
    who: Option<usize>,
    what: &'static str,
    numbers: [u64; 3],
}

impl Trace {
    /// Notes what happened.
    pub fn note(
        &mut self,
        at: Duration,
        who: Option<usize>,
        what: &'static str,
        numbers: [u64; 3],
    ) {
        let number = who.map_or(u64::MAX, |it| it as u64);
        let words = [at.as_nanos() as u64, number].into_iter().chain(numbers);
        for word in words.chain(what.bytes().map(u64::from)) {
            self.hash = (self.hash ^ word).wrapping_mul(0x0000_0100_0000_01B3).rotate_left(23);
        }
        if self.lines_max == 0 {
            return;
        }
        if self.lines.len() == self.lines_max {
            self.lines.pop_front();
        }
        self.lines.push_back(Line { at, who, what, numbers });
    }

    /// A number that two runs share if, as good as surely, the same happened in them.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// The last lines.
    pub fn lines(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter()
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, who, what, numbers: [a, b, c] } = self;
        write!(f, "{:>14.6} ", at.as_secs_f64())?;
        match who {
            Some(number) => write!(f, "loop {number}")?,
            None => write!(f, "a peer")?,
        }
        write!(f, " {what} {a} {b} {c}")
    }
}

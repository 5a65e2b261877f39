//! The end of the plain text in one direction, which the next compressed message may refer to.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

/// Nothing is kept without context takeover, and nothing before the first compressed message.
#[derive(Debug, Default)]
pub(crate) struct History(Option<Box<Kept>>);

#[derive(Debug)]
struct Kept {
    text: VecDeque<u8>,
    state: State,
}

/// A name for the state of one history: no other one in this process, earlier or later, has the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State(u64);

impl State {
    fn fresh() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

impl History {
    /// The text, in two pieces: a ring, so that nothing is moved when something is added.
    pub(super) fn text(&self) -> [&[u8]; 2] {
        self.0.as_ref().map_or([&[]; 2], |kept| kept.text.as_slices().into())
    }

    /// `None` where there is no text.
    pub(super) fn state(&self) -> Option<State> {
        self.0.as_ref().map(|kept| kept.state)
    }

    /// Adds to the text, and forgets what is further back than `bytes_max`.
    pub(super) fn push(&mut self, text: &[u8], bytes_max: usize) {
        let state = State::fresh();
        let kept = self.0.get_or_insert_with(|| Box::new(Kept { text: VecDeque::new(), state }));
        kept.state = state;
        let text = text.get(text.len().saturating_sub(bytes_max)..).unwrap_or_default();
        let surplus = (kept.text.len() + text.len()).saturating_sub(bytes_max);
        kept.text.drain(..surplus);
        kept.text.reserve_exact(text.len());
        kept.text.extend(text);
    }

    pub(super) fn forget(&mut self) {
        self.0 = None;
    }
}

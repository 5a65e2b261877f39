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
    tries: Tries,
}

/// How often a message that does not get shorter is compressed all the same, so that the next one can refer to it: at
/// first at once, then, as long as that is of no use, less and less often.
#[derive(Debug, Default)]
struct Tries {
    /// Messages between the last try and the next.
    gap: u8,
    /// Those that are left of them.
    left: u8,
}

const GAP_MAX: u8 = 64;

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

    /// How many bytes are kept.
    #[cfg(feature = "reactor")]
    #[inline]
    pub(crate) fn bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |kept| kept.text.len())
    }

    /// `None` where there is no text.
    pub(super) fn state(&self) -> Option<State> {
        self.0.as_ref().map(|kept| kept.state)
    }

    /// Whether the next message is to be added although it does not get shorter.
    pub(super) fn wants_try(&mut self) -> bool {
        let Some(kept) = &mut self.0 else { return true };
        let wanted = kept.tries.left == 0;
        kept.tries.left = kept.tries.left.saturating_sub(1);
        wanted
    }

    /// Tells whether the message that was added last got shorter.
    pub(super) fn tried(&mut self, shorter: bool) {
        if let Some(kept) = &mut self.0 {
            let gap = if shorter { 0 } else { kept.tries.gap.saturating_mul(2).clamp(1, GAP_MAX) };
            kept.tries = Tries { gap, left: gap };
        }
    }

    /// Adds to the text, and forgets what is further back than `bytes_max`.
    pub(super) fn push(&mut self, text: &[u8], bytes_max: usize) {
        let state = State::fresh();
        let kept = self.0.get_or_insert_with(|| {
            Box::new(Kept { text: VecDeque::new(), state, tries: Tries::default() })
        });
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

//! Inflating the messages of a peer, step by step (RFC 7692 section 7.2.2).

use std::cell::RefCell;

use flate2::{Decompress, FlushDecompress, Status};

use super::TAIL;
use super::agree::Receiving;
use super::config::WindowBits;
use super::history::History;
use crate::error::Violation;

/// A decompressor, lent to one message. It goes back to its thread when it is dropped.
pub(crate) struct Inflater {
    parts: Option<Box<Parts>>,
}

struct Parts {
    codec: Decompress,
    context_takeover: bool,
    /// Text of the message that its rest may refer to, and behind it what the last step produced.
    text: Vec<u8>,
    /// The stream was ended by a final block, and nothing came after it.
    ended: bool,
    final_blocks: u64,
    /// Compressed bytes so far.
    taken: u64,
    /// What is wrong behind the text that the last step gave.
    failed: Option<Violation>,
}

/// The text of one step is up to this long, or twice that.
const STEP_BYTES: usize = 32 * 1024;
/// The most that a message can refer to.
const HISTORY_BYTES: usize = WindowBits::MAX.bytes();
/// Room for what a codec may hold back: a few matches of at most 258 bytes.
const MATCH_BYTES: usize = 1024;
/// Final blocks that a message may have for nothing. Each starts a stream of its own behind it, which is told of up to
/// 32 KiB of text.
const FINAL_BLOCKS_FREE: u64 = 4;
/// Compressed bytes for each further one.
const FINAL_BLOCK_BYTES: u64 = 256;
/// Idle decompressors that a thread keeps, of some 110 KiB each: a message that lies whole in one read needs one.
const KEPT_MAX: usize = 4;

/// An empty final block without compression: a stream that stands between two blocks ends with it.
const END: [u8; 5] = [0x01, 0x00, 0x00, 0xff, 0xff];

thread_local! {
    #[expect(clippy::vec_box, reason = "what is lent is moved often, and is large")]
    static IDLE: RefCell<Vec<Box<Parts>>> = const { RefCell::new(Vec::new()) };
}

impl Inflater {
    /// How many bytes one holds: the codec with its window, and text of a step and before it.
    #[cfg(feature = "reactor")]
    pub(crate) const HELD_BYTES: usize = 112 * 1024;

    /// A decompressor for a message that may refer to the text before it.
    pub(crate) fn begin(receiving: Receiving, history: &History) -> Result<Self, Violation> {
        let idle = IDLE.try_with(|idle| idle.borrow_mut().pop()).ok().flatten();
        let mut parts = idle.unwrap_or_else(|| Box::new(Parts::new()));
        parts.context_takeover = receiving.context_takeover;
        parts.text.clear();
        parts.final_blocks = 0;
        parts.taken = 0;
        parts.failed = None;
        parts.start(history)?;
        Ok(Self { parts: Some(parts) })
    }

    /// Inflates a part of `input`, up to a step's worth of text: how many bytes were taken, and their text. Where all
    /// were taken, no text is outstanding.
    ///
    /// # Errors
    ///
    /// Once all text before the mistake was given.
    pub(crate) fn step(
        &mut self,
        input: &[u8],
        history: &History,
    ) -> Result<(usize, &[u8]), Violation> {
        let parts = self.parts.as_mut().ok_or(Violation::NotInflatable)?;
        if let Some(violation) = parts.failed {
            return Err(violation);
        }
        parts.make_room();
        let start = parts.text.len();
        let (taken, result) = parts.inflate_all(input, history);
        let text = parts.text.get(start..).unwrap_or_default();
        match result {
            Err(violation) if text.is_empty() => Err(violation),
            result => {
                parts.failed = result.err();
                Ok((taken, text))
            }
        }
    }

    /// The message ends here. What the next one may refer to is kept.
    //= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.2
    //# Append 4 octets of 0x00 0x00 0xff 0xff to the tail end of the
    //# payload of the message.
    pub(crate) fn finish(
        &mut self,
        receiving: Receiving,
        history: &mut History,
    ) -> Result<(), Violation> {
        let parts = self.parts.as_mut().ok_or(Violation::NotInflatable)?;
        parts.end(history)?;
        if receiving.context_takeover {
            history.push(&parts.text, receiving.window_bits.bytes());
        }
        Ok(())
    }
}

impl Parts {
    fn new() -> Self {
        Self {
            // It understands every smaller window too.
            codec: Decompress::new(false),
            context_takeover: false,
            text: Vec::with_capacity(HISTORY_BYTES + STEP_BYTES),
            ended: false,
            final_blocks: 0,
            taken: 0,
            failed: None,
        }
    }

    /// Ends the stream, which has to stand between two blocks.
    fn end(&mut self, history: &History) -> Result<(), Violation> {
        // It ended by itself, and the empty block that should be behind it is missing.
        if self.ended {
            return Ok(());
        }
        let length = self.text.len();
        for mut rest in [&TAIL[..], &END[..]] {
            while !rest.is_empty() {
                self.text.reserve(1);
                let taken = self.inflate(rest, history)?;
                // A block that these bytes have gone on with was cut short.
                if self.text.len() != length {
                    return Err(Violation::NotInflatable);
                }
                rest = rest.get(taken..).unwrap_or_default();
            }
        }
        if self.ended { Ok(()) } else { Err(Violation::NotInflatable) }
    }

    /// Hands bytes to the codec until they are used up, there is no more room, or one is wrong, which then counts as
    /// not taken.
    fn inflate_all(&mut self, input: &[u8], history: &History) -> (usize, Result<(), Violation>) {
        let mut taken = 0;
        while let Some(rest) = input.get(taken..).filter(|rest| !rest.is_empty()) {
            if self.text.len() == self.text.capacity() {
                return (taken, Ok(()));
            }
            match self.inflate(rest, history) {
                Ok(count) => taken += count,
                Err(violation) => return (taken, Err(violation)),
            }
        }
        // What the last bytes stand for may not have had room.
        while self.text.len() == self.text.capacity() && !self.ended {
            self.text.reserve_exact(MATCH_BYTES);
            if let Err(violation) = self.inflate(&[], history) {
                return (taken.saturating_sub(1), Err(violation));
            }
        }
        (taken, Ok(()))
    }

    /// Hands bytes to the codec, as many as it takes and has room for.
    fn inflate(&mut self, input: &[u8], history: &History) -> Result<usize, Violation> {
        if self.ended && !input.is_empty() {
            self.restart(history)?;
        }
        let (taken, written) = (self.codec.total_in(), self.text.len());
        let status = self.codec.decompress_vec(input, &mut self.text, FlushDecompress::Sync);
        let taken = (self.codec.total_in() - taken) as usize;
        self.taken += taken as u64;
        self.ended = status.map_err(|_| Violation::NotInflatable)? == Status::StreamEnd;
        let stuck = taken == 0 && self.text.len() == written && !self.ended;
        if stuck && !input.is_empty() && written < self.text.capacity() {
            return Err(Violation::NotInflatable);
        }
        Ok(taken)
    }

    //= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.1
    //# The next DEFLATE block follows
    //# the padded data if any.
    fn restart(&mut self, history: &History) -> Result<(), Violation> {
        self.final_blocks += 1;
        if self.final_blocks > FINAL_BLOCKS_FREE + self.taken / FINAL_BLOCK_BYTES {
            return Err(Violation::TooManyFinalBlocks);
        }
        self.start(history)
    }

    /// Starts a stream that may refer to the text before it.
    fn start(&mut self, history: &History) -> Result<(), Violation> {
        self.ended = false;
        self.codec.reset(false);
        //= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.2
        //# Otherwise, the client MUST decompress
        //# each new message using the LZ77 sliding window used to process the
        //# last compressed message.
        //= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.2
        //# Otherwise, the server MUST decompress
        //# each new message using the LZ77 sliding window used to process the
        //# last compressed message.
        let [a, b] = if self.context_takeover { history.text() } else { [&[][..]; 2] };
        // What is further back than the window costs time for nothing.
        let own = last(&self.text, HISTORY_BYTES);
        let b = last(b, HISTORY_BYTES - own.len());
        let a = last(a, HISTORY_BYTES - own.len() - b.len());
        for text in [a, b, own].into_iter().filter(|it| !it.is_empty()) {
            self.codec.set_dictionary(text).map_err(|_| Violation::NotInflatable)?;
        }
        Ok(())
    }

    /// Forgets what no message can refer to any more.
    fn make_room(&mut self) {
        if self.text.capacity() - self.text.len() < STEP_BYTES / 2 {
            let surplus = self.text.len().saturating_sub(HISTORY_BYTES);
            self.text.drain(..surplus);
            // It may have become longer for what the last bytes of a run stood for.
            self.text.shrink_to(HISTORY_BYTES + STEP_BYTES);
            self.text.reserve_exact(STEP_BYTES);
        }
    }
}

/// The end of a text.
fn last(text: &[u8], bytes_max: usize) -> &[u8] {
    text.get(text.len().saturating_sub(bytes_max)..).unwrap_or_default()
}

impl Drop for Inflater {
    fn drop(&mut self) {
        let Some(mut parts) = self.parts.take() else { return };
        parts.text.clear();
        parts.text.shrink_to(HISTORY_BYTES + STEP_BYTES);
        // A thread that ends has nothing left to keep it in.
        let _ = IDLE.try_with(|idle| {
            let mut idle = idle.borrow_mut();
            if idle.len() < KEPT_MAX {
                idle.push(parts);
            }
        });
    }
}

impl std::fmt::Debug for Inflater {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Inflater")
    }
}

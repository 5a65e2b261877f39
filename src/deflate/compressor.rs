//! Compressing messages (RFC 7692 section 7.2.1).

use std::cell::RefCell;

use flate2::{Compress, Compression, FlushCompress};

use super::TAIL;
use super::agree::Sending;
use super::config::{Level, WindowBits};
use super::history::{History, State};

/// Bytes of earlier text that a connection keeps for what it sends, under context takeover. A compressor that it has not
/// used last has to index them anew: with 32 KiB that takes ten times as long as to compress 1 KiB.
pub const HISTORY_BYTES_MAX: usize = 4 * 1024;

/// A compressor, lent to one message. It goes back to its thread when it is dropped.
pub(crate) struct Compressor {
    parts: Option<Box<Parts>>,
}

struct Parts {
    level: Level,
    window_bits: WindowBits,
    codec: Compress,
    /// The history that the codec has inside it, in its present state: it can go on where it stopped.
    holds: Option<State>,
    /// What the last call produced.
    output: Vec<u8>,
}

/// Idle compressors that a thread keeps, of some 300 KiB each. Without context takeover it needs one for each setting in
/// use; with it, each connection that has sent lately goes on with its own.
const KEPT_MAX: usize = 32;
/// The longest output buffer that is kept.
const KEPT_BYTES_MAX: usize = 64 * 1024;
/// The output grows by this much.
const STEP_BYTES: usize = 16 * 1024;

/// Those that were used least lately come first.
type Idle = Vec<Box<Parts>>;

thread_local! {
    static IDLE: RefCell<Idle> = const { RefCell::new(Vec::new()) };
}

impl Sending {
    /// Whether a message of this length may gain something.
    pub(crate) fn is_worthwhile(&self, bytes: usize) -> bool {
        bytes >= usize::from(self.compress_from_bytes)
    }

    /// The same without context takeover: messages compressed so are understood by every peer with this window.
    pub(crate) fn without_history(self) -> Self {
        Self { context_takeover: false, ..self }
    }

    /// A compressed message was sent, with this text.
    pub(crate) fn remember(&self, history: &mut History, text: &[u8]) {
        if self.context_takeover {
            history.push(text, self.window_bits.bytes().min(HISTORY_BYTES_MAX));
        }
    }

    /// Compressed messages were sent, with text that is not known here.
    pub(crate) fn forget(&self, history: &mut History) {
        history.forget();
    }
}

impl Compressor {
    /// A compressor for a message that may refer to the text before it.
    pub(crate) fn begin(sending: &Sending, history: &History) -> Self {
        let history = if sending.context_takeover { history } else { &History::default() };
        let idle = IDLE.try_with(|idle| take(&mut idle.borrow_mut(), sending, history.state()));
        let mut parts = idle.ok().flatten().unwrap_or_else(|| Box::new(Parts::new(sending)));
        let holds = parts.holds.take();
        if holds.is_none() || holds != history.state() {
            parts.codec.reset();
            // It is refused for a codec in use only. One that refuses it compresses without.
            if !history.text().is_empty() && parts.codec.set_dictionary(history.text()).is_err() {
                parts.codec.reset();
            }
        }
        Self { parts: Some(parts) }
    }

    /// The message is sent, and this is what the next one may refer to: the compressor can go on with it.
    pub(crate) fn end(mut self, history: &History) {
        if let Some(parts) = &mut self.parts {
            parts.holds = history.state();
        }
    }

    /// Compresses a part of a message, up to the byte boundary after it; `None` where the result would be longer than
    /// `bytes_max`. The compressor is then of no more use.
    pub(crate) fn compress(&mut self, text: &[u8], last: bool, bytes_max: usize) -> Option<&[u8]> {
        let Parts { codec, output, .. } = &mut **self.parts.as_mut()?;
        output.clear();
        if text.is_empty() {
            // A codec that has flushed already would not do it again.
            //= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.3.6
            //# an empty uncompressed DEFLATE block
            //# can be built and used for this purpose as follows:
            output.push(0x00);
            output.extend_from_slice(&TAIL);
        } else {
            flush(codec, text, output, bytes_max.saturating_add(TAIL.len()))?;
        }
        if last {
            //= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.1
            //# Remove 4 octets (that are 0x00 0x00 0xff 0xff) from the tail end.
            let length = output.strip_suffix(&TAIL)?.len();
            output.truncate(length);
        }
        (output.len() <= bytes_max).then_some(output)
    }
}

/// Takes an idle compressor: the one that holds this history; or one that holds none; or, where there are many, the one
/// that was used least lately.
fn take(idle: &mut Idle, sending: &Sending, history: Option<State>) -> Option<Box<Parts>> {
    let find = |holds| idle.iter().position(|it| it.is_for(sending) && it.holds == holds);
    let oldest =
        || idle.iter().position(|it| it.is_for(sending)).filter(|_| idle.len() >= KEPT_MAX);
    let at = find(history).or_else(|| find(None)).or_else(oldest)?;
    Some(idle.remove(at))
}

/// Compresses `text` and ends at a byte boundary, unless that takes more than `bytes_max`.
fn flush(
    codec: &mut Compress,
    mut text: &[u8],
    output: &mut Vec<u8>,
    bytes_max: usize,
) -> Option<()> {
    loop {
        let room = bytes_max.saturating_sub(output.len()).min(text.len().max(STEP_BYTES));
        output.reserve(room);
        let before = codec.total_in();
        codec.compress_vec(text, output, FlushCompress::Sync).ok()?;
        let taken = codec.total_in() - before;
        text = text.get(usize::try_from(taken).ok()?..)?;
        if text.is_empty() && output.len() < output.capacity() {
            return (output.len() <= bytes_max).then_some(());
        }
        if output.len() >= bytes_max {
            return None;
        }
    }
}

impl Parts {
    fn new(sending: &Sending) -> Self {
        let Sending { level, window_bits, .. } = *sending;
        let effort = Compression::new(level.get().into());
        let codec = Compress::new_with_window_bits(effort, false, window_bits.get());
        Self { level, window_bits, codec, holds: None, output: Vec::new() }
    }

    fn is_for(&self, sending: &Sending) -> bool {
        (self.level, self.window_bits) == (sending.level, sending.window_bits)
    }
}

impl Drop for Compressor {
    fn drop(&mut self) {
        let Some(mut parts) = self.parts.take() else { return };
        parts.output.clear();
        parts.output.shrink_to(KEPT_BYTES_MAX);
        // A thread that ends has nothing left to keep it in.
        let _ = IDLE.try_with(|idle| {
            let mut idle = idle.borrow_mut();
            if idle.len() >= KEPT_MAX {
                idle.remove(0);
            }
            idle.push(parts);
        });
    }
}

impl std::fmt::Debug for Compressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Compressor")
    }
}

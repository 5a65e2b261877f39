//! Compressing messages (RFC 7692 section 7.2.1).

use std::cell::RefCell;

use flate2::{Compress, CompressError, Compression, FlushCompress};

use super::TAIL;
use super::agree::Sending;
use super::config::{Level, WindowBits};
use super::history::{History, State};

/// Bytes of earlier text that a connection keeps for what it sends, under context takeover. A compressor that it has
/// not used last has to index them anew: with 32 KiB that takes ten times as long as to compress 1 KiB.
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
    /// It failed, and is of no more use.
    broken: bool,
    /// What the last call produced.
    output: Vec<u8>,
}

/// Idle compressors that a thread keeps, of 300 to 400 KiB each. Without context takeover it needs one for each setting
/// in use; with it, each connection that has sent lately goes on with its own.
const KEPT_MAX: usize = 32;
/// A compressor that was not the last one used is not in the processor's cache: from this length on, a message is
/// compressed sooner by the one that was, even though that has to be told of the history.
const COLD_BYTES: usize = 512;
/// The longest output buffer that is kept.
const KEPT_BYTES_MAX: usize = 64 * 1024;
/// Text that is compressed at once, before a look at how long the result has become.
const STEP_BYTES: usize = 32 * 1024;
/// Room for the end of a block, and for an empty one behind it.
const ROOM_BYTES: usize = 64;

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

    /// How long a message of so many bytes may be once it is compressed: shorter, or else it is sent as it is. With
    /// context takeover, one that is not shorter by itself may make those shorter that come after it.
    pub(crate) fn bytes_max(&self, history: &mut History, bytes: usize) -> usize {
        if self.context_takeover && (1..=HISTORY_BYTES_MAX).contains(&bytes) && history.wants_try()
        {
            return bytes + bytes / 8 + ROOM_BYTES;
        }
        bytes.saturating_sub(1)
    }

    /// A compressed message was sent, of so many bytes, with this text.
    pub(crate) fn remember(&self, history: &mut History, bytes: usize, text: &[u8]) {
        if self.context_takeover {
            history.push(text, self.window_bits.bytes().min(HISTORY_BYTES_MAX));
            history.tried(bytes < text.len());
        }
    }

    /// Compressed messages were sent, with text that is not known here.
    pub(crate) fn forget(&self, history: &mut History) {
        history.forget();
    }
}

impl Compressor {
    /// How many bytes one holds, at most.
    #[cfg(feature = "reactor")]
    pub(crate) const HELD_BYTES: usize = 400 * 1024;

    /// A compressor for a message of so many bytes, or one that begins with as many, which may refer to the text before
    /// it.
    pub(crate) fn begin(sending: &Sending, history: &History, bytes: usize) -> Self {
        //= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.1
        //# the client MUST start compressing each new
        //# message with an empty LZ77 sliding window.
        //= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.1
        //# the server MUST start compressing each new
        //# message with an empty LZ77 sliding window.
        let history = if sending.context_takeover { history } else { &History::default() };
        let idle =
            IDLE.try_with(|idle| take(&mut idle.borrow_mut(), sending, history.state(), bytes));
        let mut parts = idle.ok().flatten().unwrap_or_else(|| Box::new(Parts::new(sending)));
        let holds = parts.holds.take();
        if holds.is_none() || holds != history.state() {
            parts.codec.reset();
            for text in history.text().into_iter().filter(|it| !it.is_empty()) {
                // It is refused for a codec in use only. One that refuses it compresses without.
                if parts.codec.set_dictionary(text).is_err() {
                    parts.codec.reset();
                }
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
        let Parts { codec, output, broken, .. } = &mut **self.parts.as_mut()?;
        output.clear();
        if text.is_empty() {
            // A codec that has flushed already would not do it again.
            //= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.3.6
            //# an empty uncompressed DEFLATE block
            //# can be built and used for this purpose as follows:
            output.push(0x00);
            output.extend_from_slice(&TAIL);
        } else {
            *broken = true;
            let flushed = flush(codec, text, output, bytes_max.saturating_add(TAIL.len())).ok()?;
            *broken = false;
            flushed?;
        }
        //= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.1
        //# Note that
        //# for non-final fragments, the removal of 0x00 0x00 0xff 0xff MUST NOT
        //# be done.
        if last {
            //= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.1
            //# Remove 4 octets (that are 0x00 0x00 0xff 0xff) from the tail end.
            let length = output.strip_suffix(&TAIL)?.len();
            output.truncate(length);
        }
        (output.len() <= bytes_max).then_some(output)
    }
}

/// Takes an idle compressor for a message of so many bytes: the one that holds its history, or one that is told of it.
fn take(
    idle: &mut Idle,
    sending: &Sending,
    history: Option<State>,
    bytes: usize,
) -> Option<Box<Parts>> {
    let find = |wanted: &dyn Fn(&Parts) -> bool| {
        idle.iter().rposition(|it| it.is_for(sending) && wanted(it))
    };
    let latest = find(&|_| true);
    let holder = history.and_then(|state| find(&|it| it.holds == Some(state)));
    let at = match holder {
        Some(at) if bytes < COLD_BYTES || latest == Some(at) => at,
        _ if bytes >= COLD_BYTES => latest?,
        _ => match find(&|it| it.holds.is_none()) {
            Some(at) => at,
            None if idle.len() < KEPT_MAX => return None,
            None => idle.iter().position(|it| it.is_for(sending))?,
        },
    };
    Some(idle.remove(at))
}

/// Compresses `text` and ends at a byte boundary, unless that takes more than `bytes_max`.
fn flush(
    codec: &mut Compress,
    text: &[u8],
    output: &mut Vec<u8>,
    bytes_max: usize,
) -> Result<Option<()>, CompressError> {
    let before_last = text.len().saturating_sub(1) / STEP_BYTES * STEP_BYTES;
    let (pieces, mut last) = text.split_at_checked(before_last).unwrap_or((&[], text));
    for piece in pieces.chunks(STEP_BYTES) {
        run(codec, piece, output, FlushCompress::None)?;
        if output.len() > bytes_max {
            last = &[];
            break;
        }
    }
    // Also where it is given up: a codec with an open block, or one that has something left for which there was no
    // room, fails later, reset or not (zlib-rs 0.6.8).
    run(codec, last, output, FlushCompress::Sync)?;
    Ok((output.len() <= bytes_max).then_some(()))
}

/// Hands text to the codec until it has taken all of it, and has nothing left for which there was no room.
fn run(
    codec: &mut Compress,
    mut text: &[u8],
    output: &mut Vec<u8>,
    flush: FlushCompress,
) -> Result<(), CompressError> {
    loop {
        // What does not compress gets longer by an eighth.
        output.reserve(text.len() + text.len() / 8 + ROOM_BYTES);
        let before = codec.total_in();
        codec.compress_vec(text, output, flush)?;
        let taken = usize::try_from(codec.total_in() - before).unwrap_or(usize::MAX);
        text = text.get(taken..).unwrap_or_default();
        if text.is_empty() && output.len() < output.capacity() {
            return Ok(());
        }
    }
}

impl Parts {
    fn new(sending: &Sending) -> Self {
        let Sending { level, window_bits, .. } = *sending;
        let effort = Compression::new(level.get().into());
        //= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.1
        //# the client MUST NOT use an
        //# LZ77 sliding window longer than the w-th power of 2 bytes to compress
        //# messages to send.
        //= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.1
        //# the server MUST NOT use an
        //# LZ77 sliding window longer than the w-th power of 2 bytes to compress
        //# messages to send.
        let codec = Compress::new_with_window_bits(effort, false, window_bits.get());
        Self { level, window_bits, codec, holds: None, broken: false, output: Vec::new() }
    }

    fn is_for(&self, sending: &Sending) -> bool {
        (self.level, self.window_bits) == (sending.level, sending.window_bits)
    }
}

impl Drop for Compressor {
    fn drop(&mut self) {
        let Some(mut parts) = self.parts.take().filter(|parts| !parts.broken) else { return };
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deflate::Deflate;

    /// Bytes that do not compress.
    fn noise(bytes: usize) -> Vec<u8> {
        let mut state = 1_u64;
        let next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        };
        std::iter::repeat_with(next).take(bytes).collect()
    }

    #[test]
    fn what_does_not_shrink_is_given_up_and_leaves_a_compressor_that_works() {
        let Deflate { level, compress_from_bytes, .. } = Deflate::default();
        // Too much for the output, for the codec's own, and for a look at what it has come to before the end.
        let sizes = [100, 4_137, 64_009, 200_000, 2_000_000];
        for window_bits in [WindowBits::MIN, WindowBits::MAX] {
            let sending =
                Sending { compress_from_bytes, level, window_bits, context_takeover: false };
            for (first, second) in sizes.into_iter().flat_map(|it| [(it, 100), (it, 70_000)]) {
                // A new one, without room from before, and none beside it.
                IDLE.with_borrow_mut(Vec::clear);
                let parts = Some(Box::new(Parts::new(&sending)));
                let mut compressor = Compressor { parts };
                assert!(compressor.compress(&noise(first), true, first - 1).is_none());
                drop(compressor);
                let text = noise(second);
                let mut compressor = Compressor::begin(&sending, &History::default(), second);
                let result = compressor.compress(&text, true, usize::MAX).unwrap();
                let mut inflated = Vec::with_capacity(second + 1);
                flate2::Decompress::new(false)
                    .decompress_vec(result, &mut inflated, flate2::FlushDecompress::Sync)
                    .unwrap();
                assert!(inflated == text, "{second} bytes after {first}, {window_bits:?}");
            }
        }
    }
}

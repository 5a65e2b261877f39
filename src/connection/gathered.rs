//! Where a message is gathered that does not lie whole in one run of bytes.

use std::cell::RefCell;
use std::ops::Range;

use super::message::{Kind, Message, OwnedMessage};
use crate::error::Violation;
use crate::utf8::Utf8;

/// What has come of a message. It grows with what comes and not with what is announced: it doubles, but never beyond
/// the limit. It begins with a buffer that the thread has kept from another message, if there is one within the limit.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    text: String,
    data: Buffer,
    data_bytes: usize,
}

/// Room for data. What is behind the bytes that have come means nothing.
#[derive(Debug, Default)]
struct Buffer(Vec<u8>);

/// From this length on, a buffer is led by [`LEAD_BYTES`].
const LONG_BYTES: usize = 64 * 1024;
/// What is before a long message in its buffer. Allocators begin long buffers near the start of a page, and kernels take
/// what is sent to pages that they fill from the start. AMD's Zen 3 and Zen 4 copy several times as slowly where the target is
/// a few bytes further in its page than the source: so the source is half a page away.
const LEAD_BYTES: usize = 2 * 1024;

impl Buffer {
    fn lead(length: usize) -> usize {
        if length < LONG_BYTES { 0 } else { LEAD_BYTES }
    }

    /// For how many bytes there is room.
    fn length(&self) -> usize {
        self.0.len() - Self::lead(self.0.len())
    }

    fn get(&self, range: Range<usize>) -> Option<&[u8]> {
        let lead = Self::lead(self.0.len());
        self.0.get(lead..)?.get(range)
    }

    fn get_mut(&mut self, range: Range<usize>) -> Option<&mut [u8]> {
        let lead = Self::lead(self.0.len());
        self.0.get_mut(lead..)?.get_mut(range)
    }

    /// Makes room for so many bytes.
    fn grow(&mut self, length: usize) {
        let lead = Self::lead(length);
        let whole = lead + length;
        if lead > Self::lead(self.0.len()) {
            let short = std::mem::take(&mut self.0);
            self.0.reserve_exact(whole);
            self.0.resize(lead, 0);
            self.0.extend_from_slice(&short);
        }
        self.0.reserve_exact(whole.saturating_sub(self.0.len()));
        self.0.resize(whole, 0);
    }
}

/// What a thread keeps to be lent again: room for so many bytes in all, beside at most a 32nd of it that leads them.
const KEPT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// In how many buffers of a kind, all of which are looked at where none is short enough.
const KEPT_MAX: usize = 64;

#[derive(Default)]
struct Idle {
    texts: Vec<String>,
    data: Vec<Buffer>,
    bytes: usize,
}

thread_local! {
    static IDLE: RefCell<Idle> = RefCell::default();
}

/// The shortest room that is worth reading to.
#[cfg(feature = "reactor")]
const ROOM_BYTES_MIN: usize = 4 * 1024;
/// The longest.
#[cfg(feature = "reactor")]
const ROOM_BYTES_MAX: usize = 1024 * 1024;

impl Gathered {
    /// Adds a piece of binary data.
    pub(super) fn push_data(&mut self, piece: &[u8], bytes_max: usize) {
        if self.data.length() == 0 && !piece.is_empty() {
            self.data = lend(|idle| &mut idle.data, Buffer::length, bytes_max);
        }
        let end = self.data_bytes + piece.len();
        self.grow_data(end, bytes_max);
        if let Some(room) = self.data.get_mut(self.data_bytes..end) {
            room.copy_from_slice(piece);
            self.data_bytes = end;
        }
    }

    /// Adds a piece of text.
    pub(super) fn push_text(
        &mut self,
        piece: &[u8],
        utf8: &mut Utf8,
        bytes_max: usize,
    ) -> Result<(), Violation> {
        if self.text.capacity() == 0 && !piece.is_empty() {
            self.text = lend(|idle| &mut idle.texts, String::capacity, bytes_max);
        }
        let valid = utf8.feed(piece).map_err(|_| Violation::InvalidUtf8)?;
        let text = &mut self.text;
        let added = valid.joined.map_or(0, char::len_utf8) + valid.text.len();
        let grown = grown(text.len() + added, text.capacity(), bytes_max);
        text.reserve_exact(grown - text.len());
        text.extend(valid.joined);
        text.push_str(valid.text);
        Ok(())
    }

    /// Room for some of the next `missing` bytes of binary data, to be read to and [added](Self::add_read). `None`
    /// where they are few.
    #[cfg(feature = "reactor")]
    pub(super) fn room(&mut self, missing: usize, bytes_max: usize) -> Option<&mut [u8]> {
        if missing < ROOM_BYTES_MIN {
            return None;
        }
        if self.data.length() == 0 {
            self.data = lend(|idle| &mut idle.data, Buffer::length, bytes_max);
        }
        let end = self.data_bytes + missing.min(ROOM_BYTES_MAX);
        if self.data.length() < end {
            // As much again as has come.
            let end = end.min((2 * self.data_bytes).max(ROOM_BYTES_MIN));
            self.grow_data(end, bytes_max);
        }
        let end = end.min(self.data.length());
        self.data.get_mut(self.data_bytes..end)
    }

    /// Adds what was read to the [room](Self::room), and gives it.
    #[cfg(feature = "reactor")]
    pub(super) fn add_read(&mut self, count: usize) -> &mut [u8] {
        let start = self.data_bytes;
        self.data_bytes = (start + count).min(self.data.length());
        self.data.get_mut(start..self.data_bytes).unwrap_or_default()
    }

    fn grow_data(&mut self, needed: usize, bytes_max: usize) {
        let length = grown(needed, self.data.length(), bytes_max);
        if length > self.data.length() {
            self.data.grow(length);
        }
    }

    /// How many bytes it holds: what has come, and room for more.
    #[cfg(feature = "reactor")]
    pub(super) fn held_bytes(&self) -> usize {
        self.text.capacity() + self.data.0.len()
    }

    /// The message.
    pub(super) fn message(&self, kind: Kind) -> Message<'_> {
        match kind {
            Kind::Text => Message::Text(&self.text),
            Kind::Binary => Message::Binary(self.data.get(0..self.data_bytes).unwrap_or_default()),
        }
    }

    /// What has come, to be delivered by itself.
    pub(super) fn take(&mut self, kind: Kind) -> OwnedMessage {
        let message = self.message(kind).to_owned();
        self.text.clear();
        self.data_bytes = 0;
        message
    }

    /// Forgets the message, and gives its buffer back to the thread.
    pub(super) fn give_back(&mut self) {
        let Self { mut text, data, .. } = std::mem::take(self);
        text.clear();
        if text.capacity() + data.length() == 0 {
            return;
        }
        // Where the thread ends, they are freed.
        let _ = IDLE.try_with(|idle| {
            let Idle { texts, data: buffers, bytes } = &mut *idle.borrow_mut();
            let (text_bytes, data_bytes) = (text.capacity(), data.length());
            keep(texts, text, text_bytes, bytes);
            keep(buffers, data, data_bytes, bytes);
        });
    }
}

/// Keeps a buffer of some length, where there is room for it.
fn keep<B>(buffers: &mut Vec<B>, buffer: B, length: usize, kept_bytes: &mut usize) {
    let bytes = *kept_bytes + length;
    if length > 0 && bytes <= KEPT_BYTES_MAX && buffers.len() < KEPT_MAX {
        *kept_bytes = bytes;
        buffers.push(buffer);
    }
}

/// A buffer that the thread has kept and that is no longer than this, or a new one.
fn lend<B: Default>(
    kept: impl Fn(&mut Idle) -> &mut Vec<B>,
    bytes: impl Fn(&B) -> usize,
    bytes_max: usize,
) -> B {
    let lent = IDLE.try_with(|idle| {
        let mut idle = idle.borrow_mut();
        let buffers = kept(&mut idle);
        let at = buffers.iter().rposition(|it| bytes(it) <= bytes_max)?;
        let buffer = buffers.swap_remove(at);
        idle.bytes = idle.bytes.saturating_sub(bytes(&buffer));
        Some(buffer)
    });
    lent.ok().flatten().unwrap_or_default()
}

/// How long a buffer is that has to hold `needed` bytes.
fn grown(needed: usize, length: usize, bytes_max: usize) -> usize {
    if needed <= length { length } else { needed.max(bytes_max.min(length.saturating_mul(2))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_cut_within_a_character_has_no_longer_a_buffer_than_the_limit() {
        for before in [0, 500] {
            let text = format!("{}\u{1F600}{}", "a".repeat(before), "a".repeat(1020 - before));
            for cut in 1..4 {
                let (mut gathered, mut utf8) = (Gathered::default(), Utf8::default());
                let (first, rest) = text.as_bytes().split_at(before + cut);
                gathered.push_text(first, &mut utf8, 1024).unwrap();
                gathered.push_text(rest, &mut utf8, 1024).unwrap();
                assert_eq!(gathered.message(Kind::Text), Message::Text(&text));
                let capacity = gathered.text.capacity();
                assert_eq!(capacity, 1024, "{before} bytes, and {cut} of the character");
            }
        }
    }

    #[test]
    fn a_thread_keeps_sixty_four_buffers_of_texts_and_data_and_not_more() {
        for text in [false, true] {
            // Each is longer than all the next ones may be, and so is lent to none of them.
            for length in (1..=1_000).rev() {
                let (mut gathered, piece) = (Gathered::default(), vec![b'a'; length]);
                if text {
                    gathered.push_text(&piece, &mut Utf8::default(), length).unwrap();
                } else {
                    gathered.push_data(&piece, length);
                }
                gathered.give_back();
            }
            IDLE.with(|idle| {
                let Idle { texts, data, .. } = idle.take();
                assert_eq!(texts.len() + data.len(), KEPT_MAX, "text: {text}");
            });
        }
    }

    #[test]
    fn a_thread_keeps_four_mebibytes_of_texts_and_data_and_not_more() {
        for text in [false, true] {
            let (limit, piece) = (1024 * 1024, vec![b'a'; 1024 * 1024]);
            let mut all: Vec<_> = (0..6).map(|_| Gathered::default()).collect();
            for gathered in &mut all {
                if text {
                    gathered.push_text(&piece, &mut Utf8::default(), limit).unwrap();
                } else {
                    gathered.push_data(&piece, limit);
                }
            }
            all.iter_mut().for_each(Gathered::give_back);
            IDLE.with(|idle| {
                let Idle { texts, data, bytes } = idle.take();
                let kept: usize =
                    texts.iter().map(String::capacity).chain(data.iter().map(Buffer::length)).sum();
                assert_eq!((kept, bytes), (KEPT_BYTES_MAX, KEPT_BYTES_MAX), "text: {text}");
            });
        }
    }
}

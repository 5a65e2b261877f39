//! What a receiver keeps while a frame is cut in half or a fragmented message is open.

use super::message::{Delivery, Kind, OwnedMessage};
use crate::deflate::Inflater;
use crate::error::Violation;
use crate::frame::FrameHeader;
use crate::limits::Limits;
use crate::utf8::Utf8;

/// All that a connection owns for receiving; it exists only between the first and the last byte of something.
#[derive(Debug, Default)]
pub(super) struct Progress {
    header: [u8; FrameHeader::BYTES_MAX],
    header_bytes: usize,
    /// The frame whose payload is arriving.
    pub(super) frame: Option<Frame>,
    /// The message that is open.
    pub(super) message: Option<Open>,
    /// What inflates it, where it is compressed.
    pub(super) inflater: Option<Inflater>,
    /// The payload of a control frame, at most 125 bytes.
    pub(super) control: Vec<u8>,
}

/// A frame whose payload is arriving.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) header: FrameHeader,
    pub(super) received: u64,
}

impl Frame {
    pub(super) fn missing(&self) -> u64 {
        self.header.payload_bytes.saturating_sub(self.received)
    }
}

impl Progress {
    /// Adds to the header that is cut in half as much as fits.
    pub(super) fn keep_header(&mut self, bytes: &[u8]) {
        for (slot, &byte) in self.header.iter_mut().skip(self.header_bytes).zip(bytes) {
            *slot = byte;
            self.header_bytes += 1;
        }
    }

    pub(super) fn kept_header(&self) -> &[u8] {
        self.header.get(..self.header_bytes).unwrap_or_default()
    }

    pub(super) fn header_bytes(&self) -> usize {
        self.header_bytes
    }

    pub(super) fn forget_header(&mut self) {
        self.header_bytes = 0;
    }
}

/// A message that has begun and not ended.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) kind: Kind,
    pub(super) delivery: Delivery,
    /// Bytes of the message so far, after inflating.
    pub(super) bytes: u64,
    /// Payload bytes that its frames have announced.
    pub(super) announced: u64,
    pub(super) utf8: Utf8,
    fragments: u32,
    empty_fragments: u32,
    text: String,
    data: Vec<u8>,
}

impl Open {
    pub(super) fn new(kind: Kind, delivery: Delivery) -> Self {
        Self {
            kind,
            delivery,
            bytes: 0,
            announced: 0,
            utf8: Utf8::default(),
            fragments: 0,
            empty_fragments: 0,
            text: String::new(),
            data: Vec::new(),
        }
    }

    /// Counts a fragment against the limits.
    pub(super) fn count(&mut self, header: &FrameHeader, limits: &Limits) -> Result<(), Violation> {
        if header.payload_bytes == 0 && !header.fin {
            self.empty_fragments = self.empty_fragments.saturating_add(1);
            if self.empty_fragments > limits.empty_fragments_max {
                return Err(Violation::TooManyEmptyFragments);
            }
        }
        // In parts, a fragment leaves nothing behind.
        self.fragments = self.fragments.saturating_add(1);
        if self.fragments > limits.fragments_max && self.delivery == Delivery::Whole {
            return Err(Violation::TooManyFragments);
        }
        Ok(())
    }

    /// How many of the `length` bytes that are there to take at once: in parts, a character that was begun is finished
    /// on its own.
    pub(super) fn cut(&self, length: usize) -> usize {
        match (self.delivery, self.utf8.missing()) {
            (Delivery::Whole, _) | (Delivery::Parts, 0) => length,
            (Delivery::Parts, missing) => length.min(missing),
        }
    }

    /// Adds a piece to the message. What is gathered doubles when it grows, but never beyond the limit.
    pub(super) fn gather(&mut self, piece: &[u8], limits: &Limits) -> Result<(), Violation> {
        self.bytes += piece.len() as u64;
        let bytes_max = limits.message_bytes_max;
        match self.kind {
            Kind::Binary => {
                let data = &mut self.data;
                data.reserve_exact(growth(data.len(), data.capacity(), piece.len(), bytes_max));
                data.extend_from_slice(piece);
            }
            Kind::Text => {
                let text = &mut self.text;
                text.reserve_exact(growth(text.len(), text.capacity(), piece.len(), bytes_max));
                let valid = self.utf8.feed(piece).map_err(|_| Violation::InvalidUtf8)?;
                self.text.extend(valid.joined);
                self.text.push_str(valid.text);
            }
        }
        Ok(())
    }

    /// Adds inflated text to the message, up to the limit that no header has announced it to cross.
    pub(super) fn gather_within(&mut self, text: &[u8], limits: &Limits) -> Result<(), Violation> {
        let room = (limits.message_bytes_max as u64).saturating_sub(self.bytes);
        match usize::try_from(room) {
            Ok(room) if room < text.len() && self.delivery == Delivery::Whole => {
                self.gather(text.get(..room).unwrap_or_default(), limits)?;
                Err(Violation::MessageTooBig)
            }
            _ => self.gather(text, limits),
        }
    }

    /// What was gathered, as a part of its own. `None` where there is nothing to deliver.
    pub(super) fn take_part(&mut self, last: bool) -> Result<Option<OwnedMessage>, Violation> {
        let part = match self.kind {
            Kind::Binary => OwnedMessage::Binary(std::mem::take(&mut self.data)),
            Kind::Text if last && !self.utf8.is_complete() => return Err(Violation::InvalidUtf8),
            Kind::Text => OwnedMessage::Text(std::mem::take(&mut self.text)),
        };
        Ok(Some(part).filter(|part| last || !part.as_message().as_bytes().is_empty()))
    }

    /// The message, now that its last byte is there.
    pub(super) fn finish(&mut self) -> Result<OwnedMessage, Violation> {
        match self.kind {
            Kind::Binary => Ok(OwnedMessage::Binary(std::mem::take(&mut self.data))),
            Kind::Text if self.utf8.is_complete() => {
                Ok(OwnedMessage::Text(std::mem::take(&mut self.text)))
            }
            Kind::Text => Err(Violation::InvalidUtf8),
        }
    }
}

/// By how much a buffer is to grow for a piece.
fn growth(length: usize, capacity: usize, piece: usize, bytes_max: usize) -> usize {
    let needed = length + piece;
    if needed <= capacity {
        return 0;
    }
    needed.max(bytes_max.min(capacity.saturating_mul(2))) - length
}

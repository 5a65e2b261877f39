//! What a receiver keeps while a frame is cut in half or a fragmented message is open.

use std::cell::RefCell;

use super::gathered::Gathered;
use super::message::{Delivery, Kind, Message, OwnedMessage};
use crate::deflate::Inflater;
use crate::error::Violation;
use crate::frame::FrameHeader;
use crate::limits::Limits;
use crate::utf8::Utf8;

/// All that a connection owns for receiving; it exists only between the first and the last byte of something, and is
/// then lent to the next connection of the thread that needs one.
#[derive(Debug, Default)]
pub(super) struct Progress {
    header: [u8; FrameHeader::BYTES_MAX],
    header_bytes: usize,
    /// The frame whose payload is arriving.
    pub(super) frame: Option<Frame>,
    /// The message that is open.
    pub(super) message: Option<Open>,
    /// What has come of it.
    pub(super) gathered: Gathered,
    /// What inflates it, where it is compressed.
    pub(super) inflater: Option<Inflater>,
    /// The payload of a control frame, at most 125 bytes.
    pub(super) control: Vec<u8>,
}

/// A thread keeps at most so many to be lent again.
const KEPT_MAX: usize = 32;

thread_local! {
    #[expect(clippy::vec_box, reason = "what is lent is moved often, and is large")]
    static IDLE: RefCell<Vec<Box<Progress>>> = const { RefCell::new(Vec::new()) };
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
    /// One with nothing in it.
    pub(super) fn lend() -> Box<Self> {
        let idle = IDLE.try_with(|idle| idle.borrow_mut().pop());
        idle.ok().flatten().unwrap_or_default()
    }

    /// Gives it back to the thread.
    pub(super) fn give_back(mut self: Box<Self>) {
        self.header_bytes = 0;
        self.frame = None;
        self.message = None;
        self.gathered.give_back();
        self.inflater = None;
        self.control.clear();
        // Where the thread ends, it is freed.
        let _ = IDLE.try_with(|idle| {
            let mut idle = idle.borrow_mut();
            if idle.len() < KEPT_MAX {
                idle.push(self);
            }
        });
    }

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

    /// How many bytes it holds, itself among them.
    #[cfg(feature = "reactor")]
    pub(super) fn held_bytes(&self) -> usize {
        let inflater = if self.inflater.is_some() { Inflater::HELD_BYTES } else { 0 };
        size_of::<Self>() + self.gathered.held_bytes() + inflater
    }

    /// The message that was gathered.
    pub(super) fn gathered_message(&self) -> Option<Message<'_>> {
        self.message.as_ref().map(|open| self.gathered.message(open.kind))
    }
}

/// A message that has begun and not ended.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) kind: Kind,
    pub(super) delivery: Delivery,
    /// Bytes of a message that is gathered, so far and after inflating.
    bytes: u64,
    /// Payload bytes that its frames have announced.
    pub(super) announced: u64,
    /// Its last frame was announced.
    pub(super) ends: bool,
    pub(super) utf8: Utf8,
    fragments: u32,
    empty_fragments: u32,
}

impl Open {
    pub(super) fn new(kind: Kind, delivery: Delivery) -> Self {
        Self {
            kind,
            delivery,
            bytes: 0,
            announced: 0,
            ends: false,
            utf8: Utf8::default(),
            fragments: 0,
            empty_fragments: 0,
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

    /// The longest that the message can get, where it is not compressed.
    pub(super) fn plain_bytes_max(&self, limits: &Limits) -> usize {
        match usize::try_from(self.announced) {
            Ok(announced) if self.ends => announced.min(limits.message_bytes_max),
            _ => limits.message_bytes_max,
        }
    }

    /// Adds a piece to the message, which may get so long.
    pub(super) fn gather(
        &mut self,
        piece: &[u8],
        gathered: &mut Gathered,
        bytes_max: usize,
    ) -> Result<(), Violation> {
        self.bytes += piece.len() as u64;
        match self.kind {
            Kind::Binary => gathered.push_data(piece, bytes_max),
            Kind::Text => gathered.push_text(piece, &mut self.utf8, bytes_max)?,
        }
        Ok(())
    }

    /// Adds inflated text to the message, up to the limit that no header has announced it to cross.
    pub(super) fn gather_within(
        &mut self,
        text: &[u8],
        gathered: &mut Gathered,
        limits: &Limits,
    ) -> Result<(), Violation> {
        let bytes_max = limits.message_bytes_max;
        let room = (bytes_max as u64).saturating_sub(self.bytes);
        match usize::try_from(room) {
            Ok(room) if room < text.len() && self.delivery == Delivery::Whole => {
                self.gather(text.get(..room).unwrap_or_default(), gathered, bytes_max)?;
                Err(Violation::MessageTooBig)
            }
            _ => self.gather(text, gathered, bytes_max),
        }
    }

    /// What was gathered, as a part of its own. `None` where there is nothing to deliver.
    pub(super) fn take_part(
        &mut self,
        gathered: &mut Gathered,
        last: bool,
    ) -> Result<Option<OwnedMessage>, Violation> {
        if last {
            self.finish()?;
        }
        let there = !gathered.message(self.kind).as_bytes().is_empty();
        Ok((last || there).then(|| gathered.take(self.kind)))
    }

    /// Whether the message may end here, where its last byte is.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-5.6
    //# the whole message MUST contain valid UTF-8.
    pub(super) fn finish(&self) -> Result<(), Violation> {
        match self.kind {
            Kind::Text if !self.utf8.is_complete() => Err(Violation::InvalidUtf8),
            Kind::Text | Kind::Binary => Ok(()),
        }
    }
}

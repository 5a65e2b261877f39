//! The sending half: messages in, bytes out.

use std::fmt;

use super::message::{Event, Kind, Message, Part};
use crate::close::{Close, CloseCode, REASON_BYTES_MAX};
use crate::error::{SendError, Violation};
#[cfg(feature = "reactor")]
use crate::frame::Role;
use crate::frame::{CONTROL_BYTES_MAX, FrameHeader, Opcode, mask};
use crate::limits::Limits;

/// Where a client's masking keys come from.
///
/// They must be unpredictable (RFC 6455 section 10.3): take them from a cryptographically secure generator. Any
/// closure that returns four bytes will do.
pub trait MaskKeys: Send {
    /// A fresh key.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-5.3
    //# When preparing a
    //# masked frame, the client MUST pick a fresh masking key from the set
    //# of allowed 32-bit values.
    fn next_key(&mut self) -> [u8; 4];
}

impl<F: FnMut() -> [u8; 4] + Send> MaskKeys for F {
    fn next_key(&mut self) -> [u8; 4] {
        self()
    }
}

/// The sending half of a connection.
///
/// All methods append whole frames to a buffer that the caller owns. Usable alone, for example in a task that only
/// writes.
pub struct Sender {
    /// A client's source of masking keys; a server has none.
    keys: Option<Box<dyn MaskKeys>>,
    /// What is owed to the peer and waits for [`flush`](Self::flush).
    owed: Option<Box<Owed>>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Between two messages.
    Open,
    /// Inside a message in parts.
    InParts(Kind),
    /// A close frame was written. Nothing may follow.
    Closed,
}

/// Answers to control frames. There is room for one pong and one close, however many frames the peer sends.
#[derive(Debug, Default)]
struct Owed {
    pong: Option<Vec<u8>>,
    /// Pings whose pong was superseded by a newer one.
    superseded: u32,
    /// The body of a close frame.
    close: Option<Vec<u8>>,
}

impl Sender {
    /// The sending half of a server: frames are not masked.
    pub fn server() -> Self {
        Self { keys: None, owed: None, state: State::Open }
    }

    /// The sending half of a client: each frame is masked with a key of its own.
    pub fn client(keys: impl MaskKeys + 'static) -> Self {
        Self { keys: Some(Box::new(keys)), owed: None, state: State::Open }
    }

    /// Sends a message in one frame.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] after a close frame, [`SendError::PartsUnfinished`] inside a message in parts.
    #[inline]
    pub fn send<'m>(
        &mut self,
        message: impl Into<Message<'m>>,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        match self.state {
            _ if self.is_closed() => Err(SendError::Closed),
            State::Open => {
                self.flush(out);
                let message = message.into();
                self.write(true, message.kind().opcode(), message.as_bytes(), out);
                Ok(())
            }
            State::InParts(_) => Err(SendError::PartsUnfinished),
            State::Closed => Err(SendError::Closed),
        }
    }

    /// Sends a part of a message as a fragment. All parts of a message are of one kind, and
    /// [`last`](Part::last) ends it; pings, pongs and a close may be sent in between.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), also where the kind is not that of the parts before.
    pub fn send_part(&mut self, part: Part<'_>, out: &mut Vec<u8>) -> Result<(), SendError> {
        let kind = part.data.kind();
        let opcode = match self.state {
            _ if self.is_closed() => return Err(SendError::Closed),
            State::Open => kind.opcode(),
            State::InParts(open) if open == kind => Opcode::Continuation,
            State::InParts(_) => return Err(SendError::PartsUnfinished),
            State::Closed => return Err(SendError::Closed),
        };
        self.flush(out);
        self.write(part.last, opcode, part.data.as_bytes(), out);
        self.state = if part.last { State::Open } else { State::InParts(kind) };
        Ok(())
    }

    /// Sends a ping with at most 125 bytes.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`], [`SendError::ControlTooLong`].
    pub fn ping(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), SendError> {
        self.control(Opcode::Ping, payload, out)
    }

    /// Sends a pong that answers no ping; the answers are sent by [`flush`](Self::flush).
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`], [`SendError::ControlTooLong`].
    pub fn pong(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), SendError> {
        self.control(Opcode::Pong, payload, out)
    }

    /// Sends a close frame. Nothing can be sent after it; messages of the peer may still come, until its answer.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] where one was sent already, [`SendError::ReasonTooLong`].
    pub fn close(
        &mut self,
        code: CloseCode,
        reason: &str,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        if self.is_closed() {
            return Err(SendError::Closed);
        }
        if reason.len() > REASON_BYTES_MAX {
            return Err(SendError::ReasonTooLong(reason.len()));
        }
        self.owe_close(Close { code: Some(code), reason });
        self.flush(out);
        Ok(())
    }

    /// Notes the answer that an event of the receiving half asks for: the pong to a ping, the close to a close.
    ///
    /// Only the newest of several pings is answered. The answer is written by the next
    /// [`flush`](Self::flush), or before the next message.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.3
    //# If an endpoint receives a Ping frame and has not yet sent Pong
    //# frame(s) in response to previous Ping frame(s), the endpoint MAY
    //# elect to send a Pong frame for only the most recently processed Ping
    //# frame.
    #[inline]
    pub fn answer(&mut self, event: &Event<'_>) {
        match event {
            Event::Ping(payload) => self.owe_pong(payload),
            //= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1
            //# If an endpoint receives a Close frame and did not previously send a
            //# Close frame, the endpoint MUST send a Close frame in response.
            Event::Close(close) => self.owe_close(Close { reason: "", ..*close }),
            Event::Message(_) | Event::Part(_) | Event::Pong(_) => {}
        }
    }

    /// Notes the close frame that answers a violation.
    pub fn fail(&mut self, violation: Violation) {
        self.owe_close(Close { code: Some(violation.close_code()), reason: violation.reason() });
    }

    /// Writes what is owed to the peer. Call it after each event, unless the socket is full: until it has room again,
    /// only the newest pong waits.
    #[inline]
    pub fn flush(&mut self, out: &mut Vec<u8>) {
        if self.owed.is_some() {
            self.flush_owed(out);
        }
    }

    /// Whether a close frame was sent, or is owed.
    pub fn is_closed(&self) -> bool {
        self.state == State::Closed || self.owed.as_ref().is_some_and(|owed| owed.close.is_some())
    }

    /// Whether [`flush`](Self::flush) has something to write.
    pub fn wants_flush(&self) -> bool {
        self.owed.is_some()
    }

    /// Whether the peer sends more pings than it lets us answer.
    #[inline]
    pub(crate) fn is_flooded(&self, limits: &Limits) -> bool {
        self.owed.as_ref().is_some_and(|owed| owed.superseded > limits.unanswered_pings_max)
    }

    /// Whether a message in parts is unfinished.
    #[cfg(feature = "reactor")]
    pub(crate) fn is_in_parts(&self) -> bool {
        matches!(self.state, State::InParts(_))
    }

    /// Appends frames that were encoded for all receivers by [`write_for_all`].
    #[cfg(feature = "reactor")]
    pub(crate) fn send_encoded(&mut self, mut frames: &[u8], out: &mut Vec<u8>) {
        if self.keys.is_none() {
            return out.extend_from_slice(frames);
        }
        // A client masks each receiver's frames with keys of its own.
        while let Ok(Some((header, header_bytes))) = FrameHeader::parse(frames, Role::Server) {
            let length = usize::try_from(header.payload_bytes).unwrap_or(usize::MAX);
            let Some((payload, rest)) =
                frames.get(header_bytes..).and_then(|it| it.split_at_checked(length))
            else {
                return;
            };
            self.write(header.fin, header.opcode, payload, out);
            frames = rest;
        }
    }

    fn control(
        &mut self,
        opcode: Opcode,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        if self.is_closed() {
            return Err(SendError::Closed);
        }
        if payload.len() > CONTROL_BYTES_MAX {
            return Err(SendError::ControlTooLong(payload.len()));
        }
        self.flush(out);
        self.write(true, opcode, payload, out);
        Ok(())
    }

    fn owe_pong(&mut self, payload: &[u8]) {
        if self.is_closed() {
            return;
        }
        let owed = self.owed.get_or_insert_default();
        let superseded = owed.pong.replace(payload.to_vec()).is_some();
        owed.superseded = owed.superseded.saturating_add(superseded.into());
    }

    fn owe_close(&mut self, close: Close<'_>) {
        if self.is_closed() {
            return;
        }
        let mut body = Vec::new();
        if let Some(code) = close.code {
            body.extend_from_slice(&code.get().to_be_bytes());
            body.extend_from_slice(close.reason.as_bytes());
        }
        self.owed.get_or_insert_default().close = Some(body);
    }

    #[cold]
    fn flush_owed(&mut self, out: &mut Vec<u8>) {
        let Some(owed) = self.owed.take() else { return };
        if let Some(pong) = owed.pong {
            self.write(true, Opcode::Pong, &pong, out);
        }
        if let Some(body) = owed.close {
            self.write(true, Opcode::Close, &body, out);
            self.state = State::Closed;
        }
    }

    #[inline]
    fn write(&mut self, fin: bool, opcode: Opcode, payload: &[u8], out: &mut Vec<u8>) {
        let key = self.keys.as_mut().map(|keys| keys.next_key());
        write_frame(fin, opcode, key, payload, out);
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender")
            .field("masks", &self.keys.is_some())
            .field("owed", &self.owed)
            .field("state", &self.state)
            .finish()
    }
}

/// Appends a frame to `out`.
#[inline]
pub(crate) fn write_frame(
    fin: bool,
    opcode: Opcode,
    key: Option<[u8; 4]>,
    payload: &[u8],
    out: &mut Vec<u8>,
) {
    let payload_bytes = payload.len() as u64;
    out.reserve(FrameHeader::BYTES_MAX + payload.len());
    FrameHeader { fin, opcode, mask: key, payload_bytes }.write(out);
    let start = out.len();
    out.extend_from_slice(payload);
    if let (Some(key), Some(written)) = (key, out.get_mut(start..)) {
        mask(written, key, 0);
    }
}

/// Appends a message to `out` as a server sends it: the same bytes for every receiver.
#[cfg(feature = "reactor")]
#[inline]
pub(crate) fn write_for_all(message: Message<'_>, out: &mut Vec<u8>) {
    write_frame(true, message.kind().opcode(), None, message.as_bytes(), out);
}

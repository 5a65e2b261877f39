//! The sending half: messages in, bytes out.

use std::fmt;

use super::message::{Compress, Event, Kind, Message, Outgoing, Part, Payload};
use super::prepared::{Encoding, Prepared};
use crate::close::{Close, CloseCode, REASON_BYTES_MAX};
use crate::deflate::{Compressor, History, Sending};
use crate::error::{SendError, Violation};
use crate::frame::{CONTROL_BYTES_MAX, FrameHeader, Opcode, Role, Rsv1, mask_from_start};
use crate::handshake::Agreed;
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
    /// A client's source of masking keys. Boxed twice, so that a server, which has none, has room for one pointer only.
    keys: Option<Box<Box<dyn MaskKeys>>>,
    /// What is owed to the peer and waits for [`flush`](Self::flush).
    owed: Option<Box<Owed>>,
    /// The message in parts that is unfinished.
    in_parts: Option<Box<InParts>>,
    /// A close frame was written. Nothing may follow but pongs that are owed.
    closed: bool,
    /// How messages are compressed, if they may be.
    deflating: Option<Sending>,
    /// What the next compressed message may refer to.
    history: History,
}

#[derive(Debug)]
struct InParts {
    kind: Kind,
    /// What compresses it, if it is a compressed one.
    compressor: Option<Compressor>,
    /// Messages that were encoded for many have to follow it.
    followed: bool,
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
    /// The sending half of a server, after a handshake that came to this: frames are not masked.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-5.1
    //# A server MUST NOT mask any frames that it sends to
    //# the client.
    pub fn server(agreed: &Agreed) -> Self {
        Self::new(agreed, None)
    }

    /// The sending half of a client, after a handshake that came to this: each frame is masked with a key of its own.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-5.1
    //# a client MUST mask all frames that it
    //# sends to the server
    //= https://www.rfc-editor.org/rfc/rfc6455#section-6.1
    //# If the data is being sent by the client, the frame(s) MUST be
    //# masked as defined in Section 5.3.
    pub fn client(agreed: &Agreed, keys: impl MaskKeys + 'static) -> Self {
        Self::new(agreed, Some(Box::new(Box::new(keys))))
    }

    fn new(agreed: &Agreed, keys: Option<Box<Box<dyn MaskKeys>>>) -> Self {
        //= https://www.rfc-editor.org/rfc/rfc7692#section-5
        //# both endpoints MUST use the algorithm described in Section 6
        let deflating = agreed.deflate.and_then(|deflate| deflate.sending());
        Self {
            keys,
            owed: None,
            in_parts: None,
            closed: false,
            deflating,
            history: Default::default(),
        }
    }

    /// How many bytes are held: a compressor, and the text that the next message may refer to.
    #[cfg(feature = "reactor")]
    #[inline]
    pub(crate) fn held_bytes(&self) -> usize {
        let compressor = self.in_parts.as_ref().and_then(|it| it.compressor.as_ref());
        self.history.bytes() + compressor.map_or(0, |_| Compressor::HELD_BYTES)
    }

    /// Sends a message in one frame.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] after a close frame, [`SendError::PartsUnfinished`] inside a message in parts.
    pub fn send<'m>(
        &mut self,
        message: impl Into<Outgoing<Message<'m>>>,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        self.send_payload(&message.into().into(), out)
    }

    #[inline(always)]
    pub(crate) fn send_payload(
        &mut self,
        payload: &Payload<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        self.begin_message(out)?;
        let key = self.next_key();
        write_message(payload, self.deflating.as_ref(), &mut self.history, key, out);
        Ok(())
    }

    /// As [`send`](Self::send), but where the payload is sent as it lies it is left to the caller, who has to put it
    /// behind what was appended to `out`.
    #[cfg(feature = "reactor")]
    pub(crate) fn send_but_payload<'p>(
        &mut self,
        payload: &Payload<'p>,
        out: &mut Vec<u8>,
    ) -> Result<&'p [u8], SendError> {
        let Payload { kind, bytes, compress } = *payload;
        let deflating = self.deflating.filter(|it| wants(compress, it, bytes.len()));
        if self.keys.is_some() || deflating.is_some() {
            return self.send_payload(payload, out).map(|()| &[][..]);
        }
        self.begin_message(out)?;
        let (opcode, payload_bytes) = (kind.opcode(), bytes.len() as u64);
        FrameHeader { fin: true, rsv1: false, opcode, mask: None, payload_bytes }.write(out);
        Ok(bytes)
    }

    /// Sends a message that was encoded before.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn send_prepared(
        &mut self,
        prepared: &mut Prepared,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        self.begin_message(out)?;
        self.send_encoded(prepared.frame(self.encoding()), out);
        Ok(())
    }

    /// Whether a message may begin; then writes what is owed before it.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1
    //# The application MUST NOT send any more data frames after sending a
    //# Close frame.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-6.1
    //# The endpoint MUST ensure the WebSocket connection is in the OPEN
    //# state
    #[inline]
    fn begin_message(&mut self, out: &mut Vec<u8>) -> Result<(), SendError> {
        // Nothing is in the way of nearly all of them.
        if self.closed || self.in_parts.is_some() || self.owed.is_some() {
            return self.refuse_or_flush(out);
        }
        Ok(())
    }

    /// The same, where there is something in the way.
    #[cold]
    fn refuse_or_flush(&mut self, out: &mut Vec<u8>) -> Result<(), SendError> {
        if self.is_closed() {
            return Err(SendError::Closed);
        }
        if self.in_parts.is_some() {
            return Err(SendError::PartsUnfinished);
        }
        self.flush(out);
        Ok(())
    }

    /// Sends a part of a message as a fragment. All parts of a message are of one kind, and
    /// [`last`](Part::last) ends it; pings, pongs and a close may be sent in between.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), also where the kind is not that of the parts before.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-6.1
    //# If at any point the state of
    //# the WebSocket connection changes, the endpoint MUST abort the
    //# following steps.
    pub fn send_part<'m>(
        &mut self,
        part: impl Into<Outgoing<Part<'m>>>,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        let Outgoing { content: part, compress } = part.into();
        let (kind, payload) = (part.data.kind(), part.data.as_bytes());
        if self.is_closed() {
            return Err(SendError::Closed);
        }
        //= https://www.rfc-editor.org/rfc/rfc6455#section-5.4
        //# the type for all fragments in
        //# a message MUST be either text, binary,
        if self.in_parts.as_ref().is_some_and(|open| open.kind != kind) {
            return Err(SendError::PartsUnfinished);
        }
        self.flush(out);
        let (opcode, mut open) = match self.in_parts.take() {
            Some(open) => (Opcode::Continuation, open),
            None => {
                let deflating = self.deflating.filter(|it| wants(compress, it, payload.len()));
                let compressor =
                    deflating.map(|it| Compressor::begin(&it, &self.history, payload.len()));
                (kind.opcode(), Box::new(InParts { kind, compressor, followed: false }))
            }
        };
        let rsv1 = open.compressor.is_some() && opcode != Opcode::Continuation;
        //= https://www.rfc-editor.org/rfc/rfc6455#section-6.1
        //# The FIN bit (frame-fin) of the last frame containing the data
        //# MUST be set to 1 as defined in Section 5.2.
        let start = Start { fin: part.last, rsv1, opcode };
        match (&mut open.compressor, self.deflating) {
            (Some(compressor), Some(deflating)) => {
                // Without a limit, a compressor always comes to a result.
                let compressed = compressor.compress(payload, part.last, usize::MAX);
                let compressed = compressed.unwrap_or_default();
                self.write(start, compressed, out);
                deflating.remember(&mut self.history, compressed.len(), payload);
                if open.followed {
                    deflating.forget(&mut self.history);
                }
            }
            _ => self.write(start, payload, out),
        }
        if !part.last {
            self.in_parts = Some(open);
        } else if let Some(compressor) = open.compressor {
            compressor.end(&self.history);
        }
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
    //= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.2
    //# an endpoint MUST send a Close control frame, as described
    //# in Section 5.5.1, whose status code is set to /code/ and whose close
    //# reason is set to /reason/.
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
            //= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.2
            //# Upon receipt of a Ping frame, an endpoint MUST send a Pong frame in
            //# response, unless it already received a Close frame.
            // Also after a close frame of ours: only data must not follow that.
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
        self.closed || self.owed.as_ref().is_some_and(|owed| owed.close.is_some())
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
        self.in_parts.is_some()
    }

    /// Which encoding of a message that is sent to many is the one for this peer.
    pub(crate) fn encoding(&self) -> Encoding {
        self.deflating.map(Sending::without_history)
    }

    /// Appends frames that were [encoded](Self::encoding) for all such peers.
    pub(crate) fn send_encoded(&mut self, mut frames: &[u8], out: &mut Vec<u8>) {
        if let Some(deflating) = &self.deflating {
            deflating.forget(&mut self.history);
        }
        if let Some(open) = &mut self.in_parts {
            open.followed = true;
        }
        if self.keys.is_none() {
            return out.extend_from_slice(frames);
        }
        // A client masks each receiver's frames with keys of its own.
        while let Ok(Some((header, header_bytes))) =
            FrameHeader::parse(frames, Role::Server, Rsv1::Compressed)
        {
            let length = usize::try_from(header.payload_bytes).unwrap_or(usize::MAX);
            let Some((payload, rest)) =
                frames.get(header_bytes..).and_then(|it| it.split_at_checked(length))
            else {
                return;
            };
            let FrameHeader { fin, rsv1, opcode, .. } = header;
            self.write(Start { fin, rsv1, opcode }, payload, out);
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
        self.write(Start::control(opcode), payload, out);
        Ok(())
    }

    fn owe_pong(&mut self, payload: &[u8]) {
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
            self.write(Start::control(Opcode::Pong), &pong, out);
        }
        if let Some(body) = owed.close {
            self.write(Start::control(Opcode::Close), &body, out);
            self.closed = true;
        }
    }

    fn write(&mut self, start: Start, payload: &[u8], out: &mut Vec<u8>) {
        let key = self.next_key();
        write_frame(start, key, payload, out);
    }

    //= https://www.rfc-editor.org/rfc/rfc6455#section-10.3
    //# Clients MUST choose a new masking key for each frame,
    #[inline]
    fn next_key(&mut self) -> Option<[u8; 4]> {
        self.keys.as_mut().map(|keys| keys.next_key())
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender")
            .field("masks", &self.keys.is_some())
            .field("owed", &self.owed)
            .field("in_parts", &self.in_parts)
            .field("closed", &self.closed)
            .field("deflating", &self.deflating)
            .finish_non_exhaustive()
    }
}

/// The first byte of a frame.
#[derive(Clone, Copy)]
struct Start {
    fin: bool,
    rsv1: bool,
    opcode: Opcode,
}

impl Start {
    fn control(opcode: Opcode) -> Self {
        Self { fin: true, rsv1: false, opcode }
    }
}

/// Appends a message in one frame to `out`, compressed where that is wanted and makes it shorter.
//= https://www.rfc-editor.org/rfc/rfc6455#section-6.1
//# To _Send a WebSocket Message_ comprising of /data/ over a WebSocket
//# connection, an endpoint MUST perform the following steps.
//= https://www.rfc-editor.org/rfc/rfc7692#section-6.1
//# An endpoint MUST use the following algorithm to send a message in the
//# form of an uncompressed message.
#[inline(always)]
pub(super) fn write_message(
    &Payload { kind, bytes: payload, compress }: &Payload<'_>,
    deflating: Option<&Sending>,
    history: &mut History,
    key: Option<[u8; 4]>,
    out: &mut Vec<u8>,
) {
    //= https://www.rfc-editor.org/rfc/rfc6455#section-6.1
    //# The opcode (frame-opcode) of the first frame containing the data
    //# MUST be set to the appropriate value from Section 5.2
    let start = Start { fin: true, rsv1: false, opcode: kind.opcode() };
    if let Some(deflating) = deflating
        && wants(compress, deflating, payload.len())
        && write_compressed(start, payload, deflating, history, key, out)
    {
        return;
    }
    write_frame(start, key, payload, out);
}

/// Appends a compressed message in one frame to `out`, if that makes it shorter.
//= https://www.rfc-editor.org/rfc/rfc7692#section-6.1
//# An endpoint MUST use the following algorithm to send a message in the
//# form of a compressed message.
#[inline(never)]
fn write_compressed(
    start: Start,
    payload: &[u8],
    deflating: &Sending,
    history: &mut History,
    key: Option<[u8; 4]>,
    out: &mut Vec<u8>,
) -> bool {
    let mut compressor = Compressor::begin(deflating, history, payload.len());
    let bytes_max = deflating.bytes_max(history, payload.len());
    let Some(compressed) = compressor.compress(payload, true, bytes_max) else { return false };
    write_frame(Start { rsv1: true, ..start }, key, compressed, out);
    deflating.remember(history, compressed.len(), payload);
    compressor.end(history);
    true
}

/// Whether a message of so many bytes is to be compressed.
fn wants(compress: Compress, deflating: &Sending, bytes: usize) -> bool {
    match compress {
        Compress::IfWorthwhile => deflating.is_worthwhile(bytes),
        Compress::Always => true,
        Compress::Never => false,
    }
}

/// Appends a frame to `out`.
//= https://www.rfc-editor.org/rfc/rfc6455#section-6.1
//# An endpoint MUST encapsulate the /data/ in a WebSocket frame as
//# defined in Section 5.2.
#[inline(always)]
fn write_frame(start: Start, key: Option<[u8; 4]>, payload: &[u8], out: &mut Vec<u8>) {
    if let Some(key) = key {
        return write_masked_frame(start, key, payload, out);
    }
    write_header(start, None, payload, out);
    out.extend_from_slice(payload);
}

#[inline(never)]
fn write_masked_frame(start: Start, key: [u8; 4], payload: &[u8], out: &mut Vec<u8>) {
    write_header(start, Some(key), payload, out);
    let payload_at = out.len();
    out.extend_from_slice(payload);
    mask_from_start(out.get_mut(payload_at..).unwrap_or_default(), key);
}

/// Appends the header of a frame, and makes room for its payload.
#[inline(always)]
fn write_header(start: Start, key: Option<[u8; 4]>, payload: &[u8], out: &mut Vec<u8>) {
    let Start { fin, rsv1, opcode } = start;
    out.reserve(FrameHeader::BYTES_MAX + payload.len());
    FrameHeader { fin, rsv1, opcode, mask: key, payload_bytes: payload.len() as u64 }.write(out);
}

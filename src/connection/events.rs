//! The machine of the receiving half: a run of bytes in, its events out.

use std::mem;

use super::assembly::{Frame, Open, Progress};
use super::close_body::{check_close, parse_close};
use super::message::{Delivery, Event, Kind, Message, OwnedMessage, Part};
use super::receiver::{Receiver, State};
use crate::deflate::Inflater;
use crate::error::Violation;
use crate::frame::{FrameHeader, Opcode, mask_from_start};
use crate::limits::Limits;

/// Compressed bytes that a message may have beyond twice the limit of what it comes to: a stream of many small blocks
/// is longer than its text.
const COMPRESSED_BYTES_SPARE: u64 = 64 * 1024;
/// The compressed bytes of one step: those of them that are not taken are masked again.
const COMPRESSED_STEP_BYTES: usize = 16 * 1024;

/// The events in one run of bytes; made by [`Receiver::receive`].
///
/// It may be dropped early: [`remaining`](Self::remaining) bytes at the end of the run were then not consumed, and are
/// to be given again.
#[derive(Debug)]
pub struct Events<'a> {
    receiver: &'a mut Receiver,
    /// What is not consumed yet.
    bytes: &'a mut [u8],
    /// What was put together from several runs of bytes, for as long as an event borrows it.
    whole: Whole,
}

/// An event's bytes, where they did not lie whole in one run.
#[derive(Debug)]
enum Whole {
    Nothing,
    /// A message that was gathered.
    Message(Box<Progress>),
    Control(Opcode, Vec<u8>),
    /// A part of a message, and whether the message ends with it.
    Part(OwnedMessage, bool),
}

/// What one step of the machine came to.
enum Step<'a> {
    /// An event whose bytes lie in the run.
    Event(Event<'a>),
    /// An event whose bytes are in [`Events::whole`].
    Whole,
    /// Go on.
    Again,
    /// More bytes are needed.
    Starved,
}

impl<'a> Events<'a> {
    pub(super) fn new(receiver: &'a mut Receiver, bytes: &'a mut [u8]) -> Self {
        Self { receiver, bytes, whole: Whole::Nothing }
    }

    /// The next event; `None` when the bytes are used up.
    ///
    /// # Errors
    ///
    /// The first [`Violation`] of the peer, and the same one on each later call. Nothing is delivered after it.
    #[expect(clippy::should_implement_trait, reason = "an Iterator cannot lend")]
    #[inline]
    pub fn next(&mut self) -> Result<Option<Event<'_>>, Violation> {
        match self.whole_message() {
            Some(Ok(message)) => Ok(Some(Event::Message(message))),
            Some(Err(violation)) => Err(violation),
            None => Ok(self.next_of_any_kind()?.map(|(event, _)| event)),
        }
    }

    /// The next event, if it is a message in one frame that lies whole in the run and is neither long nor compressed,
    /// and is to be delivered whole: the way of nearly all messages. Nothing is copied or allocated.
    #[inline(always)]
    pub(crate) fn whole_message(&mut self) -> Option<Result<Message<'a>, Violation>> {
        if !matches!(self.whole, Whole::Nothing) {
            self.forget_whole();
        }
        let Receiver { state: State::Ready, role, delivery: Delivery::Whole, limits, .. } =
            &*self.receiver
        else {
            return None;
        };
        let (header, header_bytes) = FrameHeader::parse_message(self.bytes, role.peer())?;
        let length = header.payload_bytes as usize; // at most 65,535
        let frame_bytes = header_bytes + length;
        if frame_bytes > self.bytes.len() || length > limits.message_bytes_max {
            return None;
        }
        let frame = self.take(frame_bytes);
        let payload = frame.get_mut(header_bytes..).unwrap_or_default();
        //= https://www.rfc-editor.org/rfc/rfc6455#section-6.2
        //# A server MUST remove masking for data frames received from a client
        //# as described in Section 5.3.
        if let Some(key) = header.mask {
            mask_from_start(payload, key);
        }
        Some(data(header.opcode, payload).map_err(|violation| self.receiver.fail(violation)))
    }

    /// The next event, where it is [no such message](Self::whole_message), and how many bytes remain behind it.
    #[inline(never)]
    pub(crate) fn next_of_any_kind(&mut self) -> Result<Option<(Event<'_>, usize)>, Violation> {
        loop {
            match self.step() {
                Ok(Step::Again) => {}
                Ok(Step::Event(event)) => return Ok(Some((event, self.bytes.len()))),
                Ok(Step::Starved) => return Ok(None),
                Ok(Step::Whole) => break,
                Err(violation) => return Err(self.receiver.fail(violation)),
            }
        }
        Ok(self.whole_event()?.map(|event| (event, self.bytes.len())))
    }

    #[cold]
    fn forget_whole(&mut self) {
        if let Whole::Message(progress) = mem::replace(&mut self.whole, Whole::Nothing) {
            progress.give_back();
        }
    }

    /// How many bytes at the end of the run were not consumed yet.
    pub fn remaining(&self) -> usize {
        self.bytes.len()
    }

    /// Whether a further call of [`next`](Self::next) may come to an event.
    #[cfg(feature = "reactor")]
    #[inline]
    pub(crate) fn has_more(&self) -> bool {
        !self.bytes.is_empty()
            || match &self.receiver.state {
                State::Ready | State::Closed => false,
                // Its last bytes may have been read to the room for them.
                State::Busy(progress) => {
                    progress.frame.as_ref().is_some_and(|it| it.missing() == 0)
                }
                State::Failed(_) => true,
            }
    }

    /// Whether a further call of [`next`](Self::next) has nothing to do: there is no event, and nothing to give back.
    #[cfg(feature = "reactor")]
    #[inline]
    pub(crate) fn is_done(&self) -> bool {
        matches!(self.whole, Whole::Nothing) && !self.has_more()
    }

    pub(crate) fn fail(&mut self, violation: Violation) -> Violation {
        self.receiver.fail(violation)
    }

    #[cfg(feature = "reactor")]
    pub(crate) fn set_delivery(&mut self, delivery: Delivery) {
        self.receiver.delivery = delivery;
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.receiver.limits
    }

    fn step(&mut self) -> Result<Step<'a>, Violation> {
        match &mut self.receiver.state {
            State::Ready => self.step_ready(),
            State::Busy(progress) if progress.frame.is_some() => self.step_payload(),
            State::Busy(_) => self.step_header(),
            //= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.7
            //# An endpoint MUST NOT continue to attempt to
            //# process data (including a responding Close frame) from the remote
            //# endpoint after being instructed to _Fail the WebSocket Connection_.
            State::Failed(violation) => Err(*violation),
            State::Closed => {
                self.bytes = &mut [];
                Ok(Step::Starved)
            }
        }
    }

    /// A frame begins, and no message is open.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-6.2
    //# Incoming data MUST be parsed as WebSocket frames
    //# as defined in Section 5.2.
    fn step_ready(&mut self) -> Result<Step<'a>, Violation> {
        let Some((header, header_bytes)) = self.receiver.parse(self.bytes)? else {
            if !self.bytes.is_empty() {
                let mut progress = Progress::lend();
                progress.keep_header(self.take(self.bytes.len()));
                self.receiver.state = State::Busy(progress);
            }
            return Ok(Step::Starved);
        };
        if header.opcode == Opcode::Continuation {
            return Err(Violation::NothingToContinue);
        }
        check_size(&header, 0, self.receiver.delivery, &self.receiver.limits)?;
        let there = self.bytes.len() - header_bytes;
        let whole = !header.rsv1 && (header.fin || header.opcode.is_control());
        let length = match usize::try_from(header.payload_bytes) {
            Ok(length) if length <= there && whole => length,
            _ => {
                self.take(header_bytes);
                return self.begin_frame(header, Progress::lend());
            }
        };
        self.take(header_bytes);
        let payload = self.take(length);
        unmask(payload, &header, 0);
        self.event(header.opcode, payload)
    }

    /// The event of a frame that lies whole in the run and belongs to no fragmented message.
    //= https://www.rfc-editor.org/rfc/rfc7692#section-6.2
    //# An endpoint MUST use the following algorithm to receive a message in
    //# the form of an uncompressed message.
    fn event(&mut self, opcode: Opcode, payload: &'a [u8]) -> Result<Step<'a>, Violation> {
        Ok(Step::Event(match opcode {
            Opcode::Text | Opcode::Binary => {
                let data = data(opcode, payload)?;
                match self.receiver.delivery {
                    Delivery::Whole => Event::Message(data),
                    Delivery::Parts => Event::Part(Part { data, last: true }),
                }
            }
            Opcode::Continuation => return Err(Violation::NothingToContinue),
            //= https://www.rfc-editor.org/rfc/rfc6455#section-6.2
            //# If a control frame (Section 5.5) is
            //# received, the frame MUST be handled as defined by Section 5.5.
            Opcode::Ping => Event::Ping(payload),
            Opcode::Pong => Event::Pong(payload),
            Opcode::Close => {
                let close = parse_close(payload)?;
                self.receiver.state = State::Closed;
                Event::Close(close)
            }
        }))
    }

    /// A header was cut in half, or a fragmented message waits for its next frame.
    fn step_header(&mut self) -> Result<Step<'a>, Violation> {
        let mut progress = match mem::replace(&mut self.receiver.state, State::Ready) {
            State::Busy(progress) => progress,
            other => {
                self.receiver.state = other;
                return Ok(Step::Again);
            }
        };
        let kept = progress.header_bytes();
        let parsed = if kept == 0 {
            self.receiver.parse(self.bytes)?
        } else {
            progress.keep_header(self.bytes);
            self.receiver.parse(progress.kept_header())?
        };
        let Some((header, header_bytes)) = parsed else {
            if kept == 0 {
                progress.keep_header(self.bytes);
            }
            self.bytes = &mut [];
            self.receiver.state = State::Busy(progress);
            return Ok(Step::Starved);
        };
        progress.forget_header();
        self.take(header_bytes - kept);
        self.begin_frame(header, progress)
    }

    /// The header is whole: refuses what it announces, or makes room in the state for it.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-5.4
    //# Clients and servers MUST support receiving both fragmented and
    //# unfragmented messages.
    fn begin_frame(
        &mut self,
        header: FrameHeader,
        mut progress: Box<Progress>,
    ) -> Result<Step<'a>, Violation> {
        let limits = &self.receiver.limits;
        match (header.opcode, &mut progress.message) {
            (Opcode::Text | Opcode::Binary, None) => {
                //= https://www.rfc-editor.org/rfc/rfc6455#section-6.2
                //# Upon
                //# receiving a data frame (Section 5.6), the endpoint MUST note the
                //# /type/ of the data
                let kind = if header.opcode == Opcode::Text { Kind::Text } else { Kind::Binary };
                check_size(&header, 0, self.receiver.delivery, limits)?;
                let mut open = Open::new(kind, self.receiver.delivery);
                open.announced = header.payload_bytes;
                open.ends = header.fin;
                if !header.fin {
                    open.count(&header, limits)?;
                }
                progress.message = Some(open);
                progress.inflater = match self.receiver.inflating {
                    Some(receiving) if header.rsv1 => {
                        Some(Inflater::begin(receiving, &self.receiver.history)?)
                    }
                    _ => None,
                };
            }
            (Opcode::Continuation, Some(open)) => {
                let before = open.announced;
                let compressed = FrameHeader { rsv1: progress.inflater.is_some(), ..header };
                check_size(&compressed, before, open.delivery, limits)?;
                open.announced += header.payload_bytes;
                open.ends = header.fin;
                open.count(&header, limits)?;
            }
            //= https://www.rfc-editor.org/rfc/rfc6455#section-5.4
            //# The fragments of one message MUST NOT be interleaved between the
            //# fragments of another message unless an extension has been
            //# negotiated that can interpret the interleaving.
            (Opcode::Text | Opcode::Binary, Some(_)) => return Err(Violation::MessageInterrupted),
            (Opcode::Continuation, None) => return Err(Violation::NothingToContinue),
            (Opcode::Close, _) if header.payload_bytes == 1 => {
                return Err(Violation::CloseBodyOfOneByte);
            }
            (Opcode::Close | Opcode::Ping | Opcode::Pong, _) => {}
        }
        progress.frame = Some(Frame { header, received: 0 });
        self.receiver.state = State::Busy(progress);
        Ok(Step::Again)
    }

    /// A frame's payload, of which at least a part had not come with its header.
    fn step_payload(&mut self) -> Result<Step<'a>, Violation> {
        let State::Busy(progress) = &mut self.receiver.state else { return Ok(Step::Again) };
        let Some(frame) = &mut progress.frame else { return Ok(Step::Again) };
        let header = frame.header;
        let missing = frame.missing();
        if missing > 0 && self.bytes.is_empty() {
            return Ok(Step::Starved);
        }
        let mut length =
            usize::try_from(missing).map_or(self.bytes.len(), |it| it.min(self.bytes.len()));
        if !header.opcode.is_control() {
            if progress.inflater.is_some() {
                return self.step_compressed(header, length);
            }
            if let Some(open) = &progress.message {
                length = open.cut(length);
            }
        }
        let bytes = mem::take(&mut self.bytes);
        let (piece, rest) = bytes.split_at_mut_checked(length).unwrap_or((&mut [], &mut []));
        self.bytes = rest;
        unmask(piece, &header, frame.received);
        frame.received += piece.len() as u64;
        let ended = frame.missing() == 0;
        if ended {
            progress.frame = None;
        }
        if header.opcode.is_control() {
            self.control(header.opcode, piece, ended)
        } else {
            self.data(piece, ended && header.fin)
        }
    }

    /// A piece of a compressed message, as much of it as makes one step's worth of text.
    //= https://www.rfc-editor.org/rfc/rfc7692#section-6.2
    //# An endpoint MUST use the following algorithm to receive a message in
    //# the form of a compressed message.
    fn step_compressed(
        &mut self,
        header: FrameHeader,
        length: usize,
    ) -> Result<Step<'a>, Violation> {
        let Receiver { state, limits, inflating, history, .. } = &mut *self.receiver;
        let State::Busy(progress) = state else { return Ok(Step::Again) };
        let Progress {
            frame: current,
            message: Some(open),
            inflater: Some(inflater),
            gathered,
            ..
        } = &mut **progress
        else {
            return Ok(Step::Again);
        };
        let Some(frame) = current else { return Ok(Step::Again) };
        let offered = length.min(COMPRESSED_STEP_BYTES);
        let bytes = mem::take(&mut self.bytes);
        let input = bytes.get_mut(..offered).unwrap_or_default();
        unmask(input, &header, frame.received);
        let (taken, text) = inflater.step(input, history)?;
        open.gather_within(text, gathered, limits)?;
        frame.received += taken as u64;
        // What was not taken belongs to the next step: it is as it came.
        let (_, rest) = bytes.split_at_mut_checked(taken).unwrap_or_default();
        let untaken = rest.get_mut(..offered.saturating_sub(taken)).unwrap_or_default();
        unmask(untaken, &header, frame.received);
        self.bytes = rest;

        let frame_ended = frame.missing() == 0;
        let last = frame_ended && header.fin;
        if frame_ended {
            *current = None;
        }
        if last
            && let Some(receiving) = *inflating
            && let Err(violation) = inflater.finish(receiving, history)
        {
            // The text before the mistake is delivered, as it would have been had its bytes come alone.
            if open.delivery == Delivery::Parts
                && let Some(part) = open.take_part(gathered, false)?
            {
                self.whole = Whole::Part(part, false);
                *state = State::Failed(violation);
                return Ok(Step::Whole);
            }
            return Err(violation);
        }
        match (open.delivery, last) {
            (Delivery::Whole, false) => return Ok(Step::Again),
            (Delivery::Whole, true) => {
                open.finish()?;
                return Ok(self.message_ended());
            }
            (Delivery::Parts, _) => match open.take_part(gathered, last)? {
                Some(part) => self.whole = Whole::Part(part, last),
                None => return Ok(Step::Again),
            },
        }
        if last {
            self.receiver.rest();
        }
        Ok(Step::Whole)
    }

    /// A piece of a control frame's payload.
    fn control(
        &mut self,
        opcode: Opcode,
        piece: &[u8],
        ended: bool,
    ) -> Result<Step<'a>, Violation> {
        let State::Busy(progress) = &mut self.receiver.state else { return Ok(Step::Again) };
        //= https://www.rfc-editor.org/rfc/rfc6455#section-5.4
        //# An endpoint MUST be capable of handling control frames in the
        //# middle of a fragmented message.
        progress.control.extend_from_slice(piece);
        if !ended {
            if opcode == Opcode::Close {
                check_close(&progress.control)?;
            }
            return Ok(Step::Starved);
        }
        let payload = mem::take(&mut progress.control);
        if opcode == Opcode::Close {
            parse_close(&payload)?;
            self.receiver.state = State::Closed;
        } else if progress.message.is_none() {
            self.receiver.rest();
        }
        self.whole = Whole::Control(opcode, payload);
        Ok(Step::Whole)
    }

    /// A piece of a message, which may be its last.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-5.4
    //# Message fragments MUST be delivered to the recipient in the order
    //# sent by the sender.
    fn data(&mut self, piece: &'a [u8], last: bool) -> Result<Step<'a>, Violation> {
        let Receiver { state, limits, .. } = &mut *self.receiver;
        let State::Busy(progress) = state else { return Ok(Step::Again) };
        let Progress { message: Some(open), gathered, .. } = &mut **progress else {
            return Ok(Step::Again);
        };
        if open.delivery == Delivery::Parts {
            let step = Self::part(open, piece, last, &mut self.whole)?;
            if last {
                self.receiver.rest();
            }
            return Ok(step);
        }
        let bytes_max = open.plain_bytes_max(limits);
        open.gather(piece, gathered, bytes_max)?;
        if !last {
            return Ok(Step::Again);
        }
        open.finish()?;
        Ok(self.message_ended())
    }

    /// The message that was gathered is whole.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-6.2
    //# Subsequent data frames MUST be interpreted as belonging to a new
    //# WebSocket message.
    fn message_ended(&mut self) -> Step<'a> {
        match mem::replace(&mut self.receiver.state, State::Ready) {
            State::Busy(progress) => self.whole = Whole::Message(progress),
            other => self.receiver.state = other,
        }
        Step::Whole
    }

    /// A piece of a message that is delivered in parts.
    fn part(
        open: &mut Open,
        piece: &'a [u8],
        last: bool,
        whole: &mut Whole,
    ) -> Result<Step<'a>, Violation> {
        let data = match open.kind {
            Kind::Binary => Message::Binary(piece),
            Kind::Text => {
                let valid = open.utf8.feed(piece).map_err(|_| Violation::InvalidUtf8)?;
                if last && !open.utf8.is_complete() {
                    return Err(Violation::InvalidUtf8);
                }
                if let Some(joined) = valid.joined {
                    *whole = Whole::Part(OwnedMessage::Text(joined.into()), last);
                    return Ok(Step::Whole);
                }
                Message::Text(valid.text)
            }
        };
        if data.as_bytes().is_empty() && !last {
            return Ok(Step::Again);
        }
        Ok(Step::Event(Event::Part(Part { data, last })))
    }

    /// The event that lies in `whole`.
    fn whole_event(&self) -> Result<Option<Event<'_>>, Violation> {
        Ok(Some(match &self.whole {
            Whole::Message(progress) => match progress.gathered_message() {
                Some(message) => Event::Message(message),
                None => return Ok(None),
            },
            Whole::Part(part, last) => Event::Part(Part { data: part.as_message(), last: *last }),
            Whole::Control(Opcode::Ping, payload) => Event::Ping(payload),
            Whole::Control(Opcode::Pong, payload) => Event::Pong(payload),
            Whole::Control(_, payload) => Event::Close(parse_close(payload)?),
            Whole::Nothing => return Ok(None),
        }))
    }

    #[inline]
    fn take(&mut self, length: usize) -> &'a mut [u8] {
        let bytes = mem::take(&mut self.bytes);
        let (taken, rest) = bytes.split_at_mut_checked(length).unwrap_or((&mut [], &mut []));
        self.bytes = rest;
        taken
    }
}

/// A whole message that is text or binary.
#[inline]
fn data(opcode: Opcode, payload: &[u8]) -> Result<Message<'_>, Violation> {
    if opcode != Opcode::Text {
        return Ok(Message::Binary(payload));
    }
    match simdutf8::basic::from_utf8(payload) {
        Ok(text) => Ok(Message::Text(text)),
        Err(_) => Err(Violation::InvalidUtf8),
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-6.2
//# A server MUST remove masking for data frames received from a client
//# as described in Section 5.3.
#[inline]
fn unmask(payload: &mut [u8], header: &FrameHeader, offset: u64) {
    if let Some(key) = header.mask {
        crate::frame::mask(payload, key, offset);
    }
}

/// Refuses a frame that would take its message over the limit. `before` is the length of the fragments before it.
#[inline]
fn check_size(
    header: &FrameHeader,
    before: u64,
    delivery: Delivery,
    limits: &Limits,
) -> Result<(), Violation> {
    if delivery == Delivery::Parts || header.opcode.is_control() {
        return Ok(());
    }
    let mut bytes_max = limits.message_bytes_max as u64;
    if header.rsv1 {
        // What they come to is counted when they are inflated; they may be longer than that, but not without end.
        bytes_max = bytes_max.saturating_mul(2).saturating_add(COMPRESSED_BYTES_SPARE);
    }
    //= https://www.rfc-editor.org/rfc/rfc6455#section-10.4
    //# Implementations that have implementation- and/or platform-specific
    //# limitations regarding the frame size or total message size after
    //# reassembly from multiple frames MUST protect themselves against
    //# exceeding those limits.
    match before.checked_add(header.payload_bytes) {
        Some(total) if total <= bytes_max => Ok(()),
        _ => Err(Violation::MessageTooBig),
    }
}

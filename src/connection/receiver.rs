//! The receiving half: bytes in, events out.

use std::mem;
use std::sync::Arc;

use super::assembly::Progress;
use super::events::Events;
use super::message::Delivery;
#[cfg(feature = "reactor")]
use super::message::Kind;
use crate::deflate::{History, Receiving};
use crate::error::Violation;
use crate::frame::{FrameHeader, Role, Rsv1};
use crate::handshake::Agreed;
use crate::limits::Limits;

/// The receiving half of a connection.
///
/// It owns nothing while no frame is cut in half and no fragmented message is open, but for the text that a compressed
/// message may refer to where context takeover was agreed on. Usable alone, for example in a
/// task that only reads; then pings are the caller's to answer, with
/// [`Sender::answer`](super::Sender::answer).
#[derive(Debug)]
pub struct Receiver {
    pub(super) limits: Arc<Limits>,
    pub(super) state: State,
    pub(super) role: Role,
    pub(super) delivery: Delivery,
    /// How the peer may compress, if it may.
    pub(super) inflating: Option<Receiving>,
    /// What its next compressed message may refer to.
    pub(super) history: History,
}

/// Where a part of a message may be read to.
#[cfg(feature = "reactor")]
#[derive(Debug)]
pub(crate) struct Room<'a> {
    pub(crate) bytes: &'a mut [u8],
    /// What was announced of the message, these bytes and those before them included.
    pub(crate) message_bytes: u64,
    /// The message ends with these bytes.
    pub(crate) ends: bool,
}

/// ```text
///          whole frames            close frame
///   Ready --------------> Ready ----------------> Closed
///     |  ^                  |
///     |  | the rest came    | violation (from any state but Closed)
///     v  |                  v
///   Busy                  Failed
/// ```
#[derive(Debug)]
pub(super) enum State {
    /// Between two frames, no message open.
    Ready,
    /// A frame is cut in half, or a fragmented message is open.
    Busy(Box<Progress>),
    /// A close frame came; whatever follows is ignored (RFC 6455 section 5.5.1).
    Closed,
    /// The peer broke a rule; whatever follows is ignored (section 7.1.7).
    Failed(Violation),
}

impl Receiver {
    /// The receiving half for an endpoint of this role, after a handshake that came to this.
    pub fn new(role: Role, agreed: &Agreed, limits: Arc<Limits>) -> Self {
        //= https://www.rfc-editor.org/rfc/rfc7692#section-5
        //# both endpoints MUST use the algorithm described in Section 6
        let inflating = agreed.deflate.map(|deflate| deflate.receiving());
        Self {
            limits,
            state: State::Ready,
            role,
            delivery: Delivery::Whole,
            inflating,
            history: Default::default(),
        }
    }

    /// Takes bytes from the peer, and gives what is in them as events.
    ///
    /// Payloads are unmasked in place; a message that lies whole in `bytes`, and is not compressed, is delivered as a
    /// borrow of them.
    pub fn receive<'a>(&'a mut self, bytes: &'a mut [u8]) -> Events<'a> {
        Events::new(self, bytes)
    }

    /// Chooses how messages are delivered, from the next one on.
    pub fn set_delivery(&mut self, delivery: Delivery) {
        self.delivery = delivery;
    }

    /// Where what comes next may be read to, so that it need not be copied: room for a part of the binary message that
    /// is awaited. `None` where little or nothing is awaited, or something else.
    #[cfg(feature = "reactor")]
    #[inline]
    pub(crate) fn room(&mut self) -> Option<Room<'_>> {
        match &mut self.state {
            State::Busy(progress) => Self::room_in(progress, &self.limits),
            State::Ready | State::Closed | State::Failed(_) => None,
        }
    }

    #[cfg(feature = "reactor")]
    fn room_in<'a>(progress: &'a mut Progress, limits: &Limits) -> Option<Room<'a>> {
        let Progress { frame: Some(frame), message: Some(open), gathered, inflater: None, .. } =
            progress
        else {
            return None;
        };
        if frame.header.opcode.is_control()
            || open.kind != Kind::Binary
            || open.delivery != Delivery::Whole
        {
            return None;
        }
        let missing = usize::try_from(frame.missing()).unwrap_or(usize::MAX);
        let bytes = gathered.room(missing, open.plain_bytes_max(limits))?;
        let ends = open.ends && bytes.len() == missing;
        Some(Room { bytes, message_bytes: open.announced, ends })
    }

    /// So many bytes were read to the [room](Self::room). What comes of them is told by [`receive`](Self::receive),
    /// also where it is given no further bytes.
    #[cfg(feature = "reactor")]
    pub(crate) fn read_to_room(&mut self, count: usize) {
        if let State::Busy(progress) = &mut self.state
            && let Progress { frame: Some(frame), gathered, .. } = &mut **progress
        {
            let piece = gathered.add_read(count);
            if let Some(key) = frame.header.mask {
                crate::frame::mask(piece, key, frame.received);
            }
            frame.received += piece.len() as u64;
        }
    }

    /// How many bytes of what was received are held.
    #[cfg(feature = "reactor")]
    #[inline]
    pub(crate) fn held_bytes(&self) -> usize {
        let history = self.history.bytes();
        match &self.state {
            State::Busy(progress) => progress.held_bytes() + history,
            State::Ready | State::Closed | State::Failed(_) => history,
        }
    }

    /// Whether a close frame was received.
    pub fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    /// The violation that ended the connection, if one did.
    pub fn violation(&self) -> Option<Violation> {
        match self.state {
            State::Failed(violation) => Some(violation),
            State::Ready | State::Busy(_) | State::Closed => None,
        }
    }

    pub(crate) fn limits(&self) -> &Arc<Limits> {
        &self.limits
    }

    pub(super) fn role(&self) -> Role {
        self.role
    }

    //= https://www.rfc-editor.org/rfc/rfc6455#section-10.7
    //# Incoming data MUST always be validated by both clients and servers.
    pub(super) fn parse(&self, bytes: &[u8]) -> Result<Option<(FrameHeader, usize)>, Violation> {
        //= https://www.rfc-editor.org/rfc/rfc6455#section-5.8
        //# The endpoints of a connection
        //# MUST negotiate the use of any extensions during the opening
        //# handshake.
        let rsv1 = if self.inflating.is_some() { Rsv1::Compressed } else { Rsv1::Reserved };
        FrameHeader::parse(bytes, self.role.peer(), rsv1)
    }

    /// Between two frames, with no message open.
    pub(super) fn rest(&mut self) {
        if let State::Busy(progress) = mem::replace(&mut self.state, State::Ready) {
            progress.give_back();
        }
    }

    pub(super) fn fail(&mut self, violation: Violation) -> Violation {
        self.state = State::Failed(violation);
        violation
    }
}

#[cfg(test)]
#[cfg(feature = "reactor")]
mod tests {
    use super::*;
    use crate::connection::{Event, Message};

    /// A receiver of a client that has got the header of a frame and the first byte of its payload.
    fn begun(delivery: Delivery, first: u8, payload_bytes: u16) -> Receiver {
        let mut receiver = Receiver::new(Role::Client, &Agreed::default(), Arc::default());
        receiver.set_delivery(delivery);
        let [a, b] = payload_bytes.to_be_bytes();
        let mut bytes = [first, 126, a, b, b'x'];
        let mut events = receiver.receive(&mut bytes);
        while events.next().unwrap().is_some() {}
        receiver
    }

    #[test]
    fn there_is_room_for_a_long_binary_message_that_is_delivered_whole_and_for_nothing_else() {
        let rows = [
            (Delivery::Whole, 0x82, 60_000, true),
            (Delivery::Whole, 0x02, 60_000, true),
            (Delivery::Parts, 0x82, 60_000, false),
            (Delivery::Whole, 0x81, 60_000, false),
            (Delivery::Whole, 0x82, 4_097, true),
            (Delivery::Whole, 0x82, 4_096, false),
        ];
        for (delivery, first, payload_bytes, expected) in rows {
            let mut receiver = begun(delivery, first, payload_bytes);
            let room = receiver.room();
            assert_eq!(room.is_some(), expected, "{delivery:?}, {first:#x}, {payload_bytes} bytes");
            assert!(room.is_none_or(|it| !it.bytes.is_empty()));
        }
    }

    #[test]
    fn there_is_room_for_as_much_again_as_has_come_and_for_no_more_than_is_missing() {
        let mut receiver = begun(Delivery::Whole, 0x82, 60_000);
        for expected in [4_095, 4_096, 8_192, 16_384, 27_232] {
            let length = receiver.room().unwrap().bytes.len();
            assert_eq!(length, expected);
            receiver.read_to_room(length);
        }
        assert!(receiver.room().is_none());
    }

    #[test]
    fn room_tells_how_long_the_message_is_and_whether_it_ends_with_it() {
        let mut receiver = begun(Delivery::Whole, 0x82, 60_000);
        for expected in [false, false, false, false, true] {
            let room = receiver.room().unwrap();
            assert_eq!((room.message_bytes, room.ends), (60_000, expected));
            let length = room.bytes.len();
            receiver.read_to_room(length);
        }
        let mut fragment = begun(Delivery::Whole, 0x02, 4_097);
        assert!(!fragment.room().unwrap().ends, "others follow");
    }

    #[test]
    fn what_is_read_to_room_is_delivered_with_what_came_before_and_after() {
        let mut receiver = begun(Delivery::Whole, 0x82, 60_000);
        let mut missing = 59_999;
        while let Some(room) = receiver.room() {
            assert!(!room.bytes.is_empty());
            let count = room.bytes.len().min(7_000);
            room.bytes[..count].fill(b'y');
            receiver.read_to_room(count);
            missing -= count;
        }
        let mut rest = vec![b'z'; missing];
        let expected = [&b"x"[..], &vec![b'y'; 59_999 - missing], &rest].concat();
        let mut events = receiver.receive(&mut rest);
        assert_eq!(events.next().unwrap(), Some(Event::Message(Message::Binary(&expected))));
    }
}

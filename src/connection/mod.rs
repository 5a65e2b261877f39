//! The WebSocket connection after its opening handshake, without any I/O (RFC 6455 sections 5 to 7).
//!
//! Bytes and a time go in, events and bytes come out. There is no socket, no clock and no random source here, so the
//! same code runs under mio, under an async runtime, in a fuzzer and in a simulator, with the same result each time.

mod assembly;
mod close_body;
mod deadlines;
mod events;
mod gathered;
mod message;
mod prepared;
mod receiver;
mod sender;

use std::sync::Arc;
use std::time::Instant;

use crate::close::CloseCode;
use crate::error::{SendError, Violation};
use crate::frame::Role;
use crate::handshake::Agreed;
use crate::limits::Limits;
pub(crate) use deadlines::{Deadlines, Due};
pub use events::Events;
pub use message::{Compress, Delivery, Event, Message, Outgoing, OwnedMessage, Part};
pub use prepared::Prepared;
pub use receiver::Receiver;
pub use sender::{MaskKeys, Sender};
#[cfg(feature = "reactor")]
pub(crate) use {
    message::{Kind, Payload},
    prepared::{Encoding, encode},
};

/// A WebSocket connection: a [`Receiver`] and a [`Sender`] tied together, with deadlines.
///
/// # How to drive it
///
/// ```
/// use std::{sync::Arc, time::Instant};
/// use tautline::{Connection, Event, Limits, handshake::Agreed};
///
/// let agreed = Agreed::default(); // from the opening handshake
/// let mut ws = Connection::server(&agreed, &Arc::new(Limits::default()), Instant::now());
/// let mut out = Vec::new(); // what goes to the peer next
///
/// // Bytes came from the peer: a masked "Hello".
/// let mut bytes = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
/// let mut incoming = ws.receive(Instant::now(), &mut bytes);
/// let outcome = loop {
///     match incoming.next() {
///         Ok(Some((event, sender))) => {
///             if let Event::Message(message) = event {
///                 sender.send(message, &mut out)?;
///             }
///             sender.flush(&mut out); // the pong to a ping, the close to a close
///         }
///         Ok(None) => break Ok(()),
///         Err(violation) => break Err(violation),
///     }
/// };
/// ws.flush(&mut out); // where a rule was broken: the close frame that says so
/// assert_eq!(out, b"\x81\x05Hello"); // to the socket, and only then:
/// outcome?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// 1. When bytes come, [`receive`](Self::receive) them, take all events, and [`flush`](Self::flush), also after an
///    error: a close frame that says what was wrong is then owed. After a [`close`](Self::close) of yours messages still
///    come, and none can be sent: ask [`Sender::is_closed`].
/// 2. To send, call [`send`](Self::send), [`send_part`](Self::send_part), [`ping`](Self::ping) or
///    [`close`](Self::close). All of them append to a buffer that you own and write to the socket in one go.
/// 3. At the time of [`deadline`](Self::deadline), call [`on_deadline`](Self::on_deadline).
/// 4. When [`is_over`](Self::is_over), or after an error, write what there is and end the stream: a server shuts down
///    its direction at once, and reads on to the peer's end or the deadline before it closes the socket, as one with
///    bytes unread is reset and takes the close frame with it; a client gives the server until the deadline to end it
///    first (RFC 6455 section 7.1.1).
///
/// # Promises
///
/// - However the bytes are cut, the events, the output and the error are the same.
/// - A violation is refused when the header that shows it is whole, or at the byte of a payload that shows it; nothing is
///   delivered after it, and nothing is allocated for what it announced.
/// - At rest, between two messages, nothing is owned besides this struct, and the text that a compressed message may
///   refer to where context takeover was agreed on.
/// - No bytes make it panic.
#[derive(Debug)]
pub struct Connection {
    pub(crate) receiver: Receiver,
    pub(crate) sender: Sender,
    pub(crate) deadlines: Deadlines,
}

impl Connection {
    /// The server's end of a connection whose opening handshake is done.
    pub fn server(agreed: &Agreed, limits: &Arc<Limits>, now: Instant) -> Self {
        let receiver = Receiver::new(Role::Server, agreed, Arc::clone(limits));
        Self::new(receiver, Sender::server(agreed), now)
    }

    /// The client's end of a connection whose opening handshake is done.
    pub fn client(
        agreed: &Agreed,
        limits: &Arc<Limits>,
        now: Instant,
        keys: impl MaskKeys + 'static,
    ) -> Self {
        let receiver = Receiver::new(Role::Client, agreed, Arc::clone(limits));
        Self::new(receiver, Sender::client(agreed, keys), now)
    }

    fn new(receiver: Receiver, sender: Sender, now: Instant) -> Self {
        Self { receiver, sender, deadlines: Deadlines::new(now) }
    }

    /// The two halves, for tasks of their own. What ties them is then the caller's: to hand each event to
    /// [`Sender::answer`] and a violation to [`Sender::fail`], to flush what they owe, and to keep the deadlines. How many
    /// pings wait for their answers is not limited then; only the newest is answered in any case.
    pub fn split(self) -> (Receiver, Sender) {
        (self.receiver, self.sender)
    }

    /// Chooses how messages are delivered, from the next one on.
    pub fn set_delivery(&mut self, delivery: Delivery) {
        self.receiver.set_delivery(delivery);
    }

    /// Takes bytes from the peer. They are unmasked in place.
    pub fn receive<'a>(&'a mut self, now: Instant, bytes: &'a mut [u8]) -> Incoming<'a> {
        self.deadlines = self.settled();
        if !bytes.is_empty() {
            self.deadlines.heard(now);
        }
        Incoming {
            events: self.receiver.receive(bytes),
            sender: &mut self.sender,
            deadlines: &mut self.deadlines,
            now,
        }
    }

    /// See [`Sender::send`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn send<'m>(
        &mut self,
        message: impl Into<Outgoing<Message<'m>>>,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        self.sender.send(message, out)
    }

    /// See [`Sender::send_prepared`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn send_prepared(
        &mut self,
        prepared: &mut Prepared,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        self.sender.send_prepared(prepared, out)
    }

    /// See [`Sender::send_part`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn send_part<'m>(
        &mut self,
        part: impl Into<Outgoing<Part<'m>>>,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        self.sender.send_part(part, out)
    }

    /// See [`Sender::ping`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn ping(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), SendError> {
        self.sender.ping(payload, out)
    }

    /// Sends a close frame; the peer has [`close_within`](Limits::close_within) to answer it.
    ///
    /// # Errors
    ///
    /// As [`Sender::close`].
    pub fn close(
        &mut self,
        now: Instant,
        code: CloseCode,
        reason: &str,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        self.sender.close(code, reason, out)?;
        self.deadlines.closing(now);
        Ok(())
    }

    /// Writes what is owed to the peer. See [`Sender::flush`].
    #[inline]
    pub fn flush(&mut self, out: &mut Vec<u8>) {
        self.sender.flush(out);
    }

    /// When [`on_deadline`](Self::on_deadline) has to be called, if nothing comes before; `None` is never.
    pub fn deadline(&self) -> Option<Instant> {
        self.settled().next(self.receiver.limits())
    }

    /// [`Incoming`] lends the sending half alone: a close frame that was sent with it has its deadline too.
    fn settled(&self) -> Deadlines {
        let mut deadlines = self.deadlines;
        if self.sender.is_closed() {
            deadlines.closing_since_heard();
        }
        deadlines
    }

    /// Does what is due: asks a silent peer whether it lives, closes a connection without messages, or says that the
    /// socket is to be cut. Calling it early does nothing.
    pub fn on_deadline(&mut self, now: Instant, out: &mut Vec<u8>) -> Expired {
        self.deadlines = self.settled();
        match self.deadlines.expire(now, self.receiver.limits()) {
            Due::Nothing => Expired::Nothing,
            Due::PeerSilent => Expired::PeerSilent,
            Due::CloseUnanswered => Expired::CloseUnanswered,
            // An error says that a close frame was sent already, which has a deadline of its own.
            Due::Ping => self.ping(&[], out).map_or(Expired::Nothing, |()| Expired::Asked),
            Due::Idle => {
                let _ = self.close(now, CloseCode::GOING_AWAY, "idle", out);
                self.deadlines.closing(now);
                Expired::Idle
            }
        }
    }

    /// Whether nothing further can be delivered or sent: a close frame went each way, or the peer broke a rule.
    pub fn is_over(&self) -> bool {
        let received = self.receiver.is_closed() || self.receiver.violation().is_some();
        received && self.sender.is_closed()
    }

    /// Whether a close frame was sent, or is owed, so that [`deadline`](Self::deadline) is the end.
    pub fn is_closing(&self) -> bool {
        self.sender.is_closed()
    }

    /// Which end this is.
    pub fn role(&self) -> Role {
        self.receiver.role()
    }
}

/// What came of a deadline; from [`Connection::on_deadline`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expired {
    /// Nothing was due.
    Nothing,
    /// The peer was silent for [`ping_after`](Limits::ping_after); a ping was written.
    Asked,
    /// No message came for [`idle_after`](Limits::idle_after); a close frame with 1001 was written.
    Idle,
    /// The peer did not answer a ping [within the limit](Limits::pong_within): cut the socket.
    PeerSilent,
    /// A close frame was sent [so long](Limits::close_within) ago: cut the socket, answered or not.
    CloseUnanswered,
}

/// The events in a run of bytes; made by [`Connection::receive`].
#[derive(Debug)]
pub struct Incoming<'a> {
    events: Events<'a>,
    sender: &'a mut Sender,
    deadlines: &'a mut Deadlines,
    now: Instant,
}

impl Incoming<'_> {
    /// The next event, with the sending half to answer it; `None` when the bytes are used up.
    ///
    /// # Errors
    ///
    /// The first [`Violation`] of the peer, and the same one on each later call. A close frame with its code is then
    /// owed: [`flush`](Connection::flush), and close the socket.
    #[expect(clippy::should_implement_trait, reason = "an Iterator cannot lend")]
    #[inline]
    pub fn next(&mut self) -> Result<Option<(Event<'_>, &mut Sender)>, Violation> {
        let next = if self.sender.is_flooded(self.events.limits()) {
            Err(self.events.fail(Violation::TooManyPings))
        } else {
            self.events.next()
        };
        match next {
            Ok(Some(event)) => {
                note(&event, self.sender, self.deadlines, self.now);
                Ok(Some((event, self.sender)))
            }
            Ok(None) => Ok(None),
            Err(violation) => {
                self.sender.fail(violation);
                self.deadlines.closing(self.now);
                Err(violation)
            }
        }
    }

    /// How many bytes at the end of the run were not consumed yet: where this is dropped early, they are to be given
    /// again.
    pub fn remaining(&self) -> usize {
        self.events.remaining()
    }
}

/// What ties the halves: an event of the receiving half tells the sending half what to answer, and the deadlines what
/// came.
#[inline]
pub(crate) fn note(
    event: &Event<'_>,
    sender: &mut Sender,
    deadlines: &mut Deadlines,
    now: Instant,
) {
    sender.answer(event);
    match event {
        Event::Message(_) | Event::Part(_) => deadlines.message(now),
        Event::Close(_) => deadlines.closing(now),
        Event::Ping(_) | Event::Pong(_) => {}
    }
}

//! What a handler can do: [`Context`] for one connection, [`Hub`] for all.

use std::net::SocketAddr;
use std::time::Duration;
use std::{fmt, mem};

use super::counters::Counters;
use super::sending::SendStatus;
use super::slab::ConnectionId;
use super::tls::Tls;
use super::world::{Dial, Slot, State, World};
use super::write::Write;
use crate::close::CloseCode;
use crate::connection::{Delivery, Message, Outgoing, Part, Payload, Prepared};
use crate::frame::Role;
use crate::handshake::ClientRequest;

/// A connection, in the hands of a [`Handler`](super::Handler).
///
/// What is sent here is written when the handler returns, all of it in one go. Only a long message may be written at
/// once, with what was sent before it: one of 96 KiB and more, and the first of 24 KiB and more in answer to the last of
/// the messages that were read together.
pub struct Context<'a, S> {
    world: &'a mut World<S>,
    id: ConnectionId,
    /// Its socket, while what came from it is handled.
    socket: Option<&'a mut dyn Write>,
    /// What is sent first is likely to be the last that is to be written now.
    is_last: bool,
}

/// A payload from this length on is written at once, from where it lies: to copy it costs more than a write of its own.
/// Shorter ones are cheaper in one write with those before and behind them.
const WRITTEN_AT_ONCE_BYTES: usize = 96 * 1024;
/// The same where nothing is likely to follow: what is saved is the copy, at the price of a list of two things to write.
const LAST_WRITTEN_AT_ONCE_BYTES: usize = 24 * 1024;

impl<'a, S> Context<'a, S> {
    pub(super) fn new(world: &'a mut World<S>, id: ConnectionId) -> Self {
        Self { world, id, socket: None, is_last: false }
    }

    pub(super) fn reading(
        world: &'a mut World<S>,
        id: ConnectionId,
        socket: Option<&'a mut dyn Write>,
        is_last: bool,
    ) -> Self {
        Self { world, id, socket, is_last }
    }

    /// Which connection this is.
    pub fn id(&self) -> ConnectionId {
        self.id
    }

    /// Which end of the connection this is: [`Role::Server`] where it was accepted, [`Role::Client`] where it was made.
    pub fn role(&self) -> Role {
        self.world.role(self.id)
    }

    /// What the application keeps for this connection.
    #[expect(
        clippy::missing_panics_doc,
        clippy::expect_used,
        reason = "a context is made for a slot that exists"
    )]
    pub fn session(&mut self) -> &mut S {
        // A connection leaves the slab only after its handler was told of its end, between two contexts.
        &mut self.world.slots.get_mut(self.id).expect("a context's connection exists").session
    }

    /// Sends a message.
    #[inline]
    pub fn send<'m>(&mut self, message: impl Into<Outgoing<Message<'m>>>) -> SendStatus {
        let payload = Payload::from(message.into());
        if payload.bytes.len() < LAST_WRITTEN_AT_ONCE_BYTES {
            return self.world.send(self.id, &payload);
        }
        self.send_long(&payload)
    }

    fn send_long(&mut self, payload: &Payload<'_>) -> SendStatus {
        let is_last = mem::take(&mut self.is_last);
        let is_long = payload.bytes.len() >= WRITTEN_AT_ONCE_BYTES;
        match &mut self.socket {
            Some(socket) if is_long => self.world.send_at_once(self.id, payload, *socket),
            Some(socket) if is_last => self.world.send_last(self.id, payload, *socket),
            _ => self.world.send(self.id, payload),
        }
    }

    /// Sends a message that goes to many connections, and is encoded and compressed once for all of them. For the
    /// subscribers of a topic [`publish`](Self::publish) does it.
    pub fn send_prepared(&mut self, prepared: &mut Prepared) -> SendStatus {
        self.world.send_prepared(self.id, prepared)
    }

    /// Sends a part of a message, as a fragment. What is published in between waits for the last part, as long as it
    /// stays within [`outbox_bytes_max`](crate::Limits::outbox_bytes_max).
    pub fn send_part<'m>(&mut self, part: impl Into<Outgoing<Part<'m>>>) -> SendStatus {
        self.world.send_part(self.id, part.into())
    }

    /// Sends a ping with at most 125 bytes. The loop asks silent peers by itself; this is for measuring, with
    /// [`on_pong`](super::Handler::on_pong).
    pub fn ping(&mut self, payload: &[u8]) -> SendStatus {
        self.world.ping(self.id, payload)
    }

    /// Begins the closing handshake, with a reason of at most 123 bytes. Nothing can be sent after it, but for answers
    /// to pings; messages of the peer still come until it has answered. [`on_close`](super::Handler::on_close) tells
    /// when that is done, or was given up.
    pub fn close(&mut self, code: CloseCode, reason: &str) -> SendStatus {
        self.world.close(self.id, code, reason)
    }

    /// Chooses how messages are delivered, from the next one on: whole, or in parts to
    /// [`on_part`](super::Handler::on_part).
    pub fn set_delivery(&mut self, delivery: Delivery) {
        self.world.set_delivery(self.id, delivery);
    }

    /// Takes no further message from the peer, until [`resume_reading`](Self::resume_reading): what it sends fills its
    /// socket, and then the peer has to wait too. So a proxy pauses where a message comes from while it is
    /// [`Queued`](SendStatus::Queued) where it goes to, and resumes it in that one's
    /// [`on_drain`](super::Handler::on_drain):
    ///
    /// ```
    /// use tautline::reactor::{Closed, ConnectionId, Context, Handler, SendStatus};
    /// use tautline::{CloseCode, Message};
    ///
    /// /// What one of the two says, the other one gets, as fast as that one reads.
    /// struct Pipe;
    ///
    /// impl Handler for Pipe {
    ///     type Session = Option<ConnectionId>; // the other one
    ///
    ///     fn on_message(&mut self, cx: &mut Context<'_, Self::Session>, message: Message<'_>) {
    ///         let Some(other) = *cx.session() else { return };
    ///         let sent = cx.connection(other).map(|mut it| it.send(message));
    ///         if sent == Some(SendStatus::Queued) {
    ///             cx.pause_reading();
    ///         }
    ///     }
    ///
    ///     fn on_drain(&mut self, cx: &mut Context<'_, Self::Session>) {
    ///         if let Some(mut other) = cx.session().and_then(|id| cx.connection(id)) {
    ///             other.resume_reading();
    ///         }
    ///     }
    ///
    ///     fn on_close(&mut self, cx: &mut Context<'_, Self::Session>, _closed: &Closed) {
    ///         // It may be paused, and nobody else would resume it.
    ///         if let Some(mut other) = cx.session().and_then(|id| cx.connection(id)) {
    ///             other.close(CloseCode::GOING_AWAY, "the other one has left");
    ///         }
    ///     }
    /// }
    /// ```
    ///
    /// While it lasts, the peer's pings are not answered, and its silence and its end are not noticed, unless something
    /// waits for it, which it has to take as any other peer has: who pauses has to resume. Closing resumes by itself;
    /// what is closing already, or is no WebSocket, is not paused.
    pub fn pause_reading(&mut self) {
        self.world.pause_reading(self.id);
    }

    /// Takes the peer's messages again, those that have come meanwhile first. Its deadlines begin anew.
    pub fn resume_reading(&mut self) {
        self.world.resume_reading(self.id);
    }

    /// Subscribes to a topic. False where it was already, or the connection is not open.
    pub fn subscribe(&mut self, topic: &str) -> bool {
        self.world.subscribe(self.id, topic)
    }

    /// Ends a subscription.
    pub fn unsubscribe(&mut self, topic: &str) {
        self.world.unsubscribe(self.id, topic);
    }

    /// Publishes to all subscribers of a topic, this connection among them if it is one. It is encoded, and compressed,
    /// once for all that agreed on the same; with context takeover it refers to no earlier message.
    pub fn publish<'m>(&mut self, topic: &str, message: impl Into<Outgoing<Message<'m>>>) {
        self.world.topics.publish(topic, message.into().into(), None);
    }

    /// Publishes to all subscribers of a topic but this connection.
    pub fn publish_to_others<'m>(
        &mut self,
        topic: &str,
        message: impl Into<Outgoing<Message<'m>>>,
    ) {
        self.world.topics.publish(topic, message.into().into(), Some(self.id));
    }

    /// Sends a piece of an answer that is a [stream](super::Answer::Stream), as one chunk (RFC 9112 section 7.1);
    /// nothing for no bytes. [`NotOpen`](super::Dropped::NotOpen) on a WebSocket, inside of
    /// [`on_request`](super::Handler::on_request), and once the answer is finished.
    pub fn write(&mut self, bytes: &[u8]) -> SendStatus {
        self.world.write_to_stream(self.id, bytes)
    }

    /// Says that an answer that is a [stream](super::Answer::Stream) is whole. Once that is written,
    /// [`on_close`](super::Handler::on_close) is told [`Agreed`](super::Closed::Agreed) without a code, and the
    /// connection ends. [`NotOpen`](super::Dropped::NotOpen) where [`write`](Self::write) would say so.
    pub fn finish(&mut self) -> SendStatus {
        self.world.finish_stream(self.id)
    }

    /// How many bytes wait for the peer: because its socket is full, or to be written at the end of the turn. What was
    /// encrypted already is not counted, nor what is sent to the connection whose event is being handled before that is
    /// over.
    pub fn waiting_bytes(&self) -> usize {
        self.world.slots.get(self.id).map_or(0, Slot::waiting_bytes)
    }

    /// Another connection.
    pub fn connection(&mut self, id: ConnectionId) -> Option<Context<'_, S>> {
        self.hub().into_connection(id)
    }

    /// All connections.
    pub fn hub(&mut self) -> Hub<'_, S> {
        Hub { world: self.world }
    }
}

/// All connections of a loop.
pub struct Hub<'a, S> {
    world: &'a mut World<S>,
}

impl<'a, S> Hub<'a, S> {
    pub(super) fn new(world: &'a mut World<S>) -> Self {
        Self { world }
    }

    /// A connection that the handler knows and that has not ended.
    pub fn connection(&mut self, id: ConnectionId) -> Option<Context<'_, S>> {
        Hub { world: self.world }.into_connection(id)
    }

    fn into_connection(self, id: ConnectionId) -> Option<Context<'a, S>> {
        let open = self.world.slots.get(id)?.is_open();
        open.then_some(Context::new(self.world, id))
    }

    /// How many connections there are, those in a handshake included.
    pub fn connections(&self) -> usize {
        self.world.slots.len()
    }

    /// How many of them are in their opening handshake, of those that were accepted.
    pub fn handshakes(&self) -> usize {
        self.world.sites.handshakes()
    }

    /// How many bytes they hold together, as [`held_bytes_max`](crate::Limits::held_bytes_max) counts them.
    pub fn held_bytes(&self) -> usize {
        self.world.memory.total()
    }

    /// What the loop has done since it began.
    pub fn counters(&self) -> &Counters {
        &self.world.counters
    }

    /// Publishes to all subscribers of a topic.
    pub fn publish<'m>(&mut self, topic: &str, message: impl Into<Outgoing<Message<'m>>>) {
        self.world.topics.publish(topic, message.into().into(), None);
    }

    /// Makes a connection, on this loop. [`on_open`](super::Handler::on_open) or
    /// [`on_close`](super::Handler::on_close) tell what came of it.
    ///
    /// The address is where to connect to; the request's URL says what to ask for. To find the address of a host name
    /// is for a thread that may wait.
    ///
    /// # Errors
    ///
    /// When no connection can be made now, or not to such a URL; the handler is then told nothing.
    pub fn connect(
        &mut self,
        address: SocketAddr,
        request: ClientRequest,
        session: S,
    ) -> Result<ConnectionId, ConnectError> {
        if self.world.shuts_down {
            return Err(ConnectError::ShuttingDown);
        }
        if self.world.slots.len() >= self.world.limits.connections_max {
            return Err(ConnectError::Full);
        }
        let tls = self.tls(&request)?;
        let until = self.world.handshake_deadline();
        let mut slot = Slot::new(Role::Client, session, State::Opening { until });
        slot.known = true;
        let id = self.world.slots.insert(slot).map_err(|_| ConnectError::Full)?;
        self.world.schedule(id);
        self.world.dials.push_back(Dial { id, address, request, tls });
        Ok(id)
    }

    /// The TLS of a connection that is to be made.
    #[cfg(feature = "tls")]
    fn tls(&self, request: &ClientRequest) -> Result<Option<Box<Tls>>, ConnectError> {
        if !request.url().is_secure() {
            return Ok(None);
        }
        let tls = self.world.client_tls.as_ref().ok_or(ConnectError::NoTls)?;
        Ok(Some(Tls::new(tls.session(request.url().host()).map_err(|_| ConnectError::NoName)?)))
    }

    #[cfg(not(feature = "tls"))]
    fn tls(&self, request: &ClientRequest) -> Result<Option<Box<Tls>>, ConnectError> {
        if request.url().is_secure() { Err(ConnectError::NoTls) } else { Ok(None) }
    }

    /// Ends the loop: nothing more is accepted, each connection is closed with 1001, or its answer finished, one after
    /// the other over the time given, so that they do not all come back at once. Once the last one has ended,
    /// [`run`](super::Reactor::run) returns. Its peer has [`close_within`](crate::Limits::close_within) to answer, and
    /// as long again to end the stream; who gets an answer, first [`pong_within`](crate::Limits::pong_within) to take
    /// what waits of it.
    ///
    /// Where it was asked for before, it ends at the earlier of both times: a second signal can hurry it.
    pub fn shutdown(&mut self, within: Duration) {
        self.world.shutdown = Some(self.world.shutdown.map_or(within, |it| it.min(within)));
        self.world.shuts_down = true;
    }
}

/// Why a connection is not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectError {
    /// A `wss://` URL, and no TLS: [`Reactor::client_tls`](super::Reactor::client_tls) says whom to trust.
    NoTls,
    /// A `wss://` URL whose host is no name that a certificate could be for.
    NoName,
    /// The loop is shutting down.
    ShuttingDown,
    /// There are [`connections_max`](crate::Limits::connections_max) connections already.
    Full,
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTls => write!(f, "wss:// needs TLS: give the reactor a client_tls"),
            Self::NoName => write!(f, "the host is no name that a certificate could be for"),
            Self::ShuttingDown => write!(f, "the loop is shutting down"),
            Self::Full => write!(f, "the loop has as many connections as it may have"),
        }
    }
}

impl std::error::Error for ConnectError {}

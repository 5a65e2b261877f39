//! Reading of sockets, and their end.

use std::io::{self, ErrorKind, IoSliceMut};
use std::net::SocketAddr;

use super::context::Context;
use super::handler::{Closed, Handler};
use super::net::{Net, Ready};
use super::open::{Dialing, Head};
use super::slab::ConnectionId;
use super::tls::Tls;
use super::world::{BeforeEvent, State, World};
use super::write::{Line, uninterrupted, write_out};
use super::{READS_MAX, RECEIVE_BYTES, Reactor, SEND_BYTES};
use crate::connection::{Event, Events, Receiver};
use crate::error::Violation;
use crate::frame::FrameHeader;

/// The longest payload that fits into the receive buffer with its header.
const FITTING_BYTES_MAX: usize = RECEIVE_BYTES - FrameHeader::BYTES_MAX;
/// So much is read of what is likely to be the start of a longer one.
const START_BYTES: usize = 16 * 1024;

/// A socket, and what becomes of the bytes that come from it.
pub(super) struct Socket<St> {
    pub(super) stream: St,
    pub(super) tls: Option<Box<Tls>>,
    pub(super) inbound: Inbound,
    /// Frames that were read and wait until what was answered before is read by the peer.
    unread: Option<Box<(Vec<u8>, usize)>>,
    /// There may be something to read.
    pub(super) readable: bool,
    /// It is in `again`.
    again: bool,
    /// It is registered to tell of room to write.
    pub(super) tells_room: bool,
    /// The peer has ended its direction: reading goes on to the end.
    pub(super) read_closed: bool,
    /// What was read last belongs to a message that does not fit into the receive buffer; nothing behind it was read.
    after_long: bool,
    /// Our direction is ended, or left to end with the peer's.
    shut: bool,
    /// The end of the stream was read.
    pub(super) at_end: bool,
}

/// What becomes of the bytes that come.
pub(super) enum Inbound {
    /// A request is awaited from this address; the part of it that came, if a part came.
    Request(SocketAddr, Option<Box<Head>>),
    /// We connect, and then await the answer to our request.
    Answer(Box<Dialing>),
    /// Frames.
    Frames(Receiver),
    /// Thrown away, so that the peer gets to read our last words before the stream is reset.
    Nothing,
}

/// Where bytes come from.
enum Source {
    /// What was read before.
    Unread(Box<(Vec<u8>, usize)>),
    Tls,
    Plain,
}

impl<St> Socket<St> {
    pub(super) fn new(stream: St, tls: Option<Box<Tls>>, inbound: Inbound) -> Self {
        // A client leaves it to the server to end the stream first (RFC 6455 section 7.1.1).
        let dials = matches!(inbound, Inbound::Answer(_));
        Self {
            stream,
            tls,
            inbound,
            unread: None,
            readable: false,
            again: false,
            tells_room: dials,
            read_closed: false,
            after_long: false,
            shut: dials,
            at_end: false,
        }
    }
}

impl<St> Socket<St> {
    /// What it holds of what was received, and of what TLS has to send.
    #[inline]
    pub(super) fn held_bytes(&self) -> usize {
        let inbound = match &self.inbound {
            Inbound::Frames(receiver) => receiver.held_bytes(),
            Inbound::Request(_, head) => head.as_ref().map_or(0, |it| it.held_bytes()),
            Inbound::Answer(dialing) => dialing.held_bytes(),
            Inbound::Nothing => 0,
        };
        let unread = self.unread.as_ref().map_or(0, |it| it.0.len());
        inbound + unread + self.tls.as_ref().map_or(0, |it| it.held_bytes())
    }
}

impl<H: Handler, N: Net> Reactor<H, N> {
    pub(super) fn socket(&mut self, id: ConnectionId) -> Option<&mut Socket<N::Stream>> {
        // Late events name connections that are gone.
        self.world.slots.get(id)?;
        self.sockets.get_mut(id.index as usize)?.as_mut()
    }

    pub(super) fn on_ready(&mut self, id: ConnectionId, event: Ready) {
        let Some(socket) = self.socket(id) else { return };
        socket.readable |= event.readable || event.read_closed;
        socket.read_closed |= event.read_closed;
        let dials = matches!(&socket.inbound, Inbound::Answer(it) if !it.is_connected());
        // One that is read again in the next turn has had its share of this one.
        let again = socket.again;
        if event.writable && dials {
            self.on_connected(id);
        } else if event.writable {
            self.on_writable(id);
        }
        if !again {
            self.read(id);
        }
    }

    /// Reads what there is, up to a share that leaves the others their turn, and handles it.
    pub(super) fn read(&mut self, id: ConnectionId) {
        let Some(socket) = self.socket(id) else { return };
        socket.again = false;
        self.world.corked = Some(id);
        for _ in 0..READS_MAX {
            let Some(source) = self.source(id) else { break };
            let mut buffer = std::mem::take(&mut self.receive_buffer);
            let has_read = match source {
                Source::Unread(mut unread) => {
                    let (bytes, start) = &mut *unread;
                    let waiting = bytes.get_mut(*start..).unwrap_or_default();
                    if let Some(rest) = self.receive_run(id, waiting) {
                        *start = bytes.len() - rest;
                        if let Some(socket) = self.socket(id) {
                            socket.unread = Some(unread);
                        }
                    }
                    true
                }
                Source::Tls => self.read_tls(id, &mut buffer),
                Source::Plain => match self.read_once(id, &mut buffer) {
                    Some(count) => {
                        self.receive(id, buffer.get_mut(..count).unwrap_or_default());
                        true
                    }
                    None => false,
                },
            };
            self.receive_buffer = buffer;
            if !has_read {
                break;
            }
        }
        self.flush(id);
        self.world.corked = None;
        debug_assert!(self.world.out.is_empty(), "another connection would send it");
        if self.world.topics.log_bytes() > SEND_BYTES {
            self.deliver_publications();
        }
        if self.may_read(id) {
            self.read_later(id);
        }
    }

    /// Where there may be something to read from, where nothing has to be written first.
    #[inline]
    fn source(&mut self, id: ConnectionId) -> Option<Source> {
        let Self { sockets, world, .. } = self;
        let socket = sockets.get_mut(id.index as usize)?.as_mut()?;
        if !socket.readable && socket.unread.is_none() {
            return None;
        }
        world.slots.get(id)?;
        if world.must_wait(id) || world.pause_if_too_fast(id) {
            return None;
        }
        match socket.unread.take() {
            Some(unread) => Some(Source::Unread(unread)),
            None if socket.tls.is_some() => Some(Source::Tls),
            None => Some(Source::Plain),
        }
    }

    /// Reads on in the next turn.
    pub(super) fn read_later(&mut self, id: ConnectionId) {
        if let Some(socket) = self.socket(id)
            && !std::mem::replace(&mut socket.again, true)
        {
            self.again.push(id);
        }
    }

    /// Whether there may be something to read, and nothing has to be written first.
    pub(super) fn may_read(&mut self, id: ConnectionId) -> bool {
        let there =
            self.socket(id).is_some_and(|socket| socket.readable || socket.unread.is_some());
        there && !self.world.must_wait(id)
    }

    /// Reads once, and says how many bytes are in the buffer; `None` where nothing was read.
    #[inline]
    fn read_once(&mut self, id: ConnectionId, buffer: &mut [u8]) -> Option<usize> {
        self.world.slots.get(id)?;
        let socket = self.sockets.get_mut(id.index as usize)?.as_mut()?;
        let Socket { stream, inbound, .. } = socket;
        // What a long message awaits is read to where it is gathered.
        let room = match inbound {
            Inbound::Frames(receiver) => receiver.room(),
            Inbound::Request(..) | Inbound::Answer(_) | Inbound::Nothing => None,
        };
        let is_long = room.as_ref().is_some_and(|room| {
            room.bytes.len() >= FITTING_BYTES_MAX
                || room.ends && room.message_bytes > FITTING_BYTES_MAX as u64
        });
        // Where a long one ends, another is likely to begin, and what is read of it here has to be copied to its place.
        let behind_bytes = if is_long || socket.after_long { START_BYTES } else { buffer.len() };
        let may_read = self.world.may_read_bytes(id);
        let room = room.map(|room| room.bytes.split_at_mut(may_read.min(room.bytes.len())).0);
        let room_bytes = room.as_ref().map_or(0, |room| room.len());
        let buffer_bytes = behind_bytes.min(may_read.saturating_sub(room_bytes));
        let buffer = buffer.get_mut(..buffer_bytes).unwrap_or_default();
        let read = match room {
            None => uninterrupted(|| self.net.read(stream, buffer)),
            Some(room) => uninterrupted(|| {
                let mut both = [IoSliceMut::new(room), IoSliceMut::new(buffer)];
                self.net.read_vectored(stream, &mut both)
            }),
        };
        match read {
            Ok(count) if count > 0 => {
                // A short read has emptied the socket (epoll(7)), unless the end of the stream is behind it.
                socket.readable = count == room_bytes + buffer.len() || socket.read_closed;
                socket.after_long = is_long && count <= room_bytes;
                if let Inbound::Frames(receiver) = &mut socket.inbound
                    && room_bytes > 0
                {
                    receiver.read_to_room(count.min(room_bytes));
                }
                self.world.have_read(id, count);
                self.world.counters.bytes_received += count as u64;
                Some(count.saturating_sub(room_bytes))
            }
            read => {
                socket.readable = false;
                self.nothing_read(id, read);
                None
            }
        }
    }

    /// A read came to nothing: the socket is empty, or the stream has ended.
    pub(super) fn nothing_read(&mut self, id: ConnectionId, read: io::Result<usize>) {
        let error = match read {
            Ok(_) => ErrorKind::UnexpectedEof.into(),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(error) => error,
        };
        if let Some(socket) = self.socket(id) {
            socket.at_end = true;
        }
        self.lost(id, error);
    }

    /// The stream ended, or failed.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-7.2.1
    //# If at any point the underlying transport layer connection is
    //# unexpectedly lost, the client MUST _Fail the WebSocket Connection_.
    pub(super) fn lost(&mut self, id: ConnectionId, error: io::Error) {
        match self.world.slots.get(id).map(|slot| &slot.state) {
            Some(State::Ending { .. }) | None => self.world.mark_dirty(id),
            // It has the answer still to read.
            Some(State::Streaming(stream))
                if stream.is_finished() && error.kind() == ErrorKind::UnexpectedEof =>
            {
                self.world.mark_dirty(id)
            }
            Some(State::Opening { .. } | State::Open { .. } | State::Streaming(_)) => {
                self.world.cut(id, Closed::Lost(error))
            }
        }
    }

    #[inline]
    pub(super) fn receive(&mut self, id: ConnectionId, bytes: &mut [u8]) {
        let Some(Some(socket)) = self.sockets.get_mut(id.index as usize) else { return };
        match &mut socket.inbound {
            Inbound::Frames(_) => self.receive_frames(id, bytes),
            Inbound::Request(..) if self.world.is_opening(id) => self.receive_request(id, bytes),
            Inbound::Answer(_) if self.world.is_opening(id) => self.receive_answer(id, bytes),
            // What had come before the connection was cut opens nothing.
            Inbound::Request(..) | Inbound::Answer(_) => {}
            Inbound::Nothing => self.world.ignore(id, bytes.len()),
        }
    }

    /// Hands over the messages in a run of bytes. What has to wait is kept.
    pub(super) fn receive_frames(&mut self, id: ConnectionId, bytes: &mut [u8]) {
        if let Some(rest) = self.receive_run(id, bytes)
            && let Some(Some(socket)) = self.sockets.get_mut(id.index as usize)
        {
            let waiting = bytes.get(bytes.len() - rest..).unwrap_or_default();
            socket.unread = Some(Box::new((waiting.to_vec(), 0)));
        }
    }

    /// Hands over the messages in a run of bytes, and says how many bytes of it have to wait.
    fn receive_run(&mut self, id: ConnectionId, bytes: &mut [u8]) -> Option<usize> {
        let Self { handler, world, sockets, net, tls_buffers, .. } = self;
        let Some(Some(Socket { stream, tls, inbound, .. })) = sockets.get_mut(id.index as usize)
        else {
            return None;
        };
        let line = Line { net, stream, tls: tls.as_deref_mut(), tls_buffers };
        let Inbound::Frames(receiver) = inbound else { return None };
        world.heard(id);
        let mut events = receiver.receive(bytes);
        match handle_events(handler, world, id, &mut events, line) {
            Handled::All => None,
            Handled::Some if events.has_more() => Some(events.remaining()),
            Handled::Some => None,
            Handled::Closed => {
                *inbound = Inbound::Nothing;
                None
            }
        }
    }

    /// Has those that hold the most end, because all of them hold too much.
    #[cold]
    pub(super) fn relieve(&mut self) {
        let corked = self.world.corked.take();
        let others_bytes_max = self.world.limits.held_bytes_max / 8 * 7;
        for index in self.world.memory.largest(others_bytes_max) {
            let Some(id) = self.world.slots.id_at(index) else { continue };
            if let Some(socket) = self.socket(id) {
                (socket.inbound, socket.unread) = (Inbound::Nothing, None);
            }
            self.world.shed(id);
        }
        self.world.corked = corked;
    }

    /// All is said, and the handler was told: ends our direction, and frees the connection once the peer has ended its
    /// own, or had the time to.
    pub(super) fn finish(&mut self, id: ConnectionId, over: bool) {
        let Self { sockets, net, world, .. } = self;
        let Some(Some(socket)) = sockets.get_mut(id.index as usize) else { return self.free(id) };
        if over {
            return self.free(id);
        }
        if socket.at_end {
            // The peer may have gone; it is told all the same (RFC 8446 section 6.1).
            if let Some(tls) = &mut socket.tls {
                let _ = tls.end(net, &mut socket.stream);
            }
            return self.free(id);
        }
        if !socket.shut {
            let said = socket.tls.as_mut().map_or(Ok(true), |it| it.end(net, &mut socket.stream));
            match (said, world.slots.get_mut(id)) {
                (Ok(true), _) => {}
                (Ok(false), Some(slot)) => {
                    slot.blocked = true;
                    return;
                }
                (Ok(false) | Err(_), _) => return self.free(id),
            }
            socket.shut = true;
            //= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1
            //# The server MUST close the underlying TCP
            //# connection immediately;
            if net.shutdown(&mut socket.stream).is_err() {
                return self.free(id);
            }
        }
        socket.inbound = Inbound::Nothing;
        if socket.readable {
            self.read_later(id);
        }
    }

    /// Closes the socket and forgets the connection.
    pub(super) fn free(&mut self, id: ConnectionId) {
        if let Some(slot) = self.world.slots.remove(id) {
            self.world.leave_site(&slot);
            self.world.memory.set(id, 0);
            self.world.rates.end(id.index);
            self.world.timers.cancel(id.index);
            if let Some(socket) = self.sockets.get_mut(id.index as usize) {
                *socket = None;
            }
            self.accepting.descriptor_freed(self.world.now);
        }
    }
}

/// What became of a run of bytes, or of an event.
enum Handled {
    /// It is handled, all of it.
    All,
    /// The rest has to wait.
    Some,
    /// The peer has closed the connection, or broken a rule. What follows is nothing.
    Closed,
}

/// Hands over the messages in a run of bytes, until one has to wait.
#[inline]
fn handle_events<H: Handler, N: Net>(
    handler: &mut H,
    world: &mut World<H::Session>,
    id: ConnectionId,
    events: &mut Events<'_>,
    mut line: Line<'_, N>,
) -> Handled {
    let mut messages = 0;
    let handled = loop {
        if world.out.len() >= SEND_BYTES
            && let Err(error) = write_out(world, id, &mut line)
        {
            world.cut(id, Closed::Lost(error));
            break Handled::Closed;
        }
        let before = world.before_event(id);
        match before {
            BeforeEvent::Wait => break Handled::Some,
            BeforeEvent::Flooded => break fail(world, id, events.fail(Violation::TooManyPings)),
            BeforeEvent::Deliver(delivery) => events.set_delivery(delivery),
            BeforeEvent::Discard => {}
        }
        let (message, behind_bytes) = match events.whole_message() {
            Some(Ok(message)) => (message, events.remaining()),
            Some(Err(violation)) => break fail(world, id, violation),
            None if !events.has_more() => break Handled::All,
            None => match events.next_of_any_kind() {
                Ok(Some((Event::Message(message), behind_bytes))) => (message, behind_bytes),
                Ok(Some((event, _))) => {
                    let deliver = matches!(before, BeforeEvent::Deliver(_));
                    match handle_event(handler, world, id, &event, deliver, &mut line) {
                        Handled::All | Handled::Some => continue,
                        Handled::Closed => break Handled::Closed,
                    }
                }
                Ok(None) => break Handled::All,
                Err(violation) => break fail(world, id, violation),
            },
        };
        if let BeforeEvent::Deliver(_) = before {
            messages += 1;
            world.have_taken(id);
            let is_last = behind_bytes == 0;
            handler.on_message(&mut Context::reading(world, id, line.at_once(), is_last), message);
        }
        // What is long is written before more is read.
        if world.out.len() < SEND_BYTES && events.is_done() {
            break Handled::All;
        }
    };
    if messages > 0 {
        world.counters.messages_received += messages;
        world.heard_messages(id);
    }
    handled
}

/// Ends a connection whose peer has broken a rule.
//= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.7
//# to do so, the server MUST _Close the WebSocket
//# Connection_,
#[cold]
fn fail<S>(world: &mut World<S>, id: ConnectionId, violation: Violation) -> Handled {
    world.fail(id, violation);
    Handled::Closed
}

/// Hands over what is no whole message.
#[inline(never)]
fn handle_event<H: Handler, N: Net>(
    handler: &mut H,
    world: &mut World<H::Session>,
    id: ConnectionId,
    event: &Event<'_>,
    deliver: bool,
    line: &mut Line<'_, N>,
) -> Handled {
    if !matches!(event, Event::Part(part) if !part.last) {
        world.have_taken(id);
    }
    match *event {
        Event::Part(part) if deliver => {
            world.heard_messages(id);
            world.counters.messages_received += u64::from(part.last);
            handler.on_part(&mut Context::reading(world, id, line.at_once(), false), part)
        }
        Event::Pong(payload) if deliver => {
            handler.on_pong(&mut Context::reading(world, id, line.at_once(), false), payload)
        }
        Event::Message(_) | Event::Part(_) | Event::Pong(_) => {}
        Event::Ping(_) => {
            world.note(id, event);
            world.flush_owed(id);
        }
        //= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1
        //# After both sending and receiving a Close message, an endpoint
        //# considers the WebSocket connection closed and MUST close the
        //# underlying TCP connection.
        Event::Close(close) => {
            // What was published before belongs before the answer, behind which nothing can be sent.
            world.take_publications(id);
            world.note(id, event);
            world.end(id, Closed::Agreed { code: close.code, reason: close.reason.into() });
            return Handled::Closed;
        }
    }
    Handled::All
}

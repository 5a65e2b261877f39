//! Answers to plain requests: [`Answer`], and what becomes of one that is a stream.

use std::io::{ErrorKind, Write as _};
use std::time::Instant;

use super::handler::{Closed, Handler};
use super::net::Net;
use super::sending::{Dropped, SendStatus};
use super::slab::ConnectionId;
use super::socket::Inbound;
use super::world::{State, World};
use super::{Context, Reactor};
use crate::handshake::{HttpRequest, Response};

/// The answer to a plain request: what [`Handler::on_request`] returns.
///
/// Either way the connection ends with the answer, which says so in its head.
///
/// ```
/// use std::net::SocketAddr;
/// use tautline::handshake::{FieldError, HttpRequest, Response, Status};
/// use tautline::reactor::{Answer, Closed, ConnectionId, Context, Handler, SendStatus};
/// use tautline::{Message, Reactor};
///
/// /// Tells what is posted to all who have asked for the events.
/// #[derive(Default)]
/// struct News {
///     readers: Vec<ConnectionId>,
/// }
///
/// fn events() -> Result<Response, FieldError> {
///     Response::new(Status::OK).field("Content-Type", "text/event-stream")
/// }
///
/// impl Handler for News {
///     type Session = ();
///
///     fn on_request(
///         &mut self,
///         cx: &mut Context<'_, ()>,
///         request: &HttpRequest<'_>,
///         _peer: SocketAddr,
///     ) -> Answer {
///         match (request.method(), request.path(), events()) {
///             ("GET", "/events", Ok(head)) => {
///                 self.readers.push(cx.id());
///                 Answer::Stream(head.text("retry: 1000\n\n")) // the first chunk
///             }
///             ("POST", "/events", _) => {
///                 let event = format!("data: {}\n\n", String::from_utf8_lossy(request.body()));
///                 for &reader in &self.readers {
///                     if let Some(mut reader) = cx.connection(reader)
///                         && reader.write(event.as_bytes()) == SendStatus::Queued
///                     {
///                         reader.finish(); // it is slow, and may come again
///                     }
///                 }
///                 Response::new(Status::NO_CONTENT).into()
///             }
///             _ => Response::new(Status::NOT_FOUND).into(),
///         }
///     }
///
///     fn on_close(&mut self, cx: &mut Context<'_, ()>, _closed: &Closed) {
///         self.readers.retain(|reader| *reader != cx.id());
///     }
///
///     fn on_message(&mut self, _cx: &mut Context<'_, ()>, _message: Message<'_>) {}
/// }
///
/// let reactor = Reactor::new(News::default())?.listen("127.0.0.1:0")?;
/// # drop(reactor);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// An answer that is whole: it is sent, and the connection ends. The handler is told nothing more. A peer that takes
    /// nothing of it for [`close_within`](crate::Limits::close_within) is cut.
    Whole(Response),
    /// The head of an answer whose body follows in pieces, for as long as it takes: it is sent with
    /// `Transfer-Encoding: chunked` (RFC 9112 section 7.1), and the response's own body, if it has one, is the first
    /// chunk. From then on
    ///
    /// * [`Context::write`] sends more, from any callback or [post](super::Handle::post), by the connection's
    ///   [id](Context::id), and [`Context::finish`] ends it. Until `on_request` has returned, both do nothing.
    /// * What does not fit into the socket waits, is limited, and is told as for a WebSocket:
    ///   [`waiting_bytes`](Context::waiting_bytes), [`outbox_bytes_max`](crate::Limits::outbox_bytes_max),
    ///   [`on_drain`](Handler::on_drain). A peer that takes nothing of it for
    ///   [`pong_within`](crate::Limits::pong_within) is cut.
    /// * There is no [`on_open`](Handler::on_open), but there is one [`on_close`](Handler::on_close), as soon as the
    ///   answer is finished and written, or the client is gone: it ended its direction of the stream, or reset it. A
    ///   client that vanished without a word is found by writing to it, such as a comment every 20 seconds.
    /// * Nothing is read but to see the end. A client that sends more than
    ///   [`head_bytes_max`](crate::Limits::head_bytes_max) behind its request is cut.
    /// * It counts as a connection, and not as a handshake; [`shutdown`](super::Hub::shutdown) finishes it.
    /// * All that is for WebSockets only does nothing: messages and pings are [`NotOpen`](Dropped::NotOpen), `close`
    ///   too, and nothing is subscribed.
    ///
    /// Where there can be no body, after `HEAD` and with 204, 205 and 304, the answer is finished with its head.
    Stream(Response),
}

impl From<Response> for Answer {
    fn from(response: Response) -> Self {
        Self::Whole(response)
    }
}

/// An answer that is under way.
#[derive(Default)]
pub(super) struct Stream {
    /// Nothing more follows what waits.
    finished: bool,
    /// What the client has sent behind its request.
    ignored_bytes: usize,
    /// Something waits, and the client has to have taken some of it by then.
    pub(super) stalled_at: Option<Instant>,
    /// The loop is shut down: whatever is taken, it has no longer than that.
    pub(super) shut_down: bool,
}

impl<H: Handler, N: Net> Reactor<H, N> {
    /// Has a request that is no upgrade answered. `behind` is how many bytes came with it that are none of it.
    pub(super) fn answer(
        &mut self,
        id: ConnectionId,
        request: &HttpRequest<'_>,
        peer: std::net::SocketAddr,
        behind: usize,
    ) {
        self.world.counters.requests += 1;
        let is_head = request.method() == "HEAD";
        match self.handler.on_request(&mut Context::new(&mut self.world, id), request, peer) {
            Answer::Whole(response) => self.respond(id, &response, is_head),
            Answer::Stream(response) => {
                if let Some(Some(socket)) = self.sockets.get_mut(id.index as usize) {
                    socket.inbound = Inbound::Nothing;
                }
                self.world.begin_stream(id, &response, is_head);
                self.world.ignore(id, behind);
            }
        }
    }
}

impl<S> World<S> {
    /// Sends the head of an answer, and opens the rest.
    fn begin_stream(&mut self, id: ConnectionId, response: &Response, is_head: bool) {
        let Some(slot) = self.slots.get_mut(id) else { return };
        response.write_head(("Transfer-Encoding", b"chunked"), &mut self.out);
        let has_body = response.has_body() && !is_head;
        if has_body {
            write_chunk(response.body_bytes(), &mut self.out);
        }
        let stream = Stream { finished: !has_body, ..Stream::default() };
        let before = std::mem::replace(&mut slot.state, State::Streaming(stream));
        slot.known = true;
        let site = slot.site;
        self.counters.streams += 1;
        self.end_handshake(site, &before);
        self.mark_dirty(id);
    }

    /// Sends a chunk, unless the peer does not read.
    pub(super) fn write_to_stream(&mut self, id: ConnectionId, bytes: &[u8]) -> SendStatus {
        let bytes_max = self.limits.outbox_bytes_max;
        let Some(slot) = self.slots.get_mut(id) else {
            return SendStatus::Dropped(Dropped::NotOpen);
        };
        let State::Streaming(Stream { finished: false, .. }) = &slot.state else {
            return SendStatus::Dropped(Dropped::NotOpen);
        };
        if slot.is_behind(bytes_max) {
            self.cut(id, Closed::NotReading);
            return SendStatus::Dropped(Dropped::NotReading);
        }
        if !bytes.is_empty() {
            slot.outbox.get_or_insert_default().append(|out| write_chunk(bytes, out));
        }
        let status = slot.status(Ok(()), slot.waiting_bytes() > self.limits.outbox_pause_bytes);
        self.mark_dirty(id);
        status
    }

    /// Says that an answer is whole. It is over once that is written.
    pub(super) fn finish_stream(&mut self, id: ConnectionId) -> SendStatus {
        let Some(slot) = self.slots.get_mut(id) else {
            return SendStatus::Dropped(Dropped::NotOpen);
        };
        let State::Streaming(stream @ Stream { finished: false, .. }) = &mut slot.state else {
            return SendStatus::Dropped(Dropped::NotOpen);
        };
        stream.finished = true;
        slot.outbox.get_or_insert_default().push(b"0\r\n\r\n");
        let status = slot.status(Ok(()), false);
        self.mark_dirty(id);
        status
    }

    /// Finishes an answer because the loop is shut down. From now on the client has a time to take what waits.
    pub(super) fn shut_down_stream(&mut self, id: ConnectionId) {
        self.finish_stream(id);
        let until = self.after(self.limits.pong_within);
        if let Some(State::Streaming(stream)) = self.slots.get_mut(id).map(|it| &mut it.state) {
            stream.stalled_at = Some(until);
            stream.shut_down = true;
            self.schedule(id);
        }
    }

    /// What an answer had to say was tried to be written.
    pub(super) fn stream_was_written(&mut self, id: ConnectionId, waits: bool) {
        let until = self.after(self.limits.pong_within);
        let Some(slot) = self.slots.get_mut(id) else { return };
        let State::Streaming(stream) = &mut slot.state else { return };
        if waits {
            slot.queued = true;
            stream.stalled_at.get_or_insert(until);
            return self.schedule(id);
        }
        stream.stalled_at = None;
        if stream.finished {
            self.end(id, Closed::Agreed { code: None, reason: String::new() });
        } else if std::mem::replace(&mut slot.queued, false) {
            self.drained.push(id);
        }
    }

    /// A client has sent so many bytes that nobody asked for.
    pub(super) fn ignore(&mut self, id: ConnectionId, bytes: usize) {
        if let Some(State::Streaming(stream)) = self.slots.get_mut(id).map(|it| &mut it.state) {
            stream.ignored_bytes = stream.ignored_bytes.saturating_add(bytes);
            if stream.ignored_bytes > self.limits.head_bytes_max {
                self.cut(id, Closed::Lost(ErrorKind::InvalidData.into()));
            }
        }
    }
}

impl Stream {
    /// Whether nothing more follows what waits.
    pub(super) fn is_finished(&self) -> bool {
        self.finished
    }
}

/// Appends a chunk; an empty one would be the last (RFC 9112 section 7.1).
fn write_chunk(bytes: &[u8], out: &mut Vec<u8>) {
    if !bytes.is_empty() {
        out.reserve(bytes.len() + 20);
        // Writing to a vector does not fail.
        let _ = write!(out, "{:x}\r\n", bytes.len());
        out.extend_from_slice(bytes);
        out.extend_from_slice(b"\r\n");
    }
}

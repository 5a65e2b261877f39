//! An event loop on one thread that carries many connections: accepted ones and outgoing ones.
//!
//! ```no_run
//! use tautline::{Message, Reactor, reactor::{Context, Handler}};
//!
//! struct Echo;
//!
//! impl Handler for Echo {
//!     type Session = ();
//!
//!     fn on_message(&mut self, cx: &mut Context<'_, ()>, message: Message<'_>) {
//!         cx.send(message);
//!     }
//! }
//!
//! fn main() -> std::io::Result<()> {
//!     Reactor::new(Echo)?.listen("127.0.0.1:9001")?.run()
//! }
//! ```
//!
//! # One turn
//!
//! 1. Wait until something is ready, another thread has posted something, or a deadline has come.
//! 2. Read each socket that is ready into the loop's one receive buffer, and hand its messages to the
//!    [`Handler`]. What the handler sends to the same connection goes into the loop's one send buffer.
//! 3. Write that buffer, once per socket; only [what is long](Context) may be written before, from where it lies. What a
//!    socket does not take becomes its outbox.
//! 4. Deliver what was published, once per subscriber, and tell the handler which connections have ended.
//!
//! So a connection at rest owns no buffer, and a socket is written once however many short messages it got.
//!
//! # Backpressure
//!
//! What a full socket does not take waits in the connection's outbox. While more than
//! [`outbox_pause_bytes`](crate::Limits::outbox_pause_bytes) wait, nothing more is read from it and no message of it is
//! handled, so that a peer that does not read is not answered without end. What others publish to it, or send, still
//! adds up; over [`outbox_bytes_max`](crate::Limits::outbox_bytes_max) it is cut.
//!
//! A handler that has much to send sends until it is told [`Queued`](SendStatus::Queued), and goes on in
//! [`on_drain`](Handler::on_drain). That is called once or twice in a turn, however fast the peer reads, so that the
//! others have theirs. One that hands on what another connection sends, as a proxy does, then has that one
//! [paused](Context::pause_reading), so that its peer is held back in turn.
//!
//! # What it does not do
//!
//! - Nothing in a handler may wait: the loop stands still for everybody. A name to look up, a token to ask somebody
//!   about, a file to read are for another thread, which answers through a [`Handle`]. An upgrade is decided at once; a
//!   server that has to ask first accepts, and [closes](Context::close) with a code of its own where the answer is no.
//! - There are no timers. What is to be done from time to time goes around a [`turn`](Reactor::turn) of the loop.
//! - A connection does not keep its peer's address: [`on_upgrade`](Handler::on_upgrade) is told it, and may put it into
//!   the session.
//!
//! # Testing a handler
//!
//! What [`on_upgrade`](Handler::on_upgrade) decides can be tested without a socket:
//! [`ClientRequest::write`](crate::handshake::ClientRequest::write) makes a request, and
//! [`ServerHandshake::receive`](crate::handshake::ServerHandshake::receive) what the handler is given of it. For the
//! rest, listen on port 0, ask for [`local_addrs`](Reactor::local_addrs), and connect with a
//! [`Client`](crate::Client).
//!
//! # Plain HTTP
//!
//! A request that asks for no upgrade goes to [`on_request`](Handler::on_request), with its body, which is limited. It
//! is answered at once, or by a stream of chunks that has the same backpressure: [`Answer`]. Heads are as strict as
//! those of upgrades: HTTP/1.1 only, one `Content-Length` at most, and no `Transfer-Encoding` in a request.
//!
//! # Several cores
//!
//! A loop is one thread. A server for several cores runs a loop on each, with a handler of its own, and all of them
//! listen on one address with [`listen_shared`](Reactor::listen_shared). Nothing is shared: connections and topics
//! belong to their loop, and what one has to tell another goes through a [`Handle`].

mod accept;
mod context;
mod counters;
mod handle;
mod handler;
mod listen;
mod memory;
mod mio_net;
mod net;
mod open;
mod outbox;
mod rates;
mod reuse_port;
mod sending;
mod sites;
mod slab;
mod socket;
mod stream;
mod timers;
#[cfg(feature = "tls")]
mod tls;
#[cfg(not(feature = "tls"))]
#[path = "tls_absent.rs"]
mod tls;
mod topics;
mod world;
mod write;

use std::io;
use std::net::ToSocketAddrs;
use std::time::{Duration, Instant};

use accept::{Accepting, Listener};
pub use context::{ConnectError, Context, Hub};
pub use counters::{ClosedCounters, Counters, RefusedCounters};
pub use handle::{Handle, PostError};
use handle::{Post, Posts};
pub use handler::{Closed, Handler};
pub use mio_net::{MioListener, MioNet};
pub use net::{Net, Ready, Wake};
pub use sending::{Dropped, SendStatus};
pub use slab::ConnectionId;
use socket::Socket;
pub use stream::Answer;
use tls::TlsBuffers;
use world::{State, World};

use crate::close::CloseCode;
use crate::connection::Due;
use crate::deflate::Deflate;
use crate::frame::FrameHeader;
use crate::handshake::{ClientRequest, Origins};
use crate::limits::Limits;
#[cfg(feature = "tls")]
use crate::tls::{ClientTls, ServerTls};

/// The loop's one receive buffer: large enough for many frames or a good part of a large one, small enough to stay in a
/// second-level cache.
const RECEIVE_BYTES: usize = 256 * 1024;
/// Reads of one socket in a row, after which the others have their turn.
const READS_MAX: usize = 16;
/// The send buffer is written early when it has grown to this length.
const SEND_BYTES: usize = 256 * 1024;
/// The send buffer keeps at most this much from one event to the next: room for the longest message by default.
const SEND_BYTES_KEPT: usize = 1024 * 1024 + FrameHeader::BYTES_MAX;
/// Tokens with this bit are listeners.
const TOKEN_LISTENER: usize = 1 << (usize::BITS - 1);

/// A loop with its connections, its handler, and its view of the world.
pub struct Reactor<H: Handler, N: Net = MioNet> {
    handler: H,
    net: N,
    world: World<H::Session>,
    /// The receiving halves, by the index of their connection.
    sockets: Vec<Option<Socket<N::Stream>>>,
    /// Sockets that may have more to read.
    again: Vec<ConnectionId>,
    receive_buffer: Box<[u8]>,
    tls_buffers: TlsBuffers,
    /// What is shown at addresses that are listened on from now on.
    #[cfg(feature = "tls")]
    server_tls: Option<ServerTls>,
    /// It was given after the addresses to listen on, and none followed.
    #[cfg(feature = "tls")]
    server_tls_is_late: bool,
    /// Steps of TLS handshakes that this turn may still take.
    #[cfg(feature = "tls")]
    tls_handshakes_left: usize,
    listeners: Vec<Listener<N::Listener>>,
    accepting: Accepting,
    origins: Origins,
    deflate: Option<Deflate>,
    posts: Posts<H>,
    ready: Vec<Ready>,
    expired: Vec<u32>,
    closing: Option<Closing>,
}

/// A shutdown in progress: connections are closed one after the other.
struct Closing {
    started: Instant,
    within: Duration,
    open: Vec<ConnectionId>,
    total: usize,
}

impl<H: Handler> Reactor<H> {
    /// A loop on mio.
    ///
    /// # Errors
    ///
    /// When the operating system has no descriptors left.
    pub fn new(handler: H) -> io::Result<Self> {
        Ok(Self::with_net(handler, MioNet::new()?))
    }
}

impl<H: Handler, N: Net> Reactor<H, N> {
    /// A loop on another [`Net`].
    pub fn with_net(handler: H, mut net: N) -> Self {
        let now = net.now();
        Self {
            handler,
            posts: Posts::new(net.waker()),
            net,
            world: World::new(now),
            sockets: Vec::new(),
            again: Vec::new(),
            receive_buffer: vec![0; RECEIVE_BYTES].into(),
            tls_buffers: TlsBuffers::default(),
            #[cfg(feature = "tls")]
            server_tls: None,
            #[cfg(feature = "tls")]
            server_tls_is_late: false,
            #[cfg(feature = "tls")]
            tls_handshakes_left: 0,
            listeners: Vec::new(),
            accepting: Accepting::default(),
            origins: Origins::SameHost,
            deflate: None,
            ready: Vec::new(),
            expired: Vec::new(),
            closing: None,
        }
        .limits(Limits::default())
    }

    /// Sets the limits, before any connection is there.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.posts.limit(limits.posts_max);
        self.world.limits = limits.into();
        self
    }

    /// Sets which pages of which sites may open connections. Default: those of the same host.
    pub fn origins(mut self, origins: Origins) -> Self {
        self.origins = origins;
        self
    }

    /// Whom connections to `wss://` URLs trust. Default: such connections are not made.
    #[cfg(feature = "tls")]
    pub fn client_tls(mut self, tls: ClientTls) -> Self {
        self.world.client_tls = Some(tls);
        self
    }

    /// Agrees to compressed messages with each client that offers them. Default: with none.
    /// [`on_upgrade`](Handler::on_upgrade) may choose other settings for one client, or none, with
    /// [`Accept::deflate`](crate::handshake::Accept::deflate). Connections that are made offer what their
    /// [request](ClientRequest::deflate) says.
    #[cfg(feature = "deflate")]
    pub fn deflate(mut self, deflate: Deflate) -> Self {
        self.deflate = Some(deflate);
        self
    }

    /// Makes a connection to a `ws://` URL, or, with a [`client_tls`](Self::client_tls), to a `wss://` URL; see
    /// [`Hub::connect`].
    ///
    /// # Errors
    ///
    /// When the host has no address, or [`Hub::connect`] says why not. Finding the address may block; the first one is
    /// taken.
    pub fn connect(mut self, request: ClientRequest, session: H::Session) -> io::Result<Self> {
        let url = request.url();
        let named =
            |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", url.host()));
        let address = (url.host(), url.port()).to_socket_addrs().map_err(named)?.next();
        let address = address.ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotFound, format!("no address for {}", url.host()))
        })?;
        self.hub().connect(address, request, session).map_err(io::Error::other)?;
        Ok(self)
    }

    /// What other threads reach this loop by.
    pub fn handle(&self) -> Handle<H> {
        self.posts.handle()
    }

    /// The handler.
    pub fn handler(&self) -> &H {
        &self.handler
    }

    /// All connections.
    pub fn hub(&mut self) -> Hub<'_, H::Session> {
        // The last turn may be long ago.
        self.world.now = self.net.now();
        Hub::new(&mut self.world)
    }

    /// The world that the loop runs in.
    pub fn net(&mut self) -> &mut N {
        &mut self.net
    }

    /// Runs until [`shutdown`](Hub::shutdown) is asked for and done.
    ///
    /// # Errors
    ///
    /// When the operating system cannot tell any more what is ready, or [`server_tls`](Self::server_tls) was given
    /// after the addresses to listen on. What goes wrong with one connection ends that connection only.
    ///
    /// # Panics
    ///
    /// Where the handler does. That ends the loop with all its connections, and [`Handle`]s say
    /// [`Ended`](PostError::Ended).
    pub fn run(mut self) -> io::Result<()> {
        while !self.is_finished() {
            self.turn(None)?;
        }
        Ok(())
    }

    /// Whether a shutdown is done.
    pub fn is_finished(&self) -> bool {
        self.closing.is_some() && self.world.slots.len() == 0
    }

    /// Runs one turn, which waits no longer than `wait`, for a loop of your own: one that has something to do from time
    /// to time.
    ///
    /// ```no_run
    /// # use std::time::{Duration, Instant};
    /// # use tautline::{Message, Reactor, reactor::{Context, Handler}};
    /// # struct Echo;
    /// # impl Handler for Echo {
    /// #     type Session = ();
    /// #     fn on_message(&mut self, cx: &mut Context<'_, ()>, message: Message<'_>) { cx.send(message); }
    /// # }
    /// let mut reactor = Reactor::new(Echo)?.listen("127.0.0.1:9001")?;
    /// let mut next = Instant::now();
    /// while !reactor.is_finished() {
    ///     if next <= Instant::now() {
    ///         reactor.hub().publish("news", "tick");
    ///         next += Duration::from_secs(1);
    ///     }
    ///     reactor.turn(Some(next.saturating_duration_since(Instant::now())))?;
    /// }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    pub fn turn(&mut self, wait: Option<Duration>) -> io::Result<()> {
        #[cfg(feature = "tls")]
        if self.server_tls_is_late {
            let text = "server_tls comes before listen: no address is listened on with it";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        if self.world.goes_on() {
            self.world.now = self.net.now();
        }
        self.settle();
        let timeout = self.timeout(wait);
        let mut ready = std::mem::take(&mut self.ready);
        self.net.poll(&mut ready, timeout)?;
        self.world.now = self.net.now();
        #[cfg(feature = "tls")]
        {
            // With none, the loop would spin.
            self.tls_handshakes_left = self.world.limits.tls_handshakes_per_turn_max.max(1);
        }

        self.run_posts();
        // These come first: what is ready besides has been read in this turn then.
        let mut again = std::mem::take(&mut self.again);
        for id in again.drain(..) {
            self.read(id);
        }
        // What these have put there is for the next turn.
        again.append(&mut self.again);
        self.again = again;
        for event in ready.drain(..) {
            if event.token & TOKEN_LISTENER == 0 {
                self.on_ready(ConnectionId::from_token(event.token), event);
            } else {
                self.accept(event.token & !TOKEN_LISTENER);
            }
        }
        self.ready = ready;
        self.retry_accepting();
        self.expire();
        self.continue_shutdown();
        self.settle();
        Ok(())
    }

    /// How long a poll may wait.
    fn timeout(&self, wait: Option<Duration>) -> Option<Duration> {
        let goes_on = !self.again.is_empty() || self.world.goes_on();
        if goes_on || self.accepting.wants_turn() || self.world.shutdown.is_some() {
            return Some(Duration::ZERO);
        }
        let shutdown = self.closing.as_ref().and_then(Closing::next);
        let next = [self.world.timers.next(), self.accepting.retry_at(), shutdown];
        let until_next =
            next.into_iter().flatten().min().map(|at| at.saturating_duration_since(self.world.now));
        [wait, until_next].into_iter().flatten().min()
    }

    fn run_posts(&mut self) {
        for post in self.posts.take() {
            let post: Post<H> = post;
            post(&mut self.handler, &mut Hub::new(&mut self.world));
            // What one has sent is written before the next one sends more.
            self.flush_dirty();
            if self.world.topics.log_bytes() > SEND_BYTES {
                self.deliver_publications();
            }
        }
    }

    /// Does what is due.
    fn expire(&mut self) {
        let mut expired = std::mem::take(&mut self.expired);
        self.world.timers.expire(self.world.now, &mut expired);
        for index in expired.drain(..) {
            let Some(id) = self.world.slots.id_at(index) else { continue };
            match self.world.deadline(id) {
                Some(deadline) if deadline > self.world.now => {
                    self.world.timers.set(index, deadline)
                }
                _ => self.on_deadline(id),
            }
        }
        self.expired = expired;
    }

    fn on_deadline(&mut self, id: ConnectionId) {
        let now = self.world.now;
        if self.world.rates.resume(id.index, now) {
            self.read_later(id);
        }
        self.write_again(id);
        let Some(slot) = self.world.slots.get_mut(id) else { return };
        let (paused, excused) = (slot.paused, slot.is_excused());
        let due = match &mut slot.state {
            // Only a pause is over.
            State::Opening { until } | State::Ending { until, .. } if *until > now => Due::Nothing,
            State::Opening { .. } => return self.handshake_timed_out(id),
            State::Ending { .. } => return self.world.mark_dirty(id),
            State::Open { .. } if excused => Due::Nothing,
            State::Open { deadlines, .. } => {
                if paused {
                    // Only what it does not take counts.
                    deadlines.message(now);
                }
                deadlines.expire(now, &self.world.limits)
            }
            State::Streaming(stream) => {
                if stream.stalled_at.is_some_and(|at| at <= now) {
                    self.world.cut(id, Closed::NotReading);
                }
                Due::Nothing
            }
        };
        match due {
            Due::Nothing => {}
            Due::Ping => {
                self.world.ping(id, &[]);
            }
            Due::Idle => {
                self.world.close(id, CloseCode::GOING_AWAY, "idle");
            }
            Due::PeerSilent => self.world.cut(id, Closed::Silent),
            Due::CloseUnanswered => self.world.cut(id, Closed::Unanswered),
        }
        if let Some(deadline) = self.world.deadline(id) {
            self.world.timers.set(id.index, deadline);
        }
    }

    /// Writes all that is to be written and tells the handler of all that has ended, until neither leaves anything to
    /// do.
    fn settle(&mut self) {
        // What comes of these may go on for ever: that is for the next time.
        let mut dials = std::mem::take(&mut self.world.dials);
        let mut drained = std::mem::take(&mut self.world.drained);
        drained.sort_unstable();
        drained.dedup();
        loop {
            self.deliver_publications();
            self.flush_dirty();
            while let Some(id) = self.world.resumed.pop() {
                self.read_later(id);
            }
            if let Some(dial) = dials.pop_front() {
                self.dial(dial);
            } else if let Some(id) = drained.pop() {
                // Where something waits again, it is told once that is written too.
                if self.world.slots.get(id).is_some_and(|slot| slot.is_open() && !slot.queued) {
                    self.handler.on_drain(&mut Context::new(&mut self.world, id));
                }
            } else if let Some((id, closed)) = self.world.ended.pop_front() {
                self.handler.on_close(&mut Context::new(&mut self.world, id), &closed);
                self.world.unsubscribe_all(id);
                if let Some(slot) = self.world.slots.get_mut(id) {
                    slot.known = false;
                }
                self.world.mark_dirty(id);
            } else if self.world.is_settled() {
                // What has drained meanwhile is for the next time.
                drained.append(&mut self.world.drained);
                self.world.drained = drained;
                return;
            }
        }
    }

    /// Delivers what was published, once per subscriber.
    fn deliver_publications(&mut self) {
        while let Some(topic) = self.world.topics.next_dirty() {
            let mut place = 0;
            while let Some(id) = self.world.topics.subscriber(topic, place) {
                self.flush(id);
                place += 1;
            }
            self.world.topics.clean(topic);
        }
        self.world.topics.end_turn();
    }

    fn flush_dirty(&mut self) {
        while let Some(id) = self.world.next_dirty() {
            self.flush(id);
        }
    }

    /// Begins a shutdown that was asked for, or hurries it, and closes as many connections as its time has come for.
    fn continue_shutdown(&mut self) {
        let now = self.world.now;
        match (self.world.shutdown.take(), &mut self.closing) {
            (Some(within), None) => {
                self.listeners.clear();
                self.accepting = Accepting::default();
                let open = self.world.slots.ids().collect();
                self.closing = Some(Closing::new(now, within, open));
            }
            (Some(within), Some(closing)) if within < closing.time_left(now) => {
                *closing = Closing::new(now, within, std::mem::take(&mut closing.open));
            }
            _ => {}
        }
        let Some(closing) = &mut self.closing else { return };
        let left = closing.left(now);
        for id in closing.open.split_off(left) {
            match self.world.slots.get(id).map(|slot| &slot.state) {
                Some(State::Opening { .. }) => self.refuse_at_shutdown(id),
                Some(State::Open { .. }) => {
                    self.world.close(id, CloseCode::GOING_AWAY, "shutting down");
                }
                Some(State::Streaming(_)) => {
                    self.world.shut_down_stream(id);
                }
                Some(State::Ending { .. }) | None => {}
            }
        }
    }
}

impl Closing {
    fn new(started: Instant, within: Duration, open: Vec<ConnectionId>) -> Self {
        Self { started, within, total: open.len(), open }
    }

    fn time_left(&self, now: Instant) -> Duration {
        self.within.saturating_sub(now.saturating_duration_since(self.started))
    }

    /// How many connections may stay open at a time: the first is closed at once.
    fn left(&self, now: Instant) -> usize {
        let (left, within) = (self.time_left(now).as_nanos(), self.within.as_nanos().max(1));
        let open = (self.total as u128).saturating_mul(left).div_ceil(within);
        usize::try_from(open).map_or(usize::MAX, |open| open.saturating_sub(1)).min(self.open.len())
    }

    /// When the next one is to be closed.
    fn next(&self) -> Option<Instant> {
        let closed = self.total.checked_sub(self.open.len())? as u128;
        if self.open.is_empty() {
            return None;
        }
        let passed = self.within.as_nanos().saturating_mul(closed).div_ceil(self.total as u128);
        self.started.checked_add(Duration::from_nanos(u64::try_from(passed).ok()?))
    }
}

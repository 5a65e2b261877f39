//! The adapter between the relay, tautline's reactor and the store: frames in, [`Out`] carried out, the page served.
//!
//! Three threads: the reactor's with all connections and the relay, the store's, and one for passwords. The other two
//! get their work by bounded channels, and give it back by the reactor's [`Handle`].

mod fallback;
mod http;
mod passwords;
mod storage;

use std::collections::{HashSet, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tautline::handshake::{
    Accept, Authority, HttpRequest, Origin, Origins, Refusal, Request, Response, Status,
};
use tautline::reactor::{
    self as engine, Closed, ConnectionId, Handle, Handler, PostError, Reactor, SendStatus,
};
use tautline::{CloseCode, Deflate, Limits, Message};

use crate::limits::{
    BYTES_PER_SECOND_MAX, FRAME_BYTES_ANSWERED_MAX, HELLO_BYTES_MAX, STORE_WAITING_MAX,
    WAITING_BYTES_MAX,
};
use crate::metrics::Snapshot;
use crate::protocol::SUBPROTOCOL;
use crate::relay::{Moment, Out, Relay, Settings, Then};
use crate::store::job::{Answer, Refused, RoomId};
use crate::store::thread::StoreThread;
use crate::store::{Reply, Store, StoreError};
use fallback::Streams;
use passwords::{Done, Passwords};
use storage::Storage;

/// The address that a connection came from is what the engine keeps with it.
type Session = Option<IpAddr>;
type Context<'a> = engine::Context<'a, Session>;
type Hub<'a> = engine::Hub<'a, Session>;

/// How often the relay is told that time has passed.
const TICK: Duration = Duration::from_secs(1);
/// Bytes that are said in one turn of what the store has answered: what a full socket may have to keep beyond
/// [`WAITING_BYTES_MAX`], and what others wait for.
const TURN_BYTES_MAX: usize = 64 * 1024;

/// How the server is set up.
#[derive(Debug, Default)]
pub struct Setup {
    /// How the relay is.
    pub relay: Settings,
    /// Pages of the relay's own host may connect, and those of these origins.
    pub further_origins: Option<Origins>,
    /// Whether the relay's own page is served over TLS: its origin is then `https://`.
    pub tls: bool,
    /// Whether `/metrics` is served.
    pub metrics: bool,
    /// Connections from one address.
    pub connections_per_address: Option<usize>,
}

/// The relay on a reactor.
pub struct Server {
    relay: Relay<ConnectionId>,
    started: Instant,
    further_origins: Option<Origins>,
    tls: bool,
    /// What the engine had counted at the last tick, where that is served.
    metrics: Option<Snapshot>,
    /// What the store has answered and the relay was not told yet.
    replies: VecDeque<Reply<Then<ConnectionId>>>,
    /// Connections that have taken a piece of the log, and may want the next.
    hungry: Vec<ConnectionId>,
    /// Rooms whose full connections were held back already: nothing fills a socket before the end of the turn.
    held_back: HashSet<RoomId>,
    /// Connections that are no WebSockets.
    streams: Streams,
    /// Those of them that have perhaps said all.
    ripe: Vec<ConnectionId>,
    storage: Storage,
    inbox: Receiver<Word>,
    /// Held for as long as there is somebody to tell: other threads look at it.
    _alive: Arc<()>,
    // Last: to drop it is to wait for the store.
    links: Option<Links>,
}

/// The other threads, and the way back.
struct Links {
    store: StoreThread<Then<ConnectionId>>,
    passwords: Passwords,
    handle: Handle<Server>,
}

/// A reactor with a relay that listens nowhere yet.
///
/// # Errors
///
/// When the store cannot be read, or the operating system has no descriptors or threads left.
pub fn reactor(setup: Setup, mut store: Store) -> Result<Reactor<Server>, StartError> {
    let Setup { relay, further_origins, tls, metrics, connections_per_address } = setup;
    // With a list, `on_upgrade` decides: the reactor's own policy is one or the other.
    let origins = if further_origins.is_some() { Origins::Any } else { Origins::SameHost };
    let inventory = store.inventory().map_err(StartError::Store)?;
    let streams = Streams::new(&relay.limits);
    let (inbox, mail) = channel();
    let alive = Arc::new(());
    let server = Server {
        relay: Relay::new(relay, inventory, Box::new(rand::random)),
        started: Instant::now(),
        further_origins,
        tls,
        metrics: metrics.then(Snapshot::default),
        replies: VecDeque::new(),
        hungry: Vec::new(),
        held_back: HashSet::new(),
        streams,
        ripe: Vec::new(),
        storage: Storage::default(),
        inbox: mail,
        _alive: Arc::clone(&alive),
        links: None,
    };
    let mut limits = Limits::default();
    limits.message_bytes_max = FRAME_BYTES_ANSWERED_MAX;
    // The cursors of a `hello` are one field over plain HTTP.
    limits.field_line_bytes_max = HELLO_BYTES_MAX;
    limits.head_bytes_max = limits.head_bytes_max.saturating_add(HELLO_BYTES_MAX);
    limits.bytes_per_second_max = Some(BYTES_PER_SECOND_MAX);
    if let Some(connections) = connections_per_address {
        limits.connections_per_address_max = connections;
        limits.handshakes_per_address_max = connections.min(limits.handshakes_per_address_max);
    }
    // Without context takeover: nobody's text shares a context with somebody else's token.
    let deflate = Deflate::default();
    let reactor = Reactor::new(server)
        .map_err(StartError::System)?
        .limits(limits)
        .origins(origins)
        .deflate(deflate);
    link(store, Mail { inbox, handle: reactor.handle(), alive: Arc::downgrade(&alive) })
        .map_err(StartError::System)?;
    Ok(reactor)
}

/// Why a server did not start.
#[derive(Debug)]
pub enum StartError {
    /// The store cannot be read.
    Store(StoreError),
    /// The operating system refuses.
    System(io::Error),
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::System(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StartError {}

/// Starts the other threads.
fn link(store: Store, mail: Mail) -> io::Result<()> {
    let of_store = mail.clone();
    let store = StoreThread::start(store, STORE_WAITING_MAX, move |replies| {
        of_store.bring(Word::Stored(replies));
    })?;
    let passwords = Passwords::start(mail.clone())?;
    let links = Links { store, passwords, handle: mail.handle.clone() };
    mail.bring(Word::Links(Box::new(links)));
    std::thread::Builder::new().name("clock".into()).spawn(move || {
        while mail.bring(Word::Tick) {
            std::thread::sleep(TICK);
        }
    })?;
    Ok(())
}

/// What other threads tell the reactor's.
enum Word {
    Links(Box<Links>),
    Stored(Vec<Reply<Then<ConnectionId>>>),
    Password(Done),
    Tick,
}

/// Brings words to the reactor's thread.
#[derive(Clone)]
struct Mail {
    inbox: Sender<Word>,
    handle: Handle<Server>,
    alive: Weak<()>,
}

impl Mail {
    /// Waits for as long as too much waits there; false when it has ended.
    fn bring(&self, word: Word) -> bool {
        if self.inbox.send(word).is_err() {
            return false;
        }
        loop {
            match self.handle.post(Server::open_mail) {
                Ok(()) => return true,
                Err(PostError::Full) if self.alive.strong_count() == 0 => return false,
                Err(PostError::Full) => std::thread::sleep(Duration::from_millis(1)),
                Err(PostError::Ended) => return false,
            }
        }
    }
}

impl Handler for Server {
    type Session = Session;

    fn on_request(
        &mut self,
        cx: &mut Context<'_>,
        request: &HttpRequest<'_>,
        peer: SocketAddr,
    ) -> engine::Answer {
        if request.path() == "/ws" {
            return Refusal::Protocol.response().into();
        }
        self.fallback(cx, request, peer).unwrap_or_else(|| self.answer(request).into())
    }

    fn on_upgrade(
        &mut self,
        request: &Request<'_>,
        peer: SocketAddr,
        address: &mut Option<IpAddr>,
    ) -> Result<Accept, Response> {
        *address = Some(peer.ip());
        if request.path() != "/ws" {
            return Err(Response::new(Status::NOT_FOUND).body(&b"the socket is /ws"[..]));
        }
        if !self.may_connect(request.origin(), &request.host(), peer) {
            return Err(Refusal::OriginNotAllowed.response());
        }
        if !request.protocols().any(|asked| asked == SUBPROTOCOL) {
            let text = "this socket speaks the subprotocol relay.v1; ask for it";
            return Err(Response::new(Status::BAD_REQUEST).body(text.as_bytes()));
        }
        Ok(Accept::new().subprotocol(SUBPROTOCOL))
    }

    fn on_open(&mut self, cx: &mut Context<'_>) {
        let address = (*cx.session()).unwrap_or(IpAddr::from([0, 0, 0, 0]));
        tracing::debug!(who = ?cx.id(), %address, "opened");
        self.relay.open(self.now(), cx.id(), address);
    }

    fn on_message(&mut self, cx: &mut Context<'_>, message: Message<'_>) {
        let (now, who) = (self.now(), cx.id());
        self.held_back.clear();
        let mut out = Vec::new();
        match message {
            Message::Text(text) => self.relay.receive(now, who, text, &mut out),
            Message::Binary(data) => self.relay.receive_binary(now, who, data.len(), &mut out),
        }
        self.carry_out(&mut cx.hub(), now, out);
    }

    fn on_drain(&mut self, cx: &mut Context<'_>) {
        let now = self.now();
        let mut out = Vec::new();
        self.relay.drained(now, cx.id(), &mut out);
        self.carry_out(&mut cx.hub(), now, out);
    }

    fn on_close(&mut self, cx: &mut Context<'_>, closed: &Closed) {
        let now = self.now();
        self.held_back.clear();
        tracing::debug!(who = ?cx.id(), ?closed, "ended");
        self.streams.remove(cx.id());
        let mut out = Vec::new();
        self.relay.close(now, cx.id(), &mut out);
        self.carry_out(&mut cx.hub(), now, out);
    }
}

impl Server {
    /// Whether a page of this origin may connect to this host.
    fn may_connect(
        &self,
        origin: Option<Origin<'_>>,
        host: &Authority<'_>,
        peer: SocketAddr,
    ) -> bool {
        let allowed = |policy: &Origins| policy.allows(origin.as_ref(), host, self.tls);
        let listed = self.further_origins.as_ref().is_some_and(allowed);
        let own =
            allowed(&Origins::SameHost) && !(peer.ip().is_loopback() && is_elsewhere(host.host()));
        origin.is_none() || listed || own
    }

    fn now(&self) -> Moment {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let unix_ms = u64::try_from(unix.as_millis()).unwrap_or(u64::MAX);
        Moment { clock: self.started.elapsed(), unix_ms }
    }

    /// Takes what other threads have brought.
    fn open_mail(&mut self, hub: &mut Hub<'_>) {
        let now = self.now();
        self.held_back.clear();
        while let Ok(word) = self.inbox.try_recv() {
            let mut out = Vec::new();
            match word {
                Word::Links(links) => self.links = Some(*links),
                Word::Stored(replies) => self.replies.extend(replies),
                Word::Password(Done::Hashed(then, hash)) => {
                    self.relay.password_hashed(now, then, hash, &mut out);
                }
                Word::Password(Done::Compared(then, right)) => {
                    self.relay.password_compared(now, then, right, &mut out);
                }
                Word::Tick => {
                    self.relay.tick(now, &mut out);
                    self.beat(hub, now);
                    self.feed_the_idle(hub);
                    self.storage.tick(now.clock);
                    if let Some(metrics) = &mut self.metrics {
                        *metrics = Snapshot::take(hub);
                    }
                }
            }
            self.carry_out(hub, now, out);
        }
        self.go_on(hub, now);
    }

    /// Goes on with what the store has answered, as far as one turn may.
    fn go_on(&mut self, hub: &mut Hub<'_>, now: Moment) {
        let mut said_bytes = 0_usize;
        while let Some(Reply { context, answer }) = self.replies.pop_front() {
            self.storage.note(now.clock, &answer);
            let mut out = Vec::new();
            self.relay.stored(now, context, answer, &mut out);
            for out in &out {
                if let Out::Publish { text, .. } | Out::Send { text, .. } = out {
                    said_bytes = said_bytes.saturating_add(text.len());
                }
            }
            self.carry_out(hub, now, out);
            if said_bytes >= TURN_BYTES_MAX && !self.replies.is_empty() {
                // In the next turn, when sockets have taken this. Where too much is posted, whatever is will come here.
                if let Some(links) = &self.links {
                    let _ = links.handle.post(Self::open_mail);
                }
                return;
            }
        }
    }

    /// Does what the relay wants done.
    fn carry_out(&mut self, hub: &mut Hub<'_>, now: Moment, out: Vec<Out<ConnectionId>>) {
        let mut out = VecDeque::from(out);
        loop {
            while let Some(next) = out.pop_front() {
                let mut more = Vec::new();
                self.carry_out_one(hub, now, next, &mut more);
                // Before all that follows.
                for more in more.into_iter().rev() {
                    out.push_front(more);
                }
            }
            let mut more = Vec::new();
            if let Some(who) = self.ripe.pop() {
                self.end_if_ripe(hub, now, who, &mut more);
            } else if let Some(who) = self.hungry.pop() {
                self.relay.drained(now, who, &mut more);
            } else {
                return;
            }
            out.extend(more);
        }
    }

    fn carry_out_one(
        &mut self,
        hub: &mut Hub<'_>,
        now: Moment,
        out: Out<ConnectionId>,
        more: &mut Vec<Out<ConnectionId>>,
    ) {
        match out {
            Out::Send { to, text } if self.streams.has(to) => {
                let status = self.say_on_stream(hub, now, to, &text, more);
                if status == SendStatus::Sent && self.relay.is_behind(to) {
                    self.hungry.push(to);
                }
            }
            Out::Send { to, text } => {
                if let Some(mut cx) = hub.connection(to)
                    && cx.send(Message::Text(&text)) == SendStatus::Sent
                    && self.relay.is_behind(to)
                {
                    self.hungry.push(to);
                }
            }
            Out::Publish { room, topic, text, except, next } => {
                self.hold_back(hub, now, room, next);
                self.publish_to_streams(hub, now, room, except, &text, more);
                match except {
                    None => hub.publish(&topic, Message::Text(&text)),
                    Some(who) => {
                        if let Some(mut cx) = hub.connection(who) {
                            cx.publish_to_others(&topic, Message::Text(&text));
                        }
                    }
                }
            }
            Out::Subscribe { who, room, topic } => {
                if self.relay.is_live(room, who)
                    && let Some(mut cx) = hub.connection(who)
                {
                    cx.subscribe(&topic);
                }
            }
            Out::Unsubscribe { who, topic } => {
                if let Some(mut cx) = hub.connection(who) {
                    cx.unsubscribe(&topic);
                }
            }
            Out::Close { who, code, reason } if self.streams.has(who) => {
                tracing::debug!(?who, code, reason, "closed");
                self.close_stream(hub, who, code, reason);
            }
            Out::Close { who, code, reason } => {
                tracing::debug!(?who, code, reason, "closed");
                let code = CloseCode::new(code).unwrap_or(CloseCode::POLICY_VIOLATION);
                if let Some(mut cx) = hub.connection(who) {
                    cx.close(code, reason);
                }
            }
            Out::Store(request) => {
                let refused = match &self.links {
                    Some(links) => links.store.push(request).err(),
                    None => Some(request),
                };
                if let Some(request) = refused {
                    let busy = Answer::Refused(Refused::Busy);
                    self.relay.stored(now, request.context, busy, more);
                }
            }
            Out::Password(work) => {
                let refused = match &self.links {
                    Some(links) => links.passwords.push(work).err(),
                    None => Some(work),
                };
                match refused.map(Done::not_at_all) {
                    None => {}
                    Some(Done::Hashed(then, hash)) => {
                        self.relay.password_hashed(now, then, hash, more);
                    }
                    Some(Done::Compared(then, right)) => {
                        self.relay.password_compared(now, then, right, more);
                    }
                }
            }
        }
    }

    fn publish_to_streams(
        &mut self,
        hub: &mut Hub<'_>,
        now: Moment,
        room: RoomId,
        except: Option<ConnectionId>,
        text: &str,
        more: &mut Vec<Out<ConnectionId>>,
    ) {
        if self.streams.is_empty() {
            return;
        }
        let to = |who: &ConnectionId| self.streams.is_greeted(*who) && Some(*who) != except;
        for who in self.relay.live(room).filter(to).collect::<Vec<_>>() {
            self.say_on_stream(hub, now, who, text, more);
        }
    }

    /// Connections that are behind and have nothing waiting any more go on. Most are told by `on_drain`, but for those
    /// whose bytes left in the turn in which they were held back.
    fn feed_the_idle(&mut self, hub: &mut Hub<'_>) {
        let mut is_idle =
            |who: &ConnectionId| hub.connection(*who).is_some_and(|cx| cx.waiting_bytes() == 0);
        let idle = self.relay.behind().filter(|who| is_idle(who));
        self.hungry.extend(idle);
    }

    /// Takes those out of a room's topic for which too much waits already: the log is their queue.
    fn hold_back(&mut self, hub: &mut Hub<'_>, now: Moment, room: RoomId, next: u64) {
        if !self.held_back.insert(room) {
            return;
        }
        let mut is_full = |who: &ConnectionId| {
            hub.connection(*who).is_some_and(|cx| cx.waiting_bytes() > WAITING_BYTES_MAX)
        };
        let full: Vec<_> = self.relay.live(room).filter(|who| is_full(who)).collect();
        for who in full {
            let mut out = Vec::new();
            self.relay.hold_back(now, room, who, next, &mut out);
            for out in out {
                if let Out::Unsubscribe { who, topic } = out
                    && let Some(mut cx) = hub.connection(who)
                {
                    cx.unsubscribe(&topic);
                }
            }
        }
    }
}

/// Whether a host's name is none of this machine's own. A browser that comes over loopback and calls the relay by such
/// a name was led here by somebody else's name server (DNS rebinding), or by a proxy whose origin has to be listed.
fn is_elsewhere(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    !address.is_ok_and(|it| it.is_loopback()) && !host.eq_ignore_ascii_case("localhost")
}

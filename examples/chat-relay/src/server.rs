//! The adapter between the relay and tautline's reactor: frames in, [`Out`] carried out, the page served.

use std::io;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tautline::handshake::{
    Accept, BadOrigin, FieldError, HttpRequest, Origins, Refusal, Request, Response, Status,
};
use tautline::reactor::{
    Answer, Closed, ConnectionId, Context, Dropped, Handle, Handler, Hub, Reactor, SendStatus,
};
use tautline::{CloseCode, Deflate, Limits, Message};

use crate::limits::{BYTES_PER_SECOND_MAX, FRAME_BYTES_MAX, RelayLimits};
use crate::metrics::{self, Snapshot};
use crate::options::Options;
use crate::page;
use crate::protocol::SUBPROTOCOL;
use crate::relay::{Moment, Out, Relay};

/// How often the relay is told that time has passed.
const TICK: Duration = Duration::from_secs(1);
/// Pieces of a catch-up that one connection is sent before the others have their turn.
const PIECES_MAX: usize = 4;

/// The relay on a reactor.
pub struct Server {
    relay: Relay<ConnectionId>,
    started: Instant,
    further_origins: Option<Origins>,
    /// What the engine had counted at the last tick, where that is served.
    metrics: Option<Snapshot>,
    /// Through which a catch-up goes on in the next turn.
    handle: Option<Handle<Self>>,
}

/// A reactor with a relay that listens nowhere yet. Pages of the relay's own host may connect, and those of
/// further origins.
///
/// # Errors
///
/// When an origin is none, or the operating system has no descriptors left.
pub fn reactor(limits: RelayLimits, options: &Options) -> io::Result<Reactor<Server>> {
    let bad_origin = |error: BadOrigin| io::Error::new(io::ErrorKind::InvalidInput, error);
    let further_origins = match &options.origins[..] {
        [] => None,
        list => Some(Origins::list(list).map_err(bad_origin)?),
    };
    // With a list, `on_upgrade` decides: the reactor's own policy is one or the other.
    let origins = if further_origins.is_some() { Origins::Any } else { Origins::SameHost };
    let server = Server {
        relay: Relay::new(limits, Box::new(rand::random)),
        started: Instant::now(),
        further_origins,
        metrics: options.metrics.then(Snapshot::default),
        handle: None,
    };
    let mut engine = Limits::default();
    engine.message_bytes_max = FRAME_BYTES_MAX;
    engine.bytes_per_second_max = Some(BYTES_PER_SECOND_MAX);
    if let Some(connections) = options.connections_per_address {
        engine.connections_per_address_max = connections;
        engine.handshakes_per_address_max = connections.min(engine.handshakes_per_address_max);
    }
    // Without context takeover: nobody's text shares a context with somebody else's token.
    let deflate = Deflate::default();
    let reactor = Reactor::new(server)?.limits(engine).origins(origins).deflate(deflate);
    start_clock(reactor.handle());
    Ok(reactor)
}

/// Tells the relay every second that time has passed, for as long as the loop runs.
fn start_clock(handle: Handle<Server>) {
    let own = handle.clone();
    // Nothing else can be posted before this; were it refused, catch-ups would only be slower.
    let _ = handle.post(|server, _| server.handle = Some(own));
    std::thread::spawn(move || {
        let tick = |server: &mut Server, hub: &mut Hub<'_, ()>| {
            let mut out = Vec::new();
            server.relay.tick(server.now(), &mut out);
            carry_out(hub, &out);
            if let Some(metrics) = &mut server.metrics {
                *metrics = Snapshot::take(hub);
            }
        };
        loop {
            std::thread::sleep(TICK);
            if let Err(tautline::reactor::PostError::Ended) = handle.post(tick) {
                return;
            }
        }
    });
}

impl Handler for Server {
    type Session = ();

    fn on_request(
        &mut self,
        _: &mut Context<'_, ()>,
        request: &HttpRequest<'_>,
        _: std::net::SocketAddr,
    ) -> Answer {
        if request.path() == "/ws" {
            return Refusal::Protocol.response().into();
        }
        if let ("GET" | "HEAD", "/metrics", Some(metrics)) =
            (request.method(), request.path(), &self.metrics)
        {
            return Response::new(Status::OK)
                .body(metrics.text().into_bytes())
                .field("Content-Type", metrics::MEDIA_TYPE)
                .unwrap_or_else(|_| Response::new(Status::INTERNAL_SERVER_ERROR))
                .into();
        }
        let host = request.host().to_string();
        answer(request.method(), request.path(), &host)
            .unwrap_or_else(|_| Response::new(Status::INTERNAL_SERVER_ERROR))
            .into()
    }

    fn on_upgrade(
        &mut self,
        request: &Request<'_>,
        peer: std::net::SocketAddr,
        (): &mut (),
    ) -> Result<Accept, Response> {
        if request.path() != "/ws" {
            return Err(Response::new(Status::NOT_FOUND).body(&b"the socket is /ws"[..]));
        }
        let (origin, host) = (request.origin(), request.host());
        let allowed = |policy: &Origins| policy.allows(origin.as_ref(), &host, false);
        let listed = self.further_origins.as_ref().is_some_and(allowed);
        let own =
            allowed(&Origins::SameHost) && !(peer.ip().is_loopback() && is_elsewhere(host.host()));
        if origin.is_some() && !listed && !own {
            return Err(Refusal::OriginNotAllowed.response());
        }
        if !request.protocols().any(|asked| asked == SUBPROTOCOL) {
            let text = "this socket speaks the subprotocol relay.v1; ask for it";
            return Err(Response::new(Status::BAD_REQUEST).body(text.as_bytes()));
        }
        Ok(Accept::new().subprotocol(SUBPROTOCOL))
    }

    fn on_open(&mut self, cx: &mut Context<'_, ()>) {
        self.relay.open(self.now(), cx.id());
    }

    fn on_message(&mut self, cx: &mut Context<'_, ()>, message: Message<'_>) {
        let (now, who) = (self.now(), cx.id());
        let mut out = Vec::new();
        match message {
            Message::Text(text) => self.relay.receive(now, who, text, &mut out),
            Message::Binary(data) => self.relay.receive_binary(now, who, data.len(), &mut out),
        }
        let status = carry_out(&mut cx.hub(), &out);
        self.catch_up(&mut cx.hub(), who, status);
    }

    fn on_drain(&mut self, cx: &mut Context<'_, ()>) {
        let who = cx.id();
        self.catch_up(&mut cx.hub(), who, SendStatus::Sent);
    }

    fn on_close(&mut self, cx: &mut Context<'_, ()>, _: &Closed) {
        let mut out = Vec::new();
        self.relay.close(self.now(), cx.id(), &mut out);
        carry_out(&mut cx.hub(), &out);
    }
}

impl Server {
    fn now(&self) -> Moment {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let unix_ms = u64::try_from(unix.as_millis()).unwrap_or(u64::MAX);
        Moment { clock: self.started.elapsed(), unix_ms }
    }

    /// Sends a connection the log that it is behind with, for as long as its socket takes it: a full socket goes on in
    /// [`on_drain`](Handler::on_drain), and one that takes everything in the next turn.
    fn catch_up(&mut self, hub: &mut Hub<'_, ()>, who: ConnectionId, mut status: SendStatus) {
        for _ in 0..PIECES_MAX {
            if status != SendStatus::Sent || !self.relay.is_behind(who) {
                return;
            }
            let mut out = Vec::new();
            self.relay.drained(who, &mut out);
            status = carry_out(hub, &out);
        }
        if status == SendStatus::Sent
            && self.relay.is_behind(who)
            && let Some(handle) = &self.handle
        {
            // Refused only where a flood of posts waits; the client's next line goes on then.
            let _ = handle.post(move |server, hub| server.catch_up(hub, who, SendStatus::Sent));
        }
    }
}

/// Does what the relay wants done. The status is that of the last thing that was sent to a single connection.
fn carry_out(hub: &mut Hub<'_, ()>, out: &[Out<ConnectionId>]) -> SendStatus {
    let mut status = SendStatus::Sent;
    for out in out {
        match out {
            Out::Send { to, text } => {
                let to = hub.connection(*to);
                status = to.map_or(SendStatus::Dropped(Dropped::NotOpen), |mut cx| {
                    cx.send(Message::Text(text))
                });
            }
            Out::Publish { topic, text, except: None } => hub.publish(topic, Message::Text(text)),
            Out::Publish { topic, text, except: Some(who) } => {
                if let Some(mut cx) = hub.connection(*who) {
                    cx.publish_to_others(topic, Message::Text(text));
                }
            }
            Out::Subscribe { who, topic } => {
                if let Some(mut cx) = hub.connection(*who) {
                    cx.subscribe(topic);
                }
            }
            Out::Unsubscribe { who, topic } => {
                if let Some(mut cx) = hub.connection(*who) {
                    cx.unsubscribe(topic);
                }
            }
            Out::Close { who, code, reason } => {
                let code = CloseCode::new(*code).unwrap_or(CloseCode::POLICY_VIOLATION);
                if let Some(mut cx) = hub.connection(*who) {
                    cx.close(code, reason);
                }
            }
        }
    }
    status
}

/// Whether a host's name is none of this machine's own. A browser that comes over loopback and calls the relay by such
/// a name was led here by somebody else's name server (DNS rebinding), or by a proxy whose origin has to be listed.
fn is_elsewhere(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    !address.is_ok_and(|it| it.is_loopback()) && !host.eq_ignore_ascii_case("localhost")
}

/// The answer to a request for a file of the page.
fn answer(method: &str, path: &str, host: &str) -> Result<Response, FieldError> {
    let text = |status, text: &'static str| {
        Response::new(status)
            .body(text.as_bytes())
            .field("Content-Type", "text/plain; charset=utf-8")
    };
    let mut response = match (method, page::file(path)) {
        ("GET" | "HEAD", Some(file)) => Response::new(Status::OK)
            .body(file.body.as_bytes())
            .field("Content-Type", file.media_type)?,
        ("GET" | "HEAD", None) => text(Status::NOT_FOUND, "there is nothing here; the page is /")?,
        _ => text(Status::METHOD_NOT_ALLOWED, "only GET is understood here")?
            .field("Allow", "GET, HEAD")?,
    };
    for (name, value) in page::FIELDS {
        response = response.field(name, value)?;
    }
    response.field("Content-Security-Policy", page::policy(Some(host)))
}

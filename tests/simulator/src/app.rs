//! The application that the loops run: it does at random what a handler may do, and tells the oracle.

use std::net::SocketAddr;
use std::rc::Rc;

use tautline::handshake::{Accept, ClientRequest, HttpRequest, Request, Response, Status};
use tautline::reactor::{Answer, Closed, ConnectionId, Context, Handler, Hub};
use tautline::{CloseCode, Delivery, Message, Part, Prepared};

use crate::message::Stamp;
use crate::net::{Broken, Random};
use crate::oracle::{CLIENT, EndId, Phase, SERVER, Shared};
use crate::plan::Plan;
use crate::requests::answers::Answers;

/// How many topics there are.
const TOPICS: usize = 3;
/// The first code that applications close with.
pub(crate) const CODES: u16 = 4000;
/// Links in all, after which no end is followed by a new one.
const LINKS_MAX: usize = 60;

/// A handler.
pub(crate) struct App {
    /// Which loop this is.
    pub(crate) number: usize,
    pub(crate) oracle: Shared,
    random: Random,
    /// The source of chance for pauses.
    pub(crate) pausing: Random,
    pub(crate) plan: Rc<Plan>,
    /// Where the servers are.
    servers: Vec<SocketAddr>,
    /// Connections that are open, as this handler knows them.
    open: Vec<(EndId, ConnectionId)>,
    /// Nothing new is begun any more.
    quiet: bool,
    /// Answers to requests that ask for no upgrade.
    pub(crate) answers: Answers,
}

/// What the application keeps for a connection.
#[derive(Default)]
pub(crate) struct Session {
    end: Option<EndId>,
    /// The parts of a message that came.
    parts: Vec<u8>,
    /// The request that is answered on it, where it is no WebSocket.
    pub(crate) exchange: Option<usize>,
}

pub(crate) type Cx<'a> = Context<'a, Session>;

impl App {
    pub(crate) fn new(
        number: usize,
        oracle: &Shared,
        seed: u64,
        plan: &Rc<Plan>,
        servers: &[SocketAddr],
    ) -> Self {
        let random = Random::new(seed);
        Self {
            number,
            oracle: oracle.clone(),
            answers: Answers::new(random.apart()),
            pausing: random.apart().apart(),
            random,
            plan: Rc::clone(plan),
            servers: servers.to_vec(),
            open: Vec::new(),
            quiet: false,
        }
    }

    /// Connections that are open, as this handler knows them.
    pub(crate) fn open(&self) -> &[(EndId, ConnectionId)] {
        &self.open
    }

    /// Whether nothing new is begun any more.
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Makes a connection to a server, to any of those there are.
    pub(crate) fn connect(&mut self, hub: &mut Hub<'_, Session>) {
        let server = self.random.pick(&self.servers);
        let link = self.oracle.get().link(Some(self.number));
        let scheme = if self.plan.tls { "wss" } else { "ws" };
        let url = format!("{scheme}://localhost/{link}").parse().expect("a URL");
        let mut request = ClientRequest::new(url);
        if let Some(deflate) = self.plan.client_deflate {
            request = request.deflate(deflate);
        }
        let session = Session { end: Some((link, CLIENT)), ..Session::default() };
        if hub.connect(server, request, session).is_err() {
            // The handler is told nothing of it.
            self.oracle.get().end((link, CLIENT)).phase = Phase::Closed;
        }
    }

    /// Does something with one of the connections, from outside of any event.
    pub(crate) fn poke(&mut self, hub: &mut Hub<'_, Session>) {
        if self.open.is_empty() {
            return;
        }
        let (_, id) = self.random.pick(&self.open);
        if let Some(mut cx) = hub.connection(id) {
            self.act(&mut cx, false);
        }
    }

    /// Ends the message in parts of each connection.
    pub(crate) fn finish_parts(&mut self, hub: &mut Hub<'_, Session>) {
        self.quiet = true;
        for (_, id) in self.open.clone() {
            if let Some(mut cx) = hub.connection(id) {
                self.part(&mut cx, true);
            }
        }
    }

    pub(crate) fn end(cx: &mut Cx<'_>) -> EndId {
        cx.session().end.expect("a connection that is open has its number")
    }

    /// Does this and that. `certain` says that the connection surely takes what it is given.
    fn act(&mut self, cx: &mut Cx<'_>, certain: bool) {
        for _ in 0..self.random.draw(self.plan.eagerness) {
            let certain = certain && !self.oracle.get().end(Self::end(cx)).ledger.closed;
            match self.random.draw(16) {
                0..=5 => self.send(cx),
                6 | 7 => self.part(cx, false),
                8 | 9 => self.publish(cx, certain),
                10 | 11 => self.subscribe(cx),
                12 => self.ping(cx),
                13 => self.send_to_another(cx),
                14 => self.choose_delivery(cx),
                _ if self.random.happens(self.plan.wildness * 8) => self.close(cx),
                _ => {}
            }
        }
    }

    fn draw_message(&mut self) -> (usize, bool) {
        let bytes = match self.random.draw(3) {
            0 => self.random.draw(130),
            _ => self.random.draw(self.plan.message_bytes_max),
        };
        (bytes.min(self.plan.message_bytes_max), self.random.draw(2) == 0)
    }

    fn send(&mut self, cx: &mut Cx<'_>) {
        let id = Self::end(cx);
        let (bytes, text) = self.draw_message();
        let Some(stamp) = self.oracle.get().stamp(id, bytes, text) else { return };
        let filled = stamp.fill();
        let message = message(&stamp, &filled);
        let status = match self.random.draw(8) {
            0 => cx.send_prepared(&mut Prepared::new(message)),
            1 => cx.send(message.compressed()),
            2 => cx.send(message.uncompressed()),
            _ => cx.send(message),
        };
        let mut oracle = self.oracle.get();
        if oracle.status(id, status, bytes) {
            oracle.end(id).ledger.sent(stamp);
        }
    }

    /// Sends the next part of a message, or all that is left of it.
    fn part(&mut self, cx: &mut Cx<'_>, finish: bool) {
        let id = Self::end(cx);
        let begun = self.oracle.get().end(id).ledger.parts;
        if finish && begun.is_none() {
            return;
        }
        let (bytes, text) = self.draw_message();
        let new = || self.oracle.get().stamp(id, bytes, text).map(|stamp| (stamp, 0));
        let Some((stamp, sent)) = begun.or_else(new) else { return };
        let last = finish || self.random.draw(3) == 0;
        let left = stamp.bytes - sent;
        let bytes = if last { left } else { self.random.draw(left + 1) };
        let filled = stamp.fill();
        let data = message(&stamp, &filled[sent..sent + bytes]);
        let status = cx.send_part(Part { data, last });
        let mut oracle = self.oracle.get();
        if oracle.status(id, status, bytes) {
            let end = oracle.end(id);
            end.ledger.parts.get_or_insert((stamp, 0));
            end.made_bytes += end.ledger.sent_part(bytes, last);
        }
    }

    fn publish(&mut self, cx: &mut Cx<'_>, certain: bool) {
        let (id, topic) = (Self::end(cx), self.random.draw(TOPICS) as u64);
        let drawn = self.draw_message();
        let stamp = self.oracle.get().stamp_for_topic(self.number, topic, drawn);
        let Some(stamp) = stamp else { return };
        let filled = stamp.fill();
        let to_itself = self.random.draw(2) == 0;
        if to_itself {
            cx.publish(&topic.to_string(), message(&stamp, &filled));
        } else {
            cx.publish_to_others(&topic.to_string(), message(&stamp, &filled));
        }
        self.oracle.get().published(id, topic, stamp, (to_itself, certain));
    }

    fn subscribe(&mut self, cx: &mut Cx<'_>) {
        let (id, topic) = (Self::end(cx), self.random.draw(TOPICS) as u64);
        if self.random.draw(4) > 0 {
            let told = cx.subscribe(&topic.to_string());
            self.oracle.get().subscribed(id, topic, told);
        } else {
            cx.unsubscribe(&topic.to_string());
            self.oracle.get().unsubscribed(id, topic);
        }
    }

    fn ping(&mut self, cx: &mut Cx<'_>) {
        let id = Self::end(cx);
        // The pings of the loop itself are empty.
        let bytes = 1 + self.random.draw(125);
        let status = cx.ping(&vec![mark(id); bytes]);
        self.oracle.get().status(id, status, bytes);
    }

    fn send_to_another(&mut self, cx: &mut Cx<'_>) {
        if self.open.is_empty() {
            return;
        }
        let (_, id) = self.random.pick(&self.open);
        let Some(mut other) = cx.connection(id) else { return };
        if self.random.happens(self.plan.wildness) {
            self.close(&mut other);
        } else {
            self.send(&mut other);
        }
    }

    fn choose_delivery(&mut self, cx: &mut Cx<'_>) {
        let parts = self.random.draw(3) == 0;
        cx.set_delivery(if parts { Delivery::Parts } else { Delivery::Whole });
    }

    pub(crate) fn close(&mut self, cx: &mut Cx<'_>) {
        let id = Self::end(cx);
        let code = CODES + self.random.draw(900) as u16;
        let status = cx.close(CloseCode::new(code).expect("a code of ours"), "application");
        self.oracle.get().closes(id, status, code);
    }

    pub(crate) fn breaks(&self, how: Broken) -> bool {
        self.oracle.get().net.sim().breaks(how)
    }

    fn received(&mut self, id: EndId, bytes: &[u8], text: bool) {
        self.oracle.get().received(id, bytes, text);
        if self.breaks(Broken::MessageTwice) {
            self.oracle.get().received(id, bytes, text);
        }
    }
}

/// What the pings of an end are filled with.
fn mark((link, side): EndId) -> u8 {
    (2 * link + side) as u8
}

fn message<'m>(stamp: &Stamp, filled: &'m str) -> Message<'m> {
    if stamp.text { Message::Text(filled) } else { Message::Binary(filled.as_bytes()) }
}

impl Handler for App {
    type Session = Session;

    fn on_request(
        &mut self,
        cx: &mut Cx<'_>,
        request: &HttpRequest<'_>,
        peer: SocketAddr,
    ) -> Answer {
        self.answer(cx, request, peer)
    }

    fn on_upgrade(
        &mut self,
        request: &Request<'_>,
        peer: SocketAddr,
        session: &mut Session,
    ) -> Result<Accept, Response> {
        let link: usize = request.path()[1..].parse().expect("the number of a link");
        let mut oracle = self.oracle.get();
        oracle.links[link].pipe = Some(usize::from(peer.port()) - 1024);
        if self.random.happens(self.plan.wildness) {
            return Err(Response::new(Status::FORBIDDEN));
        }
        if oracle.end((link, SERVER)).phase != Phase::New {
            oracle.fail(format!("link {link} is asked for twice"));
        }
        session.end = Some((link, SERVER));
        Ok(Accept::new())
    }

    fn on_open(&mut self, cx: &mut Cx<'_>) {
        let id = Self::end(cx);
        self.open.push((id, cx.id()));
        self.oracle.get().opened(id, self.number);
        self.act(cx, true);
        self.hold_back(cx);
    }

    fn on_message(&mut self, cx: &mut Cx<'_>, message: Message<'_>) {
        let id = Self::end(cx);
        self.oracle.get().told(id, "a message");
        self.received(id, message.as_bytes(), matches!(message, Message::Text(_)));
        self.act(cx, true);
        self.write_to_any(cx);
        self.hold_back(cx);
    }

    fn on_part(&mut self, cx: &mut Cx<'_>, part: Part<'_>) {
        let id = Self::end(cx);
        self.oracle.get().told(id, "a part");
        let now = self.oracle.get().now();
        self.oracle.get().end(id).message_at = Some(now);
        cx.session().parts.extend_from_slice(part.data.as_bytes());
        if part.last {
            let whole = std::mem::take(&mut cx.session().parts);
            self.received(id, &whole, matches!(part.data, Message::Text(_)));
            self.act(cx, true);
        }
        self.hold_back(cx);
    }

    fn on_pong(&mut self, cx: &mut Cx<'_>, payload: &[u8]) {
        let id = Self::end(cx);
        self.oracle.get().told(id, "a pong");
        if payload.iter().any(|byte| *byte != mark(id)) {
            self.oracle.get().fail(format!("{id:?} gets the answer to a ping of another end"));
        }
        self.act(cx, true);
        self.hold_back(cx);
    }

    fn on_drain(&mut self, cx: &mut Cx<'_>) {
        if let Some(number) = cx.session().exchange {
            return self.stream_has_room(cx, number);
        }
        let id = Self::end(cx);
        self.oracle.get().told(id, "room");
        if cx.waiting_bytes() > 0 {
            self.oracle.get().fail(format!("{id:?} is told of room, and something waits"));
        }
        self.act(cx, false);
        self.hold_back(cx);
    }

    fn on_close(&mut self, cx: &mut Cx<'_>, closed: &Closed) {
        if let Some(number) = cx.session().exchange {
            return self.stream_closed(cx, number, closed);
        }
        let id = Self::end(cx);
        self.open.retain(|(it, _)| *it != id);
        if self.breaks(Broken::CloseMissed) {
            return;
        }
        self.oracle.get().closed(id, closed);
        if self.breaks(Broken::CloseTwice) {
            self.oracle.get().closed(id, closed);
        }
        // Nothing of this may be taken by a connection that has ended.
        self.send(cx);
        self.publish(cx, false);
        self.send_to_another(cx);
        self.write_to_any(cx);
        let again = id.1 == CLIENT && !self.quiet && self.random.draw(3) == 0;
        if again && self.oracle.get().links.len() < LINKS_MAX {
            self.connect(&mut cx.hub());
        }
    }
}

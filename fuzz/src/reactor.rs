//! The event loop in a simulated world, with a script of what its peers do.

use std::net::SocketAddr;
use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use tautline::frame::Role;
use tautline::reactor::{Closed, Context, Handler, Reactor};
use tautline::{Delivery, Limits, Message, Part};

use super::net::{Odds, Peer, SimNet};
use super::support::drive::{connection, run};
use super::support::frames::frame;

const ADDRESS: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 80);
const REQUEST: &[u8] =
    b"GET / HTTP/1.1\r\nHost: fuzz\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

const STEPS_MAX: usize = 120;
const PEERS_MAX: usize = 8;
/// Bytes that all connections may hold, and what one turn may add to them.
const HELD_BYTES_MAX: usize = 20_000;
const HELD_BYTES_BEYOND: usize = STEPS_MAX * 5_000;

/// What happens.
#[derive(Arbitrary, Debug)]
struct Script {
    seed: u64,
    /// How much a socket holds.
    capacity: u16,
    /// Calls are interrupted, come short, and are told of in another order and without a reason.
    rough: bool,
    accept_fails: bool,
    limits: SmallLimits,
    steps: Vec<Step>,
}

/// Limits that are met soon.
#[derive(Arbitrary, Debug)]
struct SmallLimits {
    outbox_bytes_max: u16,
    outbox_pause_bytes: u16,
    message_bytes_max: u16,
    handshakes_max: u8,
    connections_per_address_max: u8,
    held: bool,
    messages_per_second_max: Option<u8>,
    bytes_per_second_max: Option<u16>,
    milliseconds: [u16; 4],
}

/// What a peer does, or the clock.
#[derive(Arbitrary, Debug)]
enum Step {
    Connect { opens: bool },
    Bytes { peer: u8, bytes: Vec<u8> },
    Frame { peer: u8, first: u8, payload: Vec<u8> },
    Say { peer: u8, command: Command, bytes: u16 },
    Read { peer: u8, bytes: u16 },
    End { peer: u8 },
    Reset { peer: u8 },
    Turn,
    Pass { milliseconds: u16 },
}

/// What the application is told to do, by the first letter of a text.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Command {
    Echo,
    Subscribe,
    Unsubscribe,
    Publish,
    PublishToOthers,
    Part,
    LastPart,
    Parts,
    Ping,
    Close,
    CloseAll,
}

const COMMANDS: [Command; 11] = [
    Command::Echo,
    Command::Subscribe,
    Command::Unsubscribe,
    Command::Publish,
    Command::PublishToOthers,
    Command::Part,
    Command::LastPart,
    Command::Parts,
    Command::Ping,
    Command::Close,
    Command::CloseAll,
];

/// A script for a loop and its peers: every connection that opens ends once, and nothing is told after it; all connections
/// hold no more than they may; what is written is legal; and a shutdown ends, with all descriptors given back.
pub fn reactor(data: &[u8]) {
    let Ok(script) = Script::arbitrary_take_rest(Unstructured::new(data)) else { return };
    let net = SimNet::new(script.seed);
    net.sim().capacity = 1 + usize::from(script.capacity);
    net.sim().odds =
        Odds { accept: 300 * u16::from(script.accept_fails), ..Odds::rough(script.rough) };
    let reactor = Reactor::with_net(Told::default(), net.clone()).limits(script.limits.limits());
    let mut world = World {
        reactor: reactor.listen(ADDRESS).expect("nobody else does"),
        net,
        held: script.limits.held,
        peers: Vec::new(),
    };
    for step in script.steps.iter().take(STEPS_MAX) {
        world.step(step);
    }
    world.end();
}

impl SmallLimits {
    fn limits(&self) -> Limits {
        let [handshake, ping, pong, close] =
            self.milliseconds.map(|it| Duration::from_millis(1 + u64::from(it)));
        let mut limits = Limits::default();
        limits.outbox_bytes_max = self.outbox_bytes_max.into();
        limits.outbox_pause_bytes = self.outbox_pause_bytes.into();
        limits.message_bytes_max = self.message_bytes_max.into();
        limits.handshakes_max = self.handshakes_max.into();
        limits.connections_per_address_max = self.connections_per_address_max.into();
        limits.messages_per_second_max = self.messages_per_second_max.map(|it| 1 + u32::from(it));
        limits.bytes_per_second_max = self.bytes_per_second_max.map(|it| 1 + u32::from(it));
        limits.handshake_within = handshake;
        limits.ping_after = Some(ping);
        limits.pong_within = pong;
        limits.close_within = close;
        if self.held {
            limits.held_bytes_max = HELD_BYTES_MAX;
        }
        limits
    }
}

struct World {
    reactor: Reactor<Told, SimNet>,
    net: SimNet,
    /// What all connections may hold is limited.
    held: bool,
    /// Each peer, and all that it has read.
    peers: Vec<(Peer, Vec<u8>)>,
}

impl World {
    fn step(&mut self, step: &Step) {
        match step {
            Step::Connect { opens } if self.peers.len() < PEERS_MAX => {
                let peer = self.net.connect(ADDRESS);
                if *opens {
                    peer.write(REQUEST);
                }
                self.peers.push((peer, Vec::new()));
            }
            Step::Connect { .. } => {}
            Step::Bytes { peer, bytes } => self.write(*peer, bytes),
            Step::Frame { peer, first, payload } => {
                self.write(*peer, &frame(Role::Client, *first, payload));
            }
            Step::Say { peer, command, bytes } => {
                let text = char::from(b'a' + *command as u8).to_string();
                let text = text.repeat(1 + usize::from(*bytes) % 5_000);
                self.write(*peer, &frame(Role::Client, 0x81, text.as_bytes()));
            }
            Step::Read { peer, bytes } => {
                if let Some((peer, read)) = self.peer(*peer) {
                    read.extend(peer.read_up_to((*bytes).into()));
                }
            }
            Step::End { peer } => self.with(*peer, Peer::end),
            Step::Reset { peer } => self.with(*peer, Peer::reset),
            Step::Turn => self.turn(),
            Step::Pass { milliseconds } => {
                self.net.advance(Duration::from_millis((*milliseconds).into()));
                self.turn();
            }
        }
    }

    fn peer(&mut self, number: u8) -> Option<&mut (Peer, Vec<u8>)> {
        let count = self.peers.len().max(1);
        self.peers.get_mut(usize::from(number) % count)
    }

    fn with(&mut self, number: u8, act: impl FnOnce(&Peer)) {
        if let Some((peer, _)) = self.peer(number) {
            act(peer);
        }
    }

    fn write(&mut self, number: u8, bytes: &[u8]) {
        self.with(number, |peer| {
            if !peer.is_dropped() && !peer.is_reset() {
                peer.write(bytes);
            }
        });
    }

    fn turn(&mut self) {
        self.reactor.turn(Some(Duration::ZERO)).expect("a turn");
        let held = self.reactor.hub().held_bytes();
        let too_much = self.held && held > HELD_BYTES_MAX + HELD_BYTES_BEYOND;
        assert!(!too_much, "{held} bytes are held");
    }

    /// Faults stop, everybody reads, and the loop is told to end.
    fn end(mut self) {
        self.net.sim().odds = Odds::CALM;
        self.reactor.hub().shutdown(Duration::from_millis(10));
        for _ in 0..2_000 {
            for (peer, read) in &mut self.peers {
                read.extend(peer.read());
            }
            self.turn();
            if self.reactor.is_finished() {
                break;
            }
            self.net.advance(Duration::from_millis(100));
        }
        assert!(self.reactor.is_finished(), "it does not end");
        assert_eq!(self.net.open_streams(), 0, "descriptors are kept");
        assert_eq!(self.reactor.hub().held_bytes(), 0, "bytes are held by nobody");
        let counters = self.reactor.hub().counters().clone();
        let told = self.reactor.handler();
        assert_eq!(counters.opened, told.opened as u64, "what opened is counted");
        assert_eq!((told.open, told.opened), (0, told.closed), "each that opened ends");
        for (peer, read) in &mut self.peers {
            read.extend(peer.read());
            assert_legal(read);
        }
    }
}

/// What a peer was sent is an answer, and then frames of a server.
fn assert_legal(read: &[u8]) {
    if !read.starts_with(b"HTTP/1.1 101 ") {
        return;
    }
    let end = read.windows(4).position(|it| it == b"\r\n\r\n").map_or(read.len(), |at| at + 4);
    let mut limits = Limits::default();
    limits.fragments_max = u32::MAX;
    let client = connection(Role::Client, &limits, Delivery::Parts);
    let frames = read.get(end..).unwrap_or_default();
    assert_eq!(run(client, [frames]).violation, None, "what is written is legal");
}

/// An application that does what the first letter of a text says, and counts what it is told.
#[derive(Default)]
struct Told {
    open: usize,
    opened: usize,
    closed: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Known {
    #[default]
    No,
    Open,
    Closed,
}

impl Told {
    fn is_open(cx: &mut Context<'_, Known>) {
        assert_eq!(*cx.session(), Known::Open, "nothing is told of what is not open");
    }

    fn obey(cx: &mut Context<'_, Known>, text: &str) {
        let code = text.bytes().next().unwrap_or(b'a').wrapping_sub(b'a');
        let Some(command) = COMMANDS.get(usize::from(code)) else { return };
        match command {
            Command::Echo => {
                cx.send(text);
            }
            Command::Subscribe => {
                cx.subscribe("all");
            }
            Command::Unsubscribe => cx.unsubscribe("all"),
            Command::Publish => cx.publish("all", text),
            Command::PublishToOthers => cx.publish_to_others("all", text),
            Command::Part | Command::LastPart => {
                let last = matches!(command, Command::LastPart);
                cx.send_part(Part { data: Message::Text(text), last });
            }
            Command::Parts => cx.set_delivery(Delivery::Parts),
            Command::Ping => {
                cx.ping(b"fuzz");
            }
            Command::Close => {
                cx.close(tautline::CloseCode::NORMAL, "as told");
            }
            Command::CloseAll => {
                cx.publish("all", "before");
                cx.close(tautline::CloseCode::GOING_AWAY, "");
                cx.publish("all", "after");
                cx.unsubscribe("all");
                cx.subscribe("all");
            }
        }
    }
}

impl Handler for Told {
    type Session = Known;

    fn on_open(&mut self, cx: &mut Context<'_, Known>) {
        assert_eq!(std::mem::replace(cx.session(), Known::Open), Known::No);
        (self.open, self.opened) = (self.open + 1, self.opened + 1);
    }

    fn on_message(&mut self, cx: &mut Context<'_, Known>, message: Message<'_>) {
        Self::is_open(cx);
        match message {
            Message::Text(text) => Self::obey(cx, text),
            message @ Message::Binary(_) => {
                cx.send(message);
            }
        }
    }

    fn on_part(&mut self, cx: &mut Context<'_, Known>, _: Part<'_>) {
        Self::is_open(cx);
    }

    fn on_pong(&mut self, cx: &mut Context<'_, Known>, _: &[u8]) {
        Self::is_open(cx);
    }

    fn on_drain(&mut self, cx: &mut Context<'_, Known>) {
        Self::is_open(cx);
    }

    fn on_close(&mut self, cx: &mut Context<'_, Known>, _: &Closed) {
        assert_eq!(std::mem::replace(cx.session(), Known::Closed), Known::Open);
        (self.open, self.closed) = (self.open - 1, self.closed + 1);
        cx.publish("all", "one has left");
    }
}

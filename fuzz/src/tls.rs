//! TLS: a reactor in memory, whose peer speaks TLS, or does not.
//!
//! The bytes of a handshake are others each time, as it should be, so that an input stands for what was done to them, not
//! for the bytes themselves.

use std::io::{Read, Write};
use std::sync::{Arc, LazyLock};

use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};
use tautline::handshake::ClientRequest;
use tautline::reactor::{Context, Handler};
use tautline::tls::{ClientTls, ServerTls};
use tautline::{Message, Origins, Reactor};

use super::lengths;
use super::memory::{ADDRESS, Memory};

/// The first byte of an input: whether the peer speaks TLS at all,
const SPEAKS_TLS: u8 = 1;
/// whether it is the server, and the reactor the client,
const SERVES: u8 = 2;
/// which version it speaks,
const VERSION_1_2: u8 = 4;
/// whether it cuts all that it says into records of a few bytes, those of the handshake too,
const SHORT_RECORDS: u8 = 8;
/// and whether what it sends comes in pieces.
const PIECES: u8 = 16;
/// The socket takes few bytes at once.
const FULL_SOCKET: u8 = 32;

/// The fewest that rustls lets a record have, header included.
const SHORT_RECORD_BYTES: usize = 32;
const OPS_MAX: usize = 48;
const ROUNDS_MAX: usize = 64;

const REQUEST: &[u8] =
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n";
/// To a nonce of zeros.
const ANSWER: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: ICX+Yqv66kxgM0FcWaLWlFLwTAI=\r\n\r\n";

/// A byte of choices, a byte that the cuts come from, and then what a peer sends: bytes, where it speaks no TLS, or two
/// bytes for each thing that it does. Nothing panics, every connection ends, and what a peer says that keeps to the rules
/// comes back.
pub fn tls(data: &[u8]) {
    let Some((&[choices, seed], rest)) = data.split_first_chunk() else { return };
    if choices & SPEAKS_TLS == 0 {
        let mut scene = Scene::new(choices, seed);
        scene.feed(rest);
        return scene.end();
    }
    let (ops, _) = rest.as_chunks();
    if ops.is_empty() {
        return;
    }
    let mut scene = Scene::new(choices, seed);
    for &[code, argument] in ops.iter().take(OPS_MAX) {
        scene.act(code, argument);
    }
    scene.pump(|_| {});
    scene.check();
    scene.end();
}

struct Echo;

impl Handler for Echo {
    type Session = ();

    fn on_message(&mut self, cx: &mut Context<'_, ()>, message: Message<'_>) {
        cx.send(message);
    }
}

struct Scene {
    reactor: Reactor<Echo, Memory>,
    memory: Memory,
    peer: rustls::Connection,
    choices: u8,
    lengths: Box<dyn Iterator<Item = usize>>,
    /// What the peer has received, decrypted.
    received: Vec<u8>,
    /// The frames that are to come back.
    expected: Vec<u8>,
    /// The handshake of the WebSocket inside.
    answered: bool,
    /// The peer has broken no rule, and had no time to be given up.
    honest: bool,
    /// The peer has closed or failed, and may not be given any more.
    deaf: bool,
}

impl Scene {
    fn new(choices: u8, seed: u8) -> Self {
        let memory = Memory::default();
        let mut reactor = Reactor::with_net(Echo, memory.clone()).origins(Origins::Any);
        let own = &*OWN;
        let serves = choices & SERVES != 0;
        if serves {
            reactor = reactor.client_tls(own.trusting.clone());
            let request = ClientRequest::new("wss://localhost/".parse().expect("a URL"));
            reactor.hub().connect(ADDRESS, request, ()).expect("it begins to connect");
        } else {
            reactor = reactor.server_tls(own.server.clone()).listen(ADDRESS).expect("it listens");
        }
        let mut scene = Self {
            reactor,
            memory,
            peer: if serves { own.peer_server(choices) } else { own.peer_client(choices) },
            choices,
            lengths: Box::new(lengths(seed)),
            received: Vec::new(),
            expected: Vec::new(),
            answered: false,
            honest: true,
            deaf: false,
        };
        if !serves {
            scene.peer.writer().write_all(REQUEST).expect("it has room");
        }
        scene.turn();
        scene
    }

    /// What the peer does next.
    fn act(&mut self, code: u8, argument: u8) {
        let at = usize::from(argument);
        match code % 10 {
            0 => self.pump(|_| {}),
            1 => {
                self.honest = false;
                self.pump(|flight| {
                    if let Some(byte) = flight.get_mut(at) {
                        *byte ^= 1 << (code / 10 % 8);
                    }
                });
            }
            2 => {
                self.honest = false;
                self.pump(|flight| flight.truncate(at));
            }
            3 => self.say(&vec![argument; at % 126]),
            4 => {
                self.honest = false;
                let _ = self.peer.writer().write_all(&[argument, code]);
            }
            5 => drop(self.peer.refresh_traffic_keys()),
            // A record that is not encrypted, before what the peer says.
            6 => {
                self.honest = false;
                let content = [argument; 4];
                let length = content.len().min(usize::from(code / 10 % 5));
                let mut record = vec![20 + argument % 5, 3, 3, 0, length as u8];
                record.extend_from_slice(&content[..length]);
                self.pump(|flight| drop(flight.splice(..0, record)));
            }
            7 => {
                self.honest = false;
                self.memory.pass(u64::from(argument));
                self.turn();
            }
            8 => {
                (self.honest, self.deaf) = (false, true);
                self.peer.send_close_notify();
            }
            _ => {
                self.honest = false;
                self.memory.world().ended = true;
                self.turn();
            }
        }
    }

    /// Sends a message, whose echo is then expected, once there was an answer to the handshake.
    fn say(&mut self, payload: &[u8]) {
        if !self.answered {
            return;
        }
        let length = payload.len() as u8;
        let plain = [&[0x82, length], payload].concat();
        let masked = [&[0x82, 0x80 | length, 0, 0, 0, 0], payload].concat();
        let serves = self.choices & SERVES != 0;
        let (sent, comes_back) = if serves { (plain, masked) } else { (masked, plain) };
        let _ = self.peer.writer().write_all(&sent);
        self.expected.extend_from_slice(&comes_back);
    }

    /// Lets both ends speak until neither has more to say. The first that the peer says is changed.
    fn pump(&mut self, change: impl FnOnce(&mut Vec<u8>)) {
        let mut change = Some(change);
        for _ in 0..ROUNDS_MAX {
            let mut flight = Vec::new();
            while self.peer.wants_write() {
                self.peer.write_tls(&mut flight).expect("a vector takes all");
            }
            if !flight.is_empty()
                && let Some(change) = change.take()
            {
                change(&mut flight);
            }
            self.feed(&flight);
            let came = std::mem::take(&mut self.memory.world().from_reactor);
            if flight.is_empty() && came.is_empty() {
                return;
            }
            self.hear(&came);
        }
    }

    /// What the reactor said comes to the peer.
    fn hear(&mut self, mut came: &[u8]) {
        while !came.is_empty() && !self.deaf {
            let taken = self.peer.read_tls(&mut came).unwrap_or(0);
            let processed = self.peer.process_new_packets();
            assert!(!self.honest || processed.is_ok(), "we break a rule: {processed:?}");
            let _ = self.peer.reader().read_to_end(&mut self.received);
            self.deaf = taken == 0 || processed.is_err();
        }
        let head = self.received.windows(4).any(|it| it == b"\r\n\r\n");
        let begins = head && !std::mem::replace(&mut self.answered, true);
        if begins && self.choices & SERVES != 0 {
            let _ = self.peer.writer().write_all(ANSWER);
        }
    }

    /// The reactor is given bytes, in one piece or in many.
    fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let length = match self.choices & PIECES {
                0 => bytes.len(),
                _ => self.lengths.next().unwrap_or(1).min(bytes.len()),
            };
            let (piece, rest) = bytes.split_at(length);
            self.memory.arrive(piece);
            self.turn();
            bytes = rest;
        }
        self.turn();
    }

    /// The reactor does what there is to do.
    fn turn(&mut self) {
        for _ in 0..4 {
            let room = if self.choices & FULL_SOCKET == 0 { usize::MAX } else { 100 };
            self.memory.make_room(room);
            self.reactor.turn(None).expect("its world does not fail");
        }
    }

    /// What was said by the rules has come back.
    fn check(&mut self) {
        if !self.honest {
            return;
        }
        let head = self.received.windows(4).position(|it| it == b"\r\n\r\n").map(|at| at + 4);
        let frames = head.map_or(&[][..], |at| &self.received[at..]);
        assert_eq!(frames, self.expected, "what was said comes back");
        assert!(!self.peer.is_handshaking(), "the handshake is done");
    }

    /// Time passes, and the peer ends its direction: the connection ends too.
    fn end(&mut self) {
        self.memory.pass(30);
        self.turn();
        self.memory.world().ended = true;
        for _ in 0..64 {
            self.memory.pass(30);
            self.turn();
            if self.memory.world().dropped {
                return;
            }
        }
        panic!("the connection does not end");
    }
}

/// A certificate that is its own root.
struct Own {
    chain: CertificateDer<'static>,
    key: PrivatePkcs8KeyDer<'static>,
    server: ServerTls,
    trusting: ClientTls,
}

static OWN: LazyLock<Own> = LazyLock::new(|| {
    let made = rcgen::generate_simple_self_signed(["localhost".into()]).expect("a certificate");
    let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let file = std::env::temp_dir().join(format!("tautline-fuzz-{}.pem", std::process::id()));
    std::fs::write(&file, &chain).expect("a temporary file");
    let trusting = ClientTls::trusting(&file);
    let _ = std::fs::remove_file(&file);
    Own {
        chain: made.cert.der().clone(),
        key: PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()),
        server: ServerTls::from_pem(chain.as_bytes(), key.as_bytes()).expect("a certificate"),
        trusting: trusting.expect("a root"),
    }
});

impl Own {
    fn peer_client(&self, choices: u8) -> rustls::Connection {
        let mut roots = RootCertStore::empty();
        roots.add(self.chain.clone()).expect("a root");
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_protocol_versions(version(choices)).expect("versions");
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.max_fragment_size = fragment(choices);
        let name = "localhost".try_into().expect("a name");
        ClientConnection::new(Arc::new(config), name).expect("a client").into()
    }

    fn peer_server(&self, choices: u8) -> rustls::Connection {
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_protocol_versions(version(choices)).expect("versions");
        let (chain, key) = (vec![self.chain.clone()], PrivateKeyDer::Pkcs8(self.key.clone_key()));
        let config = builder.with_no_client_auth().with_single_cert(chain, key);
        let mut config = config.expect("a certificate");
        config.max_fragment_size = fragment(choices);
        ServerConnection::new(Arc::new(config)).expect("a server").into()
    }
}

fn version(choices: u8) -> &'static [&'static rustls::SupportedProtocolVersion] {
    static VERSIONS: [&rustls::SupportedProtocolVersion; 2] = [&TLS12, &TLS13];
    if choices & VERSION_1_2 == 0 { &VERSIONS[1..] } else { &VERSIONS[..1] }
}

fn fragment(choices: u8) -> Option<usize> {
    (choices & SHORT_RECORDS != 0).then_some(SHORT_RECORD_BYTES)
}

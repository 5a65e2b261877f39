//! TLS over the deterministic net, where things go wrong, and the order of all that is sent where nothing does.
use super::authority::Authority;
use super::*;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use std::io::{Read, Write};
use std::sync::Arc;
use tautline::handshake::ClientRequest;
use tautline::tls::{ClientTls, ServerTls};

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn tls_world(limits: Limits, seed: u64) -> (World, Authority) {
    let authority = Authority::new();
    let net = SimNet::new(seed);
    let reactor = Reactor::with_net(Probe::default(), net.clone()).limits(limits);
    let reactor = reactor
        .server_tls(ServerTls::from_files(&[authority.server(&["localhost"])]).unwrap())
        .client_tls(ClientTls::trusting(authority.root()).unwrap());
    (World { reactor: reactor.listen(ADDRESS).unwrap(), net }, authority)
}

struct Secure {
    tls: rustls::Connection,
    peer: Peer,
    plain: Vec<u8>,
    notified: bool,
    error: Option<rustls::Error>,
}

impl Secure {
    fn client(world: &World, authority: &Authority) -> Self {
        Self { peer: world.net.connect(ADDRESS), ..Self::client_of(authority) }
    }

    fn client_of(authority: &Authority) -> Self {
        let net = SimNet::new(1);
        let _listener = tautline::reactor::Net::listen(&mut net.clone(), ADDRESS, 0).unwrap();
        let mut roots = rustls::RootCertStore::empty();
        for it in CertificateDer::pem_file_iter(authority.root()).unwrap() {
            roots.add(it.unwrap()).unwrap();
        }
        let config = rustls::ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut tls = rustls::ClientConnection::new(
            Arc::new(config),
            ServerName::try_from("localhost").unwrap(),
        )
        .unwrap();
        tls.set_buffer_limit(None);
        Self {
            tls: tls.into(),
            peer: net.connect(ADDRESS),
            plain: Vec::new(),
            notified: false,
            error: None,
        }
    }

    /// Writes what is to be written, and reads up to so many bytes.
    fn exchange(&mut self, bytes: usize) -> usize {
        self.flush();
        let got = self.peer.read_up_to(bytes);
        let mut rest = got.as_slice();
        while !rest.is_empty() && self.error.is_none() {
            self.tls.read_tls(&mut rest).unwrap();
            match self.tls.process_new_packets() {
                Ok(state) => self.notified |= state.peer_has_closed(),
                Err(error) => self.error = Some(error),
            }
            let mut some = vec![0; 1 << 16];
            while let Ok(n @ 1..) = self.tls.reader().read(&mut some) {
                self.plain.extend_from_slice(&some[..n]);
            }
        }
        self.flush();
        got.len()
    }

    fn flush(&mut self) {
        let mut out = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut out).unwrap();
        }
        if !out.is_empty() {
            self.peer.write(&out);
        }
    }

    fn queue(&mut self, bytes: &[u8]) {
        self.tls.writer().write_all(bytes).unwrap();
    }

    fn until(
        &mut self,
        world: &mut World,
        what: &str,
        bytes: usize,
        mut done: impl FnMut(&Self) -> bool,
    ) {
        let mut idle = 0;
        while !done(self) {
            world.run_some(3);
            let got = self.exchange(bytes);
            idle = if got == 0 { idle + 1 } else { 0 };
            assert!(
                idle < 200,
                "{what}: hangs; error {:?}, plain {} bytes, journal {:?}",
                self.error,
                self.plain.len(),
                world.journal()
            );
        }
    }

    fn open(world: &mut World, authority: &Authority, bytes: usize) -> Self {
        let mut it = Self::client(world, authority);
        it.until(world, "handshake", bytes, |it| !it.tls.is_handshaking());
        it.queue(REQUEST);
        it.until(world, "101", bytes, |it| it.plain.ends_with(b"\r\n\r\n"));
        assert!(it.plain.starts_with(b"HTTP/1.1 101"));
        it.plain.clear();
        it
    }
}

#[test]
fn a_socket_that_takes_k_bytes_at_a_time() {
    let mut without = Vec::new();
    for faults in [false, true] {
        for k in (1..60).chain([100, 1000, 5000, 70_000]) {
            let (mut world, authority) = tls_world(Limits::default(), k as u64);
            world.net.sim().capacity = k;
            world.net.sim().odds = Odds::rough(faults);
            let mut it = Secure::open(&mut world, &authority, usize::MAX);
            let mut expected = Vec::new();
            let sizes = if k < 60 {
                vec![0usize, 1, 125, 126, 2000]
            } else {
                vec![0, 1, 125, 126, 2000, 16_384, 40_000, 200_000]
            };
            for (n, size) in sizes.into_iter().enumerate() {
                let data: Vec<u8> = (0..size).map(|at| (at * 7 + n) as u8).collect();
                it.queue(&frame(0x82, &data));
                expected.extend(plain(0x82, &data));
            }
            it.queue(&close_frame_masked());
            expected.extend(plain(0x88, &close_frame(1000, "")));
            it.until(&mut world, &format!("k {k} faults {faults}"), usize::MAX, |it| {
                it.plain.len() >= expected.len()
            });
            assert!(it.plain == expected, "k {k}");
            assert_eq!(
                world.journal().last().unwrap(),
                "close 1000: closed with 1000 (normal closure)",
                "k {k}"
            );
            for _ in 0..100 {
                world.run_some(3);
                it.exchange(usize::MAX);
            }
            assert_eq!(it.error, None);
            assert!(it.peer.is_ended(), "k {k}");
            if !it.notified {
                without.push((k, faults));
            }
        }
    }
    assert!(
        without.is_empty(),
        "no close_notify where the socket takes so many bytes, with faults: {without:?}"
    );
}

fn close_frame_masked() -> Vec<u8> {
    frame(0x88, &[3, 232])
}

/// What the journal says after many messages, a close frame and the end of the stream came at once, while the first
/// answer waits.
fn ended_at_once(tls: bool) -> (Vec<SendStatus>, Vec<String>) {
    let (mut world, authority) = tls_world(Limits::default(), 1);
    let mut input = text("burst 500000");
    for n in 0..20 {
        input.extend(text(&format!("hello {n}")));
    }
    input.extend(close_frame_masked());
    if tls {
        let mut it = Secure::open(&mut world, &authority, usize::MAX);
        it.queue(&input);
        it.tls.send_close_notify();
        it.flush();
        it.peer.end();
        for _ in 0..300 {
            world.run_some(3);
            it.exchange(usize::MAX);
        }
    } else {
        let net = SimNet::new(1);
        let reactor = Reactor::with_net(Probe::default(), net.clone());
        world = World { reactor: reactor.listen(ADDRESS).unwrap(), net };
        let peer = world.open();
        peer.write(&input);
        peer.end();
        for _ in 0..300 {
            world.run_some(3);
            peer.read();
        }
    }
    (world.reactor.handler().statuses.clone(), world.journal().to_vec())
}

#[test]
fn messages_before_a_close_notify_are_handled_as_those_before_a_fin() {
    let (plain, tls) = (ended_at_once(false), ended_at_once(true));
    assert_eq!(plain, tls);
}

#[test]
fn a_peer_whose_record_arrives_slowly_is_not_silent() {
    for tls in [false, true] {
        let mut limits = Limits::default();
        (limits.ping_after, limits.pong_within) =
            (Some(Duration::from_secs(2)), Duration::from_secs(2));
        let message = frame(0x82, &[1; 100]);
        let (mut world, authority) = tls_world(limits.clone(), 1);
        let (wire, secure, peer);
        if tls {
            let mut it = Secure::open(&mut world, &authority, usize::MAX);
            it.queue(&message);
            let mut out = Vec::new();
            while it.tls.wants_write() {
                it.tls.write_tls(&mut out).unwrap();
            }
            (wire, secure, peer) = (out, Some(it), None);
        } else {
            let net = SimNet::new(1);
            world = World {
                reactor: Reactor::with_net(Probe::default(), net.clone())
                    .limits(limits)
                    .listen(ADDRESS)
                    .unwrap(),
                net,
            };
            (wire, peer, secure) = (message, Some(world.open()), None);
        }
        let peer = peer.as_ref().or(secure.as_ref().map(|it| &it.peer)).unwrap();
        for byte in wire.chunks(2) {
            peer.write(byte);
            world.pass(Duration::from_secs(1));
            peer.read();
            assert_eq!(world.journal(), ["open"], "tls {tls}");
        }
    }
}

#[test]
fn a_connection_that_was_made_says_close_notify() {
    let (mut world, authority) = tls_world(Limits::default(), 1);
    let request = ClientRequest::new("wss://localhost/".parse().unwrap());
    world.reactor.hub().connect(ADDRESS, request, 9).unwrap();
    world.run();
    let (chain, key) = authority.server(&["localhost"]);
    let chain = CertificateDer::pem_file_iter(chain).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(key).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let tls = rustls::ServerConnection::new(Arc::new(config)).unwrap();
    let mut it = Secure {
        tls: tls.into(),
        peer: world.net.accept_outgoing(),
        plain: Vec::new(),
        notified: false,
        error: None,
    };
    it.until(&mut world, "request", usize::MAX, |it| it.plain.ends_with(b"\r\n\r\n"));
    it.plain.clear();
    let accept = {
        use base64::Engine;
        use sha1::{Digest, Sha1};
        let nonce = base64::engine::general_purpose::STANDARD.encode([7; 16]);
        base64::engine::general_purpose::STANDARD
            .encode(Sha1::digest(format!("{nonce}258EAFA5-E914-47DA-95CA-C5AB0DC85B11")))
    };
    it.queue(format!("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n").as_bytes());
    it.flush();
    world.run();
    assert_eq!(world.journal(), ["made"]);
    it.queue(&plain(0x88, &close_frame(1000, "")));
    it.until(&mut world, "close", usize::MAX, |it| it.plain.len() == 8);
    assert!(!it.peer.is_dropped());
    it.tls.send_close_notify();
    it.flush();
    it.peer.end();
    world.run();
    it.exchange(usize::MAX);
    assert!(it.peer.is_dropped());
    assert!(it.notified, "the reactor's client ended the stream without close_notify");
}

#[test]
fn a_storm_of_failed_handshakes_does_not_hold_up_others() {
    // Those that were refused already send on; each of their reads is counted as a step of a handshake.
    let (mut world, authority) = tls_world(Limits::default(), 1);
    let junk: Vec<_> = (0..50)
        .map(|_| {
            let peer = world.net.connect(ADDRESS);
            peer.write(&[0x16, 3, 1, 0xFF, 0xFF, 0, 1, 2, 3]);
            peer
        })
        .collect();
    world.run();
    let mut it = Secure::client(&world, &authority);
    let mut turns = 0;
    while it.tls.is_handshaking() {
        turns += 1;
        for peer in &junk {
            peer.write(&[0; 100]);
        }
        world.run_some(1);
        it.exchange(usize::MAX);
        assert!(turns < 1000);
    }
    assert!(turns < 10, "the handshake took {turns} turns");
}

#[test]
fn waiting_handshakes_do_not_spin() {
    let (mut world, authority) = tls_world(Limits::default(), 1);
    let stalled: Vec<_> = (0..50)
        .map(|_| {
            let mut it = Secure::client(&world, &authority);
            let mut out = Vec::new();
            it.tls.write_tls(&mut out).unwrap();
            it.peer.write(&out[..100]);
            it
        })
        .collect();
    world.run();
    let mut turns = 0;
    while world.net.open_streams() > 0 && turns < 1000 {
        turns += 1;
        world.reactor.turn(None).unwrap();
    }
    // The next turn sleeps until the deadline: the connections are ended.
    world.run();
    assert_eq!(world.net.open_streams(), 0);
    drop(stalled);
}

/// Random messages of several connections, with and without TLS; each comes back to its own sender, in order.
#[test]
fn messages_of_several_connections_come_back_to_their_own_senders_in_order() {
    for seed in 1..40u64 {
        let mut limits = Limits::default();
        limits.message_bytes_max = 4 << 20;
        limits.ping_after = None;
        let (mut world, authority) = tls_world(limits.clone(), seed);
        let tls = seed % 2 == 0;
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut draw = move |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) as usize % below.max(1)
        };
        if !tls {
            let net = SimNet::new(seed);
            world = World {
                reactor: Reactor::with_net(Probe::default(), net.clone())
                    .limits(limits)
                    .listen(ADDRESS)
                    .unwrap(),
                net,
            };
        }
        world.net.sim().capacity = [500, 5_000, 70_000, 300_000][draw(4)];
        world.net.sim().odds = Odds::rough(seed % 3 != 0);
        struct Conn {
            secure: Option<Secure>,
            peer: Option<Peer>,
            wire: Vec<u8>,
            at: usize,
            expected: Vec<u8>,
            got: Vec<u8>,
        }
        let mut conns: Vec<Conn> = (0..3)
            .map(|_| {
                let secure = tls.then(|| Secure::open(&mut world, &authority, usize::MAX));
                let peer = (!tls).then(|| world.open());
                Conn {
                    secure,
                    peer,
                    wire: Vec::new(),
                    at: 0,
                    expected: Vec::new(),
                    got: Vec::new(),
                }
            })
            .collect();
        for (n, conn) in conns.iter_mut().enumerate() {
            for m in 0..6 + draw(6) {
                let size = [
                    draw(200),
                    4000 + draw(10_000),
                    32_700 + draw(140),
                    draw(70_000),
                    draw(if m == 2 { 1_500_000 } else { 100_000 }),
                ][draw(5)];
                let salt = n * 97 + m * 13;
                let data: Vec<u8> =
                    (0..size).map(|at| (at.wrapping_mul(31) + salt) as u8).collect();
                match draw(3) {
                    0 => {
                        let string: String =
                            data.iter().map(|it| char::from(b'a' + it % 26)).collect();
                        conn.wire.extend(frame(0x81, string.as_bytes()));
                        conn.expected.extend(plain(0x81, string.as_bytes()));
                    }
                    1 => {
                        conn.wire.extend(frame(0x82, &data));
                        conn.expected.extend(plain(0x82, &data));
                    }
                    _ => {
                        let cut = draw(size);
                        conn.wire.extend(frame(0x02, &data[..cut]));
                        conn.wire.extend(frame(0x8A, b"pong"));
                        conn.wire.extend(frame(0x80, &data[cut..]));
                        conn.expected.extend(plain(0x82, &data));
                    }
                }
            }
        }
        let mut idle = 0;
        while conns.iter().any(|it| it.got.len() < it.expected.len()) {
            let mut moved = false;
            for conn in &mut conns {
                let count = [1, 100, 4096, 65_536, 400_000][draw(5)].min(conn.wire.len() - conn.at);
                let piece = &conn.wire[conn.at..conn.at + count];
                conn.at += count;
                moved |= count > 0;
                let up_to = 1 + [100, 10_000, 1_000_000][draw(3)];
                if let Some(secure) = &mut conn.secure {
                    if count > 0 {
                        secure.queue(piece);
                    }
                    moved |= secure.exchange(up_to) > 0;
                    assert_eq!(secure.error, None, "seed {seed}");
                    conn.got.append(&mut secure.plain);
                } else if let Some(peer) = &conn.peer {
                    if count > 0 {
                        peer.write(piece);
                    }
                    let read = peer.read_up_to(up_to);
                    moved |= !read.is_empty();
                    conn.got.extend(read);
                }
            }
            world.run_some(2);
            idle = if moved { 0 } else { idle + 1 };
            assert!(
                idle < 100,
                "seed {seed} tls {tls} hangs: {:?} {:?}",
                conns
                    .iter()
                    .map(|it| (it.at, it.wire.len(), it.got.len(), it.expected.len()))
                    .collect::<Vec<_>>(),
                world.journal().iter().filter(|it| it.starts_with("close")).collect::<Vec<_>>()
            );
        }
        for conn in &conns {
            assert!(conn.got == conn.expected, "seed {seed} tls {tls}");
        }
    }
}

/// Bytes of a client that are damaged, cut and doubled, also at timeouts and shutdown: no panic.
#[test]
fn damaged_bytes_never_make_the_loop_panic_or_keep_a_socket() {
    for seed in 1..300u64 {
        let (mut world, authority) = tls_world_with(seed);
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut draw = move |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) as usize % below.max(1)
        };
        let open = draw(2) == 0;
        let mut it = if open {
            Secure::open(&mut world, authority, usize::MAX)
        } else {
            Secure::client(&world, authority)
        };
        if open {
            it.queue(&text("hello"));
            it.queue(&text("hello again"));
        }
        let mut out = Vec::new();
        while it.tls.wants_write() {
            it.tls.write_tls(&mut out).unwrap();
        }
        match draw(6) {
            0 => {
                let at = draw(out.len());
                out[at] ^= 1 << draw(8);
            }
            1 => out.truncate(draw(out.len())),
            2 => {
                let again = out.clone();
                out.extend(again);
            }
            3 if !open => {
                // The hello in records of some bytes each.
                let (body, k) = (out[5..].to_vec(), 1 + draw(60));
                out.clear();
                for piece in body.chunks(k) {
                    out.extend([0x16, 3, 1, 0, piece.len() as u8]);
                    out.extend(piece);
                }
                out.truncate(draw(out.len() + 40).max(1));
            }
            4 => {
                let at = draw(out.len());
                out.insert(at, draw(256) as u8);
            }
            _ => {
                let at = draw(3);
                let kinds: [&[u8]; 3] = [
                    &[0x15, 3, 3, 0, 2, 2, 40],
                    &[0x14, 3, 3, 0, 1, 1],
                    &[0x16, 3, 1, 0, 4, 1, 0, 1, 0],
                ];
                let extra = kinds[draw(3)].to_vec();
                if at == 0 {
                    out.splice(0..0, extra);
                } else {
                    out.extend(extra);
                }
            }
        }
        let most = if draw(2) == 0 { 4000 } else { 60 };
        let k = 1 + draw(most);
        for piece in out.chunks(k) {
            it.peer.write(piece);
            world.run_some(1);
            let got = it.peer.read();
            let mut rest = got.as_slice();
            while !rest.is_empty() && it.error.is_none() {
                if it.tls.read_tls(&mut rest).is_err() {
                    break;
                }
                if let Err(error) = it.tls.process_new_packets() {
                    it.error = Some(error);
                }
            }
        }
        match draw(4) {
            0 => it.peer.end(),
            1 => it.peer.reset(),
            2 => world.reactor.hub().shutdown(Duration::ZERO),
            _ => {}
        }
        for _ in 0..60 {
            world.net.advance(Duration::from_secs(1));
            world.run_some(2);
            it.peer.read();
        }
        for id in world.reactor.handler().ids.clone() {
            if let Some(mut connection) = world.reactor.hub().connection(id) {
                connection.send("to whoever is there");
            }
        }
        world.run_some(5);
        it.peer.end();
        for _ in 0..20 {
            world.net.advance(Duration::from_secs(1));
            world.run_some(2);
            it.peer.read();
        }
        assert_eq!(world.net.open_streams(), 0, "seed {seed}");
    }
}

thread_local! { static AUTHORITY: (&'static Authority, std::path::PathBuf, std::path::PathBuf) = {
    let authority: &'static Authority = Box::leak(Box::new(Authority::new()));
    let (chain, key) = authority.server(&["localhost"]);
    (authority, chain, key)
} }

fn tls_world_with(seed: u64) -> (World, &'static Authority) {
    AUTHORITY.with(|(authority, chain, key)| {
        let net = SimNet::new(seed);
        let reactor = Reactor::with_net(Probe::default(), net.clone())
            .server_tls(ServerTls::from_files(&[(chain, key)]).unwrap());
        (World { reactor: reactor.listen(ADDRESS).unwrap(), net }, *authority)
    })
}

#[test]
fn the_reason_of_a_failure_is_told_behind_the_messages_before_it() {
    for size in [10, 600_000] {
        let (mut world, authority) = tls_world(Limits::default(), 1);
        world.net.sim().capacity = 10_000_000;
        let mut it = Secure::open(&mut world, &authority, usize::MAX);
        it.queue(&text(&format!("burst {size}")));
        it.queue(&text("hello"));
        let mut out = Vec::new();
        while it.tls.wants_write() {
            it.tls.write_tls(&mut out).unwrap();
        }
        out.extend([0x17, 3, 3, 0, 30]);
        out.extend([9; 30]);
        it.peer.write(&out);
        world.run();
        it.exchange(usize::MAX);
        eprintln!(
            "s9 size {size}: {:?} statuses {:?} client got {} bytes, error {:?}, dropped {}",
            world.journal(),
            world.reactor.handler().statuses,
            it.plain.len(),
            it.error,
            it.peer.is_dropped()
        );
        assert!(
            !world.journal().last().unwrap().contains("failed before"),
            "{:?}",
            world.journal()
        );
    }
}

#[test]
fn no_handshakes_per_turn_is_a_spin() {
    let mut limits = Limits::default();
    limits.tls_handshakes_per_turn_max = 0;
    let (mut world, authority) = tls_world(limits, 1);
    let mut it = Secure::client(&world, &authority);
    it.exchange(10);
    let mut turns = 0;
    while world.net.open_streams() > 0 && it.tls.is_handshaking() && turns < 10_000 {
        world.reactor.turn(None).unwrap();
        it.exchange(usize::MAX);
        turns += 1;
    }
    assert!(turns < 10_000, "spins");
}

/// Does random things with each message, and notes in what order they have to arrive.
struct Ops {
    state: u64,
    next: u32,
    in_parts: bool,
    expected: Vec<u32>,
    held: Vec<u32>,
    bad: Vec<String>,
}

impl Ops {
    fn draw(&mut self, below: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state >> 11) as usize % below.max(1)
    }
    fn data(&mut self) -> (u32, Vec<u8>) {
        self.next += 1;
        let size = [4, 100, 33_000, 32_768, 90_000][self.draw(5)];
        let mut data = vec![self.next as u8; size];
        data[..4].copy_from_slice(&self.next.to_be_bytes());
        (self.next, data)
    }
}

impl Handler for Ops {
    type Session = ();
    fn on_open(&mut self, cx: &mut Context<'_, ()>) {
        cx.subscribe("room");
    }
    fn on_message(&mut self, cx: &mut Context<'_, ()>, _: Message<'_>) {
        for _ in 0..self.draw(6) {
            let (number, data) = self.data();
            match self.draw(5) {
                0 | 1 => {
                    let status = cx.send(data.as_slice());
                    match (self.in_parts, status) {
                        (true, SendStatus::Dropped(_)) => {}
                        (false, SendStatus::Sent | SendStatus::Queued) => {
                            self.expected.push(number)
                        }
                        other => self.bad.push(format!("{other:?}")),
                    }
                }
                2 => {
                    cx.publish("room", data.as_slice());
                    if self.in_parts { self.held.push(number) } else { self.expected.push(number) }
                }
                3 => {
                    cx.ping(b"x");
                }
                _ => {
                    let last = self.draw(2) == 0;
                    let begins = !self.in_parts;
                    let status = cx.send_part(Part { data: Message::Binary(&data), last });
                    if matches!(status, SendStatus::Dropped(_)) {
                        self.bad.push(format!("{status:?}"));
                    }
                    if begins {
                        self.expected.push(number);
                    }
                    self.in_parts = !last;
                    if last {
                        let mut held = std::mem::take(&mut self.held);
                        self.expected.append(&mut held);
                    }
                }
            }
        }
    }
}

#[test]
fn order_of_everything_that_is_sent() {
    for seed in 1..100u64 {
        let net = SimNet::new(seed);
        let mut limits = Limits::default();
        limits.outbox_bytes_max = 1 << 30;
        limits.outbox_pause_bytes = [1000, 64 * 1024, 1 << 30][seed as usize % 3];
        let ops = Ops {
            state: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
            next: 0,
            in_parts: false,
            expected: vec![],
            held: vec![],
            bad: vec![],
        };
        let tls = seed % 2 == 0;
        let mut reactor = Reactor::with_net(ops, net.clone()).limits(limits);
        let authority = AUTHORITY.with(|(authority, chain, key)| {
            if tls {
                reactor = std::mem::replace(
                    &mut reactor,
                    Reactor::with_net(
                        Ops {
                            state: 1,
                            next: 0,
                            in_parts: false,
                            expected: vec![],
                            held: vec![],
                            bad: vec![],
                        },
                        net.clone(),
                    ),
                )
                .server_tls(ServerTls::from_files(&[(chain, key)]).unwrap());
            }
            *authority
        });
        let mut reactor = reactor.listen(ADDRESS).unwrap();
        net.sim().capacity = [3_000, 40_000, 300_000][(seed / 2) as usize % 3];
        net.sim().odds = Odds::rough(seed % 5 != 0);
        // The test's own client only reads and writes.
        let world_like = World {
            net: net.clone(),
            reactor: Reactor::with_net(Probe::default(), SimNet::new(1)),
        };
        let (mut secure, peer) = if tls {
            (Some(Secure { peer: net.connect(ADDRESS), ..Secure::client_of(authority) }), None)
        } else {
            (None, Some(net.connect(ADDRESS)))
        };
        drop(world_like);
        let mut got = Vec::new();
        let mut input = REQUEST.to_vec();
        let mut sent = 0;
        let mut idle = 0;
        while idle < 60 {
            let mut moved = false;
            if got.ends_with(b"\r\n\r\n") && sent == 0 {
                got.clear();
                sent = 1;
            }
            if sent > 0 && sent < 30 {
                sent += 1;
                input = [text("do"), text("do")].concat();
            }
            if let Some(it) = &mut secure {
                if !input.is_empty() {
                    it.queue(&input);
                    input.clear();
                    moved = true;
                }
                moved |= it.exchange(50_000) > 0;
                got.append(&mut it.plain);
            } else if let Some(peer) = &peer {
                if !input.is_empty() {
                    peer.write(&input);
                    input.clear();
                    moved = true;
                }
                let read = peer.read_up_to(50_000);
                moved |= !read.is_empty();
                got.extend(read);
            }
            for _ in 0..2 {
                reactor.turn(Some(Duration::ZERO)).unwrap();
            }
            idle = if moved { 0 } else { idle + 1 };
        }
        let mut numbers = Vec::new();
        let mut rest = got.as_slice();
        let mut begun = false;
        while !rest.is_empty() {
            let (header, n) = tautline::frame::FrameHeader::parse(
                rest,
                Role::Server,
                tautline::frame::Rsv1::Reserved,
            )
            .unwrap()
            .expect("whole");
            let payload = &rest[n..n + header.payload_bytes as usize];
            rest = &rest[n + payload.len()..];
            if matches!(header.opcode, tautline::frame::Opcode::Ping) {
                continue;
            }
            assert_eq!(
                begun,
                header.opcode == tautline::frame::Opcode::Continuation,
                "seed {seed}"
            );
            if !begun {
                numbers.push(u32::from_be_bytes(payload[..4].try_into().unwrap()));
            }
            assert!(payload[4..].windows(2).all(|it| it[0] == it[1]), "seed {seed}");
            begun = !header.fin;
        }
        let ops = reactor.handler();
        assert_eq!(ops.bad, Vec::<String>::new(), "seed {seed}");
        let mut expected = ops.expected.clone();
        expected.truncate(expected.len());
        assert_eq!(numbers, expected, "seed {seed} tls {tls}");
        assert!(ops.next > 20, "seed {seed}: {}", ops.next);
    }
}

#[test]
fn a_connection_whose_tls_has_failed_is_counted_once() {
    let mut world = super::tls::world(1, false, 4_000_000);
    let peer = world.net.connect(ADDRESS);
    peer.write(&vec![0x80; 3_000_000]);
    world.run_some(20);
    assert_eq!(world.reactor.hub().counters().tls_failures, 1);
}

#[test]
fn what_was_decrypted_is_handled_although_what_tls_answers_cannot_be_written() {
    let (mut world, authority) = tls_world(Limits::default(), 3);
    world.net.sim().reads_after_reset = true;
    let mut client = Secure::client(&world, &authority);
    // It leaves with the last message of the handshake, which the server answers with tickets.
    client.queue(REQUEST);
    while client.tls.is_handshaking() {
        client.exchange(usize::MAX);
        world.run_some(1);
    }
    client.peer.reset();
    world.run();
    assert_eq!(world.journal().first().map(String::as_str), Some("open"));
}

#[test]
fn the_pong_that_is_owed_goes_to_its_own_peer_however_the_socket_comes_to_have_room() {
    let (mut world, authority) = tls_world(Limits::default(), 5);
    (world.net.sim().capacity, world.net.sim().full_until) = (5000, 100);
    let mut slow = Secure::open(&mut world, &authority, usize::MAX);
    let mut other = Secure::open(&mut world, &authority, usize::MAX);
    slow.queue(&text("burst 6000"));
    slow.flush();
    world.run();
    slow.queue(&frame(0x89, b"alive?"));
    slow.flush();
    world.run();
    // There is room for the rest of what is encrypted, of which no event tells; what comes has it tried.
    slow.exchange(3000);
    slow.queue(&frame(0x8A, b"unasked"));
    slow.flush();
    world.run();
    other.queue(&text("echo it"));
    other.until(&mut world, "echo", usize::MAX, |it| !it.plain.is_empty());
    assert_eq!(other.plain, plain(0x81, b"echo it"));
    slow.until(&mut world, "pong", usize::MAX, |it| it.plain.len() > 6010);
    assert!(slow.plain == [plain(0x82, &[b'b'; 6000]), plain(0x8A, b"alive?")].concat());
}

#[test]
fn plain_http_is_told_so_and_a_head_request_without_content() {
    let (mut world, _authority) = tls_world(Limits::default(), 3);
    for method in ["GET", "HEAD"] {
        let peer = world.net.connect(ADDRESS);
        peer.write(format!("{method} / HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes());
        world.run();
        let answer = String::from_utf8(peer.read()).unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        assert_eq!(answer.ends_with("\r\n\r\n"), method == "HEAD", "{answer}");
    }
}

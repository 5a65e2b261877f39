//! TLS over the deterministic net: records cut anywhere, sockets that take little, interruptions and spurious events.

use std::io::{Read, Write};
use std::sync::{Arc, OnceLock};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use tautline::tls::{ClientTls, ServerTls};

use super::*;

/// A certificate for localhost, and its key, as PEM; made once.
fn certificate() -> &'static (String, String) {
    static MADE: OnceLock<(String, String)> = OnceLock::new();
    MADE.get_or_init(|| {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    })
}

fn server_tls() -> ServerTls {
    let (chain, key) = certificate();
    ServerTls::from_pem(chain.as_bytes(), key.as_bytes()).unwrap()
}

/// A client of rustls' own, at the other end of the net.
struct TlsPeer {
    peer: Peer,
    tls: ClientConnection,
    plain: Vec<u8>,
}

impl TlsPeer {
    fn connect(net: &SimNet, versions: &[&'static rustls::SupportedProtocolVersion]) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(certificate().0.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        let mut tls = ClientConnection::new(Arc::new(config), name).unwrap();
        tls.set_buffer_limit(None);
        Self { peer: net.connect(ADDRESS), tls, plain: Vec::new() }
    }

    fn send(&mut self, bytes: &[u8]) {
        self.tls.writer().write_all(bytes).unwrap();
    }

    /// Exchanges bytes with the reactor: at most so many each way, one turn.
    fn exchange(&mut self, reactor: &mut Reactor<Probe, SimNet>, bytes_max: usize) {
        let mut records = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut records).unwrap();
        }
        for run in records.chunks(bytes_max) {
            self.peer.write(run);
            reactor.turn(Some(Duration::ZERO)).unwrap();
        }
        reactor.turn(Some(Duration::ZERO)).unwrap();
        let read = self.peer.read_up_to(bytes_max);
        let mut read = read.as_slice();
        while !read.is_empty() {
            self.tls.read_tls(&mut read).unwrap();
            let state = self.tls.process_new_packets().unwrap();
            let mut plain = vec![0; state.plaintext_bytes_to_read()];
            self.tls.reader().read_exact(&mut plain).unwrap();
            self.plain.extend(plain);
        }
    }

    /// Exchanges until this has come.
    fn expect(&mut self, reactor: &mut Reactor<Probe, SimNet>, bytes_max: usize, wanted: &[u8]) {
        for _ in 0..200_000 {
            if self.plain.len() >= wanted.len() {
                break;
            }
            self.exchange(reactor, bytes_max);
        }
        assert!(self.plain.starts_with(wanted), "{} of {}", self.plain.len(), wanted.len());
        self.plain.drain(..wanted.len());
    }

    /// The opening handshake, after that of TLS.
    fn open(&mut self, reactor: &mut Reactor<Probe, SimNet>, bytes_max: usize) {
        self.send(REQUEST);
        while !self.plain.ends_with(b"\r\n\r\n") {
            self.exchange(reactor, bytes_max);
        }
        assert!(self.plain.starts_with(b"HTTP/1.1 101 "));
        self.plain.clear();
    }
}

pub(super) fn world(seed: u64, faults: bool, capacity: usize) -> World {
    let net = SimNet::new(seed);
    (net.sim().odds, net.sim().capacity) = (Odds::rough(faults), capacity);
    let reactor = Reactor::with_net(Probe::default(), net.clone()).server_tls(server_tls());
    World { reactor: reactor.listen(ADDRESS).unwrap(), net }
}

#[test]
fn a_loop_whose_tls_came_too_late_for_its_addresses_does_not_run() {
    let reactor = Reactor::with_net(Probe::default(), SimNet::new(1)).listen(ADDRESS).unwrap();
    let error = reactor.server_tls(server_tls()).turn(None).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    assert!(error.to_string().contains("before listen"), "{error}");
}

#[test]
fn an_answer_that_is_a_stream_goes_over_tls_and_so_does_the_body_of_its_request() {
    for seed in 0..6 {
        let mut world = world(seed, seed % 2 == 0, [50, 700, 20_000][seed as usize % 3]);
        let mut peer = TlsPeer::connect(&world.net, rustls::ALL_VERSIONS);
        let head = "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3000\r\n\r\n";
        peer.send(&[head.as_bytes(), &[b'x'; 3000]].concat());
        while !peer.plain.ends_with(&[b'x'; 3000]) {
            peer.exchange(&mut world.reactor, 100);
        }

        let mut peer = TlsPeer::connect(&world.net, rustls::ALL_VERSIONS);
        peer.send(b"GET /stream?first HTTP/1.1\r\nHost: localhost\r\n\r\n");
        while !peer.plain.ends_with(b"\r\n\r\n5\r\nfirst\r\n") {
            peer.exchange(&mut world.reactor, 100);
        }
        peer.plain.clear();
        let id = world.reactor.handler().streams[0];
        let status = world.reactor.hub().connection(id).unwrap().write(&[b'x'; 0xA000]);
        assert_eq!(status, SendStatus::Sent);
        let chunk = [b"a000\r\n".as_slice(), &[b'x'; 0xA000], b"\r\n"].concat();
        peer.expect(&mut world.reactor, 1000, &chunk);
        world.reactor.hub().connection(id).unwrap().finish();
        peer.expect(&mut world.reactor, 1000, b"0\r\n\r\n");
        world.run();
        assert_eq!(world.journal().last().unwrap(), "close 1005: closed without a code");
    }
}

#[test]
fn what_waits_of_a_paused_connection_is_handled_before_the_end_that_tls_has_told() {
    for seed in 0..6 {
        let mut world = world(seed, seed % 2 == 0, 20_000);
        let mut peer = TlsPeer::connect(&world.net, rustls::ALL_VERSIONS);
        peer.open(&mut world.reactor, 20_000);
        peer.send(&[text("pause"), text("first"), frame(0x82, &[b'x'; 9_000])].concat());
        peer.tls.send_close_notify();
        for _ in 0..100 {
            peer.exchange(&mut world.reactor, 20_000);
        }
        assert_eq!((peer.plain.len(), world.journal().len()), (0, 1), "seed {seed}");
        let id = world.reactor.handler().ids[0];
        world.reactor.hub().connection(id).unwrap().resume_reading();
        let wanted = [plain(0x81, b"first"), plain(0x82, &[b'x'; 9_000])].concat();
        peer.expect(&mut world.reactor, 20_000, &wanted);
        world.run();
        assert!(world.journal()[1].starts_with("close 1006"), "{:?}", world.journal());
        assert_eq!(world.net.open_streams(), 0);
    }
}

#[test]
fn who_is_turned_away_for_want_of_descriptors_is_told_nothing_that_is_no_tls() {
    for (secure, said) in [(true, &b""[..]), (false, b"HTTP/1.1 503 ")] {
        let mut world =
            if secure { world(1, false, 20_000) } else { World::new(Limits::default()) };
        world.net.sim().accept_errors.extend((0..2).map(|_| std::io::Error::from_raw_os_error(24)));
        let peer = world.net.connect(ADDRESS);
        world.pass(Duration::from_secs(1));
        assert_eq!(world.net.sim().turned_away, 1);
        let answer = peer.read();
        assert!(answer.starts_with(said) && answer.is_empty() == secure, "{answer:?}");
        assert!(peer.is_ended());
    }
}

#[test]
fn messages_come_back_over_tls_whatever_a_socket_takes_and_wherever_records_are_cut() {
    for seed in 0..12 {
        let bytes_max = [1, 2, 7, 100, 1000, 20_000][seed as usize % 6];
        let capacity = [3, 50, 700, 20_000][seed as usize % 4];
        let lengths: &[usize] = if bytes_max < 100 || capacity < 100 {
            &[0, 1, 126, 1000]
        } else {
            &[0, 1, 125, 126, 16_370, 16_384, 16_385, 65_536, 200_000]
        };
        let versions = [&rustls::version::TLS13, &rustls::version::TLS12];
        let mut world = world(seed + 1, true, capacity);
        let mut peer = TlsPeer::connect(&world.net, &versions[seed as usize % 2..][..1]);
        peer.open(&mut world.reactor, bytes_max);
        for &length in lengths {
            let data: Vec<u8> = (0..length).map(|n| n as u8).collect();
            // Two at once, and a ping between.
            for _ in 0..2 {
                peer.send(&frame(0x82, &data));
            }
            let wanted = plain(0x82, &data).repeat(2);
            peer.expect(&mut world.reactor, bytes_max, &wanted);
        }
        peer.send(&frame(0x88, &close_frame(1000, "done")));
        peer.expect(&mut world.reactor, bytes_max, &plain(0x88, &1000u16.to_be_bytes()));
        peer.tls.send_close_notify();
        peer.exchange(&mut world.reactor, bytes_max);
        for _ in 0..100 {
            peer.exchange(&mut world.reactor, usize::MAX);
        }
        assert!(peer.tls.process_new_packets().unwrap().peer_has_closed(), "close_notify came");
        peer.peer.end();
        world.run();
        assert!(peer.peer.is_dropped(), "seed {seed}");
        assert_eq!(
            world.journal().last().unwrap(),
            "close 1000: closed with 1000 (normal closure): done"
        );
    }
}

#[test]
fn what_one_turn_says_leaves_in_one_record_and_one_write() {
    let mut world = world(1, false, 1 << 20);
    let mut peer = TlsPeer::connect(&world.net, &[&rustls::version::TLS13]);
    peer.open(&mut world.reactor, usize::MAX);
    let writes = world.net.sim().writes;
    peer.send(&frame(0x82, b"sixteen bytes!!!").repeat(100));
    let wanted = plain(0x82, b"sixteen bytes!!!").repeat(100);
    let mut records = Vec::new();
    while peer.tls.wants_write() {
        peer.tls.write_tls(&mut records).unwrap();
    }
    peer.peer.write(&records);
    world.run();
    assert_eq!(world.net.sim().writes - writes, 1);
    // Header, content type and tag.
    assert_eq!(peer.peer.pending(), wanted.len() + 5 + 1 + 16);
    peer.expect(&mut world.reactor, usize::MAX, &wanted);
}

#[test]
fn a_peer_that_does_not_read_is_not_read_and_gets_all_of_it_later() {
    let mut world = world(1, false, 10_000);
    let mut peer = TlsPeer::connect(&world.net, &[&rustls::version::TLS13]);
    peer.open(&mut world.reactor, usize::MAX);
    peer.send(&text("burst 300000"));
    let mut records = Vec::new();
    peer.tls.write_tls(&mut records).unwrap();
    peer.peer.write(&records);
    world.run();
    assert_eq!(peer.peer.pending(), 10_000);
    assert!(!world.journal().iter().any(|line| line == "drain"));
    peer.expect(&mut world.reactor, 5_000, &plain(0x82, &vec![b'b'; 300_000]));
    world.run();
    assert!(world.journal().iter().any(|line| line == "drain"));
}

#[test]
fn handshakes_wait_for_their_turn_and_all_come_to_an_end() {
    let mut world = world(1, false, 1 << 20);
    let mut peers: Vec<_> =
        (0..40).map(|_| TlsPeer::connect(&world.net, &[&rustls::version::TLS13])).collect();
    for peer in &mut peers {
        peer.send(REQUEST);
    }
    let mut turns = 0;
    while peers.iter().any(|peer| !peer.plain.ends_with(b"\r\n\r\n")) {
        for peer in &mut peers {
            let mut records = Vec::new();
            while peer.tls.wants_write() {
                peer.tls.write_tls(&mut records).unwrap();
            }
            if !records.is_empty() {
                peer.peer.write(&records);
            }
        }
        world.run_some(1);
        turns += 1;
        let answered = peers.iter().filter(|peer| peer.peer.pending() > 0).count();
        assert!(
            answered <= 2 * Limits::default().tls_handshakes_per_turn_max,
            "{answered} in a turn"
        );
        for peer in &mut peers {
            let read = peer.peer.read();
            let mut read = read.as_slice();
            while !read.is_empty() {
                peer.tls.read_tls(&mut read).unwrap();
                let state = peer.tls.process_new_packets().unwrap();
                let mut plain = vec![0; state.plaintext_bytes_to_read()];
                peer.tls.reader().read_exact(&mut plain).unwrap();
                peer.plain.extend(plain);
            }
        }
        assert!(turns < 1000, "they come to an end");
    }
    assert_eq!(world.journal().iter().filter(|line| *line == "open").count(), 40);
}

#[test]
fn two_reactors_talk_to_each_other_over_tls() {
    for seed in 0..6 {
        let (net, other) = (SimNet::new(seed + 1), SimNet::new(seed + 100));
        let root = std::env::temp_dir()
            .join(format!("tautline-two-reactors-{}-{seed}.pem", std::process::id()));
        std::fs::write(&root, &certificate().0).unwrap();
        let tls = ClientTls::trusting(&root).unwrap();
        std::fs::remove_file(root).unwrap();
        for net in [&net, &other] {
            (net.sim().odds, net.sim().capacity) = (Odds::ROUGH, 300);
        }
        let mut client = Reactor::with_net(Probe::default(), net.clone()).client_tls(tls);
        let server = Reactor::with_net(Probe::default(), other.clone()).server_tls(server_tls());
        let mut server = server.listen(ADDRESS).unwrap();
        let url = "wss://localhost/chat".parse().unwrap();
        let request = tautline::handshake::ClientRequest::new(url);
        let id = client.hub().connect(ADDRESS, request, 0).unwrap();
        client.turn(Some(Duration::ZERO)).unwrap();
        let (here, there) = (net.accept_outgoing(), other.connect(ADDRESS));
        let mut said = false;
        for _ in 0..20_000 {
            client.turn(Some(Duration::ZERO)).unwrap();
            there.write(&here.read_up_to(77));
            server.turn(Some(Duration::ZERO)).unwrap();
            here.write(&there.read_up_to(90));
            if !said && let Some(mut cx) = client.hub().connection(id) {
                // The server sends as much back.
                cx.send("burst 30000");
                said = true;
            }
            if client.handler().statuses.len() == 1 {
                break;
            }
        }
        // The client has echoed the burst, which it had whole.
        assert_eq!(
            client.handler().statuses.len(),
            1,
            "seed {seed}: {:?}",
            client.handler().journal
        );
    }
}

/// What a request is answered with, plain or over TLS.
fn answer(request: &str, secure: bool) -> String {
    if !secure {
        let net = SimNet::new(1);
        let reactor = Reactor::with_net(Probe::default(), net.clone()).listen(ADDRESS).unwrap();
        let mut world = World { reactor, net };
        let peer = world.net.connect(ADDRESS);
        peer.write(request.as_bytes());
        world.run();
        world.pass(Duration::from_secs(11));
        return String::from_utf8(peer.read()).unwrap();
    }
    let mut world = world(1, false, 1 << 20);
    let mut peer = TlsPeer::connect(&world.net, &[&rustls::version::TLS13]);
    peer.send(request.as_bytes());
    for _ in 0..20 {
        peer.exchange(&mut world.reactor, usize::MAX);
    }
    world.pass(Duration::from_secs(11));
    peer.exchange(&mut world.reactor, usize::MAX);
    String::from_utf8(peer.plain).unwrap()
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
//# otherwise, all further communication
//# for the connection (including the server's handshake) MUST run
//# through the encrypted tunnel [RFC5246].
#[test]
fn every_answer_of_the_opening_handshake_is_the_same_over_tls() {
    let valid = String::from_utf8_lossy(REQUEST).into_owned();
    let fields = |more: &str| valid.replace("\r\n\r\n", &format!("\r\n{more}\r\n\r\n"));
    let without = |field: &str| {
        let lines = valid.split("\r\n").filter(|line| !line.starts_with(field));
        lines.collect::<Vec<_>>().join("\r\n")
    };
    let table = [
        (valid.clone(), "101"),
        (valid.replace("/chat", "/no"), "403"),
        ("GET /page HTTP/1.1\r\nHost: example\r\n\r\n".into(), "200"),
        ("HEAD /page HTTP/1.1\r\nHost: example\r\n\r\n".into(), "200"),
        ("GET /else HTTP/1.1\r\nHost: example\r\n\r\n".into(), "426"),
        (without("Host"), "400"),
        (without("Sec-WebSocket-Key"), "400"),
        (without("Sec-WebSocket-Version"), "426"),
        (valid.replace("Version: 13", "Version: 12"), "426"),
        (valid.replace("GET", "POST"), "405"),
        (valid.replace("HTTP/1.1", "HTTP/1.0"), "505"),
        (valid.replace("\r\n", "\n"), "400"),
        (fields("Host: again"), "400"),
        (fields("Content-Length: 1"), "400"),
        (fields("Expect: 100-continue"), "417"),
        (fields("Origin: https://elsewhere"), "403"),
        (fields(&format!("X: {}", "x".repeat(20_000))), "431"),
        (valid.replace("/chat", &format!("/{}", "x".repeat(20_000))), "414"),
        (format!("{valid}early"), "400"),
        (valid[..60].to_owned(), "408"),
    ];
    for (request, status) in &table {
        let over_tls = answer(request, true);
        assert!(over_tls.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {over_tls}");
        assert_eq!(over_tls, answer(request, false), "{request}");
    }
    // But for pages of the same host, whose scheme has to be the same too.
    for (origin, plain, over_tls) in
        [("http://example", "101", "403"), ("https://example", "403", "101")]
    {
        let request = fields(&format!("Origin: {origin}"));
        for (secure, status) in [(false, plain), (true, over_tls)] {
            let answer = answer(&request, secure);
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{origin}: {answer}");
        }
    }
}

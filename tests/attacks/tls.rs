//! TLS: hellos that never end, storms of handshakes, and certificates that are for somebody else.

use std::time::Duration;

use tautline::Limits;
use tautline::client::{Client, ClientError};
use tautline::handshake::ClientRequest;
use tautline::tls::{CertificateProblem, ClientTls, TlsError};

use super::authority::Authority;
use super::peer::Peer;
use super::server::Server;

/// A connection in its TLS handshake: the state of rustls, and its buffer for a record, which is 4 KiB at first.
const HANDSHAKE_KIB: u64 = 24;

/// A server with a certificate for this name, and further settings.
fn secure(authority: &Authority, name: &str, settings: &str) -> Server {
    let (chain, key) = authority.server(&[name]);
    Server::start(&format!("certificate={},{} {settings}", chain.display(), key.display()))
}

// slowloris
#[test]
fn a_tls_hello_of_one_byte_at_a_time_that_never_ends() {
    let authority = Authority::new();
    let trusting = ClientTls::trusting(authority.root()).unwrap();
    let server = secure(&authority, "localhost", "handshake_within=1000 close_within=1000");
    let mut attack = server.attacked_securely(&trusting);
    // In a record that is not whole, and in one that is, of a hello that is not.
    let starts: [&[u8]; 2] = [&[0x16, 3, 1, 0x3F, 0], &[0x16, 3, 1, 0, 1, 1]];
    let mut peers: Vec<_> = (0..20).map(|_| Peer::connect(server.address)).collect();
    for (peer, start) in peers.iter_mut().zip(starts.iter().cycle()) {
        attack.sent += usize::from(peer.send(start)) * start.len();
    }
    // They are accepted once this is answered. Bytes do not extend the time that there is.
    attack.others_are_served();
    let mut rounds = 0;
    while server.count("connections") > 1 {
        rounds += 1;
        assert!(rounds < 1_000, "it goes on for ever");
        for peer in &mut peers {
            attack.sent += usize::from(peer.send(&[1]));
        }
        attack.others_are_served();
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(rounds > 0, "none of them was ever there");
    attack.ends_within(20 * HANDSHAKE_KIB, "20 handshakes");
}

#[test]
fn tls_connections_that_never_say_anything() {
    let authority = Authority::new();
    let trusting = ClientTls::trusting(authority.root()).unwrap();
    let server = secure(&authority, "localhost", "handshake_within=1000 close_within=1000");
    let mut attack = server.attacked_securely(&trusting);
    let mut peers: Vec<_> = (0..100).map(|_| Peer::connect(server.address)).collect();
    attack.others_are_served();
    for peer in &mut peers {
        peer.rest();
    }
    server.wait_for_connections(1);
    attack.ends_within(100 * HANDSHAKE_KIB, "100 handshakes");
}

#[test]
fn floods_of_tls_connections_and_of_junk_where_a_hello_should_be() {
    let authority = Authority::new();
    let trusting = ClientTls::trusting(authority.root()).unwrap();
    let settings = "handshakes_per_address_max=50 handshake_within=60000";
    let server = secure(&authority, "localhost", settings);
    let mut attack = server.attacked_securely(&trusting);
    let junk: [&[u8]; 5] = [
        &[0x16, 3, 1, 0xFF, 0xFF, 0, 1, 2, 3],
        &[0x17, 3, 3, 0, 1, 0],
        &[0x80, 0x2E, 1, 0, 2],
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        &[0; 64],
    ];
    for bytes in junk.iter().cycle().take(100) {
        let mut peer = Peer::connect(server.address);
        peer.send(bytes);
        attack.sent += bytes.len();
        let answer = peer.rest();
        assert!(answer.starts_with(&[0x15]) || answer.starts_with(b"HTTP/1.1 400 "), "{bytes:x?}");
    }
    assert!(server.count("tls_failures") >= 80);
    attack.others_are_served();

    // Whoever is over the limit is told nothing: what could be said would have to be encrypted.
    server.wait_for_connections(1);
    let peers: Vec<_> = (0..50).map(|_| Peer::connect(server.address)).collect();
    for _ in 0..100 {
        assert_eq!(Peer::connect(server.address).rest(), b"");
    }
    attack.others_are_served();
    drop(peers);
    attack.ends_within(50 * HANDSHAKE_KIB, "50 handshakes");
}

// CVE-2020-15133, CVE-2020-11050
#[test]
fn a_certificate_for_another_name() {
    let authority = Authority::new();
    let trusting = ClientTls::trusting(authority.root()).unwrap();
    let elsewhere = secure(&authority, "other.example", "");
    let url = format!("wss://localhost:{}/", elsewhere.address.port());
    let request = ClientRequest::new(url.parse().unwrap());
    let refused = Client::connect_tls(&request, Limits::default(), &trusting);
    let Err(ClientError::Tls(TlsError::Certificate(problem))) = refused else { panic!() };
    assert!(matches!(problem, CertificateProblem::WrongName { .. }), "{problem}");

    // And by a reactor that connects.
    let server = Server::start(&format!("trusting={}", authority.root().display()));
    let attack = server.attacked();
    let answer = server.ask(&format!("dial {url} {} 1", elsewhere.address));
    assert_eq!(answer, "connecting");
    server.wait_for("closed", |closed| closed.contains("not for localhost"));
    assert_eq!(elsewhere.count("messages"), 0, "nothing was sent to it");
    attack.ends_within(512, "a handshake, and the code for it");
}

//! Floods of connections and of handshakes, peers that say nothing or next to nothing, and descriptors that run out.

use std::io::Read;
use std::time::Duration;

use tautline::Violation;
use tautline::frame::Role;

use super::peer::{Peer, REQUEST, close_code, goodbye};
use super::server::Server;
use super::support::frames::{begun, close_body, frame};

/// What an open or an opening connection may take: a place in each table, two sockets' worth of bookkeeping, and a
/// piece of a head or of a frame.
pub(crate) const CONNECTION_KIB: u64 = 2;
/// A connection of another machine, as far as the server knows.
pub(crate) const ELSEWHERE: [u8; 4] = [127, 0, 0, 2];

fn connect(server: &Server, count: usize) -> Vec<Peer> {
    (0..count).map(|_| Peer::connect(server.address)).collect()
}

/// Sends a request, which is accepted.
fn opens(mut peer: Peer) -> Peer {
    peer.send(format!("{REQUEST}\r\n").as_bytes());
    let head = peer.head();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    peer
}

#[test]
fn floods_of_open_connections() {
    let server = Server::start("connections_max=100");
    let mut attack = server.attacked();
    let mut peers: Vec<_> = (0..99).map(|_| Peer::open(server.address)).collect();
    for _ in 0..200 {
        assert_eq!(Peer::connect(server.address).refusal(), 503);
    }
    attack.others_are_served();
    assert_eq!(server.count("connections"), 100);

    // Places of those that leave are free again.
    peers.truncate(50);
    server.wait_for_connections(51);
    peers.extend((0..49).map(|_| Peer::open(server.address)));
    assert_eq!(Peer::connect(server.address).refusal(), 503);
    attack.sent += 148 * (REQUEST.len() + 2);
    attack.ends_within(100 * CONNECTION_KIB, "100 connections");
}

#[test]
fn floods_of_handshakes_from_one_address() {
    let server = Server::start("handshakes_per_address_max=50 handshake_within=60000");
    let mut attack = server.attacked();
    let mut peers = connect(&server, 50);
    for _ in 0..200 {
        assert_eq!(Peer::connect(server.address).refusal(), 503);
    }
    attack.others_are_served();
    // Those from elsewhere come in, and so does one of the flood, once it says what it wants and another may come.
    opens(Peer::connect_from(ELSEWHERE, server.address));
    let opened = opens(peers.pop().unwrap());
    opens(Peer::connect(server.address));
    attack.sent += 3 * (REQUEST.len() + 2);

    // Those that leave do not count any more.
    drop(peers);
    server.wait_for_connections(2);
    drop(opened);
    let peers: Vec<_> = connect(&server, 50).into_iter().map(opens).collect();
    attack.ends_within((50 + peers.len() as u64) * CONNECTION_KIB, "100 connections");
}

#[test]
fn floods_of_handshakes_from_many_addresses() {
    let server = Server::start("handshakes_max=50 handshake_within=60000");
    let mut attack = server.attacked();
    let from = |number: u8| Peer::connect_from([127, 0, 1, number], server.address);
    let peers: Vec<_> = (1..=50).map(from).collect();
    for number in 51..=250 {
        assert_eq!(from(number).refusal(), 503);
    }
    attack.others_are_served();
    drop(peers);
    server.wait_for_connections(1);
    opens(from(251));
    attack.ends_within(50 * CONNECTION_KIB, "50 connections");
}

#[test]
fn floods_of_connections_that_come_and_go() {
    let server = Server::start("");
    let mut attack = server.attacked();
    for _ in 0..20 {
        drop(connect(&server, 100));
        attack.others_are_served();
    }
    for _ in 0..300 {
        drop(Peer::open(server.address));
    }
    attack.sent += 300 * (REQUEST.len() + 2);
    server.wait_for_connections(1);
    attack.ends_within(400 * CONNECTION_KIB, "as many connections as may be there at once");
}

// slowloris
#[test]
fn a_head_of_one_byte_at_a_time_that_never_ends() {
    let server = Server::start("handshake_within=1000");
    let mut attack = server.attacked();
    let mut peers = connect(&server, 50);
    // They are accepted once this is answered.
    attack.others_are_served();
    let head = format!("{REQUEST}X-Name: {}", "a".repeat(2_000));
    // Bytes do not extend the time that there is, so that all are refused before this start of a head has come.
    let mut bytes = head.bytes();
    while server.count("connections") > 1 {
        let byte = bytes.next().expect("it goes on for ever");
        for peer in &mut peers {
            attack.sent += usize::from(peer.send(&[byte]));
        }
        attack.others_are_served();
        std::thread::sleep(Duration::from_millis(10));
    }
    for peer in &mut peers {
        assert_eq!(peer.refusal(), 408);
    }
    attack.ends_within(50 * CONNECTION_KIB, "50 connections");
}

#[test]
fn connections_that_never_say_anything() {
    let server = Server::start("handshake_within=1000");
    let attack = server.attacked();
    for peer in &mut connect(&server, 200) {
        assert_eq!(peer.refusal(), 408);
    }
    server.wait_for_connections(1);
    attack.ends_within(200 * CONNECTION_KIB, "200 connections");
}

// Tomcat CVE-2024-23672
#[test]
fn peers_that_are_silent_or_half_open_or_never_answer_a_close() {
    let server = Server::start("ping_after=1000 pong_within=1000 close_within=1000");
    let mut attack = server.attacked();
    let states: [(&str, Vec<u8>); 8] = [
        ("silent", vec![]),
        ("half a header", vec![0x82]),
        ("half a payload", begun(Role::Client, 0x82, 99, b"some")),
        ("half a message", frame(Role::Client, 0x02, b"some")),
        ("our close unanswered", frame(Role::Client, 0x81, b"close")),
        ("its close answered", frame(Role::Client, 0x88, b"")),
        ("a violation", vec![0xFF, 0xFF]),
        ("a message, and then silent", frame(Role::Client, 0x81, b"hello")),
    ];
    let mut peers = Vec::new();
    for (name, bytes) in &states {
        for ended in [false, true] {
            let mut peer = Peer::open(server.address);
            peer.send(bytes);
            attack.sent += bytes.len();
            // One that has ended its direction is gone at once, and all others in their time.
            if ended {
                peer.shut();
            }
            peers.push((name, peer));
        }
    }
    // The honest client answers pings only while it waits for something.
    let mut waited = Duration::ZERO;
    while server.count("connections") > 1 {
        attack.others_are_served();
        std::thread::sleep(Duration::from_millis(20));
        waited += Duration::from_millis(20);
        assert!(waited < super::server::PATIENCE, "{}", server.ask("closed"));
    }
    assert!(server.closed("did not answer a ping") >= 5, "{}", server.ask("closed"));
    assert_eq!(server.closed("did not answer a close frame"), 1, "{}", server.ask("closed"));
    assert_eq!(server.closed(Violation::ReservedBits.reason()), 2);
    for (_, mut peer) in peers {
        peer.rest();
    }
    attack.ends_within(16 * CONNECTION_KIB, "16 connections");
}

#[test]
fn a_peer_that_answers_pings_and_never_says_anything_else() {
    let server = Server::start("ping_after=100 idle_after=2000");
    let mut attack = server.attacked();
    let mut peer = Peer::open(server.address);
    let (mut pings, mut header) = (0, [0; 2]);
    loop {
        peer.stream.read_exact(&mut header).unwrap();
        if header[0] != 0x89 {
            break;
        }
        pings += 1;
        attack.sent += usize::from(peer.send(&frame(Role::Client, 0x8A, b"")));
        attack.others_are_served();
    }
    // An answer brings the next question no later than the silence after it does.
    assert!(pings >= 3, "{pings} pings in 2 s, with one due after 100 ms of silence");
    peer.send(&goodbye());
    assert_eq!((header[0], peer.rest()), (0x88, close_body(1001, "idle")));
    attack.ends_within(CONNECTION_KIB, "a connection");
}

// libuv, mio issues
#[test]
fn more_connections_than_descriptors_while_more_wait_in_the_backlog() {
    let server = Server::with_descriptors(40, "");
    let mut attack = server.attacked();
    let asking = || {
        let mut peer = Peer::connect(server.address);
        peer.send(format!("{REQUEST}\r\n").as_bytes());
        peer
    };
    let mut peers: Vec<_> = (0..100).map(|_| asking()).collect();
    // Nobody is lost: each is served or told that there is no room.
    let statuses: Vec<_> = peers.iter_mut().map(|peer| peer.head()).collect();
    let served = statuses.iter().filter(|it| it.starts_with("HTTP/1.1 101 ")).count();
    let refused = statuses.iter().filter(|it| it.starts_with("HTTP/1.1 503 ")).count();
    assert!(served >= 20 && served + refused == 100, "{served} served, {refused} refused");
    attack.others_are_served();

    // As long as some always wait, the loop turns now and then, and does not spin.
    let turns = server.count("turns");
    for _ in 0..20 {
        peers.push(asking());
        std::thread::sleep(Duration::from_millis(50));
    }
    let turned = server.count("turns") - turns;
    assert!(turned < 200, "{turned} turns for 20 who came, and 10 attempts a second");
    attack.others_are_served();

    // Once others leave, there is room for those who come, and for those who wait.
    let mut waiting = asking();
    drop(peers);
    let head = waiting.head();
    server.wait_for_connections(1 + usize::from(head.starts_with("HTTP/1.1 101 ")));
    attack.sent += 121 * (REQUEST.len() + 2);
    let more: Vec<_> = (0..20).map(|_| Peer::open(server.address)).collect();
    attack.sent += more.len() * (REQUEST.len() + 2);
    let frames = opens(Peer::connect(server.address)).say(b"");
    assert_eq!(close_code(&frames), 1000);
    attack.ends_within(40 * CONNECTION_KIB, "as many connections as there are descriptors");
}

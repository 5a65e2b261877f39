//! Peers that read slowly or not at all, and what is published meanwhile.

use std::io::Read;

use tautline::frame::Role;
use tautline::{OwnedMessage, Violation};

use super::peer::{Peer, goodbye};
use super::server::{Server, echoes};
use super::support::frames::{close_body, frame};

/// What the system takes for a peer that is to be behind soon.
const NARROW_BYTES: usize = 4 * 1024;

fn text(text: &str) -> Vec<u8> {
    frame(Role::Client, 0x81, text.as_bytes())
}

fn subscribe(peer: &mut Peer) {
    peer.send(&text("subscribe"));
    let mut answer = [0; 12];
    peer.stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer[2..], b"subscribed");
}

// slow reader
#[test]
fn a_subscriber_that_never_reads_under_broadcast() {
    const MESSAGES: usize = 300;
    let server = Server::start("outbox_bytes_max=262144");
    let mut attack = server.attacked();
    let mut slow = Peer::open_narrow(server.address, NARROW_BYTES);
    let mut others: Vec<_> = (0..5).map(|_| server.client()).collect();
    subscribe(&mut slow);
    for client in others.iter_mut().chain([&mut attack.honest]) {
        client.send("subscribe").unwrap();
        assert_eq!(client.read().unwrap(), Some(OwnedMessage::Text("subscribed".into())));
    }
    // Each message has reached all others before the next is published.
    for number in 0..MESSAGES {
        let published = format!("publish {number} {}", "p".repeat(50_000));
        attack.honest.send(published.as_str()).unwrap();
        attack.sent += published.len();
        for client in others.iter_mut().chain([&mut attack.honest]) {
            assert!(client.read().unwrap() == Some(OwnedMessage::Text(published.clone())));
        }
    }
    assert_eq!(server.ask("closed"), "the peer does not read what it is sent");
    server.wait_for_connections(6);
    attack.ends_within(256 + 2 * 64, "an outbox at its limit, and a message");
}

// curl CVE-2025-5399, Undertow CVE-2021-3690, coder 129d303
#[test]
fn pings_while_the_output_is_blocked_leave_one_pong_waiting() {
    let server = Server::start("unanswered_pings_max=4294967295");
    let mut attack = server.attacked();
    let mut peer = Peer::open_narrow(server.address, NARROW_BYTES);
    let payload = |number: u32| [&number.to_be_bytes()[..], &[9; 121]].concat();
    const PINGS: u32 = 300_000;
    for first in (0..PINGS).step_by(1_000) {
        let pings = (first..first + 1_000).map(|it| frame(Role::Client, 0x89, &payload(it)));
        let pings = pings.collect::<Vec<_>>().concat();
        attack.sent += pings.len();
        assert!(peer.send(&pings));
        attack.others_are_served();
    }
    peer.send(&goodbye());
    let frames = peer.frames();
    let (last, pongs) = frames.split_last().unwrap();
    assert_eq!(last, &(0x88, close_body(1000, "")));
    assert!(pongs.len() < PINGS as usize / 2, "{} pongs: it was never blocked", pongs.len());
    assert!(pongs.iter().all(|(first, _)| *first == 0x8A));
    assert_eq!(pongs.last().unwrap().1, payload(PINGS - 1), "the newest is answered");
    attack.ends_within(256, "the pongs of one read");
}

// tungstenite, tokio-websockets (seen by probe)
#[test]
fn a_million_pings_from_a_peer_that_does_not_read() {
    let server = Server::start("ping_after=1000 pong_within=1000");
    let mut attack = server.attacked();
    // Slowly: as soon as the output is blocked, pongs are owed. All at once: the pongs of one read may be too many to
    // go on reading, and then the peer is a silent one.
    for (at_once, payload_bytes) in [(100, 125), (10_000, 16)] {
        let mut peer = Peer::open_narrow(server.address, NARROW_BYTES);
        let pings = frame(Role::Client, 0x89, &vec![1; payload_bytes]).repeat(at_once);
        for _ in 0..1_000_000 / at_once {
            attack.sent += pings.len();
            if !peer.send_beside(&pings, || attack.others_are_served()) {
                break;
            }
            attack.others_are_served();
        }
        while server.count("connections") > 1 {
            attack.others_are_served();
        }
    }
    let flooded = server.closed(Violation::TooManyPings.reason());
    let silent = server.closed("did not answer a ping");
    assert!(flooded >= 1 && flooded + silent == 2, "{}", server.ask("closed"));
    attack.ends_within(512, "the pongs of one read");
}

#[test]
fn requests_for_answers_from_a_peer_that_reads_none_of_them() {
    let server = Server::start("ping_after=1000 pong_within=1000");
    let mut attack = server.attacked();
    let mut peer = Peer::open_narrow(server.address, NARROW_BYTES);
    // Our own output is blocked soon, since the server does not read any more; then it ends the stream.
    let asked = text("send 1000000").repeat(100_000);
    while peer.send_beside(&asked, || attack.others_are_served()) {
        attack.sent += asked.len();
    }
    server.wait_for_connections(1);
    let messages = server.count("messages");
    attack.others_are_served();
    assert_eq!(server.count("messages"), messages + 1, "none of it is handled any more");
    assert_eq!(server.closed("did not answer a ping"), 1, "{}", server.ask("closed"));
    attack.ends_within(3 * 1024, "an answer, and a copy of it that waits");
}

// tungstenite (seen by probe)
#[test]
fn sixty_four_mebibytes_to_a_socket_that_takes_4_kib_a_time() {
    const MIB: usize = 1024;
    let server = Server::start("");
    let mut attack = server.attacked();
    server.assert_linear(16 * MIB, |kib| {
        let mut peer = Peer::open_narrow(server.address, 16 * 1024);
        let asked = text(&format!("send {}", kib * 1024));
        attack.sent += asked.len();
        peer.send(&asked);
        let (mut left, mut buffer) = (10 + kib * 1024, [0; 4096]);
        while left > 0 {
            left -= peer.stream.read(&mut buffer).unwrap();
        }
        attack.others_are_served();
    });
    attack.ends_within(2 * 64 * 1024, "the answer, and what waits of it");
}

// uWebSockets CVE-2020-36406
#[test]
fn one_that_publishes_unsubscribes_closes_and_publishes_while_it_is_told_a_message() {
    let server = Server::start("");
    let mut attack = server.attacked();
    let mut others: Vec<_> = (0..3).map(|_| server.client()).collect();
    for client in &mut others {
        client.send("subscribe").unwrap();
        assert_eq!(client.read().unwrap(), Some(OwnedMessage::Text("subscribed".into())));
    }
    for _ in 0..100 {
        let mut peer = Peer::open(server.address);
        subscribe(&mut peer);
        let bytes = [text("leave"), text("leave"), text("publish late")].concat();
        attack.sent += bytes.len();
        // What came before it left, and nothing after.
        let frames = peer.say(&bytes);
        let expected = [(0x81, b"before it left".to_vec()), (0x88, close_body(1000, "left"))];
        assert_eq!(frames, expected);
        for client in &mut others {
            let mut told = Vec::new();
            while told.last().is_none_or(|it| it != "in its end") {
                let Some(OwnedMessage::Text(text)) = client.read().unwrap() else { panic!() };
                told.push(text);
            }
            let once = ["before it left", "after it left", "after it closed", "after it came back"];
            assert_eq!(told, [&once[..], &once, &["publish late", "in its end"]].concat());
        }
    }
    for client in &mut others {
        echoes(client, "and nothing else was said");
    }
    attack.ends_within(64, "four connections");
}

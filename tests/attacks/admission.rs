//! What one address, one connection and all connections together may take.

use std::io::Read;
use std::time::Duration;

use tautline::frame::Role;

use super::connections::{CONNECTION_KIB, ELSEWHERE};
use super::peer::{Peer, close_code};
use super::server::Server;
use super::support::frames::{begun, frame};

#[test]
fn floods_of_open_connections_from_one_address() {
    let server = Server::start("connections_per_address_max=50");
    let mut attack = server.attacked();
    let mut peers: Vec<_> = (0..49).map(|_| Peer::open(server.address)).collect();
    for _ in 0..200 {
        assert_eq!(Peer::connect(server.address).refusal(), 503);
    }
    attack.others_are_served();
    let mut elsewhere = Peer::connect_from(ELSEWHERE, server.address);
    elsewhere.opens("");
    assert_eq!(server.count("refused_of_address"), 200);

    peers.truncate(40);
    server.wait_for_connections(42);
    peers.push(Peer::open(server.address));
    attack.ends_within(51 * CONNECTION_KIB, "51 connections");
}

#[test]
fn half_messages_of_many_peers_that_hold_too_much_together() {
    const EACH_BYTES: usize = 500_000;
    let server = Server::start("held_bytes_max=4000000");
    let mut attack = server.attacked();
    let mut peers: Vec<_> = (0..40).map(|_| Peer::open(server.address)).collect();
    let half = begun(Role::Client, 0x82, 2 * EACH_BYTES as u64, &[7; EACH_BYTES]);
    for peer in &mut peers {
        peer.send(&half);
        attack.sent += half.len();
        attack.others_are_served();
        assert!(server.count("held_bytes") <= 4_000_000);
    }
    let told = peers.iter().filter(|peer| {
        peer.stream.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        let mut close = [0; 14];
        let read = (&peer.stream).read_exact(&mut close);
        read.is_ok_and(|()| close[2..4] == 1013u16.to_be_bytes())
    });
    let told = told.count();
    assert!((30..40).contains(&told), "{told} were told to come back");
    // Buffers double as they grow, and a thread keeps 4 MiB of them to be lent again.
    attack.ends_within(2 * 4_000 + 4 * 1024, "what all may hold together, and what is kept");
}

#[test]
fn floods_of_messages_are_read_at_their_rate() {
    let server = Server::start("messages_per_second_max=500");
    let mut attack = server.attacked();
    let peer = Peer::open(server.address);
    let flood = frame(Role::Client, 0x8A, b"unasked").repeat(1_500);
    attack.sent += flood.len();
    let frames = peer.converse(|peer| {
        peer.send(&flood);
        attack.others_are_served();
        server.wait_for("rate_pauses", |pauses| pauses != "0");
    });
    assert_eq!((frames.len(), close_code(&frames)), (1, 1000), "nothing of it is lost");
    attack.ends_within(64, "what one read had beyond the rate");
}

#[test]
fn floods_of_bytes_are_read_at_their_rate() {
    let server = Server::start("bytes_per_second_max=1000000 message_bytes_max=10000000");
    let mut attack = server.attacked();
    let peer = Peer::open(server.address);
    let flood = frame(Role::Client, 0x8A, &[7; 100]).repeat(25_000);
    attack.sent += flood.len();
    let frames = peer.converse(|peer| {
        assert!(peer.send(&flood));
        attack.others_are_served();
        server.wait_for("rate_pauses", |pauses| pauses != "0");
    });
    assert_eq!((frames.len(), close_code(&frames)), (1, 1000), "nothing of it is lost");
    attack.ends_within(0, "nothing: it waits in the sockets");
}

//! What was once wrong under pressure: outboxes and their limits, drains, publications, several listeners, extreme
//! limits.

use std::io;

use super::*;
use tautline::handshake::ClientRequest;
use tautline::reactor::{ConnectError, Net, PostError};

/// How many bytes wait for the connection that was opened as number `number`.
fn waiting(world: &mut World, number: usize) -> Option<usize> {
    let id = world.reactor.handler().ids[number];
    world.reactor.hub().connection(id).map(|cx| cx.waiting_bytes())
}

/// All that a peer gets when it reads on.
fn read_all(world: &mut World, peer: &Peer) -> Vec<u8> {
    let mut got = Vec::new();
    for _ in 0..60 {
        got.extend(peer.read());
        world.run_some(4);
    }
    got
}

fn request() -> ClientRequest {
    ClientRequest::new("ws://example/feed".parse().unwrap())
}

#[test]
fn the_pong_to_a_ping_that_came_while_the_output_was_full_is_sent_when_there_is_room() {
    let mut world = World::new(Limits::default());
    world.net.sim().capacity = 1000;
    let peer = world.open();
    peer.write(&text("burst 5000"));
    world.run();
    peer.write(&[frame(0x89, b"old"), frame(0x89, b"alive?")].concat());
    world.run();
    let expected = [plain(0x82, &[b'b'; 5000]), plain(0x8A, b"alive?")].concat();
    assert!(read_all(&mut world, &peer) == expected);
}

#[test]
fn the_pong_is_sent_although_the_socket_never_says_that_there_is_room() {
    let mut world = World::new(Limits::default());
    let peer = world.open();
    (world.net.sim().capacity, world.net.sim().full_until) = (1000, 100);
    peer.write(&text("burst 1100"));
    world.run();
    peer.write(&frame(0x89, b"alive?"));
    world.run();
    // So little that no event tells of it: what waits is tried again when the connection has been silent for long.
    let mut got = peer.read_up_to(300);
    world.pass(Duration::from_secs(26));
    got.extend(read_all(&mut world, &peer));
    assert!(got == [plain(0x82, &[b'b'; 1100]), plain(0x8A, b"alive?")].concat());
}

#[test]
fn a_peer_whose_socket_is_empty_is_not_cut_however_much_it_is_sent_in_one_turn() {
    let mut world = World::new(Limits::default());
    world.net.sim().capacity = 100_000_000;
    let peer = world.open();
    let post = |probe: &mut Probe, hub: &mut tautline::reactor::Hub<'_, u32>| {
        let mut cx = hub.connection(probe.ids[0]).unwrap();
        for _ in 0..3 {
            probe.statuses.push(cx.send([0; 600_000].as_slice()));
        }
    };
    world.reactor.handle().post(post).unwrap();
    world.run();
    assert_eq!(
        world.reactor.handler().statuses,
        [SendStatus::Queued; 3],
        "more than the pause limit is to be written"
    );
    assert_eq!(peer.read().len(), 3 * 600_010);
    assert_eq!(world.journal(), ["open", "drain"]);
}

#[test]
fn messages_behind_a_full_outbox_wait_unanswered_and_are_answered_when_it_is_read() {
    let mut world = World::new(Limits::default());
    world.net.sim().capacity = 100_000;
    let peer = world.open();
    peer.write(&text("burst 100000").repeat(50));
    world.run();
    let waiting = waiting(&mut world, 0).unwrap();
    assert!(waiting < 600_000, "{waiting} bytes wait");
    let answered = world.reactor.handler().statuses.len();
    assert!(answered < 10, "{answered} messages were answered");
    let mut got = 0;
    for _ in 0..2_000 {
        got += peer.read().len();
        world.run_some(2);
    }
    assert_eq!(got, 50 * 100_010);
}

#[test]
fn publications_of_one_turn_respect_the_limit() {
    let mut limits = Limits::default();
    limits.outbox_bytes_max = 1000;
    let mut world = World::new(limits);
    world.net.sim().capacity = 1000;
    let (speaker, slow) = (world.open(), world.open());
    slow.write(&text("subscribe room"));
    world.run();
    speaker.write(&text("publish room").repeat(200_000));
    world.run();
    assert!(slow.is_dropped());
    assert!(
        world.journal().contains(&"close 1006: the peer does not read what it is sent".to_owned())
    );
}

#[test]
fn publications_held_for_the_end_of_a_message_in_parts_are_limited() {
    let mut limits = Limits::default();
    limits.outbox_bytes_max = 100_000;
    let mut world = World::new(limits);
    let (speaker, slow) = (world.open(), world.open());
    slow.write(&[text("subscribe room"), text("part a")].concat());
    world.run();
    for _ in 0..10 {
        speaker.write(&text("publish room").repeat(5_000));
        world.run_some(2);
    }
    assert!(slow.is_dropped(), "{:?}", world.journal());
}

#[test]
fn what_was_told_sent_and_then_waited_is_told_when_it_is_written() {
    let mut world = World::new(Limits::default());
    world.net.sim().capacity = 1000;
    let peer = world.open();
    peer.write(&text("burst 5000"));
    world.run();
    assert_eq!(world.reactor.handler().statuses, [SendStatus::Sent]);
    read_all(&mut world, &peer);
    assert_eq!(world.journal(), ["open", "drain"]);
}

#[test]
fn a_listener_that_ran_out_of_descriptors_is_not_forgotten_when_another_accepts() {
    let net = SimNet::new(1);
    let second: SocketAddr = "127.0.0.1:81".parse().unwrap();
    let reactor = Reactor::with_net(Probe::default(), net.clone());
    let mut reactor = reactor.listen(ADDRESS).unwrap().listen(second).unwrap();
    net.sim().accept_errors.push_back(io::Error::from_raw_os_error(24));
    let peers = [net.connect(ADDRESS), net.connect(second)];
    for peer in &peers {
        peer.write(REQUEST);
    }
    for _ in 0..50 {
        net.advance(Duration::from_millis(50));
        reactor.turn(Some(Duration::ZERO)).unwrap();
    }
    assert!(peers.iter().all(|peer| peer.pending() > 0));
}

#[test]
fn an_error_of_one_connection_does_not_make_the_others_wait() {
    let mut world = World::new(Limits::default());
    // ENETUNREACH: accept(2) passes on what the network says of that one connection.
    world.net.sim().accept_errors.extend((0..3).map(|_| io::Error::from_raw_os_error(101)));
    let peer = world.net.connect(ADDRESS);
    peer.write(REQUEST);
    world.run_some(3);
    assert!(peer.pending() > 0);
}

#[test]
fn a_listener_with_nothing_but_errors_does_not_make_the_loop_spin() {
    let mut world = World::new(Limits::default());
    world.net.sim().accept_errors.extend((0..10_000).map(|_| io::Error::from_raw_os_error(101)));
    world.net.connect(ADDRESS);
    world.run_some(1);
    let now = world.net.clone().now();
    for _ in 0..10 {
        world.reactor.turn(None).unwrap();
    }
    let slept = world.net.clone().now() - now;
    assert!(slept >= Duration::from_millis(900), "{slept:?}");
}

#[test]
fn a_secure_url_is_refused_and_not_sent_in_plain_text() {
    let mut world = World::new(Limits::default());
    let request = ClientRequest::new("wss://example/feed".parse().unwrap());
    assert_eq!(world.reactor.hub().connect(ADDRESS, request, 0), Err(ConnectError::NoTls));
}

#[test]
fn outgoing_connections_count_as_connections() {
    let mut limits = Limits::default();
    limits.connections_max = 1;
    let mut world = World::new(limits);
    assert!(world.reactor.hub().connect(ADDRESS, request(), 0).is_ok());
    assert_eq!(world.reactor.hub().connect(ADDRESS, request(), 0), Err(ConnectError::Full));
}

#[test]
fn limits_without_end_are_without_end() {
    let mut limits = Limits::default();
    (limits.handshake_within, limits.close_within) = (Duration::MAX, Duration::MAX);
    let mut world = World::new(limits);
    world.net.sim().capacity = 400;
    let peer = world.net.connect(ADDRESS);
    world.run();
    world.pass(Duration::from_secs(100));
    peer.write(REQUEST);
    world.run();
    assert!(peer.read().starts_with(b"HTTP/1.1 101 "));
    peer.write(&[text("burst 1000"), frame(0x88, &close_frame(1000, ""))].concat());
    world.run();
    assert_eq!(read_all(&mut world, &peer).len(), 1004 + 4);
}

#[test]
fn a_limit_of_no_time_at_all_still_ends_the_connection() {
    let mut limits = Limits::default();
    limits.pong_within = Duration::ZERO;
    let mut world = World::new(limits);
    let peer = world.open();
    world.pass(Duration::from_secs(26));
    world.pass(Duration::from_secs(1));
    assert!(peer.is_dropped(), "{:?}", world.journal());
}

#[test]
fn one_connection_is_read_no_more_than_its_share_of_a_turn() {
    let mut world = World::new(Limits::default());
    let peer = world.open();
    peer.write(&text("parts"));
    world.run();
    let header = [&[0x82, 0xFF][..], &(1u64 << 40).to_be_bytes(), &[0; 4]].concat();
    peer.write(&header);
    for _ in 0..100 {
        peer.write(&vec![0; 1 << 20]);
    }
    let mut reads = Vec::new();
    for _ in 0..8 {
        let before = world.journal().len();
        peer.write(&[0]); // an edge each turn, as a fast sender makes
        world.run_some(1);
        reads.push(world.journal().len() - before);
    }
    assert!(reads.iter().all(|count| *count <= 16), "{reads:?}");
}

#[test]
fn a_connection_that_is_being_made_is_told_why_it_is_not() {
    let mut world = World::new(Limits::default());
    world.reactor.hub().connect(ADDRESS, request(), 0).unwrap();
    world.run();
    world.reactor.hub().shutdown(Duration::ZERO);
    world.run();
    assert_eq!(world.journal(), ["close 1006: the connection was lost: connection aborted"]);
}

#[test]
fn a_violation_of_a_peer_that_does_not_read_is_told_as_what_it_is() {
    let mut limits = Limits::default();
    (limits.outbox_bytes_max, limits.outbox_pause_bytes) = (1000, 1 << 20);
    let mut world = World::new(limits);
    let peer = world.open();
    world.net.sim().capacity = 100;
    peer.write(&text("burst 5000"));
    world.run();
    peer.write(&frame(0x83, b""));
    world.run();
    assert!(world.journal()[1].contains("reserved opcode"), "{:?}", world.journal());
    let got = read_all(&mut world, &peer);
    assert!(
        got.ends_with(&plain(0x88, &close_frame(1002, "reserved opcode"))),
        "{} bytes, {:?}",
        got.len(),
        got.iter().rev().take(30).collect::<Vec<_>>()
    );
}

#[test]
fn a_handle_knows_the_limit_that_was_set_later_and_the_end_of_the_loop() {
    let net = SimNet::new(1);
    let reactor = Reactor::with_net(Probe::default(), net);
    let handle = reactor.handle();
    let mut limits = Limits::default();
    limits.posts_max = 1;
    let reactor = reactor.limits(limits);
    let post = || handle.post(|_: &mut Probe, _| {});
    assert_eq!([post(), post()], [Ok(()), Err(PostError::Full)]);
    drop(reactor);
    assert_eq!([post(), post(), post()], [Err(PostError::Ended); 3]);
}

#[test]
fn a_peer_that_breaks_the_connection_while_our_last_words_wait_is_let_go_of() {
    let mut world = World::new(Limits::default());
    let peer = world.open();
    world.net.sim().capacity = 100;
    peer.write(&text("burst 5000"));
    world.run_some(3);
    peer.write(&frame(0x88, &close_frame(1000, "")));
    world.run_some(3);
    peer.reset();
    world.run_some(3);
    assert!(peer.is_dropped());
    assert_eq!(world.journal(), ["open", "close 1000: closed with 1000 (normal closure)"]);
}

/// A handler that always has more to say, and connects again and again.
#[derive(Default)]
struct Endless {
    stream: Option<ConnectionId>,
    drained: usize,
    dialed: usize,
}

impl Handler for Endless {
    type Session = ();

    fn on_request(
        &mut self,
        cx: &mut Context<'_, ()>,
        _: &HttpRequest<'_>,
        _: SocketAddr,
    ) -> Answer {
        self.stream = Some(cx.id());
        Answer::Stream(Response::new(Status::OK))
    }

    fn on_drain(&mut self, cx: &mut Context<'_, ()>) {
        self.drained += 1;
        if self.drained < 1_000 {
            assert_eq!(cx.write(&[b'x'; 100_000]), SendStatus::Queued);
        }
    }

    fn on_close(&mut self, cx: &mut Context<'_, ()>, _: &Closed) {
        self.dialed += 1;
        if self.dialed < 1_000 {
            cx.hub().connect(ADDRESS, request(), ()).unwrap();
        }
    }

    fn on_message(&mut self, cx: &mut Context<'_, ()>, message: Message<'_>) {
        cx.send(message);
    }
}

#[test]
fn who_always_has_more_to_send_leaves_the_others_their_turn() {
    let net = SimNet::new(1);
    (net.sim().capacity, net.sim().odds.connect) = (usize::MAX, 1_000);
    let reactor = Reactor::with_net(Endless::default(), net.clone());
    let mut reactor = reactor.listen(ADDRESS).unwrap();
    let (other, reader) = (net.connect(ADDRESS), net.connect(ADDRESS));
    other.write(REQUEST);
    reader.write(b"GET / HTTP/1.1\r\nHost: example\r\n\r\n");
    reactor.hub().connect(ADDRESS, request(), ()).unwrap();
    for _ in 0..3 {
        reactor.turn(None).unwrap();
    }
    let stream = reactor.handler().stream.unwrap();
    reactor.hub().connection(stream).unwrap().write(&[b'x'; 100_000]);
    for turn in 1..20 {
        let before = (reactor.handler().drained, reactor.handler().dialed);
        // What others write to it in between makes it no more often.
        reactor.hub().connection(stream).unwrap().write(&[b'y'; 100_000]);
        reactor.turn(None).unwrap();
        let after = (reactor.handler().drained, reactor.handler().dialed);
        assert!(after.0 <= before.0 + 2 && after.1 <= before.1 + 2, "{turn}: {before:?} {after:?}");
    }
    let (drained, dialed) = (reactor.handler().drained, reactor.handler().dialed);
    assert!(drained > 10 && dialed > 10, "{drained} {dialed}");
    other.read();
    other.write(&text("anybody?"));
    reactor.turn(None).unwrap();
    assert_eq!(other.read(), plain(0x81, b"anybody?"));
}

#[test]
fn what_posts_publish_is_delivered_between_them() {
    let mut world = World::new(Limits::default());
    world.net.sim().capacity = 1000;
    let silent = world.open();
    silent.write(&text("subscribe room"));
    world.run();
    for _ in 0..40 {
        let publish = |_: &mut Probe, hub: &mut tautline::reactor::Hub<'_, u32>| {
            hub.publish("room", [0; 100_000].as_slice());
        };
        world.reactor.handle().post(publish).unwrap();
    }
    world.run();
    assert_eq!(world.reactor.hub().counters().closed.not_reading, 1, "4 MB wait for nobody");
    assert_eq!(world.reactor.hub().held_bytes(), 0);
}

#[test]
fn what_the_program_does_between_turns_takes_nothing_from_deadlines() {
    let mut world = World::new(Limits::default());
    let peer = world.open();
    world.net.advance(Duration::from_secs(12));
    world.reactor.hub().connect(ADDRESS, request(), 0).unwrap();
    let id = world.reactor.handler().ids[0];
    world.reactor.hub().connection(id).unwrap().close(CloseCode::NORMAL, "");
    world.run();
    assert_eq!(world.journal(), ["open"]);
    assert_eq!(peer.read(), plain(0x88, &close_frame(1000, "")));
    let server = world.net.accept_outgoing();
    world.run();
    assert!(server.read().starts_with(b"GET /feed HTTP/1.1\r\n"));
}

//! Who is let in, how much all may hold and how fast each may send; and that what is refused is counted.

use super::*;
use tautline::reactor::Counters;

fn counters(world: &mut World) -> Counters {
    world.reactor.hub().counters().clone()
}

fn is_refused(world: &mut World, from: &str) -> bool {
    let peer = world.net.connect_from(ADDRESS, from.parse().unwrap());
    peer.write(REQUEST);
    world.run_some(5);
    let answer = peer.read();
    answer.starts_with(b"HTTP/1.1 503 ") && peer.is_dropped()
}

#[test]
fn connections_of_an_address_are_capped_and_those_that_end_make_room() {
    let mut limits = Limits::default();
    limits.connections_per_address_max = 2;
    let mut world = World::new(limits);
    let open = |world: &mut World, from: &str| {
        let peer = world.net.connect_from(ADDRESS, from.parse().unwrap());
        peer.write(REQUEST);
        world.run_some(5);
        assert!(peer.read().starts_with(b"HTTP/1.1 101 "), "{from}");
        peer
    };
    let first = open(&mut world, "192.0.2.1:1");
    open(&mut world, "[::ffff:192.0.2.1]:2");
    assert!(is_refused(&mut world, "192.0.2.1:3"));
    open(&mut world, "192.0.2.2:1");
    first.reset();
    world.run();
    open(&mut world, "192.0.2.1:4");
    assert!(is_refused(&mut world, "192.0.2.1:5"));
    assert_eq!(counters(&mut world).refused.connections_of_address, 2);
}

#[test]
fn an_ipv6_network_of_64_bits_is_one_address() {
    let mut limits = Limits::default();
    limits.connections_per_address_max = 1;
    let mut world = World::new(limits);
    assert!(!is_refused(&mut world, "[2001:db8:0:1::1]:1"));
    assert!(is_refused(&mut world, "[2001:db8:0:1:2:3:4:5]:1"));
    assert!(!is_refused(&mut world, "[2001:db8:0:2::1]:1"));
}

#[test]
fn what_is_refused_is_counted_by_reason() {
    let refused = |change: fn(&mut Limits), then: fn(&mut World)| {
        let mut limits = Limits::default();
        change(&mut limits);
        let mut world = World::new(limits);
        then(&mut world);
        counters(&mut world).refused
    };
    let connect = |world: &mut World| {
        for _ in 0..3 {
            world.net.connect(ADDRESS);
        }
        world.run();
    };
    assert_eq!(refused(|it| it.connections_max = 1, connect).connections, 2);
    assert_eq!(refused(|it| it.handshakes_max = 1, connect).handshakes, 2);
    let refusals = refused(|it| it.handshakes_per_address_max = 1, connect);
    assert_eq!(refusals.handshakes_of_address, 2);
    let timeouts = refused(
        |_| {},
        |world| {
            world.net.connect(ADDRESS);
            world.pass(Duration::from_secs(12));
        },
    );
    assert_eq!(timeouts.timeouts, 1);
    let send = |request: &'static str| {
        let mut world = World::new(Limits::default());
        world.net.connect(ADDRESS).write(request.as_bytes());
        world.run();
        counters(&mut world)
    };
    assert_eq!(send("GET / HTTP/1.0\r\n\r\n").refused.malformed, 1);
    assert_eq!(send("GET /page HTTP/1.1\r\nHost: example\r\n\r\n").requests, 1);
    let upgrade = std::str::from_utf8(REQUEST).unwrap().replace("/chat", "/no");
    assert_eq!(send(Box::leak(upgrade.into_boxed_str())).refused.by_handler, 1);
}

#[test]
fn who_is_turned_away_for_want_of_descriptors_is_counted() {
    let mut world = World::new(Limits::default());
    world.net.sim().accept_errors.extend((0..4).map(|_| std::io::Error::from_raw_os_error(24)));
    for _ in 0..3 {
        world.net.connect(ADDRESS);
    }
    world.pass(Duration::from_secs(1));
    let counted = counters(&mut world);
    assert_eq!((counted.refused.descriptors, counted.accepted), (3, 3));
}

#[test]
fn messages_bytes_and_endings_are_counted() {
    let mut world = World::new(Limits::default());
    let (peer, other) = (world.open(), world.open());
    let publish = text("publish news");
    let sent = [text("subscribe news"), publish.repeat(3), text("echo"), frame(0x8A, b"")];
    peer.write(&sent.concat());
    other.write(&text("publish news"));
    world.run();
    let received = peer.read();
    let now = counters(&mut world);
    assert_eq!((now.accepted, now.opened), (2, 2));
    assert_eq!((now.messages_received, now.messages_sent), (6, 5));
    let requests = 2 * REQUEST.len();
    let frames: usize = sent.iter().map(Vec::len).sum::<usize>() + text("publish news").len();
    assert_eq!(now.bytes_received, (requests + frames) as u64);
    let before = now.bytes_sent;
    assert!(before > received.len() as u64, "the answers to both requests are in it");
    peer.write(&frame(0xFF, b""));
    other.write(&frame(0x88, b""));
    world.run();
    let closed = counters(&mut world).closed;
    assert_eq!((closed.violation, closed.agreed), (1, 1));
    let all = counters(&mut world).bytes_sent - before;
    assert_eq!(all, (peer.read().len() + other.read().len()) as u64);
}

/// A peer that has sent all of a message but its last byte.
fn half_message(world: &mut World, bytes: usize) -> Peer {
    let peer = world.open();
    let whole = frame(0x82, &vec![7; bytes]);
    peer.write(&whole[..whole.len() - 1]);
    world.run();
    peer
}

#[test]
fn where_all_hold_too_much_those_that_hold_the_most_are_told_to_come_back() {
    let mut limits = Limits::default();
    limits.held_bytes_max = 1_000_000;
    let mut world = World::new(limits);
    world.net.sim().capacity = 1_000_000;
    let small: Vec<_> = (0..10).map(|_| half_message(&mut world, 10_000)).collect();
    let large: Vec<_> = (0..2).map(|_| half_message(&mut world, 300_000)).collect();
    let held = world.reactor.hub().held_bytes();
    assert!((700_000..1_000_000).contains(&held), "{held}");
    let larger = half_message(&mut world, 400_000);
    assert_eq!(larger.read(), plain(0x88, &close_frame(1013, "overloaded")));
    assert!(larger.is_ended());
    assert!(world.reactor.hub().held_bytes() < 875_000);
    for peer in small.iter().chain(&large) {
        peer.write(&[0]);
    }
    world.run();
    for peer in small.iter().chain(&large) {
        assert!(peer.read().len() > 9_000, "it loses nothing");
    }
    assert_eq!(world.reactor.hub().held_bytes(), 0);
    assert_eq!(counters(&mut world).closed.overload, 1);
    assert!(world.journal().iter().any(|it| it.contains("hold too much")));
    larger.end();
    world.run();
    assert!(larger.is_dropped());
}

#[test]
fn where_all_hold_too_much_peers_that_do_not_read_are_cut() {
    let mut limits = Limits::default();
    limits.held_bytes_max = 1_500_000;
    let mut world = World::new(limits);
    world.net.sim().capacity = 1000;
    let lazy: Vec<_> = (0..3).map(|_| world.open()).collect();
    for peer in &lazy {
        peer.write(&text("burst 600000"));
        world.run();
    }
    assert_eq!(lazy.iter().filter(|it| it.is_dropped()).count(), 1);
    let held = world.reactor.hub().held_bytes();
    assert!((1_190_000..1_210_000).contains(&held), "{held}");
}

#[test]
fn half_a_head_counts_and_gives_way() {
    let mut limits = Limits::default();
    limits.held_bytes_max = 600;
    let mut world = World::new(limits);
    let peers: Vec<_> = (0..3)
        .map(|n| {
            let peer = world.net.connect(ADDRESS);
            peer.write(&REQUEST[..if n == 1 { 140 } else { 50 }]);
            world.run();
            peer
        })
        .collect();
    assert!(peers.iter().all(|it| !it.is_dropped()));
    let last = world.net.connect(ADDRESS);
    let long = [&REQUEST[..50], &[b'a'; 400]].concat();
    last.write(&long);
    world.run();
    assert!(last.is_dropped() && peers.iter().all(|it| !it.is_dropped()));
    assert_eq!(counters(&mut world).refused.memory, 1);
    for (n, peer) in peers.iter().enumerate() {
        peer.write(&REQUEST[if n == 1 { 140 } else { 50 }..]);
        world.run();
        assert!(peer.read().starts_with(b"HTTP/1.1 101 "));
    }
}

/// How many messages have come back after each of so many eighths of a second.
fn echoes_by_eighths(world: &mut World, peer: &Peer, eighths: usize) -> Vec<usize> {
    let mut all = Vec::new();
    let mut echoes = Vec::new();
    for _ in 0..eighths {
        world.run_some(5);
        all.extend(peer.read());
        echoes.push(all.len() / plain(0x81, b"echo").len());
        world.net.advance(Duration::from_millis(125));
    }
    echoes
}

#[test]
fn a_peer_that_sends_too_many_messages_is_read_at_its_rate_and_loses_none() {
    let mut limits = Limits::default();
    limits.messages_per_second_max = Some(80);
    let mut world = World::new(limits);
    let (fast, other) = (world.open(), world.open());
    fast.write(&text("echo").repeat(200));
    let echoes = echoes_by_eighths(&mut world, &fast, 14);
    assert_eq!(echoes[0], 80, "what comes in a second is taken at once");
    for three in echoes.windows(3) {
        let later = three[2] - three[0];
        assert!(later <= 20 && (later > 0 || three[0] == 200), "{echoes:?}");
    }
    assert_eq!(echoes.last(), Some(&200));
    other.write(&text("echo"));
    world.run_some(3);
    assert_eq!(other.read(), plain(0x81, b"echo"), "the others are not held up");
    assert!(counters(&mut world).rate_pauses > 5);
    assert!(!world.journal().iter().any(|it| it.starts_with("close")));
}

#[test]
fn a_peer_that_sends_too_many_bytes_is_read_at_its_rate_and_loses_none() {
    let message = text("echo");
    for seed in 0..20 {
        let mut limits = Limits::default();
        limits.bytes_per_second_max = Some(80 * message.len() as u32);
        let mut world = World::with_seed(limits, seed);
        world.net.sim().odds = Odds::rough(seed > 0);
        let fast = world.open();
        fast.write(&message.repeat(200));
        let echoes = echoes_by_eighths(&mut world, &fast, 24);
        assert!(echoes[0] <= 80, "{echoes:?}");
        assert_eq!(echoes.last(), Some(&200), "{seed}");
    }
}

#[test]
fn pings_and_a_long_message_take_tokens_too() {
    let mut limits = Limits::default();
    limits.messages_per_second_max = Some(10);
    limits.bytes_per_second_max = Some(100_000);
    let mut world = World::new(limits);
    world.net.sim().capacity = 300_000;
    let pinging = world.open();
    pinging.write(&frame(0x89, b"").repeat(30));
    world.run_some(5);
    assert_eq!(pinging.read(), plain(0x8A, b"").repeat(10));
    let long = world.open();
    long.write(&frame(0x82, &[7; 250_000]));
    for _ in 0..30 {
        world.run_some(5);
        assert!(counters(&mut world).bytes_received < 120_000, "not before its time");
        world.net.advance(Duration::from_millis(1));
    }
    world.pass(Duration::from_secs(3));
    assert!(long.read() == plain(0x82, &[7; 250_000]));
}

#[test]
fn a_paused_connection_ends_like_any_other() {
    let mut limits = Limits::default();
    limits.messages_per_second_max = Some(1);
    let mut world = World::new(limits);
    for _ in 0..3 {
        let peer = world.open();
        peer.write(&[text("echo"), text("echo"), text("close enough")].concat());
        world.run_some(5);
        peer.reset();
        world.pass(Duration::from_secs(1));
        assert_eq!(world.net.open_streams(), 0, "and its place is clean for the next");
    }
    let peer = world.open();
    peer.write(&text("echo").repeat(5));
    world.run_some(5);
    world.reactor.hub().shutdown(Duration::ZERO);
    world.pass(Duration::from_secs(12));
    assert!(world.reactor.is_finished() && peer.is_dropped());
}

#[test]
fn a_peer_that_is_too_fast_in_its_end_is_let_go_of_in_time() {
    let mut limits = Limits::default();
    limits.bytes_per_second_max = Some(1_000);
    let mut world = World::new(limits);
    let peer = world.open();
    peer.write(&[frame(0xFF, b""), vec![7; 20_000]].concat());
    world.pass(Duration::from_secs(4));
    assert_eq!(peer.read()[0], 0x88, "it is told what was wrong");
    assert!(!peer.is_dropped());
    world.pass(Duration::from_secs(2));
    assert!(peer.is_dropped());
}

#[test]
fn a_peer_that_is_too_fast_after_its_close_is_let_go_of_in_time() {
    let mut limits = Limits::default();
    limits.bytes_per_second_max = Some(1024);
    let mut world = World::new(limits);
    let peer = world.open();
    peer.write(&frame(0x88, b""));
    world.run();
    assert!(!peer.read().is_empty() && peer.is_ended());
    peer.write(&[0; 1025]);
    world.pass(Duration::from_secs(6));
    assert!(peer.is_dropped());
}

#[test]
fn a_handshake_takes_no_tokens_in_whatever_place() {
    let mut limits = Limits::default();
    limits.bytes_per_second_max = Some(100);
    let mut world = World::new(limits);
    for _ in 0..3 {
        let peer = world.open();
        peer.reset();
        world.run();
    }
    assert_eq!(counters(&mut world).rate_pauses, 0);
}

#[test]
fn parts_of_one_message_are_one_message() {
    let mut limits = Limits::default();
    limits.messages_per_second_max = Some(10);
    let mut world = World::new(limits);
    let peer = world.open();
    peer.write(&text("parts"));
    world.run_some(4);
    for piece in frame(0x82, &[7; 5000]).chunks(100) {
        peer.write(piece);
        world.run_some(2);
    }
    let counted = counters(&mut world);
    assert_eq!((counted.messages_received, counted.rate_pauses), (2, 0));
}

#[test]
fn odd_limits_are_counted_as_what_they_are_and_keep_nobody_awake() {
    let mut limits = Limits::default();
    limits.messages_per_second_max = Some(0);
    let mut world = World::new(limits);
    let peer = world.open();
    peer.write(&text("echo").repeat(20));
    world.pass(Duration::from_secs(8));
    assert!(counters(&mut world).rate_pauses < 20);

    let mut limits = Limits::default();
    limits.handshakes_per_address_max = 0;
    let mut world = World::new(limits);
    world.net.connect(ADDRESS);
    world.run();
    let refused = counters(&mut world).refused;
    assert_eq!((refused.connections_of_address, refused.handshakes_of_address), (0, 1));
}

/// What 40 peers do, each something else, under all limits at once.
fn mixed_peers(world: &mut World, seed: u64) -> Vec<Peer> {
    let mut peers = Vec::new();
    for n in 0..40u64 {
        let from = format!("192.0.2.{}:1", n % 4);
        let peer = world.net.connect_from(ADDRESS, from.parse().unwrap());
        let kind = (n * 7 + seed) % 9;
        peer.write(&REQUEST[..if kind == 0 { 60 } else { REQUEST.len() }]);
        if n % 4 != 0 {
            world.run_some(10);
        }
        match kind {
            1 => peer.write(&text("burst 30000").repeat(3)),
            2 => peer.write(&frame(0x82, &[7; 20_000])[..19_000]),
            3 => peer.write(&[text("subscribe news"), text("publish news").repeat(60)].concat()),
            4 => peer.write(&[frame(0x88, b""), vec![0; 60_000]].concat()),
            5 => peer.reset(),
            6 => peer.write(&[text("part a"), frame(0x89, b"x").repeat(100)].concat()),
            7 => peer.write(&[text("close bye"), frame(0x89, b"x").repeat(10)].concat()),
            _ => peer.end(),
        }
        peers.push(peer);
        if n % 5 == 0 {
            world.net.advance(Duration::from_millis(100));
            world.run_some(10);
        }
    }
    peers
}

#[test]
fn nothing_is_counted_any_more_when_all_have_gone() {
    for seed in 0..40 {
        let mut limits = Limits::default();
        limits.held_bytes_max = 60_000;
        limits.bytes_per_second_max = Some(20_000);
        limits.messages_per_second_max = Some(40);
        limits.connections_per_address_max = 6;
        limits.handshakes_per_address_max = 4;
        let mut world = World::with_seed(limits, seed);
        (world.net.sim().odds, world.net.sim().capacity) = (Odds::rough(seed % 2 == 0), 5000);
        let _peers = mixed_peers(&mut world, seed);
        world.net.sim().odds = Odds::CALM;
        for _ in 0..40 {
            world.pass(Duration::from_secs(4));
        }
        let count = |start: &str| world.journal().iter().filter(|it| it.starts_with(start)).count();
        let (opened, ended) = (count("open"), count("close "));
        let hub = world.reactor.hub();
        let left = (hub.connections(), hub.handshakes(), hub.held_bytes());
        assert_eq!((left, opened), ((0, 0, 0), ended), "{seed}");
        let Counters { opened: counted, closed, .. } = hub.counters().clone();
        let all = closed.agreed + closed.violation + closed.silent + closed.unanswered;
        let all = all + closed.not_reading + closed.overload + closed.lost;
        assert_eq!((counted, all), (opened as u64, ended as u64), "{seed}");
        // Each address has all its places again.
        for n in 0..24 {
            let from = format!("192.0.2.{}:{n}", n % 4);
            let peer = world.net.connect_from(ADDRESS, from.parse().unwrap());
            peer.write(REQUEST);
            world.run_some(10);
            assert!(peer.read().starts_with(b"HTTP/1.1 101 "), "{seed}");
        }
    }
}

//! Reading that a handler has paused, and a proxy that lets a fast peer wait for a slow one.

use super::*;

fn hold(world: &mut World, number: usize, holds: bool) {
    let id = world.reactor.handler().ids[number];
    let mut hub = world.reactor.hub();
    let mut cx = hub.connection(id).unwrap();
    if holds { cx.pause_reading() } else { cx.resume_reading() }
}

#[test]
fn while_a_connection_is_paused_its_messages_wait_in_order_and_its_peer_is_held_back() {
    for seed in 0..20 {
        let mut world = World::with_seed(Limits::default(), seed);
        world.net.sim().odds = Odds::rough(seed % 2 == 0);
        world.net.sim().capacity = 1_000;
        let peer = world.open();
        let mut sent = [text("pause"), text("first")].concat();
        (0..2_000).for_each(|n| sent.extend(text(&format!("echo {n}"))));
        let mut taken = 0;
        for _ in 0..100 {
            taken += peer.write_some(&sent[taken..]);
            world.run_some(3);
        }
        assert_eq!(peer.read(), b"", "seed {seed}");
        assert!(taken < sent.len() && !peer.has_room(), "seed {seed}: {taken} bytes were taken");
        hold(&mut world, 0, false);
        let echoes = (0..2_000).flat_map(|n| plain(0x81, format!("echo {n}").as_bytes()));
        let expected: Vec<u8> = plain(0x81, b"first").into_iter().chain(echoes).collect();
        let mut got = Vec::new();
        while got.len() < expected.len() {
            taken += peer.write_some(&sent[taken..]);
            world.run_some(3);
            got.extend(peer.read());
        }
        assert!(got == expected, "seed {seed}");
    }
}

#[test]
fn the_silence_of_a_paused_peer_does_not_count_and_does_again_when_it_is_resumed() {
    let mut limits = Limits::default();
    (limits.ping_after, limits.idle_after) =
        (Some(Duration::from_secs(30)), Some(Duration::from_secs(300)));
    let mut world = World::new(limits);
    let peer = world.open();
    // Also where it was asked already whether it lives.
    for asked in [false, true] {
        if asked {
            world.pass(Duration::from_secs(31));
            assert_eq!(peer.read(), plain(0x89, b""));
        }
        hold(&mut world, 0, true);
        world.pass(Duration::from_secs(3_600));
        assert_eq!(peer.read(), b"");
        hold(&mut world, 0, false);
        world.pass(Duration::from_secs(29));
        assert_eq!(peer.read(), b"");
        world.pass(Duration::from_secs(2));
        assert_eq!(peer.read(), plain(0x89, b""));
        peer.write(&frame(0x8A, b""));
        world.run();
    }
    world.pass(Duration::from_secs(600));
    let silent = "close 1006: the peer did not answer a ping in time";
    assert_eq!(world.journal(), ["open", "pong []", "pong []", silent]);
}

#[test]
fn who_was_asked_before_a_pause_has_its_time_again_to_take_what_waits() {
    let mut world = World::new(Limits::default());
    world.net.sim().capacity = 1_000;
    let peer = world.open();
    world.pass(Duration::from_secs(26));
    assert_eq!(peer.read(), plain(0x89, b""));
    world.pass(Duration::from_secs(15));
    hold(&mut world, 0, true);
    let id = world.reactor.handler().ids[0];
    world.reactor.hub().connection(id).unwrap().send(&vec![b'x'; 5_000]);
    // The answer to the ping is not read now.
    peer.write(&frame(0x8A, b""));
    world.pass(Duration::from_secs(40));
    assert_eq!(world.journal(), ["open"]);
    world.pass(Duration::from_secs(10));
    assert_eq!(world.journal()[1], "close 1006: the peer did not answer a ping in time");
}

#[test]
fn a_paused_connection_that_is_closed_or_shut_down_is_read_to_its_end() {
    for shuts_down in [false, true] {
        let mut world = World::new(Limits::default());
        let peer = world.open();
        peer.write(&[text("pause"), text("waits"), frame(0x88, &close_frame(1000, ""))].concat());
        world.run();
        assert_eq!(peer.read(), b"");
        if shuts_down {
            world.reactor.hub().shutdown(Duration::ZERO);
        } else {
            let id = world.reactor.handler().ids[0];
            world.reactor.hub().connection(id).unwrap().close(CloseCode::NORMAL, "");
        }
        world.run();
        peer.end();
        world.run();
        let [open, close] = world.journal() else { panic!("{:?}", world.journal()) };
        assert_eq!(
            (open.as_str(), close.as_str()),
            ("open", "close 1000: closed with 1000 (normal closure)")
        );
        assert_eq!(world.net.open_streams(), 0);
        // Nothing that is asked of it now comes to anything.
        assert!(!shuts_down || world.reactor.is_finished());
    }
}

#[test]
fn pausing_what_is_closing_does_nothing() {
    let mut world = World::new(Limits::default());
    let peer = world.open();
    let id = world.reactor.handler().ids[0];
    let mut hub = world.reactor.hub();
    let mut cx = hub.connection(id).unwrap();
    cx.close(CloseCode::NORMAL, "");
    cx.pause_reading();
    peer.write(&frame(0x88, &close_frame(1000, "")));
    world.run();
    assert_eq!(world.journal().last().unwrap(), "close 1000: closed with 1000 (normal closure)");
}

#[test]
fn a_close_that_is_wrong_leaves_a_connection_paused() {
    let mut world = World::new(Limits::default());
    let peer = world.open();
    peer.write(&[text("pause"), text("first")].concat());
    world.run();
    let id = world.reactor.handler().ids[0];
    let status =
        world.reactor.hub().connection(id).unwrap().close(CloseCode::NORMAL, &"x".repeat(124));
    assert!(matches!(status, SendStatus::Dropped(Dropped::Misuse(_))), "{status:?}");
    world.run();
    assert_eq!(peer.read(), b"");
    hold(&mut world, 0, false);
    world.run();
    assert_eq!(peer.read(), plain(0x81, b"first"));
}

#[test]
fn a_paused_peer_that_is_gone_costs_no_turn_and_is_noticed_when_it_is_read_or_written_to() {
    for resumes in [true, false] {
        let mut world = World::new(Limits::default());
        let peer = world.open();
        peer.write(&[text("pause"), text("first")].concat());
        world.run();
        peer.reset();
        // The last one is for a deadline that was set before.
        for _ in 0..3 {
            world.reactor.turn(Some(Duration::from_secs(3_600))).unwrap();
        }
        let calls = |world: &World| {
            let sim = world.net.sim();
            sim.of_loop(0).calls + sim.of_loop(0).idle_calls
        };
        let before = calls(&world);
        for _ in 0..10 {
            let from = world.net.sim().now;
            world.reactor.turn(Some(Duration::from_secs(3_600))).unwrap();
            assert_eq!(world.net.sim().now - from, Duration::from_secs(3_600), "it sleeps");
        }
        assert_eq!((calls(&world), world.journal()), (before, &["open".to_owned()][..]));
        if resumes {
            hold(&mut world, 0, false);
        } else {
            let id = world.reactor.handler().ids[0];
            world.reactor.hub().connection(id).unwrap().send("hello");
        }
        world.run();
        assert!(world.journal()[1].starts_with("close 1006"), "{:?}", world.journal());
        assert_eq!((world.journal().len(), world.net.open_streams()), (2, 0));
    }
}

#[test]
fn what_waits_of_paused_connections_counts_as_held_and_is_bounded() {
    let mut limits = Limits::default();
    limits.held_bytes_max = 20_000;
    let mut world = World::new(limits);
    let peers: Vec<_> = (0..6).map(|_| world.open()).collect();
    for peer in &peers {
        peer.write(&[text("pause"), frame(0x82, &[b'x'; 6_000])].concat());
        world.run();
        assert!(world.reactor.hub().held_bytes() <= 20_000);
    }
    let closed =
        world.journal().iter().filter(|it| it.ends_with("this one a good part of it")).count();
    assert!((3..6).contains(&closed), "{:?}", world.journal());
    for (number, peer) in peers.iter().enumerate() {
        let id = world.reactor.handler().ids[number];
        if let Some(mut cx) = world.reactor.hub().connection(id) {
            cx.resume_reading();
            world.run();
            assert_eq!(peer.read(), plain(0x82, &[b'x'; 6_000]));
        }
    }
    for peer in &peers {
        peer.end();
    }
    world.run();
    assert_eq!((world.reactor.hub().held_bytes(), world.net.open_streams()), (0, 0));
}

#[test]
fn who_is_both_paused_and_too_fast_gets_its_rate_again_and_one_burst() {
    let mut limits = Limits::default();
    limits.messages_per_second_max = Some(10);
    let mut world = World::new(limits);
    let peer = world.open();
    for number in 0..60 {
        peer.write(&text(&format!("{number:02}")));
    }
    let (mut got, mut counts) = (Vec::new(), Vec::new());
    for seconds in [0, 60, 0, 1, 20] {
        let holds = seconds == 60;
        hold(&mut world, 0, holds);
        world.pass(Duration::from_secs(seconds));
        let read = peer.read();
        counts.push(read.len() / 4);
        got.extend(read);
    }
    assert_eq!(counts[..3], [10, 0, 10]);
    assert!((9..=11).contains(&counts[3]), "{counts:?}");
    let expected: Vec<u8> =
        (0..60).flat_map(|it| plain(0x81, format!("{it:02}").as_bytes())).collect();
    assert!(got == expected, "{counts:?}");
}

#[test]
fn pausing_an_answer_that_is_a_stream_does_nothing() {
    let mut world = World::new(Limits::default());
    let peer = world.net.connect(ADDRESS);
    peer.write(b"GET /stream HTTP/1.1\r\nHost: example\r\n\r\n");
    world.run();
    let id = world.reactor.handler().streams[0];
    let mut hub = world.reactor.hub();
    let mut cx = hub.connection(id).unwrap();
    cx.pause_reading();
    assert_eq!(cx.write(b"some"), SendStatus::Sent);
    peer.end();
    world.run();
    assert!(peer.read().ends_with(b"4\r\nsome\r\n"));
    assert!(world.journal().last().unwrap().starts_with("close 1006"), "{:?}", world.journal());
    assert_eq!(world.net.open_streams(), 0);
}

/// A handler that pauses in one of its events, once, and keeps what it was told.
#[derive(Default)]
struct Gate {
    pauses_in: &'static str,
    /// At once.
    resumes: bool,
    id: Option<ConnectionId>,
    told: String,
}

impl Gate {
    fn told(&mut self, cx: &mut Context<'_, ()>, event: &str, what: &str) {
        self.told.push_str(what);
        if self.pauses_in == event {
            self.pauses_in = "";
            (0..2).for_each(|_| cx.pause_reading());
            if self.resumes {
                cx.resume_reading();
            }
        }
    }
}

impl Handler for Gate {
    type Session = ();

    fn on_open(&mut self, cx: &mut Context<'_, ()>) {
        self.id = Some(cx.id());
        if self.pauses_in == "part" {
            cx.set_delivery(tautline::Delivery::Parts);
        }
        self.told(cx, "open", "open ");
    }

    fn on_message(&mut self, cx: &mut Context<'_, ()>, message: Message<'_>) {
        self.on_part(cx, Part { data: message, last: true });
    }

    fn on_part(&mut self, cx: &mut Context<'_, ()>, part: Part<'_>) {
        let Message::Text(data) = part.data else { return };
        if data.starts_with("fill") {
            cx.send(&vec![b'f'; 5_000]);
        }
        let event = if part.last { "message" } else { "part" };
        self.told(cx, event, data);
        if part.last {
            self.told.push(' ');
        }
    }

    fn on_pong(&mut self, cx: &mut Context<'_, ()>, _: &[u8]) {
        self.told(cx, "pong", "pong ");
    }

    fn on_drain(&mut self, cx: &mut Context<'_, ()>) {
        self.told(cx, "drain", "");
    }
}

#[test]
fn any_event_can_pause_and_what_follows_it_comes_once_and_in_order() {
    const TOLD: &str = "open one two-three pong fill four ";
    let before = [text("one"), frame(0x01, b"two-"), frame(0x80, b"three"), frame(0x8A, b"")];
    for (seed, event) in
        (0..30).zip(["open", "message", "part", "pong", "drain"].into_iter().cycle())
    {
        let net = SimNet::new(seed);
        (net.sim().odds, net.sim().capacity) = (Odds::rough(seed % 2 == 0), 1_000);
        let gate = Gate { pauses_in: event, resumes: seed % 3 == 0, ..Gate::default() };
        let reactor = Reactor::with_net(gate, net.clone()).limits(Limits::default());
        let mut reactor = reactor.listen(ADDRESS).unwrap();
        let peer = net.connect(ADDRESS);
        let mut got = Vec::new();
        let mut turns = |reactor: &mut Reactor<Gate, SimNet>, count| {
            for _ in 0..count {
                reactor.turn(Some(Duration::ZERO)).unwrap();
                got.extend(peer.read());
            }
            got.clone()
        };
        peer.write(REQUEST);
        while reactor.handler().id.is_none() {
            turns(&mut reactor, 1);
        }
        peer.write(&before.concat());
        peer.write(&[text("fill"), frame(0x89, b"asked")].concat());
        turns(&mut reactor, 400);
        peer.write(&text("four"));
        turns(&mut reactor, 400);
        let paused = !reactor.handler().resumes;
        let told = reactor.handler().told.clone();
        assert!(TOLD.starts_with(&told) && (told != TOLD) == paused, "{seed} {event}: {told}");
        let id = reactor.handler().id.unwrap();
        (0..2).for_each(|_| reactor.hub().connection(id).unwrap().resume_reading());
        let got = turns(&mut reactor, 400);
        assert_eq!(reactor.handler().told, TOLD, "{seed} {event}");
        assert!(got.ends_with(&plain(0x8A, b"asked")), "{seed} {event}");
    }
}

/// What one of the two says, the other one gets.
#[derive(Default)]
struct Pipe {
    ids: Vec<ConnectionId>,
    most_waiting: usize,
}

impl Pipe {
    fn other(&self, id: ConnectionId) -> Option<ConnectionId> {
        self.ids.iter().copied().find(|it| *it != id)
    }
}

impl Handler for Pipe {
    type Session = ();

    fn on_open(&mut self, cx: &mut Context<'_, ()>) {
        self.ids.push(cx.id());
    }

    fn on_message(&mut self, cx: &mut Context<'_, ()>, message: Message<'_>) {
        let Some(mut other) = self.other(cx.id()).and_then(|id| cx.connection(id)) else { return };
        let status = other.send(message);
        self.most_waiting = self.most_waiting.max(other.waiting_bytes());
        if status == SendStatus::Queued {
            cx.pause_reading();
        }
    }

    fn on_drain(&mut self, cx: &mut Context<'_, ()>) {
        if let Some(mut other) = self.other(cx.id()).and_then(|id| cx.connection(id)) {
            other.resume_reading();
        }
    }
}

#[test]
fn a_proxy_passes_on_all_that_a_fast_peer_sends_and_holds_little_for_a_slow_one() {
    const MESSAGES: usize = 300;
    for seed in 0..10 {
        let net = SimNet::new(seed);
        (net.sim().odds, net.sim().capacity) = (Odds::rough(true), 5_000);
        // Without pausing, the slow one would be cut.
        let mut limits = Limits::default();
        limits.outbox_bytes_max = 300_000;
        let reactor = Reactor::with_net(Pipe::default(), net.clone()).limits(limits);
        let mut reactor = reactor.listen(ADDRESS).unwrap();
        let [fast, slow] = [(); 2].map(|()| {
            let peer = net.connect(ADDRESS);
            peer.write(REQUEST);
            while !peer.with_output(|it| it.ends_with(b"\r\n\r\n")) {
                reactor.turn(Some(Duration::ZERO)).unwrap();
            }
            peer.read();
            peer
        });
        let message = |n: usize| vec![n as u8; 10_000];
        let sent: Vec<u8> = (0..MESSAGES).flat_map(|n| frame(0x82, &message(n))).collect();
        let expected: Vec<u8> = (0..MESSAGES).flat_map(|n| plain(0x82, &message(n))).collect();
        let (mut taken, mut got) = (0, Vec::new());
        while got.len() < expected.len() {
            taken += fast.write_some(&sent[taken..]);
            reactor.turn(Some(Duration::ZERO)).unwrap();
            got.extend(slow.read_up_to(700));
        }
        assert!(got == expected, "seed {seed}");
        let most = reactor.handler().most_waiting;
        assert!(most > 0 && most < 50_000, "seed {seed}: {most} bytes waited");
    }
}

#[test]
fn two_that_hold_each_other_back_and_take_nothing_are_cut_in_time() {
    // One that takes a little now and then is not.
    for (takes, seconds) in [(0, 46), (1, 300)] {
        let net = SimNet::new(1);
        net.sim().capacity = 5_000;
        let mut limits = Limits::default();
        // That it says nothing does not count.
        limits.idle_after = Some(Duration::from_secs(60));
        let reactor = Reactor::with_net(Pipe::default(), net.clone()).limits(limits);
        let mut reactor = reactor.listen(ADDRESS).unwrap();
        let mut turns = || (0..100).for_each(|_| reactor.turn(Some(Duration::ZERO)).unwrap());
        let peers = [(); 2].map(|()| {
            let peer = net.connect(ADDRESS);
            peer.write(REQUEST);
            turns();
            peer.read();
            peer
        });
        for _ in 0..100 {
            for peer in &peers {
                peer.write_some(&frame(0x82, &[0; 990]));
            }
            turns();
        }
        assert!(peers.iter().all(|peer| peer.pending() == 5_000 && peer.unread() > 3_000));
        for _ in 0..seconds {
            net.advance(Duration::from_secs(1));
            turns();
            peers.iter().for_each(|peer| drop(peer.read_up_to(takes)));
        }
        assert_eq!(net.open_streams(), if takes == 0 { 0 } else { 2 }, "{takes}");
    }
}

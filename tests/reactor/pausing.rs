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

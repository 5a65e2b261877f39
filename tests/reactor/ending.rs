//! Closing, deadlines, shutdown.

use super::*;
use tautline::handshake::ClientRequest;

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1
//# After both sending and receiving a Close message, an endpoint
//# considers the WebSocket connection closed and MUST close the
//# underlying TCP connection.
//= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1
//# The server MUST close the underlying TCP
//# connection immediately;
#[test]
fn a_close_is_answered_and_the_stream_ended_by_the_server_first() {
    let mut world = World::new(Limits::default());
    let peer = world.open();
    peer.write(&frame(0x88, &close_frame(1000, "bye")));
    world.run();
    assert_eq!(peer.read(), plain(0x88, &close_frame(1000, "")));
    assert!(peer.is_ended() && !peer.is_dropped());
    assert_eq!(world.journal(), ["open", "close 1000: closed with 1000 (normal closure): bye"]);
    peer.end();
    world.run();
    assert!(peer.is_dropped());
    assert_eq!(world.net.open_streams(), 0);
}

#[test]
fn after_a_close_of_the_application_only_pongs_are_sent_and_messages_come_until_the_answer() {
    let mut world = World::new(Limits::default());
    let peer = world.open();
    peer.write(&[text("close enough"), text("echo no more")].concat());
    world.run();
    assert_eq!(peer.read(), plain(0x88, &close_frame(1000, "enough")));
    assert_eq!(world.journal(), ["open"]);
    peer.write(
        &[frame(0x89, b"?"), text("echo no more"), frame(0x88, &close_frame(1000, ""))].concat(),
    );
    world.run();
    assert_eq!(peer.read(), plain(0x8A, b"?"));
    assert_eq!(world.journal(), ["open", "close 1000: closed with 1000 (normal closure)"]);
    let dropped = SendStatus::Dropped(tautline::reactor::Dropped::NotOpen);
    assert_eq!(world.reactor.handler().statuses, [SendStatus::Sent, dropped, dropped]);
}

#[test]
fn a_peer_that_never_answers_a_close_is_cut_at_the_deadline() {
    let mut world = World::new(Limits::default());
    let peer = world.open();
    peer.write(&text("close"));
    world.pass(Duration::from_secs(4));
    assert!(!peer.is_dropped());
    world.pass(Duration::from_secs(2));
    assert!(peer.is_dropped());
    assert_eq!(
        world.journal(),
        ["open", "close 1006: the peer did not answer a close frame in time"]
    );
}

#[test]
fn a_silent_peer_is_asked_and_then_cut() {
    let mut world = World::new(Limits::default());
    let peer = world.open();
    world.pass(Duration::from_secs(26));
    assert_eq!(peer.read(), plain(0x89, b""));
    world.pass(Duration::from_secs(21));
    assert!(peer.is_dropped());
    assert_eq!(world.journal(), ["open", "close 1006: the peer did not answer a ping in time"]);
}

#[test]
fn a_peer_that_answers_pings_stays_for_ever_and_costs_few_turns() {
    let mut world = World::new(Limits::default());
    let peer = world.open();
    let polls = world.net.sim().polls;
    for _ in 0..10 {
        // Sleeps until the ping is due, however long that is.
        while peer.pending() == 0 {
            world.reactor.turn(None).unwrap();
        }
        assert_eq!(peer.read(), plain(0x89, b""));
        peer.write(&frame(0x8A, b""));
    }
    assert!(world.net.sim().polls - polls < 100, "{} polls", world.net.sim().polls - polls);
}

// A pong makes the next ping due earlier than the pong was, where silence is short and patience long.
#[test]
fn a_peer_that_answers_pings_is_asked_again_after_the_same_silence() {
    let mut limits = Limits::default();
    (limits.ping_after, limits.pong_within) =
        (Some(Duration::from_secs(5)), Duration::from_secs(60));
    let mut world = World::new(limits);
    let peer = world.open();
    for _ in 0..10 {
        world.pass(Duration::from_secs(6));
        assert_eq!(peer.read(), plain(0x89, b""));
        peer.write(&frame(0x8A, b""));
        world.run();
    }
}

#[test]
fn an_idle_connection_is_closed_with_1001_where_that_is_wanted() {
    let mut limits = Limits::default();
    limits.idle_after = Some(Duration::from_secs(20));
    let mut world = World::new(limits);
    let peer = world.open();
    world.pass(Duration::from_secs(15));
    peer.write(&text("echo x"));
    world.pass(Duration::from_secs(15));
    assert_eq!(peer.read(), plain(0x81, b"echo x"));
    world.pass(Duration::from_secs(6));
    assert_eq!(peer.read(), plain(0x88, &close_frame(1001, "idle")));
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.7
//# to do so, the server MUST _Close the WebSocket
//# Connection_,
#[test]
fn a_violation_is_answered_with_its_code_and_nothing_follows() {
    let cases: [(&[u8], u16, &str); 5] = [
        (&plain(0x81, b"echo unmasked"), 1002, "frame of a client not masked"),
        (&frame(0x83, b""), 1002, "reserved opcode"),
        (&frame(0xC1, b""), 1002, "reserved bits set"),
        (&frame(0x81, b"\xff"), 1007, "not UTF-8"),
        (&frame(0x82, &vec![0; 2 << 20]), 1009, "message over the size limit"),
    ];
    for (bytes, code, reason) in cases {
        let mut world = World::new(Limits::default());
        let peer = world.open();
        peer.write(&[bytes, &text("echo never")].concat());
        world.run();
        assert_eq!(peer.read(), plain(0x88, &close_frame(code, reason)), "{reason}");
        assert!(peer.is_ended());
        assert!(world.journal()[1].starts_with("close 1006: the peer "));
        world.pass(Duration::from_secs(6));
        assert!(peer.is_dropped(), "also when the peer goes on");
    }
}

#[test]
fn a_stream_that_ends_or_breaks_without_a_close_frame_is_told_once() {
    for broken in [false, true] {
        let mut world = World::new(Limits::default());
        let peer = world.open();
        if broken {
            peer.reset()
        } else {
            peer.end()
        }
        world.run();
        assert_eq!(world.journal().len(), 2);
        assert!(world.journal()[1].starts_with("close 1006: the connection was lost"));
        assert!(peer.is_dropped());
    }
}

#[test]
fn what_was_sent_before_the_stream_ended_is_handled() {
    let mut world = World::new(Limits::default());
    let (speaker, listener) = (world.open(), world.open());
    listener.write(&text("subscribe room"));
    world.run();
    speaker.write(&text("publish room"));
    speaker.end();
    world.run();
    assert_eq!(listener.read(), plain(0x81, b"publish room"));
}

#[test]
fn an_id_that_was_kept_too_long_reaches_nobody() {
    let mut world = World::new(Limits::default());
    let first = world.open();
    first.reset();
    world.run();
    let second = world.open();
    second.write(&text("whisper 0"));
    world.run();
    assert_eq!(second.read(), b"", "the place is used again, the id is not");
    assert_eq!(world.journal().last().unwrap(), "nobody");
}

#[test]
fn a_shutdown_closes_one_after_the_other_and_ends_the_loop() {
    let mut world = World::new(Limits::default());
    let peers: Vec<_> = (0..10).map(|_| world.open()).collect();
    let late = world.net.connect(ADDRESS);
    world.run();
    world.reactor.handle().shutdown(Duration::from_secs(10)).unwrap();
    world.run();
    let told = |peers: &[Peer]| {
        let close = plain(0x88, &close_frame(1001, "shutting down"));
        peers.iter().filter(|peer| peer.with_output(|bytes| bytes == close)).count()
    };
    let mut counts = Vec::new();
    for _ in 0..11 {
        world.net.advance(Duration::from_secs(1));
        world.run_some(5);
        for peer in &peers {
            if peer.pending() > 0 {
                peer.write(&frame(0x88, &close_frame(1001, "")));
            }
        }
        counts.push(told(&peers));
    }
    assert!(counts.windows(2).all(|pair| pair[1] - pair[0] <= 2), "{counts:?}");
    assert_eq!(counts.last(), Some(&10), "{counts:?}");
    assert!(late.is_ended() || late.with_output(|bytes| bytes.starts_with(b"HTTP/1.1 503 ")));
    for peer in &peers {
        peer.end();
    }
    world.pass(Duration::from_secs(6));
    assert!(world.reactor.is_finished());
    assert_eq!(world.net.open_streams(), 0);
}

#[test]
fn a_second_shutdown_hurries_the_first_and_does_not_slow_it_down() {
    for (second, over) in [(1, 3), (60, 10)] {
        let mut world = World::new(Limits::default());
        let peers: Vec<_> = (0..10).map(|_| world.open()).collect();
        let told = || peers.iter().filter(|peer| peer.pending() > 0).count();
        let handle = world.reactor.handle();
        handle.shutdown(Duration::from_secs(10)).unwrap();
        world.run();
        assert_eq!(told(), 1, "the first is told at once");
        world.pass(Duration::from_millis(1_500));
        assert_eq!(told(), 2);
        handle.shutdown(Duration::from_secs(second)).unwrap();
        world.pass(Duration::from_secs(over) - Duration::from_millis(1_500));
        assert_eq!(told(), 10, "{second}");
        peers.iter().for_each(Peer::end);
        world.pass(Duration::from_secs(6));
        assert!(world.reactor.is_finished());
    }
}

#[test]
fn a_shutdown_over_any_time_takes_few_turns_and_can_be_hurried_often() {
    let nanosecond = Duration::from_nanos(1);
    for within in [Duration::ZERO, nanosecond, Duration::from_secs(3), Duration::MAX] {
        for connections in [0, 1, 7] {
            let mut world = World::new(Limits::default());
            let peers: Vec<_> = (0..connections).map(|_| world.open()).collect();
            let stream = world.net.connect(ADDRESS);
            stream.write(b"GET /stream HTTP/1.1\r\nHost: example\r\n\r\n");
            world.run();
            let handle = world.reactor.handle();
            for within in [Duration::MAX, within] {
                handle.shutdown(within).unwrap();
                world.reactor.turn(Some(Duration::ZERO)).unwrap();
            }
            if within == Duration::MAX {
                world.pass(Duration::from_secs(86_400));
                peers.iter().for_each(|peer| peer.write(&frame(0x8A, b"")));
            }
            // These change nothing.
            for within in [Duration::from_secs(3), Duration::MAX, Duration::from_secs(9)] {
                world.reactor.hub().shutdown(within);
                world.reactor.turn(Some(Duration::ZERO)).unwrap();
            }
            peers.iter().for_each(Peer::end);
            stream.end();
            let from = world.net.sim().now;
            let mut turns = 0;
            while !world.reactor.is_finished() {
                turns += 1;
                assert!(turns < 100, "{within:?}, {connections}");
                world.reactor.turn(Some(Duration::from_secs(9))).unwrap();
            }
            assert!(world.net.sim().now - from < Duration::from_secs(9));
            assert_eq!(world.net.open_streams(), 0);
        }
    }
}

#[test]
fn the_last_peer_of_a_shutdown_has_its_time_to_answer_and_to_end_the_stream() {
    let mut world = World::new(Limits::default());
    let peer = world.open();
    world.reactor.hub().shutdown(Duration::ZERO);
    world.pass(Duration::from_millis(4_900));
    peer.write(&frame(0x88, &close_frame(1001, "")));
    world.pass(Duration::from_millis(4_900));
    assert!(!world.reactor.is_finished());
    world.pass(Duration::from_millis(200));
    assert!(world.reactor.is_finished());
}

#[test]
fn a_shutdown_that_a_handler_asks_for_does_not_wait_for_an_event() {
    let mut world = World::new(Limits::default());
    world.reactor.hub().shutdown(Duration::ZERO);
    world.reactor.turn(None).unwrap();
    assert!(world.reactor.is_finished());
    assert!(
        world
            .reactor
            .hub()
            .connect(ADDRESS, ClientRequest::new("ws://example".parse().unwrap()), 0)
            .is_err()
    );
}

#[test]
fn more_posts_than_the_limit_are_refused() {
    let mut limits = Limits::default();
    limits.posts_max = 2;
    let mut world = World::new(limits);
    let handle = world.reactor.handle();
    let results: Vec<_> = (0..3)
        .map(|_| handle.post(|probe: &mut Probe, _| probe.journal.push("post".into())))
        .collect();
    assert_eq!(results, [Ok(()), Ok(()), Err(tautline::reactor::PostError::Full)]);
    world.run();
    assert_eq!(world.journal(), ["post", "post"]);
    for _ in 0..2 {
        handle.post(|_: &mut Probe, _| {}).unwrap();
    }
    assert_eq!(handle.shutdown(Duration::ZERO), Ok(()), "this is never too much");
    world.run();
    assert!(world.reactor.is_finished());
    assert!(handle.post(|_: &mut Probe, _| {}).is_ok());
    drop(world);
    assert_eq!(handle.post(|_: &mut Probe, _| {}), Err(tautline::reactor::PostError::Ended));
}

#[test]
fn a_peer_that_streams_on_after_its_violation_is_read_in_turn_and_cut_at_the_deadline() {
    let mut world = World::new(Limits::default());
    let (bad, good) = (world.open(), world.open());
    bad.write(&frame(0x83, b""));
    for _ in 0..40 {
        bad.write(&vec![0; 20 * 256 * 1024]);
        good.write(&text("echo x"));
        world.run_some(2);
        assert_eq!(good.read(), plain(0x81, b"echo x"));
    }
    world.pass(Duration::from_secs(6));
    assert!(bad.is_dropped());
}

#[test]
fn a_peer_that_answers_late_is_asked_again_as_soon_as_one_that_answers_at_once() {
    let mut limits = Limits::default();
    (limits.ping_after, limits.pong_within) =
        (Some(Duration::from_secs(2)), Duration::from_secs(20));
    let mut world = World::new(limits);
    let peer = world.open();
    world.pass(Duration::from_secs(3));
    assert_eq!(peer.read(), plain(0x89, b""));
    peer.write(&frame(0x8A, b""));
    world.pass(Duration::from_secs(3));
    assert_eq!(peer.read(), plain(0x89, b""));
}

#[test]
fn what_was_published_before_a_close_frame_or_a_violation_came_is_sent_before_the_answer() {
    let answers = [
        (frame(0x88, &close_frame(1000, "")), close_frame(1000, "")),
        (frame(0x83, b""), close_frame(1002, "reserved opcode")),
    ];
    for (last, answer) in answers {
        let mut world = World::new(Limits::default());
        let peer = world.open();
        peer.write(&[text("subscribe room"), text("publish room"), last].concat());
        world.run();
        let expected = [plain(0x81, b"publish room"), plain(0x88, &answer)].concat();
        assert_eq!(peer.read(), expected);
    }
}

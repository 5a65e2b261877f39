//! One write per turn, outboxes, topics.

use super::*;

#[test]
fn what_many_messages_are_answered_with_leaves_in_one_write() {
    let mut world = World::new(Limits::default());
    let peer = world.open();
    let before = world.net.sim().writes;
    let messages: Vec<u8> = (0..32).flat_map(|n| text(&format!("echo {n}"))).collect();
    peer.write(&messages);
    world.run();
    assert_eq!(world.net.sim().writes - before, 1);
    let expected: Vec<u8> =
        (0..32).flat_map(|n| plain(0x81, format!("echo {n}").as_bytes())).collect();
    assert_eq!(peer.read(), expected);
}

#[test]
fn a_long_answer_is_written_from_where_it_lies_with_those_before_it() {
    const LONG: usize = 24 * 1024;
    for (commands, lengths, writes, from_where_they_lie) in [
        (vec!["bursts 24575"], vec![LONG - 1], 1, 0),
        (vec!["bursts 24576"], vec![LONG], 1, 1),
        (vec!["bursts 24576", "bursts 24576", "bursts 24576"], vec![LONG; 3], 1, 1),
        (vec!["bursts 10 20", "bursts 30 90000"], vec![10, 20, 30, 90_000], 1, 1),
        // Only one of several answers to the last message can be the last answer, and it is not known which.
        (vec!["bursts 24576 24576 24576 40"], vec![LONG, LONG, LONG, 40], 2, 1),
        // So long that a copy costs more than a write.
        (vec!["bursts 100000", "bursts 7 100000"], vec![100_000, 7, 100_000], 2, 2),
        (vec!["bursts 100000 30000 40"], vec![100_000, 30_000, 40], 2, 1),
    ] {
        let mut world = World::new(Limits::default());
        world.net.sim().capacity = 1 << 20;
        let peer = world.open();
        peer.write(&commands.iter().flat_map(|command| text(command)).collect::<Vec<u8>>());
        let before = world.net.sim().writes;
        world.run();
        let sim = world.net.sim();
        let done = (sim.writes - before, sim.writes_of_several);
        drop(sim);
        assert_eq!(done, (writes, from_where_they_lie), "{commands:?}");
        let expected: Vec<u8> =
            lengths.iter().flat_map(|&length| plain(0x82, &vec![b'b'; length])).collect();
        assert!(peer.read() == expected, "{commands:?}");
    }
}

#[test]
fn a_message_of_any_length_and_however_read_is_answered_from_where_it_lies_if_it_is_the_last() {
    for length in [24_576, 65_535, 65_536, 90_000] {
        for first in [1, 5_000, length] {
            let mut world = World::new(Limits::default());
            world.net.sim().capacity = 1 << 20;
            let peer = world.open();
            let frame = frame(0x82, &vec![3; length]);
            peer.write(&frame[..first]);
            world.run();
            peer.write(&frame[first..]);
            world.run();
            assert_eq!(world.net.sim().writes_of_several, 1, "{length}, cut at {first}");
            assert!(peer.read() == plain(0x82, &vec![3; length]), "{length}, cut at {first}");
        }
    }
}

#[test]
fn what_a_full_socket_leaves_of_a_long_answer_does_not_count_before_the_rest_of_the_answer() {
    let many = format!("bursts{}", " 30000".repeat(40));
    for capacity in [200, 20_000, 30_010, 30_050] {
        let mut world = World::new(Limits::default());
        world.net.sim().capacity = capacity;
        let peer = world.open();
        peer.write(&text(&many));
        let expected = plain(0x82, &[b'b'; 30_000]).repeat(40);
        assert!(read_all(&mut world, &peer, expected.len()) == expected, "capacity {capacity}");
        let expected = if capacity < 30_000 { SendStatus::Queued } else { SendStatus::Sent };
        assert_eq!(world.reactor.handler().statuses[0], expected, "it is known how full it is");
        assert_eq!(world.journal(), ["open", "drain"]);
    }
}

#[test]
fn what_follows_a_long_answer_that_the_socket_took_a_part_of_comes_behind_it() {
    let b = |length| plain(0x82, &vec![b'b'; length]);
    let rows = [
        ("bursts 30000 100000 5 30000", [b(30_000), b(100_000), b(5), b(30_000)].concat()),
        ("burst-and-close 30000", [b(30_000), plain(0x88, &close_frame(1000, "said"))].concat()),
        ("burst-and-publish 30000", [b(30_000), plain(0x81, b"news")].concat()),
        ("burst-and-ping 30000", [b(30_000), plain(0x89, b"?")].concat()),
    ];
    for (command, expected) in rows {
        // Within the header, behind it, and within the payload.
        for capacity in [129, 131, 133, 134, 135, 20_000] {
            let mut world = World::new(Limits::default());
            let peer = world.open();
            peer.write(&text("subscribe room"));
            world.run();
            world.net.sim().capacity = capacity;
            peer.write(&[frame(0x89, &[7; 125]), text(command)].concat());
            let expected = [plain(0x8A, &[7; 125]), expected.clone()].concat();
            let got = read_all(&mut world, &peer, expected.len());
            assert!(got == expected, "{command}, capacity {capacity}: {} bytes", got.len());
        }
    }
}

/// Reads so many bytes, a turn at a time.
fn read_all(world: &mut World, peer: &Peer, bytes: usize) -> Vec<u8> {
    let mut got = Vec::new();
    for _ in 0..20_000 {
        if got.len() >= bytes {
            break;
        }
        world.run_some(1);
        got.extend(peer.read());
    }
    world.run_some(3);
    got.extend(peer.read());
    got
}

#[test]
fn frames_cut_at_every_byte_are_answered_as_if_they_were_whole() {
    let frames =
        [text("echo a"), frame(0x89, b"ping"), frame(0x01, b"echo "), frame(0x80, "ü".as_bytes())]
            .concat();
    let expected =
        [plain(0x81, b"echo a"), plain(0x8A, b"ping"), plain(0x81, "echo ü".as_bytes())].concat();
    for cut in 0..=frames.len() {
        let mut world = World::new(Limits::default());
        let peer = world.open();
        peer.write(&frames[..cut]);
        world.run_some(3);
        peer.write(&frames[cut..]);
        world.run_some(3);
        assert_eq!(peer.read(), expected, "cut at {cut}");
    }
}

#[test]
fn a_publication_reaches_each_subscriber_once_and_in_order_with_its_own_messages() {
    let mut world = World::new(Limits::default());
    let peers = [world.open(), world.open(), world.open()];
    for peer in &peers {
        peer.write(&text("subscribe room"));
    }
    world.run();
    let before = world.net.sim().writes;
    peers[0].write(
        &[text("echo 1"), text("publish room"), text("echo 2"), text("tell-others room")].concat(),
    );
    world.run();
    assert_eq!(world.net.sim().writes - before, 3, "one write per socket");
    let own =
        [plain(0x81, b"echo 1"), plain(0x81, b"publish room"), plain(0x81, b"echo 2")].concat();
    assert_eq!(peers[0].read(), own);
    for other in &peers[1..] {
        assert_eq!(
            other.read(),
            [plain(0x81, b"publish room"), plain(0x81, b"tell-others room")].concat()
        );
    }
}

#[test]
fn a_subscription_begins_and_ends_between_two_publications_of_one_turn() {
    let mut world = World::new(Limits::default());
    let (speaker, listener) = (world.open(), world.open());
    speaker.write(&[text("subscribe room"), text("publish room")].concat());
    listener.write(
        &[
            text("subscribe room"),
            text("publish room"),
            text("unsubscribe room"),
            text("publish room"),
        ]
        .concat(),
    );
    world.run();
    assert_eq!(speaker.read(), plain(0x81, b"publish room").repeat(3));
    assert_eq!(listener.read(), plain(0x81, b"publish room"));
}

#[test]
fn unsubscribing_closing_and_publishing_in_one_callback_keep_the_order() {
    let mut world = World::new(Limits::default());
    let (leaver, stayer) = (world.open(), world.open());
    for peer in [&leaver, &stayer] {
        peer.write(&text("subscribe room"));
    }
    world.run();
    leaver.write(&text("leave room"));
    world.run();
    let at_last: Vec<u8> =
        ["before", "after", "at last"].iter().flat_map(|it| plain(0x81, it.as_bytes())).collect();
    assert_eq!(stayer.read(), at_last);
    assert_eq!(
        leaver.read(),
        [plain(0x81, b"before"), plain(0x88, &close_frame(1000, "left"))].concat()
    );
}

#[test]
fn a_message_published_when_a_connection_ends_is_delivered() {
    let mut world = World::new(Limits::default());
    let (goer, stayer) = (world.open(), world.open());
    for peer in [&goer, &stayer] {
        peer.write(&text("subscribe room"));
    }
    world.run();
    world
        .reactor
        .handle()
        .post(|probe: &mut Probe, _| probe.last_words = Some("bye".into()))
        .unwrap();
    goer.reset();
    world.run();
    assert_eq!(stayer.read(), plain(0x81, b"bye"));
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-6.1
//# The frame(s) that have been formed MUST be transmitted over the
//# underlying network connection.
#[test]
fn what_a_full_socket_does_not_take_waits_and_is_written_when_there_is_room() {
    let mut world = World::new(Limits::default());
    world.net.sim().capacity = 1000;
    let peer = world.open();
    peer.write(&[text("burst 5000"), text("echo x")].concat());
    world.run();
    let mut got = Vec::new();
    while got.len() < 5_000 + 4 + 8 {
        let piece = peer.read_up_to(300);
        assert!(!piece.is_empty(), "it stalls after {}", got.len());
        got.extend(piece);
        world.run_some(4);
    }
    assert_eq!(got, [plain(0x82, &[b'b'; 5000]), plain(0x81, b"echo x")].concat());
}

#[test]
fn a_message_for_a_full_socket_is_queued_and_the_handler_is_told_when_it_is_written() {
    let mut world = World::new(Limits::default());
    world.net.sim().capacity = 1000;
    let (slow, other) = (world.open(), world.open());
    slow.write(&text("burst 5000"));
    world.run();
    other.write(&text("whisper 0"));
    world.run();
    assert_eq!(world.reactor.handler().statuses, [SendStatus::Sent, SendStatus::Queued]);
    assert!(!world.journal().contains(&"drain".to_owned()));
    let mut got = Vec::new();
    for _ in 0..20 {
        got.extend(slow.read());
        world.run_some(4);
    }
    assert_eq!(got, [plain(0x82, &[b'b'; 5000]), plain(0x81, b"psst")].concat());
    assert_eq!(world.journal().iter().filter(|it| *it == "drain").count(), 1);
}

#[test]
fn a_peer_that_does_not_read_is_not_read_either_and_loses_nothing() {
    let mut limits = Limits::default();
    limits.outbox_pause_bytes = 10_000;
    let mut world = World::new(limits);
    world.net.sim().capacity = 1000;
    let peer = world.open();
    for _ in 0..10 {
        peer.write(&text("burst 9000"));
        world.run_some(3);
    }
    assert!(world.reactor.handler().statuses.len() < 5, "it is not answered without end");
    let mut got = 0;
    for _ in 0..400 {
        got += peer.read().len();
        world.run_some(4);
    }
    assert_eq!(got, 10 * 9004);
}

#[test]
fn a_subscriber_that_never_reads_is_cut_at_the_limit_and_the_others_get_everything() {
    let mut limits = Limits::default();
    limits.outbox_bytes_max = 100_000;
    let mut world = World::new(limits);
    world.net.sim().capacity = 50_000;
    let (speaker, slow, quick) = (world.open(), world.open(), world.open());
    for peer in [&slow, &quick] {
        peer.write(&text("subscribe room"));
    }
    world.run();
    let mut got = 0;
    let message = text("publish room");
    for _ in 0..20_000 {
        speaker.write(&message);
        world.run_some(1);
        // In the very turn, however far behind the slow one is.
        assert_eq!(quick.read().len(), 14);
        got += 14;
    }
    world.run();
    got += quick.read().len();
    assert_eq!(got, 20_000 * 14);
    assert!(slow.is_dropped());
    assert_eq!(
        world.journal().last().unwrap(),
        "close 1006: the peer does not read what it is sent"
    );
    assert_eq!(world.net.open_streams(), 2);
}

#[test]
fn publications_wait_for_the_last_part_of_a_message_in_parts() {
    let mut world = World::new(Limits::default());
    let (speaker, listener) = (world.open(), world.open());
    listener.write(&[text("subscribe room"), text("part a")].concat());
    world.run();
    speaker.write(&text("publish room"));
    world.run();
    assert_eq!(listener.read(), plain(0x01, b"a"));
    listener.write(&[text("echo refused"), text("last b")].concat());
    world.run();
    assert_eq!(listener.read(), [plain(0x80, b"b"), plain(0x81, b"publish room")].concat());
    assert!(matches!(world.reactor.handler().statuses[1], SendStatus::Dropped(_)));
}

#[test]
fn a_message_in_parts_is_handed_over_as_it_comes() {
    let mut world = World::new(Limits::default());
    let peer = world.open();
    peer.write(&text("parts"));
    world.run();
    let big = frame(0x82, &vec![1; 3_000_000]);
    peer.write(&big[..1_000_000]);
    world.run();
    peer.write(&big[1_000_000..]);
    world.run();
    let parts: Vec<_> = world.journal().iter().filter(|it| it.starts_with("part")).collect();
    assert!(parts.len() > 2 && parts.last().unwrap().ends_with("last true"), "{parts:?}");
}

#[test]
fn a_million_pings_from_a_peer_that_does_not_read_cost_one_pong_and_then_the_connection() {
    let mut world = World::new(Limits::default());
    world.net.sim().capacity = 1000;
    let peer = world.open();
    peer.write(&text("burst 5000"));
    world.run();
    let pings = frame(0x89, b"?").repeat(1000);
    for _ in 0..1000 {
        peer.write(&pings);
        world.run_some(1);
        if peer.is_dropped() || world.journal().iter().any(|it| it.starts_with("close")) {
            break;
        }
    }
    let told = world.journal().last().unwrap();
    assert!(told.contains("too many pings without reading"), "{told}");
}

#[test]
fn every_seed_of_a_faulty_world_delivers_the_same_bytes() {
    for seed in 0..60 {
        let mut world = World::with_seed(Limits::default(), seed);
        world.net.sim().odds = Odds::ROUGH;
        world.net.sim().capacity = 700;
        let peers: Vec<_> = (0..3).map(|_| world.net.connect(ADDRESS)).collect();
        let (mut to_send, mut frames) = (Vec::new(), Vec::new());
        let mut expected = Vec::new();
        for number in 0..3u32 {
            let mut bytes = REQUEST.to_vec();
            let mut answer = Vec::new();
            for n in 0..40 {
                let message = format!("echo {number} {n} {}", "x".repeat(n * 7 % 300));
                bytes.extend(text(&message));
                answer.extend(plain(0x81, message.as_bytes()));
                if n % 10 == 9 {
                    // Topics of its own: to whom it goes is known, when is not, but its place is.
                    let room = format!("room{number}");
                    bytes.extend(
                        [text(&format!("subscribe {room}")), text(&format!("publish {room}"))]
                            .concat(),
                    );
                    bytes.extend(text(&format!("unsubscribe {room}")));
                    answer.extend(plain(0x81, format!("publish {room}").as_bytes()));
                }
            }
            frames.push(bytes.len() - REQUEST.len());
            to_send.push(bytes);
            expected.push(answer);
        }
        let mut got = vec![Vec::new(); 3];
        for _ in 0..6_000 {
            for (number, peer) in peers.iter().enumerate() {
                // The frames wait for the 101, as they must.
                let open = !got[number].is_empty();
                let may_be_sent = if open {
                    to_send[number].len()
                } else {
                    to_send[number].len() - frames[number]
                };
                let count = world.net.sim().draw(200).min(may_be_sent);
                let piece: Vec<u8> = to_send[number].drain(..count).collect();
                if !piece.is_empty() {
                    peer.write(&piece);
                }
                let up_to = world.net.sim().draw(900);
                got[number].extend(peer.read_up_to(up_to));
            }
            world.run_some(1);
        }
        for number in 0..3 {
            let end =
                got[number].windows(4).position(|it| it == b"\r\n\r\n").expect("an answer") + 4;
            assert!(
                got[number][end..] == expected[number],
                "seed {seed}, connection {number}: {} of {} bytes, {:?}",
                got[number].len() - end,
                expected[number].len(),
                world.journal()
            );
        }
    }
}

#[test]
fn a_socket_that_takes_4_kib_at_a_time_gets_64_mib_in_time_that_grows_with_the_bytes_alone() {
    // Moving what is left at each write would copy half a terabyte here: this test would not end.
    let mut world = World::new(Limits::default());
    world.net.sim().capacity = 4096;
    let peer = world.open();
    peer.write(&text("burst 67108864"));
    world.run();
    let (mut got, writes) = (0, world.net.sim().writes);
    while got < 67_108_864 + 10 {
        let piece = peer.read();
        assert!(!piece.is_empty());
        got += piece.len();
        world.run_some(1);
    }
    assert!(world.net.sim().writes - writes <= 64 * 256 + 1);
}

//! What is compressed, how, and that everybody can read it: the other end of this library, flate2, and the decoder of
//! these tests.

use tautline::deflate::Level;
use tautline::frame::Role;
use tautline::handshake::{Accept, Agreed};
use tautline::{
    CloseCode, Compress, Deflate, Delivery, Event, Limits, Message, Outgoing, Part, SendError,
    Sender,
};

use super::blocks::noise;
use super::support::deflate::{TAIL, Way, agreed, agreed_as, both_ways, negotiate, read_back};
use super::support::drive::{Seen, connection_after, counted_keys, run};
use super::support::frames::{parse_all_where, unmasked_compressed};
use super::support::inflate::inflate_message;
use super::{ROLES, WAYS};

pub(crate) fn sender(role: Role, agreed: &Agreed) -> Sender {
    match role {
        Role::Client => Sender::client(agreed, counted_keys()),
        Role::Server => Sender::server(agreed),
    }
}

fn sends(role: Role, way: Way) -> Sender {
    sender(role, &agreed_as(role, way))
}

fn text(data: &str, last: bool) -> Part<'_> {
    Part { data: Message::Text(data), last }
}

/// The first bytes of the frames that a message is sent in.
fn firsts(role: Role, sender: &mut Sender, message: Outgoing<Message<'_>>) -> Vec<u8> {
    let mut out = Vec::new();
    sender.send(message, &mut out).unwrap();
    unmasked_compressed(&out, role).into_iter().map(|frame| frame.0).collect()
}

/// What was sent is what all peers read: with the events in it that are expected, and no others.
#[track_caller]
pub(crate) fn assert_read(out: &[u8], role: Role, agreed: &Agreed, expected: &[Seen]) {
    assert!(read_back(out, role, agreed) == expected, "what other peers read");
    let way = super::support::deflate::way_of(agreed, role);
    let peer = connection_after(
        &agreed_as(role.peer(), way),
        role.peer(),
        &Limits::default(),
        Delivery::Whole,
    );
    let outcome = run(peer, out.chunks(10_000));
    assert_eq!(outcome.violation, None);
    assert!(outcome.events == expected, "what this library reads");
}

#[test]
fn messages_are_compressed_from_the_threshold_on() {
    for role in ROLES {
        for way in WAYS {
            let mut sender = sends(role, way);
            for (length, first) in
                [(0, 0x81), (1, 0x81), (63, 0x81), (64, 0xC1), (65, 0xC1), (70_000, 0xC1)]
            {
                let text = "a".repeat(length);
                assert_eq!(
                    firsts(role, &mut sender, Message::Text(&text).into()),
                    [first],
                    "{length}"
                );
                let binary = Message::Binary(text.as_bytes());
                assert_eq!(firsts(role, &mut sender, binary.into()), [first + 1], "{length}");
            }
        }
    }
}

#[test]
fn the_threshold_is_the_applications() {
    for threshold in [0, 1, 10, 100, u16::MAX] {
        let mut deflate = both_ways((true, 15));
        deflate.compress_from_bytes = threshold;
        let agreed = negotiate(&[deflate], &Accept::new().deflate(deflate));
        for (role, agreed) in ROLES.into_iter().zip(&agreed) {
            let mut sender = sender(role, agreed);
            for length in [10, 99, 100, 65_534, 65_535, 65_536] {
                let text = "a".repeat(length);
                let first = if length >= threshold.into() { 0xC1 } else { 0x81 };
                assert_eq!(firsts(role, &mut sender, Message::Text(&text).into()), [first]);
            }
        }
    }
}

#[test]
fn the_application_may_ask_for_compression_or_against_it() {
    for role in ROLES {
        for way in WAYS {
            let (mut sender, short, long) = (sends(role, way), "a".repeat(20), "a".repeat(200));
            let rows = [
                (Message::Text(&short).into(), 0x81),
                (Message::Text(&short).compressed(), 0xC1),
                (Message::Text(&long).into(), 0xC1),
                (Message::Text(&long).compressed(), 0xC1),
                (Message::Text(&long).uncompressed(), 0x81),
                (Message::Binary(long.as_bytes()).uncompressed(), 0x82),
                (Message::Binary(short.as_bytes()).compressed(), 0xC2),
                (Message::Text("").compressed(), 0x81),
            ];
            for (message, first) in rows {
                assert_eq!(firsts(role, &mut sender, message), [first], "{message:?}");
            }
        }
    }
}

#[test]
fn nothing_is_compressed_where_that_was_not_agreed_on() {
    for role in ROLES {
        let mut sender = sender(role, &Agreed::default());
        let text = "a".repeat(1_000);
        for message in [Message::Text(&text).into(), Message::Text(&text).compressed()] {
            assert_eq!(firsts(role, &mut sender, message), [0x81]);
        }
        let mut out = Vec::new();
        sender.send_part(self::text(&text, true).compressed(), &mut out).unwrap();
        assert_eq!(unmasked_compressed(&out, role), [(0x81, text.into_bytes())]);
    }
}

/// A part is compressed whatever comes of it, so it tells how long a message would be.
//= https://www.rfc-editor.org/rfc/rfc7692#section-6.1
//# An endpoint MUST use the following algorithm to send a message in the
//# form of a compressed message.
//= https://www.rfc-editor.org/rfc/rfc7692#section-6.1
//# An endpoint MUST use the following algorithm to send a message in the
//# form of an uncompressed message.
#[test]
fn a_message_is_compressed_where_that_makes_it_shorter_and_sent_as_it_is_where_it_does_not() {
    let alphabet = noise(64);
    for role in ROLES {
        for kinds in [1, 2, 3, 5, 20, 64] {
            for length in (0..300).chain([500, 1_000, 16_384, 16_385, 40_000]) {
                let data: Vec<u8> = (0..length).map(|i| alphabet[i * i / 3 % kinds]).collect();
                let (mut out, mut parts) = (Vec::new(), Vec::new());
                let part = Part { data: Message::Binary(&data), last: true };
                sends(role, (false, 15)).send_part(part.compressed(), &mut parts).unwrap();
                let compressed = unmasked_compressed(&parts, role).remove(0);
                sends(role, (false, 15))
                    .send(Message::Binary(&data).compressed(), &mut out)
                    .unwrap();
                let sent = unmasked_compressed(&out, role).remove(0);
                if compressed.1.len() < data.len() {
                    assert_eq!(sent, compressed, "{length} bytes of {kinds} kinds");
                } else {
                    assert_eq!(sent, (0x82, data), "{length} bytes of {kinds} kinds");
                }
            }
        }
    }
}

/// Messages of every kind, in an order in which each has something in common with the ones before.
fn messages() -> Vec<(Vec<u8>, Compress)> {
    let line = |i: usize| format!("{{\"id\":{i},\"name\":\"row {}\"}}", i % 7).into_bytes();
    let lines = |from: usize, count: usize| (from..from + count).flat_map(line).collect::<Vec<_>>();
    let noise = noise(70_000);
    vec![
        (line(1), Compress::Always),
        (line(2), Compress::Always),
        (line(2), Compress::Never),
        (noise[..900].to_vec(), Compress::Always),
        (line(2), Compress::Always),
        (vec![], Compress::Always),
        (noise.clone(), Compress::IfWorthwhile),
        (lines(0, 100), Compress::IfWorthwhile),
        (lines(50, 100), Compress::IfWorthwhile),
        // Not shorter at once; then half of it is known already, if not too far back.
        (noise[..300].to_vec(), Compress::Always),
        (noise[..300].repeat(2), Compress::Always),
        (noise[100..300].to_vec(), Compress::Always),
        (vec![0; 200_000], Compress::IfWorthwhile),
        (lines(3, 5), Compress::IfWorthwhile),
        (lines(0, 4_000), Compress::IfWorthwhile),
        (lines(3_990, 20), Compress::IfWorthwhile),
    ]
}

//= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.1
//# An endpoint MUST NOT use an LZ77 sliding window longer than 32,768
//# bytes to compress messages to send.
//= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.1
//# the server MUST NOT use an
//# LZ77 sliding window longer than the w-th power of 2 bytes to compress
//# messages to send.
#[test]
fn everybody_reads_what_is_sent_at_every_level_and_with_every_window() {
    for level in [1, 2, 3, 6, 9] {
        for bits in [9, 10, 12, 14, 15] {
            for takeover in [false, true] {
                let mut deflate = both_ways((takeover, bits));
                deflate.level = Level::new(level).unwrap();
                let ends = negotiate(&[deflate], &Accept::new().deflate(deflate));
                let which = usize::from(level + bits) % 2;
                let (role, agreed) = (ROLES[which], &ends[which]);
                let (mut sender, mut out) = (sender(role, agreed), Vec::new());
                for (data, compress) in messages() {
                    let content = Message::Binary(&data);
                    sender.send(Outgoing { content, compress }, &mut out).unwrap();
                }
                let expected: Vec<_> = messages().iter().map(|it| Seen::binary(&it.0)).collect();
                assert_read(&out, role, agreed, &expected);
            }
        }
    }
}

/// More than a thread keeps compressors for, in turn, so that each finds its compressor sometimes and sometimes not.
#[test]
fn everybody_reads_what_a_hundred_connections_of_one_thread_send() {
    let mut ends: Vec<_> = (0..100)
        .map(|i| {
            let way = [(true, 15), (true, 9), (false, 15), (true, 12)][i % 4];
            let role = ROLES[i / 4 % 2];
            let agreed = agreed_as(role, way);
            (role, sender(role, &agreed), agreed, Vec::new(), Vec::new())
        })
        .collect();
    for round in 0..40usize {
        for (i, (_, sender, _, out, expected)) in ends.iter_mut().enumerate() {
            // Some are busier than others.
            if round % (1 + i % 5) != 0 {
                continue;
            }
            let text = format!(
                "connection {i} in round {round} has something to say that all others say as well"
            );
            let noise = noise(100 + i);
            match (i + round) % 6 {
                0 => {
                    // Given up on, since it does not get shorter.
                    sender.send(Message::Binary(&noise).compressed(), out).unwrap();
                    expected.push(Seen::binary(&noise));
                }
                1 => {
                    sender.send_part(self::text(&text, false).compressed(), out).unwrap();
                    sender.send_part(self::text(&text, true), out).unwrap();
                    expected.push(Seen::text(&text.repeat(2)));
                }
                2 => {
                    sender.send(Message::Text(&text).uncompressed(), out).unwrap();
                    expected.push(Seen::text(&text));
                }
                _ => {
                    sender.send(text.as_str(), out).unwrap();
                    expected.push(Seen::text(&text));
                }
            }
        }
    }
    for (role, _, agreed, out, expected) in &ends {
        assert_read(out, *role, agreed, expected);
    }
}

/// The compressor of a message that was given up is used for the next one. zlib-rs 0.6.8 goes on with an open block,
/// and with what it has kept back, where it is reset.
#[test]
fn everybody_reads_what_is_sent_after_a_message_that_did_not_get_shorter() {
    for (level, way) in [
        (1, (false, 9)),
        (1, (false, 15)),
        (1, (true, 9)),
        (1, (true, 15)),
        (4, (true, 12)),
        (9, (false, 15)),
    ] {
        let mut deflate = both_ways(way);
        deflate.level = Level::new(level).unwrap();
        let [_, agreed] = negotiate(&[deflate], &Accept::new().deflate(deflate));
        for given_up in [100, 4_137, 10_000, 64_009] {
            for next in [100, 5_000, 70_000] {
                let agreed = agreed.clone();
                // On a thread that has no other compressor.
                let check = move || {
                    let text: Vec<u8> = (0..next).map(|i| (i / 5 % 251) as u8).collect();
                    for messages in [[noise(given_up), text], [noise(given_up), noise(next)]] {
                        let (mut sender, mut out) = (Sender::server(&agreed), Vec::new());
                        for message in messages.iter().chain(&messages) {
                            sender.send(Message::Binary(message).compressed(), &mut out).unwrap();
                        }
                        let expected: Vec<_> = messages.iter().map(|it| Seen::binary(it)).collect();
                        assert_read(
                            &out,
                            Role::Server,
                            &agreed,
                            &[&expected[..], &expected].concat(),
                        );
                    }
                };
                std::thread::spawn(check).join().unwrap();
            }
        }
    }
}

#[test]
fn everybody_reads_what_a_sender_sends_that_goes_from_thread_to_thread() {
    let agreed = agreed_as(Role::Client, (true, 15));
    let (mut sender, mut out, mut expected) =
        (sender(Role::Client, &agreed), Vec::new(), Vec::new());
    for round in 0..20 {
        let text = format!("round {round}: the same text as in any other round, or nearly so");
        expected.push(Seen::text(&text));
        let send = move || {
            sender.send(Message::Text(&text).compressed(), &mut out).unwrap();
            (sender, out)
        };
        // Every third round on the first thread again.
        (sender, out) =
            if round % 3 == 0 { send() } else { std::thread::spawn(send).join().unwrap() };
    }
    assert_read(&out, Role::Client, &agreed, &expected);
}

/// A connection that takes over goes on with its compressor, and with what it has kept where another one has that
/// compressor: what it sends gets shorter in both cases.
#[test]
fn under_context_takeover_a_message_refers_to_the_ones_before_whoever_has_sent_in_between() {
    let text = "{\"one\":1,\"two\":2,\"one and one\":2,\"one and two\":3,\"two and two\":4}";
    let agreed = agreed_as(Role::Server, (true, 15));
    for others in [0, 1, 31, 32, 33, 100] {
        let (mut sender, mut out) = (Sender::server(&agreed), Vec::new());
        for _ in 0..3 {
            sender.send(Message::Text(text).compressed(), &mut out).unwrap();
            for _ in 0..others {
                Sender::server(&agreed)
                    .send(Message::Text(&text.repeat(2)).compressed(), &mut Vec::new())
                    .unwrap();
            }
        }
        let lengths: Vec<_> =
            unmasked_compressed(&out, Role::Server).iter().map(|it| it.1.len()).collect();
        assert!(lengths[1] < 10 && lengths[2] < 10, "{lengths:?} with {others} others");
        assert_read(&out, Role::Server, &agreed, &vec![Seen::text(text); 3]);
    }
}

//= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.1
//# the client MUST start compressing each new
//# message with an empty LZ77 sliding window.
//= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.1
//# the server MUST start compressing each new
//# message with an empty LZ77 sliding window.
#[test]
fn without_context_takeover_a_message_is_the_same_each_time() {
    for role in ROLES {
        for bits in [9, 15] {
            let agreed = agreed_as(role, (false, bits));
            let (mut sender, mut out) = (sender(role, &agreed), Vec::new());
            let text = "the same each time, ".repeat(10);
            for _ in 0..5 {
                sender.send(text.as_str(), &mut out).unwrap();
                sender.send(Message::Binary(&noise(2_000)).compressed(), &mut out).unwrap();
            }
            let payloads = unmasked_compressed(&out, role);
            assert!(payloads.iter().step_by(2).all(|it| *it == payloads[0]));
            assert_eq!(payloads[0].0, 0xC1);
        }
    }
}

//= https://www.rfc-editor.org/rfc/rfc7692#section-6.1
//# build frame(s) using the compressed data instead of
//# the original data for the message payload, set the "Per-
//# Message Compressed" bit of the first frame,
//= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.1
//# Note that
//# for non-final fragments, the removal of 0x00 0x00 0xff 0xff MUST NOT
//# be done.
#[test]
fn the_parts_of_a_message_are_one_stream_and_only_the_first_frame_has_rsv1() {
    for role in ROLES {
        for way in WAYS {
            let agreed = agreed_as(role, way);
            let (mut sender, mut out) = (sender(role, &agreed), Vec::new());
            let line = "a line that is in each of the parts; ";
            sender.send_part(text(line, false).compressed(), &mut out).unwrap();
            sender.ping(b"?", &mut out).unwrap();
            sender.send_part(text(line, false), &mut out).unwrap();
            // The first part decides, and a pong that is owed goes in between.
            sender.answer(&Event::Ping(b"!"));
            sender.send_part(text(line, false).uncompressed(), &mut out).unwrap();
            sender.send_part(text("", false), &mut out).unwrap();
            sender.pong(b"unasked", &mut out).unwrap();
            sender.send_part(text(line, true), &mut out).unwrap();
            sender.send(Message::Text(line).compressed(), &mut out).unwrap();

            let frames = unmasked_compressed(&out, role);
            let firsts: Vec<_> = frames.iter().map(|it| it.0).collect();
            assert_eq!(firsts[..9], [0x41, 0x89, 0x00, 0x8A, 0x00, 0x00, 0x8A, 0x80, firsts[8]]);
            let part = |at: usize| &frames[at].1;
            // Each ends at a byte boundary with what is cut off from the last one only, and refers to the ones before.
            assert!([0, 2, 4, 5].into_iter().all(|at| part(at).ends_with(&TAIL)));
            assert!(!part(7).ends_with(&TAIL));
            assert!(part(2).len() < 20 && part(7).len() < 20);

            let [ping, pongs] = [Seen::Ping(b"?".to_vec()), Seen::Pong(b"!".to_vec())];
            let unasked = Seen::Pong(b"unasked".to_vec());
            let expected = [ping, pongs, unasked, Seen::text(&line.repeat(4)), Seen::text(line)];
            assert_read(&out, role, &agreed, &expected);
        }
    }
}

#[test]
fn the_first_part_decides_whether_all_are_compressed() {
    let (short, long) = ("a".repeat(63), "a".repeat(64));
    for role in ROLES {
        for (first, second, is_compressed) in [
            (text(&short, false).into(), text(&long, true).compressed(), false),
            (text(&short, false).compressed(), text(&long, true).uncompressed(), true),
            (text(&long, false).into(), text(&short, true).uncompressed(), true),
            (text(&long, false).uncompressed(), text(&long, true).into(), false),
            (text("", false).into(), text(&long, true).into(), false),
            (text("", false).compressed(), text(&long, true).into(), true),
        ] {
            let agreed = agreed_as(role, (true, 15));
            let (mut sender, mut out) = (sender(role, &agreed), Vec::new());
            sender.send_part(first, &mut out).unwrap();
            sender.send_part(second, &mut out).unwrap();
            let frames = unmasked_compressed(&out, role);
            let rsv1 = if is_compressed { 0x40 } else { 0 };
            assert_eq!([frames[0].0, frames[1].0], [0x01 | rsv1, 0x80]);
            let plain = frames[1].1 == long.as_bytes() || frames[1].1 == short.as_bytes();
            assert_eq!(plain, !is_compressed);
        }
    }
}

#[test]
fn parts_of_any_length_are_read_by_everybody() {
    for (i, way) in WAYS.into_iter().enumerate() {
        let role = ROLES[i % 2];
        let agreed = agreed_as(role, way);
        let (mut sender, mut out, mut expected) = (sender(role, &agreed), Vec::new(), Vec::new());
        let data = [noise(50_000), vec![b'z'; 50_000], noise(50_000)].concat();
        for length in [1, 100, 1_000, 16_383, 16_384, 16_385, 65_535, 65_536, 150_000] {
            let parts = data.chunks(length).take(300);
            let count = parts.len();
            for (i, part) in parts.clone().enumerate() {
                let part = Part { data: Message::Binary(part), last: i + 1 == count };
                sender.send_part(part.compressed(), &mut out).unwrap();
            }
            expected.push(Seen::binary(&parts.collect::<Vec<_>>().concat()));
        }
        assert_read(&out, role, &agreed, &expected);
    }
}

#[test]
fn what_may_not_be_sent_writes_nothing_and_leaves_the_stream_as_it_was() {
    let line = "a line that compresses well, a line that compresses well";
    for role in ROLES {
        let agreed = agreed_as(role, (true, 15));
        let (mut sender, mut out) = (sender(role, &agreed), Vec::new());
        let unfinished = Err(SendError::PartsUnfinished);
        sender.send_part(text(line, false).compressed(), &mut out).unwrap();
        let before = out.len();
        assert_eq!(sender.send(Message::Text(line).compressed(), &mut out), unfinished);
        let other = Part { data: Message::Binary(b"another kind"), last: true };
        assert_eq!(sender.send_part(other.compressed(), &mut out), unfinished);
        assert_eq!(out.len(), before);
        sender.send_part(text(line, true), &mut out).unwrap();
        sender.send(line, &mut out).unwrap();
        sender.close(CloseCode::NORMAL, "", &mut out).unwrap();
        let before = out.len();
        assert_eq!(sender.send(Message::Text(line).compressed(), &mut out), Err(SendError::Closed));
        assert_eq!(
            sender.send_part(text(line, true).compressed(), &mut out),
            Err(SendError::Closed)
        );
        assert_eq!(out.len(), before);
        let seen = read_back(&out, role, &agreed);
        assert_eq!(seen[..2], [Seen::text(&line.repeat(2)), Seen::text(line)]);
    }
}

#[test]
fn each_compressed_frame_of_a_client_has_a_mask_of_its_own() {
    let agreed = agreed_as(Role::Client, (false, 15));
    let (mut sender, mut out) = (sender(Role::Client, &agreed), Vec::new());
    let text = "the same each time, ".repeat(10);
    for _ in 0..100 {
        sender.send(text.as_str(), &mut out).unwrap();
    }
    let rsv1 = tautline::frame::Rsv1::Compressed;
    let frames = parse_all_where(rsv1, &out, Role::Client);
    let mut keys: Vec<_> = frames.iter().map(|frame| frame.1.unwrap()).collect();
    keys.dedup();
    assert_eq!(keys.len(), 100);
    let inflated = inflate_message(&frames[99].2, &[]).unwrap();
    assert_eq!(inflated.text, text.as_bytes());
}

/// What one direction has agreed on is nothing to the other.
#[test]
fn each_direction_has_a_stream_of_its_own() {
    let ends = agreed([(true, 9), (false, 15)]);
    let text = "client and server say the same, and each as often as the other";
    for (role, agreed) in ROLES.into_iter().zip(&ends) {
        let (mut sender, mut out) = (sender(role, agreed), Vec::new());
        for _ in 0..3 {
            let part = self::text(text, true);
            sender.send_part(part.compressed(), &mut out).unwrap();
        }
        let lengths: Vec<_> = unmasked_compressed(&out, role).iter().map(|it| it.1.len()).collect();
        assert_eq!(lengths[1] < lengths[0], role == Role::Client, "{lengths:?}");
        assert_eq!(read_back(&out, role, agreed), vec![Seen::text(text); 3]);
    }
}

#[test]
fn the_default_takes_nothing_over() {
    let deflate = Deflate::default();
    assert_eq!(
        [deflate.sending, deflate.receiving]
            .map(|it| (it.context_takeover, it.max_window_bits.get())),
        [(false, 15); 2]
    );
    let [client, server] = negotiate(&[deflate], &Accept::new().deflate(deflate));
    for (role, agreed) in [(Role::Client, client), (Role::Server, server)] {
        assert_eq!(super::support::deflate::way_of(&agreed, role), (false, 15));
    }
}

/// Context takeover is for many small messages that look alike, none of which gets shorter by itself.
#[test]
fn small_messages_that_look_alike_get_shorter_under_context_takeover() {
    for role in ROLES {
        let (mut sender, mut out, mut length) = (sends(role, (true, 15)), Vec::new(), 0);
        // Something else comes first, and must not be all that they can refer to.
        sender.send(Message::Text(&"hello ".repeat(20)), &mut out).unwrap();
        out.clear();
        for i in 0..20 {
            let text = format!(
                "{{\"id\":{},\"user\":\"alice\",\"action\":\"move\",\"x\":{}.5,\"y\":33.1,\"ts\":169999{:04}}}",
                12_345 + i,
                100 + i,
                7 * i
            );
            sender.send(Message::Text(&text), &mut out).unwrap();
            length += text.len();
        }
        assert!(out.len() < length / 2, "{} bytes for {length} bytes of text", out.len());
    }
}

#[test]
fn messages_that_never_get_shorter_are_nearly_all_sent_as_they_are() {
    let mut sender = sends(Role::Server, (true, 15));
    let (mut compressed, mut out) = (0, Vec::new());
    for noise in super::blocks::noise(1_000_000).chunks(1_000) {
        out.clear();
        sender.send(noise, &mut out).unwrap();
        compressed += usize::from(out[0] == 0xC2);
        assert!(out.len() <= 1_000 + 1_000 / 8 + 64 + 4);
    }
    assert!((1..30).contains(&compressed), "{compressed} of 1,000");
}

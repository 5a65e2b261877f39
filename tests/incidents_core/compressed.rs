//! The rows of permessage-deflate. What else there is to say of each is in `tests/deflate`.

use tautline::frame::Role;
use tautline::handshake::{Accept, AnswerError};
use tautline::{Delivery, Limits, Message, Violation};

use super::support::deflate::{
    Deflater, agreed_as, answer, both_ways, compressed, judge, read_back,
};
use super::support::drive::{Seen, connection_after, counted_keys, pieces, run};
use super::support::frames::{close_body, frame, unmasked_compressed};
use super::{ROLES, measured};

const TAKEOVER: (bool, u8) = (true, 15);

fn fresh(role: Role) -> tautline::Connection {
    connection_after(&agreed_as(role, TAKEOVER), role, &Limits::default(), Delivery::Whole)
}

/// A payload in fragments of this length.
fn fragments(sender: Role, payload: &[u8], length: usize) -> Vec<u8> {
    let count = payload.len().div_ceil(length);
    let frames = payload.chunks(length).enumerate().map(|(i, fragment)| {
        let fin = if i + 1 == count { 0x80 } else { 0 };
        frame(sender, fin | if i == 0 { 0x42 } else { 0 }, fragment)
    });
    frames.collect::<Vec<_>>().concat()
}

// CVE-2018-1000518, CVE-2026-39804, CVE-2026-1526
#[test]
fn sixty_four_kib_that_inflate_to_64_mib_whole_and_spread_over_fragments() {
    let bomb = Deflater::new(9, (false, 15)).message(&vec![0; 64 << 20]);
    assert!(bomb.len() < 66_000, "{} bytes", bomb.len());
    for role in ROLES {
        let whole = frame(role.peer(), 0xC2, &bomb);
        for mut bytes in
            [whole, fragments(role.peer(), &bomb, 1_000), fragments(role.peer(), &bomb, 1)]
        {
            let mut ws = fresh(role);
            let (events, info) = measured(&mut ws, &mut bytes);
            assert_eq!(events, Err(Violation::MessageTooBig));
            // A buffer that doubles, the place that it moves from, and a decompressor.
            assert!(info.bytes_max <= (3 << 20) + 256 * 1024, "{info:?} for a limit of 1 MiB");
            let mut out = Vec::new();
            ws.flush(&mut out);
            let body = close_body(1009, Violation::MessageTooBig.reason());
            assert_eq!(unmasked_compressed(&out, role), [(0x88, body)]);
        }
    }
}

// undici CVE-2026-2229, zlib#171
#[test]
fn window_bits_of_0_7_8_16_255_and_010_in_an_offer_and_in_an_answer() {
    let accept = Accept::new().deflate(both_ways(TAKEOVER));
    let plain = vec!["permessage-deflate".to_owned()];
    for bits in ["0", "7", "8", "16", "255", "010", "08", "256", "\"16\""] {
        for name in ["server_max_window_bits", "client_max_window_bits"] {
            let line = format!("permessage-deflate; {name}={bits}");
            // The client may limit itself to 8, and be limited to it: it then sends nothing compressed.
            if bits == "8" && name == "client_max_window_bits" {
                let (lines, agreed) = answer(&[&line], &accept).unwrap();
                assert_eq!(lines, std::slice::from_ref(&line));
                assert!(agreed.deflate().is_some());
            } else {
                let (lines, agreed) = answer(&[&line], &accept).unwrap();
                assert_eq!((lines, agreed.deflate()), (vec![], None), "{line}");
                let next = answer(&[&line, "permessage-deflate"], &accept).unwrap();
                assert_eq!(next.0, plain, "{line}");
            }
            let judged = judge(&[both_ways(TAKEOVER)], &[&line]);
            if bits == "8" {
                let agreed = judged.unwrap();
                let mut sender = tautline::Sender::client(&agreed, counted_keys());
                let (text, mut out) = ("a".repeat(1_000), Vec::new());
                sender.send(Message::Text(&text).compressed(), &mut out).unwrap();
                let limited = name == "client_max_window_bits";
                assert_eq!(read_back(&out, Role::Client, &agreed), [Seen::text(&text)]);
                assert_eq!(unmasked_compressed(&out, Role::Client)[0].0 == 0x81, limited);
            } else {
                assert_eq!(judged, Err(AnswerError::ExtensionParameters), "{line}");
            }
        }
    }
}

// CivetWeb CVE-2026-29035
#[test]
fn compressed_frames_of_every_length_around_the_end_of_a_buffer() {
    for role in ROLES {
        for around in [125, 4096, 0x1_0000] {
            for length in around - 20..=around + 20 {
                let mut payload = vec![0x00, (length >> 8) as u8, length as u8];
                payload.resize(length, 7);
                let mut bytes = frame(role.peer(), 0xC2, &payload);
                bytes.truncate(around);
                // What stands behind the run is not the receiver's to write to.
                let end = bytes.len();
                bytes.extend([0xEE; 64]);
                let (events, _) = measured(&mut fresh(role), &mut bytes[..end]);
                assert_eq!(events, Err(Violation::NotInflatable), "{length} bytes");
                assert_eq!(bytes[end..], [0xEE; 64]);
            }
        }
    }
}

// sockudo-ws #14, ws#983
#[test]
fn plain_and_incompressible_messages_between_compressed_ones_with_context_takeover() {
    let text = "{\"one\":1,\"two\":2,\"one and one\":2,\"one and two\":3,\"two and two\":4}";
    let noise: Vec<u8> = (0..300u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for role in ROLES {
        // As they are sent, by either end.
        let agreed = agreed_as(role, TAKEOVER);
        let mut sender = match role {
            Role::Client => tautline::Sender::client(&agreed, counted_keys()),
            Role::Server => tautline::Sender::server(&agreed),
        };
        let mut out = Vec::new();
        for _ in 0..3 {
            sender.send(Message::Text(text).compressed(), &mut out).unwrap();
            sender.send(Message::Text(text).uncompressed(), &mut out).unwrap();
            sender.send(Message::Binary(&noise).compressed(), &mut out).unwrap();
        }
        let expected = [Seen::text(text), Seen::text(text), Seen::binary(&noise)];
        let expected = [&expected[..]; 3].concat();
        assert_eq!(read_back(&out, role, &agreed), expected);
        assert_eq!(run(fresh(role.peer()), [&out[..]]).events, expected);

        // And as another engine sends them, which has incompressible ones in its window.
        let mut deflater = Deflater::new(6, TAKEOVER);
        let mut bytes = Vec::new();
        for _ in 0..3 {
            bytes.extend(frame(role.peer(), 0xC1, &deflater.message(text.as_bytes())));
            bytes.extend(frame(role.peer(), 0x81, text.as_bytes()));
            bytes.extend(frame(role.peer(), 0xC2, &deflater.message(&noise)));
        }
        let outcome = run(fresh(role), [&bytes[..]]);
        assert_eq!((outcome.events, outcome.violation), (expected, None));
    }
}

// uWebSockets (seen by probe)
#[test]
fn compressed_frames_of_each_length_form_cut_at_every_byte() {
    let noise: Vec<u8> = (0..70_000u32).map(|i| (i.wrapping_mul(i) >> 7) as u8).collect();
    for role in ROLES {
        for text in [&b"Hello"[..], &noise[..200], &noise] {
            let payload = Deflater::new(6, (false, 15)).message(text);
            let next = frame(role.peer(), 0xC1, &compressed(b"next"));
            let bytes = [frame(role.peer(), 0xC2, &payload), next].concat();
            let expected = [Seen::binary(text), Seen::text("next")];
            let near_an_end =
                |cut: &usize| *cut < 300 || *cut + 30 > bytes.len() || cut.is_multiple_of(4_099);
            for cut in (0..=bytes.len()).filter(near_an_end) {
                let outcome = run(fresh(role), pieces(&bytes, [cut]));
                assert!(outcome.events == expected, "cut at {cut}");
                assert_eq!(outcome.violation, None, "cut at {cut}");
            }
        }
    }
}

// python websockets (seen by probe)
#[test]
fn a_final_block_and_then_a_further_compressed_message() {
    for role in ROLES {
        for way in [TAKEOVER, (false, 15)] {
            let mut deflater = Deflater::new(6, way);
            let payloads = [
                deflater.final_message(b"the first one, with a final block"),
                deflater.message(b"the second one, without"),
                deflater.final_message(b"the third one, with a final block"),
                deflater.message(b"the fourth one, without"),
            ];
            let frames = payloads.iter().map(|it| frame(role.peer(), 0xC2, it));
            let bytes = frames.collect::<Vec<_>>().concat();
            let agreed = agreed_as(role, way);
            for runs in [vec![&bytes[..]], bytes.chunks(1).collect(), bytes.chunks(10).collect()] {
                let ws = connection_after(&agreed, role, &Limits::default(), Delivery::Whole);
                let outcome = run(ws, runs);
                assert_eq!((outcome.events.len(), outcome.violation), (4, None));
                assert_eq!(outcome.events[3], Seen::binary(b"the fourth one, without"));
            }
        }
    }
}

// all (seen by probe)
#[test]
fn a_deflate_stream_that_ends_inside_a_block() {
    let text = "a stream that ends inside a block, a stream that ends inside a block".as_bytes();
    for role in ROLES {
        for level in [0, 1, 9] {
            let payload = Deflater::new(level, (false, 15)).message(text);
            for cut in 0..payload.len() {
                if payload[..cut] == [0x00] {
                    continue; // an empty block, and nothing is left open
                }
                let bytes = frame(role.peer(), 0xC2, &payload[..cut]);
                for runs in [vec![&bytes[..]], bytes.chunks(1).collect()] {
                    let outcome = run(fresh(role), runs);
                    assert_eq!(outcome.events, [], "{cut} bytes of {}", payload.len());
                    assert_eq!(outcome.violation, Some(Violation::NotInflatable));
                    let body = close_body(1007, Violation::NotInflatable.reason());
                    assert_eq!(unmasked_compressed(&outcome.out, role), [(0x88, body)]);
                }
            }
        }
    }
}

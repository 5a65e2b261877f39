//! What comes of compressed messages that are wrong, cut short, changed, or no text.

use tautline::frame::Role;
use tautline::handshake::Agreed;
use tautline::{Delivery, Limits, OwnedMessage, Violation};

use super::blocks::{Piece, fixed, noise, stored};
use super::support::deflate::{Deflater, TAIL, agreed_as, compressed};
use super::support::drive::{
    Outcome, Seen, assert_cuts_do_not_matter_after, connection_after, gathered, receive, run,
};
use super::support::frames::{begun, close_body, frame, unmasked_compressed};
use super::support::inflate::{inflate, inflate_message};
use super::{ROLES, WAYS};

/// What comes of these bytes in whole messages.
fn outcome(role: Role, agreed: &Agreed, bytes: &[u8]) -> Outcome {
    let cuts = [bytes.len() / 3, bytes.len() / 2];
    let limits = Limits::default();
    assert_cuts_do_not_matter_after(agreed, role, &limits, Delivery::Whole, bytes, cuts)
}

/// These bytes are refused so after these events, and the peer is told.
#[track_caller]
fn assert_refused(role: Role, agreed: &Agreed, bytes: &[u8], seen: &[Seen], violation: Violation) {
    let Outcome { events, out, violation: found } = outcome(role, agreed, bytes);
    assert_eq!(found, Some(violation), "{bytes:02x?}");
    assert_eq!(events, seen, "{bytes:02x?}");
    let body = close_body(violation.close_code().get(), violation.reason());
    assert_eq!(unmasked_compressed(&out, role).last(), Some(&(0x88, body)));
}

/// Payloads of every kind, as a peer may send them.
fn payloads() -> Vec<Vec<u8>> {
    let text =
        "{\"a\":1,\"b\":[1,2,3],\"c\":\"text text text\"} and é€😀, é€😀".repeat(3).into_bytes();
    let mut deflater = Deflater::new(9, (true, 15));
    vec![
        compressed(b"Hello"),
        // With codes of their own, at the fastest level and at the slowest.
        deflater.message(&text),
        Deflater::new(1, (true, 15)).message(&text.repeat(9)),
        [deflater.part(&text), deflater.part(b""), deflater.message(b"and more")].concat(),
        stored(b"Hello"),
        [stored(&noise(20)), TAIL.to_vec(), compressed(b"behind")].concat(),
        deflater.final_message(&text),
        [fixed(&[Piece::Text(b"He")], true), fixed(&[Piece::Text(b"llo")], true), vec![0]].concat(),
        fixed(&[Piece::Text(b"abc"), Piece::Copy { length: 258, distance: 3 }], false),
        vec![0x00],
    ]
}

/// What the decoder of these tests makes of a payload, as the outcome of a binary message.
fn expected(payload: &[u8]) -> (Vec<Seen>, Option<Violation>) {
    match inflate_message(payload, &[]) {
        Ok(inflated) => (vec![Seen::binary(&inflated.text)], None),
        Err(_) => (vec![], Some(Violation::NotInflatable)),
    }
}

//= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.2
//# Append 4 octets of 0x00 0x00 0xff 0xff to the tail end of the
//# payload of the message.
#[test]
fn a_stream_that_is_cut_short_at_any_byte_is_refused_unless_it_stands_between_two_blocks() {
    for role in ROLES {
        for way in WAYS {
            let agreed = agreed_as(role, way);
            for payload in payloads() {
                for cut in 0..=payload.len() {
                    let payload = &payload[..cut];
                    let outcome = outcome(role, &agreed, &frame(role.peer(), 0xC2, payload));
                    assert_eq!(
                        (outcome.events, outcome.violation),
                        expected(payload),
                        "{payload:02x?}"
                    );
                }
            }
        }
    }
}

/// The rows of which nobody has to ask a decoder.
#[test]
fn a_stream_that_ends_inside_a_block_is_refused_and_told_1007() {
    let hello = compressed(b"Hello");
    let text = "some text, and then some more of that text ".repeat(20);
    let dynamic = Deflater::new(9, (false, 15)).message(text.as_bytes());
    let rows: [(&str, &[u8]); 13] = [
        ("nothing at all", b""),
        ("a header that whatever comes may go on with", b"\x04\x00\x00\x00"),
        ("half of a fixed block", &hello[..3]),
        ("all but the last byte of one", &hello[..6]),
        ("half of a header with codes", &dynamic[..10]),
        ("half of a block with codes", &dynamic[..dynamic.len() / 2]),
        ("all but the last byte of one", &dynamic[..dynamic.len() - 1]),
        ("half of the lengths of a stored block", b"\x00\x05\x00"),
        ("half of a stored block", b"\x00\x05\x00\xfa\xffHel"),
        ("all of a stored block, and no empty one behind it", b"\x00\x05\x00\xfa\xffHello"),
        // The octets that were cut off would become its text.
        ("a stored block that lacks four bytes", b"\x00\x05\x00\xfa\xffH"),
        ("a stored block that has none of its four bytes", b"\x00\x04\x00\xfb\xff"),
        ("what should have been cut off", &[&hello[..], &TAIL].concat()),
    ];
    for role in ROLES {
        for way in WAYS {
            let agreed = agreed_as(role, way);
            let before = frame(role.peer(), 0xC1, &hello);
            for (name, payload) in rows {
                println!("{name}");
                let bytes = [before.clone(), frame(role.peer(), 0xC1, payload)].concat();
                let seen = [Seen::text("Hello")];
                assert_refused(role, &agreed, &bytes, &seen, Violation::NotInflatable);
                // In three fragments, the last of which is empty.
                let (start, end) = payload.split_at(payload.len() / 2);
                let [a, b, c] = [(0x41, start), (0x00, end), (0x80, &b""[..])]
                    .map(|it| frame(role.peer(), it.0, it.1));
                let bytes = [&before[..], &a, &b, &c].concat();
                assert_refused(role, &agreed, &bytes, &seen, Violation::NotInflatable);
            }
        }
    }
}

#[test]
fn a_payload_with_any_bit_changed_is_judged_as_a_decoder_does_that_goes_bit_by_bit() {
    let agreed = ROLES.map(|role| (role, agreed_as(role, (true, 15))));
    for payload in payloads() {
        for bit in 0..8 * payload.len() {
            let mut payload = payload.clone();
            payload[bit / 8] ^= 1 << (bit % 8);
            let (role, agreed) = &agreed[bit % 2];
            let outcome = outcome(*role, agreed, &frame(role.peer(), 0xC2, &payload));
            let (events, violation) = expected(&payload);
            assert_eq!(outcome.violation, violation, "{payload:02x?}");
            assert!(outcome.events == events, "{payload:02x?}");
            // As text it is the same text, or none.
            let outcome = run(
                connection_after(agreed, *role, &Limits::default(), Delivery::Whole),
                [&frame(role.peer(), 0xC1, &payload)[..]],
            );
            let text = inflate_message(&payload, &[]).map(|it| String::from_utf8(it.text));
            match text {
                Ok(Ok(text)) => assert_eq!(outcome.events, [Seen::text(&text)]),
                _ => assert_eq!(outcome.events, [], "{payload:02x?}"),
            }
        }
    }
}

#[test]
fn what_is_no_deflate_stream_is_refused() {
    let rows: [(&str, &[u8]); 9] = [
        ("a block of the type that is reserved", b"\x06"),
        ("the same behind a good block", b"\x00\x00\x00\xff\xff\x06"),
        ("lengths of a stored block that do not agree", b"\x00\x05\x00\xfa\xfeHello\x00"),
        ("a length symbol that is none", b"\x1b\x03"),
        ("a distance symbol that is none", b"\x4b\x04\x3e"),
        ("too many codes", b"\xfc\x00\x00"),
        ("plain text", b"plain text"),
        ("a zlib header", b"\x78\x9c\xf2\x48\xcd\xc9\xc9\x07\x00"),
        ("a gzip header", b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"),
    ];
    for role in ROLES {
        for (name, payload) in rows {
            println!("{name}");
            assert!(inflate_message(payload, &[]).is_err());
            let bytes = frame(role.peer(), 0xC2, payload);
            assert_refused(
                role,
                &agreed_as(role, (true, 15)),
                &bytes,
                &[],
                Violation::NotInflatable,
            );
        }
    }
}

//= https://www.rfc-editor.org/rfc/rfc7692#section-6.1
//# An endpoint MUST NOT set the "Per-Message Compressed" bit of control
//# frames and non-first fragments of a data message.  An endpoint
//# receiving such a frame MUST _Fail the WebSocket Connection_.
#[test]
fn rsv1_is_refused_on_control_frames_and_continuations() {
    let payload = compressed(b"Hello");
    for role in ROLES {
        let sender = role.peer();
        for way in WAYS {
            let agreed = agreed_as(role, way);
            for first in [0xC8, 0xC9, 0xCA, 0xC0, 0x40, 0x48, 0x49] {
                for before in
                    [vec![], frame(sender, 0x41, &payload[..3]), frame(sender, 0x01, b"plain")]
                {
                    let bytes = [before, frame(sender, first, &payload[3..])].concat();
                    assert_refused(role, &agreed, &bytes, &[], Violation::ReservedBits);
                }
            }
        }
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.2
//# MUST be 0 unless an extension is negotiated that defines meanings
//# for non-zero values.
#[test]
fn reserved_bits_that_mean_nothing_are_refused() {
    let payload = compressed(b"Hello");
    for role in ROLES {
        let opcodes = [0x0, 0x1, 0x2, 0x8, 0x9, 0xA];
        for first in opcodes.into_iter().flat_map(|it| (1..8).map(move |rsv| it | 0x80 | rsv << 4))
        {
            let bytes = frame(role.peer(), first, &payload);
            assert_refused(role, &Agreed::default(), &bytes, &[], Violation::ReservedBits);
            let is_compressed = matches!(first, 0xC1 | 0xC2);
            for way in WAYS {
                let agreed = agreed_as(role, way);
                if is_compressed {
                    assert_eq!(outcome(role, &agreed, &bytes).events.len(), 1);
                } else {
                    assert_refused(role, &agreed, &bytes, &[], Violation::ReservedBits);
                }
            }
        }
    }
}

/// Texts that are no UTF-8, each with what may stand before and after the place where that shows.
fn bad_texts() -> Vec<Vec<u8>> {
    let bad: [&[u8]; 10] = [
        b"\xff",
        b"\x80",
        b"\xc0\xaf",
        b"\xc3(",
        b"\xe2\x82(",
        b"\xed\xa0\x80",
        b"\xf0\x9f\x98(",
        b"\xf4\x90\x80\x80",
        b"\xe0\x80\xaf",
        b"\xf8\x88\x80\x80\x80",
    ];
    let before = ["", "a", "é€😀", &"text with é, text with €, ".repeat(30)];
    let after = ["", "a", &"and what comes after it ".repeat(30)];
    let mut texts = Vec::new();
    for bad in bad {
        for before in before {
            for after in after {
                texts.push([before.as_bytes(), bad, after.as_bytes()].concat());
            }
        }
    }
    texts
}

/// As soon as the compressed bytes are there that show it, and not before: the message is announced longer than it is,
/// and comes byte by byte.
#[test]
fn text_that_is_no_utf8_is_refused_at_its_first_byte_that_shows_it() {
    for (i, text) in bad_texts().into_iter().enumerate() {
        let level = 1 + i as u32 % 9;
        let payload = Deflater::new(level, (false, 15)).part(&text);
        let shows = |bytes: &[u8]| {
            let text = inflate(bytes, &[]).0.text;
            str::from_utf8(&text).is_err_and(|error| error.error_len().is_some())
        };
        let needed = (1..=payload.len()).find(|&cut| shows(&payload[..cut])).unwrap();
        let (role, way) = (ROLES[i % 2], WAYS[i % 4]);
        for (first, announced) in [(0xC1, 1_000_000), (0x41, payload.len() as u64)] {
            let bytes = begun(role.peer(), first, announced, &payload[..needed]);
            for delivery in [Delivery::Whole, Delivery::Parts] {
                let mut ws =
                    connection_after(&agreed_as(role, way), role, &Limits::default(), delivery);
                let mut outcome = Outcome::default();
                let (last, before) = bytes.split_last().unwrap();
                before.chunks(1).for_each(|byte| receive(&mut ws, byte, &mut outcome));
                assert_eq!(outcome.violation, None, "not before byte {needed} of {payload:02x?}");
                receive(&mut ws, &[*last], &mut outcome);
                assert_eq!(outcome.violation, Some(Violation::InvalidUtf8), "{payload:02x?}");
                assert!(!outcome.events.iter().any(|it| matches!(it, Seen::Message(_))));
            }
            assert_refused(role, &agreed_as(role, way), &bytes, &[], Violation::InvalidUtf8);
        }
    }
}

#[test]
fn text_that_ends_inside_a_character_is_refused_at_its_end() {
    for role in ROLES {
        for text in ["é", "€", "😀", "before it é", "€€€😀"] {
            let bytes = text.as_bytes();
            let cut = bytes.len() - 1;
            let agreed = agreed_as(role, (true, 15));
            let refused = frame(role.peer(), 0xC1, &compressed(&bytes[..cut]));
            assert_refused(role, &agreed, &refused, &[], Violation::InvalidUtf8);
            let mut deflater = Deflater::new(6, (true, 15));
            let parts = [deflater.part(&bytes[..cut]), deflater.message(b"")];
            let frames =
                [(0x41, &parts[0]), (0x80, &parts[1])].map(|it| frame(role.peer(), it.0, it.1));
            assert_refused(role, &agreed, &frames.concat(), &[], Violation::InvalidUtf8);
            // As binary it is fine.
            let binary = frame(role.peer(), 0xC2, &compressed(&bytes[..cut]));
            assert_eq!(outcome(role, &agreed, &binary).events, [Seen::binary(&bytes[..cut])]);
        }
    }
}

#[test]
fn characters_may_be_cut_by_blocks_and_fragments() {
    let text = "aé€😀z";
    for role in ROLES {
        for cut in 0..=text.len() {
            for end in cut..=text.len() {
                let mut deflater = Deflater::new(6, (true, 15));
                let bytes = text.as_bytes();
                let parts = [
                    deflater.part(&bytes[..cut]),
                    deflater.part(&bytes[cut..end]),
                    deflater.message(&bytes[end..]),
                ];
                let one = frame(role.peer(), 0xC1, &parts.concat());
                let frames = [(0x41, &parts[0]), (0x00, &parts[1]), (0x80, &parts[2])];
                let many = frames.map(|it| frame(role.peer(), it.0, it.1)).concat();
                for bytes in [one, many] {
                    for delivery in [Delivery::Whole, Delivery::Parts] {
                        let agreed = agreed_as(role, (true, 15));
                        let outcome = assert_cuts_do_not_matter_after(
                            &agreed,
                            role,
                            &Limits::default(),
                            delivery,
                            &bytes,
                            [bytes.len() / 2],
                        );
                        assert_eq!(gathered(outcome.events), [Seen::text(text)]);
                    }
                }
            }
        }
    }
}

// sockudo-ws #14, ws#983
#[test]
fn plain_and_incompressible_messages_may_stand_between_compressed_ones() {
    let (text, noise) = ("a line that comes again and again", noise(700));
    for role in ROLES {
        for way in WAYS {
            let (mut bytes, mut expected) = (Vec::new(), Vec::new());
            let mut deflater = Deflater::new(6, way);
            for round in 0..5 {
                let again = format!("{text}, for the {round}. time");
                bytes.extend(frame(role.peer(), 0xC1, &deflater.message(again.as_bytes())));
                bytes.extend(frame(role.peer(), 0x81, again.as_bytes()));
                bytes.extend(frame(role.peer(), 0xC2, &deflater.message(&noise)));
                bytes.extend(frame(role.peer(), 0x82, &noise));
                let message = [Seen::text(&again), Seen::binary(&noise)];
                expected.extend([
                    message[0].clone(),
                    message[0].clone(),
                    message[1].clone(),
                    message[1].clone(),
                ]);
            }
            let outcome = outcome(role, &agreed_as(role, way), &bytes);
            assert_eq!((outcome.violation, outcome.events.len()), (None, 20));
            assert!(outcome.events == expected);
        }
    }
}

/// After a message that was refused nothing is inflated any more, and the next connection knows nothing of it.
#[test]
fn what_was_refused_leaves_nothing_behind() {
    for role in ROLES {
        for bad in [&b"\x06"[..], b"\xf2\x48", b"\x00\x05\x00\xfa\xfe"] {
            let agreed = agreed_as(role, (true, 15));
            let hello = frame(role.peer(), 0xC1, &compressed(b"Hello"));
            let bytes = [frame(role.peer(), 0xC1, bad), hello.clone()].concat();
            assert_refused(role, &agreed, &bytes, &[], Violation::NotInflatable);
            assert_eq!(outcome(role, &agreed, &hello).events, [Seen::text("Hello")]);
        }
    }
}

/// In parts, what a message comes to before the mistake is delivered, or not, by the way in which its bytes were cut.
#[test]
fn text_before_the_end_of_a_stream_that_is_cut_short_is_delivered_however_it_is_cut() {
    let bytes = frame(Role::Client, 0xC1, &compressed(b"Hello")[..6]);
    let run = |length| {
        let agreed = agreed_as(Role::Server, (false, 15));
        let ws = connection_after(&agreed, Role::Server, &Limits::default(), Delivery::Parts);
        run(ws, bytes.chunks(length)).joined()
    };
    assert_eq!(run(bytes.len()).violation, Some(Violation::NotInflatable));
    assert_eq!(run(1), run(bytes.len()));
}

#[test]
fn a_choice_of_delivery_holds_from_the_next_message_on() {
    let mut ws = connection_after(
        &agreed_as(Role::Server, (true, 15)),
        Role::Server,
        &Limits::default(),
        Delivery::Whole,
    );
    let mut deflater = Deflater::new(6, (true, 15));
    let mut outcome = Outcome::default();
    let mut give = |ws: &mut _, frames: &[(u8, &[u8])]| {
        let bytes: Vec<u8> = frames.iter().flat_map(|it| frame(Role::Client, it.0, it.1)).collect();
        receive(ws, &bytes, &mut outcome);
    };
    let parts = [&b"who"[..], b"le", b"pa", b"rt", b"whole"].map(|it| deflater.part(it));
    let last = |part: &[u8]| part[..part.len() - TAIL.len()].to_vec();
    give(&mut ws, &[(0x41, &parts[0])]);
    ws.set_delivery(Delivery::Parts);
    give(&mut ws, &[(0x80, &last(&parts[1])), (0x41, &parts[2])]);
    ws.set_delivery(Delivery::Whole);
    give(&mut ws, &[(0x80, &last(&parts[3])), (0xC1, &last(&parts[4]))]);
    let part = |text: &str, last| Seen::Part(OwnedMessage::Text(text.into()), last);
    let expected = [Seen::text("whole"), part("pa", false), part("rt", true), Seen::text("whole")];
    assert_eq!((&outcome.events[..], outcome.violation), (&expected[..], None));
}

/// The last bits of a message may stand for more text than there was room for when its last byte was taken.
#[test]
fn text_that_had_no_room_with_the_last_byte_of_a_message_is_delivered() {
    let agreed = agreed_as(Role::Server, (true, 15));
    for delivery in [Delivery::Whole, Delivery::Parts] {
        let mut ws = connection_after(&agreed, Role::Server, &Limits::default(), delivery);
        for before in 0..32 {
            for beyond in [1, 100, 257, 258, 259, 515] {
                let mut text: Vec<u8> = (1..=before).collect();
                text.resize(64 * 1024 + beyond, 0);
                let payload = Deflater::new(9, (false, 15)).message(&text);
                let mut outcome = Outcome::default();
                receive(&mut ws, &frame(Role::Client, 0xC2, &payload), &mut outcome);
                assert_eq!(outcome.violation, None, "{before}, {beyond}");
                assert!(gathered(outcome.events) == [Seen::binary(&text)], "{before}, {beyond}");
            }
        }
    }
}

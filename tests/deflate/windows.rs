//! How far back a message may refer: into those before it, and within itself.

use tautline::deflate::Parameters;
use tautline::frame::Role;
use tautline::handshake::Agreed;
use tautline::{Delivery, Limits, Violation};

use super::ROLES;
use super::blocks::{Piece, copy, fixed, noise, stored};
use super::support::deflate::{Deflater, Way, agreed_as, both_ways, judge};
use super::support::drive::{Outcome, Seen, connection_after, gathered, receive, run};
use super::support::frames::frame;

/// What comes of compressed binary messages with these payloads, which is the same however they are cut.
fn outcome(role: Role, agreed: &Agreed, payloads: &[Vec<u8>]) -> Outcome {
    let bytes: Vec<u8> = payloads.iter().flat_map(|it| frame(role.peer(), 0xC2, it)).collect();
    let run = |delivery, length| {
        let ws = connection_after(agreed, role, &Limits::default(), delivery);
        let mut outcome = run(ws, bytes.chunks(length));
        outcome.events = gathered(outcome.events);
        outcome
    };
    let whole = run(Delivery::Whole, bytes.len());
    for (delivery, length) in [
        (Delivery::Parts, bytes.len()),
        (Delivery::Whole, 7),
        (Delivery::Parts, 1_000),
        (Delivery::Parts, 40_000),
    ] {
        assert!(run(delivery, length) == whole, "{delivery:?}, runs of {length} bytes");
    }
    whole
}

#[track_caller]
fn assert_inflates(role: Role, way: Way, payloads: &[Vec<u8>], last: &[u8]) {
    let outcome = outcome(role, &agreed_as(role, way), payloads);
    assert_eq!(outcome.violation, None, "{way:?}");
    assert_eq!(outcome.events.len(), payloads.len());
    assert!(outcome.events.last() == Some(&Seen::binary(last)), "{way:?}");
}

#[track_caller]
fn assert_does_not_inflate(role: Role, way: Way, payloads: &[Vec<u8>]) {
    let outcome = outcome(role, &agreed_as(role, way), payloads);
    assert_eq!(outcome.violation, Some(Violation::NotInflatable), "{way:?}");
    assert_eq!(outcome.events.len(), payloads.len() - 1);
}

/// The bytes that stand `distance` before the end of `text`.
fn back(text: &[u8], distance: usize, length: usize) -> &[u8] {
    &text[text.len() - distance..][..length]
}

//= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.2
//# Otherwise, the server MUST decompress
//# each new message using the LZ77 sliding window used to process the
//# last compressed message.
//= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.2
//# Otherwise, the client MUST decompress
//# each new message using the LZ77 sliding window used to process the
//# last compressed message.
//= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.2
//# Otherwise, the client MUST use a
//# 32,768-byte LZ77 sliding window to decompress received messages.
//= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.2
//# Otherwise, the server MUST use a
//# 32,768-byte LZ77 sliding window to decompress received messages.
#[test]
fn a_message_may_refer_to_all_of_the_window_that_was_agreed_on_and_to_nothing_before() {
    for role in ROLES {
        for bits in 9..=15 {
            let window = 1 << bits;
            let text = noise((2 * window + 100).min(40_000));
            for distance in [3, 100, 257, window / 2 + 1, window - 1, window] {
                let payloads = [stored(&text), copy(3, distance)];
                assert_inflates(role, (true, bits), &payloads, back(&text, distance, 3));
                assert_does_not_inflate(role, (false, bits), &payloads);
            }
            if bits < 15 {
                for distance in [window + 1, 2 * window] {
                    assert_does_not_inflate(
                        role,
                        (true, bits),
                        &[stored(&text), copy(3, distance)],
                    );
                }
            }
        }
    }
}

#[test]
fn a_message_may_not_refer_to_what_was_never_there() {
    for role in ROLES {
        for way in [(true, 15), (true, 9), (false, 15)] {
            assert_does_not_inflate(role, way, &[copy(3, 1)]);
            assert_does_not_inflate(role, way, &[copy(3, 32_768)]);
            assert_does_not_inflate(role, way, &[stored(b""), copy(3, 1)]);
            assert_does_not_inflate(role, way, &[stored(b"abc"), copy(3, 4)]);
            let own = fixed(&[Piece::Text(b"abc"), Piece::Copy { length: 3, distance: 4 }], false);
            assert_does_not_inflate(role, way, &[own]);
        }
    }
}

#[test]
fn a_message_may_refer_to_several_before_it() {
    let text = noise(3_000);
    for lengths in [vec![1; 600], vec![100; 30], vec![0, 700, 0, 1, 299, 0]] {
        let (mut payloads, mut rest) = (Vec::new(), &text[..]);
        for length in lengths {
            let (message, behind) = rest.split_at(length);
            payloads.push(stored(message));
            rest = behind;
        }
        let before = &text[..text.len() - rest.len()];
        for distance in [3, 299, 512, 600].into_iter().filter(|it| *it <= before.len()) {
            let payloads = [&payloads[..], &[copy(3, distance)]].concat();
            for role in ROLES {
                assert_inflates(role, (true, 15), &payloads, back(before, distance, 3));
            }
        }
    }
}

#[test]
fn what_a_message_copies_later_ones_may_copy_again() {
    let text = noise(300);
    for bits in [9, 12, 15] {
        // Each message copies the first one, which moves back by 10 each time, and is itself copied.
        let mut payloads = vec![stored(&text)];
        payloads.extend((0..20).map(|i| copy(10, 300 + 10 * i)));
        assert_inflates(Role::Server, (true, bits), &payloads, &text[..10]);
        payloads.push(copy(10, 10));
        assert_inflates(Role::Client, (true, bits), &payloads, &text[..10]);
        // One that overlaps with itself.
        payloads.push(copy(258, 1));
        assert_inflates(Role::Client, (true, bits), &payloads, &[text[9]; 258]);
    }
}

/// The receiver keeps a part of the text for the rest of the message to refer to: it forgets neither too much nor too
/// early, wherever it is.
#[test]
fn a_long_message_may_refer_32_kib_back_all_along() {
    let text = noise(33_000);
    let mut pieces = vec![Piece::Text(&text)];
    let mut expected = text.clone();
    for _ in 0..1_000 {
        let copied = back(&expected, 32_768, 258).to_vec();
        expected.extend(copied);
        pieces.push(Piece::Copy { length: 258, distance: 32_768 });
    }
    let message = fixed(&pieces, false);
    for role in ROLES {
        for way in [(false, 15), (true, 15)] {
            assert_inflates(role, way, std::slice::from_ref(&message), &expected);
        }
        let payloads = [message.clone(), copy(258, 32_768)];
        assert_inflates(role, (true, 15), &payloads, back(&expected, 32_768, 258));
        assert_does_not_inflate(role, (false, 15), &payloads);
    }
}

#[test]
fn what_is_behind_a_final_block_may_refer_to_what_is_before_it() {
    let (text, more) = (noise(20_000), b"behind the first final block");
    let last = |pieces: &[Piece<'_>]| fixed(pieces, true);
    for role in ROLES {
        // To the same message; then also to the one before.
        let own =
            [last(&[Piece::Text(more)]), last(&[Piece::Copy { length: 6, distance: 28 }]), vec![0]];
        for way in [(false, 15), (true, 9)] {
            let expected = [more.as_slice(), b"behind"].concat();
            assert_inflates(role, way, &[own.concat()], &expected);
        }
        for way in [(true, 15), (false, 15)] {
            let copy = Piece::Copy { length: 10, distance: 20_000 };
            let before =
                [last(&[Piece::Text(&more[..10])]), last(&[copy, copy]), fixed(&[copy], false)];
            let payloads = [stored(&text), before.concat()];
            if way.0 {
                let expected = [&more[..10], &text[10..20], &text[20..30], &text[30..40]].concat();
                assert_inflates(role, way, &payloads, &expected);
            } else {
                assert_does_not_inflate(role, way, &payloads);
            }
        }
        // A message that ended with a final block is as much part of the window.
        let payloads = [[last(&[Piece::Text(more)]), vec![0]].concat(), copy(10, 28)];
        assert_inflates(role, (true, 9), &payloads, &more[..10]);
    }
}

#[test]
fn a_peer_that_limits_its_window_to_8_bits_is_understood() {
    let agreed =
        judge(&[both_ways((true, 15))], &["permessage-deflate; server_max_window_bits=8"]).unwrap();
    let Parameters { server_max_window_bits, .. } = agreed.deflate().unwrap().parameters();
    assert_eq!(server_max_window_bits, Some(8));
    let text = noise(1_000);
    let outcome = outcome(Role::Client, &agreed, &[stored(&text), copy(3, 256)]);
    assert_eq!(outcome.violation, None);
    assert_eq!(outcome.events[1], Seen::binary(back(&text, 256, 3)));
}

/// One after the other, a peer's messages with a context of their own and without one: what is lent to each message has
/// nothing left of the last one.
#[test]
fn connections_on_one_thread_do_not_see_each_others_windows() {
    let limits = Limits::default();
    let mut ends: Vec<_> = [(true, 15), (true, 9), (true, 12), (false, 15)]
        .into_iter()
        .cycle()
        .take(50)
        .enumerate()
        .map(|(i, way)| {
            let role = ROLES[i % 2];
            let ws = connection_after(&agreed_as(role, way), role, &limits, Delivery::Whole);
            (ws, role, Deflater::new(1 + i as u32 % 9, way), Outcome::default())
        })
        .collect();
    let mut expected = vec![Vec::new(); ends.len()];
    for round in 0..20 {
        for (i, (ws, role, deflater, outcome)) in ends.iter_mut().enumerate() {
            let text =
                format!("round {round} of connection {i}, and some text that all have in common");
            let payload = deflater.message(text.as_bytes());
            let (start, end) = payload.split_at(payload.len() / 2);
            receive(ws, &frame(role.peer(), 0x41, start), outcome);
            receive(ws, &frame(role.peer(), 0x80, end), outcome);
            expected[i].push(Seen::text(&text));
        }
    }
    for ((_, _, _, outcome), expected) in ends.into_iter().zip(expected) {
        assert_eq!((outcome.events, outcome.violation), (expected, None));
    }

    // What one has in its window another one may not refer to, whoever came last.
    for way in [(true, 15), (false, 15)] {
        let agreed = agreed_as(Role::Server, way);
        let fresh = || connection_after(&agreed, Role::Server, &limits, Delivery::Whole);
        let first = frame(Role::Client, 0xC2, &stored(&noise(1_000)));
        assert_eq!(run(fresh(), [&first[..]]).violation, None);
        let other = frame(Role::Client, 0xC2, &copy(3, 500));
        assert_eq!(run(fresh(), [&other[..]]).violation, Some(Violation::NotInflatable));
    }
}

//! Messages that are encoded, and compressed, once for many receivers.

use allocation_counter::measure;
use tautline::deflate::Level;
use tautline::frame::{Role, Rsv1};
use tautline::handshake::{Accept, Agreed};
use tautline::{CloseCode, Event, Message, Part, Prepared, SendError};

use super::blocks::noise;
use super::sending::{assert_read, sender};
use super::support::deflate::{Way, agreed, agreed_as, both_ways, negotiate};
use super::support::drive::Seen;
use super::support::frames::{parse_all_where, unmasked_compressed};
use super::support::inflate::inflate_message;
use super::{ROLES, WAYS};

const TEXT: &str =
    "{\"news\":[\"one\",\"two\",\"three\",\"one and two\",\"two and three\",\"one and three\"]}";

fn prepared() -> Prepared {
    Prepared::new(Message::Text(TEXT).compressed())
}

/// What a fresh sender makes of it.
fn sent(prepared: &mut Prepared, role: Role, agreed: &Agreed) -> Vec<u8> {
    let mut out = Vec::new();
    sender(role, agreed).send_prepared(prepared, &mut out).unwrap();
    out
}

#[test]
fn receivers_with_equal_parameters_get_the_same_bytes_and_they_are_made_once() {
    let mut prepared = prepared();
    let text = TEXT.repeat(if cfg!(miri) { 4 } else { 100 });
    let mut long = Prepared::new(text.as_str());
    for way in WAYS {
        let agreed = agreed_as(Role::Server, way);
        for prepared in [&mut prepared, &mut long] {
            let first = sent(prepared, Role::Server, &agreed);
            let mut out = Vec::with_capacity(first.len());
            let mut sender = sender(Role::Server, &agreed);
            let info = measure(|| sender.send_prepared(prepared, &mut out).unwrap());
            assert_eq!(info.count_total, 0, "nothing is compressed again");
            assert_eq!(out, first);
            assert_eq!(out[0], 0xC1);
        }
    }
}

#[test]
fn receivers_that_differ_in_context_takeover_alone_get_the_same_bytes() {
    for bits in 9..=15 {
        let mut prepared = prepared();
        let [with, without] = [true, false]
            .map(|it| sent(&mut prepared, Role::Server, &agreed_as(Role::Server, (it, bits))));
        assert_eq!(with, without);
    }
}

/// The threshold, the level and the window are all part of how it is encoded; what does not compress is sent as it is.
#[test]
fn each_receiver_gets_what_was_agreed_on_with_it() {
    // Text that repeats after 3,000 bytes and not before.
    let half: String = noise(3_000).iter().map(|byte| char::from(b' ' + byte % 90)).collect();
    let text = half.repeat(2);
    let mut prepared = Prepared::new(text.as_str());
    let plain = sent(&mut prepared, Role::Server, &Agreed::default());
    assert_eq!(unmasked_compressed(&plain, Role::Server), [(0x81, text.clone().into_bytes())]);
    for level in [1, 6, 9] {
        for bits in 9..=15 {
            let mut deflate = both_ways((bits % 2 == 0, bits));
            deflate.level = Level::new(level).unwrap();
            let [_, agreed] = negotiate(&[deflate], &Accept::new().deflate(deflate));
            let out = sent(&mut prepared, Role::Server, &agreed);
            let (first, payload) = unmasked_compressed(&out, Role::Server).remove(0);
            if first == 0x81 {
                assert!(bits < 12, "a larger window would have done");
                assert_eq!(payload, text.as_bytes());
                continue;
            }
            assert_eq!(first, 0xC1);
            let inflated = inflate_message(&payload, &[]).unwrap();
            assert_eq!(inflated.text, text.as_bytes());
            assert!(inflated.distance_max <= 1 << bits);
        }
    }
    // And the first ones once more.
    assert_eq!(sent(&mut prepared, Role::Server, &Agreed::default()), plain);
}

#[test]
fn what_is_said_of_compression_holds_for_all_receivers() {
    let (short, long, noise) = ("a".repeat(63), "a".repeat(64), noise(500));
    let rows = [
        (Prepared::new(short.as_str()), 0x81),
        (Prepared::new(Message::Text(&short).compressed()), 0xC1),
        (Prepared::new(long.as_str()), 0xC1),
        (Prepared::new(Message::Text(&long).uncompressed()), 0x81),
        (Prepared::new(&noise[..]), 0x82),
        (Prepared::new(Message::Binary(&noise).compressed()), 0x82),
        (Prepared::new(Message::Text("").compressed()), 0x81),
    ];
    for (mut prepared, first) in rows {
        for role in ROLES {
            for way in WAYS {
                let out = sent(&mut prepared, role, &agreed_as(role, way));
                let payload = match first {
                    0xC1 => unmasked_compressed(&out, role).remove(0).1,
                    _ => prepared.message().as_bytes().to_vec(),
                };
                assert_eq!(unmasked_compressed(&out, role), [(first, payload)]);
            }
        }
    }
}

#[test]
fn a_client_masks_each_with_a_key_of_its_own() {
    let mut prepared = prepared();
    let agreed = agreed_as(Role::Client, (false, 15));
    let (mut sender, mut out) = (sender(Role::Client, &agreed), Vec::new());
    for _ in 0..20 {
        sender.send_prepared(&mut prepared, &mut out).unwrap();
    }
    let frames = parse_all_where(Rsv1::Compressed, &out, Role::Client);
    let mut keys: Vec<_> = frames.iter().map(|frame| frame.1.unwrap()).collect();
    keys.dedup();
    assert_eq!(keys.len(), 20);
    assert!(frames.iter().all(|frame| (frame.0, &frame.2) == (0xC1, &frames[0].2)));
    assert_read(&out, Role::Client, &agreed, &vec![Seen::text(TEXT); 20]);
}

/// Messages between which a prepared one is sent, under context takeover: those behind it may not refer to those before
/// it as if it were not there.
#[test]
fn after_a_prepared_message_everybody_still_reads_what_is_sent() {
    let mut prepared = prepared();
    let mut plain = Prepared::new(Message::Text(TEXT).uncompressed());
    let mut noisy = Prepared::new(Message::Binary(&noise(500)).compressed());
    for role in ROLES {
        for way in WAYS {
            let agreed = agreed_as(role, way);
            let (mut sender, mut out, mut expected) = (sender(role, &agreed), Vec::new(), vec![]);
            for round in 0..20 {
                let text = format!(
                    "round {round} is like any other round, but for its number, which is {round}"
                );
                let content = Message::Text(&text);
                sender.send(content.compressed(), &mut out).unwrap();
                expected.push(Seen::text(&text));
                if round % 2 == 0 {
                    sender.send_prepared(&mut prepared, &mut out).unwrap();
                    expected.push(Seen::text(TEXT));
                }
                if round % 3 == 0 {
                    let part = |last| Part { data: content, last };
                    sender.send_part(part(false).compressed(), &mut out).unwrap();
                    sender.send_part(part(true), &mut out).unwrap();
                    expected.push(Seen::text(&text.repeat(2)));
                }
                if round % 5 == 0 {
                    sender.send_prepared(&mut plain, &mut out).unwrap();
                    sender.send_prepared(&mut noisy, &mut out).unwrap();
                    expected.extend([Seen::text(TEXT), Seen::binary(&noise(500))]);
                }
            }
            assert_read(&out, role, &agreed, &expected);
        }
    }
}

/// The window of the peer has the prepared message in it: a message that refers to itself alone is not disturbed.
#[test]
fn after_a_prepared_message_a_message_is_compressed_as_if_it_were_the_first() {
    let agreed = agreed_as(Role::Server, (true, 15));
    let first = |before: &mut dyn FnMut(&mut tautline::Sender, &mut Vec<u8>)| {
        let (mut sender, mut out) = (sender(Role::Server, &agreed), Vec::new());
        before(&mut sender, &mut out);
        out.clear();
        sender.send(Message::Text(TEXT).compressed(), &mut out).unwrap();
        out
    };
    let fresh = first(&mut |_, _| {});
    let after = first(&mut |sender, out| {
        sender.send(Message::Text(TEXT).compressed(), out).unwrap();
        sender.send_prepared(&mut prepared(), out).unwrap();
    });
    assert_eq!(after, fresh);
    let taken_over =
        first(&mut |sender, out| sender.send(Message::Text(TEXT).compressed(), out).unwrap());
    assert!(taken_over.len() < fresh.len());
}

#[test]
fn inside_a_message_in_parts_or_after_a_close_nothing_is_sent() {
    let mut prepared = prepared();
    for role in ROLES {
        let agreed = agreed_as(role, (true, 15));
        let (mut sender, mut out) = (sender(role, &agreed), Vec::new());
        let part = |last| Part { data: Message::Text(TEXT), last };
        sender.send_part(part(false), &mut out).unwrap();
        let before = out.len();
        let error = sender.send_prepared(&mut prepared, &mut out);
        assert_eq!((error, out.len()), (Err(SendError::PartsUnfinished), before));
        // What was refused has not disturbed the message either.
        sender.send_part(part(true), &mut out).unwrap();
        sender.send_prepared(&mut prepared, &mut out).unwrap();
        assert_read(&out, role, &agreed, &[Seen::text(&TEXT.repeat(2)), Seen::text(TEXT)]);

        sender.close(CloseCode::NORMAL, "", &mut out).unwrap();
        let before = out.len();
        let error = sender.send_prepared(&mut prepared, &mut out);
        assert_eq!((error, out.len()), (Err(SendError::Closed), before));
    }
}

#[test]
fn what_is_owed_goes_first() {
    for role in ROLES {
        let agreed = agreed_as(role, (true, 15));
        let (mut sender, mut out) = (sender(role, &agreed), Vec::new());
        sender.answer(&Event::Ping(b"?"));
        sender.send_prepared(&mut prepared(), &mut out).unwrap();
        assert_read(&out, role, &agreed, &[Seen::Pong(b"?".to_vec()), Seen::text(TEXT)]);
    }
}

#[test]
fn a_copy_is_prepared_as_far_as_its_original_and_goes_on_alone() {
    let mut original = prepared();
    let ways: [Way; 2] = [(false, 15), (false, 9)];
    let [first, second] = ways.map(|way| agreed_as(Role::Server, way));
    let out = sent(&mut original, Role::Server, &first);
    let mut copy = original.clone();
    assert_eq!(copy.message(), Message::Text(TEXT));
    assert_eq!(sent(&mut copy, Role::Server, &first), out);
    assert_eq!(sent(&mut copy, Role::Server, &second), sent(&mut original, Role::Server, &second));
}

#[test]
fn messages_of_every_length_form_are_read_by_everybody() {
    for length in [0, 1, 64, 125, 126, 127, 65_535, 65_536, 200_000] {
        let data: Vec<u8> = (0..length).map(|i| (i / 3) as u8).collect();
        for content in [noise(length), data] {
            let mut prepared = Prepared::new(&content[..]);
            let ends = agreed([(true, 15), (true, 10)]);
            for (role, agreed) in ROLES.into_iter().zip(&ends) {
                let out = [sent(&mut prepared, role, agreed), sent(&mut prepared, role, agreed)];
                assert_read(&out.concat(), role, agreed, &vec![Seen::binary(&content); 2]);
            }
        }
    }
}

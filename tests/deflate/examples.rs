//! Each example of RFC 7692 section 7.2.3, and what follows from it.

use tautline::frame::Role;
use tautline::handshake::Agreed;
use tautline::{Delivery, Limits, Message, Part, Sender};

use super::ROLES;
use super::support::deflate::{Deflater, Way, agreed_as, read_back};
use super::support::drive::{Seen, connection_after, counted_keys, gathered, pieces, run};
use super::support::frames::{frame, unmasked_compressed};

const HELLO: &[u8] = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
const HELLO_AGAIN: &[u8] = b"\xf2\x00\x11\x00\x00";
const HELLO_STORED: &[u8] = b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00";
const HELLO_FINAL: &[u8] = b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00";
const HELLO_IN_TWO_BLOCKS: &[u8] = b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00";
const EMPTY: &[u8] = b"\x00";

/// In runs of so many bytes, and whole. Under Miri an inflater takes a good part of a second.
const RUNS: &[usize] = if cfg!(miri) { &[3] } else { &[1, 2, 3, 7] };
const ALL_WAYS: &[Way] = if cfg!(miri) {
    &[(false, 9), (true, 15)]
} else {
    &[(false, 15), (false, 9), (true, 9), (true, 15)]
};

fn with_takeover(role: Role) -> Agreed {
    agreed_as(role, (true, 15))
}

/// All events of these frames, which are the same however they are cut, and are all that there is.
#[track_caller]
fn events(role: Role, agreed: &Agreed, frames: &[(u8, &[u8])]) -> Vec<Seen> {
    let bytes: Vec<u8> = frames.iter().flat_map(|it| frame(role.peer(), it.0, it.1)).collect();
    let mut seen = None;
    for delivery in [Delivery::Whole, Delivery::Parts] {
        for length in RUNS.iter().copied().chain([bytes.len()]) {
            let ws = connection_after(agreed, role, &Limits::default(), delivery);
            let outcome = run(ws, bytes.chunks(length));
            assert_eq!(outcome.violation, None, "{frames:02x?}");
            let events = gathered(outcome.events);
            assert_eq!(*seen.get_or_insert(events.clone()), events, "runs of {length} bytes");
        }
    }
    seen.unwrap()
}

/// Both roles see this text in these frames, as often as it is there, with context takeover and without.
#[track_caller]
fn assert_hello(frames: &[(u8, &[u8])], times: usize) {
    for role in ROLES {
        for way in ALL_WAYS {
            let seen = events(role, &agreed_as(role, *way), frames);
            assert_eq!(seen, vec![Seen::text("Hello"); times]);
        }
    }
}

//= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.3.1
//# The endpoint builds one frame by putting all of the
//# compressed data in the payload data portion of the frame:
//= https://www.rfc-editor.org/rfc/rfc7692#section-6.2
//# An endpoint MUST use the following algorithm to receive a message in
//# the form of a compressed message.
#[test]
fn a_message_in_one_compressed_block_is_received() {
    assert_hello(&[(0xC1, HELLO)], 1);
    // As bytes, from a server.
    let ws = connection_after(
        &with_takeover(Role::Client),
        Role::Client,
        &Limits::default(),
        Delivery::Whole,
    );
    let outcome = run(ws, [&b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00"[..]]);
    assert_eq!(outcome.events, [Seen::text("Hello")]);
}

//= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.3.1
//# The endpoint splits the compressed data into
//# fragments and builds frames for each fragment.
#[test]
fn a_message_in_fragments_is_received_wherever_it_is_split() {
    assert_hello(&[(0x41, b"\xf2\x48\xcd"), (0x80, b"\xc9\xc9\x07\x00")], 1);
    let step = if cfg!(miri) { 7 } else { 1 };
    for payload in [HELLO, HELLO_STORED, HELLO_FINAL, HELLO_IN_TWO_BLOCKS] {
        for first in (0..=payload.len()).step_by(step) {
            for second in (first..=payload.len()).step_by(step) {
                let [a, b, c] = pieces(payload, [first, second])[..] else { panic!("three") };
                assert_hello(&[(0x41, a), (0x00, b), (0x80, c)], 1);
            }
        }
    }
}

//= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.3.2
//# So, the payload
//# of the second message will be:
#[test]
fn a_message_that_refers_to_the_one_before_is_received_under_context_takeover() {
    for role in ROLES {
        for way in [(true, 15), (true, 9)] {
            let frames = [(0xC1, HELLO), (0xC1, HELLO_AGAIN), (0xC1, HELLO_AGAIN)];
            let seen = events(role, &agreed_as(role, way), &frames);
            assert_eq!(seen, vec![Seen::text("Hello"); 3]);
        }
    }
    assert_hello(&[(0xC1, HELLO), (0xC1, HELLO)], 2);
}

//= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.3.2
//# Note that even if some uncompressed messages (with the RSV1 bit
//# unset) are inserted between the two "Hello" messages, they don't
//# affect the LZ77 sliding window.
//= https://www.rfc-editor.org/rfc/rfc7692#section-6.2
//# An endpoint MUST use the following algorithm to receive a message in
//# the form of an uncompressed message.
#[test]
fn uncompressed_messages_between_two_compressed_ones_do_not_affect_the_window() {
    let long = vec![0; if cfg!(miri) { 400 } else { 40_000 }];
    let between: [&[(u8, &[u8])]; 4] = [
        &[(0x81, b"plain")],
        &[(0x02, b"in "), (0x89, b"?"), (0x00, b"three "), (0x80, b"parts")],
        &[(0x82, &long)],
        &[(0x81, b""), (0x8A, b"!"), (0x81, b"")],
    ];
    for role in ROLES {
        for frames in between {
            let all = [&[(0xC1, HELLO)], frames, &[(0xC1, HELLO_AGAIN)]].concat();
            let seen = events(role, &with_takeover(role), &all);
            assert_eq!(seen.first(), Some(&Seen::text("Hello")));
            assert_eq!(seen.last(), Some(&Seen::text("Hello")));
        }
    }
}

//= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.3.3
//# A DEFLATE block with no compression may be used.
#[test]
fn a_block_without_compression_is_received() {
    assert_hello(&[(0xC1, HELLO_STORED)], 1);
    // It is part of what later messages refer to.
    for role in ROLES {
        let frames = [(0xC1, HELLO_STORED), (0xC1, HELLO_AGAIN)];
        assert_eq!(events(role, &with_takeover(role), &frames), vec![Seen::text("Hello"); 2]);
    }
}

//= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.3.4
//# On platforms on which the flush method using an empty DEFLATE block
//# with no compression is not available, implementors can choose to
//# flush data using DEFLATE blocks with "BFINAL" set to 1.
#[test]
fn a_final_block_is_received_and_further_messages_after_it() {
    assert_hello(&[(0xC1, HELLO_FINAL)], 1);
    assert_hello(&[(0xC1, HELLO_FINAL), (0xC1, HELLO_FINAL), (0xC1, HELLO)], 3);
    assert_hello(&[(0xC1, HELLO), (0xC1, HELLO_FINAL), (0xC1, HELLO_STORED)], 3);
    // Without the octet behind it, which would stand for an empty block.
    assert_hello(&[(0xC1, &HELLO_FINAL[..7]), (0xC1, HELLO)], 2);
    for role in ROLES {
        let frames = [(0xC1, HELLO_FINAL), (0xC1, HELLO_AGAIN), (0xC1, HELLO_AGAIN)];
        assert_eq!(events(role, &with_takeover(role), &frames), vec![Seen::text("Hello"); 3]);
    }
}

//= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.1
//# The next DEFLATE block follows
//# the padded data if any.
#[test]
fn a_block_after_a_final_one_belongs_to_the_same_message() {
    let hello = &HELLO_FINAL[..7];
    let twice = Seen::text("HelloHello");
    for (second, third) in
        [(hello, EMPTY), (HELLO, &b""[..]), (HELLO_STORED, b""), (HELLO_AGAIN, b"")]
    {
        let payload = [hello, second, third].concat();
        for role in ROLES {
            for way in [(false, 15), (true, 15)] {
                let frames = [(0xC1, &payload[..]), (0xC1, &payload)];
                assert_eq!(
                    events(role, &agreed_as(role, way), &frames),
                    [twice.clone(), twice.clone()]
                );
            }
        }
    }
}

//= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.3.5
//# Two or more DEFLATE blocks may be used in one message.
#[test]
fn two_blocks_in_one_message_are_received() {
    assert_hello(&[(0xC1, HELLO_IN_TWO_BLOCKS)], 1);
    assert_hello(&[(0x41, &HELLO_IN_TWO_BLOCKS[..8]), (0x80, &HELLO_IN_TWO_BLOCKS[8..])], 1);
}

//= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.3.6
//# The single octet 0x00 contains the header bits with "BFINAL" set to 0
//# and "BTYPE" set to 00, and 5 padding bits of 0.
#[test]
fn an_empty_last_fragment_and_an_empty_message_are_received() {
    let hello_flushed = [HELLO, b"\x00\x00\xff\xff"].concat();
    assert_hello(&[(0x41, &hello_flushed), (0x80, EMPTY)], 1);
    assert_hello(&[(0x41, &hello_flushed), (0x00, b"\x00\x00\x00\xff\xff"), (0x80, EMPTY)], 1);
    assert_hello(&[(0x41, b"\x00\x00\x00\xff\xff"), (0x80, HELLO)], 1);
    for role in ROLES {
        let frames =
            [(0xC1, EMPTY), (0xC2, EMPTY), (0xC1, HELLO), (0xC1, EMPTY), (0xC1, HELLO_AGAIN)];
        let seen = events(role, &with_takeover(role), &frames);
        let [empty, hello] = [Seen::text(""), Seen::text("Hello")];
        assert_eq!(seen, [empty.clone(), Seen::binary(b""), hello.clone(), empty, hello]);
    }
}

fn sender(role: Role, agreed: &Agreed) -> Sender {
    match role {
        Role::Client => Sender::client(agreed, counted_keys()),
        Role::Server => Sender::server(agreed),
    }
}

/// Too short for the example itself, which does not get shorter: "Hello" is sent as it is. Twice as long, its bytes are
/// those of any compressor.
#[test]
fn the_first_example_is_sent() {
    for role in ROLES {
        let (mut sender, mut out) = (sender(role, &agreed_as(role, (false, 15))), Vec::new());
        sender.send(Message::Text("Hello").compressed(), &mut out).unwrap();
        let part = Part { data: Message::Text("Hello"), last: true };
        sender.send_part(part.compressed(), &mut out).unwrap();
        let expected = [(0x81, b"Hello".to_vec()), (0xC1, HELLO.to_vec())];
        assert_eq!(unmasked_compressed(&out, role), expected);
    }
}

//= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.3.2
//# the client can
//# compress the payload of the next message into fewer bytes by
//# referencing the history in the LZ77 sliding window.
#[test]
fn the_second_example_is_sent_in_no_more_bytes_and_the_same_ones_without_context_takeover() {
    for role in ROLES {
        for way in [(true, 15), (false, 15)] {
            let agreed = agreed_as(role, way);
            let (mut sender, mut out) = (sender(role, &agreed), Vec::new());
            for _ in 0..2 {
                let part = Part { data: Message::Text("Hello"), last: true };
                sender.send_part(part.compressed(), &mut out).unwrap();
            }
            let frames = unmasked_compressed(&out, role);
            assert_eq!(frames[0], (0xC1, HELLO.to_vec()));
            match way.0 {
                true => assert!(frames[1].1.len() <= HELLO_AGAIN.len(), "{:02x?}", frames[1].1),
                false => assert_eq!(frames[1].1, HELLO),
            }
            assert_eq!(read_back(&out, role, &agreed), vec![Seen::text("Hello"); 2]);
        }
    }
}

#[test]
fn an_empty_last_part_is_sent_as_the_example_has_it() {
    for role in ROLES {
        let (mut sender, mut out) = (sender(role, &agreed_as(role, (false, 15))), Vec::new());
        let part = |text, last| Part { data: Message::Text(text), last }.compressed();
        sender.send_part(part("Hello", false), &mut out).unwrap();
        sender.send_part(part("", false), &mut out).unwrap();
        sender.send_part(part("", true), &mut out).unwrap();
        sender.send_part(part("", true), &mut out).unwrap();
        let flushed = [HELLO, b"\x00\x00\xff\xff"].concat();
        let empty = b"\x00\x00\x00\xff\xff".to_vec();
        let expected =
            [(0x41, flushed), (0x00, empty), (0x80, EMPTY.to_vec()), (0xC1, EMPTY.to_vec())];
        assert_eq!(unmasked_compressed(&out, role), expected);
    }
}

/// The examples themselves are what flate2 makes of "Hello", so that it may stand for a peer in these tests.
#[test]
fn flate2_makes_the_bytes_of_the_examples() {
    let mut deflater = Deflater::new(6, (true, 15));
    assert_eq!(deflater.message(b"Hello"), HELLO);
    assert_eq!(deflater.message(b"Hello"), HELLO_AGAIN);
    assert_eq!(deflater.final_message(b""), b"\x03\x00\x00");
    assert_eq!(deflater.final_message(b"Hello"), HELLO_FINAL);
    assert_eq!(Deflater::new(0, (true, 15)).message(b"Hello"), HELLO_STORED);
}

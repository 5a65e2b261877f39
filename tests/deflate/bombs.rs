//! What a compressed message may come to: the limit, the memory it takes to get there, and the work.
//!
//! Memory is what this thread allocates, counted by the allocator. What the thread lends to each message it keeps, so a
//! first message warms it up.

use std::sync::LazyLock;
use std::time::Instant;

use allocation_counter::{AllocationInfo, measure};
use tautline::frame::Role;
use tautline::{Connection, Delivery, Event, Limits, Violation};

use super::ROLES;
use super::blocks::{Piece, fixed, noise};
use super::memory::DECOMPRESSOR_BYTES;
use super::support::deflate::{Deflater, Way, agreed_as, compressed};
use super::support::drive::{
    Outcome, Seen, assert_cuts_do_not_matter_after, connection_after, gathered, receive, run,
};
use super::support::frames::{begun, close_body, frame, unmasked_compressed};
use super::support::inflate::inflate_message;

/// 64 KiB that come to 64 MiB.
static BOMB: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let bomb = Deflater::new(9, (false, 15)).message(&vec![0; 64 << 20]);
    assert!((64_000..66_000).contains(&bomb.len()), "{} bytes", bomb.len());
    bomb
});

/// A connection on a thread that has inflated before.
fn warm(role: Role, way: Way, limits: &Limits, delivery: Delivery) -> Connection {
    let mut ws = connection_after(&agreed_as(role, way), role, limits, delivery);
    let hello = frame(role.peer(), 0xC2, &compressed(b"Hello"));
    receive(&mut ws, &hello, &mut Outcome::default());
    ws
}

/// Gives these bytes in runs of this length until they are refused: the bytes in all events, what was wrong, and what
/// allocating cost.
fn feed(
    ws: &mut Connection,
    bytes: &mut [u8],
    run_bytes: usize,
) -> (u64, Option<Violation>, AllocationInfo) {
    let now = Instant::now();
    let (mut received, mut violation) = (0, None);
    let info = measure(|| {
        for run in bytes.chunks_mut(run_bytes) {
            let mut incoming = ws.receive(now, run);
            loop {
                match incoming.next() {
                    Ok(Some((event, _))) => received += length(&event),
                    Ok(None) => break,
                    Err(error) => {
                        violation = Some(error);
                        return;
                    }
                }
            }
        }
    });
    (received, violation, info)
}

fn length(event: &Event<'_>) -> u64 {
    match event {
        Event::Message(message) => message.as_bytes().len() as u64,
        Event::Part(part) => part.data.as_bytes().len() as u64,
        Event::Ping(_) | Event::Pong(_) | Event::Close(_) => 0,
    }
}

/// The payload in fragments of this length.
fn fragments(sender: Role, payload: &[u8], length: usize) -> Vec<u8> {
    let count = payload.len().div_ceil(length);
    let frames = payload.chunks(length).enumerate().map(|(i, fragment)| {
        let fin = if i + 1 == count { 0x80 } else { 0 };
        let opcode = if i == 0 { 0x42 } else { 0 };
        frame(sender, fin | opcode, fragment)
    });
    frames.collect::<Vec<_>>().concat()
}

/// A buffer is never longer than the limit, and while it moves what was in it is held in both places.
fn held_max(limit: usize) -> u64 {
    2 * limit as u64 + 4 * 1024
}

// CVE-2018-1000518, CVE-2026-39804, CVE-2026-1526
#[test]
fn a_bomb_is_refused_at_the_limit_in_one_frame_in_many_and_byte_by_byte() {
    for role in ROLES {
        for limit in [1_000, 100_000, 1024 * 1024] {
            let mut limits = Limits::default();
            limits.message_bytes_max = limit;
            for (bytes, run_bytes) in [
                (frame(role.peer(), 0xC2, &BOMB), usize::MAX),
                (frame(role.peer(), 0xC2, &BOMB), 1),
                (frame(role.peer(), 0xC1, &BOMB), 1_460),
                (fragments(role.peer(), &BOMB, 100), usize::MAX),
                (fragments(role.peer(), &BOMB, 1), usize::MAX),
                (fragments(role.peer(), &BOMB, 7), 11),
            ] {
                let mut ws = warm(role, (true, 15), &limits, Delivery::Whole);
                let run_bytes = run_bytes.min(bytes.len());
                let (received, violation, info) = feed(&mut ws, &mut bytes.clone(), run_bytes);
                assert_eq!((received, violation), (0, Some(Violation::MessageTooBig)));
                assert!(info.bytes_max <= held_max(limit), "{info:?} for a limit of {limit}");
                let mut out = Vec::new();
                ws.flush(&mut out);
                let body = close_body(1009, Violation::MessageTooBig.reason());
                assert_eq!(unmasked_compressed(&out, role), [(0x88, body)]);
            }
        }
    }
}

#[test]
fn a_bomb_takes_no_more_than_a_decompressor_and_the_limit_on_a_thread_that_has_inflated_nothing_before()
 {
    let bytes = frame(Role::Client, 0xC2, &BOMB);
    let agreed = agreed_as(Role::Server, (true, 15));
    let limits = Limits::default();
    let fresh = std::thread::spawn(move || {
        let mut ws = connection_after(&agreed, Role::Server, &limits, Delivery::Whole);
        feed(&mut ws, &mut bytes.clone(), bytes.len())
    });
    let (_, violation, info) = fresh.join().unwrap();
    assert_eq!(violation, Some(Violation::MessageTooBig));
    assert!(info.bytes_max <= held_max(1024 * 1024) + DECOMPRESSOR_BYTES, "{info:?}");
}

/// How much of a message was inflated is seen from how much of it was taken.
#[test]
fn nothing_is_inflated_beyond_the_limit() {
    let mut limits = Limits::default();
    limits.message_bytes_max = 100_000;
    // The first 200 KiB are zeros, the rest is nothing that could be inflated.
    let zeros = Deflater::new(9, (false, 15)).part(&vec![0; 200 * 1024]);
    let bytes = frame(Role::Client, 0xC2, &[&zeros[..], &[0xFF; 50_000]].concat());
    for run_bytes in [1, 10, 1_000, bytes.len()] {
        let mut ws = warm(Role::Server, (false, 15), &limits, Delivery::Whole);
        let (_, violation, _) = feed(&mut ws, &mut bytes.clone(), run_bytes);
        assert_eq!(violation, Some(Violation::MessageTooBig), "not what is behind it");
    }
}

#[test]
fn a_message_of_exactly_the_limit_is_delivered_and_one_byte_more_is_refused() {
    let kinds: [fn(usize) -> Vec<u8>; 3] = [
        |length| vec![b'a'; length],
        noise,
        |length| (0..length).map(|i| b'a' + (i / 7 % 5) as u8).collect(),
    ];
    let lengths =
        [0, 1, 2, 257, 258, 259, 1_000, 32_767, 32_768, 32_769, 65_535, 65_536, 65_537, 98_304];
    for (i, limit) in lengths.into_iter().enumerate() {
        let (role, level) = (ROLES[i % 2], 1 + i as u32 % 9);
        let mut limits = Limits::default();
        limits.message_bytes_max = limit;
        for make in kinds {
            for more in [0, 1] {
                let data = make(limit + more);
                let payload = Deflater::new(level, (false, 15)).message(&data);
                let whole = frame(role.peer(), 0xC2, &payload);
                let many = fragments(role.peer(), &payload, 1 + payload.len() / 40);
                for bytes in [whole, many] {
                    let agreed = agreed_as(role, (i % 3 == 0, 15));
                    let outcome = assert_cuts_do_not_matter_after(
                        &agreed,
                        role,
                        &limits,
                        Delivery::Whole,
                        &bytes,
                        [payload.len() / 2],
                    );
                    let expected = match more {
                        0 => (vec![Seen::binary(&data)], None),
                        _ => (vec![], Some(Violation::MessageTooBig)),
                    };
                    assert!((outcome.events, outcome.violation) == expected, "{limit} and {more}");
                }
            }
        }
    }
}

#[test]
fn a_text_may_be_as_long_as_the_limit_whatever_characters_stand_there() {
    for text in ["é".repeat(50), "€".repeat(50), "😀".repeat(50), format!("a{}", "€".repeat(50))]
    {
        for less in 0..4 {
            let mut limits = Limits::default();
            limits.message_bytes_max = text.len() - less;
            let bytes = frame(Role::Client, 0xC1, &compressed(text.as_bytes()));
            let outcome = assert_cuts_do_not_matter_after(
                &agreed_as(Role::Server, (true, 15)),
                Role::Server,
                &limits,
                Delivery::Whole,
                &bytes,
                [7],
            );
            let expected = (less > 0).then_some(Violation::MessageTooBig);
            assert_eq!(outcome.violation, expected);
            assert_eq!(outcome.events.len(), usize::from(less == 0));
        }
    }
}

/// The limit is for what a message comes to, and not for the bytes that it takes to say so.
#[test]
fn a_message_may_take_more_bytes_on_the_wire_than_the_limit_has() {
    let mut limits = Limits::default();
    limits.message_bytes_max = 100;
    let empty = b"\x00\x00\x00\xff\xff";
    let payload = [&empty.repeat(1_000)[..], &compressed(b"Hello")].concat();
    let bytes = frame(Role::Client, 0xC1, &payload);
    let mut ws = warm(Role::Server, (true, 15), &limits, Delivery::Whole);
    let mut outcome = Outcome::default();
    receive(&mut ws, &bytes, &mut outcome);
    assert_eq!((outcome.events, outcome.violation), (vec![Seen::text("Hello")], None));
    // A plain one may not.
    let mut outcome = Outcome::default();
    receive(&mut ws, &begun(Role::Client, 0x82, 101, b""), &mut outcome);
    assert_eq!(outcome.violation, Some(Violation::MessageTooBig));
}

#[test]
fn the_limit_holds_for_each_message_and_not_for_all_together() {
    let mut limits = Limits::default();
    limits.message_bytes_max = 1_000;
    for role in ROLES {
        let mut deflater = Deflater::new(6, (true, 15));
        let messages: Vec<_> = (0..20).map(|i| vec![i; 1_000]).collect();
        let frames = messages.iter().map(|it| frame(role.peer(), 0xC2, &deflater.message(it)));
        let bytes = frames.collect::<Vec<_>>().concat();
        let agreed = agreed_as(role, (true, 15));
        let outcome = run(connection_after(&agreed, role, &limits, Delivery::Whole), [&bytes[..]]);
        assert_eq!(outcome.violation, None);
        assert_eq!(outcome.events, messages.iter().map(|it| Seen::binary(it)).collect::<Vec<_>>());
    }
}

#[test]
fn a_message_may_have_four_final_blocks_and_one_more_for_every_256_bytes() {
    let hello = fixed(&[Piece::Text(b"Hello")], true);
    let long = fixed(&[Piece::Text(&[b'a'; 260])], true);
    for role in ROLES {
        for way in [(false, 15), (true, 15)] {
            let agreed = agreed_as(role, way);
            for (block, count, end, fits) in [
                (&hello, 4, &[0x00][..], true),
                (&hello, 5, &[0x00], false),
                (&hello, 4, &compressed(b"Hello"), true),
                (&hello, 5, &compressed(b"Hello"), false),
                (&hello, 1_000, &[0x00], false),
                (&long, 1_000, &[0x00], true),
            ] {
                let payload = [&block.repeat(count), end].concat();
                assert_eq!(inflate_message(&payload, &[]).is_ok(), fits);
                let message = frame(role.peer(), 0xC1, &payload);
                // Each message has its own count.
                let bytes = message.repeat(3);
                let outcome = assert_cuts_do_not_matter_after(
                    &agreed,
                    role,
                    &Limits::default(),
                    Delivery::Whole,
                    &bytes,
                    [300, 401],
                );
                let violation = (!fits).then_some(Violation::TooManyFinalBlocks);
                assert_eq!(outcome.violation, violation, "{count} final blocks");
                assert_eq!(outcome.events.len(), if fits { 3 } else { 0 });
                if !fits {
                    let body = close_body(1008, Violation::TooManyFinalBlocks.reason());
                    assert_eq!(unmasked_compressed(&outcome.out, role), [(0x88, body)]);
                }
            }
        }
    }
}

#[test]
fn empty_blocks_by_the_hundred_thousand_cost_nothing_that_grows() {
    let blocks: [&[u8]; 3] = [
        b"\x00\x00\x00\xff\xff",
        // Two empty ones with fixed codes, up to a byte boundary.
        b"\x02\x08\x00\x00\x00\xff\xff",
        b"\x02\x00\x00\x00\xff\xff",
    ];
    for block in blocks {
        for delivery in [Delivery::Whole, Delivery::Parts] {
            let [few, many] = [1_000, 100_000].map(|count| {
                let payload = [&block.repeat(count)[..], &[0x00]].concat();
                let mut ws = warm(Role::Server, (true, 15), &Limits::default(), delivery);
                let mut bytes = frame(Role::Client, 0xC1, &payload);
                let (received, violation, info) = feed(&mut ws, &mut bytes, 1_000);
                assert_eq!((received, violation), (0, None));
                info
            });
            assert_eq!(few, many);
        }
    }
}

/// 128 MiB of zeros and 128 MiB that do not compress, one by one in fragments of a mebibyte of text.
#[test]
fn a_message_of_256_mib_is_delivered_in_parts_as_it_comes_with_flat_memory() {
    let mut deflater = Deflater::new(1, (false, 15));
    let noise = noise(1 << 20);
    let parts = [vec![0; 1 << 20], noise.clone()].map(|text| deflater.full_part(&text));
    let mut ws = warm(Role::Server, (true, 15), &Limits::default(), Delivery::Parts);
    let mut received = 0;
    let mut held_max = 0;
    for i in 0..256 {
        let first = if i == 0 { 0x42 } else { 0x00 };
        let mut bytes = frame(Role::Client, first, &parts[i % 2]);
        let (count, violation, info) = feed(&mut ws, &mut bytes, 16 * 1024);
        assert_eq!((count, violation), (1 << 20, None), "all that came, and at once");
        received += count;
        held_max = held_max.max(info.bytes_max);
    }
    assert_eq!(received, 256 << 20);
    assert!(held_max <= 256 * 1024, "{held_max} bytes");
    let mut outcome = Outcome::default();
    receive(&mut ws, &frame(Role::Client, 0x80, &[0x00]), &mut outcome);
    assert_eq!(outcome.violation, None);
    // The next message may refer to its end.
    receive(&mut ws, &frame(Role::Client, 0xC2, &super::blocks::copy(10, 32_768)), &mut outcome);
    let end = &noise[noise.len() - 32_768..][..10];
    assert_eq!(gathered(outcome.events)[1..], [Seen::binary(end)]);
}

/// In parts a bomb is the application's to count, and costs it a part at a time.
#[test]
fn a_bomb_is_delivered_in_parts_of_which_each_is_small() {
    let mut ws = warm(Role::Server, (false, 15), &Limits::default(), Delivery::Parts);
    let mut bytes = frame(Role::Client, 0xC2, &BOMB);
    let (received, violation, info) = feed(&mut ws, &mut bytes, usize::MAX);
    assert_eq!((received, violation), (64 << 20, None));
    assert!(info.bytes_max <= 256 * 1024, "{info:?}");
}

#[test]
fn the_fragments_of_a_compressed_message_are_counted_as_those_of_any_other() {
    let mut limits = Limits::default();
    limits.fragments_max = 20;
    limits.empty_fragments_max = 3;
    let payload = compressed(b"Hello, in a number of fragments");
    for role in ROLES {
        let play = |counts: [usize; 2], delivery| {
            let [empty, filled] = counts;
            let (last, before) = payload.split_last().unwrap();
            let mut bytes = frame(role.peer(), 0x42, b"");
            bytes.extend(frame(role.peer(), 0x00, b"").repeat(empty - 1));
            bytes.extend(frame(role.peer(), 0x00, before));
            // Blocks with nothing in them, between the text and its end.
            bytes.extend(frame(
                role.peer(),
                0x00,
                &[&[*last][..], &[0x00, 0x00, 0xff, 0xff]].concat(),
            ));
            let block = frame(role.peer(), 0x00, b"\x00\x00\x00\xff\xff");
            bytes.extend(block.repeat(filled - 3));
            bytes.extend(frame(role.peer(), 0x80, &[0x00]));
            let agreed = agreed_as(role, (true, 15));
            let cuts = [3, bytes.len() / 2];
            assert_cuts_do_not_matter_after(&agreed, role, &limits, delivery, &bytes, cuts)
                .violation
        };
        for delivery in [Delivery::Whole, Delivery::Parts] {
            assert_eq!(play([3, 17], delivery), None);
            assert_eq!(play([4, 10], delivery), Some(Violation::TooManyEmptyFragments));
        }
        assert_eq!(play([3, 18], Delivery::Whole), Some(Violation::TooManyFragments));
        assert_eq!(play([3, 18], Delivery::Parts), None, "where nothing is left of a fragment");
    }
}

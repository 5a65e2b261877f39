//! What brought other engines down, sent to the core: each test is named after what it sends.
//!
//! The rows that need a socket or a handshake are tested where those are, those of compression in a module of their own.
//! Memory is what this thread allocates, counted by the allocator; work is what grows with the input, counted in
//! allocated bytes. Nothing here is timed.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "what a test cannot go on without fails it"
)]

#[cfg(feature = "deflate")]
#[path = "incidents_core/compressed.rs"]
mod compressed;
mod support;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use allocation_counter::{AllocationInfo, measure};
use tautline::frame::Role;
use tautline::handshake::Agreed;
use tautline::{CloseCode, Connection, Delivery, Event, Expired, Limits, Violation};

use support::drive::{Outcome, Seen, connection, receive, run};
use support::frames::{begun, close_body, frame, header, mask_bit, parse_all, unmasked};

const ROLES: [Role; 2] = [Role::Client, Role::Server];

fn fresh(role: Role) -> Connection {
    connection(role, &Limits::default(), Delivery::Whole)
}

/// Takes all events of these bytes; how many there were, and what allocating they cost.
fn measured(ws: &mut Connection, bytes: &mut [u8]) -> (Result<usize, Violation>, AllocationInfo) {
    let now = Instant::now();
    let mut events = Ok(0);
    let info = measure(|| {
        let mut incoming = ws.receive(now, bytes);
        events = loop {
            match incoming.next() {
                Ok(Some(_)) => events = events.map(|count| count + 1),
                Ok(None) => break events,
                Err(violation) => break Err(violation),
            }
        };
    });
    (events, info)
}

/// The close frame that answers a violation allocates its own body, and a box to owe it in. Nothing else may.
const CLOSE_FRAME_BYTES_MAX: u64 = 512;

#[track_caller]
fn assert_refused_for_nothing(role: Role, mut bytes: Vec<u8>, violation: Violation) {
    let (events, info) = measured(&mut fresh(role), &mut bytes);
    assert_eq!(events, Err(violation), "{bytes:02x?}");
    assert!(info.bytes_max <= CLOSE_FRAME_BYTES_MAX, "{info:?} for {bytes:02x?}");
    assert_eq!(run(fresh(role), bytes.chunks(1)).violation, Some(violation), "byte by byte");
}

// gorilla CVE-2020-27813, Tomcat CVE-2020-13935, undici CVE-2026-1528
#[test]
fn lengths_with_the_top_bit_set_or_that_wrap_with_their_header() {
    for role in ROLES {
        let bit = mask_bit(role.peer());
        for length in [1 << 63, u64::MAX - 14, u64::MAX - 3, u64::MAX - 1, u64::MAX] {
            for first in [0x81, 0x82, 0x01] {
                let bytes = [&[first, 127 | bit][..], &length.to_be_bytes()].concat();
                assert_refused_for_nothing(role, bytes, Violation::LengthOutOfRange);
            }
        }
        for length in [i64::MAX as u64, i64::MAX as u64 - 13] {
            let bytes = header(role.peer(), 0x82, length);
            assert_refused_for_nothing(role, bytes, Violation::MessageTooBig);
        }
    }
}

// gorilla CVE-2020-27813, Tomcat CVE-2020-13935, undici CVE-2026-1528
#[test]
fn fragments_whose_lengths_wrap_when_they_are_added() {
    let mut no_limit = Limits::default();
    no_limit.message_bytes_max = usize::MAX;
    for role in ROLES {
        let sender = role.peer();
        let fragments =
            [frame(sender, 0x02, &[1; 100]), header(sender, 0x00, i64::MAX as u64)].concat();
        let outcome = run(fresh(role), [&fragments[..]]);
        assert_eq!(outcome.violation, Some(Violation::MessageTooBig));

        // Without a limit the announcement is believed, and still nothing is allocated for it.
        let mut ws = connection(role, &no_limit, Delivery::Whole);
        let mut fragments = fragments;
        let (events, info) = measured(&mut ws, &mut fragments);
        assert_eq!(events, Ok(0));
        assert!(info.bytes_max < 1_000, "{info:?}");
    }
}

// Jetty CVE-2026-19204
#[test]
fn an_unknown_opcode_with_a_huge_length() {
    for role in ROLES {
        for opcode in (3..=7).chain(11..=15) {
            let bytes = header(role.peer(), 0x80 | opcode, i64::MAX as u64);
            assert_refused_for_nothing(role, bytes, Violation::ReservedOpcode(opcode));
        }
    }
}

// ws CVE-2016-10542, uWebSockets CVE-2016-10544
#[test]
fn a_payload_over_the_limit_is_refused_at_its_header() {
    for role in ROLES {
        for length in [1024 * 1024 + 1, 16 << 20, 1 << 40] {
            let bytes = header(role.peer(), 0x82, length);
            assert_refused_for_nothing(role, bytes, Violation::MessageTooBig);
        }
        let bytes = header(role.peer(), 0x82, 1024 * 1024);
        assert_eq!(run(fresh(role), [&bytes[..]]), Outcome::default(), "the limit itself is fine");
    }
}

/// Sends the same run of frames again and again until it is refused; how often, with what, and the most memory that
/// was held at once.
fn flood(ws: &mut Connection, run: &[u8], times: usize) -> (usize, Option<Violation>, u64) {
    let mut buffer = run.to_vec();
    let (mut sent, mut violation) = (0, None);
    let info = measure(|| {
        while sent < times && violation.is_none() {
            buffer.copy_from_slice(run);
            let mut incoming = ws.receive(Instant::now(), &mut buffer);
            violation = loop {
                match incoming.next() {
                    Ok(Some(_)) => {}
                    Ok(None) => break None,
                    Err(violation) => break Some(violation),
                }
            };
            sent += 1;
        }
    });
    (sent, violation, info.bytes_max)
}

// ws CVE-2026-48779, #2329, #2331; libsoup CVE-2025-32049; Bandit CVE-2026-65623
#[test]
fn a_million_fragments_of_one_byte() {
    for (opcode, byte) in [(0x02, 0), (0x01, b'a')] {
        let mut ws = fresh(Role::Server);
        receive(&mut ws, &frame(Role::Client, opcode, &[byte]), &mut Outcome::default());
        let (sent, violation, held) =
            flood(&mut ws, &frame(Role::Client, 0x00, &[byte]), 1_000_000);
        assert_eq!((sent, violation), (131_072, Some(Violation::TooManyFragments)));
        assert!(held <= 4 * 131_072, "{held} bytes for 131,072 of payload");
    }
}

// ws CVE-2026-48779, #2329, #2331; libsoup CVE-2025-32049; Bandit CVE-2026-65623
#[test]
fn two_hundred_thousand_empty_fragments() {
    for delivery in [Delivery::Whole, Delivery::Parts] {
        let mut ws = connection(Role::Server, &Limits::default(), delivery);
        receive(&mut ws, &frame(Role::Client, 0x01, b""), &mut Outcome::default());
        let (sent, violation, held) = flood(&mut ws, &frame(Role::Client, 0x00, b""), 200_000);
        assert_eq!((sent, violation), (64, Some(Violation::TooManyEmptyFragments)));
        assert!(held <= CLOSE_FRAME_BYTES_MAX, "{held} bytes");
    }
}

// ws CVE-2026-48779, #2329, #2331; libsoup CVE-2025-32049; Bandit CVE-2026-65623
#[test]
fn a_message_that_never_ends() {
    let mut ws = fresh(Role::Server);
    receive(&mut ws, &frame(Role::Client, 0x02, b"x"), &mut Outcome::default());
    let (sent, violation, held) = flood(&mut ws, &frame(Role::Client, 0x00, &[7; 1024]), 1_000_000);
    assert_eq!((sent, violation), (1024, Some(Violation::MessageTooBig)));
    assert!(held <= 4 << 20, "{held} bytes for a limit of 1 MiB");

    // In parts it may go on for ever, since nothing is kept.
    let mut ws = connection(Role::Server, &Limits::default(), Delivery::Parts);
    receive(&mut ws, &frame(Role::Client, 0x02, b"x"), &mut Outcome::default());
    let (sent, violation, held) = flood(&mut ws, &frame(Role::Client, 0x00, &[7; 1024]), 10_000);
    assert_eq!((sent, violation), (10_000, None));
    assert!(held <= 1_024, "{held} bytes in parts");
}

// h2 0.4.16 to 0.4.18
#[test]
fn floods_of_tiny_frames_allocate_nothing_or_are_refused() {
    let whole = [
        frame(Role::Client, 0x82, b""),
        frame(Role::Client, 0x81, b"a"),
        frame(Role::Client, 0x8A, b""),
    ];
    let (sent, violation, held) = flood(&mut fresh(Role::Server), &whole.concat(), 100_000);
    assert_eq!(
        (sent, violation, held),
        (100_000, None, 0),
        "nothing is held for what is delivered at once"
    );

    let (sent, violation, held) =
        flood(&mut fresh(Role::Server), &frame(Role::Client, 0x89, b""), 100_000);
    let allowed = Limits::default().unanswered_pings_max as usize;
    assert_eq!((sent, violation), (allowed + 2, Some(Violation::TooManyPings)));
    assert!(held <= CLOSE_FRAME_BYTES_MAX, "{held} bytes");
}

// CivetWeb CVE-2026-29035
#[test]
fn frames_with_rsv1_of_every_length_around_the_end_of_a_buffer() {
    for role in ROLES {
        for around in [125, 4096, 0x1_0000] {
            for length in around - 20..=around + 20 {
                let mut bytes = frame(role.peer(), 0xC2, &vec![7; length]);
                bytes.truncate(around);
                let before = bytes.clone();
                let (events, _) = measured(&mut fresh(role), &mut bytes);
                assert_eq!(events, Err(Violation::ReservedBits), "{length} bytes");
                assert_eq!(bytes, before, "no byte is written");
            }
        }
    }
}

// ws CVE-2026-45736
#[test]
fn close_reasons_of_every_length_carry_no_byte_that_was_not_given() {
    for role in ROLES {
        for length in 0..=123 {
            let reason = "r".repeat(length);
            // A buffer that held something else before is what would leak.
            let mut out = vec![0xEE; 4096];
            out.clear();
            fresh(role).close(Instant::now(), CloseCode::NORMAL, &reason, &mut out).unwrap();
            assert_eq!(unmasked(&out, role), [(0x88, close_body(1000, &reason))]);
            let key_bytes = if role == Role::Client { 4 } else { 0 };
            assert_eq!(out.len(), 2 + key_bytes + 2 + length);

            let mut outcome = Outcome::default();
            let close = frame(role.peer(), 0x88, &close_body(1000, &reason));
            receive(&mut fresh(role), &[&close[..], &[0xEE; 64]].concat(), &mut outcome);
            assert_eq!(outcome.events, [Seen::Close(Some(CloseCode::NORMAL), reason)]);
            assert_eq!(unmasked(&outcome.out, role), [(0x88, close_body(1000, ""))]);
        }
    }
}

// curl CVE-2025-5399, Undertow CVE-2021-3690, coder 129d303
#[test]
fn pings_while_the_output_is_blocked_leave_one_pong_waiting() {
    for role in ROLES {
        let mut ws = fresh(role);
        let run = frame(role.peer(), 0x89, &[9; 125]);
        let (sent, violation, held) = flood(&mut ws, &run, 1_000);
        assert_eq!((sent, violation), (1_000, None));
        assert!(held <= 512, "{held} bytes for 1,000 pings of 125");
        let mut out = Vec::new();
        ws.flush(&mut out);
        assert_eq!(unmasked(&out, role), [(0x8A, vec![9; 125])]);
    }
}

// tungstenite, tokio-websockets (seen by probe)
#[test]
fn a_million_pings_from_a_peer_that_does_not_read() {
    let mut limits = Limits::default();
    limits.unanswered_pings_max = u32::MAX;
    let mut ws = connection(Role::Server, &limits, Delivery::Whole);
    let run = frame(Role::Client, 0x89, &[1; 16]).repeat(100);
    let (sent, violation, held) = flood(&mut ws, &run, 10_000);
    assert_eq!((sent, violation), (10_000, None), "without the limit that fails such a peer");
    assert!(held <= 512, "{held} bytes for a million pings");
}

// curl CVE-2025-10148
#[test]
fn frames_of_a_client_have_a_mask_each() {
    let mut ws = fresh(Role::Client);
    let mut out = Vec::new();
    for _ in 0..1_000 {
        ws.send("the same each time", &mut out).unwrap();
    }
    let frames = parse_all(&out, Role::Client);
    let keys: HashSet<_> = frames.iter().map(|frame| frame.1.unwrap()).collect();
    assert_eq!(keys.len(), 1_000);
    assert!(frames.iter().all(|frame| frame.2 == b"the same each time"));
}

// Tomcat CVE-2024-23672
#[test]
fn a_peer_that_never_answers_a_close_or_is_silent_or_half_open() {
    let second = Duration::from_secs(1);
    type Until = fn(&mut Connection, Instant, &mut Vec<u8>);
    let states: [(&str, Until); 7] = [
        ("silent", |_, _, _| {}),
        ("half a header", |ws, now, _| drop(ws.receive(now, &mut [0x82]).next())),
        ("half a payload", |ws, now, _| {
            drop(ws.receive(now, &mut begun(Role::Client, 0x82, 99, b"some")).next());
        }),
        ("half a message", |ws, now, _| {
            drop(ws.receive(now, &mut frame(Role::Client, 0x02, b"some")).next());
        }),
        ("our close unanswered", |ws, now, out| ws.close(now, CloseCode::NORMAL, "", out).unwrap()),
        ("its close answered", |ws, now, _| {
            drop(ws.receive(now, &mut frame(Role::Client, 0x88, b"")).next())
        }),
        ("a violation", |ws, now, _| drop(ws.receive(now, &mut [0xFF]).next())),
    ];
    for (name, until) in states {
        let (start, mut out) = (Instant::now(), Vec::new());
        let mut ws = Connection::server(&Agreed::default(), &Arc::new(Limits::default()), start);
        until(&mut ws, start, &mut out);
        let mut expired = Expired::Nothing;
        while !matches!(expired, Expired::PeerSilent | Expired::CloseUnanswered) {
            let now = ws.deadline().unwrap_or_else(|| panic!("{name}: no deadline"));
            assert!(now < start + 60 * second, "{name}: not cut within a minute");
            expired = ws.on_deadline(now, &mut out);
        }
    }
}

// uWebSockets (seen by probe)
#[test]
fn frames_of_each_length_form_cut_at_every_byte() {
    for role in ROLES {
        for length in [0, 1, 125, 126, 127, 300, 0xFFFF, 0x1_0000] {
            let payload: Vec<u8> = (0..length).map(|i| i as u8).collect();
            let bytes =
                [frame(role.peer(), 0x82, &payload), frame(role.peer(), 0x81, b"next")].concat();
            let expected = [Seen::binary(&payload), Seen::text("next")];
            let near_an_end =
                |cut: &usize| *cut < 20 || *cut + 30 > bytes.len() || cut.is_multiple_of(4_099);
            for cut in (0..=bytes.len()).filter(near_an_end) {
                let outcome = run(fresh(role), [&bytes[..cut], &bytes[cut..]]);
                assert_eq!(
                    (&outcome.events[..], outcome.violation),
                    (&expected[..], None),
                    "cut at {cut}"
                );
            }
        }
    }
}

// uWebSockets (seen by probe)
#[test]
fn an_unmasked_frame_and_then_a_masked_one() {
    let unmasked_frame = frame(Role::Server, 0x81, b"unmasked");
    let bytes = [unmasked_frame, frame(Role::Client, 0x81, b"masked")].concat();
    for runs in [vec![&bytes[..]], bytes.chunks(1).collect(), bytes.chunks(10).collect()] {
        let outcome = run(fresh(Role::Server), runs);
        assert_eq!((&outcome.events[..], outcome.violation), (&[][..], Some(Violation::Unmasked)));
        assert_eq!(outcome.out[2..4], 1002u16.to_be_bytes());
    }
}

// wslay (seen by probe)
#[test]
fn a_close_with_bad_utf8_whole_and_byte_by_byte() {
    for role in ROLES {
        for reason in [
            &b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80"[..],
            b"\xff",
            b"ok\xe2\x82",
        ] {
            let bytes = frame(role.peer(), 0x88, &[&close_body(1000, ""), reason].concat());
            for runs in [vec![&bytes[..]], bytes.chunks(1).collect()] {
                let outcome = run(fresh(role), runs);
                assert_eq!(
                    (&outcome.events[..], outcome.violation),
                    (&[][..], Some(Violation::InvalidUtf8))
                );
                assert_eq!(unmasked(&outcome.out, role), [(0x88, close_body(1007, "not UTF-8"))]);
            }
        }
    }
}

// fastwebsockets (seen by probe)
#[test]
fn text_not_final_then_text_not_final_then_a_continuation() {
    for role in ROLES {
        let [a, b, c] =
            [(0x01, b"a"), (0x01, b"b"), (0x80, b"c")].map(|it| frame(role.peer(), it.0, it.1));
        let outcome = run(fresh(role), [&a[..], &b, &c]);
        assert_eq!(
            (&outcome.events[..], outcome.violation),
            (&[][..], Some(Violation::MessageInterrupted))
        );
        let reason = Violation::MessageInterrupted.reason();
        assert_eq!(unmasked(&outcome.out, role), [(0x88, close_body(1002, reason))]);
    }
}

// Autobahn 9.3.1 at one peer: 30 s
#[test]
fn a_mebibyte_of_text_in_fragments_of_64_bytes() {
    let cost = |length: usize| {
        let text: String = "κόσμε😀".chars().cycle().take(length * 3 / 7).collect();
        let fragments = text.as_bytes().chunks(64);
        let last = fragments.len() - 1;
        let frames = fragments.enumerate().map(|(i, payload)| {
            let fin = if i == last { 0x80 } else { 0 };
            frame(Role::Client, fin | u8::from(i == 0), payload)
        });
        let mut bytes = frames.collect::<Vec<_>>().concat();
        let (events, info) = measured(&mut fresh(Role::Server), &mut bytes);
        assert_eq!(events, Ok(1));
        (text.len() as u64, info)
    };
    let (small_text, small) = cost(128 * 1024);
    let (text, info) = cost(1024 * 1024);
    // A fragment allocates nothing of its own. A buffer that doubles is filled at most twice over, and while it moves it is held in both places. One that is
    // made anew for each of the 16,384 fragments would cost 8,192 times the text.
    assert!(info.bytes_total <= 5 * text, "{info:?} for {text} bytes");
    assert!(
        info.count_total <= small.count_total + 10,
        "{} and {}",
        small.count_total,
        info.count_total
    );
    assert!(text > 7 * small_text);
    // What is kept between two fragments to judge the next by: no text that was judged already fits in here.
    assert!(size_of::<tautline::utf8::Utf8>() <= 8);
}

// The promise behind all of these: at rest, a connection owns nothing besides itself.
#[test]
fn whole_messages_are_received_without_allocating() {
    for role in ROLES {
        for delivery in [Delivery::Whole, Delivery::Parts] {
            let sender = role.peer();
            let mut bytes = [
                frame(sender, 0x81, "text é".as_bytes()),
                frame(sender, 0x82, &[5; 70_000]),
                frame(sender, 0x8A, b"pong"),
                frame(sender, 0x81, b""),
            ]
            .concat();
            let (events, info) =
                measured(&mut connection(role, &Limits::default(), delivery), &mut bytes);
            assert_eq!((events, info.count_total), (Ok(4), 0));
        }
    }
}

// The promise behind all of these: at rest, a connection owns nothing besides itself.
#[test]
fn between_two_messages_nothing_is_owned_however_they_were_cut() {
    for role in ROLES {
        let sender = role.peer();
        // Each ends between two messages, with a frame that the cuts make the receiver keep.
        let sequences = [
            frame(sender, 0x81, "in one frame é".as_bytes()),
            frame(sender, 0x82, &[5; 500]),
            frame(sender, 0x89, b"ping"),
            frame(sender, 0x8A, &[b'p'; 125]),
            [frame(sender, 0x01, "fragments é".as_bytes()), frame(sender, 0x80, b"end")].concat(),
            [
                frame(sender, 0x02, b"fragments"),
                frame(sender, 0x89, b"between"),
                frame(sender, 0x00, b""),
                frame(sender, 0x80, &[b'x'; 5_000]),
            ]
            .concat(),
        ];
        for delivery in [Delivery::Whole, Delivery::Parts] {
            for bytes in &sequences {
                let connections = [(); 2].map(|()| connection(role, &Limits::default(), delivery));
                let [mut first, mut second] = connections;
                for run_bytes in (1..20).chain([100, 500, 10_000]) {
                    assert_own_nothing_after([&mut first, &mut second], bytes, run_bytes);
                }
            }
        }
    }
}

// What a connection is lent for an unfinished frame, the thread keeps: had the first connection not given it back, the
// second would have to allocate.
fn assert_own_nothing_after([first, second]: [&mut Connection; 2], bytes: &[u8], run_bytes: usize) {
    let mut out = Vec::with_capacity(4_096);
    receive_in_runs(first, bytes, run_bytes, &mut out);
    let info = measure(|| {
        receive_in_runs(first, bytes, run_bytes, &mut out);
        receive_in_runs(second, bytes, run_bytes, &mut out);
    });
    assert_eq!((info.count_current, info.bytes_current), (0, 0), "runs of {run_bytes} bytes");
}

fn receive_in_runs(ws: &mut Connection, bytes: &[u8], run_bytes: usize, out: &mut Vec<u8>) {
    out.clear();
    for run in bytes.to_vec().chunks_mut(run_bytes) {
        let mut incoming = ws.receive(Instant::now(), run);
        while let Some((event, sender)) = incoming.next().unwrap() {
            assert!(!matches!(event, Event::Close(_)));
            sender.flush(out);
        }
    }
}

// The promise behind all of these: at rest, a connection owns nothing besides itself.
#[test]
fn after_a_close_or_a_violation_nothing_is_owned_either() {
    for end in [frame(Role::Client, 0x88, &close_body(1000, "bye")), vec![0x83]] {
        let bytes = [frame(Role::Client, 0x01, b"unfinished"), end].concat();
        for run_bytes in 1..bytes.len() {
            let (mut ws, mut bytes) = (fresh(Role::Server), bytes.clone());
            let mut out = Vec::with_capacity(4_096);
            let info = measure(|| {
                for run in bytes.chunks_mut(run_bytes) {
                    let mut incoming = ws.receive(Instant::now(), run);
                    while let Ok(Some(_)) = incoming.next() {}
                }
                ws.flush(&mut out);
            });
            assert_eq!(
                (info.count_current, info.bytes_current),
                (0, 0),
                "runs of {run_bytes} bytes"
            );
        }
    }
}

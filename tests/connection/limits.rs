//! What is just within each limit; what is just beyond is a row of [`violations`](super::violations).

use std::time::Instant;

use allocation_counter::measure;
use tautline::frame::Role;
use tautline::{Delivery, Limits, OwnedMessage, Violation};

use super::ROLES;
use super::support::drive::{Outcome, Seen, connection, gathered, receive, run};
use super::support::frames::{close_body, frame, unmasked};

fn limits(change: impl FnOnce(&mut Limits)) -> Limits {
    let mut limits = Limits::default();
    change(&mut limits);
    limits
}

/// A message in fragments of these payloads.
fn fragments(sender: Role, payloads: &[&[u8]]) -> Vec<u8> {
    let last = payloads.len() - 1;
    let frames = payloads.iter().enumerate().map(|(i, payload)| {
        let fin = if i == last { 0x80 } else { 0 };
        let opcode = if i == 0 { 0x2 } else { 0 };
        frame(sender, fin | opcode, payload)
    });
    frames.collect::<Vec<_>>().concat()
}

#[test]
fn a_message_of_exactly_the_limit_is_delivered_in_one_frame_and_in_many() {
    let limits = limits(|it| it.message_bytes_max = 300);
    let data = [7; 300];
    for role in ROLES {
        let sender = role.peer();
        let cut_up: &[&[&[u8]]] =
            &[&[&data], &[&data[..299], &data[299..]], &[&data, b""], &[b"", &data]];
        for payloads in cut_up {
            let bytes = fragments(sender, payloads);
            let outcome = run(connection(role, &limits, Delivery::Whole), [&bytes[..]]);
            assert_eq!(
                outcome,
                Outcome { events: vec![Seen::binary(&data)], ..Outcome::default() }
            );
        }
    }
}

#[test]
fn a_limit_holds_for_each_message_and_not_for_all_together() {
    let limits = limits(|it| {
        it.message_bytes_max = 4;
        it.fragments_max = 4;
        it.empty_fragments_max = 2;
    });
    let bytes = fragments(Role::Client, &[b"ab", b"", b"", b"cd"]).repeat(20);
    let outcome = run(connection(Role::Server, &limits, Delivery::Whole), [&bytes[..]]);
    assert_eq!(outcome.violation, None);
    assert_eq!(outcome.events, vec![Seen::binary(b"abcd"); 20]);
}

#[test]
fn control_frames_count_against_no_limit_of_a_message() {
    let limits = limits(|it| {
        it.message_bytes_max = 2;
        it.fragments_max = 2;
        it.empty_fragments_max = 0;
    });
    let pong = frame(Role::Client, 0x8A, &[1; 125]);
    let bytes =
        [frame(Role::Client, 0x02, b"a"), pong.repeat(9), frame(Role::Client, 0x80, b"b")].concat();
    let outcome = run(connection(Role::Server, &limits, Delivery::Whole), [&bytes[..]]);
    assert_eq!(outcome.violation, None);
    assert_eq!(outcome.events.last(), Some(&Seen::binary(b"ab")));
    assert_eq!(outcome.events.len(), 10);
}

#[test]
fn an_empty_message_is_a_message_also_where_no_empty_fragment_is_allowed() {
    let limits = limits(|it| {
        it.message_bytes_max = 0;
        it.fragments_max = 0;
        it.empty_fragments_max = 0;
    });
    for delivery in [Delivery::Whole, Delivery::Parts] {
        let bytes = frame(Role::Client, 0x82, b"").repeat(100);
        let outcome = run(connection(Role::Server, &limits, delivery), [&bytes[..]]);
        assert_eq!(outcome.violation, None);
        assert_eq!(gathered(outcome.events), vec![Seen::binary(b""); 100]);
    }
}

#[test]
fn an_empty_last_fragment_is_not_one_of_the_empty_fragments_that_are_counted() {
    let limits = limits(|it| it.empty_fragments_max = 0);
    for delivery in [Delivery::Whole, Delivery::Parts] {
        let bytes = fragments(Role::Client, &[b"all", b""]).repeat(3);
        let outcome = run(connection(Role::Server, &limits, delivery), [&bytes[..]]);
        assert_eq!(outcome.violation, None);
        assert_eq!(gathered(outcome.events), vec![Seen::binary(b"all"); 3]);
    }
}

#[test]
fn in_parts_a_message_may_have_any_size_and_any_number_of_fragments_but_few_empty_ones() {
    let limits = limits(|it| {
        it.message_bytes_max = 1;
        it.fragments_max = 1;
        it.empty_fragments_max = 2;
    });
    let mut payloads: Vec<&[u8]> = vec![b"abc"; 1_000];
    payloads[500] = b"";
    payloads[501] = b"";
    let bytes = fragments(Role::Client, &payloads);
    let outcome = run(connection(Role::Server, &limits, Delivery::Parts), [&bytes[..]]);
    assert_eq!(outcome.violation, None);
    assert_eq!(gathered(outcome.events), [Seen::binary(&b"abc".repeat(998))]);

    payloads[502] = b"";
    let bytes = fragments(Role::Client, &payloads);
    let outcome = run(connection(Role::Server, &limits, Delivery::Parts), [&bytes[..]]);
    assert_eq!(outcome.violation, Some(Violation::TooManyEmptyFragments));
}

#[test]
fn pings_whose_answers_are_not_flushed_are_counted_and_the_one_beyond_the_limit_fails_the_connection()
 {
    let limits = limits(|it| it.unanswered_pings_max = 3);
    for role in ROLES {
        let mut ws = connection(role, &limits, Delivery::Whole);
        let mut pings: Vec<u8> = (0..9).flat_map(|i| frame(role.peer(), 0x89, &[i])).collect();
        let mut incoming = ws.receive(Instant::now(), &mut pings);
        // One waits; three may be superseded by a newer one; the fifth is beyond.
        for i in 0..5 {
            let (event, _) = incoming.next().unwrap().unwrap();
            assert_eq!(Seen::from(event), Seen::Ping(vec![i]));
        }
        assert_eq!(incoming.next().err(), Some(Violation::TooManyPings));
        assert_eq!(incoming.next().err(), Some(Violation::TooManyPings));
        let mut out = Vec::new();
        ws.flush(&mut out);
        let close = close_body(1008, Violation::TooManyPings.reason());
        assert_eq!(unmasked(&out, role), [(0x8A, vec![4]), (0x88, close)]);
        assert_eq!(ws.receive(Instant::now(), &mut []).next().err(), Some(Violation::TooManyPings));
    }
}

#[test]
fn pings_that_come_between_the_flushes_are_never_too_many() {
    let limits = limits(|it| it.unanswered_pings_max = 0);
    let pings = frame(Role::Client, 0x89, b"?").repeat(50);
    let outcome = run(connection(Role::Server, &limits, Delivery::Whole), [&pings[..]]);
    assert_eq!((outcome.violation, outcome.events.len()), (None, 50));
    assert_eq!(unmasked(&outcome.out, Role::Server), vec![(0x8A, b"?".to_vec()); 50]);
}

#[test]
fn pings_inside_a_message_are_counted_over_runs_of_bytes() {
    let limits = limits(|it| it.unanswered_pings_max = 10);
    let mut ws = connection(Role::Server, &limits, Delivery::Whole);
    let mut seen = 0;
    let mut violation = None;
    receive(&mut ws, &frame(Role::Client, 0x01, b"open"), &mut Outcome::default());
    for _ in 0..100 {
        let mut ping = frame(Role::Client, 0x89, b"");
        let mut incoming = ws.receive(Instant::now(), &mut ping);
        while violation.is_none() {
            match incoming.next() {
                Ok(Some(_)) => seen += 1,
                Ok(None) => break,
                Err(error) => violation = Some(error),
            }
        }
    }
    assert_eq!((seen, violation), (12, Some(Violation::TooManyPings)));
}

#[test]
fn a_limit_of_all_that_fits_in_memory_does_not_overflow() {
    let limits = limits(|it| {
        it.message_bytes_max = usize::MAX;
        it.fragments_max = u32::MAX;
        it.empty_fragments_max = u32::MAX;
    });
    let huge = super::support::frames::begun(Role::Client, 0x00, i64::MAX as u64, b"c");
    let bytes = [frame(Role::Client, 0x02, b"ab"), huge].concat();
    let outcome = run(connection(Role::Server, &limits, Delivery::Whole), [&bytes[..]]);
    assert_eq!((outcome.events, outcome.violation), (vec![], None));
    let wrapping = fragments(Role::Client, &[b"ab", b"cd"]);
    let outcome = run(connection(Role::Server, &limits, Delivery::Whole), [&wrapping[..]]);
    assert_eq!(outcome.events, [Seen::Message(OwnedMessage::Binary(b"abcd".to_vec()))]);
}

// Buffers are lent from message to message: a long one of another connection may not come to stand behind a short
// limit.
#[test]
fn what_a_message_is_gathered_in_is_no_longer_than_the_limit_of_its_connection() {
    let unfinished = |limit: usize, payload_bytes: usize| {
        let limits = limits(|it| it.message_bytes_max = limit);
        let mut ws = connection(Role::Server, &limits, Delivery::Whole);
        let bytes = frame(Role::Client, 0x82, &vec![7; payload_bytes]);
        let (half, rest) = bytes.split_at(bytes.len() / 2);
        let mut outcome = Outcome::default();
        let info = measure(|| receive(&mut ws, half, &mut outcome));
        assert!(outcome.events.is_empty());
        (ws, rest.to_vec(), info.bytes_current)
    };
    let (mut large, rest, _) = unfinished(1 << 20, 1 << 20);
    let mut outcome = Outcome::default();
    receive(&mut large, &rest, &mut outcome);
    assert_eq!(outcome.events.len(), 1);
    // The buffer of a megabyte is there to be lent; this one takes as much memory as it needs instead.
    let (_small, _, owned) = unfinished(1024, 1000);
    assert!((400..2048).contains(&owned), "{owned} bytes");
}

#[test]
fn what_a_message_is_gathered_in_is_no_longer_than_its_frames_have_announced() {
    let bytes = frame(Role::Client, 0x82, &[7; 60_000]);
    let mut ws = connection(Role::Server, &Limits::default(), Delivery::Whole);
    let mut outcome = Outcome::default();
    // The second run makes the buffer grow, which would else be to twice its length.
    let info = measure(|| {
        receive(&mut ws, &bytes[..40_000], &mut outcome);
        receive(&mut ws, &bytes[40_000..41_000], &mut outcome);
    });
    assert!((40_000..62_000).contains(&info.bytes_current), "{} bytes", info.bytes_current);
    receive(&mut ws, &bytes[41_000..], &mut outcome);
    assert_eq!(outcome.events, [Seen::binary(&[7; 60_000])]);
}

//! Pings are answered: each, or the newest where the output is blocked.

use std::time::Instant;

use tautline::{CloseCode, Delivery, Limits};

use super::ROLES;
use super::support::drive::{Seen, connection, run};
use super::support::frames::{close_body, frame, unmasked};

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.2
//# Upon receipt of a Ping frame, an endpoint MUST send a Pong frame in
//# response, unless it already received a Close frame.
//= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.3
//# A Pong frame sent in response to a Ping frame must have identical
//# "Application data" as found in the message body of the Ping frame
//# being replied to.
#[test]
fn a_ping_of_every_length_is_answered_with_what_it_carried() {
    for role in ROLES {
        for length in 0..=125 {
            let payload: Vec<u8> = (0..length).map(|i| i * 2).collect();
            let ping = frame(role.peer(), 0x89, &payload);
            for runs in [vec![&ping[..]], ping.chunks(1).collect()] {
                let outcome = run(connection(role, &Limits::default(), Delivery::Whole), runs);
                assert_eq!(outcome.events, [Seen::Ping(payload.clone())]);
                assert_eq!(unmasked(&outcome.out, role), [(0x8A, payload.clone())]);
            }
        }
    }
}

#[test]
fn with_a_flush_after_each_event_every_ping_is_answered_in_order() {
    for role in ROLES {
        let pings: Vec<u8> = (0..100).flat_map(|i| frame(role.peer(), 0x89, &[i])).collect();
        let outcome = run(connection(role, &Limits::default(), Delivery::Whole), [&pings[..]]);
        let pongs: Vec<_> = (0..100).map(|i| (0x8A, vec![i])).collect();
        assert_eq!(unmasked(&outcome.out, role), pongs);
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.3
//# If an endpoint receives a Ping frame and has not yet sent Pong
//# frame(s) in response to previous Ping frame(s), the endpoint MAY
//# elect to send a Pong frame for only the most recently processed Ping
//# frame.
#[test]
fn without_a_flush_only_the_newest_ping_is_answered() {
    for role in ROLES {
        let mut ws = connection(role, &Limits::default(), Delivery::Whole);
        let mut pings: Vec<u8> = (0..100).flat_map(|i| frame(role.peer(), 0x89, &[i])).collect();
        let mut out = Vec::new();
        for run in pings.chunks_mut(250) {
            let mut incoming = ws.receive(Instant::now(), run);
            while incoming.next().unwrap().is_some() {}
        }
        ws.flush(&mut out);
        ws.flush(&mut out);
        assert_eq!(unmasked(&out, role), [(0x8A, vec![99])]);
    }
}

#[test]
fn an_answer_that_is_owed_goes_before_the_next_message() {
    for role in ROLES {
        let mut ws = connection(role, &Limits::default(), Delivery::Whole);
        let (mut ping, mut out) = (frame(role.peer(), 0x89, b"?"), Vec::new());
        ws.receive(Instant::now(), &mut ping).next().unwrap();
        ws.send("then", &mut out).unwrap();
        assert_eq!(unmasked(&out, role), [(0x8A, b"?".to_vec()), (0x81, b"then".to_vec())]);
    }
}

#[test]
fn a_ping_after_our_close_frame_is_answered_as_long_as_the_peer_has_sent_none() {
    for role in ROLES {
        let mut ws = connection(role, &Limits::default(), Delivery::Whole);
        let close = frame(role.peer(), 0x88, &close_body(1000, ""));
        let ping = frame(role.peer(), 0x89, b"?");
        let (mut bytes, mut out) = ([&ping[..], &close, &ping].concat(), Vec::new());
        ws.close(Instant::now(), CloseCode::NORMAL, "", &mut out).unwrap();
        let mut events = ws.receive(Instant::now(), &mut bytes);
        while events.next().unwrap().is_some() {}
        ws.flush(&mut out);
        let expected = [(0x88, close_body(1000, "")), (0x8A, b"?".to_vec())];
        assert_eq!(unmasked(&out, role), expected);
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-6.2
//# If a control frame (Section 5.5) is
//# received, the frame MUST be handled as defined by Section 5.5.
#[test]
fn a_pong_that_nobody_asked_for_is_delivered_and_not_answered() {
    for role in ROLES {
        let pong = frame(role.peer(), 0x8A, b"beat");
        let outcome = run(connection(role, &Limits::default(), Delivery::Whole), [&pong[..]]);
        assert_eq!(outcome.events, [Seen::Pong(b"beat".to_vec())]);
        assert_eq!((outcome.out, outcome.violation), (vec![], None));
    }
}

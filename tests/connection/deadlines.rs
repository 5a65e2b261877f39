//! Time as an argument: what is due when. Nothing here sleeps.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tautline::frame::Role;
use tautline::handshake::Agreed;
use tautline::{CloseCode, Connection, Event, Expired, Limits};

use super::support::frames::{close_body, frame, unmasked};

const SECOND: Duration = Duration::from_secs(1);

/// A server with a ping after 10 s, a pong within 3 s, a close within 5 s; and when it began.
fn server(idle_after: Option<Duration>) -> (Connection, Instant) {
    let mut limits = Limits::default();
    limits.ping_after = Some(10 * SECOND);
    limits.pong_within = 3 * SECOND;
    limits.close_within = 5 * SECOND;
    limits.idle_after = idle_after;
    let start = Instant::now();
    (Connection::server(&Agreed::default(), &Arc::new(limits), start), start)
}

/// Gives the connection a frame, and takes all events.
fn hear(ws: &mut Connection, now: Instant, first: u8, payload: &[u8]) {
    let mut bytes = frame(Role::Client, first, payload);
    let mut incoming = ws.receive(now, &mut bytes);
    while matches!(incoming.next(), Ok(Some(_))) {}
}

/// Calls `on_deadline` just before the deadline, where nothing may happen, and at it.
#[track_caller]
fn expire(ws: &mut Connection, out: &mut Vec<u8>, at: Instant) -> Expired {
    assert_eq!(ws.deadline(), Some(at));
    let written = out.len();
    assert_eq!(ws.on_deadline(at - Duration::from_nanos(1), out), Expired::Nothing);
    assert_eq!((ws.deadline(), out.len()), (Some(at), written), "too early is of no effect");
    ws.on_deadline(at, out)
}

#[test]
fn a_silent_peer_is_asked_and_then_cut() {
    let ((mut ws, start), mut out) = (server(None), Vec::new());
    assert_eq!(expire(&mut ws, &mut out, start + 10 * SECOND), Expired::Asked);
    assert_eq!(out, b"\x89\x00");
    assert_eq!(expire(&mut ws, &mut out, start + 13 * SECOND), Expired::PeerSilent);
    assert_eq!(out, b"\x89\x00", "no close frame: nobody would read it");
}

#[test]
fn any_byte_of_the_peer_is_a_sign_of_life() {
    let ((mut ws, start), mut out) = (server(None), Vec::new());
    hear(&mut ws, start + 4 * SECOND, 0x8A, b"");
    assert_eq!(expire(&mut ws, &mut out, start + 14 * SECOND), Expired::Asked);
    let mut half_a_header = [0x81];
    assert_eq!(
        ws.receive(start + 15 * SECOND, &mut half_a_header).next().unwrap().map(|_| ()),
        None
    );
    assert_eq!(expire(&mut ws, &mut out, start + 25 * SECOND), Expired::Asked);
}

#[test]
fn no_bytes_are_no_sign_of_life() {
    let ((mut ws, start), mut out) = (server(None), Vec::new());
    assert!(ws.receive(start + 4 * SECOND, &mut []).next().unwrap().is_none());
    assert_eq!(expire(&mut ws, &mut out, start + 10 * SECOND), Expired::Asked);
}

#[test]
fn a_deadline_that_is_noticed_late_counts_from_then() {
    let ((mut ws, start), mut out) = (server(None), Vec::new());
    assert_eq!(ws.on_deadline(start + 60 * SECOND, &mut out), Expired::Asked);
    assert_eq!(expire(&mut ws, &mut out, start + 63 * SECOND), Expired::PeerSilent);
}

#[test]
fn a_peer_that_only_answers_pings_is_idle_and_is_told_so() {
    let ((mut ws, start), mut out) = (server(Some(12 * SECOND)), Vec::new());
    assert_eq!(expire(&mut ws, &mut out, start + 10 * SECOND), Expired::Asked);
    hear(&mut ws, start + 11 * SECOND, 0x8A, b"");
    hear(&mut ws, start + 11 * SECOND, 0x89, b"me too");
    out.clear();
    assert_eq!(expire(&mut ws, &mut out, start + 12 * SECOND), Expired::Idle);
    let expected = [(0x8A, b"me too".to_vec()), (0x88, close_body(1001, "idle"))];
    assert_eq!(unmasked(&out, Role::Server), expected);
    assert_eq!(expire(&mut ws, &mut out, start + 17 * SECOND), Expired::CloseUnanswered);
}

#[test]
fn a_message_or_a_part_of_one_is_not_idle() {
    let ((mut ws, start), mut out) = (server(Some(4 * SECOND)), Vec::new());
    hear(&mut ws, start + 3 * SECOND, 0x81, b"hi");
    assert_eq!(ws.deadline(), Some(start + 7 * SECOND));
    ws.set_delivery(tautline::Delivery::Parts);
    hear(&mut ws, start + 6 * SECOND, 0x01, b"so");
    assert_eq!(expire(&mut ws, &mut out, start + 10 * SECOND), Expired::Idle);
}

#[test]
fn a_peer_that_never_answers_our_close_is_cut_whatever_else_it_sends() {
    let ((mut ws, start), mut out) = (server(None), Vec::new());
    ws.close(start + SECOND, CloseCode::NORMAL, "", &mut out).unwrap();
    for second in 2..6 {
        hear(&mut ws, start + second * SECOND, 0x81, b"still here");
        assert!(ws.close(start + second * SECOND, CloseCode::NORMAL, "", &mut out).is_err());
    }
    assert_eq!(expire(&mut ws, &mut out, start + 6 * SECOND), Expired::CloseUnanswered);
}

#[test]
fn a_close_that_is_sent_in_answer_to_an_event_has_the_same_deadline() {
    let ((mut ws, start), mut out) = (server(None), Vec::new());
    let mut bytes = frame(Role::Client, 0x81, b"quit");
    let mut incoming = ws.receive(start + SECOND, &mut bytes);
    let (event, sender) = incoming.next().unwrap().unwrap();
    assert!(matches!(event, Event::Message(_)));
    sender.close(CloseCode::NORMAL, "bye", &mut out).unwrap();
    assert_eq!(ws.deadline(), Some(start + 6 * SECOND));
    for second in 2..6 {
        hear(&mut ws, start + second * SECOND, 0x81, b"still here");
    }
    assert_eq!(expire(&mut ws, &mut out, start + 6 * SECOND), Expired::CloseUnanswered);
    assert_eq!(out, b"\x88\x05\x03\xe8bye");
}

#[test]
fn what_answers_or_breaks_our_close_does_not_extend_its_deadline() {
    for (first, payload) in [(0x88, &b""[..]), (0x83, b"")] {
        let ((mut ws, start), mut out) = (server(None), Vec::new());
        ws.close(start + SECOND, CloseCode::NORMAL, "", &mut out).unwrap();
        hear(&mut ws, start + 3 * SECOND, first, payload);
        assert!(ws.is_over());
        assert_eq!(expire(&mut ws, &mut out, start + 6 * SECOND), Expired::CloseUnanswered);
    }
}

#[test]
fn after_a_close_of_the_peer_and_after_a_violation_the_socket_has_the_same_deadline() {
    for (first, payload) in [(0x88, &b""[..]), (0x83, b"")] {
        let ((mut ws, start), mut out) = (server(Some(SECOND)), Vec::new());
        hear(&mut ws, start + 2 * SECOND, first, payload);
        ws.flush(&mut out);
        assert!(ws.is_over());
        let closed = out.clone();
        assert_eq!(expire(&mut ws, &mut out, start + 7 * SECOND), Expired::CloseUnanswered);
        assert_eq!(out, closed, "nothing follows the close frame");
    }
}

#[test]
fn without_limits_on_time_nothing_is_ever_due_until_a_close() {
    let mut limits = Limits::default();
    limits.ping_after = None;
    limits.idle_after = None;
    let (start, mut out) = (Instant::now(), Vec::new());
    let mut ws = Connection::client(&Agreed::default(), &Arc::new(limits), start, || [0; 4]);
    assert_eq!(ws.deadline(), None);
    assert_eq!(ws.on_deadline(start + 1_000_000 * SECOND, &mut out), Expired::Nothing);
    assert!(out.is_empty());
    ws.close(start, CloseCode::NORMAL, "", &mut out).unwrap();
    assert_eq!(ws.deadline(), Some(start + Limits::default().close_within));
}

#[test]
fn limits_too_far_to_be_reached_are_never_reached() {
    let mut limits = Limits::default();
    limits.ping_after = Some(Duration::MAX);
    limits.idle_after = Some(Duration::MAX);
    let start = Instant::now();
    let mut ws = Connection::server(&Agreed::default(), &Arc::new(limits), start);
    assert_eq!(ws.deadline(), None);
    assert_eq!(ws.on_deadline(start + 1_000_000 * SECOND, &mut Vec::new()), Expired::Nothing);
}

//! The closing handshake, from each end and from both.

use std::time::Instant;

use tautline::frame::Role;
use tautline::{CloseCode, Connection, Delivery, Limits, SendError};

use super::ROLES;
use super::support::drive::{Outcome, Seen, connection, receive};
use super::support::frames::{close_body, frame, unmasked};

fn fresh(role: Role) -> Connection {
    connection(role, &Limits::default(), Delivery::Whole)
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1
//# If an endpoint receives a Close frame and did not previously send a
//# Close frame, the endpoint MUST send a Close frame in response.
//= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1
//# After both sending and receiving a Close message, an endpoint
//# considers the WebSocket connection closed and MUST close the
//# underlying TCP connection.
#[test]
fn a_close_of_the_peer_is_answered_with_its_code_and_the_connection_is_over() {
    for role in ROLES {
        for code in [1000, 1001, 1003, 1007, 1011, 1014, 3000, 4999] {
            let (mut ws, mut outcome) = (fresh(role), Outcome::default());
            assert!(!ws.is_over() && !ws.is_closing());
            receive(&mut ws, &frame(role.peer(), 0x88, &close_body(code, "because")), &mut outcome);
            assert_eq!(outcome.events, [Seen::Close(CloseCode::new(code), "because".into())]);
            assert_eq!(unmasked(&outcome.out, role), [(0x88, close_body(code, ""))]);
            assert!(ws.is_over() && ws.is_closing());
        }
    }
}

#[test]
fn our_close_is_over_when_the_peer_answers_it_and_messages_may_come_until_then() {
    for role in ROLES {
        let (mut ws, mut outcome) = (fresh(role), Outcome::default());
        ws.close(Instant::now(), CloseCode::GOING_AWAY, "bye", &mut outcome.out).unwrap();
        assert!(!ws.is_over() && ws.is_closing());
        receive(&mut ws, &frame(role.peer(), 0x81, b"under way"), &mut outcome);
        assert!(!ws.is_over());
        receive(&mut ws, &frame(role.peer(), 0x88, &close_body(1001, "")), &mut outcome);
        assert!(ws.is_over());
        let close = Seen::Close(Some(CloseCode::GOING_AWAY), String::new());
        assert_eq!(outcome.events, [Seen::text("under way"), close]);
        assert_eq!(
            unmasked(&outcome.out, role),
            [(0x88, close_body(1001, "bye"))],
            "one close frame"
        );
    }
}

#[test]
fn closes_that_cross_each_other_end_both_ends_with_one_frame_each() {
    let (mut client, mut server) = (fresh(Role::Client), fresh(Role::Server));
    let (mut to_server, mut to_client) = (Outcome::default(), Outcome::default());
    client.close(Instant::now(), CloseCode::NORMAL, "c", &mut to_server.out).unwrap();
    server.close(Instant::now(), CloseCode::GOING_AWAY, "s", &mut to_client.out).unwrap();
    let (from_client, from_server) = (to_server.out.clone(), to_client.out.clone());
    receive(&mut client, &from_server, &mut to_server);
    receive(&mut server, &from_client, &mut to_client);
    assert_eq!(to_server.events, [Seen::Close(Some(CloseCode::GOING_AWAY), "s".into())]);
    assert_eq!(to_client.events, [Seen::Close(Some(CloseCode::NORMAL), "c".into())]);
    assert_eq!(
        (to_server.out, to_client.out),
        (from_client, from_server),
        "nothing more is written"
    );
    assert!(client.is_over() && server.is_over());
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.2
//# an endpoint MUST send a Close control frame, as described
//# in Section 5.5.1, whose status code is set to /code/ and whose close
//# reason is set to /reason/.
#[test]
fn a_reason_of_every_length_goes_through_whole_and_byte_by_byte() {
    for role in ROLES {
        for length in 0..=125 {
            let reason: String = "é€r"
                .chars()
                .cycle()
                .scan(0, |bytes, c| {
                    *bytes += c.len_utf8();
                    (*bytes <= length).then_some(c)
                })
                .collect();
            let reason = reason.clone() + &"x".repeat(length - reason.len());
            let mut out = Vec::new();
            let result = fresh(role).close(Instant::now(), CloseCode::NORMAL, &reason, &mut out);
            if length > 123 {
                assert_eq!((result, out.len()), (Err(SendError::ReasonTooLong(length)), 0));
                continue;
            }
            assert_eq!(result, Ok(()));
            for bytes in [1, out.len()] {
                let (mut peer, mut outcome) = (fresh(role.peer()), Outcome::default());
                out.chunks(bytes).for_each(|run| receive(&mut peer, run, &mut outcome));
                assert_eq!(outcome.events, [Seen::Close(Some(CloseCode::NORMAL), reason.clone())]);
                assert_eq!(unmasked(&outcome.out, role.peer()), [(0x88, close_body(1000, ""))]);
            }
        }
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.5
//# If this Close control frame contains no status code, _The WebSocket
//# Connection Close Code_ is considered to be 1005.
#[test]
fn an_empty_close_has_no_code_and_is_answered_with_an_empty_one() {
    for role in ROLES {
        let (mut ws, mut outcome) = (fresh(role), Outcome::default());
        receive(&mut ws, &frame(role.peer(), 0x88, b""), &mut outcome);
        assert_eq!(outcome.events, [Seen::Close(None, String::new())]);
        assert_eq!(unmasked(&outcome.out, role), [(0x88, vec![])]);
        assert!(ws.is_over());
    }
}

#[test]
fn what_follows_a_close_is_ignored_also_where_it_is_illegal() {
    for role in ROLES {
        let late: [Vec<u8>; 4] = [
            frame(role.peer(), 0x81, b"late"),
            frame(role.peer(), 0x88, &close_body(1001, "twice")),
            frame(role.peer(), 0x89, b"?"),
            vec![0xFF; 64],
        ];
        for late in late {
            let close = frame(role.peer(), 0x88, &close_body(1000, ""));
            let expected = Outcome {
                events: vec![Seen::Close(Some(CloseCode::NORMAL), String::new())],
                out: close_of(role),
                violation: None,
            };
            let (mut ws, mut outcome) = (fresh(role), Outcome::default());
            receive(&mut ws, &[close.clone(), late.clone()].concat(), &mut outcome);
            assert_eq!(outcome, expected, "in the same run");
            receive(&mut ws, &late, &mut outcome);
            assert_eq!(outcome, expected, "in a later run");
        }
    }
}

/// The close frame with code 1000 that answers one, from an end of this role that sent nothing before.
fn close_of(role: Role) -> Vec<u8> {
    let mut out = Vec::new();
    fresh(role).close(Instant::now(), CloseCode::NORMAL, "", &mut out).unwrap();
    out
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1
//# The application MUST NOT send any more data frames after sending a
//# Close frame.
#[test]
fn nothing_is_sent_after_a_close_frame_also_where_it_only_answered() {
    for role in ROLES {
        for flushed in [true, false] {
            let mut ws = fresh(role);
            let (mut close, mut out) =
                (frame(role.peer(), 0x88, &close_body(1000, "")), Vec::new());
            ws.receive(Instant::now(), &mut close).next().unwrap().unwrap();
            assert!(ws.is_over(), "the answer is owed");
            if flushed {
                ws.flush(&mut out);
            }
            let written = out.len();
            assert_eq!(ws.send("late", &mut out), Err(SendError::Closed));
            assert_eq!(ws.ping(b"", &mut out), Err(SendError::Closed));
            let again = ws.close(Instant::now(), CloseCode::NORMAL, "again", &mut out);
            assert_eq!(again, Err(SendError::Closed));
            assert_eq!(out.len(), written, "what is refused writes nothing");
            ws.flush(&mut out);
            assert_eq!(unmasked(&out, role), [(0x88, close_body(1000, ""))]);
        }
    }
}

#[test]
fn a_pong_that_is_owed_goes_before_the_close() {
    for role in ROLES {
        let mut ws = fresh(role);
        let mut bytes = [frame(role.peer(), 0x89, b"?"), frame(role.peer(), 0x88, b"")].concat();
        let mut incoming = ws.receive(Instant::now(), &mut bytes);
        while incoming.next().unwrap().is_some() {}
        let mut out = Vec::new();
        ws.flush(&mut out);
        assert_eq!(unmasked(&out, role), [(0x8A, b"?".to_vec()), (0x88, vec![])]);
    }
}

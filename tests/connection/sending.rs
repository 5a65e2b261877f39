//! Messages, fragments and control frames as bytes; and what may not be sent.

use std::time::Instant;

use tautline::frame::Role;
use tautline::handshake::Agreed;
use tautline::{CloseCode, Delivery, Limits, Message, Part, Prepared, SendError, Sender};

use super::ROLES;
use super::support::drive::{Seen, connection, counted_keys, run};
use super::support::frames::{KEY, close_body, frame, parse_all, unmasked};

fn text(data: &str, last: bool) -> Part<'_> {
    Part { data: Message::Text(data), last }
}

fn binary(data: &[u8], last: bool) -> Part<'_> {
    Part { data: Message::Binary(data), last }
}

fn sender(role: Role) -> Sender {
    match role {
        Role::Client => Sender::client(&Agreed::default(), counted_keys()),
        Role::Server => Sender::server(&Agreed::default()),
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.4
//# Clients and servers MUST support receiving both fragmented and
//# unfragmented messages.
//= https://www.rfc-editor.org/rfc/rfc6455#section-6.2
//# Incoming data MUST be parsed as WebSocket frames
//# as defined in Section 5.2.
//= https://www.rfc-editor.org/rfc/rfc6455#section-6.2
//# Upon
//# receiving a data frame (Section 5.6), the endpoint MUST note the
//# /type/ of the data
//= https://www.rfc-editor.org/rfc/rfc6455#section-6.2
//# A server MUST remove masking for data frames received from a client
//# as described in Section 5.3.
#[test]
fn the_examples_of_section_5_7_are_received() {
    let hello = Seen::text("Hello");
    let data: Vec<u8> = (0..0x1_0000).map(|i| i as u8).collect();
    let with_header = |header: &[u8], length: usize| [header, &data[..length]].concat();
    let rows: [(Role, Vec<u8>, Seen); 6] = [
        (Role::Client, b"\x81\x05\x48\x65\x6c\x6c\x6f".to_vec(), hello.clone()),
        (Role::Server, b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58".to_vec(), hello.clone()),
        (Role::Client, b"\x01\x03\x48\x65\x6c\x80\x02\x6c\x6f".to_vec(), hello),
        (
            Role::Server,
            b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58".to_vec(),
            Seen::Pong(b"Hello".to_vec()),
        ),
        (Role::Client, with_header(b"\x82\x7e\x01\x00", 256), Seen::binary(&data[..256])),
        (Role::Client, with_header(b"\x82\x7f\0\0\0\0\0\x01\0\0", 0x1_0000), Seen::binary(&data)),
    ];
    for (role, bytes, expected) in rows {
        let outcome = run(connection(role, &Limits::default(), Delivery::Whole), [&bytes[..]]);
        assert_eq!(outcome.events, [expected]);
        assert_eq!((outcome.violation, outcome.out), (None, vec![]));
    }
    let ping = b"\x89\x05\x48\x65\x6c\x6c\x6f";
    let outcome = run(connection(Role::Client, &Limits::default(), Delivery::Whole), [&ping[..]]);
    assert_eq!(outcome.events, [Seen::Ping(b"Hello".to_vec())]);
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.3
//# A masked frame MUST have the field frame-masked set to 1, as defined
//# in Section 5.2.
//= https://www.rfc-editor.org/rfc/rfc6455#section-6.1
//# To _Send a WebSocket Message_ comprising of /data/ over a WebSocket
//# connection, an endpoint MUST perform the following steps.
//= https://www.rfc-editor.org/rfc/rfc6455#section-6.1
//# An endpoint MUST encapsulate the /data/ in a WebSocket frame as
//# defined in Section 5.2.
//= https://www.rfc-editor.org/rfc/rfc6455#section-6.1
//# The opcode (frame-opcode) of the first frame containing the data
//# MUST be set to the appropriate value from Section 5.2
#[test]
fn the_examples_of_section_5_7_are_sent() {
    let mut out = Vec::new();
    Sender::server(&Agreed::default()).send("Hello", &mut out).unwrap();
    assert_eq!(out, b"\x81\x05\x48\x65\x6c\x6c\x6f");

    out.clear();
    Sender::client(&Agreed::default(), || KEY).send("Hello", &mut out).unwrap();
    assert_eq!(out, b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");

    out.clear();
    let mut server = Sender::server(&Agreed::default());
    server.send_part(text("Hel", false), &mut out).unwrap();
    server.send_part(text("lo", true), &mut out).unwrap();
    assert_eq!(out, b"\x01\x03\x48\x65\x6c\x80\x02\x6c\x6f");

    out.clear();
    server.ping(b"Hello", &mut out).unwrap();
    Sender::client(&Agreed::default(), || KEY).pong(b"Hello", &mut out).unwrap();
    assert_eq!(out, b"\x89\x05\x48\x65\x6c\x6c\x6f\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");

    out.clear();
    server.send(&[9; 256][..], &mut out).unwrap();
    assert_eq!((&out[..4], out.len()), (&b"\x82\x7e\x01\x00"[..], 260));

    out.clear();
    server.send(&[9; 0x1_0000][..], &mut out).unwrap();
    assert_eq!((&out[..10], out.len()), (&b"\x82\x7f\0\0\0\0\0\x01\0\0"[..], 0x1_000A));
}

#[test]
fn what_is_sent_stands_behind_what_the_buffer_already_holds() {
    let mut out = b"before".to_vec();
    Sender::client(&Agreed::default(), || KEY).send("Hello", &mut out).unwrap();
    assert_eq!(out, b"before\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.4
//# Control frames (see Section 5.5) MAY be injected in the middle of
//# a fragmented message.
//= https://www.rfc-editor.org/rfc/rfc6455#section-6.1
//# The FIN bit (frame-fin) of the last frame containing the data
//# MUST be set to 1 as defined in Section 5.2.
#[test]
fn control_frames_go_between_the_parts_of_a_message() {
    for role in ROLES {
        let (mut sender, mut out) = (sender(role), Vec::new());
        sender.send_part(binary(b"a", false), &mut out).unwrap();
        sender.ping(b"?", &mut out).unwrap();
        sender.send_part(binary(b"", false), &mut out).unwrap();
        sender.pong(b"!", &mut out).unwrap();
        sender.send_part(binary(b"b", true), &mut out).unwrap();
        sender.send_part(text("c", true), &mut out).unwrap();
        sender.send_part(text("d", false), &mut out).unwrap();
        sender.close(CloseCode::NORMAL, "", &mut out).unwrap();
        let expected: [(u8, &[u8]); 8] = [
            (0x02, b"a"),
            (0x89, b"?"),
            (0x00, b""),
            (0x8A, b"!"),
            (0x80, b"b"),
            (0x81, b"c"),
            (0x01, b"d"),
            (0x88, b"\x03\xe8"),
        ];
        assert_eq!(
            unmasked(&out, role),
            expected.map(|(first, payload)| (first, payload.to_vec()))
        );
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.4
//# Control frames (see Section 5.5) MAY be injected in the middle of
//# a fragmented message.
//= https://www.rfc-editor.org/rfc/rfc6455#section-5.4
//# An endpoint MUST be capable of handling control frames in the
//# middle of a fragmented message.
#[test]
fn control_frames_between_fragments_are_received_before_the_message() {
    for role in ROLES {
        let sender = role.peer();
        let bytes = [
            frame(sender, 0x01, b"Hel"),
            frame(sender, 0x89, b"?"),
            frame(sender, 0x00, b""),
            frame(sender, 0x8A, b"!"),
            frame(sender, 0x80, b"lo"),
        ];
        let outcome =
            run(connection(role, &Limits::default(), Delivery::Whole), [&bytes.concat()[..]]);
        let expected = [Seen::Ping(b"?".to_vec()), Seen::Pong(b"!".to_vec()), Seen::text("Hello")];
        assert_eq!((outcome.events, outcome.violation), (expected.to_vec(), None));
    }
}

#[test]
fn a_close_between_fragments_ends_the_connection_and_the_message_is_not_delivered() {
    let bytes = [
        frame(Role::Client, 0x01, b"Hel"),
        frame(Role::Client, 0x88, &close_body(1001, "bye")),
        frame(Role::Client, 0x80, b"lo"),
    ];
    for delivery in [Delivery::Whole, Delivery::Parts] {
        let outcome =
            run(connection(Role::Server, &Limits::default(), delivery), [&bytes.concat()[..]]);
        assert_eq!(outcome.violation, None);
        assert_eq!(
            outcome.events.last(),
            Some(&Seen::Close(Some(CloseCode::GOING_AWAY), "bye".into()))
        );
        assert_eq!(outcome.events.len(), if delivery == Delivery::Whole { 1 } else { 2 });
        assert_eq!(outcome.out, frame(Role::Server, 0x88, b"\x03\xe9"));
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.4
//# the type for all fragments in
//# a message MUST be either text, binary,
//= https://www.rfc-editor.org/rfc/rfc6455#section-6.1
//# The endpoint MUST ensure the WebSocket connection is in the OPEN
//# state
#[test]
fn what_may_not_be_sent_is_refused_and_nothing_is_written() {
    type Act = fn(&mut Sender, &mut Vec<u8>) -> Result<(), SendError>;
    let fresh: Act = |_, _| Ok(());
    let in_text: Act = |it, out| it.send_part(text("a", false), out);
    let in_binary: Act = |it, out| it.send_part(binary(b"a", false), out);
    let closed: Act = |it, out| it.close(CloseCode::NORMAL, "", out);
    let rows: [(&str, Act, Act, SendError); 13] = [
        ("message in parts", in_text, |it, out| it.send("b", out), SendError::PartsUnfinished),
        (
            "binary in parts",
            in_binary,
            |it, out| it.send(&b"b"[..], out),
            SendError::PartsUnfinished,
        ),
        (
            "other kind",
            in_text,
            |it, out| it.send_part(binary(b"b", true), out),
            SendError::PartsUnfinished,
        ),
        (
            "other kind",
            in_binary,
            |it, out| it.send_part(text("b", false), out),
            SendError::PartsUnfinished,
        ),
        ("long ping", fresh, |it, out| it.ping(&[0; 126], out), SendError::ControlTooLong(126)),
        ("long pong", in_text, |it, out| it.pong(&[0; 4000], out), SendError::ControlTooLong(4000)),
        (
            "long reason",
            fresh,
            |it, out| it.close(CloseCode::NORMAL, &"r".repeat(124), out),
            SendError::ReasonTooLong(124),
        ),
        ("message after close", closed, |it, out| it.send("b", out), SendError::Closed),
        (
            "part after close",
            closed,
            |it, out| it.send_part(text("b", true), out),
            SendError::Closed,
        ),
        ("ping after close", closed, |it, out| it.ping(b"", out), SendError::Closed),
        ("pong after close", closed, |it, out| it.pong(&[0; 126], out), SendError::Closed),
        ("close twice", closed, |it, out| it.close(CloseCode::NORMAL, "", out), SendError::Closed),
        (
            "close twice, the second too long",
            closed,
            |it, out| it.close(CloseCode::NORMAL, &"r".repeat(124), out),
            SendError::Closed,
        ),
    ];
    for role in ROLES {
        for (name, before, act, expected) in rows {
            for pong_waits in [false, true] {
                let (mut sender, mut out) = (sender(role), Vec::new());
                before(&mut sender, &mut out).unwrap();
                if pong_waits {
                    sender.answer(&tautline::Event::Ping(b"waits"));
                }
                let written = out.len();
                assert_eq!(act(&mut sender, &mut out), Err(expected), "{name}");
                assert_eq!(out.len(), written, "{name}: nothing is written");
                // What was refused changed nothing: the message in parts goes on, a close can still be sent.
                let after_close = expected == SendError::Closed;
                assert_eq!(
                    sender.close(CloseCode::NORMAL, "", &mut out).is_err(),
                    after_close,
                    "{name}"
                );
            }
        }
    }
}

#[test]
fn the_longest_ping_pong_and_reason_are_sent() {
    for role in ROLES {
        let (mut sender, mut out, reason) = (sender(role), Vec::new(), "r".repeat(123));
        sender.ping(&[1; 125], &mut out).unwrap();
        sender.pong(&[2; 125], &mut out).unwrap();
        sender.close(CloseCode::NORMAL, &reason, &mut out).unwrap();
        let close = close_body(1000, &reason);
        let expected = [(0x89, vec![1; 125]), (0x8A, vec![2; 125]), (0x88, close)];
        assert_eq!(unmasked(&out, role), expected);
    }
}

#[test]
fn a_refused_part_leaves_the_message_open_for_the_right_one() {
    let (mut sender, mut out) = (Sender::server(&Agreed::default()), Vec::new());
    sender.send_part(text("a", false), &mut out).unwrap();
    sender.send_part(binary(b"x", true), &mut out).unwrap_err();
    sender.send("x", &mut out).unwrap_err();
    sender.send_part(text("b", true), &mut out).unwrap();
    sender.send("c", &mut out).unwrap();
    assert_eq!(out, b"\x01\x01a\x80\x01b\x81\x01c");
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-6.1
//# If at any point the state of
//# the WebSocket connection changes, the endpoint MUST abort the
//# following steps.
#[test]
fn a_close_between_two_parts_is_the_end_of_their_message() {
    for role in ROLES {
        let (mut sender, mut out) = (sender(role), Vec::new());
        sender.send_part(text("a", false), &mut out).unwrap();
        sender.close(CloseCode::NORMAL, "", &mut out).unwrap();
        for last in [false, true] {
            assert_eq!(sender.send_part(text("b", last), &mut out), Err(SendError::Closed));
        }
        let expected = [(0x01, b"a".to_vec()), (0x88, b"\x03\xe8".to_vec())];
        assert_eq!(unmasked(&out, role), expected);
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.3
//# When preparing a
//# masked frame, the client MUST pick a fresh masking key from the set
//# of allowed 32-bit values.
//= https://www.rfc-editor.org/rfc/rfc6455#section-5.1
//# a client MUST mask all frames that it
//# sends to the server
//= https://www.rfc-editor.org/rfc/rfc6455#section-6.1
//# If the data is being sent by the client, the frame(s) MUST be
//# masked as defined in Section 5.3.
//= https://www.rfc-editor.org/rfc/rfc6455#section-10.3
//# Clients MUST choose a new masking key for each frame,
#[test]
fn each_frame_of_a_client_is_masked_with_a_fresh_key_of_its_source() {
    let mut ws = connection(Role::Client, &Limits::default(), Delivery::Whole);
    let (now, mut out) = (Instant::now(), Vec::new());
    ws.send("text", &mut out).unwrap();
    ws.send(&b""[..], &mut out).unwrap();
    ws.send_part(text("a", false), &mut out).unwrap();
    ws.ping(b"ping", &mut out).unwrap();
    ws.send_part(text("b", true), &mut out).unwrap();
    let mut ping = frame(Role::Server, 0x89, b"owed");
    ws.receive(now, &mut ping).next().unwrap().unwrap();
    ws.flush(&mut out);
    ws.close(now, CloseCode::NORMAL, "bye", &mut out).unwrap();

    let frames = parse_all(&out, Role::Client);
    let keys: Vec<_> = frames.iter().map(|frame| frame.1.unwrap()).collect();
    assert_eq!(keys, (1..=7u32).map(u32::to_be_bytes).collect::<Vec<_>>());
    let payloads: Vec<&[u8]> = frames.iter().map(|frame| &frame.2[..]).collect();
    assert_eq!(payloads, [&b"text"[..], b"", b"a", b"ping", b"b", b"owed", b"\x03\xe8bye"]);
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.1
//# A server MUST NOT mask any frames that it sends to
//# the client.
#[test]
fn the_frames_of_a_server_are_not_masked() {
    let mut ws = connection(Role::Server, &Limits::default(), Delivery::Whole);
    let mut out = Vec::new();
    ws.send("text", &mut out).unwrap();
    ws.ping(b"", &mut out).unwrap();
    ws.close(Instant::now(), CloseCode::NORMAL, "", &mut out).unwrap();
    assert!(parse_all(&out, Role::Server).iter().all(|frame| frame.1.is_none()));
}

#[test]
fn a_connection_sends_what_was_prepared_as_it_would_send_the_message() {
    for role in ROLES {
        let [mut prepared, mut sent] = [Vec::new(), Vec::new()];
        let fresh = || connection(role, &Limits::default(), Delivery::Whole);
        fresh().send_prepared(&mut Prepared::new(Message::Text("news")), &mut prepared).unwrap();
        fresh().send("news", &mut sent).unwrap();
        assert_eq!(prepared, sent);
    }
}

#[test]
fn the_halves_work_alone() {
    let ws = connection(Role::Server, &Limits::default(), Delivery::Whole);
    let (mut receiver, mut sender) = ws.split();
    let mut out = Vec::new();
    let mut bytes = [
        frame(Role::Client, 0x89, b"1"),
        frame(Role::Client, 0x81, b"hi"),
        frame(Role::Client, 0x88, &close_body(4000, "why")),
        frame(Role::Client, 0x81, b"late"),
    ]
    .concat();
    let mut events = receiver.receive(&mut bytes);
    let mut seen = Vec::new();
    while let Some(event) = events.next().unwrap() {
        sender.answer(&event);
        seen.push(Seen::from(event));
    }
    assert!(sender.wants_flush() && sender.is_closed());
    sender.flush(&mut out);
    assert!(!sender.wants_flush() && sender.is_closed() && receiver.is_closed());
    let close = Seen::Close(CloseCode::new(4000), "why".into());
    assert_eq!(seen, [Seen::Ping(b"1".to_vec()), Seen::text("hi"), close]);
    assert_eq!(out, b"\x8a\x011\x88\x02\x0f\xa0");
}

#[test]
fn a_sender_shows_whether_it_masks_and_whether_it_is_closed() {
    let agreed = Agreed::default();
    let mut server = Sender::server(&agreed);
    let client = Sender::client(&agreed, || [1, 2, 3, 4]);
    server.close(CloseCode::NORMAL, "", &mut Vec::new()).unwrap();
    assert!(
        format!("{server:?}").contains("masks: false, owed: None, in_parts: None, closed: true")
    );
    assert!(
        format!("{client:?}").contains("masks: true, owed: None, in_parts: None, closed: false")
    );
}

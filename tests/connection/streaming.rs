//! Messages in parts, runs that are dropped early, and what a connection owns.

use std::time::Instant;

use tautline::frame::Role;
use tautline::{Connection, Delivery, Event, Limits, Message};

use super::ROLES;
use super::support::drive::{Outcome, Seen, connection, gathered, joined, pieces, receive, run};
use super::support::frames::{begun, frame, unmasked};

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.6
//# the whole message MUST contain valid UTF-8.
#[test]
fn text_in_fragments_is_delivered_whatever_characters_are_cut_in_half() {
    let text = "aé€😀z";
    let bytes = text.as_bytes();
    for role in ROLES {
        for first in 0..=bytes.len() {
            for second in first..=bytes.len() {
                let [a, b, c] = pieces(bytes, [first, second])[..] else { panic!("three pieces") };
                let frames = [(0x01, a), (0x00, b), (0x80, c)]
                    .map(|it| frame(role.peer(), it.0, it.1))
                    .concat();
                for delivery in [Delivery::Whole, Delivery::Parts] {
                    for run_bytes in [1, 3, frames.len()] {
                        let outcome = run(
                            connection(role, &Limits::default(), delivery),
                            frames.chunks(run_bytes),
                        );
                        assert_eq!(
                            outcome.violation, None,
                            "fragments cut at {first} and {second}"
                        );
                        assert_eq!(gathered(outcome.events), [Seen::text(text)]);
                    }
                }
            }
        }
    }
}

#[test]
fn parts_of_a_text_are_cut_between_characters_and_none_but_the_last_is_empty() {
    let frames = frame(Role::Client, 0x81, "é€😀".as_bytes());
    let ws = connection(Role::Server, &Limits::default(), Delivery::Parts);
    let outcome = run(ws, frames.chunks(1));
    let part = |text: &str, last| Seen::Part(tautline::OwnedMessage::Text(text.into()), last);
    assert_eq!(outcome.events, [part("é", false), part("€", false), part("😀", true)]);

    let frames = [
        frame(Role::Client, 0x01, b"\xc3"),
        frame(Role::Client, 0x00, b"\xa9b"),
        frame(Role::Client, 0x80, b""),
    ];
    let ws = connection(Role::Server, &Limits::default(), Delivery::Parts);
    let outcome = run(ws, [&frames.concat()[..]]);
    assert_eq!(outcome.events, [part("é", false), part("b", false), part("", true)]);
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-6.2
//# Subsequent data frames MUST be interpreted as belonging to a new
//# WebSocket message.
#[test]
fn the_ends_of_messages_in_parts_are_where_the_messages_end() {
    let frames = [
        frame(Role::Client, 0x81, b"one"),
        frame(Role::Client, 0x02, b"tw"),
        frame(Role::Client, 0x89, b"?"),
        frame(Role::Client, 0x80, b"o"),
        frame(Role::Client, 0x82, b""),
        frame(Role::Client, 0x01, b""),
        frame(Role::Client, 0x80, b"four"),
    ]
    .concat();
    for run_bytes in 1..frames.len() {
        let ws = connection(Role::Server, &Limits::default(), Delivery::Parts);
        let events = run(ws, frames.chunks(run_bytes)).events;
        let part =
            |data: &[u8], last| Seen::Part(tautline::OwnedMessage::Binary(data.into()), last);
        let text = |data: &str| Seen::Part(tautline::OwnedMessage::Text(data.into()), true);
        let expected = [
            text("one"),
            part(b"tw", false),
            Seen::Ping(b"?".to_vec()),
            part(b"o", true),
            part(b"", true),
            text("four"),
        ];
        assert_eq!(joined(events), expected, "runs of {run_bytes} bytes");
    }
}

#[test]
fn a_choice_of_delivery_holds_from_the_next_message_on() {
    let mut ws = connection(Role::Server, &Limits::default(), Delivery::Whole);
    let mut outcome = Outcome::default();
    receive(&mut ws, &frame(Role::Client, 0x01, b"who"), &mut outcome);
    ws.set_delivery(Delivery::Parts);
    receive(
        &mut ws,
        &[frame(Role::Client, 0x80, b"le"), frame(Role::Client, 0x01, b"pa")].concat(),
        &mut outcome,
    );
    ws.set_delivery(Delivery::Whole);
    receive(
        &mut ws,
        &[frame(Role::Client, 0x80, b"rt"), frame(Role::Client, 0x81, b"whole")].concat(),
        &mut outcome,
    );
    let part = |text: &str, last| Seen::Part(tautline::OwnedMessage::Text(text.into()), last);
    let expected = [Seen::text("whole"), part("pa", false), part("rt", true), Seen::text("whole")];
    assert_eq!(outcome.events, expected);
}

#[test]
fn a_run_that_is_dropped_early_goes_on_with_the_bytes_that_remain() {
    for role in ROLES {
        let sender = role.peer();
        let frames = [
            frame(sender, 0x81, b"one"),
            frame(sender, 0x89, b"?"),
            frame(sender, 0x01, b"tw\xc3"),
            frame(sender, 0x8A, b"!"),
            frame(sender, 0x80, b"\xa9o"),
            frame(sender, 0x82, &[3; 200]),
            frame(sender, 0x88, b"\x03\xe8"),
        ]
        .concat();
        for delivery in [Delivery::Whole, Delivery::Parts] {
            let expected = run(connection(role, &Limits::default(), delivery), [&frames[..]]);
            for run_bytes in 1..=frames.len() {
                let mut ws = connection(role, &Limits::default(), delivery);
                let outcome = one_event_a_run(&mut ws, &frames, run_bytes);
                assert_eq!(
                    outcome.joined(),
                    expected.clone().joined(),
                    "runs of {run_bytes} bytes"
                );
            }
        }
    }
}

/// Gives runs of so many bytes, and takes one event of each.
fn one_event_a_run(ws: &mut Connection, bytes: &[u8], run_bytes: usize) -> Outcome {
    let mut outcome = Outcome::default();
    let mut at = 0;
    while at < bytes.len() {
        let mut run = bytes[at..bytes.len().min(at + run_bytes)].to_vec();
        let length = run.len();
        let mut incoming = ws.receive(Instant::now(), &mut run);
        let event = incoming.next().unwrap().map(|(event, _)| Seen::from(event));
        at += length - incoming.remaining();
        outcome.events.extend(event);
        ws.flush(&mut outcome.out);
    }
    outcome
}

#[test]
fn a_whole_message_is_delivered_as_a_borrow_of_the_run() {
    for delivery in [Delivery::Whole, Delivery::Parts] {
        let mut ws = connection(Role::Server, &Limits::default(), delivery);
        let mut bytes = frame(Role::Client, 0x82, b"in place");
        let within = bytes.as_ptr_range();
        let mut incoming = ws.receive(Instant::now(), &mut bytes);
        let (event, _) = incoming.next().unwrap().unwrap();
        let (Event::Message(Message::Binary(data))
        | Event::Part(tautline::Part { data: Message::Binary(data), .. })) = event
        else {
            panic!("{event:?}");
        };
        assert!(within.contains(&data.as_ptr()), "not copied");
        assert_eq!(data, b"in place");
    }
}

#[test]
fn a_message_announced_with_a_gibibyte_is_delivered_in_parts_as_it_comes() {
    let limits = Limits::default();
    let mut ws = connection(Role::Server, &limits, Delivery::Parts);
    let mut head = begun(Role::Client, 0x82, 1 << 30, b"");
    assert!(ws.receive(Instant::now(), &mut head).next().unwrap().is_none());
    let mut received = 0;
    let mut run = vec![0; 1 << 20];
    for _ in 0..16 {
        let mut incoming = ws.receive(Instant::now(), &mut run);
        while let Some((event, _)) = incoming.next().unwrap() {
            let Event::Part(part) = event else { panic!("{event:?}") };
            assert!(!part.last);
            received += part.data.as_bytes().len();
        }
    }
    assert_eq!(received, 16 << 20, "all that came, and at once");
}

/// A million connections at rest are to fit in little memory, and this struct is all that one owns of the core. The
/// 600 bytes that a whole idle connection may cost leave no more than this for it.
#[test]
fn a_connection_is_at_most_128_bytes() {
    assert!(size_of::<Connection>() <= 128, "{}", size_of::<Connection>());
}

#[test]
fn a_run_of_many_frames_gives_its_events_in_order_and_its_answers_too() {
    let frames: Vec<u8> = (0..500u16)
        .flat_map(|i| match i % 3 {
            0 => frame(Role::Client, 0x82, &i.to_be_bytes()),
            1 => frame(Role::Client, 0x89, &i.to_be_bytes()),
            _ => frame(Role::Client, 0x8A, &i.to_be_bytes()),
        })
        .collect();
    let outcome = run(connection(Role::Server, &Limits::default(), Delivery::Whole), [&frames[..]]);
    let expected = (0..500u16).map(|i| match i % 3 {
        0 => Seen::binary(&i.to_be_bytes()),
        1 => Seen::Ping(i.to_be_bytes().to_vec()),
        _ => Seen::Pong(i.to_be_bytes().to_vec()),
    });
    assert!(outcome.events.iter().cloned().eq(expected));
    let pongs = (0..500u16).filter(|i| i % 3 == 1).map(|i| (0x8A, i.to_be_bytes().to_vec()));
    assert!(unmasked(&outcome.out, Role::Server).into_iter().eq(pongs));
}

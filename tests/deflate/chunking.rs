//! However the bytes are cut, the events, the output and the error are the same, also where messages are compressed.

use std::ops::Range;
use std::time::Instant;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use tautline::frame::Role;
use tautline::handshake::Agreed;
use tautline::{Connection, Delivery, Limits, Violation};

use super::blocks::{noise, stored};
use super::support::deflate::{Deflater, Way, agreed_as, compressed};
use super::support::drive::{
    Outcome, Seen, assert_cuts_do_not_matter_after, connection_after, gathered, pieces, run,
};
use super::support::frames::frame;
use super::{ROLES, WAYS};

/// The long messages, and what is longer than any of them. Under Miri each byte takes a thousand times as long.
const LONG: Range<usize> = if cfg!(miri) { 300..1_200 } else { 30_000..120_000 };
const NOISE: Range<usize> = if cfg!(miri) { 100..400 } else { 100..40_000 };
const TOO_BIG: usize = if cfg!(miri) { 1_600 } else { 160_000 };

const DELIVERIES: [Delivery; 2] = [Delivery::Whole, Delivery::Parts];

/// How a message is sent.
#[derive(Clone, Copy, Debug)]
enum How {
    Plain,
    Compressed,
    /// Flushed after so many bytes each.
    InBlocks(usize),
    /// Ended by a final block.
    Final,
}

/// Something legal that a peer sends.
#[derive(Clone, Debug)]
enum Item {
    /// A message, the places where its payload is cut into fragments, and a ping after so many of them.
    Message {
        text: bool,
        data: Vec<u8>,
        how: How,
        cuts: Vec<Index>,
        ping_after: usize,
    },
    Ping(Vec<u8>),
    Pong(Vec<u8>),
}

/// How it all ends.
#[derive(Clone, Debug)]
enum End {
    Open,
    /// The last bytes are missing, so many of them at most.
    Short(Index),
    /// A byte of all that came is changed by this much; what comes of it is anybody's guess.
    Changed(Index, u8),
    /// A message that is larger than the others together.
    TooBig(usize),
    /// A compressed message of these bytes.
    Bytes(Vec<u8>),
}

fn any_text() -> impl Strategy<Value = Vec<u8>> {
    let words = select(vec!["é", "€uro", "😀", "some ", "text ", "and more text ", "\0"]);
    vec(words, 0..60).prop_map(|words| words.concat().into_bytes())
}

fn any_data() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => vec(any::<u8>(), 0..200),
        4 => vec(0..4u8, 0..600),
        1 => (any::<u8>(), LONG).prop_map(|(byte, length)| vec![byte; length]),
        1 => (NOISE, 1..4usize).prop_map(|(length, times)| noise(length).repeat(times)),
    ]
}

fn any_item() -> impl Strategy<Value = Item> {
    let data = prop_oneof![
        any_text().prop_map(|text| (true, text)),
        any_data().prop_map(|data| (false, data)),
    ];
    let how = prop_oneof![
        2 => Just(How::Plain),
        4 => Just(How::Compressed),
        2 => (1..300usize).prop_map(How::InBlocks),
        1 => Just(How::Final),
    ];
    let payload = || vec(any::<u8>(), 0..=125);
    prop_oneof![
        6 => (data, how, vec(any::<Index>(), 0..5), 0..6usize).prop_map(
            |((text, data), how, cuts, ping_after)| Item::Message { text, data, how, cuts, ping_after }
        ),
        1 => payload().prop_map(Item::Ping),
        1 => payload().prop_map(Item::Pong),
    ]
}

fn any_end() -> impl Strategy<Value = End> {
    prop_oneof![
        3 => Just(End::Open),
        1 => any::<Index>().prop_map(End::Short),
        3 => (any::<Index>(), 1..=255u8).prop_map(|(at, by)| End::Changed(at, by)),
        1 => (1..TOO_BIG / 2).prop_map(End::TooBig),
        1 => vec(any::<u8>(), 0..40).prop_map(End::Bytes),
    ]
}

/// The payload of a message.
fn payload_of(data: &[u8], how: How, deflater: &mut Deflater) -> Vec<u8> {
    match how {
        How::Plain => data.to_vec(),
        How::Compressed => deflater.message(data),
        How::Final => deflater.final_message(data),
        How::InBlocks(length) => {
            let mut payload = deflater.message(b"");
            for part in data.chunks(length) {
                payload.extend([0x00, 0x00, 0xff, 0xff]);
                payload.extend(deflater.part(part));
                payload.truncate(payload.len() - 4);
            }
            payload
        }
    }
}

/// The frames of an item, and what is to be seen of it in whole messages.
fn frames_of(item: &Item, sender: Role, deflater: &mut Deflater) -> (Vec<u8>, Vec<Seen>) {
    let (text, data, how, cuts, ping_after) = match item {
        Item::Ping(payload) => {
            return (frame(sender, 0x89, payload), vec![Seen::Ping(payload.clone())]);
        }
        Item::Pong(payload) => {
            return (frame(sender, 0x8A, payload), vec![Seen::Pong(payload.clone())]);
        }
        Item::Message { text, data, how, cuts, ping_after } => {
            (*text, data, *how, cuts, *ping_after)
        }
    };
    let payload = payload_of(data, how, deflater);
    let fragments = pieces(&payload, cuts.iter().map(|cut| cut.index(payload.len() + 1)));
    let (mut bytes, mut seen) = (Vec::new(), Vec::new());
    for (i, fragment) in fragments.iter().enumerate() {
        if i == ping_after && i > 0 {
            bytes.extend(frame(sender, 0x89, b"between"));
            seen.push(Seen::Ping(b"between".to_vec()));
        }
        let rsv1 = if matches!(how, How::Plain) { 0 } else { 0x40 };
        let opcode = match (i, text) {
            (0, true) => 0x1 | rsv1,
            (0, false) => 0x2 | rsv1,
            _ => 0x0,
        };
        let fin = if i + 1 == fragments.len() { 0x80 } else { 0 };
        bytes.extend(frame(sender, fin | opcode, fragment));
    }
    seen.push(match text {
        true => Seen::text(str::from_utf8(data).unwrap()),
        false => Seen::binary(data),
    });
    (bytes, seen)
}

#[derive(Debug)]
struct Case {
    role: Role,
    way: Way,
    delivery: Delivery,
    level: u32,
    items: Vec<Item>,
    end: End,
    cuts: Vec<Index>,
}

fn any_case() -> impl Strategy<Value = Case> {
    (
        select(&ROLES[..]),
        (any::<bool>(), 9..=15u8),
        select(&DELIVERIES[..]),
        0..=9u32,
        vec(any_item(), 0..6),
        any_end(),
        vec(any::<Index>(), 0..12),
    )
        .prop_map(|(role, way, delivery, level, items, end, cuts)| Case {
            role,
            way,
            delivery,
            level,
            items,
            end,
            cuts,
        })
}

/// Plays the items and the end, with every kind of cut.
fn check(case: &Case) {
    let Case { role, way, delivery, .. } = *case;
    let (sender, agreed) = (role.peer(), agreed_as(role, way));
    let mut deflater = Deflater::new(case.level, way);
    let mut limits = Limits::default();
    let (mut bytes, mut seen) = (Vec::new(), Vec::new());
    for item in &case.items {
        let (frames, events) = frames_of(item, sender, &mut deflater);
        bytes.extend(frames);
        seen.extend(events);
    }
    let mut violation = None;
    match &case.end {
        End::Open => {}
        End::Short(by) => bytes.truncate(bytes.len() - by.index(bytes.len().min(300) + 1)),
        End::Changed(at, by) => {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] ^= by;
            }
        }
        End::TooBig(more) => {
            limits.message_bytes_max = TOO_BIG;
            let message = deflater.message(&vec![b'x'; TOO_BIG + more]);
            bytes.extend(frame(sender, 0xC1, &message));
            violation = Some(Violation::MessageTooBig);
        }
        End::Bytes(payload) => bytes.extend(frame(sender, 0xC1, payload)),
    }
    let cuts = case.cuts.iter().map(|cut| cut.index(bytes.len() + 1));
    let outcome = assert_cuts_do_not_matter_after(&agreed, role, &limits, delivery, &bytes, cuts);
    match case.end {
        End::TooBig(_) if delivery == Delivery::Parts => assert_eq!(outcome.violation, None),
        End::Open | End::TooBig(_) => {
            assert_eq!(outcome.violation, violation);
            assert!(gathered(outcome.events) == seen);
        }
        End::Short(_) => {
            assert_eq!(outcome.violation, None);
            let events = gathered(outcome.events);
            assert!(events[..] == seen[..events.len()]);
        }
        End::Changed(..) | End::Bytes(_) => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(super::support::cases(250)))]

    #[test]
    fn any_messages_cut_anywhere_give_the_same_events_the_same_output_and_the_same_error(case in any_case()) {
        check(&case);
    }

    #[test]
    fn any_bytes_cut_anywhere_give_the_same_events_the_same_output_and_the_same_error(
        role in select(&ROLES[..]),
        way in select(&WAYS[..]),
        delivery in select(&DELIVERIES[..]),
        bytes in vec(prop_oneof![
            select(vec![0x00, 0x01, 0x40, 0x41, 0x42, 0x80, 0x81, 0xC1, 0xC2, 0x85, 0x88, 0x89, 0x4B, 0x04, 0xFF]),
            any::<u8>(),
        ], 0..80),
        cuts in vec(0..80usize, 0..6),
    ) {
        let (agreed, limits) = (agreed_as(role, way), Limits::default());
        assert_cuts_do_not_matter_after(&agreed, role, &limits, delivery, &bytes, cuts);
    }
}

/// A payload of exactly this length, half of which is compressed, and its text.
fn payload_of_length(length: usize) -> (Vec<u8>, Vec<u8>) {
    let short = compressed(b"a text that is compressed, compressed, compressed");
    let text = noise(length.saturating_sub(short.len() + 5));
    let mut payload = stored(&text);
    payload.pop();
    payload.extend(short);
    assert_eq!(payload.len(), length);
    (payload, [&text, &b"a text that is compressed, compressed, compressed"[..]].concat())
}

fn assert_delivered(role: Role, agreed: &Agreed, runs: Vec<&[u8]>, expected: &[Seen]) {
    let lengths: Vec<_> = runs.iter().map(|it| it.len()).collect();
    for delivery in DELIVERIES {
        let ws = connection_after(agreed, role, &Limits::default(), delivery);
        let outcome = run(ws, runs.clone());
        assert_eq!(outcome.violation, None, "runs of {lengths:?}");
        assert!(gathered(outcome.events) == expected, "runs of {lengths:?}");
    }
}

// uWebSockets (seen by probe)
#[test]
fn compressed_frames_of_each_length_form_cut_at_every_byte() {
    for (i, length) in
        [80, 124, 125, 126, 127, 300, 65_534, 65_535, 65_536, 65_537].into_iter().enumerate()
    {
        let (payload, text) = payload_of_length(length);
        for role in ROLES {
            let agreed = agreed_as(role, WAYS[i % 4]);
            let bytes = [
                frame(role.peer(), 0xC2, &payload),
                frame(role.peer(), 0xC1, &compressed(b"next")),
            ]
            .concat();
            let expected = [Seen::binary(&text), Seen::text("next")];
            let near_an_end =
                |cut: &usize| *cut < 24 || *cut + 80 > bytes.len() || cut.is_multiple_of(4_099);
            for cut in (0..=bytes.len()).filter(|cut| length < 1_000 || near_an_end(cut)) {
                assert_delivered(role, &agreed, pieces(&bytes, [cut]), &expected);
            }
            if length < 1_000 {
                assert_delivered(role, &agreed, bytes.chunks(1).collect(), &expected);
            }
        }
    }
}

#[test]
fn compressed_frames_of_each_length_form_cut_at_two_bytes() {
    for length in [80, 125, 126] {
        let (payload, text) = payload_of_length(length);
        for role in ROLES {
            let agreed = agreed_as(role, (true, 15));
            let bytes = frame(role.peer(), 0xC2, &payload);
            for first in 0..=bytes.len() {
                for second in first..=bytes.len() {
                    let runs = pieces(&bytes, [first, second]);
                    let ws = connection_after(&agreed, role, &Limits::default(), Delivery::Whole);
                    let outcome = run(ws, runs);
                    assert_eq!(outcome.events, [Seen::binary(&text)], "{first}, {second}");
                }
            }
        }
    }
}

/// What is not taken belongs to the next run, and is as it came.
#[test]
fn a_run_that_is_dropped_early_goes_on_with_the_bytes_that_remain() {
    let text = [noise(3_000), vec![0; 300_000], noise(50_000), vec![7; 100_000]].concat();
    let payload = Deflater::new(6, (false, 15)).message(&text);
    for role in ROLES {
        let sender = role.peer();
        let (start, end) = payload.split_at(2_000);
        let frames = [
            frame(sender, 0xC2, &payload),
            frame(sender, 0x89, b"?"),
            frame(sender, 0x42, start),
            frame(sender, 0x8A, b"!"),
            frame(sender, 0x80, end),
            frame(sender, 0xC1, &compressed(b"last")),
        ]
        .concat();
        let agreed = agreed_as(role, (true, 15));
        let fresh = |delivery| connection_after(&agreed, role, &Limits::default(), delivery);
        for delivery in DELIVERIES {
            let expected = run(fresh(delivery), [&frames[..]]).joined();
            for run_bytes in [1, 7, 1_000, 20_000, frames.len()] {
                let outcome = one_event_a_run(&mut fresh(delivery), &frames, run_bytes);
                assert!(outcome.joined() == expected, "runs of {run_bytes} bytes");
            }
        }
    }
}

/// Gives runs of so many bytes, and takes one event of each.
fn one_event_a_run(ws: &mut Connection, bytes: &[u8], run_bytes: usize) -> Outcome {
    let mut outcome = Outcome::default();
    let mut at = 0;
    while at < bytes.len() {
        let end = bytes.len().min(at + run_bytes);
        let mut run = bytes[at..end].to_vec();
        let mut incoming = ws.receive(Instant::now(), &mut run);
        let event = incoming.next().unwrap().map(|(event, _)| Seen::from(event));
        let remaining = incoming.remaining();
        drop(incoming);
        let taken = run.len() - remaining;
        assert!(run[taken..] == bytes[at + taken..end], "what remains is as it came");
        at += taken;
        outcome.events.extend(event);
        ws.flush(&mut outcome.out);
    }
    outcome
}

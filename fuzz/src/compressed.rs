//! permessage-deflate: against a decoder that goes bit by bit and against flate2, against itself, and both ends against
//! each other.

use tautline::deflate::{HISTORY_BYTES_MAX, Parameters};
use tautline::frame::Role;
use tautline::handshake::{Accept, AnswerError, Refusal};
use tautline::{CloseCode, Compress, Delivery, Limits, Violation};

use super::cuts;
use super::support::deflate::{
    Reader, TAIL, Way, agreed, agreed_as, answer, both_ways, deflate, judge, negotiate, way_of,
};
use super::support::drive::{Outcome, Seen, connection_after, gathered, run};
use super::support::frames::frame;
use super::support::inflate::{Bad, Inflated, inflate_message};
use super::support::wire::{Op, play_after};

/// Payload bytes beyond these are left out.
const PAYLOAD_BYTES_MAX: usize = 200;

/// Of a payload that is longer than this, not every split is tried.
const EVERY_SPLIT_BYTES_MAX: usize = 24;

/// The limit of a message, so that a bomb is one soon.
const MESSAGE_BYTES_MAX: usize = 6_000;

/// What the message before the one that is looked at has said, under context takeover.
const BEFORE: &[u8] = b"It was said before, and may be said again: hello, hello.";

/// A byte of choices, a byte that the window and the splits come from, then the payload of a compressed message: split
/// into runs and into fragments, it is what a decoder says that goes bit by bit, and flate2 does not say otherwise.
pub fn inflate(data: &[u8]) {
    let Some((&[choices, seed], payload)) = data.split_first_chunk() else { return };
    let payload = &payload[..payload.len().min(PAYLOAD_BYTES_MAX)];
    let role = if choices & 1 == 0 { Role::Client } else { Role::Server };
    let way = (choices & 2 != 0, 9 + seed % 7);
    let delivery = if choices & 4 == 0 { Delivery::Whole } else { Delivery::Parts };
    let is_text = choices & 8 != 0;
    let (agreed, mut limits) = (agreed_as(role, way), Limits::default());
    limits.message_bytes_max = MESSAGE_BYTES_MAX;
    let begins = if is_text { 0x41 } else { 0x42 };
    let before = stored(BEFORE);
    let first = frame(role.peer(), 0xC2, &before);
    let play = |frames: &[Vec<u8>]| {
        let ws = connection_after(&agreed, role, &limits, delivery);
        let runs = way.0.then_some(&first).into_iter().chain(frames).map(Vec::as_slice);
        let mut outcome = run(ws, runs).joined();
        outcome.out.clear();
        outcome.events = gathered(outcome.events);
        if way.0 {
            assert_eq!(outcome.events.remove(0), Seen::binary(BEFORE));
        }
        outcome
    };

    let window = if way.0 { BEFORE } else { &[] };
    let expected = expect(payload, window, is_text, delivery);
    let whole = frame(role.peer(), 0x80 | begins, payload);
    assert_same(&play(std::slice::from_ref(&whole)), &expected);
    let single: Vec<_> = whole.chunks(1).map(<[u8]>::to_vec).collect();
    assert_same(&play(&single), &expected);
    let splits = match payload.len() {
        0..=EVERY_SPLIT_BYTES_MAX => (0..=payload.len()).collect(),
        _ => cuts(seed, payload.len()).into_iter().take(EVERY_SPLIT_BYTES_MAX).collect::<Vec<_>>(),
    };
    for split in splits {
        let (start, end) = whole.split_at(whole.len() - split);
        assert_same(&play(&[start.to_vec(), end.to_vec()]), &expected);
        let (start, end) = payload.split_at(split);
        let fragments = [frame(role.peer(), begins, start), frame(role.peer(), 0x80, end)];
        assert_same(&play(&fragments), &expected);
    }
    assert_flate2_agrees(payload, way, &before, &inflate_message(payload, window));
}

fn assert_same(outcome: &Outcome, expected: &Outcome) {
    assert_eq!(outcome.violation, expected.violation);
    assert!(outcome.events == expected.events, "{outcome:02x?}, {expected:02x?}");
}

/// A message of text without compression, shorter than a block may be.
fn stored(text: &[u8]) -> Vec<u8> {
    let length = text.len() as u16;
    [&[0], &length.to_le_bytes()[..], &(!length).to_le_bytes(), text, &[0]].concat()
}

/// What has to come of a payload: its text, or what is wrong first.
fn expect(payload: &[u8], before: &[u8], is_text: bool, delivery: Delivery) -> Outcome {
    let (inflated, result) = match inflate_message(payload, before) {
        Ok(inflated) => (inflated, None),
        Err(bad) => {
            let inflate = super::support::inflate::inflate;
            let (inflated, _) = inflate(payload, before);
            // Text that only the tail has made is a block that was cut short, whatever comes behind it.
            let (with_tail, _) = inflate(&[payload, &TAIL].concat(), before);
            let is_cut = with_tail.text.len() > inflated.text.len();
            (inflated, Some(if is_cut { Bad::Short } else { bad }))
        }
    };
    let text = inflated.text;
    let within = match delivery {
        Delivery::Whole => &text[..text.len().min(MESSAGE_BYTES_MAX)],
        Delivery::Parts => &text,
    };
    let utf8 = std::str::from_utf8(within);
    let violation = match (utf8, result) {
        (Err(error), _) if is_text && error.error_len().is_some() => Some(Violation::InvalidUtf8),
        _ if within.len() < text.len() => Some(Violation::MessageTooBig),
        (_, Some(Bad::TooManyFinalBlocks)) => Some(Violation::TooManyFinalBlocks),
        (_, Some(Bad::Short | Bad::Wrong)) => Some(Violation::NotInflatable),
        (Err(_), None) if is_text => Some(Violation::InvalidUtf8),
        _ => None,
    };
    let message = match utf8 {
        Ok(text) if is_text => Seen::text(text),
        _ => Seen::binary(&text),
    };
    let events = if violation.is_none() { vec![message] } else { vec![] };
    Outcome { events, out: vec![], violation }
}

/// flate2 does not say where a stream ends, and takes one that is cut short for a whole one; and behind a final block it
/// stops. Nothing else may differ.
fn assert_flate2_agrees(payload: &[u8], way: Way, before: &[u8], expected: &Result<Inflated, Bad>) {
    // With a window of its own it refuses what goes further back, which this library understands within a message.
    let mut reader = Reader::new((way.0, 15));
    assert_eq!(reader.message(before).as_deref(), Some(BEFORE));
    let text = reader.message(payload);
    match (expected, text) {
        (Ok(inflated), Some(text)) if inflated.final_blocks == 0 => {
            assert_eq!(inflated.text, text);
        }
        (Ok(inflated), Some(text)) => assert!(inflated.text.starts_with(&text)),
        (Ok(_), None) => panic!("flate2 refuses {payload:02x?}"),
        (Err(Bad::Wrong), Some(_)) => {
            let before = if way.0 { BEFORE } else { &[] };
            let whole = [payload, &TAIL].concat();
            let (inflated, _) = super::support::inflate::inflate(&whole, before);
            assert!(inflated.final_blocks > 0, "flate2 takes {payload:02x?}");
        }
        (Err(_), _) => {}
    }
}

/// Six bytes of choices, then the value of a field: both ends find the same grammar in it, and whatever a server answers
/// to it a client accepts that may be answered anything. And what a client with the chosen wishes offers a server with
/// the chosen wishes answers so that both mean the same.
pub fn negotiation(data: &[u8]) {
    let Some((&choices, value)) = data.split_first_chunk::<6>() else { return };
    let [client, server, ways @ ..] = choices;
    let wish = |choice: u8, bits: u8| {
        let way = |takeover: u8, bits: u8| (choice & takeover != 0, 9 + bits % 7);
        deflate(way(1, bits), way(2, bits / 16))
    };
    let offers = [wish(client, ways[0]), wish(client / 4, ways[1])];
    let offers = &offers[..1 + usize::from(client >> 7)];
    let accept = Accept::new().deflate(wish(server, ways[2]));
    let [a, b] = negotiate(offers, &accept).map(|it| it.deflate().map(|it| it.parameters()));
    assert!(a.is_some() && a == b, "{a:?}, {b:?}");

    // What no field can have is no value.
    if value.iter().any(|byte| matches!(byte, 0..=8 | 10..=31 | 127)) {
        return;
    }
    let anything = [both_ways((true, 15))];
    let judged = judge(&anything, &[value]);
    match answer(&[value], &accept) {
        Err(Refusal::Extensions) => assert!(
            // What is wrong before the mistake is found before it.
            matches!(
                judged,
                Err(AnswerError::ExtensionSyntax
                    | AnswerError::ExtensionNotOffered
                    | AnswerError::ExtensionParameters)
            ),
            "{judged:?}"
        ),
        Err(refusal) => {
            assert!(matches!(refusal, Refusal::TooManyExtensions | Refusal::Head(_)), "{refusal:?}")
        }
        Ok((lines, server)) => {
            let empty = value.iter().all(|byte| matches!(byte, b' ' | b'\t' | b','));
            assert_eq!(judged == Err(AnswerError::ExtensionSyntax), empty, "{judged:?}");
            let agreed = server.deflate();
            assert_eq!(lines, Vec::from_iter(agreed.map(|it| it.to_string())));
            let Some(agreed) = agreed else { return };
            let client =
                judge(&anything, &lines).unwrap_or_else(|error| panic!("{lines:?}: {error}"));
            let parameters = client.deflate().map(|it| it.parameters());
            assert_eq!(parameters, Some(agreed.parameters()));
            assert_honoured(value, agreed.parameters());
            assert!(way_of(&server, Role::Server).1 >= 9);
        }
    }
}

/// A client that never said it can be told a window is not told one.
fn assert_honoured(value: &[u8], parameters: Parameters) {
    let name = b"client_max_window_bits";
    let offered = value.windows(name.len()).any(|it| it == name);
    assert!(offered || parameters.client_max_window_bits.is_none());
    for bits in [parameters.server_max_window_bits, parameters.client_max_window_bits.flatten()] {
        assert!(bits.is_none_or(|bits| (8..=15).contains(&bits)));
    }
}

/// Operations beyond these are left out: a longer script finds nothing that a shorter one does not.
const OPS_MAX: usize = 120;

/// A byte of choices and two for the parameters of each direction, then operations on both ends of a wire; see
/// [`play_after`].
pub fn compressed_wire(data: &[u8]) {
    let Some((&[choices, client, server], mut data)) = data.split_first_chunk() else { return };
    let delivery = |bit| if choices & bit == 0 { Delivery::Whole } else { Delivery::Parts };
    let way = |byte: u8| (byte & 0x80 != 0, 9 + (byte & 0x7F) % 7);
    let mut ops = Vec::new();
    while let Some((&[code, argument], rest)) = data.split_first_chunk() {
        data = rest;
        let role = if code & 0x80 == 0 { Role::Client } else { Role::Server };
        ops.push((role, parse_op(code & 0x7F, argument)));
        if ops.len() == OPS_MAX {
            break;
        }
    }
    play_after(&agreed([way(client), way(server)]), [delivery(1), delivery(2)], ops);
}

fn parse_op(code: u8, argument: u8) -> Op {
    let length = usize::from(argument);
    let last = code & 0x40 != 0;
    let compress = match code >> 4 & 3 {
        0 => Compress::Always,
        1 => Compress::Never,
        _ => Compress::IfWorthwhile,
    };
    match code & 0x0F {
        0 => Op::TextAs(length, compress),
        1 => Op::BinaryAs(length, compress),
        2 => Op::BinaryAs(length * 300, compress),
        3 => Op::TextPartAs(length, last, compress),
        4 => Op::BinaryPartAs(length, last, compress),
        5 => Op::BinaryPartAs(length * HISTORY_BYTES_MAX / 64, last, compress),
        6 => Op::Noise(length, compress),
        7 => Op::Noise(length * 64, compress),
        8 => Op::Prepared(length, compress),
        9 => Op::PreparedAgain(length),
        10 => Op::Ping(length),
        11 => Op::Close(CloseCode::NORMAL, length),
        12 => Op::Flush,
        13 => Op::Receive { bytes: usize::MAX, flush_each: last },
        14 => Op::Receive { bytes: length * 100, flush_each: last },
        _ => Op::Receive { bytes: length, flush_each: last },
    }
}

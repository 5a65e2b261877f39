//! Connections: the cuts do not matter, and what one end sends the other receives.

use tautline::frame::Role;
use tautline::{CloseCode, Delivery, Limits};

use super::cuts;
use super::support::drive::{assert_cuts_do_not_matter, connection, run};
use super::support::frames::{close_body, unmasked};
use super::support::wire::{Op, play};

/// Bytes of a client, as a server receives them. See [`chunking`].
pub fn connection_server(data: &[u8]) {
    chunking(Role::Server, data);
}

/// Bytes of a server, as a client receives them. See [`chunking`].
pub fn connection_client(data: &[u8]) {
    chunking(Role::Client, data);
}

/// A byte of choices, a byte that the cuts come from, then bytes from the wire: whole, byte by byte and cut anywhere,
/// they give the same events, the same output and the same error; and the output is legal.
fn chunking(role: Role, data: &[u8]) {
    let Some((&[choices, seed], bytes)) = data.split_first_chunk() else { return };
    let mut limits = Limits::default();
    if choices & 2 != 0 {
        limits.message_bytes_max = 64;
        limits.fragments_max = 4;
        limits.empty_fragments_max = 2;
    }
    let delivery = if choices & 1 == 0 { Delivery::Whole } else { Delivery::Parts };
    let outcome =
        assert_cuts_do_not_matter(role, &limits, delivery, bytes, cuts(seed, bytes.len()));

    let frames = unmasked(&outcome.out, role);
    let closes = frames.iter().filter(|frame| frame.0 == 0x88).count();
    assert!(closes <= 1, "{closes} close frames");
    if let Some(violation) = outcome.violation {
        let body = close_body(violation.close_code().get(), violation.reason());
        assert_eq!(frames.last(), Some(&(0x88, body)), "the close frame says what was wrong");
    }
    let peer = connection(role.peer(), &Limits::default(), Delivery::Whole);
    assert_eq!(run(peer, [&outcome.out[..]]).violation, None, "what is written is legal");
}

/// Operations on both ends of a wire; see [`play`].
pub fn wire(data: &[u8]) {
    let Some((&choices, mut data)) = data.split_first() else { return };
    let delivery = |bit| if choices & bit == 0 { Delivery::Whole } else { Delivery::Parts };
    let mut ops = Vec::new();
    while let Some((&[code, argument], rest)) = data.split_first_chunk() {
        data = rest;
        let role = if code & 0x80 == 0 { Role::Client } else { Role::Server };
        ops.push((role, parse_op(code & 0x7F, argument)));
        if ops.len() == OPS_MAX {
            break;
        }
    }
    play([delivery(1), delivery(2)], ops);
}

/// Operations beyond these are left out: a longer script finds nothing that a shorter one does not.
const OPS_MAX: usize = 200;

fn parse_op(code: u8, argument: u8) -> Op {
    let length = usize::from(argument);
    let last = code & 0x40 != 0;
    match code & 0x0F {
        0 => Op::Text(length),
        1 => Op::Binary(length),
        2 => Op::Binary(length * 300),
        3 | 4 => Op::TextPart(length, last),
        5 | 6 => Op::BinaryPart(length, last),
        7 => Op::Ping(length),
        8 => {
            let codes = [CloseCode::NORMAL, CloseCode::GOING_AWAY, CloseCode::INTERNAL_ERROR];
            Op::Close(codes[usize::from(code >> 4) % codes.len()], length)
        }
        9 => Op::Flush,
        10 => Op::Wait(u64::from(argument)),
        11 => Op::Receive { bytes: usize::MAX, flush_each: last },
        _ => Op::Receive { bytes: length, flush_each: last },
    }
}

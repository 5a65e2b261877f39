//! Binary messages go back as they came.

use super::{Better, Case, Sample, Workload};
use crate::Result;
use crate::echo::{Frames, Load};
use crate::options::Timing;
use crate::server::Server;
use crate::wire::{self, binary_frame};
use crate::{handshake, tls};

const SIZES: [(usize, &str); 4] =
    [(16, "16 B"), (1024, "1 KiB"), (64 * 1024, "64 KiB"), (1024 * 1024, "1 MiB")];
const CONNECTIONS: [usize; 3] = [1, 100, 1000];
const IN_FLIGHT: [usize; 3] = [1, 16, 32];
/// What is measured unless all is asked for: size, connections, and messages in flight on each.
const USUAL: [(usize, usize, usize); 5] =
    [(16, 100, 1), (16, 100, 32), (1024, 100, 16), (64 * 1024, 10, 4), (1024 * 1024, 4, 2)];
/// The same, with TLS.
const USUAL_WITH_TLS: [(usize, usize, usize); 4] =
    [(16, 100, 1), (16, 100, 32), (1024, 100, 16), (64 * 1024, 10, 4)];
/// Bytes in flight on all connections, so that the buffers of the sockets do not take all of the kernel's memory for TCP.
const IN_FLIGHT_BYTES_MAX: usize = 256 << 20;
/// Messages above this may not be accepted by a server that is not told to.
const MESSAGE_BYTES_USUAL: usize = 64 * 1024;
const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

pub fn workload() -> Workload {
    let all = SIZES.iter().flat_map(|&(bytes, _)| {
        CONNECTIONS.iter().flat_map(move |&connections| {
            IN_FLIGHT.iter().map(move |&in_flight| (bytes, connections, in_flight))
        })
    });
    let rare = all.filter(|it| !USUAL.contains(it) && it.0 * it.1 * it.2 <= IN_FLIGHT_BYTES_MAX);
    let usual = USUAL.into_iter().map(|shape| case(shape, false, false));
    Workload {
        name: "echo",
        about: "Binary messages, sent back as they came",
        unit: "thousand messages per second of server CPU",
        scale: 1e3,
        better: Better::More,
        by_level: false,
        notes: &[],
        left_out: Vec::new(),
        cases: usual.chain(rare.map(|shape| case(shape, true, false))).collect(),
    }
}

pub fn with_tls() -> Workload {
    Workload {
        name: "tls-echo",
        about: "Binary messages, sent back as they came, by TLS 1.3",
        cases: USUAL_WITH_TLS.into_iter().map(|shape| case(shape, false, true)).collect(),
        ..workload()
    }
}

fn case((bytes, connections, in_flight): (usize, usize, usize), rare: bool, tls: bool) -> Case {
    let size = SIZES.iter().find(|it| it.0 == bytes).map_or("", |it| it.1);
    let large = bytes > MESSAGE_BYTES_USUAL;
    let plural = if connections == 1 { "" } else { "s" };
    Case {
        title: format!("{size}, {connections} connection{plural}, {in_flight} in flight"),
        flags: match (large, tls) {
            (false, false) => &[],
            (false, true) => &[tls::FLAG],
            (true, false) => &["--max-message", "4194304"],
            (true, true) => &["--max-message", "4194304", tls::FLAG],
        },
        rare,
        probe: None,
        measure: Box::new(move |server, timing| {
            measure(server, timing, bytes, connections, in_flight)
        }),
    }
}

fn measure(
    server: &Server,
    timing: &Timing,
    bytes: usize,
    connections: usize,
    in_flight: usize,
) -> Result<Sample> {
    verify(server, bytes)?;
    let frames = frames(bytes, in_flight + 1);
    let streams = (0..connections).map(|_| server.open()).collect::<Result<_>>()?;
    let mut load = Load::start(streams, &frames, in_flight)?;
    let (counts, cpu) = load.measure(server, timing)?;
    if counts.payload_bytes != counts.messages * bytes as u64 {
        return Err("answers are longer or shorter than what was sent".into());
    }
    Ok(Sample { value: counts.messages as f64 / cpu, notes: Vec::new() })
}

/// Connections without extensions or TLS.
pub fn open(server: &Server, connections: usize) -> Result<Vec<std::net::TcpStream>> {
    (0..connections).map(|_| Ok(handshake::open(server.address, None)?.0)).collect()
}

/// So many frames with a message of this size.
pub fn frames(bytes: usize, count: usize) -> Frames {
    Frames::new(&vec![binary_frame(&message(bytes), MASK); count])
}

fn message(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|n| n as u8).collect()
}

/// Sends one message and compares what comes back.
pub fn verify(server: &Server, bytes: usize) -> Result<()> {
    use std::io::Write;
    let message = message(bytes);
    let mut stream = server.open()?;
    stream.write_all(&binary_frame(&message, MASK))?;
    let (_, payload) = wire::receive(&mut stream)?;
    if payload == message || (server.peer.is_limit() && payload.len() == bytes) {
        Ok(())
    } else {
        Err("the answer is not what was sent".into())
    }
}

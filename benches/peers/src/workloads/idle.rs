//! Connections that do nothing, and the memory that they take.

use std::io::Write;
use std::net::TcpStream;

use super::{Better, Case, Sample, Workload, left_out};
use crate::server::Server;
use crate::wire::{self, binary_frame};
use crate::{Result, handshake};

const CONNECTIONS: usize = 15_000;
const PAYLOAD_BYTES: usize = 512;
/// Opened before anything is measured, so that what a server has once is there.
const WARM_UP: usize = 100;

pub fn workload(connections: usize) -> Workload {
    let count = CONNECTIONS.min(connections.saturating_sub(WARM_UP)).max(1);
    let title = format!("{CONNECTIONS} connections");
    Workload {
        name: "idle",
        about: "Connections that have each carried one message of 512 B there and back",
        unit: "bytes of the server's memory (RSS) for each connection",
        scale: 1.0,
        better: Better::Less,
        by_level: false,
        notes: &[],
        left_out: (count < CONNECTIONS)
            .then(|| left_out(&title, connections))
            .into_iter()
            .collect(),
        cases: vec![Case {
            title: format!("{count} connections"),
            flags: &[],
            rare: false,
            probe: None,
            measure: Box::new(move |server, _| measure(server, count)),
        }],
    }
}

fn measure(server: &Server, count: usize) -> Result<Sample> {
    let frame = binary_frame(&[0x55; PAYLOAD_BYTES], [1, 2, 3, 4]);
    let warm = (0..WARM_UP).map(|_| carry_one(server, &frame)).collect::<Result<Vec<_>>>()?;
    let before = server.resident_bytes()?;
    let idle = (0..count).map(|_| carry_one(server, &frame)).collect::<Result<Vec<_>>>()?;
    let after = server.resident_bytes()?;
    drop((warm, idle));
    Ok(Sample { value: (after - before) / count as f64, notes: Vec::new() })
}

/// A connection that has carried one message there and back.
fn carry_one(server: &Server, frame: &[u8]) -> Result<TcpStream> {
    let (mut stream, _) = handshake::open(server.address, None)?;
    stream.write_all(frame)?;
    wire::receive(&mut stream)?;
    Ok(stream)
}

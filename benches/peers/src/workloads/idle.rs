//! Connections that do nothing, and the memory that they take.

use std::io::Write;

use super::{Better, Case, Sample, Workload, left_out};
use crate::Result;
use crate::server::Server;
use crate::tls::{self, Stream};
use crate::wire::{self, binary_frame};

const CONNECTIONS: usize = 15_000;
const CONNECTIONS_WITH_TLS: usize = 10_000;
const PAYLOAD_BYTES: usize = 512;
/// Opened before anything is measured, so that what a server has once is there.
const WARM_UP: usize = 100;

pub fn workload(connections: usize) -> Workload {
    let about = "Connections that have each carried one message of 512 B there and back";
    with("idle", about, &[], CONNECTIONS, connections)
}

pub fn with_tls(connections: usize) -> Workload {
    let about = "Connections that have each carried one message of 512 B there and back by TLS 1.3";
    with("tls-idle", about, &[tls::FLAG], CONNECTIONS_WITH_TLS, connections)
}

/// So many connections, or as many as there can be.
fn with(
    name: &'static str,
    about: &'static str,
    flags: &'static [&'static str],
    wanted: usize,
    connections: usize,
) -> Workload {
    let count = wanted.min(connections.saturating_sub(WARM_UP)).max(1);
    let title = format!("{wanted} connections");
    Workload {
        name,
        about,
        unit: "bytes of the server's memory (RSS) for each connection",
        scale: 1.0,
        better: Better::Less,
        by_level: false,
        notes: &[],
        left_out: (count < wanted).then(|| left_out(&title, connections)).into_iter().collect(),
        cases: vec![Case {
            title: format!("{count} connections"),
            flags,
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
fn carry_one(server: &Server, frame: &[u8]) -> Result<Stream> {
    let mut stream = server.open()?;
    stream.write_all(frame)?;
    wire::receive(&mut stream)?;
    Ok(stream)
}

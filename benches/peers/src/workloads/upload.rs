//! One message that nobody would want to hold in memory. The server counts its bytes.

use std::io::Write;
use std::net::TcpStream;

use super::{Better, Case, Note, Sample, Workload};
use crate::options::Timing;
use crate::server::Server;
use crate::wire::{self, binary_header};
use crate::{Result, handshake};

const MESSAGE_BYTES: usize = 1 << 30;
const WARM_UP_BYTES: usize = 16 << 20;
/// What one write brings, and in the first case one fragment.
const PIECE_BYTES: usize = 64 * 1024;
const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

pub fn workload() -> Workload {
    let in_fragments = case("in fragments of 64 KiB", &["--upload"], PIECE_BYTES);
    // Who holds a frame whole has to be told that it may be as long.
    let flags = &["--upload", "--max-message", "1073741824"];
    let in_one = case("in one frame", flags, MESSAGE_BYTES);
    Workload {
        name: "upload",
        about: "One binary message of 1 GiB, to a server that counts its bytes",
        unit: "MiB per second of server CPU",
        scale: f64::from(1 << 20),
        better: Better::More,
        by_level: false,
        notes: &["memory at most, MiB"],
        left_out: Vec::new(),
        cases: vec![in_fragments, in_one],
    }
}

fn case(title: &str, flags: &'static [&'static str], fragment_bytes: usize) -> Case {
    Case {
        title: title.into(),
        flags,
        rare: false,
        probe: None,
        measure: Box::new(move |server, timing| measure(server, timing, fragment_bytes)),
    }
}

fn measure(server: &Server, timing: &Timing, fragment_bytes: usize) -> Result<Sample> {
    let (mut stream, _) = handshake::open(server.address, None)?;
    stream.set_read_timeout(Some(timing.measured + std::time::Duration::from_secs(60)))?;
    upload(&mut stream, WARM_UP_BYTES, fragment_bytes)?;
    let cpu = server.cpu_seconds()?;
    upload(&mut stream, MESSAGE_BYTES, fragment_bytes)?;
    let cpu = server.cpu_seconds()? - cpu;
    let memory = server.peak_bytes()? / f64::from(1 << 20);
    Ok(Sample { value: MESSAGE_BYTES as f64 / cpu, notes: vec![Note::Number(memory)] })
}

/// Sends a message of so many bytes, and reads the answer: how many there were.
fn upload(stream: &mut TcpStream, bytes: usize, fragment_bytes: usize) -> Result<()> {
    let fragment_bytes = fragment_bytes.min(bytes);
    // Masked with the same key from piece to piece, since a piece is a multiple of 4.
    let piece = vec![0x55; PIECE_BYTES];
    for start in (0..bytes).step_by(fragment_bytes) {
        let last = start + fragment_bytes == bytes;
        stream.write_all(&binary_header(start == 0, last, fragment_bytes, MASK))?;
        for _ in 0..fragment_bytes / PIECE_BYTES {
            stream.write_all(&piece)?;
        }
    }
    let (_, answer) = wire::receive(stream)?;
    if answer != bytes.to_string().as_bytes() {
        return Err(format!("{bytes} were counted as {}", String::from_utf8_lossy(&answer)).into());
    }
    Ok(())
}

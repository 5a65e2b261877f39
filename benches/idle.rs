//! What an idle connection costs: server memory of 15,000 connections that have each carried a message of 512 bytes.
//!
//! `cargo bench --bench idle` prints bytes per connection. It needs 15,100 descriptors in each of two processes
//! (`ulimit -n`).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // a benchmark may panic

mod support {
    #[path = "../support/mod.rs"]
    pub(crate) mod common;
    #[path = "../support/echo.rs"]
    pub(crate) mod echo;
}

use std::io::{Read, Write};

use support::common::{self, Server};

const CONNECTIONS: usize = 15_000;
const PAYLOAD_BYTES: usize = 512;
/// Opened before anything is measured, so that the loop's own buffers are there.
const WARM_UP: usize = 100;

fn main() {
    match common::role().as_deref() {
        Some("tautline") => return support::echo::tautline(),
        Some("raw") => return support::echo::raw(),
        _ => common::pin_load(),
    }
    let server = Server::start("tautline");
    let mut streams: Vec<_> = (0..WARM_UP).map(|_| carry_one(&server)).collect();
    let before = resident_bytes(&server);
    streams.extend((0..CONNECTIONS).map(|_| carry_one(&server)));
    let after = resident_bytes(&server);
    let each = (after - before) as f64 / CONNECTIONS as f64;
    println!("{CONNECTIONS} idle connections: {each:.0} bytes of server memory each");
}

/// A connection that has carried one message there and back.
fn carry_one(server: &Server) -> std::net::TcpStream {
    let mut stream = common::open(server.address);
    let frame = common::frame(PAYLOAD_BYTES);
    stream.write_all(&frame).unwrap();
    let mut answer = vec![0; frame.len() - 4];
    stream.read_exact(&mut answer).unwrap();
    stream
}

fn resident_bytes(server: &Server) -> u64 {
    let status = server.proc("status");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

//! What an idle connection costs: server memory of connections that have each carried a message there and back.
//!
//! `cargo bench --bench idle` prints bytes per connection: 15,000 without compression, as many with what
//! permessage-deflate agrees on by default, and 2,000 with context takeover for each number of window bits. It needs
//! 15,100 descriptors in each of two processes (`ulimit -n`).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // a benchmark may panic

mod support {
    #[path = "../support/answers.rs"]
    pub(crate) mod answers;
    #[path = "../support/mod.rs"]
    pub(crate) mod common;
    #[path = "../support/compressed.rs"]
    pub(crate) mod compressed;
    #[path = "../support/echo.rs"]
    pub(crate) mod echo;
}

use std::io::{Read, Write};
use std::net::TcpStream;

use support::answers;
use support::common::{self, Server};
use support::compressed::{self, OFFER};
use tautline::Deflate;
use tautline::deflate::WindowBits;

const CONNECTIONS: usize = 15_000;
const CONNECTIONS_WITH_CONTEXT: usize = 2_000;
/// Enough for the largest window.
const MESSAGES_WITH_CONTEXT: usize = 16;
const PAYLOAD_BYTES: usize = 512;
/// Opened before anything is measured, so that the loop's own buffers are there.
const WARM_UP: usize = 100;

fn main() {
    if let Some(role) = common::role() {
        return match role.as_str() {
            "raw" => support::echo::raw(),
            "plain" => support::echo::tautline(None),
            "deflate" => support::echo::tautline(Some(Deflate::default())),
            bits => support::echo::tautline(Some(with_context(bits.parse().unwrap()))),
        };
    }
    common::pin_load();
    let message = common::frame(PAYLOAD_BYTES);
    let plain = measure("plain", CONNECTIONS, None, &message, 1);
    println!("{plain:>6.0} bytes a connection without compression");
    let deflate =
        measure("deflate", CONNECTIONS, Some(OFFER), &compressed::frame(PAYLOAD_BYTES), 1);
    println!("{deflate:>6.0} with permessage-deflate as it is by default\n");
    println!("with context takeover in both directions, after 16 messages of 4 KiB:");
    let message = compressed::frame(4 * 1024).repeat(MESSAGES_WITH_CONTEXT);
    for bits in 9..=15 {
        let role = bits.to_string();
        let bytes =
            measure(&role, CONNECTIONS_WITH_CONTEXT, Some(OFFER), &message, MESSAGES_WITH_CONTEXT);
        println!("{bytes:>6.0} for {bits} window bits");
    }
}

fn with_context(bits: u8) -> Deflate {
    let mut deflate = Deflate::default();
    for direction in [&mut deflate.sending, &mut deflate.receiving] {
        direction.context_takeover = true;
        direction.max_window_bits = WindowBits::new(bits).unwrap();
    }
    deflate
}

/// Bytes of server memory for each connection that has carried this message.
fn measure(
    role: &str,
    connections: usize,
    extensions: Option<&str>,
    message: &[u8],
    messages: usize,
) -> f64 {
    let server = Server::start(role, "0");
    let mut streams: Vec<_> =
        (0..WARM_UP).map(|_| carry(&server, extensions, message, messages)).collect();
    let before = resident_bytes(&server);
    streams.extend((0..connections).map(|_| carry(&server, extensions, message, messages)));
    let after = resident_bytes(&server);
    (after - before) as f64 / connections as f64
}

/// A connection that has carried messages there and back.
fn carry(server: &Server, extensions: Option<&str>, message: &[u8], messages: usize) -> TcpStream {
    let mut stream = common::open(server.address, extensions);
    stream.write_all(message).unwrap();
    let (mut answer, mut missing) = (Vec::new(), messages);
    while missing > 0 {
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer).unwrap();
        assert_ne!(count, 0, "the server ended the stream");
        answer.extend_from_slice(&buffer[..count]);
        while let Some((_, length)) = answers::first_frame(&answer) {
            answer.drain(..length);
            missing -= 1;
        }
    }
    stream
}

fn resident_bytes(server: &Server) -> u64 {
    let status = std::fs::read_to_string(server.proc("status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

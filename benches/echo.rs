//! Small messages in flight: what our echo server costs beside a loop that is no WebSocket.
//!
//! `cargo bench --bench echo` runs both in turns and prints the ratio of messages per second of server CPU.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // a benchmark may panic

mod support {
    #[path = "../support/mod.rs"]
    pub(crate) mod common;
    #[path = "../support/echo.rs"]
    pub(crate) mod echo;
}

use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use support::common::{self, Server};

const CONNECTIONS: usize = 100;
const IN_FLIGHT: usize = 32;
const PAYLOAD_BYTES: usize = 16;
/// Each server runs this often, in turns.
const ROUNDS: usize = 7;
const WARM_UP: Duration = Duration::from_millis(300);
const MEASURED: Duration = Duration::from_millis(1500);

fn main() {
    match common::role().as_deref() {
        Some("tautline") => return support::echo::tautline(None),
        Some("raw") => return support::echo::raw(),
        _ => common::pin_load(),
    }
    println!(
        "{CONNECTIONS} connections, {IN_FLIGHT} messages of {PAYLOAD_BYTES} bytes in flight on each, {ROUNDS} rounds in turns\n"
    );
    let (mut raw, mut ours, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        raw.push(measure("raw"));
        ours.push(measure("tautline"));
        ratios.push(ours[ours.len() - 1] / raw[raw.len() - 1]);
    }
    let spread = |values: &[f64]| {
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        let most = values.iter().copied().fold(0.0, f64::max);
        (least / 1e3, most / 1e3)
    };
    for (name, values) in [("raw", &raw), ("tautline", &ours)] {
        let (least, most) = spread(values);
        let median = median(values.clone()) / 1e3;
        println!(
            "{name:<10} {median:>7.0} thousand messages per second of server CPU ({least:.0} to {most:.0})"
        );
    }
    println!("\nratio of tautline to raw, median: {:.2}", median(ratios));
}

/// Messages per second of server CPU.
fn measure(role: &str) -> f64 {
    let server = Server::start(role);
    let mut load = Load::new(&server);
    load.run(WARM_UP);
    let (cpu, answered) = (cpu_seconds(&server), load.answered);
    load.run(MEASURED);
    (load.answered - answered) as f64 / (cpu_seconds(&server) - cpu)
}

/// CPU time of the server so far. `schedstat` counts nanoseconds, `stat` only hundredths of a second.
fn cpu_seconds(server: &Server) -> f64 {
    let nanoseconds: f64 =
        server.proc("schedstat").split_whitespace().next().unwrap().parse().unwrap();
    nanoseconds / 1e9
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Keeps messages in flight: frames are built once, answers are counted by their length.
struct Load {
    poll: Poll,
    peers: Vec<(TcpStream, usize)>,
    frames: Vec<u8>,
    frame_bytes: usize,
    answer_bytes: usize,
    answered: usize,
    buffer: Vec<u8>,
}

impl Load {
    fn new(server: &Server) -> Self {
        let poll = Poll::new().unwrap();
        let frame = common::frame(PAYLOAD_BYTES);
        let mut load = Self {
            poll,
            peers: Vec::new(),
            frames: frame.repeat(IN_FLIGHT),
            frame_bytes: frame.len(),
            answer_bytes: frame.len() - 4,
            answered: 0,
            buffer: vec![0; 64 * 1024],
        };
        for number in 0..CONNECTIONS {
            let stream = common::open(server.address, None);
            stream.set_nonblocking(true).unwrap();
            let mut stream = TcpStream::from_std(stream);
            load.poll.registry().register(&mut stream, Token(number), Interest::READABLE).unwrap();
            stream.write_all(&load.frames).unwrap();
            load.peers.push((stream, 0));
        }
        load
    }

    fn run(&mut self, time: Duration) {
        let mut events = Events::with_capacity(CONNECTIONS);
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.poll.poll(&mut events, Some(Duration::from_millis(100))).unwrap();
            for event in &events {
                self.answer(event.token().0);
            }
        }
    }

    /// Counts whole answers, and sends as many messages.
    fn answer(&mut self, number: usize) {
        let (stream, rest) = &mut self.peers[number];
        loop {
            let count = match stream.read(&mut self.buffer) {
                Ok(0) => panic!("the server ended the stream"),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => panic!("{error}"),
            };
            *rest += count;
            let answers = *rest / self.answer_bytes;
            *rest %= self.answer_bytes;
            self.answered += answers;
            stream.write_all(&self.frames[..answers * self.frame_bytes]).unwrap();
        }
    }
}

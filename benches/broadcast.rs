//! What a broadcast costs when its receivers have agreed on compression, beside the same to receivers that have not.
//!
//! `cargo bench --bench broadcast` publishes 1 KiB of JSON to 1,000 subscribers, plain and compressed in turns, and
//! prints the ratio of server CPU per publication.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // a benchmark may panic

mod support {
    #[path = "../support/answers.rs"]
    pub(crate) mod answers;
    #[path = "../support/mod.rs"]
    pub(crate) mod common;
}

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream as StdStream;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use support::answers;
use support::common::{self, Server};
use tautline::reactor::{Context, Handler};
use tautline::{Deflate, Message, Origins, Reactor};

const SUBSCRIBERS: usize = 1_000;
const PAYLOAD_BYTES: usize = 1024;
/// Each way is measured this often, in turns.
const ROUNDS: usize = 7;
const MEASURED: Duration = Duration::from_millis(1500);
const OFFER: &str = "permessage-deflate; client_max_window_bits";

fn main() {
    if common::role().is_some() {
        return serve();
    }
    common::pin_load();
    println!(
        "{PAYLOAD_BYTES} bytes of JSON to {SUBSCRIBERS} subscribers, {ROUNDS} rounds in turns\n"
    );
    let (mut plain, mut compressed, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        plain.push(measure(None));
        compressed.push(measure(Some(OFFER)));
        ratios.push(compressed[compressed.len() - 1] / plain[plain.len() - 1]);
    }
    for (name, values) in [("plain", plain), ("compressed", compressed)] {
        println!("{name:<10} {:>8.1} us of server CPU a publication", median(values) * 1e6);
    }
    let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
    let most = ratios.iter().copied().fold(0.0, f64::max);
    println!(
        "\nratio of compressed to plain, median: {:.2} ({least:.2} to {most:.2})",
        median(ratios)
    );
}

struct Broadcast {
    published: u64,
}

impl Handler for Broadcast {
    type Session = ();

    fn on_open(&mut self, cx: &mut Context<'_, ()>) {
        cx.subscribe("all");
    }

    /// Any message is a wish for the next publication.
    fn on_message(&mut self, cx: &mut Context<'_, ()>, _: Message<'_>) {
        let text = json(self.published);
        self.published += 1;
        cx.publish("all", text.as_str());
    }
}

/// A list of trades, different for each number.
fn json(mut number: u64) -> String {
    let mut text = String::from("[");
    while text.len() < PAYLOAD_BYTES {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        let (id, price, side) = (number >> 44, (number >> 30) % 100_000, number >> 63);
        let side = if side == 0 { "buy" } else { "sell" };
        text.push_str(&format!(
            "{{\"id\":{id},\"side\":\"{side}\",\"price\":{}.{:02},\"open\":true}},",
            price / 100,
            price % 100
        ));
    }
    text.truncate(PAYLOAD_BYTES);
    text
}

fn serve() {
    let reactor = Reactor::new(Broadcast { published: 0 }).unwrap();
    let reactor = reactor.deflate(Deflate::default()).origins(Origins::Any);
    let reactor = reactor.listen("127.0.0.1:0").unwrap();
    println!("{}", reactor.local_addrs().unwrap()[0]);
    reactor.run().unwrap();
}

/// Seconds of server CPU per publication.
fn measure(extensions: Option<&str>) -> f64 {
    let server = Server::start("broadcast", "0");
    let mut load = Load::new(&server, extensions);
    load.run(Duration::from_millis(300));
    let (cpu, published) = (cpu_seconds(&server), load.published);
    load.run(MEASURED);
    (cpu_seconds(&server) - cpu) / (load.published - published) as f64
}

fn cpu_seconds(server: &Server) -> f64 {
    let schedstat = std::fs::read_to_string(server.proc("schedstat")).unwrap();
    let nanoseconds: f64 = schedstat.split_whitespace().next().unwrap().parse().unwrap();
    nanoseconds / 1e9
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Asks for a publication, and for the next one when all subscribers have got it.
struct Load {
    poll: Poll,
    publisher: StdStream,
    subscribers: Vec<(TcpStream, Vec<u8>)>,
    missing: usize,
    published: u64,
    buffer: Vec<u8>,
}

impl Load {
    fn new(server: &Server, extensions: Option<&str>) -> Self {
        let poll = Poll::new().unwrap();
        let mut subscribers = Vec::new();
        for number in 0..SUBSCRIBERS {
            let stream = common::open(server.address, extensions);
            stream.set_nonblocking(true).unwrap();
            let mut stream = TcpStream::from_std(stream);
            poll.registry().register(&mut stream, Token(number), Interest::READABLE).unwrap();
            subscribers.push((stream, Vec::new()));
        }
        let publisher = common::open(server.address, extensions);
        Self { poll, publisher, subscribers, missing: 0, published: 0, buffer: vec![0; 64 * 1024] }
    }

    fn run(&mut self, time: Duration) {
        let wish = common::frame(1);
        let mut events = Events::with_capacity(SUBSCRIBERS);
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.publisher.write_all(&wish).unwrap();
            self.missing = SUBSCRIBERS;
            while self.missing > 0 {
                self.poll.poll(&mut events, Some(Duration::from_secs(5))).unwrap();
                assert!(!events.is_empty(), "{} have got nothing", self.missing);
                for event in &events {
                    self.receive(event.token().0);
                }
            }
            // It is subscribed too.
            let count = self.publisher.read(&mut self.buffer).unwrap();
            assert_ne!(count, 0, "the server ended the stream");
            self.published += 1;
        }
    }

    fn receive(&mut self, number: usize) {
        let (stream, cut) = &mut self.subscribers[number];
        loop {
            match stream.read(&mut self.buffer) {
                Ok(0) => panic!("the server ended the stream"),
                Ok(count) => cut.extend_from_slice(&self.buffer[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => panic!("{error}"),
            }
            while let Some((_, length)) = answers::first_frame(cut) {
                cut.drain(..length);
                self.missing -= 1;
            }
        }
    }
}

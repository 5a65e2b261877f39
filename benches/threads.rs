//! Two loops on two cores that share an address, beside one loop on core 0.
//!
//! `cargo bench --bench threads` runs both in turns and prints two ratios of two loops to one. Messages per second of
//! server CPU tell whether loops get in each other's way: without a loss it is 1. Messages per second of time tell what
//! the second core gains. The load is on core 1 and takes its time from the second loop: small messages cost it as much
//! as they cost a server, so that nothing is gained, compressed ones next to nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // a benchmark may panic

mod support {
    #[path = "../support/answers.rs"]
    pub(crate) mod answers;
    #[path = "../support/mod.rs"]
    pub(crate) mod common;
    #[path = "../support/compressed.rs"]
    pub(crate) mod compressed;
    #[path = "../support/load.rs"]
    pub(crate) mod load;
}

use std::io::{Read, Write};

use support::answers;
use support::common::{self, Server};
use support::compressed;
use support::load::{self, Exchange};
use tautline::reactor::{Context, Handler};
use tautline::{Deflate, Message, Origins, Reactor};

const CONNECTIONS: usize = 100;
/// Each server runs this often, in turns.
const ROUNDS: usize = 7;
/// So many loops, and the cores that they may use.
const ONE: (&str, &str) = ("1", "0");
const TWO: (&str, &str) = ("2", "0,1");

fn main() {
    match common::role() {
        Some(loops) => return serve(loops.parse().unwrap()),
        None => common::pin_load(),
    }
    println!("echo on {CONNECTIONS} connections, {ROUNDS} rounds in turns");
    for in_flight in [1, 32] {
        let frame = common::frame(16);
        let answer_bytes = frame.len() - 4;
        let exchange = Exchange { frame, answer_bytes, in_flight, extensions: None };
        compare(&format!("16 bytes, {in_flight} in flight on each"), &exchange);
    }
    for (bytes, name, in_flight) in [(1024, "1 KiB", 32), (16 * 1024, "16 KiB", 4)] {
        let frame = compressed::frame(bytes);
        let answer_bytes = answer_bytes(&frame);
        let extensions = Some(compressed::OFFER);
        let exchange = Exchange { frame, answer_bytes, in_flight, extensions };
        compare(&format!("{name} of JSON, compressed, {in_flight} in flight on each"), &exchange);
    }
}

fn compare(title: &str, exchange: &Exchange) {
    let mut rates = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for ((loops, cores), rates) in [ONE, TWO].into_iter().zip(&mut rates) {
            let server = Server::start(loops, cores);
            rates.push(load::measure(&server, CONNECTIONS, exchange));
        }
    }
    println!("\n{title}");
    let [one, two] = rates;
    for (name, rates) in [("1 loop", &one), ("2 loops", &two)] {
        let [_, per_cpu_second, _] = spread(rates.iter().map(|it| it.per_cpu_second / 1e3));
        let [_, per_second, _] = spread(rates.iter().map(|it| it.per_second / 1e3));
        println!(
            "{name:<8} {per_cpu_second:>6.0} thousand messages per second of server CPU, {per_second:>6.0} per second"
        );
    }
    let both = || two.iter().zip(&one);
    let cpu = spread(both().map(|(two, one)| two.per_cpu_second / one.per_cpu_second));
    let time = spread(both().map(|(two, one)| two.per_second / one.per_second));
    for (name, [least, median, most]) in [("server CPU", cpu), ("time", time)] {
        println!("ratio of 2 to 1, {name:<10} {median:.2} ({least:.2} to {most:.2})");
    }
}

/// The least, the median and the most.
fn spread(values: impl Iterator<Item = f64>) -> [f64; 3] {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    [values[0], values[values.len() / 2], values[values.len() - 1]]
}

/// How long the answer to a frame is, which is the same each time.
fn answer_bytes(frame: &[u8]) -> usize {
    let server = Server::start(ONE.0, ONE.1);
    let mut stream = common::open(server.address, Some(compressed::OFFER));
    stream.write_all(frame).unwrap();
    let mut answer = Vec::new();
    loop {
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer).unwrap();
        assert_ne!(count, 0, "the server ended the stream");
        answer.extend_from_slice(&buffer[..count]);
        if let Some((_, length)) = answers::first_frame(&answer) {
            return length;
        }
    }
}

struct Echo;

impl Handler for Echo {
    type Session = ();

    fn on_message(&mut self, cx: &mut Context<'_, ()>, message: Message<'_>) {
        cx.send(message);
    }
}

fn serve(loops: usize) {
    let reactor = || Reactor::new(Echo).unwrap().deflate(Deflate::default()).origins(Origins::Any);
    let first = reactor().listen_shared("127.0.0.1:0").unwrap();
    let address = first.local_addrs().unwrap()[0];
    for _ in 1..loops {
        let another = reactor().listen_shared(address).unwrap();
        std::thread::spawn(move || another.run().unwrap());
    }
    println!("{address}");
    first.run().unwrap();
}

//! Small messages in flight: what our echo server costs beside a loop that is no WebSocket.
//!
//! `cargo bench --bench echo` runs both in turns and prints the ratio of messages per second of server CPU.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // a benchmark may panic

mod support {
    #[path = "../support/mod.rs"]
    pub(crate) mod common;
    #[path = "../support/echo.rs"]
    pub(crate) mod echo;
    #[path = "../support/load.rs"]
    pub(crate) mod load;
}

use support::common::{self, Server};
use support::load::{self, Exchange};

const CONNECTIONS: usize = 100;
const IN_FLIGHT: usize = 32;
const PAYLOAD_BYTES: usize = 16;
/// Each server runs this often, in turns.
const ROUNDS: usize = 7;

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
    let frame = common::frame(PAYLOAD_BYTES);
    let answer_bytes = frame.len() - 4;
    let exchange = Exchange { frame, answer_bytes, in_flight: IN_FLIGHT, extensions: None };
    let server = Server::start(role, "0");
    load::measure(&server, CONNECTIONS, &exchange).per_cpu_second
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

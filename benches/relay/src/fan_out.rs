//! One sender, a room of a thousand, and what a delivery costs beside the engine's own broadcast of as many bytes.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::load::Load;
use crate::process::{self, Process};
use crate::report::Row;
use crate::wire::{self, Wire, text};

const MEMBERS: usize = 1_000;
const ROUNDS: usize = 5;
const WARM_UP: Duration = Duration::from_millis(500);
const MEASURED: Duration = Duration::from_millis(2_000);

pub(crate) fn measure(folder: &Path) -> Vec<Row> {
    let mut rows = Vec::new();
    process::move_load_to("1");
    for in_flight in [1, 16] {
        let [mut engine, mut memory, mut data] = [const { Vec::new() }; 3];
        let (mut of_memory, mut of_data) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            let folder = folder.join(format!("{in_flight}-{round}"));
            let (per_cpu, line_bytes) = relay(None, in_flight);
            memory.push(per_cpu);
            engine.push(broadcast(in_flight, line_bytes));
            data.push(relay(Some(&folder), in_flight).0);
            of_memory.push(memory[round] / engine[round]);
            of_data.push(data[round] / engine[round]);
        }
        let name = format!("fan-out to {MEMBERS}, {in_flight} in flight");
        let unit = "deliveries/s of CPU";
        rows.extend([
            Row::of(format!("{name}: the engine's broadcast"), unit, &engine, ""),
            Row::of(format!("{name}: the relay, in memory"), unit, &memory, ""),
            Row::of(format!("{name}: the relay, on disk"), unit, &data, ""),
            Row::of(format!("{name}: in memory to the engine's"), "", &of_memory, "at least 0.7"),
            Row::of(format!("{name}: on disk to the engine's"), "", &of_data, ""),
        ]);
    }
    process::move_load_to("0,1");
    rows
}

/// Deliveries per second of CPU, and the bytes of what is delivered.
fn relay(folder: Option<&Path>, in_flight: usize) -> (f64, usize) {
    let server = Process::relay(&format!("together:{MEMBERS}"), folder, true);
    let mut load = Load::new(wire::people(server.address, 1..=MEMBERS));
    let frame = |number: usize| text(&send(number));
    run(&server, &mut load, in_flight, br#"{"msg""#, &frame)
}

fn send(number: usize) -> String {
    format!(
        r#"{{"id":{number},"send":{{"room":"r1","cid":"c{number:012}","body":{{"text":"message {number:09}, some words as people write them"}}}}}}"#
    )
}

fn broadcast(in_flight: usize, line_bytes: usize) -> f64 {
    let server = Process::broadcast();
    let mut load = Load::new((0..MEMBERS).map(|_| Wire::open(server.address)).collect());
    let line = format!(r#"{{"msg":"{}"}}"#, "x".repeat(line_bytes - 10));
    let (per_cpu, bytes) = run(&server, &mut load, in_flight, br#"{"msg""#, &|_| text(&line));
    assert_eq!(bytes, line_bytes);
    per_cpu
}

/// Sends so many messages, and the next when everybody has got them.
fn run(
    server: &Process,
    load: &mut Load,
    in_flight: usize,
    delivered: &[u8],
    frame: &dyn Fn(usize) -> Vec<u8>,
) -> (f64, usize) {
    let (mut number, mut bytes) = (0, 0);
    let mut rounds = |time: Duration| {
        let end = Instant::now() + time;
        let before = number;
        while Instant::now() < end {
            let frames: Vec<u8> = (number..number + in_flight).flat_map(frame).collect();
            load.say(0, &frames);
            number += in_flight;
            let mut missing = MEMBERS * in_flight;
            while missing > 0 {
                load.hear(Duration::from_secs(20), |_, line| {
                    if line.starts_with(delivered) {
                        (missing, bytes) = (missing - 1, line.len());
                    }
                });
            }
        }
        number - before
    };
    rounds(WARM_UP);
    let cpu = server.cpu_seconds();
    let sent = rounds(MEASURED);
    ((sent * MEMBERS) as f64 / (server.cpu_seconds() - cpu), bytes)
}

//! Durable sends: messages that are acknowledged after their fsync, and the same with a transaction for each.

use std::path::Path;
use std::time::{Duration, Instant};

use chat_relay::store::job::Answer;
use chat_relay::store::{Request, Store, StoreLimits};

use crate::load::Load;
use crate::plan::{self, Plan};
use crate::process::Process;
use crate::report::Row;
use crate::wire::{self, text};

const SENDERS: usize = 100;
const ROUNDS: usize = 3;
const WARM_UP: Duration = Duration::from_secs(1);
const MEASURED: Duration = Duration::from_secs(4);

pub(crate) fn measure(folder: &Path) -> Vec<Row> {
    let (mut one, mut eight, mut single) = (Vec::new(), Vec::new(), Vec::new());
    let (mut per_cpu, mut ratios) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        single.push(one_by_one(&folder.join(format!("single-{round}"))));
        let (per_second, per_cpu_second) = relay(&folder.join(format!("one-{round}")), 1);
        one.push(per_second);
        per_cpu.push(per_cpu_second);
        eight.push(relay(&folder.join(format!("eight-{round}")), 8).0);
        ratios.push(one[round] / single[round]);
    }
    let unit = "messages/s";
    let target = "at least 20,000 messages/s";
    vec![
        Row::of(format!("durable sends, {SENDERS} senders, 1 in flight each"), unit, &one, target),
        Row::of("the same, per second of CPU of the relay", unit, &per_cpu, ""),
        Row::of(format!("durable sends, {SENDERS} senders, 8 in flight each"), unit, &eight, ""),
        Row::of("one transaction for each message, the store alone", unit, &single, ""),
        Row::of("1 in flight each, to one transaction for each", "times", &ratios, ""),
    ]
}

/// Messages per second of the store, each in a transaction of its own.
fn one_by_one(folder: &Path) -> f64 {
    let mut store = Store::open(folder, &StoreLimits::default()).unwrap();
    Plan::alone(SENDERS).put_into(&mut store);
    let (started, mut sent) = (Instant::now(), 0);
    while started.elapsed() < MEASURED {
        let person = 1 + sent % SENDERS;
        let job = plan::message(person, person, sent);
        let replies = store.run(vec![Request { context: (), job }]);
        assert!(matches!(replies[0].answer, Answer::Sent { dup: false, .. }));
        sent += 1;
    }
    sent as f64 / started.elapsed().as_secs_f64()
}

/// Messages per second that were acknowledged, and the same per second of the relay's CPU. Each sender is in a room of
/// its own, so that a message is stored, answered and delivered once.
fn relay(folder: &Path, in_flight: usize) -> (f64, f64) {
    let server = Process::relay(&format!("alone:{SENDERS}"), Some(folder), false);
    let mut load = Load::new(wire::people(server.address, 1..=SENDERS));
    let mut number = 0;
    for person in 0..SENDERS {
        for _ in 0..in_flight {
            load.say(person, &send(person + 1, number));
            number += 1;
        }
    }
    let acknowledged = run(&mut load, &mut number, WARM_UP);
    assert_ne!(acknowledged, 0, "nothing is acknowledged");
    let (started, cpu) = (Instant::now(), server.cpu_seconds());
    let acknowledged = run(&mut load, &mut number, MEASURED) as f64;
    let (elapsed, cpu) = (started.elapsed().as_secs_f64(), server.cpu_seconds() - cpu);
    (acknowledged / elapsed, acknowledged / cpu)
}

/// Answers each acknowledgement with the next message.
fn run(load: &mut Load, number: &mut usize, time: Duration) -> usize {
    let end = Instant::now() + time;
    let mut acknowledged = 0;
    let mut who = Vec::new();
    while Instant::now() < end {
        load.hear(Duration::from_millis(100), |person, line| {
            if line.starts_with(br#"{"id":"#) {
                assert!(line.windows(11).any(|it| it == br#""ok":{"seq""#), "{line:?}");
                who.push(person);
            }
        });
        acknowledged += who.len();
        for person in who.drain(..) {
            load.say(person, &send(person + 1, *number));
            *number += 1;
        }
    }
    acknowledged
}

fn send(room: usize, number: usize) -> Vec<u8> {
    text(&format!(
        r#"{{"id":{number},"send":{{"room":"r{room}","cid":"c{number:012}","body":{{"text":"message {number}, some words as people write them"}}}}}}"#
    ))
}

//! A reader that is a million messages behind.

use std::path::Path;
use std::time::Instant;

use chat_relay::store::{Store, StoreLimits};

use crate::plan::{self, EPOCH, Plan};
use crate::process::Process;
use crate::report::Row;
use crate::wire::Wire;

const MESSAGES: usize = 1_000_000;
/// Readers that catch up one after the other: what the first makes the store cache is there for the second.
const READERS: usize = 3;

pub(crate) fn measure(folder: &Path) -> Vec<Row> {
    let mut store = Store::open(folder, &StoreLimits::default()).unwrap();
    Plan::together(READERS).put_into(&mut store);
    plan::run_all(&mut store, (1..=MESSAGES).map(|number| plan::message(1, 1, number)));
    drop(store);
    let server = Process::relay(&format!("together:{READERS}"), Some(folder), false);
    let readers: Vec<_> = (1..=READERS).map(|reader| catch_up(&server, reader)).collect();
    let speeds: Vec<f64> = readers.iter().map(|it| it.1).collect();
    let later: Vec<f64> = readers.iter().skip(1).map(|it| it.0).collect();
    let name = format!("a reader {MESSAGES} messages behind, all came in order");
    vec![
        Row::of(format!("{name}: more memory"), "KiB", &later, "some hundred KiB"),
        Row::of("the first such reader, which fills SQLite's cache", "KiB", &[readers[0].0], ""),
        Row::of("how fast they catch up", "messages/s", &speeds, ""),
    ]
}

/// The most memory, in KiB, that the relay had more than before, and messages per second.
fn catch_up(server: &Process, person: usize) -> (f64, f64) {
    let before = server.resident_kib();
    let started = Instant::now();
    let mut wire = Wire::open(server.address);
    wire.say_hello(person, &format!(r#"{{"r1":["{EPOCH}",0]}}"#));
    wire.is_welcome();
    let (mut next, mut most, mut frames) = (1, before, 0);
    'all: loop {
        let frame = wire.hear();
        for line in frame.split('\n') {
            if line.starts_with(r#"{"live""#) {
                break 'all;
            }
            let expected = format!(r#"{{"msg":{{"room":"r1","seq":{next},"#);
            assert!(line.starts_with(&expected), "{expected} was to come, not {line}");
            next += 1;
        }
        frames += 1;
        if frames % 16 == 0 {
            most = most.max(server.resident_kib());
        }
    }
    assert_eq!(next, MESSAGES + 1);
    (most.max(server.resident_kib()) - before, MESSAGES as f64 / started.elapsed().as_secs_f64())
}

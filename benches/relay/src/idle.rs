//! What a person costs who is connected and says nothing.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::load::Load;
use crate::process::Process;
use crate::report::Row;
use crate::wire;

const PEOPLE: usize = 15_000;
/// Of a relay that is as good as empty, with whatever the first connections need.
const FEW: usize = 100;
const AT_ONCE: usize = 100;
/// Longer than the relay remembers who has only just come.
const SETTLED: Duration = Duration::from_secs(30);

pub(crate) fn measure(folder: &Path) -> Vec<Row> {
    let few = resident(&folder.join("few"), FEW);
    let many = resident(&folder.join("many"), PEOPLE);
    let each = |many: f64, few: f64| [(many - few) * 1024.0 / (PEOPLE - FEW) as f64];
    let name = format!("{PEOPLE} idle people in 2 rooms each");
    vec![
        Row::of(name, "bytes each", &each(many.connected, few.connected), "at most 2,048"),
        Row::of(
            "of these: known, but not connected",
            "bytes each",
            &each(many.known, few.known),
            "",
        ),
        Row::of("all of that relay's memory", "KiB", &[many.connected], ""),
    ]
}

/// KiB of memory.
struct Resident {
    known: f64,
    connected: f64,
}

fn resident(folder: &Path, people: usize) -> Resident {
    let plan = format!("mixed:{people}");
    // The first one makes the store; it is the second that is measured.
    drop(Process::relay(&plan, Some(folder), false));
    let server = Process::relay(&plan, Some(folder), false);
    let known = server.resident_kib();
    let mut load = Load::new(Vec::new());
    for first in (1..=people).step_by(AT_ONCE) {
        let last = people.min(first + AT_ONCE - 1);
        load.add(wire::people(server.address, first..=last));
        load.hear(Duration::ZERO, |_, _| {});
    }
    let settled = Instant::now() + SETTLED;
    while Instant::now() < settled {
        load.hear(Duration::from_millis(100), |_, _| {});
    }
    Resident { known, connected: server.resident_kib() }
}

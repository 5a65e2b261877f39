//! 100 connections are busy among many that are not.

use super::{Better, Case, Note, Sample, Workload, echo, left_out};
use crate::Result;
use crate::echo::Load;
use crate::options::Timing;
use crate::server::Server;

const PAYLOAD_BYTES: usize = 16;
const ACTIVE: usize = 100;
const OPEN: [usize; 3] = [1_000, 10_000, 19_000];

pub fn workload(connections: usize) -> Workload {
    let (can, cannot): (Vec<_>, Vec<_>) = OPEN.into_iter().partition(|open| *open <= connections);
    Workload {
        name: "scale",
        about: "Messages of 16 B, sent back, one in flight on 100 connections, while others are open and idle",
        unit: "thousand messages per second of server CPU",
        scale: 1e3,
        better: Better::More,
        by_level: false,
        notes: &["with no others open", "of that"],
        left_out: cannot
            .into_iter()
            .map(|open| left_out(&format!("{open} open connections"), connections))
            .collect(),
        cases: can.into_iter().map(case).collect(),
    }
}

fn case(open: usize) -> Case {
    Case {
        title: format!("{open} open connections"),
        flags: &[],
        rare: false,
        probe: None,
        measure: Box::new(move |server, timing| measure(server, timing, open)),
    }
}

/// The same connections are measured before the others are opened and after.
fn measure(server: &Server, timing: &Timing, open: usize) -> Result<Sample> {
    let frames = echo::frames(PAYLOAD_BYTES, 2);
    let mut load = Load::start(echo::open(server, ACTIVE)?, &frames, 1)?;
    let (counts, cpu) = load.measure(server, timing)?;
    let alone = counts.messages as f64 / cpu;
    let idle = echo::open(server, open - ACTIVE)?;
    let (counts, cpu) = load.measure(server, timing)?;
    drop(idle);
    let among = counts.messages as f64 / cpu;
    Ok(Sample { value: among, notes: vec![Note::Number(alone / 1e3), Note::Number(among / alone)] })
}

//! The real event loop in a simulated world: several loops, peers that misbehave, one clock, and one seed from which
//! all follows.
//!
//! ```sh
//! cargo run --release -p simulator -- --seeds 1000
//! cargo run --release -p simulator -- --seed 42
//! ```
//!
//! # What is simulated
//!
//! [`net`] is a [`Net`](tautline::reactor::Net) in memory: sockets with small buffers, edge-triggered readiness to the
//! letter, and faults. Loops of the engine listen and connect in it, plain, compressed, or over TLS, and beside them
//! peers that never read, trickle, reset, half-close, stall, flood, and break rules. Clients send requests that ask for
//! no upgrade, with bodies of every size up to the limit and beyond it, some of which want to be told to go on; they
//! are answered as a whole or by streams, and stall, end, or reset at any byte. Handlers do at random what a handler
//! may do. How much of all this there is, is drawn for each run.
//!
//! # What is checked
//!
//! - What was accepted arrives, whole, once and in order, with what was published in its place; what is missing at an
//!   end
//!   is missing from the back, and only where the end was no agreed one.
//! - The body of a request reaches its handler once, and exactly; one that is over the limit never does. What was
//!   accepted of a stream arrives in order, in valid chunks and with one end, or the loss of it is told; nothing
//!   follows the end. A handler that was told to stop is told of room.
//! - Of a connection that is paused nothing is read and nothing told, and its peer's silence does not count, unless it
//!   takes nothing of what waits for it; resumed, or closed, it is read on.
//! - Each connection that was opened, or was to be made, ends once, for a reason that there was; nothing is told after
//!   it.
//! - When nothing more happens at a time, everything that was accepted has arrived: no edge was forgotten.
//! - Deadlines are not early, and no later than a tick after the loop was polled. A loop is polled only where it has an
//!   event, or where it asked to be.
//! - What waits for a connection stays within its limit, and calls within a bound for each event; no loop spins.
//! - When faults stop, all comes to rest; a shutdown ends in time, and gives back all descriptors and timers.
//! - A seed has one trace: of all calls and all events, with their times and sizes. Over TLS too, as only contents
//!   vary.
//!
//! The checks are checked: [`Broken`] worlds have to be noticed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // a test may panic

mod app;
mod checks;
mod endings;
#[path = "../../support/frames.rs"]
#[allow(dead_code, unreachable_pub, reason = "other tests use the rest")]
mod frames;
mod ledger;
mod message;
pub mod net;
mod oracle;
mod pauses;
mod peers;
mod plan;
mod requests;
mod secure;
mod world;

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use net::{Broken, Line};
pub use plan::Plan;
use world::World;

/// How a run is run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// What goes wrong on purpose, and after how many chances.
    pub broken: Option<(Broken, usize)>,
    /// How many lines of the trace are kept.
    pub lines_max: usize,
    /// WebSockets only: the world as it was before there were other requests.
    pub without_requests: bool,
    /// Nothing is paused: the world as it was before that could be done.
    pub without_pauses: bool,
    /// No peer that is no engine asks whether the other end lives, and a reset takes with it what had come: the world as it
    /// was before.
    pub without_pings: bool,
    /// Each socket is told of room to write, whether it has asked or not: the world as it was before.
    pub without_asking: bool,
}

/// What came of a run.
#[derive(Debug)]
pub struct Outcome {
    /// Its seed.
    pub seed: u64,
    /// What was drawn for it.
    pub plan: Plan,
    /// A number that stands for all that happened.
    pub trace: u64,
    /// The last of what happened.
    pub lines: Vec<Line>,
    /// The promise that did not hold, if one did not.
    pub failure: Option<String>,
    /// How often what has happened to requests and their answers, to pauses, and to pings.
    pub tally: BTreeMap<&'static str, usize>,
    /// What it was run without.
    pub options: Options,
}

/// Runs the world of a seed, on a thread of its own: what a thread has kept from another run would show in this one.
pub fn run(seed: u64, options: Options) -> Outcome {
    let ran = std::thread::spawn(move || run_here(seed, options)).join();
    ran.expect("panics are caught")
}

fn run_here(seed: u64, options: Options) -> Outcome {
    let mut world = World::new(seed, options);
    let failure = match catch_unwind(AssertUnwindSafe(|| world.run())) {
        Ok(held) => held.err(),
        Err(panic) => {
            let what = panic.downcast_ref::<String>().cloned();
            let what = what.or_else(|| panic.downcast_ref::<&str>().map(|it| (*it).to_owned()));
            Some(format!("a panic: {}", what.unwrap_or_default()))
        }
    };
    let (plan, net, tally) = (world.plan().clone(), world.net().clone(), world.tally());
    if failure.is_some() {
        // What is half done after a panic may panic again.
        std::mem::forget(world);
    }
    let sim = net.sim();
    let (trace, lines) = (sim.trace.hash(), sim.trace.lines().copied().collect());
    Outcome { seed, plan, trace, lines, failure, tally, options }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.lines {
            writeln!(f, "{line}")?;
        }
        match &self.failure {
            None => write!(f, "seed {}: all held, trace {:016x}", self.seed, self.trace),
            Some(why) => {
                writeln!(f, "seed {}: {why}", self.seed)?;
                write!(f, "again: cargo run --release -p simulator -- --seed {}", self.seed)?;
                let Options {
                    without_requests, without_pauses, without_pings, without_asking, ..
                } = self.options;
                f.write_str(if without_requests { " --without-requests" } else { "" })?;
                f.write_str(if without_pauses { " --without-pauses" } else { "" })?;
                f.write_str(if without_pings { " --without-pings" } else { "" })?;
                f.write_str(if without_asking { " --without-asking" } else { "" })
            }
        }
    }
}

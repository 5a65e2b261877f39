//! What is measured. A new workload is a file here that makes a `Workload`, and a line in `all`.

mod broadcast;
mod compressed_echo;
mod echo;
mod handshakes;
mod idle;
mod latency;
mod scale;
mod upload;

use crate::Result;
use crate::options::Timing;
use crate::server::{self, Server};

pub struct Workload {
    /// Its name on the command line.
    pub name: &'static str,
    pub about: &'static str,
    /// What its figures count.
    pub unit: &'static str,
    /// Figures are divided by this before they are shown.
    pub scale: f64,
    pub better: Better,
    /// Whether servers compress, so that it matters at which level.
    pub by_level: bool,
    /// The headings of what a sample says besides its figure.
    pub notes: &'static [&'static str],
    /// What there would be more to measure, and why that cannot be done here.
    pub left_out: Vec<String>,
    pub cases: Vec<Case>,
}

#[derive(Clone, Copy, PartialEq)]
pub enum Better {
    More,
    Less,
}

pub struct Case {
    pub title: String,
    /// What servers are started with. A peer that does not know all of it is left out.
    pub flags: &'static [&'static str],
    /// Measured only if all is asked for.
    pub rare: bool,
    /// What is to be found out about each server before the first of them is measured.
    pub probe: Option<Probe>,
    /// Measures a server that has just been started.
    pub measure: Measure,
}

type Measure = Box<dyn Fn(&Server, &Timing) -> Result<Sample>>;
type Probe = Box<dyn Fn(&Server, &Timing) -> Result<()>>;

pub struct Sample {
    pub value: f64,
    /// One for each heading of the workload's `notes`.
    pub notes: Vec<Note>,
}

/// Of a number the report has the median, of a text the last.
pub enum Note {
    Number(f64),
    Text(String),
}

pub fn all() -> Vec<Workload> {
    // A process has a few descriptors of its own, and Bun has more.
    let connections = server::descriptors().saturating_sub(200);
    vec![
        echo::workload(),
        broadcast::workload(connections),
        handshakes::workload(),
        idle::workload(connections),
        upload::workload(),
        latency::workload(),
        scale::workload(connections),
        compressed_echo::workload(),
        echo::with_tls(),
        idle::with_tls(connections),
    ]
}

fn left_out(what: &str, connections: usize) -> String {
    format!("{what}: needs more than {connections} connections, which is what `ulimit -n` allows")
}

//! What is measured. A new workload is a file here that makes a `Workload`, and a line in `all`.

mod compressed_echo;

use crate::Result;
use crate::options::Timing;
use crate::server::Server;

pub struct Workload {
    /// Its name on the command line.
    pub name: &'static str,
    pub about: &'static str,
    /// What its figures count. More is better.
    pub unit: &'static str,
    /// Figures are divided by this before they are shown.
    pub scale: f64,
    /// The headings of what a sample says besides its figure.
    pub notes: &'static [&'static str],
    pub cases: Vec<Case>,
}

pub struct Case {
    pub title: String,
    /// What servers are started with. A peer that does not know all of it is left out.
    pub flags: &'static [&'static str],
    /// Measures a server that has just been started.
    pub measure: Measure,
}

type Measure = Box<dyn Fn(&Server, &Timing) -> Result<Sample>>;

pub struct Sample {
    pub value: f64,
    /// One for each heading of the workload's `notes`.
    pub notes: Vec<String>,
}

pub fn all() -> Vec<Workload> {
    vec![compressed_echo::workload()]
}

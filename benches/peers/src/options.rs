//! The arguments of `benches/run`.

use std::path::PathBuf;
use std::time::Duration;

use crate::peers;
use crate::workloads::Workload;

pub struct Options {
    workloads: Vec<String>,
    peers: Vec<String>,
    case: String,
    pub rounds: usize,
    pub timing: Timing,
    /// Our own echo server, and the commit that it was built from.
    pub tautline: PathBuf,
    pub revision: String,
    /// Where the Rust peers were built to.
    pub servers: PathBuf,
    /// The folder of this package, which has Bun's server and Bun itself.
    pub package: PathBuf,
}

pub struct Timing {
    pub warm_up: Duration,
    pub measured: Duration,
}

pub fn usage(workloads: &[Workload]) -> String {
    let mut names = String::new();
    for workload in workloads {
        names.push_str(&format!("\n  {:<18} {}", workload.name, workload.about));
    }
    let peers: Vec<_> = peers::ALL.iter().map(|it| it.name).collect();
    format!(
        "\
Usage: benches/run [WORKLOAD...] [--rounds N] [--seconds S] [--peers NAME,...] [--case TEXT]

  WORKLOAD        what to measure (default: all of them)
  --rounds N      how often each server runs in each case, in turns (default 5)
  --seconds S     how long one run is measured (default 2)
  --peers NAMES   only these, of: {}
  --case TEXT     only the cases with this text in their title

Workloads:{names}",
        peers.join(", ")
    )
}

impl Options {
    /// The options, or what is wrong with them.
    pub fn parse(
        mut arguments: impl Iterator<Item = String>,
        known: &[Workload],
    ) -> Result<Self, String> {
        let mut options = Self {
            workloads: Vec::new(),
            peers: Vec::new(),
            case: String::new(),
            rounds: 5,
            timing: Timing {
                warm_up: Duration::from_millis(500),
                measured: Duration::from_secs(2),
            },
            tautline: PathBuf::new(),
            revision: String::new(),
            servers: PathBuf::new(),
            package: PathBuf::new(),
        };
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
            match argument.as_str() {
                "--rounds" => options.rounds = number(&argument, &value()?)?,
                "--seconds" => {
                    let seconds = number(&argument, &value()?)?;
                    options.timing.measured = Duration::from_secs(seconds as u64);
                }
                "--peers" => options.peers = value()?.split(',').map(str::to_owned).collect(),
                "--case" => options.case = value()?,
                "--tautline" => options.tautline = value()?.into(),
                "--revision" => options.revision = value()?,
                "--servers" => options.servers = value()?.into(),
                "--package" => options.package = value()?.into(),
                name if known.iter().any(|it| it.name == name) => options.workloads.push(argument),
                other => return Err(format!("unknown argument or workload {other}")),
            }
        }
        let names = || peers::ALL.iter().map(|it| it.name);
        match options.peers.iter().find(|peer| names().all(|it| it != peer.as_str())) {
            Some(unknown) => Err(format!("--peers: there is no {unknown}")),
            None => Ok(options),
        }
    }

    pub fn wants_workload(&self, name: &str) -> bool {
        self.workloads.is_empty() || self.workloads.iter().any(|it| it == name)
    }

    pub fn wants_peer(&self, name: &str) -> bool {
        self.peers.is_empty() || self.peers.iter().any(|it| it == name)
    }

    pub fn wants_case(&self, title: &str) -> bool {
        title.contains(&self.case)
    }
}

fn number(argument: &str, value: &str) -> Result<usize, String> {
    let number = value.parse().ok().filter(|it| *it > 0);
    number.ok_or(format!("{argument} {value}: not a number above 0"))
}

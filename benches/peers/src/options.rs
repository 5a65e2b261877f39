//! The arguments of `benches/run`.

use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use crate::peers;
use crate::tls::Certificate;
use crate::workloads::{Case, Workload};

pub struct Options {
    workloads: Vec<String>,
    peers: Vec<String>,
    case: String,
    /// Whether cases are measured too that are left out by default.
    all: bool,
    /// Where the report and its charts go.
    pub out: PathBuf,
    pub rounds: usize,
    pub timing: Timing,
    /// Our own echo server, and the commit that it was built from.
    pub tautline: PathBuf,
    pub revision: String,
    /// Where the Rust peers were built to.
    pub servers: PathBuf,
    /// The folder of this package, which has Bun's server and Bun itself.
    pub package: PathBuf,
    /// What servers show that speak TLS.
    pub certificate: Rc<Certificate>,
}

/// What is longer to be warm is not worth it.
const WARM_UP_MAX: Duration = Duration::from_millis(500);

pub struct Timing {
    pub warm_up: Duration,
    pub measured: Duration,
}

impl Timing {
    fn new(measured: Duration) -> Self {
        Self { warm_up: (measured / 2).min(WARM_UP_MAX), measured }
    }
}

pub fn usage(workloads: &[Workload]) -> String {
    let mut names = String::new();
    for workload in workloads {
        names.push_str(&format!("\n  {:<18} {}", workload.name, workload.about));
    }
    let peers: Vec<_> = peers::ALL.iter().map(|it| it.name).collect();
    format!(
        "\
Usage: benches/run [WORKLOAD...] [--rounds N] [--seconds S] [--peers NAME,...] [--case TEXT] [--all]
                  [--out DIR]

  WORKLOAD        what to measure (default: all of them)
  --rounds N      how often each server runs in each case, in turns (default 5)
  --seconds S     how long one run is measured, 0.5 for half a second (default 2)
  --peers NAMES   only these, of: {}
  --case TEXT     only the cases with this text in their title
  --all           every size, number of connections and of messages in flight, where default is a choice of them
  --out DIR       where to write report.md and a chart of each workload (default target/bench-report)

Workloads:{names}",
        peers.join(", ")
    )
}

impl Options {
    /// The options, or what is wrong with them.
    pub fn parse(
        mut arguments: impl Iterator<Item = String>,
        known: &[Workload],
        certificate: Rc<Certificate>,
    ) -> Result<Self, String> {
        let mut options = Self {
            workloads: Vec::new(),
            peers: Vec::new(),
            case: String::new(),
            all: false,
            out: PathBuf::from("target/bench-report"),
            rounds: 5,
            timing: Timing::new(Duration::from_secs(2)),
            tautline: PathBuf::new(),
            revision: String::new(),
            servers: PathBuf::new(),
            package: PathBuf::new(),
            certificate,
        };
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
            match argument.as_str() {
                "--rounds" => options.rounds = above_0(&argument, &value()?)?,
                "--seconds" => {
                    let seconds = Duration::try_from_secs_f64(above_0(&argument, &value()?)?);
                    options.timing = Timing::new(seconds.map_err(|it| format!("--seconds: {it}"))?);
                }
                "--peers" => options.peers = value()?.split(',').map(str::to_owned).collect(),
                "--case" => options.case = value()?,
                "--all" => options.all = true,
                "--out" => options.out = value()?.into(),
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

    pub fn wants_case(&self, case: &Case) -> bool {
        case.title.contains(&self.case) && (self.all || !case.rare)
    }
}

fn above_0<T: std::str::FromStr + PartialOrd + Default>(
    argument: &str,
    value: &str,
) -> Result<T, String> {
    let number = value.parse().ok().filter(|it| *it > T::default());
    number.ok_or(format!("{argument} {value}: not a number above 0"))
}

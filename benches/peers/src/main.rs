//! Measures our server and its peers in turns, and writes what came out as Markdown and charts.
//!
//! `benches/run` builds everything and starts this on the core of the load; each server gets the other core.

mod chart;
mod deflate;
mod echo;
mod handshake;
mod json;
mod options;
mod peers;
mod report;
mod server;
mod tls;
mod wire;
mod workloads;

use std::process::ExitCode;
use std::rc::Rc;

use options::Options;
use peers::Peer;
use report::Report;
use server::Server;
use tls::Certificate;
use workloads::{Case, Workload};

/// Anything that ends a measurement: the report says it where the figures would be.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let known = workloads::all();
    if arguments.iter().any(|it| it == "--help" || it == "-h") {
        println!("{}", options::usage(&known));
        return ExitCode::SUCCESS;
    }
    let certificate = match Certificate::make() {
        Ok(certificate) => Rc::new(certificate),
        Err(error) => {
            eprintln!("no certificate could be made: {error}");
            return ExitCode::FAILURE;
        }
    };
    let options = match Options::parse(arguments.into_iter(), &known, certificate) {
        Ok(options) => options,
        Err(wrong) => {
            eprintln!("{wrong}\n\n{}", options::usage(&known));
            return ExitCode::from(2);
        }
    };
    let peers: Vec<_> = peers::ALL.iter().filter(|it| options.wants_peer(it.name)).collect();
    let measured = known.iter().filter(|it| options.wants_workload(it.name));
    match measure(measured, &peers, &options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("--out {}: {error}", options.out.display());
            ExitCode::FAILURE
        }
    }
}

/// Measures workloads. Fails only where the report cannot be written.
fn measure<'a>(
    workloads: impl Iterator<Item = &'a Workload>,
    peers: &[&'static Peer],
    options: &Options,
) -> std::io::Result<()> {
    let mut report = Report::new(&options.out)?;
    report.head(options, peers)?;
    for workload in workloads {
        report.workload(workload)?;
        let mut rows = Vec::new();
        for case in workload.cases.iter().filter(|case| options.wants_case(case)) {
            rows.push(report.case(workload, case, &run(case, peers, options))?);
        }
        report.summary(workload, &rows)?;
    }
    Ok(())
}

/// The samples of one peer in one case, round by round, or why there are none.
struct Series {
    peer: &'static Peer,
    samples: Result<Vec<workloads::Sample>>,
}

/// One case, all peers that can do it, in turns.
fn run(case: &Case, peers: &[&'static Peer], options: &Options) -> Vec<Series> {
    let able = peers.iter().filter(|peer| peer.takes(case.flags));
    let mut all: Vec<_> = able.map(|&peer| Series { peer, samples: Ok(Vec::new()) }).collect();
    if let Some(probe) = &case.probe {
        for series in &mut all {
            let probed = Server::start(series.peer, case.flags, options)
                .and_then(|server| probe(&server, &options.timing));
            if let Err(error) = probed {
                series.samples = Err(error);
            }
        }
    }
    for round in 1..=options.rounds {
        for series in &mut all {
            // What fails once is not tried again.
            let Ok(samples) = &mut series.samples else { continue };
            let measured = Server::start(series.peer, case.flags, options)
                .and_then(|server| (case.measure)(&server, &options.timing));
            let said = match &measured {
                Ok(sample) => format!("{:.0}", sample.value),
                Err(error) => error.to_string(),
            };
            let (name, rounds) = (series.peer.name, options.rounds);
            eprintln!("{}, round {round} of {rounds}, {name}: {said}", case.title);
            match measured {
                Ok(sample) => samples.push(sample),
                Err(error) => series.samples = Err(error),
            }
        }
    }
    all
}

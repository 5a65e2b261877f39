//! The report, in Markdown on standard output.

use crate::Series;
use crate::options::Options;
use crate::peers::{self, Peer};
use crate::workloads::{Case, Workload};

const CARGO_LOCK: &str = include_str!("../Cargo.lock");
const NPM_LOCK: &str = include_str!("../package-lock.json");

/// The machine, the versions, and how each server was written.
pub fn head(options: &Options, peers: &[&Peer]) {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let cores: Vec<_> = cpuinfo.lines().filter(|line| line.starts_with("model name")).collect();
    let model = cores.first().and_then(|line| line.split_once(": ")).map_or("unknown", |it| it.1);
    println!(
        "{model}, {} cores, Linux {}. Load of the machine before: {}.\n\n\
        {} rounds in turns, {} s each. Server on core 0, load on core 1.\n",
        cores.len(),
        read("/proc/sys/kernel/osrelease").trim(),
        read("/proc/loadavg").split(' ').next().unwrap_or_default(),
        options.rounds,
        options.timing.measured.as_secs(),
    );
    println!("| server | version | deflate, by default | how it is written |");
    println!("| --- | --- | --- | --- |");
    for peer in peers {
        let version = match peer.package {
            Some(package) => version(package).unwrap_or("unknown"),
            None => &options.revision,
        };
        println!("| {} | {version} | {} | {} |", peer.name, peer.deflate, peer.written);
    }
}

/// The version of a package in one of the lock files.
fn version(package: &str) -> Option<&'static str> {
    let in_cargo = CARGO_LOCK.split_once(&format!("name = \"{package}\"\n")).map(|(_, it)| it);
    let in_npm = NPM_LOCK.split_once(&format!("\"{package}\": {{")).map(|(_, it)| it);
    let (_, version) = in_cargo.or(in_npm)?.split_once("version")?;
    version.split('"').find(|it| it.starts_with(|it: char| it.is_ascii_digit()))
}

/// The heading of a workload.
pub fn workload(workload: &Workload) {
    println!(
        "\n## {}\n\n{}. Figures are {}: the median, and the least and most.",
        workload.name, workload.about, workload.unit
    );
}

/// What a summary says of a case.
pub struct Row {
    title: String,
    ratios: Vec<Ratios>,
}

/// How ours compares with a peer: medians of the rounds' ratios. None where one of the two has no figures.
struct Ratios {
    name: &'static str,
    /// Ours as it is by default.
    by_default: Option<f64>,
    /// Ours at the level of the peer.
    at_its_level: Option<f64>,
}

impl Ratios {
    fn new(all: &[Series], series: &Series) -> Self {
        let against = |ours: &str| {
            let ours = all.iter().find(|it| it.peer.name == ours)?.values();
            median(ours.iter().zip(series.values()).map(|(ours, its)| ours / its))
        };
        Self {
            name: series.peer.name,
            by_default: against(peers::OURS),
            at_its_level: against(series.peer.level_of),
        }
    }
}

/// One case's table.
pub fn case(workload: &Workload, case: &Case, all: &[Series]) -> Row {
    let columns = |it: &[&str]| it.iter().map(|it| format!(" {it} |")).collect::<String>();
    println!("\n### {}\n", case.title);
    println!(
        "| server | median | min - max | tautline / it | at its level |{}",
        columns(workload.notes)
    );
    println!("| --- | ---: | ---: | ---: | ---: |{}", " --- |".repeat(workload.notes.len()));
    let mut ratios = Vec::new();
    for series in all {
        let name = series.peer.name;
        let samples = match &series.samples {
            Ok(samples) => samples,
            Err(error) => {
                println!("| {name} | failed: {error} |");
                continue;
            }
        };
        let values = || samples.iter().map(|it| it.value / workload.scale);
        let least = values().fold(f64::INFINITY, f64::min);
        let most = values().fold(0.0, f64::max);
        let found = Ratios::new(all, series);
        println!(
            "| {name} | {:.1} | {least:.1} - {most:.1} | {} | {} |{}",
            median(values()).unwrap_or(f64::NAN),
            shown(found.by_default),
            shown(found.at_its_level),
            columns(
                &samples.last().map_or(vec![], |it| it.notes.iter().map(String::as_str).collect())
            ),
        );
        ratios.push(found);
    }
    Row { title: case.title.clone(), ratios }
}

/// All ratios of a workload.
pub fn summary(rows: &[Row]) {
    let mut names: Vec<_> = rows.iter().flat_map(|row| &row.ratios).map(|it| it.name).collect();
    let mut seen = std::collections::BTreeSet::new();
    names.retain(|name| !peers::is_ours(name) && seen.insert(*name));
    for (title, ratio) in [
        ("tautline / peer, both as they are by default", (|it| it.by_default) as fn(&Ratios) -> _),
        ("tautline at the level of the peer / peer", |it| it.at_its_level),
    ] {
        println!("\n### {title}\n\n| | {} |", names.join(" | "));
        println!("| --- |{}", " ---: |".repeat(names.len()));
        for row in rows {
            let cells = names.iter().map(|name| {
                let found = row.ratios.iter().find(|it| it.name == *name);
                format!(" {} |", shown(found.and_then(ratio)))
            });
            println!("| {} |{}", row.title, cells.collect::<String>());
        }
    }
}

fn shown(ratio: Option<f64>) -> String {
    ratio.map_or("-".into(), |it| format!("{it:.2}"))
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

impl Series {
    fn values(&self) -> Vec<f64> {
        self.samples.iter().flatten().map(|it| it.value).collect()
    }
}

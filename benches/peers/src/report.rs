//! The report: Markdown on standard output and in a file, and beside it a chart of each workload.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::options::Options;
use crate::peers::{self, Peer};
use crate::workloads::{Better, Case, Note, Workload};
use crate::{Series, chart};

const CARGO_LOCK: &str = include_str!("../Cargo.lock");
const NPM_LOCK: &str = include_str!("../package-lock.json");

pub struct Report {
    folder: PathBuf,
    file: File,
}

/// What a summary says of a case.
pub struct Row {
    title: String,
    found: Vec<Found>,
}

/// How ours compares with a peer, in each round: above 1 ours is ahead. None where one of the two has no figures.
pub struct Found {
    pub name: &'static str,
    /// Ours as it is by default.
    pub by_default: Option<Spread>,
    /// Ours at the level of the peer.
    at_its_level: Option<Spread>,
    /// The peer, and how much of the limit it reaches.
    of_raw: Option<Spread>,
}

#[derive(Clone, Copy)]
pub struct Spread {
    pub median: f64,
    pub least: f64,
    pub most: f64,
}

impl Report {
    pub fn new(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        Ok(Self { folder: folder.into(), file: File::create(folder.join("report.md"))? })
    }

    fn say(&mut self, line: &str) -> io::Result<()> {
        writeln!(self.file, "{line}")?;
        // Whoever started it may not care.
        let _ = writeln!(io::stdout(), "{line}");
        Ok(())
    }

    /// The machine, the versions, and how each server was written.
    pub fn head(&mut self, options: &Options, peers: &[&Peer]) -> io::Result<()> {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let cpuinfo = read("/proc/cpuinfo");
        let cores: Vec<_> = cpuinfo.lines().filter(|line| line.starts_with("model name")).collect();
        let model =
            cores.first().and_then(|line| line.split_once(": ")).map_or("unknown", |it| it.1);
        self.say(&format!(
            "{model}, {} cores, Linux {}, TCP with {}. Load of the machine before: {}.\n\n\
            {} rounds in turns, {} s each. Server on core 0, load on core 1.\n",
            cores.len(),
            read("/proc/sys/kernel/osrelease").trim(),
            read("/proc/sys/net/ipv4/tcp_congestion_control").trim(),
            read("/proc/loadavg").split(' ').next().unwrap_or_default(),
            options.rounds,
            options.timing.measured.as_secs_f64(),
        ))?;
        self.say("| server | version | deflate, by default | how it is written |")?;
        self.say("| --- | --- | --- | --- |")?;
        for peer in peers {
            let version = match peer.package {
                Some(package) => version(package).unwrap_or("unknown"),
                None => &options.revision,
            };
            self.say(&format!(
                "| {} | {version} | {} | {} |",
                peer.name, peer.deflate, peer.written
            ))?;
        }
        Ok(())
    }

    /// The heading of a workload.
    pub fn workload(&mut self, workload: &Workload) -> io::Result<()> {
        let better = match workload.better {
            Better::More => "",
            Better::Less => "; less is better",
        };
        self.say(&format!(
            "\n## {}\n\n{}. Figures are {}{better}: the median, and the least and most.",
            workload.name, workload.about, workload.unit
        ))?;
        for what in &workload.left_out {
            self.say(&format!("\nNot measured here: {what}."))?;
        }
        Ok(())
    }

    /// One case's table.
    pub fn case(&mut self, workload: &Workload, case: &Case, all: &[Series]) -> io::Result<Row> {
        let found: Vec<_> = all.iter().map(|it| Found::new(workload.better, all, it)).collect();
        let has_raw = found.iter().any(|it| it.of_raw.is_some());
        let mut headings = vec!["server", "median", "min - max"];
        let (ratio, of_raw) = match workload.better {
            Better::More => ("tautline / it", "it / raw"),
            Better::Less => ("it / tautline", "raw / it"),
        };
        headings.push(ratio);
        if workload.by_level {
            headings.push("at its level");
        }
        if has_raw {
            headings.push(of_raw);
        }
        let figures = headings.len() - 1;
        headings.extend(workload.notes);
        self.say(&format!("\n### {}\n\n| {} |", case.title, headings.join(" | ")))?;
        let notes = " --- |".repeat(workload.notes.len());
        self.say(&format!("| --- |{}{notes}", " ---: |".repeat(figures)))?;
        for (series, found) in all.iter().zip(&found) {
            let mut cells = vec![series.peer.name.to_string()];
            match &series.samples {
                Ok(samples) => {
                    let values = samples.iter().map(|it| it.value / workload.scale);
                    if let Some(Spread { median, least, most }) = Spread::new(values) {
                        cells.push(format!("{median:.1}"));
                        cells.push(format!("{least:.1} - {most:.1}"));
                    }
                    cells.push(shown(found.by_default));
                    if workload.by_level {
                        cells.push(shown(found.at_its_level));
                    }
                    if has_raw {
                        cells.push(shown(found.of_raw));
                    }
                    cells.extend((0..workload.notes.len()).map(|note| series.note(note)));
                }
                Err(error) => cells.push(format!("failed: {error}")),
            }
            self.say(&format!("| {} |", cells.join(" | ")))?;
        }
        Ok(Row { title: case.title.clone(), found })
    }

    /// All ratios of a workload, and its chart.
    pub fn summary(&mut self, workload: &Workload, rows: &[Row]) -> io::Result<()> {
        let (ratio, of_raw) = match workload.better {
            Better::More => ("tautline / peer", "server / raw"),
            Better::Less => ("peer / tautline", "raw / server"),
        };
        self.table(&format!("{ratio}: above 1 ours is ahead"), rows, |it| it.by_default)?;
        if workload.by_level {
            self.table("tautline at the level of the peer / peer", rows, |it| it.at_its_level)?;
        }
        self.table(&format!("{of_raw}: how much of the limit it reaches"), rows, |it| it.of_raw)?;
        let groups: Vec<_> = rows.iter().map(|row| (row.title.as_str(), &row.found[..])).collect();
        if let Some(svg) = chart::draw(&format!("{}: {ratio}", workload.name), &groups) {
            let file = format!("{}.svg", workload.name);
            fs::write(self.folder.join(&file), svg)?;
            self.say(&format!("\n![{}: how far ours is ahead]({file})", workload.name))?;
        }
        Ok(())
    }

    /// A table of one kind of ratio, of those servers that have any.
    fn table(
        &mut self,
        title: &str,
        rows: &[Row],
        ratio: impl Fn(&Found) -> Option<Spread>,
    ) -> io::Result<()> {
        let mut names = Vec::new();
        for found in rows.iter().flat_map(|row| &row.found) {
            if ratio(found).is_some() && !names.contains(&found.name) {
                names.push(found.name);
            }
        }
        if names.is_empty() {
            return Ok(());
        }
        self.say(&format!("\n### {title}\n\n| | {} |", names.join(" | ")))?;
        self.say(&format!("| --- |{}", " ---: |".repeat(names.len())))?;
        for row in rows {
            let cells = names.iter().map(|name| {
                let found = row.found.iter().find(|it| it.name == *name);
                format!(" {} |", shown(found.and_then(&ratio)))
            });
            self.say(&format!("| {} |{}", row.title, cells.collect::<String>()))?;
        }
        Ok(())
    }
}

impl Found {
    fn new(better: Better, all: &[Series], series: &Series) -> Self {
        let name = series.peer.name;
        // How many times better the first is.
        let times = |first: &Series, second: &Series| {
            let (over, under) = match better {
                Better::More => (first, second),
                Better::Less => (second, first),
            };
            Spread::new(over.values().zip(under.values()).map(|(over, under)| over / under))
        };
        let find = |name: &str| all.iter().find(|it| it.peer.name == name);
        let against = |ours| find(ours).filter(|_| !peers::is_ours(name));
        let raw = find(peers::RAW).filter(|_| name != peers::RAW);
        Self {
            name,
            by_default: against(peers::OURS).and_then(|ours| times(ours, series)),
            at_its_level: against(series.peer.level_of).and_then(|ours| times(ours, series)),
            of_raw: raw.and_then(|raw| times(series, raw)),
        }
    }
}

impl Spread {
    /// None of nothing.
    fn new(values: impl Iterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<_> = values.collect();
        values.sort_by(f64::total_cmp);
        let (least, most) = (*values.first()?, *values.last()?);
        Some(Self { median: values[values.len() / 2], least, most })
    }
}

impl Series {
    fn values(&self) -> impl Iterator<Item = f64> {
        self.samples.iter().flatten().map(|it| it.value)
    }

    /// What its samples say under one heading.
    fn note(&self, heading: usize) -> String {
        let notes = || self.samples.iter().flatten().map(|it| &it.notes[heading]);
        let numbers = notes().filter_map(|it| match it {
            Note::Number(number) => Some(*number),
            Note::Text(_) => None,
        });
        match (Spread::new(numbers), notes().next_back()) {
            (Some(Spread { median, .. }), _) if median < 100.0 => format!("{median:.2}"),
            (Some(Spread { median, .. }), _) => format!("{median:.0}"),
            (None, Some(Note::Text(text))) => text.clone(),
            (None, _) => String::new(),
        }
    }
}

/// The version of a package in one of the lock files.
fn version(package: &str) -> Option<&'static str> {
    let in_cargo = CARGO_LOCK.split_once(&format!("name = \"{package}\"\n")).map(|(_, it)| it);
    let in_npm = NPM_LOCK.split_once(&format!("\"{package}\": {{")).map(|(_, it)| it);
    let (_, version) = in_cargo.or(in_npm)?.split_once("version")?;
    version.split('"').find(|it| it.starts_with(|it: char| it.is_ascii_digit()))
}

fn shown(ratio: Option<Spread>) -> String {
    ratio.map_or("-".into(), |it| format!("{:.2}", it.median))
}

//! Half an hour of a busy server: thousands of connections that come, chat, stall and go.
//!
//! `cargo bench --bench soak` runs it: `-- --minutes 30 --connections 5000` are what it does by default. It says whether
//! anything was lost, and whether memory or descriptors grew, and fails if so. Needs twice as many descriptors as
//! connections (`ulimit -n`), and Linux.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // a benchmark may panic

mod members;
mod report;
mod server;
mod stalled;

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use report::{Report, Sample};
use tautline::OwnedMessage;

/// How often connections are looked after.
const TICK: Duration = Duration::from_millis(10);
/// How often memory and descriptors are looked at.
const SAMPLE_EVERY: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().collect();
    let value = |name: &str| {
        let at = arguments.iter().position(|it| it == name)?;
        Some(arguments.get(at + 1).unwrap_or_else(|| panic!("{name} needs a value")).as_str())
    };
    if let Some(folder) = value("--serve") {
        server::serve(Path::new(folder));
        return ExitCode::SUCCESS;
    }
    let number = |name, default: u64| value(name).map_or(default, |it| it.parse().expect(name));
    let folder = Folder::make();
    let (minutes, connections) = (number("--minutes", 30), number("--connections", 5_000) as usize);
    let report = soak(&folder.0, Duration::from_secs(60 * minutes), connections);
    println!("{report}");
    if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Where the certificate lies, as long as this exists.
struct Folder(PathBuf);

impl Folder {
    fn make() -> Self {
        let folder = std::env::temp_dir().join(format!("tautline-soak-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(folder.join("chain.pem"), made.cert.pem()).unwrap();
        std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn soak(folder: &Path, time: Duration, connections: usize) -> Report {
    let server = Server::start(folder);
    let idle = server.sample(Duration::ZERO);
    let stalled = connections / 10;
    let stop = Arc::new(AtomicBool::new(false));
    let stallers = stalled::start(server.plain, stalled, Arc::clone(&stop));
    let (members, handle) = members::start(&server, folder, connections - stalled);
    let started = Instant::now();
    let mut samples = Vec::new();
    while started.elapsed() < time {
        std::thread::sleep(TICK);
        handle.post(|members, hub| members.tick(hub)).unwrap();
        if started.elapsed() >= SAMPLE_EVERY * (samples.len() as u32 + 1) {
            samples.push(server.sample(started.elapsed()));
        }
    }
    stop.store(true, Ordering::Relaxed);
    let stalled = stallers.join().unwrap();
    let told = members::end(&handle);
    members.join().unwrap();
    server.wait_until_alone(&idle);
    let last = server.sample(started.elapsed());
    Report { connections, idle, samples, last, told, stalled, counters: server.counters() }
}

/// The server, in a process of its own.
struct Server {
    child: Child,
    plain: SocketAddr,
    secure: SocketAddr,
}

impl Server {
    fn start(folder: &Path) -> Self {
        let program = std::env::current_exe().unwrap();
        let mut command = Command::new(program);
        let mut child = command.arg("--serve").arg(folder).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut address = || lines.next().unwrap().unwrap().parse().unwrap();
        let (plain, secure) = (address(), address());
        Self { child, plain, secure }
    }

    fn sample(&self, at: Duration) -> Sample {
        let id = self.child.id();
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        let resident_kib = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        let descriptors = std::fs::read_dir(format!("/proc/{id}/fd")).unwrap().count();
        Sample { at, resident_kib, descriptors }
    }

    /// All who stalled have to be found out and cut: that takes as long as the longest deadline.
    fn wait_until_alone(&self, idle: &Sample) {
        let until = Instant::now() + Duration::from_secs(60);
        while self.sample(Duration::ZERO).descriptors > idle.descriptors && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// What it has counted, in its own words.
    fn counters(&self) -> String {
        let mut client = tautline::connect(&format!("ws://{}/", self.plain)).unwrap();
        client.send("counters").unwrap();
        match client.read().unwrap() {
            Some(OwnedMessage::Text(counters)) => counters,
            other => panic!("{other:?}"),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

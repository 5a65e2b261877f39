//! Servers in processes of their own, and what the system says of them.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use chat_relay::relay::Settings;
use chat_relay::server::{self, Setup};
use chat_relay::store::{Store, StoreLimits};
use tautline::reactor::{Context, Handler};
use tautline::{Message, Origins, Reactor};

use crate::plan::Plan;

/// A server that runs until it is dropped.
pub(crate) struct Process {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Process {
    /// A relay with the people of a plan, where its store is new. Without a folder, the store is in memory.
    pub(crate) fn relay(plan: &str, folder: Option<&Path>, pinned: bool) -> Self {
        let folder = folder.map_or("-".to_owned(), |it| it.to_str().unwrap().to_owned());
        Self::start(&["relay", plan, &folder], pinned)
    }

    /// The engine's own broadcast: what one says, all get.
    pub(crate) fn broadcast() -> Self {
        Self::start(&["broadcast"], true)
    }

    fn start(arguments: &[&str], pinned: bool) -> Self {
        let program = std::env::current_exe().unwrap();
        let mut command = if pinned { on_core("0", &program) } else { Command::new(&program) };
        let mut child =
            command.arg("--serve").args(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, address: line.trim().parse().expect("the server prints its address") }
    }

    /// CPU time of all its threads so far.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let nanoseconds = threads.map(|thread| {
            let path = thread.unwrap().path().join("schedstat");
            let schedstat = std::fs::read_to_string(path).unwrap();
            schedstat.split_whitespace().next().unwrap().parse::<f64>().unwrap()
        });
        nanoseconds.sum::<f64>() / 1e9
    }

    /// KiB of memory that it has.
    pub(crate) fn resident_kib(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A program on one core, where `taskset` is there.
fn on_core(core: &str, program: &Path) -> Command {
    if Command::new("taskset").arg("-V").stdout(Stdio::null()).status().is_err() {
        eprintln!("taskset is missing: server and load share what there is");
        return Command::new(program);
    }
    let mut command = Command::new("taskset");
    command.args(["-c", core]).arg(program);
    command
}

/// Has this process run on these cores from now on, where that can be had.
pub(crate) fn move_load_to(cores: &str) {
    let own = std::process::id().to_string();
    let _ = Command::new("taskset").args(["-pc", cores, &own]).stdout(Stdio::null()).status();
}

/// What this program is where it was started with `--serve`.
pub(crate) fn serve(arguments: &[String]) {
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["relay", plan, folder] => serve_relay(plan, folder),
        ["broadcast"] => {
            let reactor = Reactor::new(Broadcast).unwrap().origins(Origins::Any);
            run(reactor);
        }
        _ => panic!("{arguments:?}"),
    }
}

fn serve_relay(plan: &str, folder: &str) {
    let mut store = match folder {
        "-" => Store::in_memory(),
        folder => Store::open(Path::new(folder), &StoreLimits::default()),
    }
    .unwrap();
    if store.inventory().unwrap().people.is_empty() {
        Plan::parse(plan).expect(plan).put_into(&mut store);
        if folder != "-" {
            // As a relay that finds its people, and not as one that has just made them.
            drop(store);
            store = Store::open(Path::new(folder), &StoreLimits::default()).unwrap();
        }
    }
    let mut relay = Settings::default();
    (relay.limits.burst, relay.limits.refill_per_s) = (1_000_000_000, 1_000_000_000);
    run(server::reactor(Setup { relay, ..Setup::default() }, store).unwrap());
}

fn run<H: Handler>(reactor: Reactor<H>) {
    let reactor = reactor.listen("127.0.0.1:0").unwrap();
    println!("{}", reactor.local_addrs().unwrap()[0]);
    reactor.run().unwrap();
}

struct Broadcast;

impl Handler for Broadcast {
    type Session = ();

    fn on_open(&mut self, cx: &mut Context<'_, ()>) {
        cx.subscribe("r1");
    }

    fn on_message(&mut self, cx: &mut Context<'_, ()>, message: Message<'_>) {
        cx.publish("r1", message);
    }
}

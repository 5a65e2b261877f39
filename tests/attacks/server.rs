//! A server in a process of its own, what it costs, and an honest client of it.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use tautline::client::Client;
use tautline::handshake::ClientRequest;
use tautline::tls::ClientTls;
use tautline::{Limits, OwnedMessage};

use super::child::ANSWER;

/// The variable that tells the process of the server from that of the tests.
pub(crate) const SETTINGS: &str = "TAUTLINE_ATTACKED";

/// How long anything may take that is to happen at all.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What any server grows by when it is put to work, attacked or not, in KiB: the loop's one receive buffer, and pages of
/// the program that run for the first time, which come 64 KiB at a time: 200 to 264 KiB of a debug build.
const WORKING_KIB: u64 = 256 + 384;

/// What the loop's one send buffer may keep, which counts where answers are long.
pub(crate) const SEND_BUFFER_KIB: u64 = 1024;

/// CPU time below which growth says nothing, in microseconds.
const CPU_MICROS_MIN: u64 = 3_000;

pub(crate) struct Server {
    child: Child,
    pipes: RefCell<(ChildStdin, BufReader<ChildStdout>)>,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// With the defaults, and these settings, as `child` reads them.
    pub(crate) fn start(settings: &str) -> Self {
        Self::run(Command::new(std::env::current_exe().unwrap()), settings)
    }

    /// One that may have so many descriptors.
    pub(crate) fn with_descriptors(count: u32, settings: &str) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("ulimit -n {count} && exec \"$0\" \"$@\"")]);
        shell.arg(std::env::current_exe().unwrap());
        Self::run(shell, settings)
    }

    fn run(mut program: Command, settings: &str) -> Self {
        let arguments = ["--exact", "the_server_of_the_other_tests", "--ignored", "--nocapture"];
        let mut child = program
            .args(arguments)
            .env(SETTINGS, settings)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let pipes = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let unknown = SocketAddr::from(([0; 4], 0));
        let mut server = Self { child, pipes: RefCell::new(pipes), address: unknown };
        server.address = server.answer().parse().unwrap();
        server
    }

    fn answer(&self) -> String {
        let (_, answers) = &mut *self.pipes.borrow_mut();
        for line in answers.lines() {
            if let Some(answer) = line.unwrap().strip_prefix(ANSWER) {
                return answer.into();
            }
        }
        panic!("the server has ended")
    }

    pub(crate) fn ask(&self, question: &str) -> String {
        writeln!(self.pipes.borrow_mut().0, "{question}").unwrap();
        self.answer()
    }

    pub(crate) fn count(&self, question: &str) -> u64 {
        self.ask(question).parse().unwrap()
    }

    /// Asks until this is the answer.
    #[track_caller]
    pub(crate) fn wait_for(&self, question: &str, expected: impl Fn(&str) -> bool) {
        let started = Instant::now();
        loop {
            let answer = self.ask(question);
            if expected(&answer) {
                return;
            }
            assert!(started.elapsed() < PATIENCE, "{question}: {answer}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until nobody but this many is connected.
    #[track_caller]
    pub(crate) fn wait_for_connections(&self, count: usize) {
        self.wait_for("connections", |it| it == count.to_string());
    }

    /// How often an end of a connection was told with these words.
    pub(crate) fn closed(&self, words: &str) -> usize {
        self.ask("closed").matches(words).count()
    }

    pub(crate) fn client(&self) -> Client {
        let mut client = tautline::connect(&format!("ws://{}/", self.address)).unwrap();
        client.set_read_timeout(Some(PATIENCE));
        client
    }

    /// Begins an attack, with an honest client connected.
    pub(crate) fn attacked(&self) -> Attack<'_> {
        self.attacked_beside(self.client())
    }

    /// The same over TLS.
    pub(crate) fn attacked_securely(&self, trusting: &ClientTls) -> Attack<'_> {
        let url = format!("wss://localhost:{}/", self.address.port());
        let request = ClientRequest::new(url.parse().unwrap());
        let mut client = Client::connect_tls(&request, Limits::default(), trusting).unwrap();
        client.set_read_timeout(Some(PATIENCE));
        self.attacked_beside(client)
    }

    fn attacked_beside(&self, mut honest: Client) -> Attack<'_> {
        for length in [1, 1_000, 60_000] {
            echoes(&mut honest, &"w".repeat(length));
        }
        // From here on the peak is what the attack brings it to. Where that cannot be said, it counts from the start.
        let _ = std::fs::write(self.proc("clear_refs"), "5");
        let (peak_kib, cpu_micros) = (self.peak_kib(), self.cpu_micros());
        Attack { server: self, honest, sent: 0, peak_kib, cpu_micros }
    }

    fn proc(&self, file: &str) -> String {
        format!("/proc/{}/{file}", self.child.id())
    }

    /// The most memory that was resident at once.
    fn peak_kib(&self) -> u64 {
        let status = std::fs::read_to_string(self.proc("status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// The CPU time of all threads. `stat` has it in steps of 10 ms, `schedstat` in nanoseconds.
    pub(crate) fn cpu_micros(&self) -> u64 {
        let tasks = std::fs::read_dir(self.proc("task")).unwrap();
        let nanos = tasks.map(|task| {
            let text = std::fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap();
            text.split_whitespace().next().unwrap().parse::<u64>().unwrap()
        });
        nanos.sum::<u64>() / 1_000
    }

    /// Does some work, and four times as much: that has to take no more than eight times the CPU. Where work grows with
    /// its square it takes sixteen times. A machine that is busy may spoil a measurement, not three in a row.
    #[track_caller]
    pub(crate) fn assert_linear(&self, amount: usize, mut work: impl FnMut(usize)) {
        let mut measured = Vec::new();
        for _ in 0..3 {
            let costs = [amount, 4 * amount].map(|amount| {
                let before = self.cpu_micros();
                work(amount);
                self.cpu_micros() - before
            });
            measured.push(costs);
            if costs[1] <= 8 * costs[0].max(CPU_MICROS_MIN) {
                println!("{}: CPU of {amount} and of 4 times as many: {costs:?} µs", name());
                return;
            }
        }
        panic!("CPU of {amount} and of 4 times as many, in µs: {measured:?}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[track_caller]
pub(crate) fn echoes(client: &mut Client, text: &str) {
    client.send(text).unwrap();
    assert_eq!(client.read().unwrap(), Some(OwnedMessage::Text(text.into())));
}

/// The name of the test that runs.
fn name() -> String {
    std::thread::current().name().unwrap_or_default().into()
}

/// An attack while it goes on: what the server was before, and an honest client.
pub(crate) struct Attack<'s> {
    server: &'s Server,
    pub(crate) honest: Client,
    /// Bytes that were sent to the server.
    pub(crate) sent: usize,
    peak_kib: u64,
    cpu_micros: u64,
}

impl Attack<'_> {
    /// The honest client gets its echo. What was sent to the server before is handled then.
    #[track_caller]
    pub(crate) fn others_are_served(&mut self) {
        echoes(&mut self.honest, "still there?");
    }

    /// Ends the attack: the server has grown by no more than this, besides what it works with, and the honest client is
    /// served.
    #[track_caller]
    pub(crate) fn ends_within(mut self, kib: u64, reason: &str) {
        self.others_are_served();
        let grown = self.server.peak_kib() - self.peak_kib;
        let cpu = (self.server.cpu_micros() - self.cpu_micros) / 1_000;
        let cap = WORKING_KIB + kib;
        println!(
            "{}: {} bytes sent, grown by {grown} KiB of {cap} ({WORKING_KIB} to work, {kib} for {reason}), {cpu} ms of CPU",
            name(),
            self.sent
        );
        assert!(grown <= cap, "grown by {grown} KiB of {cap}: {reason}");
    }
}

//! What TLS costs: the memory of connections at rest, and what a storm of handshakes does to a connection that is open.
//!
//! `cargo bench --bench tls` needs 10,200 descriptors in each of two processes (`ulimit -n`), and `nice`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // a benchmark may panic

mod support {
    #[allow(dead_code, reason = "frames are made by our own client here")]
    #[path = "../support/mod.rs"]
    pub(crate) mod common;
}

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use support::common::{self, Server};
use tautline::handshake::ClientRequest;
use tautline::reactor::{Context, Handler, Hub};
use tautline::tls::{ClientTls, ServerTls};
use tautline::{Client, Limits, Message, Origins, OwnedMessage, Reactor};

const CONNECTIONS: usize = 10_000;
const PAYLOAD_BYTES: usize = 512;
/// Opened before anything is measured, so that the loop's own buffers are there.
const WARM_UP: usize = 100;
/// Clients that connect at once.
const STORM: usize = 2_000;
/// Connections that are being made at a time where it is no storm.
const DIALED_MAX: usize = 64;

fn main() {
    let folder = || PathBuf::from(std::env::var_os("TAUTLINE_TLS").expect("the certificates"));
    if let Some(role) = common::role() {
        return match role.as_str() {
            "server" => serve(folder()),
            address => {
                let mut clients = Clients::new(address.parse().unwrap(), &folder(), STORM);
                clients.carry(STORM);
            }
        };
    }
    if std::env::var_os("TAUTLINE_PINNED").is_some() {
        return measure(folder());
    }
    let folder = std::env::temp_dir().join(format!("tautline-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(folder.join("chain.pem"), made.cert.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    let program = std::env::current_exe().unwrap();
    let mut command = Command::new("taskset");
    command.args(["-c", "1"]).arg(program).env("TAUTLINE_PINNED", "1").env("TAUTLINE_TLS", &folder);
    let status = command.status().expect("taskset is missing");
    std::fs::remove_dir_all(folder).unwrap();
    std::process::exit(status.code().unwrap_or(1));
}

fn measure(folder: PathBuf) {
    let server = Server::start("server", "0");
    let mut clients = Clients::new(server.address, &folder, DIALED_MAX);
    clients.carry(WARM_UP);
    let before = resident_bytes(&server);
    clients.carry(CONNECTIONS);
    let bytes = (resident_bytes(&server) - before) as f64 / CONNECTIONS as f64;
    println!(
        "{bytes:>6.0} bytes a connection with TLS 1.3 that has carried a message of 512 bytes"
    );
    drop((clients, server));

    let server = Server::start("server", "0");
    let mut echo = Echo::new(&server, &folder);
    println!("\necho of 512 bytes on one connection, microseconds:");
    report("alone", &mut echo.round_trips(|times, _| times < 2_000));
    let program = std::env::current_exe().unwrap();
    let mut storm = Command::new("nice");
    storm.args(["-n", "19"]).arg(program).args(["--role", &server.address.to_string()]);
    let started = Instant::now();
    let mut storm = storm.spawn().expect("nice is missing");
    let mut during = echo.round_trips(|_, _| storm.try_wait().unwrap().is_none());
    let took = started.elapsed().as_secs_f64();
    report(&format!("while {STORM} others connect, in {took:.1} s"), &mut during);
}

fn report(when: &str, times: &mut [Duration]) {
    times.sort_unstable();
    let of = |share: f64| times[(times.len() as f64 * share) as usize].as_micros();
    let most = times.last().unwrap().as_micros();
    println!("  50 % {:>6}, 99 % {:>6}, most {most:>6}: {when}", of(0.5), of(0.99));
}

fn resident_bytes(server: &Server) -> u64 {
    let status = std::fs::read_to_string(server.proc("status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// One connection that is open all the time.
struct Echo(Client);

impl Echo {
    fn new(server: &Server, folder: &std::path::Path) -> Self {
        let tls = ClientTls::trusting(folder.join("chain.pem")).unwrap();
        let request = request(server.address);
        Self(Client::connect_tls(&request, Limits::default(), &tls).unwrap())
    }

    fn round_trips(&mut self, mut goes_on: impl FnMut(usize, Duration) -> bool) -> Vec<Duration> {
        let payload = vec![7; PAYLOAD_BYTES];
        let (mut times, started) = (Vec::new(), Instant::now());
        while goes_on(times.len(), started.elapsed()) {
            let sent = Instant::now();
            self.0.send(payload.as_slice()).unwrap();
            assert!(matches!(self.0.read(), Ok(Some(OwnedMessage::Binary(_)))));
            times.push(sent.elapsed());
        }
        times
    }
}

fn request(address: SocketAddr) -> ClientRequest {
    ClientRequest::new(format!("wss://localhost:{}/", address.port()).parse().unwrap())
}

/// Many connections, each of which carries one message there and back.
struct Clients {
    reactor: Reactor<Carrier>,
    address: SocketAddr,
    dialed_max: usize,
    dialed: usize,
}

#[derive(Default)]
struct Carrier {
    carried: usize,
}

impl Handler for Carrier {
    type Session = ();

    fn on_open(&mut self, cx: &mut Context<'_, ()>) {
        cx.send(Message::Binary(&[7; PAYLOAD_BYTES]));
    }

    fn on_message(&mut self, _: &mut Context<'_, ()>, _: Message<'_>) {
        self.carried += 1;
    }
}

impl Clients {
    fn new(address: SocketAddr, folder: &std::path::Path, dialed_max: usize) -> Self {
        let tls = ClientTls::trusting(folder.join("chain.pem")).unwrap();
        let mut limits = Limits::default();
        limits.handshake_within = Duration::from_secs(60);
        let reactor = Reactor::new(Carrier::default()).unwrap().limits(limits).client_tls(tls);
        Self { reactor, address, dialed_max, dialed: 0 }
    }

    /// So many more, until all have carried their message.
    fn carry(&mut self, connections: usize) {
        let all = self.dialed + connections;
        while self.reactor.handler().carried < all {
            while self.dialed < all.min(self.reactor.handler().carried + self.dialed_max) {
                let mut hub: Hub<'_, ()> = self.reactor.hub();
                hub.connect(self.address, request(self.address), ()).unwrap();
                self.dialed += 1;
            }
            self.reactor.turn(None).unwrap();
        }
    }
}

struct EchoServer;

impl Handler for EchoServer {
    type Session = ();

    fn on_message(&mut self, cx: &mut Context<'_, ()>, message: Message<'_>) {
        cx.send(message);
    }
}

fn serve(folder: PathBuf) {
    let files = [(folder.join("chain.pem"), folder.join("key.pem"))];
    let mut limits = Limits::default();
    limits.handshakes_per_address_max = STORM;
    limits.handshake_within = Duration::from_secs(60);
    let reactor = Reactor::new(EchoServer).unwrap().limits(limits).origins(Origins::Any);
    let tls = ServerTls::from_files(&files).unwrap();
    let reactor = reactor.server_tls(tls).listen("127.0.0.1:0").unwrap();
    println!("{}", reactor.local_addrs().unwrap()[0]);
    std::io::stdout().flush().unwrap();
    reactor.run().unwrap();
}

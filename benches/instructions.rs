//! Instructions per message, counted and not timed: the same figure on a busy machine and on an idle one.
//!
//! `cargo bench --bench instructions` runs this program under `valgrind --tool=callgrind`, for two numbers of turns whose
//! difference is the messages alone, and compares each figure with `benches/instructions.txt`. It fails where one has
//! grown by more than 5 %. `--update` writes the file anew. Nothing is counted of the operating system, as the reactor runs
//! in a world of its own, and nothing of the C library, whose copying is another one on each processor.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // a benchmark may panic

mod support {
    #[path = "../support/memory.rs"]
    pub(crate) mod memory;
}

use std::process::{Command, ExitCode};

use support::memory::MemoryNet;
use tautline::reactor::{Context, Handler};
use tautline::{Deflate, Message, Origins, Reactor};

const CONNECTIONS: usize = 100;
const GROWTH_MAX: f64 = 1.05;
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions.txt");

/// What is counted: a name, the bytes of a message, how many come in each turn on each connection.
const WORKLOADS: [(&str, usize, usize); 6] = [
    ("echo of 16 bytes, 1 in flight", 16, 1),
    ("echo of 16 bytes, 32 in flight", 16, 32),
    ("echo of 1 KiB, 16 in flight", 1024, 16),
    ("echo of 64 KiB, 1 in flight", 64 * 1024, 1),
    ("broadcast of 128 bytes, delivery", 128, 1),
    ("compressed echo of 1 KiB, 1 in flight", 1024, 1),
];

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if let [flag, workload, turns] = &arguments[..]
        && flag == "--count"
    {
        run(workload.parse().unwrap(), turns.parse().unwrap());
        return ExitCode::SUCCESS;
    }
    let update = arguments.iter().any(|it| it == "--update");
    let before = std::fs::read_to_string(FILE).unwrap_or_default();
    let mut now = String::new();
    let mut grown = false;
    for (number, (name, ..)) in WORKLOADS.iter().enumerate() {
        let (few, many) = (5, 25);
        let counted = count(number, many) - count(number, few);
        let figure = counted / messages(number, many - few);
        let known = before.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
        let known = known.map(|it| it.parse::<f64>().expect("a number"));
        let change =
            known.map_or(String::new(), |it| format!(" ({:+.1} %)", (figure / it - 1.0) * 100.0));
        println!("{name}: {figure:.0} instructions a message{change}");
        grown |= known.is_none_or(|it| figure > it * GROWTH_MAX);
        now.push_str(&format!("{name}: {figure:.0}\n"));
    }
    if update {
        std::fs::write(FILE, now).unwrap();
    } else if grown {
        eprintln!(
            "a figure has grown by more than 5 %, or is new; if that is meant, run it with --update"
        );
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// The messages, or deliveries, of so many turns.
fn messages(workload: usize, turns: usize) -> f64 {
    let (name, _, in_flight) = WORKLOADS[workload];
    let deliveries = if name.starts_with("broadcast") { CONNECTIONS } else { 1 };
    (turns * CONNECTIONS * in_flight * deliveries) as f64
}

/// The instructions of a run of this program.
fn count(workload: usize, turns: usize) -> f64 {
    let program = std::env::current_exe().unwrap();
    let profile = program.with_file_name(format!("callgrind-{}", std::process::id()));
    let valgrind = Command::new("valgrind")
        .args(["--tool=callgrind", "--compress-strings=no", "--compress-pos=no"])
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .arg(&program)
        .args(["--count", &workload.to_string(), &turns.to_string()])
        .output();
    let output = valgrind.expect("valgrind is missing: apt-get install valgrind");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    let text = std::fs::read_to_string(&profile).unwrap();
    std::fs::remove_file(profile).unwrap();
    let counted = own_instructions(&text, program.to_str().unwrap());
    assert!(counted > 0, "nothing of {} in the profile", program.display());
    counted as f64
}

/// What a profile of callgrind has for the code of one object. A line of costs is a line's number and a count; the one
/// after `calls=` has what the called function cost, which is listed under that function.
fn own_instructions(profile: &str, object: &str) -> u64 {
    let (mut counted, mut own, mut called) = (0, false, false);
    for line in profile.lines() {
        if let Some(name) = line.strip_prefix("ob=") {
            own = name == object;
        } else if line.starts_with("calls=") {
            called = true;
        } else if line.starts_with(|first: char| first.is_ascii_digit()) {
            if own && !called {
                counted += line.split(' ').nth(1).unwrap().parse::<u64>().unwrap();
            }
            called = false;
        }
    }
    counted
}

struct Server {
    broadcast: bool,
}

impl Handler for Server {
    type Session = ();

    fn on_open(&mut self, cx: &mut Context<'_, ()>) {
        if self.broadcast {
            cx.subscribe("all");
        }
    }

    fn on_message(&mut self, cx: &mut Context<'_, ()>, message: Message<'_>) {
        if self.broadcast {
            cx.publish("all", message);
        } else {
            cx.send(message);
        }
    }
}

fn run(workload: usize, turns: usize) {
    let (name, bytes, in_flight) = WORKLOADS[workload];
    let compressed = name.starts_with("compressed");
    let text: String = (0_u64..)
        .flat_map(|n| format!("{{\"id\":{}}}", n * 7919).into_bytes())
        .take(bytes)
        .map(char::from)
        .collect();
    let mut request = String::from(
        "GET / HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n",
    );
    if compressed {
        request.push_str("Sec-WebSocket-Extensions: permessage-deflate\r\n");
    }
    request.push_str("\r\n");
    let frame = frame(&text, compressed);
    let net = MemoryNet::new(CONNECTIONS, request.into(), frame.repeat(in_flight));
    let mut reactor = Reactor::with_net(Server { broadcast: name.starts_with("broadcast") }, net)
        .origins(Origins::Any)
        .deflate(Deflate::default())
        .listen("127.0.0.1:1")
        .unwrap();
    for _ in 0..turns + 2 {
        reactor.turn(None).unwrap();
    }
    assert!(reactor.net().written() > (turns * CONNECTIONS * in_flight) as u64, "nothing was said");
}

/// A masked text frame.
fn frame(text: &str, compressed: bool) -> Vec<u8> {
    use tautline::frame::{FrameHeader, Opcode, mask};
    let mut payload = text.as_bytes().to_vec();
    if compressed {
        payload = Vec::with_capacity(text.len() + 64);
        flate2::Compress::new(flate2::Compression::fast(), false)
            .compress_vec(text.as_bytes(), &mut payload, flate2::FlushCompress::Sync)
            .unwrap();
        payload.truncate(payload.len() - 4);
    }
    let key = [0x12, 0x34, 0x56, 0x78];
    let mut frame = Vec::new();
    let payload_bytes = payload.len() as u64;
    FrameHeader {
        fin: true,
        rsv1: compressed,
        opcode: Opcode::Text,
        mask: Some(key),
        payload_bytes,
    }
    .write(&mut frame);
    mask(&mut payload, key, 0);
    frame.extend_from_slice(&payload);
    frame
}

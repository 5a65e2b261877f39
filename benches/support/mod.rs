//! What the benchmarks share: servers in processes of their own, connections to them, and what they cost.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // a benchmark may panic

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A server in a process of its own, on cores of its own where `taskset` is there.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts this very program in a role, on these cores; it prints the address that it listens on.
    pub(crate) fn start(role: &str, cores: &str) -> Self {
        let program = std::env::current_exe().unwrap();
        let mut command = pinned(cores, &program);
        let mut child = command.args(["--role", role]).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, address: line.trim().parse().expect("the server prints its address") }
    }

    /// Where the system says something of the server's process.
    pub(crate) fn proc(&self, file: &str) -> PathBuf {
        format!("/proc/{}/{file}", self.child.id()).into()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The role that this process was started in, if it is a server.
pub(crate) fn role() -> Option<String> {
    let mut arguments = std::env::args().skip_while(|it| it != "--role");
    arguments.nth(1)
}

/// Runs this program again on the core that is left for the load. Returns where it runs there already.
pub(crate) fn pin_load() {
    if std::env::var_os("TAUTLINE_PINNED").is_none() && has_taskset() {
        let program = std::env::current_exe().unwrap();
        let arguments = std::env::args_os().skip(1);
        let status =
            pinned("1", &program).args(arguments).env("TAUTLINE_PINNED", "1").status().unwrap();
        std::process::exit(status.code().unwrap_or(1));
    }
}

fn has_taskset() -> bool {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    cores > 1 && Command::new("taskset").arg("-V").stdout(Stdio::null()).status().is_ok()
}

fn pinned(cores: &str, program: &Path) -> Command {
    if !has_taskset() && std::env::var_os("TAUTLINE_PINNED").is_none() {
        eprintln!("taskset or a second core is missing: server and load share what there is");
        return Command::new(program);
    }
    let mut command = Command::new("taskset");
    command.args(["-c", cores]).arg(program);
    command
}

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";

/// Opens a connection, handshake and all. The extensions that are offered have to be accepted, in some way.
pub(crate) fn open(address: SocketAddr, extensions: Option<&str>) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut request = String::from(REQUEST);
    if let Some(extensions) = extensions {
        request.push_str(&format!("Sec-WebSocket-Extensions: {extensions}\r\n"));
    }
    stream.write_all(format!("{request}\r\n").as_bytes()).unwrap();
    let mut answer = [0; 512];
    let mut length = 0;
    while !answer[..length].ends_with(b"\r\n\r\n") {
        let count = stream.read(&mut answer[length..]).unwrap();
        assert_ne!(count, 0, "the server ended the stream");
        length += count;
    }
    let answer = String::from_utf8_lossy(&answer[..length]);
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    assert_eq!(answer.contains("permessage-deflate"), extensions.is_some(), "{answer}");
    stream
}

/// A masked binary frame.
pub(crate) fn frame(payload_bytes: usize) -> Vec<u8> {
    let payload: Vec<u8> = (0..payload_bytes).map(|n| n as u8).collect();
    masked(0x82, &payload)
}

/// A masked frame with this first byte. The masking key is 0: it is the server that is measured.
pub(crate) fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        short @ 0..=125 => bytes.push(0x80 | short as u8),
        length @ 126..=0xFFFF => {
            bytes.push(0x80 | 126);
            bytes.extend((length as u16).to_be_bytes());
        }
        length => {
            bytes.push(0x80 | 127);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    bytes.extend([0; 4]);
    bytes.extend_from_slice(payload);
    bytes
}

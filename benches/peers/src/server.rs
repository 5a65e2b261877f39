//! A server in a process of its own, on a core of its own.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::rc::Rc;

use crate::Result;
use crate::handshake;
use crate::options::Options;
use crate::peers::Peer;
use crate::tls::{self, Certificate, Stream};

/// `benches/run` starts the load on core 1.
const CORE: &str = "0";

pub struct Server {
    child: Child,
    pub peer: &'static Peer,
    pub address: SocketAddr,
    /// What it shows, where it speaks TLS.
    certificate: Option<Rc<Certificate>>,
}

impl Server {
    /// Starts a peer's server. It prints `listening on ws://ADDRESS`, or `wss`, or it ends and says why.
    pub fn start(peer: &'static Peer, flags: &[&str], options: &Options) -> Result<Self> {
        let certificate = flags.contains(&tls::FLAG).then(|| Rc::clone(&options.certificate));
        let child = Command::new("taskset")
            .args(["-c", CORE])
            .args(peer.command(flags, options))
            .args(["--listen", "127.0.0.1:0"])
            .args(flags.iter().filter(|flag| **flag != tls::FLAG))
            .args(certificate.iter().flat_map(|it| it.arguments()))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut server = Self { child, peer, address: ([0; 4], 0).into(), certificate };
        let mut line = String::new();
        if let Some(output) = server.child.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        let url = line.trim_end().split_once("listening on ").map(|(_, url)| url);
        let Some((_, address)) = url.and_then(|it| it.split_once("://")) else {
            return Err(server.complaint().into());
        };
        server.address = address.parse()?;
        Ok(server)
    }

    /// Opens a connection without extensions, by TLS where the server was started with it.
    pub fn open(&self) -> Result<Stream> {
        let stream = handshake::connect(self.address)?;
        let mut stream = match &self.certificate {
            Some(certificate) => Stream::secure(stream, certificate)?,
            None => stream.into(),
        };
        handshake::upgrade(&mut stream, self.address, None)?;
        Ok(stream)
    }

    /// The first line that a server which did not start has written.
    fn complaint(&mut self) -> String {
        let _ = self.child.kill();
        let mut text = String::new();
        if let Some(mut output) = self.child.stderr.take() {
            let _ = output.read_to_string(&mut text);
        }
        text.lines().next().unwrap_or("did not start").into()
    }

    /// CPU time of all the server's threads so far: user and system. `stat` would only have hundredths of a second.
    pub fn cpu_seconds(&self) -> Result<f64> {
        let mut nanoseconds = 0;
        for thread in std::fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let schedstat = std::fs::read_to_string(thread?.path().join("schedstat"))?;
            let time = schedstat.split(' ').next().ok_or("no schedstat")?;
            nanoseconds += time.parse::<u64>()?;
        }
        Ok(nanoseconds as f64 / 1e9)
    }

    /// The server's memory.
    pub fn resident_bytes(&self) -> Result<f64> {
        self.status("VmRSS:")
    }

    /// The most that its memory ever was.
    pub fn peak_bytes(&self) -> Result<f64> {
        self.status("VmHWM:")
    }

    /// A line of `status`, which counts in KiB.
    fn status(&self, name: &str) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name)).ok_or("no status")?;
        let kibibytes = line.split_whitespace().next().ok_or("no figure")?;
        Ok(kibibytes.parse::<f64>()? * 1024.0)
    }
}

/// How many descriptors a process may have, the load and each server alike. None is known to be too few.
pub fn descriptors() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().next()).unwrap_or_default();
    soft.parse().unwrap_or(if soft == "unlimited" { usize::MAX } else { 0 })
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

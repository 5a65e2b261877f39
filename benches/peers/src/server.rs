//! A server in a process of its own, on a core of its own.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use crate::Result;
use crate::options::Options;
use crate::peers::Peer;

/// `benches/run` starts the load on core 1.
const CORE: &str = "0";
/// `USER_HZ`: what Linux counts the time of a process in, whatever its tick is.
const CLOCK_TICKS_PER_SECOND: f64 = 100.0;

pub struct Server {
    child: Child,
    pub address: SocketAddr,
}

impl Server {
    /// Starts a peer's server. It prints `listening on ws://ADDRESS`, or it ends and says why.
    pub fn start(peer: &Peer, flags: &[&str], options: &Options) -> Result<Self> {
        let child = Command::new("taskset")
            .args(["-c", CORE])
            .args(peer.command(options))
            .args(["--listen", "127.0.0.1:0"])
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut server = Self { child, address: ([0; 4], 0).into() };
        let mut line = String::new();
        if let Some(output) = server.child.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        let Some((_, address)) = line.trim_end().split_once("listening on ws://") else {
            return Err(server.complaint().into());
        };
        server.address = address.parse()?;
        Ok(server)
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

    /// CPU time of all the server's threads so far: user and system.
    pub fn cpu_seconds(&self) -> Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The second field is a name in parentheses, which may have spaces. Times are fields 14 and 15.
        let (_, fields) = stat.rsplit_once(')').ok_or("no stat")?;
        let ticks: Vec<f64> = fields
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(str::parse)
            .collect::<std::result::Result<_, _>>()?;
        Ok(ticks.iter().sum::<f64>() / CLOCK_TICKS_PER_SECOND)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

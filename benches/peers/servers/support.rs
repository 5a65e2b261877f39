//! What the Rust servers share: their arguments, and the line that says where they listen.
//!
//! Every server, of whatever language, is started as `SERVER --listen ADDRESS [FLAG...]` and prints
//! `listening on ws://ADDRESS`. The flags are those of `echo_server` of the engine.

use std::io::Write;
use std::net::SocketAddr;

pub struct Arguments {
    pub listen: String,
    /// Compress what is sent, and accept what is compressed.
    pub deflate: bool,
    /// Keep the compression context from message to message, in both directions.
    pub takeover: bool,
}

impl Arguments {
    pub fn parse() -> Self {
        let mut parsed = Self { listen: "127.0.0.1:0".into(), deflate: false, takeover: false };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--listen" => parsed.listen = arguments.next().expect("--listen needs an address"),
                "--deflate" => parsed.deflate = true,
                "--takeover" => parsed.takeover = true,
                other => panic!("unknown argument {other}"),
            }
        }
        parsed
    }
}

pub fn announce(address: SocketAddr) -> std::io::Result<()> {
    writeln!(std::io::stdout(), "listening on ws://{address}")
}

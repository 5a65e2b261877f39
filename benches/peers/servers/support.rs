//! What the Rust servers share: their arguments, and the line that says where they listen.
//!
//! Every server, of whatever language, is started as `SERVER --listen ADDRESS [FLAG...]` and prints
//! `listening on ws://ADDRESS`, with TLS too. The flags are those of `echo_server` of the engine, and `--upload`.
#![allow(dead_code)] // no server has all of it

use std::io::Write;
use std::net::SocketAddr;

pub struct Arguments {
    pub listen: String,
    /// The longest message that is to be accepted, in bytes.
    pub max_message: Option<usize>,
    /// Send each message to all clients, the one that it came from among them.
    pub broadcast: bool,
    /// Answer each message with the number of its bytes, and do not hold it in memory.
    pub upload: bool,
    /// Compress what is sent, and accept what is compressed.
    pub deflate: bool,
    /// Keep the compression context from message to message, in both directions.
    pub takeover: bool,
    /// Speak TLS, and show this certificate (PEM).
    pub tls_cert: Option<String>,
    /// The key of the certificate (PEM).
    pub tls_key: Option<String>,
}

impl Arguments {
    pub fn parse() -> Self {
        let mut parsed = Self {
            listen: "127.0.0.1:0".into(),
            max_message: None,
            broadcast: false,
            upload: false,
            deflate: false,
            takeover: false,
            tls_cert: None,
            tls_key: None,
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--listen" => parsed.listen = arguments.next().expect("--listen needs an address"),
                "--max-message" => {
                    let bytes = arguments.next().and_then(|it| it.parse().ok());
                    parsed.max_message = Some(bytes.expect("--max-message needs a number"));
                }
                "--broadcast" => parsed.broadcast = true,
                "--upload" => parsed.upload = true,
                "--deflate" => parsed.deflate = true,
                "--takeover" => parsed.takeover = true,
                "--tls-cert" => parsed.tls_cert = arguments.next(),
                "--tls-key" => parsed.tls_key = arguments.next(),
                other => panic!("unknown argument {other}"),
            }
        }
        parsed
    }
}

pub fn announce(address: SocketAddr) -> std::io::Result<()> {
    writeln!(std::io::stdout(), "listening on ws://{address}")
}

//! Who is compared, in the order in which they take turns.

use std::path::PathBuf;

use crate::options::Options;
use crate::tls;

pub struct Peer {
    pub name: &'static str,
    /// What its version is found under in a lock file. Ours is not in one.
    pub package: Option<&'static str>,
    program: Program,
    /// What it can be asked for. A case that needs more is not measured.
    flags: &'static [&'static str],
    /// What a case must ask for to have it, where that is something.
    only_with: Option<&'static str>,
    /// Which of ours compresses at its level.
    pub level_of: &'static str,
    /// How it compresses unless it is told otherwise.
    pub deflate: &'static str,
    /// How its server was written.
    pub written: &'static str,
}

enum Program {
    Tautline,
    /// A program of this package.
    Rust(&'static str),
    /// A script of this package.
    Bun(&'static str),
}

impl Peer {
    /// The program for these flags, and its first arguments.
    pub fn command(&self, flags: &[&str], options: &Options) -> Vec<PathBuf> {
        match self.program {
            Program::Tautline if flags.contains(&"--upload") => {
                vec![options.servers.join("tautline-upload")]
            }
            Program::Tautline => vec![options.tautline.clone()],
            Program::Rust(name) => vec![options.servers.join(name)],
            Program::Bun(script) => {
                let bun = options.package.join("node_modules/.bin/bun");
                vec![bun, options.package.join(script)]
            }
        }
    }

    /// Whether it is measured in a case that asks for these flags.
    pub fn takes(&self, flags: &[&str]) -> bool {
        let mut names = flags.iter().filter(|it| it.starts_with("--"));
        names.all(|it| self.flags.contains(it))
            && self.only_with.is_none_or(|it| flags.contains(&it))
    }

    /// Whether it is no WebSocket, but what one could be.
    pub fn is_limit(&self) -> bool {
        self.name == RAW
    }
}

/// Ours, as it is by default.
pub const OURS: &str = "tautline";
const OURS_AT_6: &str = "tautline-6";
/// The limit.
pub const RAW: &str = "raw";
pub const BUN: &str = "bun";
/// Those besides ours that are not Rust peers.
pub const NOT_RUST: [&str; 2] = [RAW, BUN];

pub fn is_ours(name: &str) -> bool {
    [OURS, OURS_AT_6].contains(&name)
}

pub const ALL: &[Peer] = &[
    Peer {
        name: RAW,
        package: None,
        program: Program::Rust("raw"),
        flags: &["--max-message"],
        only_with: None,
        level_of: OURS,
        deflate: "-",
        written: "a loop on mio that answers the same bytes and is no WebSocket: the limit",
    },
    Peer {
        name: OURS,
        package: None,
        program: Program::Tautline,
        flags: &["--max-message", "--deflate", "--takeover", "--broadcast", "--upload", tls::FLAG],
        only_with: None,
        level_of: OURS,
        deflate: "zlib-rs, level 1",
        written: "`examples/echo_server.rs`; uploads in parts",
    },
    Peer {
        name: OURS_AT_6,
        package: None,
        program: Program::Rust("tautline-level-6"),
        flags: &["--deflate", "--takeover"],
        only_with: Some("--deflate"),
        level_of: OURS_AT_6,
        deflate: "zlib-rs, set to level 6",
        written: "as above",
    },
    Peer {
        name: "fastwebsockets",
        package: Some("fastwebsockets"),
        program: Program::Rust("fastwebsockets"),
        flags: &["--max-message", "--upload", tls::FLAG],
        only_with: None,
        level_of: OURS,
        deflate: "-",
        written: "one write per message: it cannot feed",
    },
    Peer {
        name: "sockudo-ws",
        package: Some("sockudo-ws"),
        program: Program::Rust("sockudo-ws"),
        flags: &["--max-message", "--deflate", "--takeover", "--broadcast", tls::FLAG],
        only_with: None,
        level_of: OURS_AT_6,
        deflate: "zlib-rs, level 6",
        written: "fed; flushed when all that was read is answered; `PubSub`",
    },
    Peer {
        name: "tokio-websockets",
        package: Some("tokio-websockets"),
        program: Program::Rust("tokio-websockets"),
        flags: &["--max-message"],
        only_with: None,
        level_of: OURS,
        deflate: "-",
        written: "up to 32 read, then fed, then flushed",
    },
    Peer {
        name: "tokio-tungstenite",
        package: Some("tokio-tungstenite"),
        program: Program::Rust("tokio-tungstenite"),
        flags: &["--max-message", "--broadcast", tls::FLAG],
        only_with: None,
        level_of: OURS,
        deflate: "-",
        written: "`forward`, which flushes when there is nothing more to read; a channel per client",
    },
    Peer {
        name: "yawc",
        package: Some("yawc"),
        program: Program::Rust("yawc"),
        flags: &["--max-message", "--deflate", "--takeover", "--upload"],
        only_with: None,
        level_of: OURS_AT_6,
        deflate: "zlib-rs (its feature `zlib`), level 6",
        written: "up to 32 fed before a flush; pool without takeover; does not validate text; `Streaming`",
    },
    Peer {
        name: "ratchet",
        package: Some("ratchet_rs"),
        program: Program::Rust("ratchet"),
        flags: &["--max-message", "--deflate", "--takeover"],
        only_with: None,
        level_of: OURS,
        deflate: "zlib in C, level 1",
        written: "split; one write per message: it flushes each",
    },
    Peer {
        name: BUN,
        package: Some("node_modules/bun"),
        program: Program::Bun("servers/bun.js"),
        flags: &["--max-message", "--deflate", "--takeover", "--broadcast", tls::FLAG],
        only_with: None,
        level_of: OURS_AT_6,
        deflate: "zlib-ng, level 6",
        written: "`ws.send(message, compress)`; `ws.publish`",
    },
];

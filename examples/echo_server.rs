//! Sends every message back to whoever sent it, or with `--broadcast` to everybody.
//!
//! `cargo run --release --example echo_server -- --listen 127.0.0.1:9001`

use std::io::Write;
use std::process::ExitCode;

use tautline::reactor::{Context, Handler};
use tautline::{Deflate, Limits, Message, Origins, Reactor};

const USAGE: &str = "\
Usage: echo_server [--listen ADDRESS] [--max-message BYTES] [--broadcast] [--deflate [--takeover]]

  --listen ADDRESS      where to listen (default 127.0.0.1:9001; port 0 finds one)
  --max-message BYTES   the longest message that is accepted (default 1048576)
  --broadcast           send each message to all clients instead of back
  --deflate             compress messages, with each client that offers it
  --takeover            let a compressed message refer to those before it";

struct Echo {
    broadcast: bool,
}

impl Handler for Echo {
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

struct Options {
    listen: String,
    broadcast: bool,
    deflate: Option<Deflate>,
    takeover: bool,
    limits: Limits,
}

/// The options, or what is wrong with them.
fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options {
        listen: "127.0.0.1:9001".into(),
        broadcast: false,
        deflate: None,
        takeover: false,
        limits: Limits::default(),
    };
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--listen" => options.listen = value()?,
            "--max-message" => {
                let bytes = value()?;
                options.limits.message_bytes_max = bytes
                    .parse()
                    .map_err(|_| format!("--max-message {bytes}: not a number of bytes"))?;
            }
            "--broadcast" => options.broadcast = true,
            "--deflate" => options.deflate = Some(Deflate::default()),
            "--takeover" => options.takeover = true,
            other => return Err(format!("unknown argument {other}")),
        }
    }
    match &mut options.deflate {
        Some(deflate) => {
            deflate.sending.context_takeover = options.takeover;
            deflate.receiving.context_takeover = options.takeover;
        }
        None if options.takeover => return Err("--takeover is for --deflate".into()),
        None => {}
    }
    Ok(options)
}

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if arguments.iter().any(|it| it == "--help" || it == "-h") {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let options = match parse(arguments.into_iter()) {
        Ok(options) => options,
        Err(wrong) => {
            eprintln!("echo_server: {wrong}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let echo = Echo { broadcast: options.broadcast };
    let listening = Reactor::new(echo).and_then(|mut reactor| {
        reactor = reactor.limits(options.limits).origins(Origins::Any);
        if let Some(deflate) = options.deflate {
            reactor = reactor.deflate(deflate);
        }
        reactor.listen(&options.listen)
    });
    let ran = match listening {
        Ok(reactor) => serve(reactor),
        Err(error) => {
            eprintln!("echo_server: --listen {}: {error}", options.listen);
            return ExitCode::from(2);
        }
    };
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("echo_server: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(reactor: Reactor<Echo>) -> std::io::Result<()> {
    for address in reactor.local_addrs()? {
        // Whoever started it may not care.
        let _ = writeln!(std::io::stdout(), "listening on ws://{address}");
    }
    reactor.run()
}

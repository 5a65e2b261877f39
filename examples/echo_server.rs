//! Sends every message back to whoever sent it, or with `--broadcast` to everybody.
//!
//! `cargo run --release --example echo_server -- --listen 127.0.0.1:9001`

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use tautline::reactor::{Context, Handle, Handler};
use tautline::tls::ServerTls;
use tautline::{Deflate, Limits, Message, Origins, Reactor};

const USAGE: &str = "\
Usage: echo_server [--listen ADDRESS] [--threads N] [--max-message BYTES] [--broadcast]
                   [--deflate [--takeover]]
                   [--tls-cert FILE --tls-key FILE | --tls-self-signed]
                   [--tls-clients FILE]

  --listen ADDRESS      where to listen (default 127.0.0.1:9001; port 0 finds one)
  --threads N           how many loops serve clients, each on a thread of its own (default 1)
  --max-message BYTES   the longest message that is accepted (default 1048576)
  --broadcast           send each message to all clients instead of back
  --deflate             compress messages, with each client that offers it
  --takeover            let a compressed message refer to those before it
  --tls-cert FILE       speak TLS, and show this certificate, with its chain (PEM)
  --tls-key FILE        the key of the certificate (PEM)
  --tls-self-signed     speak TLS, for trying out: with a certificate for localhost
                        that is made now, and its fingerprint printed
  --tls-clients FILE    serve only clients whose certificates were issued by one
                        of those in this file (PEM)";

#[derive(Default)]
struct Echo {
    broadcast: bool,
    /// The loops on the other threads.
    others: Vec<Handle<Echo>>,
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
            self.tell_others(message);
            cx.publish("all", message);
        } else {
            cx.send(message);
        }
    }
}

impl Echo {
    /// Publishes on the other loops, whose topics are their own.
    fn tell_others(&self, message: Message<'_>) {
        if self.others.is_empty() {
            return;
        }
        let message = Arc::new(message.to_owned());
        for other in &self.others {
            let message = Arc::clone(&message);
            // A loop that so many messages wait for misses this one.
            let _ = other.post(move |_, hub| hub.publish("all", message.as_message()));
        }
    }
}

struct Options {
    listen: String,
    threads: usize,
    broadcast: bool,
    deflate: Option<Deflate>,
    takeover: bool,
    tls_cert: Option<String>,
    tls_key: Option<String>,
    tls_self_signed: bool,
    tls_clients: Option<String>,
    limits: Limits,
}

/// The options, or what is wrong with them.
fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options {
        listen: "127.0.0.1:9001".into(),
        threads: 1,
        broadcast: false,
        deflate: None,
        takeover: false,
        tls_cert: None,
        tls_key: None,
        tls_self_signed: false,
        tls_clients: None,
        limits: Limits::default(),
    };
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--listen" => options.listen = value()?,
            "--threads" => {
                let threads = value()?;
                let number = threads.parse().ok().filter(|it| *it > 0);
                options.threads =
                    number.ok_or(format!("--threads {threads}: not a number above 0"))?;
            }
            "--max-message" => {
                let bytes = value()?;
                options.limits.message_bytes_max = bytes
                    .parse()
                    .map_err(|_| format!("--max-message {bytes}: not a number of bytes"))?;
            }
            "--broadcast" => options.broadcast = true,
            "--deflate" => options.deflate = Some(Deflate::default()),
            "--takeover" => options.takeover = true,
            "--tls-cert" => options.tls_cert = Some(value()?),
            "--tls-key" => options.tls_key = Some(value()?),
            "--tls-self-signed" => options.tls_self_signed = true,
            "--tls-clients" => options.tls_clients = Some(value()?),
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
    match (&options.tls_cert, &options.tls_key) {
        (None, None) if options.tls_clients.is_some() && !options.tls_self_signed => {
            return Err("--tls-clients needs --tls-cert and --tls-key".into());
        }
        (None, None) => {}
        (Some(_), Some(_)) if !options.tls_self_signed => {}
        (Some(_), Some(_)) => return Err("--tls-self-signed makes a certificate of its own".into()),
        (Some(_), None) => return Err("--tls-cert needs --tls-key".into()),
        (None, Some(_)) => return Err("--tls-key needs --tls-cert".into()),
    }
    Ok(options)
}

/// The TLS that is to be spoken, if any is.
fn tls(options: &Options) -> Result<Option<ServerTls>, Box<dyn Error>> {
    match (certificate(options)?, &options.tls_clients) {
        (Some(tls), Some(issuers)) => Ok(Some(tls.require_clients_of(issuers)?)),
        (tls, _) => Ok(tls),
    }
}

/// The certificate that is to be shown.
fn certificate(options: &Options) -> Result<Option<ServerTls>, Box<dyn Error>> {
    if let (Some(cert), Some(key)) = (&options.tls_cert, &options.tls_key) {
        return Ok(Some(ServerTls::from_files(&[(cert, key)])?));
    }
    if !options.tls_self_signed {
        return Ok(None);
    }
    let names = ["localhost", "127.0.0.1", "::1"].map(String::from);
    let made = rcgen::generate_simple_self_signed(names)?;
    let fingerprint: Vec<_> =
        Sha256::digest(made.cert.der()).iter().map(|byte| format!("{byte:02X}")).collect();
    eprintln!("self-signed certificate, SHA-256 {}", fingerprint.join(":"));
    let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    Ok(Some(ServerTls::from_pem(chain.as_bytes(), key.as_bytes())?))
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
    let tls = match tls(&options) {
        Ok(tls) => tls,
        Err(error) => {
            eprintln!("echo_server: {error}");
            return ExitCode::from(2);
        }
    };
    let scheme = if tls.is_some() { "wss" } else { "ws" };
    let ran = match listen(&options, tls) {
        Ok(reactors) => serve(reactors, scheme),
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

/// A loop for each thread. Where there are several, they share the address and know each other.
fn listen(options: &Options, tls: Option<ServerTls>) -> io::Result<Vec<Reactor<Echo>>> {
    let reactor = || {
        let echo = Echo { broadcast: options.broadcast, ..Echo::default() };
        let mut reactor = Reactor::new(echo)?.limits(options.limits.clone()).origins(Origins::Any);
        if let Some(deflate) = options.deflate {
            reactor = reactor.deflate(deflate);
        }
        if let Some(tls) = &tls {
            reactor = reactor.server_tls(tls.clone());
        }
        io::Result::Ok(reactor)
    };
    if options.threads == 1 {
        return Ok(vec![reactor()?.listen(&options.listen)?]);
    }
    let first = reactor()?.listen_shared(&options.listen)?;
    let addresses = first.local_addrs()?;
    let mut reactors = vec![first];
    for _ in 1..options.threads {
        reactors.push(reactor()?.listen_shared(addresses.as_slice())?);
    }
    let handles: Vec<_> = reactors.iter().map(Reactor::handle).collect();
    for (number, handle) in handles.iter().enumerate() {
        let mut others = handles.clone();
        others.remove(number);
        // This is done before the first connection is accepted.
        handle.post(|echo, _| echo.others = others).map_err(io::Error::other)?;
    }
    Ok(reactors)
}

/// Runs the first loop on this thread, and each other one on its own.
fn serve(reactors: Vec<Reactor<Echo>>, scheme: &str) -> io::Result<()> {
    let mut reactors = reactors.into_iter();
    let Some(first) = reactors.next() else { return Ok(()) };
    for address in first.local_addrs()? {
        // Whoever started it may not care.
        let _ = writeln!(io::stdout(), "listening on {scheme}://{address}");
    }
    for reactor in reactors {
        std::thread::Builder::new().spawn(move || {
            if let Err(error) = reactor.run() {
                eprintln!("echo_server: {error}");
                std::process::exit(1);
            }
        })?;
    }
    first.run()
}

//! A terminal client: lines in, lines out.
//!
//! `cargo run --example client -- ws://127.0.0.1:9001/`

use std::io::{BufRead, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::process::ExitCode;
use std::time::Duration;

use tautline::handshake::{ClientRequest, UrlError};
use tautline::reactor::{Closed, ConnectionId, Context, Handler};
use tautline::{CloseCode, Message, Reactor};

const USAGE: &str = "\
Usage: client URL [--origin ORIGIN] [--protocol NAME]

Sends each line of the standard input as a text message, and prints each message
that comes on a line of the standard output. Ends when the input ends, or when
the server closes. Binary messages are printed as their length.";

/// The connection, while it is open.
#[derive(Default)]
struct Terminal {
    open: Option<ConnectionId>,
    early: Vec<String>,
    input_ended: bool,
    failed: bool,
}

impl Terminal {
    fn line(&mut self, hub: &mut tautline::reactor::Hub<'_, ()>, line: Option<String>) {
        let connection = self.open.and_then(|id| hub.connection(id));
        match (connection, line) {
            (Some(mut cx), Some(line)) => {
                cx.send(line.as_str());
            }
            (Some(mut cx), None) => {
                cx.close(CloseCode::NORMAL, "");
            }
            (None, Some(line)) => self.early.push(line),
            (None, None) => self.input_ended = true,
        }
    }
}

impl Handler for Terminal {
    type Session = ();

    fn on_open(&mut self, cx: &mut Context<'_, ()>) {
        self.open = Some(cx.id());
        for line in self.early.drain(..) {
            cx.send(line.as_str());
        }
        if self.input_ended {
            cx.close(CloseCode::NORMAL, "");
        }
    }

    fn on_message(&mut self, cx: &mut Context<'_, ()>, message: Message<'_>) {
        let mut output = std::io::stdout().lock();
        let written = match message {
            Message::Text(text) => writeln!(output, "{text}"),
            Message::Binary(data) => writeln!(output, "[binary, {} bytes]", data.len()),
        };
        // Nobody reads any more: that is an end like another.
        if written.and_then(|()| output.flush()).is_err() {
            cx.close(CloseCode::NORMAL, "");
        }
    }

    fn on_close(&mut self, cx: &mut Context<'_, ()>, closed: &Closed) {
        if closed.code() != CloseCode::NORMAL.get() {
            eprintln!("client: {closed}");
            self.failed = true;
        }
        cx.hub().shutdown(Duration::ZERO);
    }
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<ClientRequest, String> {
    let mut url = None;
    let mut origin = None;
    let mut protocols = Vec::new();
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--origin" => origin = Some(value()?),
            "--protocol" => protocols.push(value()?),
            other if other.starts_with('-') || url.is_some() => {
                return Err(format!("unknown argument {other}"));
            }
            _ => url = Some(argument),
        }
    }
    let url = url.ok_or("a URL is missing, such as ws://127.0.0.1:9001/")?;
    let mut request =
        ClientRequest::new(url.parse().map_err(|error: UrlError| format!("{url}: {error}"))?);
    for protocol in protocols {
        request = request.subprotocol(protocol).map_err(|error| error.to_string())?;
    }
    if let Some(origin) = origin {
        request = request.origin(&origin).map_err(|error| error.to_string())?;
    }
    if request.url().is_secure() {
        return Err("wss:// needs TLS, which is not supported yet: use ws://".into());
    }
    Ok(request)
}

fn run(request: ClientRequest) -> std::io::Result<bool> {
    let url = request.url();
    let addresses: Vec<SocketAddr> = (url.host(), url.port()).to_socket_addrs()?.collect();
    let address = *addresses.first().ok_or(std::io::ErrorKind::NotFound)?;
    let mut reactor = Reactor::new(Terminal::default())?;
    reactor.hub().connect(address, request, ());

    let handle = reactor.handle();
    std::thread::spawn(move || {
        let lines = std::io::stdin().lock().lines().map_while(Result::ok).map(Some);
        for line in lines.chain([None]) {
            // A terminal is slower than the loop; a file may not be.
            while handle.post({
                let line = line.clone();
                move |terminal: &mut Terminal, hub: &mut _| terminal.line(hub, line)
            }) == Err(tautline::reactor::PostError::Full)
            {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    });
    while !reactor.is_finished() {
        reactor.turn(None)?;
    }
    Ok(!reactor.handler().failed)
}

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if arguments.iter().any(|it| it == "--help" || it == "-h") {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let request = match parse(arguments.into_iter()) {
        Ok(request) => request,
        Err(wrong) => {
            eprintln!("client: {wrong}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(request) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("client: {error}");
            ExitCode::FAILURE
        }
    }
}

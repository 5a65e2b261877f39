//! A terminal client: lines in, lines out.
//!
//! `cargo run --example client -- ws://127.0.0.1:9001/`

use std::borrow::Cow;
use std::collections::VecDeque;
use std::io::{BufRead, IsTerminal, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::Duration;

use tautline::handshake::{Agreed, ClientRequest, UrlError};
use tautline::reactor::{Closed, ConnectionId, Context, Handle, Handler, Hub, SendStatus};
use tautline::tls::{ClientTls, TlsError};
use tautline::{CloseCode, Deflate, Message, Reactor};

const USAGE: &str = "\
Usage: client URL [--origin ORIGIN] [--protocol NAME]... [--deflate]
                  [--tls-root FILE]

Sends each line of the standard input as a text message, and prints each message
that comes on a line of the standard output. Ends when the input ends, or when
the server closes. Binary messages are printed as their length.

  --origin ORIGIN   what a browser would say of its page: https://example.com
  --protocol NAME   a subprotocol to ask for; the best liked one comes first
  --deflate         offer compressed messages
  --tls-root FILE   for wss://, trust the certificates in this file (PEM) instead
                    of those that this machine trusts";

/// What the input has next: a line, its end, or what is wrong with it.
type Input = Result<Option<String>, String>;

/// One connection, and the lines that wait for it.
struct Terminal {
    request: ClientRequest,
    /// The host's addresses that were not tried yet.
    addresses: VecDeque<SocketAddr>,
    open: Option<ConnectionId>,
    /// Asks for the next line; kept while there is no room for one.
    next: Option<mpsc::Sender<()>>,
    failed: bool,
}

impl Terminal {
    /// Connects to the next address, or gives up.
    fn dial(&mut self, hub: &mut Hub<'_, ()>) {
        let made = self
            .addresses
            .pop_front()
            .map(|address| hub.connect(address, self.request.clone(), ()));
        if let Some(Err(error)) = &made {
            eprintln!("client: {error}");
        }
        if !matches!(made, Some(Ok(_))) {
            self.failed = true;
            hub.shutdown(Duration::ZERO);
        }
    }

    /// Takes what the input has next. The line after it is asked for when there is room.
    fn input(&mut self, hub: &mut Hub<'_, ()>, input: Input, next: mpsc::Sender<()>) {
        let Some(mut cx) = self.open.and_then(|id| hub.connection(id)) else { return };
        match input {
            Ok(Some(line)) => match cx.send(line.as_str()) {
                SendStatus::Sent => drop(next.send(())),
                SendStatus::Queued => self.next = Some(next),
                SendStatus::Dropped(_) => {}
            },
            Ok(None) => drop(cx.close(CloseCode::NORMAL, "")),
            Err(wrong) => {
                eprintln!("client: {wrong}");
                self.failed = true;
                cx.close(CloseCode::NORMAL, "");
            }
        }
    }
}

impl Handler for Terminal {
    type Session = ();

    fn on_agreed(&mut self, _: &mut Context<'_, ()>, agreed: &Agreed) {
        if let Some(deflate) = agreed.deflate() {
            eprintln!("client: agreed on {deflate}");
        }
    }

    fn on_open(&mut self, cx: &mut Context<'_, ()>) {
        self.open = Some(cx.id());
        if let Some(next) = self.next.take() {
            let _ = next.send(());
        }
    }

    fn on_message(&mut self, cx: &mut Context<'_, ()>, message: Message<'_>) {
        let mut output = std::io::stdout().lock();
        let written = match message {
            Message::Text(text) => writeln!(output, "{}", shown(text, output.is_terminal())),
            Message::Binary(data) => writeln!(output, "[binary, {} bytes]", data.len()),
        };
        // Nobody reads any more: that is an end like another.
        if written.and_then(|()| output.flush()).is_err() {
            cx.close(CloseCode::NORMAL, "");
        }
    }

    fn on_drain(&mut self, _: &mut Context<'_, ()>) {
        if let Some(next) = self.next.take() {
            let _ = next.send(());
        }
    }

    fn on_close(&mut self, cx: &mut Context<'_, ()>, closed: &Closed) {
        if closed.code() != CloseCode::NORMAL.get() {
            match (closed, self.open) {
                (Closed::Lost(error), None) => {
                    eprintln!("client: {} cannot be reached: {error}", self.request.url())
                }
                _ => eprintln!(
                    "client: {}",
                    shown(&closed.to_string(), std::io::stderr().is_terminal())
                ),
            }
            // A server that answered is the right one, whatever it said.
            if self.open.is_none()
                && matches!(closed, Closed::Lost(_))
                && !self.addresses.is_empty()
            {
                return self.dial(&mut cx.hub());
            }
            self.failed = true;
        }
        cx.hub().shutdown(Duration::ZERO);
    }
}

/// What another has written, with nothing in it that could steer a terminal.
fn shown(text: &str, on_terminal: bool) -> Cow<'_, str> {
    let steers = |it: char| it.is_control() && !matches!(it, '\n' | '\t');
    match on_terminal && text.contains(steers) {
        true => text.replace(steers, "\u{FFFD}").into(),
        false => text.into(),
    }
}

/// Hands the lines of the standard input over, one after the other, each when it is asked for.
fn read_input(handle: &Handle<Terminal>, next: &mpsc::Sender<()>, asked: &mpsc::Receiver<()>) {
    let mut lines = std::io::stdin().lock().split(b'\n').enumerate();
    while asked.recv().is_ok() {
        let input = match lines.next() {
            None => Ok(None),
            Some((_, Err(error))) => Err(format!("the input cannot be read: {error}")),
            Some((number, Ok(line))) => {
                let line = line.strip_suffix(b"\r").map(<[u8]>::to_vec).unwrap_or(line);
                String::from_utf8(line)
                    .map(Some)
                    .map_err(|_| format!("line {} is not UTF-8", number + 1))
            }
        };
        let ended = !matches!(input, Ok(Some(_)));
        let next = next.clone();
        let posted = handle.post(move |terminal, hub| terminal.input(hub, input, next));
        if ended || posted.is_err() {
            return;
        }
    }
}

/// What to ask for, and the file with whom to trust.
type Asked = (ClientRequest, Option<String>);

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Asked, String> {
    let mut url = None;
    let mut origin = None;
    let mut protocols = Vec::new();
    let mut deflate = false;
    let mut tls_root = None;
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--origin" => origin = Some(value()?),
            "--protocol" => protocols.push(value()?),
            "--deflate" => deflate = true,
            "--tls-root" => tls_root = Some(value()?),
            other if other.starts_with('-') || url.is_some() => {
                return Err(format!("unknown argument {other}"));
            }
            _ => url = Some(argument),
        }
    }
    let url = url.ok_or("a URL is missing, such as ws://127.0.0.1:9001/")?;
    let mut request =
        ClientRequest::new(url.parse().map_err(|error: UrlError| format!("{url}: {error}"))?);
    if deflate {
        request = request.deflate(Deflate::default());
    }
    for protocol in protocols {
        request = request.subprotocol(protocol).map_err(|error| error.to_string())?;
    }
    if let Some(origin) = origin {
        request = request.origin(&origin).map_err(|error| error.to_string())?;
    }
    Ok((request, tls_root))
}

/// Whom to trust, where that is asked.
fn trust(request: &ClientRequest, root: Option<String>) -> Result<Option<ClientTls>, TlsError> {
    match root {
        Some(root) => ClientTls::trusting(root).map(Some),
        None if request.url().is_secure() => ClientTls::platform().map(Some),
        None => Ok(None),
    }
}

/// True where the connection was made and closed in order.
fn run(request: ClientRequest, tls: Option<ClientTls>) -> std::io::Result<bool> {
    let url = request.url();
    let addresses = (url.host(), url.port()).to_socket_addrs().map_err(|error| {
        std::io::Error::new(
            error.kind(),
            format!("the host {} cannot be found: {error}", url.host()),
        )
    })?;
    let (next, asked) = mpsc::channel();
    let terminal = Terminal {
        request,
        addresses: addresses.collect(),
        open: None,
        next: Some(next.clone()),
        failed: false,
    };
    let mut reactor = Reactor::new(terminal)?;
    if let Some(tls) = tls {
        reactor = reactor.client_tls(tls);
    }
    let handle = reactor.handle();
    let dial = |terminal: &mut Terminal, hub: &mut Hub<'_, ()>| terminal.dial(hub);
    handle.post(dial).map_err(std::io::Error::other)?;
    // Not joined: it may wait for a line that never comes.
    std::thread::spawn(move || read_input(&handle, &next, &asked));
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
    let (request, root) = match parse(arguments.into_iter()) {
        Ok(asked) => asked,
        Err(wrong) => {
            eprintln!("client: {wrong}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let tls = match trust(&request, root) {
        Ok(tls) => tls,
        Err(error) => {
            eprintln!("client: {error}");
            return ExitCode::from(2);
        }
    };
    match run(request, tls) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("client: {error}");
            ExitCode::FAILURE
        }
    }
}

//! `chat-relay`: starts the relay, says where it is, and stops it when asked to.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chat_relay::limits::RelayLimits;
use chat_relay::options::{self, Options, Request};
use chat_relay::server::{self, Server};
use tautline::Reactor;

/// Over which time connections are closed when the relay stops, so that they do not all come back at once.
const SHUTDOWN_WITHIN: Duration = Duration::from_secs(1);
/// The exit status of a command line that cannot be followed or names what cannot be listened on, and of one that was interrupted twice.
const USAGE: u8 = 2;
const INTERRUPTED: i32 = 130;

fn main() -> ExitCode {
    // What is not UTF-8 fits nowhere, and is then named with marks in its place.
    let arguments = std::env::args_os().skip(1).map(|it| it.to_string_lossy().into_owned());
    let options = match options::parse(arguments) {
        Ok(Request::Run(options)) => options,
        Ok(Request::Help) => return print(options::HELP),
        Err(error) => return fail(USAGE, &error.to_string()),
    };
    let reactor = match start(&options) {
        Ok(reactor) => reactor,
        Err(error) => return fail(USAGE, &error),
    };
    if let Err(error) = stop_on_signal(&reactor) {
        return fail(1, &format!("cannot listen for signals: {error}"));
    }
    let addresses = reactor.local_addrs().unwrap_or_default();
    let urls = addresses.iter().map(url).collect::<Vec<_>>().join(" and ");
    print(&format!("Chat relay ready on {urls} (Ctrl-C stops it)\n"));
    match reactor.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(1, &format!("stopped: {error}")),
    }
}

/// Starts to listen, or says why that is not possible and what to do.
fn start(options: &Options) -> Result<Reactor<Server>, String> {
    let reactor = server::reactor(RelayLimits::default(), &options.origins)
        .map_err(|error| format!("cannot start: {error}"))?;
    let address = &options.listen;
    reactor.listen(address).map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "{address} is in use: stop the program that listens there, or choose another port with \
             --listen"
        ),
        io::ErrorKind::PermissionDenied => {
            format!("{address} is not allowed to this user: choose a port from 1024 with --listen")
        }
        io::ErrorKind::AddrNotAvailable => {
            format!("{address} is no address of this machine: choose one that is with --listen")
        }
        _ => format!("cannot listen on {address}: {error}"),
    })
}

/// The first signal closes all connections with a code that asks them to come back, one after the other; a second one
/// does not wait for that.
fn stop_on_signal(reactor: &Reactor<Server>) -> Result<(), ctrlc::Error> {
    let handle = reactor.handle();
    let asked = AtomicBool::new(false);
    ctrlc::set_handler(move || {
        let again = asked.swap(true, Ordering::Relaxed);
        if again || handle.shutdown(SHUTDOWN_WITHIN).is_err() {
            std::process::exit(INTERRUPTED);
        }
    })
}

fn url(address: &SocketAddr) -> String {
    format!("http://{address}/")
}

/// A reader that has gone away is no reason to fail.
fn print(text: &str) -> ExitCode {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    ExitCode::SUCCESS
}

fn fail(status: u8, text: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "chat-relay: {text}");
    ExitCode::from(status)
}

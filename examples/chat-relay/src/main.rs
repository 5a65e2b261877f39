//! `chat-relay`: starts the relay, says where it is, and stops it when asked to.

use std::io::{self, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use chat_relay::config::{self, Command, Config, Stop, Storage};
use chat_relay::server::{self, Server};
use chat_relay::store::Store;
use chat_relay::{admin, certificate, log, setup};
use tautline::Reactor;
use tautline::reactor::Handle;
use tautline::tls::ServerTls;

/// Over which time connections are closed when the relay stops, so that they do not all come back at once.
const SHUTDOWN_WITHIN: Duration = Duration::from_secs(1);
/// The exit status of a command line that cannot be followed or names what cannot be listened on, and of one that was
/// interrupted twice.
const USAGE: u8 = 2;
const INTERRUPTED: i32 = 130;

fn main() -> ExitCode {
    // What is not UTF-8 fits nowhere, and is then named with marks in its place.
    let arguments = std::env::args_os().skip(1).map(|it| it.to_string_lossy().into_owned());
    let environment = |name: &str| Some(std::env::var_os(name)?.to_string_lossy().into_owned());
    let done = match config::parse(arguments, &environment) {
        Ok(Command::Run(config)) => return run(&config),
        Ok(Command::CheckConfig(config, sources)) => config::check(&config, &sources),
        Ok(Command::Backup { file, data }) => return backup(&file, &data),
        Ok(Command::Admin { data, url, action }) => {
            return match admin::ask(&data, url.as_ref(), &action) {
                Ok(text) => print(&text),
                Err(error) => fail(1, &error),
            };
        }
        Err(Stop::Print(text)) => Ok(text),
        Err(Stop::BadUsage(problems)) => Err(problems),
    };
    match done {
        Ok(text) => print(&text),
        Err(problems) => {
            let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
            fail(USAGE, &lines.join("\nchat-relay: "))
        }
    }
}

fn backup(file: &Path, data: &Path) -> ExitCode {
    match Store::backup(data, file) {
        Ok(()) => print(&format!("{} is a copy of {}\n", file.display(), data.display())),
        Err(error) => fail(1, &error.to_string()),
    }
}

/// Runs until it is asked to stop.
fn run(config: &Config) -> ExitCode {
    log::start(config.log);
    let tls = match config.certificate.as_ref().map(certificate::load).transpose() {
        Ok(tls) => tls,
        Err(error) => return fail(USAGE, &error),
    };
    let (tls, said) = tls.unzip();
    let reactor = match start(config, tls.clone()) {
        Ok(reactor) => reactor,
        Err(error) => return fail(USAGE, &error),
    };
    let scheme = if tls.is_some() { "https" } else { "http" };
    if let Err(error) = signals::listen(Signals { handle: reactor.handle(), asked: false, tls }) {
        return fail(1, &format!("cannot listen for signals: {error}"));
    }
    if let Some(said) = said.flatten() {
        tracing::info!("{said}");
    }
    let mut addresses = reactor.local_addrs().unwrap_or_default();
    let admin_address = addresses.first().copied();
    if listens_for_admin(config) && !addresses.is_empty() {
        addresses.remove(0);
    }
    let url = |address: &SocketAddr| format!("{scheme}://{address}/");
    let urls = addresses.iter().map(url).collect::<Vec<_>>().join(" and ");
    let kept = match &config.storage {
        Storage::Memory => "nothing is kept".to_owned(),
        Storage::Folder { path, .. } => format!("data in {}", path.display()),
    };
    if let (Storage::Folder { path, .. }, Some(address)) = (&config.storage, admin_address) {
        let address = reached_here(address);
        if let Err(error) = admin::note_address(path, &format!("ws://{address}/ws")) {
            tracing::warn!("the address for `chat-relay admin` cannot be noted: {error}");
        }
    }
    print(&format!("Chat relay ready on {urls}, {kept} (Ctrl-C stops it)\n"));
    match reactor.run() {
        Ok(()) => {
            tracing::info!("stopped");
            ExitCode::SUCCESS
        }
        Err(error) => fail(1, &format!("stopped: {error}")),
    }
}

/// Whether there is an address without TLS for `chat-relay admin`, which could not know which certificate to trust.
fn listens_for_admin(config: &Config) -> bool {
    config.certificate.is_some() && matches!(config.storage, Storage::Folder { .. })
}

/// By which address of this machine a listener is reached.
fn reached_here(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

/// Starts to listen, or says why that is not possible and what to do.
fn start(config: &Config, tls: Option<ServerTls>) -> Result<Reactor<Server>, String> {
    let (setup, store) = setup::of(config)?;
    let mut reactor =
        server::reactor(setup, store).map_err(|error| format!("cannot start: {error}"))?;
    if listens_for_admin(config) {
        let cannot = |error| format!("cannot listen for `chat-relay admin`: {error}");
        reactor = reactor.listen("127.0.0.1:0").map_err(cannot)?;
    }
    if let Some(tls) = tls {
        reactor = reactor.server_tls(tls);
    }
    for address in &config.listen {
        reactor = reactor.listen(address).map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => format!(
                "{address} is in use: stop the program that listens there, or choose another port \
                 with --listen"
            ),
            io::ErrorKind::PermissionDenied => format!(
                "{address} is not allowed to this user: choose a port from 1024 with --listen"
            ),
            io::ErrorKind::AddrNotAvailable => {
                format!("{address} is no address of this machine: choose one that is with --listen")
            }
            _ => format!("cannot listen on {address}: {error}"),
        })?;
    }
    Ok(reactor)
}

/// What signals ask for.
struct Signals {
    handle: Handle<Server>,
    /// It was asked to stop already.
    asked: bool,
    tls: Option<ServerTls>,
}

impl Signals {
    /// The first time, all connections are closed with a code that asks them to come back, one after the other; the
    /// second time, that is not waited for.
    fn stop(&mut self) {
        let again = std::mem::replace(&mut self.asked, true);
        if again || self.handle.shutdown(SHUTDOWN_WITHIN).is_err() {
            std::process::exit(INTERRUPTED);
        }
    }

    /// Reads the certificate again, if there is one. Where it cannot be used, the old one stays.
    #[cfg(unix)]
    fn reload(&mut self) {
        match self.tls.as_ref().map(ServerTls::reload) {
            None => self.stop(),
            Some(Ok(())) => tracing::info!("the certificate was read again"),
            Some(Err(error)) => tracing::error!("the certificate stays as it was: {error}"),
        }
    }
}

#[cfg(unix)]
mod signals {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

    pub(super) fn listen(mut signals: super::Signals) -> std::io::Result<()> {
        let mut came = signal_hook::iterator::Signals::new([SIGHUP, SIGINT, SIGTERM])?;
        std::thread::Builder::new().name("signals".into()).spawn(move || {
            for signal in came.forever() {
                match signal {
                    SIGHUP => signals.reload(),
                    _ => signals.stop(),
                }
            }
        })?;
        Ok(())
    }
}

#[cfg(not(unix))]
mod signals {
    pub(super) fn listen(mut signals: super::Signals) -> Result<(), ctrlc::Error> {
        ctrlc::set_handler(move || signals.stop())
    }
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

//! The command line.

use std::fmt;

/// What `--help` prints.
pub const HELP: &str = "\
A chat relay: serves a page, and the WebSocket that the page talks to.

Usage: chat-relay [--listen ADDR] [--origin ORIGIN]...
                  [--tls-cert FILE --tls-key FILE | --tls-self-signed]
                  [--connections-per-address N] [--metrics]

  --listen ADDR    Address and port to listen on. Default 127.0.0.1:8080; port 0
                   takes a free one. To be reached from other machines, listen
                   on their network's address, or on 0.0.0.0:8080.
  --origin ORIGIN  A further site whose pages may connect, as a browser names
                   it: https://chat.example.com. May be repeated. Pages that
                   the relay serves itself always may; programs that are no
                   browser send no origin, and may too.
  --tls-cert FILE  Serve https:// and wss://, and show this certificate, with
                   its chain (PEM). SIGHUP has it read again, when it was
                   renewed; nobody loses their connection.
  --tls-key FILE   The key of the certificate (PEM).
  --tls-self-signed
                   For trying out: with a certificate for localhost that is made
                   now; browsers will warn. Its fingerprint is printed.
  --connections-per-address N
                   How many connections one address may have at a time; an IPv6
                   network of 64 bits counts as one. Default: no limit, since
                   behind a proxy all clients have one address.
  --metrics        Serve counters at /metrics, in Prometheus' text format, to
                   everybody who reaches the relay.
  --help           Print this.

Everything is kept in memory, and is gone when the relay stops. Ctrl-C stops it.
";

/// What the relay was asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Print [`HELP`].
    Help,
    /// Run.
    Run(Options),
}

/// How to run.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// The address to listen on.
    pub listen: String,
    /// Origins that may connect besides the relay's own.
    pub origins: Vec<String>,
    /// What is shown, where TLS is spoken.
    pub certificate: Option<Certificate>,
    /// How many connections one address may have, if that is limited.
    pub connections_per_address: Option<usize>,
    /// Whether counters are served.
    pub metrics: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".into(),
            origins: Vec::new(),
            certificate: None,
            connections_per_address: None,
            metrics: false,
        }
    }
}

/// The certificate of a relay that speaks TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Certificate {
    /// From PEM files.
    Files {
        /// The certificate, with its chain.
        chain: String,
        /// Its key.
        key: String,
    },
    /// Made at the start.
    SelfSigned,
}

/// A command line that cannot be followed; its text says what to do instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadUsage(String);

impl fmt::Display for BadUsage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Reads the arguments, without the program's name.
///
/// # Errors
///
/// A text for the person at the keyboard.
pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Request, BadUsage> {
    let mut options = Options::default();
    let (mut chain, mut key, mut self_signed) = (None, None, false);
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        let (flag, attached) = match argument.split_once('=') {
            Some((flag, value)) => (flag, Some(value.to_owned())),
            None => (&*argument, None),
        };
        let mut value = |example: &str| {
            let value = attached.clone().or_else(|| arguments.next()).filter(|it| !it.is_empty());
            value.ok_or_else(|| BadUsage(format!("{flag} needs a value: {flag} {example}")))
        };
        match flag {
            "--help" | "-h" => return Ok(Request::Help),
            "--listen" => options.listen = listen(value("127.0.0.1:8080")?)?,
            "--origin" => options.origins.push(origin(value("https://chat.example.com")?)?),
            "--tls-cert" => chain = Some(value("chain.pem")?),
            "--tls-key" => key = Some(value("key.pem")?),
            "--connections-per-address" => {
                options.connections_per_address = Some(count(flag, &value("100")?)?)
            }
            "--metrics" if attached.is_none() => options.metrics = true,
            "--tls-self-signed" if attached.is_none() => self_signed = true,
            _ => {
                let text = format!("{argument:?} is not understood; --help lists what is");
                return Err(BadUsage(text));
            }
        }
    }
    options.certificate = certificate(chain, key, self_signed)?;
    Ok(Request::Run(options))
}

fn certificate(
    chain: Option<String>,
    key: Option<String>,
    self_signed: bool,
) -> Result<Option<Certificate>, BadUsage> {
    let problem = match (chain, key, self_signed) {
        (None, None, false) => return Ok(None),
        (None, None, true) => return Ok(Some(Certificate::SelfSigned)),
        (Some(chain), Some(key), false) => return Ok(Some(Certificate::Files { chain, key })),
        (Some(_), None, _) => "--tls-cert needs its key: --tls-key key.pem",
        (None, Some(_), _) => "--tls-key needs its certificate: --tls-cert chain.pem",
        (Some(_), Some(_), true) => {
            "--tls-self-signed makes a certificate of its own: leave out one"
        }
    };
    Err(BadUsage(problem.into()))
}

fn count(flag: &str, value: &str) -> Result<usize, BadUsage> {
    value.parse().ok().filter(|count| *count > 0).ok_or_else(|| {
        BadUsage(format!("{flag} {value:?} is no number from 1; write it as in {flag} 100"))
    })
}

/// Only the form is looked at; whether the host exists shows when it is listened on.
fn listen(address: String) -> Result<String, BadUsage> {
    let fits = address.rsplit_once(':').is_some_and(|(host, port)| {
        let bare_ipv6 = host.contains(':') && !(host.starts_with('[') && host.ends_with(']'));
        !host.is_empty() && !bare_ipv6 && port.parse::<u16>().is_ok()
    });
    fits.then_some(()).ok_or_else(|| {
        BadUsage(format!(
            "--listen {address:?} is no address; write host:port, as in 127.0.0.1:8080 or [::1]:8080"
        ))
    })?;
    Ok(address)
}

fn origin(origin: String) -> Result<String, BadUsage> {
    let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
    let fits = host.is_some_and(|host| {
        let of_a_host = |b: u8| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b);
        !host.is_empty() && host.bytes().all(of_a_host)
    });
    fits.then_some(()).ok_or_else(|| {
        BadUsage(format!(
            "--origin {origin:?} is no origin; write scheme and host, without a path or a slash at \
             the end, as in https://chat.example.com"
        ))
    })?;
    Ok(origin)
}

#[cfg(test)]
#[allow(clippy::panic, reason = "a test may fail by panicking")]
mod tests {
    use super::*;

    fn run(line: &str) -> Result<Request, BadUsage> {
        parse(line.split(' ').filter(|it| !it.is_empty()).map(str::to_owned))
    }

    #[test]
    fn what_can_be_followed_is() {
        let options = |listen: &str, origins: &[&str]| {
            let origins = origins.iter().map(ToString::to_string).collect();
            Ok(Request::Run(Options { listen: listen.into(), origins, ..Options::default() }))
        };
        assert_eq!(run(""), options("127.0.0.1:8080", &[]));
        assert_eq!(run("--listen [::1]:0"), options("[::1]:0", &[]));
        assert_eq!(
            run("--origin http://a --listen=localhost:80 --origin=https://b:8443"),
            options("localhost:80", &["http://a", "https://b:8443"])
        );
        assert_eq!(run("--listen 0.0.0.0:1 --help"), Ok(Request::Help));
        let more =
            Options { connections_per_address: Some(7), metrics: true, ..Options::default() };
        assert_eq!(run("--metrics --connections-per-address=7"), Ok(Request::Run(more)));
        let shown = |line: &str| match run(line) {
            Ok(Request::Run(options)) => options.certificate,
            other => panic!("{other:?}"),
        };
        assert_eq!(shown("--tls-self-signed"), Some(Certificate::SelfSigned));
        let (chain, key) = ("c.pem".into(), "k.pem".into());
        assert_eq!(
            shown("--tls-key=k.pem --tls-cert c.pem"),
            Some(Certificate::Files { chain, key })
        );
    }

    #[test]
    fn what_cannot_is_answered_with_what_to_do() {
        let table = [
            ("--port 80", r#""--port" is not understood; --help lists what is"#),
            ("8080", r#""8080" is not understood; --help lists what is"#),
            ("--listen", "--listen needs a value: --listen 127.0.0.1:8080"),
            ("--listen=", "--listen needs a value: --listen 127.0.0.1:8080"),
            ("--listen 8080", "write host:port"),
            ("--listen ::1:80", "write host:port"),
            ("--listen 127.0.0.1:65536", "write host:port"),
            ("--origin", "--origin needs a value: --origin https://chat.example.com"),
            ("--origin example.com", "write scheme and host"),
            ("--origin https://a/", "without a path"),
            ("--origin ws://a", "write scheme and host"),
            ("--connections-per-address 0", "is no number from 1"),
            ("--connections-per-address many", "--connections-per-address 100"),
            ("--metrics=on", "is not understood"),
            ("--tls-cert c.pem", "--tls-key key.pem"),
            ("--tls-key k.pem", "--tls-cert chain.pem"),
            ("--tls-cert c.pem --tls-key k.pem --tls-self-signed", "leave out one"),
            ("--tls-self-signed=yes", "is not understood"),
        ];
        for (line, text) in table {
            let error = run(line).unwrap_err().to_string();
            assert!(error.contains(text), "{line}: {error}");
        }
    }
}

//! What the relay was asked to do: the command line, the environment and the configuration file, as one parsed value.
//!
//! ```text
//!  flags ─┐
//!  variables ─┼─ setting: texts, each with its source ─ resolve ─> Config
//!  file ─┘
//! ```
//!
//! A flag beats a variable, that beats the file, and that the default. A [`Config`] that exists fits together: there is
//! no key without its certificate, and no text where a type says more. Only whether its files can be read is not known
//! yet; [`check`] finds that out. Secrets are in files, and a `Config` has their paths only.

mod admin;
mod check;
mod file;
mod flags;
mod resolve;
mod setting;
mod types;

use std::fmt;
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::PathBuf;

pub use admin::{AdminAction, Role};
pub use check::{check, to_toml};
pub use flags::HELP;
pub use setting::{Setting, Source, Sources};
use tautline::handshake::Url;
pub use types::{
    Auth, Certificate, Jwt, JwtKey, ListenAddress, LogFormat, LogLevel, Origin, Registration,
    Storage,
};

/// How to run.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// The addresses to listen on, at least one.
    pub listen: Vec<ListenAddress>,
    /// Origins that may connect besides the relay's own.
    pub origins: Vec<Origin>,
    /// What is shown, where TLS is spoken.
    pub certificate: Option<Certificate>,
    /// How many connections one address may have, if that is limited.
    pub connections_per_address: Option<NonZeroUsize>,
    /// Whether counters are served.
    pub metrics: bool,
    /// Where messages and accounts are.
    pub storage: Storage,
    /// For how long messages are kept.
    pub retention: Retention,
    /// Who may come in.
    pub auth: Auth,
    /// What is said, and how.
    pub log: Log,
}

/// As the command line without any flag, but that nothing is kept: which folder there would be, the environment says.
impl Default for Config {
    fn default() -> Self {
        Self {
            listen: vec![ListenAddress::default()],
            origins: Vec::new(),
            certificate: None,
            connections_per_address: None,
            metrics: false,
            storage: Storage::Memory,
            retention: Retention { days: None, messages: None },
            auth: Auth::Open,
            log: Log { level: LogLevel::Info, format: LogFormat::Text },
        }
    }
}

/// Which messages are thrown away. Without a limit, none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Those that are older.
    pub days: Option<NonZeroU32>,
    /// Those of a room that are followed by so many.
    pub messages: Option<NonZeroU64>,
}

/// What is said, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log {
    /// What is said.
    pub level: LogLevel,
    /// How it looks.
    pub format: LogFormat,
}

/// What the program was asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "there is one, at the start")]
pub enum Command {
    /// Run.
    Run(Config),
    /// Say what [`check`] finds, and do not run.
    CheckConfig(Config, Sources),
    /// Write a copy of the data.
    Backup {
        /// The file to write.
        file: PathBuf,
        /// The folder of the relay's data.
        data: PathBuf,
    },
    /// Ask a running relay for something that only its owner may.
    Admin {
        /// The folder of the relay's data, where the secret lies.
        data: PathBuf,
        /// Where the relay is, if that is not what the folder says.
        url: Option<Url>,
        /// What is asked for.
        action: AdminAction,
    },
}

/// Why there is nothing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Help or the version was asked for: this is for stdout, and the status is 0.
    Print(String),
    /// For stderr, a line for each, and the status is 2.
    BadUsage(Vec<Problem>),
}

/// Something that cannot be followed: one line that names the place and says what to do instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem(pub(crate) String);

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Reads the arguments, without the program's name, and the environment; and the configuration file, if one is named.
///
/// # Errors
///
/// Help, or everything that is wrong.
///
/// ```
/// use chat_relay::config::{self, Command, Storage};
///
/// let arguments = ["--memory", "--listen", "[::1]:0"].map(String::from);
/// let Ok(Command::Run(config)) = config::parse(arguments, &|_| None) else { return };
/// assert_eq!(config.storage, Storage::Memory);
/// ```
pub fn parse(
    arguments: impl IntoIterator<Item = String>,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Command, Stop> {
    flags::parse(arguments)?.command(environment)
}

#[cfg(test)]
mod tests;

//! The settings, by name, and where a value came from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Problem;

/// What can be set. The name in the file, the flag and the variable are one name, written in three ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the field of `Config` says what it is for")]
pub enum Setting {
    Listen,
    Origin,
    Metrics,
    ConnectionsPerAddress,
    TlsCert,
    TlsKey,
    TlsSelfSigned,
    Data,
    Memory,
    DataBytesMax,
    KeepDays,
    KeepMessages,
    Auth,
    Registration,
    JwtSecretFile,
    JwtPublicKey,
    JwtIssuer,
    JwtAudience,
    Log,
    LogFormat,
}

/// What a value looks like in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// One text, or a list of them; in a variable, with commas between.
    List,
    Text,
    Path,
    Number,
    /// A number of bytes, or a text such as `10G`.
    Size,
    Switch,
}

impl Setting {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 20] = [
        Self::Listen,
        Self::Origin,
        Self::Metrics,
        Self::ConnectionsPerAddress,
        Self::TlsCert,
        Self::TlsKey,
        Self::TlsSelfSigned,
        Self::Data,
        Self::Memory,
        Self::DataBytesMax,
        Self::KeepDays,
        Self::KeepMessages,
        Self::Auth,
        Self::Registration,
        Self::JwtSecretFile,
        Self::JwtPublicKey,
        Self::JwtIssuer,
        Self::JwtAudience,
        Self::Log,
        Self::LogFormat,
    ];

    /// The name in the file, the form there, and an example.
    fn row(self) -> (&'static str, Kind, &'static str) {
        match self {
            Self::Listen => ("listen", Kind::List, "127.0.0.1:8080"),
            Self::Origin => ("origin", Kind::List, "https://chat.example.com"),
            Self::Metrics => ("metrics", Kind::Switch, "true"),
            Self::ConnectionsPerAddress => ("connections_per_address", Kind::Number, "100"),
            Self::TlsCert => ("tls_cert", Kind::Path, "chain.pem"),
            Self::TlsKey => ("tls_key", Kind::Path, "key.pem"),
            Self::TlsSelfSigned => ("tls_self_signed", Kind::Switch, "true"),
            Self::Data => ("data", Kind::Path, "/var/lib/chat-relay"),
            Self::Memory => ("memory", Kind::Switch, "true"),
            Self::DataBytesMax => ("data_bytes_max", Kind::Size, "10G"),
            Self::KeepDays => ("keep_days", Kind::Number, "365"),
            Self::KeepMessages => ("keep_messages", Kind::Number, "10000"),
            Self::Auth => ("auth", Kind::Text, "accounts"),
            Self::Registration => ("registration", Kind::Text, "invitation"),
            Self::JwtSecretFile => ("jwt_secret_file", Kind::Path, "secret.txt"),
            Self::JwtPublicKey => ("jwt_public_key", Kind::Path, "public.pem"),
            Self::JwtIssuer => ("jwt_issuer", Kind::Text, "https://login.example.com"),
            Self::JwtAudience => ("jwt_audience", Kind::Text, "chat"),
            Self::Log => ("log", Kind::Text, "info"),
            Self::LogFormat => ("log_format", Kind::Text, "json"),
        }
    }

    /// The name in the file: `tls_cert`.
    pub fn key(self) -> &'static str {
        self.row().0
    }

    /// The flag: `--tls-cert`.
    pub fn flag(self) -> String {
        format!("--{}", self.key().replace('_', "-"))
    }

    /// The variable: `CHAT_RELAY_TLS_CERT`.
    pub fn variable(self) -> String {
        format!("CHAT_RELAY_{}", self.key().to_uppercase())
    }

    pub(super) fn kind(self) -> Kind {
        self.row().1
    }

    pub(super) fn example(self) -> &'static str {
        self.row().2
    }

    pub(super) fn from_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.key() == key)
    }
}

/// Where a value came from. The greater one is stronger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Nobody gave one.
    Default,
    /// The configuration file.
    File {
        /// Its path.
        path: Arc<Path>,
        /// The line, from 1.
        line: usize,
    },
    /// The environment.
    Variable,
    /// The command line.
    Flag,
}

impl Source {
    pub(super) fn rank(&self) -> u8 {
        match self {
            Self::Default => 0,
            Self::File { .. } => 1,
            Self::Variable => 2,
            Self::Flag => 3,
        }
    }

    /// The setting as it is called there: `--listen`, `CHAT_RELAY_LISTEN`, or `relay.toml:3: listen`.
    pub fn name(&self, setting: Setting) -> String {
        match self {
            Self::Default | Self::Flag => setting.flag(),
            Self::File { path, line } => format!("{}:{line}: {}", path.display(), setting.key()),
            Self::Variable => setting.variable(),
        }
    }

    /// The setting with a value, as it is written there.
    pub(super) fn written(&self, setting: Setting, value: &str) -> String {
        match self {
            Self::Default | Self::Flag if setting.kind() == Kind::Switch => {
                format!("{}={value}", setting.flag())
            }
            Self::Default | Self::Flag => format!("{} {value}", setting.flag()),
            Self::Variable => format!("{}={value}", setting.variable()),
            Self::File { .. } => match setting.kind() {
                Kind::Number | Kind::Switch => format!("{} = {value}", setting.key()),
                Kind::List | Kind::Text | Kind::Path | Kind::Size => {
                    format!("{} = {value:?}", setting.key())
                }
            },
        }
    }
}

/// Where each setting that was given came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources(pub(super) BTreeMap<Setting, Source>);

impl Sources {
    /// The setting as it is called where it came from.
    pub fn name(&self, setting: Setting) -> String {
        self.0.get(&setting).unwrap_or(&Source::Default).name(setting)
    }
}

/// A setting as it was written, not judged yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Given {
    pub(super) setting: Setting,
    pub(super) source: Source,
    /// One text, but for [`Kind::List`].
    pub(super) texts: Vec<String>,
}

impl Given {
    pub(super) fn name(&self) -> String {
        self.source.name(self.setting)
    }

    /// The setting as it could be written instead.
    pub(super) fn example(&self) -> String {
        self.source.written(self.setting, self.setting.example())
    }

    pub(super) fn problem(&self, text: impl std::fmt::Display) -> Problem {
        Problem(format!("{} {text}", self.name()))
    }

    /// The path, from the folder of the file if it was written in one.
    pub(super) fn path(&self, text: &str) -> PathBuf {
        match &self.source {
            Source::File { path, .. } => {
                path.parent().map_or_else(|| text.into(), |folder| folder.join(text))
            }
            Source::Default | Source::Variable | Source::Flag => text.into(),
        }
    }
}

/// What was given, and of each setting the strongest.
#[derive(Clone, Debug, Default)]
pub(super) struct Givens(pub(super) BTreeMap<Setting, Given>);

impl Givens {
    pub(super) fn add(&mut self, given: Given) {
        match self.0.get(&given.setting) {
            Some(old) if old.source.rank() > given.source.rank() => {}
            _ => drop(self.0.insert(given.setting, given)),
        }
    }

    pub(super) fn rank(&self, setting: Setting) -> u8 {
        self.0.get(&setting).map_or(0, |it| it.source.rank())
    }
}

/// What the environment says. An empty variable counts as none.
pub(super) fn from_environment(environment: &dyn Fn(&str) -> Option<String>) -> Vec<Given> {
    let given = |setting: Setting| {
        let text = environment(&setting.variable()).filter(|text| !text.is_empty())?;
        let texts = match setting.kind() {
            Kind::List => text.split(',').map(|it| it.trim().to_owned()).collect(),
            _ => vec![text],
        };
        Some(Given { setting, source: Source::Variable, texts })
    };
    Setting::ALL.into_iter().filter_map(given).collect()
}

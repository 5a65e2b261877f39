//! The types of settings, each read from a text.

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::num::NonZeroU64;
use std::path::PathBuf;

use tautline::handshake::Origins;

/// An address to listen on. Its form is right; whether the host exists shows when it is listened on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenAddress {
    host: String,
    port: u16,
}

impl ListenAddress {
    /// Reads `host:port`, with an IPv6 host in brackets.
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let bare = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
        let fits = match bare {
            Some(bare) => bare.parse::<std::net::Ipv6Addr>().is_ok(),
            None => !host.is_empty() && !host.contains([':', '[', ']', ' ']),
        };
        let port = port.parse().ok().filter(|_| fits)?;
        Some(Self { host: bare.unwrap_or(host).into(), port })
    }
}

impl Default for ListenAddress {
    fn default() -> Self {
        Self { host: "127.0.0.1".into(), port: 8080 }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl ToSocketAddrs for ListenAddress {
    type Iter = std::vec::IntoIter<SocketAddr>;

    fn to_socket_addrs(&self) -> std::io::Result<Self::Iter> {
        (self.host.as_str(), self.port).to_socket_addrs()
    }
}

/// A site whose pages may connect, as a browser names it: `https://chat.example.com`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(String);

impl Origin {
    /// Reads a scheme and a host, without a path.
    pub fn parse(text: &str) -> Option<Self> {
        let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"))?;
        let of_a_host = |b: u8| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b);
        let fits = !host.is_empty() && host.bytes().all(of_a_host) && Origins::list([text]).is_ok();
        fits.then(|| Self(text.into()))
    }
}

impl AsRef<str> for Origin {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// The certificate of a relay that speaks TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Certificate {
    /// From PEM files.
    Files {
        /// The certificate, with its chain.
        chain: PathBuf,
        /// Its key.
        key: PathBuf,
    },
    /// Made at the start.
    SelfSigned,
}

/// Where messages and accounts are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Storage {
    /// Nothing is kept when the relay stops.
    Memory,
    /// In a folder.
    Folder {
        /// The folder, which is made if it is not there.
        path: PathBuf,
        /// Bytes that it may take.
        bytes_max: Option<NonZeroU64>,
    },
}

/// Who may come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    /// Everybody, under any free name.
    Open,
    /// Who has an account here.
    Accounts(Registration),
    /// Who has a token that another program has signed.
    Jwt(Jwt),
}

/// How tokens are judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jwt {
    /// The key, which says the algorithm too.
    pub key: JwtKey,
    /// The issuer that tokens must name.
    pub issuer: Option<String>,
    /// The audience that tokens must name.
    pub audience: Option<String>,
}

/// The file with the key that tokens are checked with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JwtKey {
    /// A secret, for HS256.
    Secret(PathBuf),
    /// A public key in PEM, for Ed25519.
    PublicKey(PathBuf),
}

/// A choice of a few words.
pub(super) trait Word: Copy + PartialEq + 'static {
    const WORDS: &'static [(&'static str, Self)];

    fn parse(text: &str) -> Option<Self> {
        Self::WORDS.iter().find(|(word, _)| *word == text).map(|(_, value)| *value)
    }

    fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, value)| *value == self).map_or("", |(word, _)| word)
    }

    /// All words, for a text.
    fn all() -> String {
        Self::WORDS.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ")
    }
}

/// Who may make an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registration {
    /// Everybody.
    Open,
    /// Who was invited.
    Invitation,
    /// Nobody any more.
    Off,
}

impl Word for Registration {
    const WORDS: &'static [(&'static str, Self)] =
        &[("open", Self::Open), ("invitation", Self::Invitation), ("off", Self::Off)];
}

/// The word of `auth` alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AuthWord {
    Open,
    Accounts,
    Jwt,
}

impl Word for AuthWord {
    const WORDS: &'static [(&'static str, Self)] =
        &[("open", Self::Open), ("accounts", Self::Accounts), ("jwt", Self::Jwt)];
}

/// What is logged: this, and what is worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names are the meaning")]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
}

impl Word for LogLevel {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("error", Self::Error),
        ("warn", Self::Warn),
        ("info", Self::Info),
        ("debug", Self::Debug),
    ];
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For a person.
    Text,
    /// For a program: one JSON object a line.
    Json,
}

impl Word for LogFormat {
    const WORDS: &'static [(&'static str, Self)] = &[("text", Self::Text), ("json", Self::Json)];
}

/// Reads bytes: a number from 1, and `K`, `M`, `G` or `T` for 1024 and its powers; `iB` may follow, or `B`.
pub(super) fn size(text: &str) -> Option<NonZeroU64> {
    let digits_end = text.find(|it: char| !it.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(digits_end);
    let shift = match unit.to_ascii_uppercase().as_str() {
        "" | "B" => 0,
        "K" | "KB" | "KIB" => 10,
        "M" | "MB" | "MIB" => 20,
        "G" | "GB" | "GIB" => 30,
        "T" | "TB" | "TIB" => 40,
        _ => return None,
    };
    let bytes = digits.parse::<u64>().ok()?.checked_mul(1 << shift)?;
    NonZeroU64::new(bytes)
}

/// Bytes in the form that [`size`] reads, in the greatest unit that is exact.
pub(super) fn written_size(bytes: NonZeroU64) -> String {
    let bytes = bytes.get();
    let unit = [(40, "T"), (30, "G"), (20, "M"), (10, "K")];
    let fits = unit.into_iter().find(|(shift, _)| bytes.is_multiple_of(1 << shift));
    fits.map_or_else(|| bytes.to_string(), |(shift, unit)| format!("{}{unit}", bytes >> shift))
}

//! What can go wrong with TLS, in words that say what to do.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use rustls::pki_types::{ServerName, UnixTime};
use rustls::{AlertDescription, CertificateError, Error};

/// What went wrong with TLS.
#[derive(Debug)]
#[non_exhaustive]
pub enum TlsError {
    /// A file with certificates or a key cannot be used.
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The operating system has no certificates that are trusted.
    NoRoots(String),
    /// The host of a URL is no name that a certificate could have.
    Name(String),
    /// The peer's certificate is not trusted.
    Certificate(CertificateProblem),
    /// The peer has refused us, with this alert (RFC 8446 section 6.2).
    Alert(String),
    /// The peer does not speak TLS as it should.
    Protocol(String),
    /// As much was encrypted with one key as is safe.
    Exhausted,
    /// The connection has failed before.
    Refused,
}

/// Why a certificate is not trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CertificateProblem {
    /// It was valid until a time that is over, in seconds since 1970.
    Expired(Option<u64>),
    /// It is valid from a time that is still to come, in seconds since 1970.
    NotYetValid(Option<u64>),
    /// It is for other names.
    WrongName {
        /// The name that was asked for.
        wanted: String,
        /// The names that it is for.
        presented: Vec<String>,
    },
    /// Nobody who is trusted has signed it.
    UnknownIssuer,
    /// It was revoked.
    Revoked,
    /// It is not made for this use: one for a server is shown by a client, or the other way round.
    WrongPurpose,
    /// None was shown, and one is required.
    Missing,
    /// Anything else.
    Other(String),
}

impl TlsError {
    pub(crate) fn file(path: &Path, reason: impl fmt::Display) -> Self {
        Self::File { path: path.to_owned(), reason: reason.to_string() }
    }
}

impl From<Error> for TlsError {
    fn from(error: Error) -> Self {
        match error {
            Error::InvalidCertificate(error) => Self::Certificate(error.into()),
            Error::NoCertificatesPresented => Self::Certificate(CertificateProblem::Missing),
            Error::AlertReceived(alert) => Self::Alert(describe(alert)),
            error => Self::Protocol(error.to_string()),
        }
    }
}

impl From<CertificateError> for CertificateProblem {
    fn from(error: CertificateError) -> Self {
        let seconds = |time: UnixTime| Some(time.as_secs());
        match error {
            CertificateError::Expired => Self::Expired(None),
            CertificateError::ExpiredContext { not_after, .. } => Self::Expired(seconds(not_after)),
            CertificateError::NotValidYet => Self::NotYetValid(None),
            CertificateError::NotValidYetContext { not_before, .. } => {
                Self::NotYetValid(seconds(not_before))
            }
            CertificateError::NotValidForName => {
                Self::WrongName { wanted: String::new(), presented: Vec::new() }
            }
            CertificateError::NotValidForNameContext { expected, presented } => {
                // rustls writes them as `DnsName("example.com")`.
                let plain = |name: &String| match name.split_once('"') {
                    Some((_, rest)) => rest.trim_end_matches(')').trim_end_matches('"').to_owned(),
                    None => name.clone(),
                };
                let presented = presented.iter().map(plain).collect();
                Self::WrongName { wanted: name(&expected), presented }
            }
            CertificateError::UnknownIssuer => Self::UnknownIssuer,
            CertificateError::Revoked => Self::Revoked,
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                Self::WrongPurpose
            }
            // A root of the same name has another key, or one of another kind.
            CertificateError::BadSignature
            | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
                Self::Other(
                    "it was not signed with the key of the issuer that is trusted under that name"
                        .into(),
                )
            }
            // webpki's own error, which rustls hands on without a name.
            CertificateError::Other(error)
                if format!("{error:?}").contains("CaUsedAsEndEntity") =>
            {
                Self::Other(
                    "it is that of an authority, which a server may not show: make one with \
                     basicConstraints=CA:FALSE"
                        .into(),
                )
            }
            error => Self::Other(error.to_string()),
        }
    }
}

fn name(name: &ServerName<'_>) -> String {
    name.to_str().into_owned()
}

/// What an alert of the peer says of us.
fn describe(alert: AlertDescription) -> String {
    let means = match alert {
        AlertDescription::UnknownCA => "it does not trust who signed our certificate",
        AlertDescription::BadCertificate => "it cannot use our certificate",
        AlertDescription::CertificateExpired => "our certificate has expired",
        AlertDescription::CertificateRevoked => "our certificate was revoked",
        AlertDescription::CertificateUnknown => "it does not accept our certificate",
        AlertDescription::CertificateRequired => "it wants a certificate of ours",
        AlertDescription::NoApplicationProtocol => "it does not speak HTTP/1.1",
        AlertDescription::ProtocolVersion => "it speaks no version of TLS that we speak",
        AlertDescription::HandshakeFailure => "it has no cipher suite in common with us",
        AlertDescription::UnrecognisedName => "it has no such name",
        alert => return format!("{alert:?}"),
    };
    format!("{means} ({alert:?})")
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, reason } => write!(f, "{}: {reason}", path.display()),
            Self::NoRoots(reason) => write!(
                f,
                "no trusted certificates were found on this machine ({reason}): install them (on Debian: \
                 ca-certificates), or name those to trust"
            ),
            Self::Name(host) => write!(f, "{host} is no name that a certificate could be for"),
            Self::Certificate(problem) => problem.fmt(f),
            Self::Alert(alert) => write!(f, "the peer has refused the connection: {alert}"),
            Self::Protocol(error) => write!(f, "the peer does not speak TLS: {error}"),
            Self::Exhausted => write!(f, "the connection has encrypted as much as is safe"),
            Self::Refused => write!(f, "the connection has failed before"),
        }
    }
}

impl fmt::Display for CertificateProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired(at) => {
                write!(f, "the certificate has expired{}", ago(*at))?;
                write!(f, ": it has to be renewed, or the clock of this machine is wrong")
            }
            Self::NotYetValid(_) => write!(
                f,
                "the certificate is not valid yet: the clock of one of the machines is wrong"
            ),
            Self::WrongName { wanted, presented } if wanted.is_empty() => {
                write!(f, "the certificate is for another name: {}", presented.join(", "))
            }
            Self::WrongName { wanted, presented } => {
                write!(f, "the certificate is not for {wanted}, but for {}", presented.join(", "))
            }
            Self::UnknownIssuer => write!(
                f,
                "the certificate is signed by nobody who is trusted: trust its issuer, or have the server send the \
                 whole chain"
            ),
            Self::Revoked => write!(f, "the certificate was revoked"),
            Self::WrongPurpose => write!(f, "the certificate is not made for this use"),
            Self::Missing => write!(f, "the client has shown no certificate"),
            Self::Other(error) => write!(f, "the certificate cannot be trusted: {error}"),
        }
    }
}

/// How long ago a time is, in days.
fn ago(at: Option<u64>) -> String {
    match at {
        Some(at) => {
            let seconds = UnixTime::now().as_secs().saturating_sub(at);
            format!(" {} days ago", seconds / 86_400)
        }
        None => String::new(),
    }
}

impl std::error::Error for TlsError {}

impl From<TlsError> for io::Error {
    fn from(error: TlsError) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}

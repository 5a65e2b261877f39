//! What can go wrong for a client.

use std::fmt;
use std::io::{self, ErrorKind};

use crate::error::{SendError, Violation};
use crate::handshake::{AnswerError, UrlError};
#[cfg(feature = "tls")]
use crate::tls::TlsError;

/// What can go wrong for a client.
#[derive(Debug)]
#[non_exhaustive]
pub enum ClientError {
    /// The URL is not one of a WebSocket server.
    Url(UrlError),
    /// The server did not answer as a WebSocket server does.
    Answer(AnswerError),
    /// The server broke the protocol; it was told so.
    Violation(Violation),
    /// The call was wrong.
    Send(SendError),
    /// The stream failed, or ended without a close frame.
    Io(io::Error),
    /// The time was over.
    TimedOut,
    /// The server did not answer a ping within [`pong_within`](crate::Limits::pong_within), or a close frame within
    /// [`close_within`](crate::Limits::close_within): it is gone.
    PeerSilent,
    /// The server is not trusted, does not trust us, or does not speak TLS.
    #[cfg(feature = "tls")]
    Tls(TlsError),
    /// A `wss://` URL: this build has no TLS.
    NoTls,
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(error) => error.fmt(f),
            Self::Answer(error) => error.fmt(f),
            Self::Violation(violation) => violation.fmt(f),
            Self::Send(error) => error.fmt(f),
            Self::Io(error) if error.kind() == ErrorKind::UnexpectedEof => {
                write!(f, "the server ended the stream without a close frame")
            }
            Self::Io(error) => error.fmt(f),
            Self::TimedOut => write!(f, "the time is over: the server said or took nothing"),
            Self::PeerSilent => write!(f, "the server does not answer any more"),
            #[cfg(feature = "tls")]
            Self::Tls(error) => error.fmt(f),
            Self::NoTls => write!(f, "wss:// needs TLS: build with the feature tls, or use ws://"),
        }
    }
}

impl std::error::Error for ClientError {}

impl From<UrlError> for ClientError {
    fn from(error: UrlError) -> Self {
        Self::Url(error)
    }
}

impl From<AnswerError> for ClientError {
    fn from(error: AnswerError) -> Self {
        Self::Answer(error)
    }
}

impl From<Violation> for ClientError {
    fn from(violation: Violation) -> Self {
        Self::Violation(violation)
    }
}

impl From<SendError> for ClientError {
    fn from(error: SendError) -> Self {
        Self::Send(error)
    }
}

#[cfg(feature = "tls")]
impl From<TlsError> for ClientError {
    fn from(error: TlsError) -> Self {
        Self::Tls(error)
    }
}

impl From<io::Error> for ClientError {
    fn from(error: io::Error) -> Self {
        #[cfg(feature = "tls")]
        let error = match error.downcast::<TlsError>() {
            Ok(error) => return Self::Tls(error),
            Err(error) => error,
        };
        Self::Io(error)
    }
}

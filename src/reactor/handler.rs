//! What an application is to the loop: [`Handler`], and why a connection ended: [`Closed`].

use std::fmt;
use std::io;
use std::net::SocketAddr;

use super::context::Context;
use super::stream::Answer;
use crate::close::CloseCode;
use crate::connection::{Message, Part};
use crate::error::Violation;
use crate::handshake::{
    Accept, AcceptError, Agreed, AnswerError, HttpRequest, Refusal, Request, Response,
};

/// An application: what happens when a connection opens, says something, and ends.
///
/// All methods are called on the thread of the loop, one at a time; they must not block. Only
/// [`on_message`](Self::on_message) is required:
///
/// ```
/// use tautline::{Message, reactor::{Context, Handler}};
///
/// struct Echo;
///
/// impl Handler for Echo {
///     type Session = ();
///
///     fn on_message(&mut self, cx: &mut Context<'_, ()>, message: Message<'_>) {
///         cx.send(message);
///     }
/// }
/// ```
pub trait Handler: Sized {
    /// What the application keeps for each connection.
    type Session: Default;

    /// A request that asks for no upgrade, so that one port can serve a page too. It may have any method. Its
    /// [body](HttpRequest::body) is whole: it came within [`handshake_within`](crate::Limits::handshake_within), and
    /// has no more than [`request_body_bytes_max`](crate::Limits::request_body_bytes_max). Default: 426.
    ///
    /// ```
    /// use tautline::handshake::{HttpRequest, Response, Status};
    ///
    /// fn page(request: &HttpRequest<'_>) -> Response {
    ///     match (request.method(), request.path()) {
    ///         ("GET" | "HEAD", "/") => Response::new(Status::OK).text("<h1>hello</h1>"),
    ///         ("POST", "/") => Response::new(Status::OK).body(request.body().to_ascii_uppercase()),
    ///         ("GET" | "HEAD", _) => Response::new(Status::NOT_FOUND),
    ///         _ => Response::new(Status::METHOD_NOT_ALLOWED),
    ///     }
    /// }
    /// ```
    ///
    /// Such a [`Response`] is the answer, or the first of a [stream](Answer::Stream), which goes on for as long as it
    /// takes. Only on a stream more is to come for this connection, so that only then its id is worth keeping. Other
    /// connections can be reached from here; this one takes nothing before the answer.
    fn on_request(
        &mut self,
        cx: &mut Context<'_, Self::Session>,
        request: &HttpRequest<'_>,
        peer: SocketAddr,
    ) -> Answer {
        let _ = (cx, request, peer);
        Refusal::Protocol.response().into()
    }

    /// A valid opening request, whose origin is allowed. Default: accepts it, without a subprotocol, and compressed
    /// where the reactor has a setting for it.
    ///
    /// # Errors
    ///
    /// With the response that refuses it.
    fn on_upgrade(
        &mut self,
        request: &Request<'_>,
        peer: SocketAddr,
        session: &mut Self::Session,
    ) -> Result<Accept, Response> {
        let _ = (request, peer, session);
        Ok(Accept::new())
    }

    /// What [`on_upgrade`](Self::on_upgrade) answered cannot be sent, so that the client got 500 instead.
    fn on_accept_error(&mut self, error: &AcceptError) {
        let _ = error;
    }

    /// What came of a connection's opening handshake: subprotocol and compression. [`on_open`](Self::on_open) is called
    /// next.
    fn on_agreed(&mut self, cx: &mut Context<'_, Self::Session>, agreed: &Agreed) {
        let _ = (cx, agreed);
    }

    /// A connection is open, one that was accepted or one that was made; [`Context::role`] tells which.
    fn on_open(&mut self, cx: &mut Context<'_, Self::Session>) {
        let _ = cx;
    }

    /// A whole message. It borrows the loop's receive buffer: copy what is to be kept.
    ///
    /// After [`Context::close`], messages still come until the peer has answered.
    fn on_message(&mut self, cx: &mut Context<'_, Self::Session>, message: Message<'_>);

    /// A part of a message, on a connection that was told so by [`Context::set_delivery`].
    fn on_part(&mut self, cx: &mut Context<'_, Self::Session>, part: Part<'_>) {
        let _ = (cx, part);
    }

    /// A pong. The pings of the loop itself carry nothing.
    fn on_pong(&mut self, cx: &mut Context<'_, Self::Session>, payload: &[u8]) {
        let _ = (cx, payload);
    }

    /// All that was [`Queued`](super::SendStatus::Queued) is written: there is room again.
    fn on_drain(&mut self, cx: &mut Context<'_, Self::Session>) {
        let _ = cx;
    }

    /// A connection ended; called exactly once for each that was opened, for each that was to be made and was not, and
    /// for each that was answered by a [stream](Answer::Stream), but for no other answer. Nothing can be sent on it any
    /// more.
    fn on_close(&mut self, cx: &mut Context<'_, Self::Session>, closed: &Closed) {
        let _ = (cx, closed);
    }
}

/// Why a connection ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum Closed {
    /// A close frame went each way. This is what the peer's said. Or an answer that is a [stream](Answer::Stream) was
    /// finished and written; there is no code then.
    Agreed {
        /// The peer's code; `None` where its frame was empty.
        code: Option<CloseCode>,
        /// The peer's reason.
        reason: String,
    },
    /// The peer broke a rule, and was told so with [`Violation::close_code`].
    Violation(Violation),
    /// The peer did not answer a ping within [`pong_within`](crate::Limits::pong_within).
    Silent,
    /// The peer did not answer a close frame within [`close_within`](crate::Limits::close_within).
    Unanswered,
    /// The peer does not read: more than [`outbox_bytes_max`](crate::Limits::outbox_bytes_max) waited for it, or it
    /// took nothing of a [stream](Answer::Stream) for [`pong_within`](crate::Limits::pong_within).
    NotReading,
    /// All connections together held more than [`held_bytes_max`](crate::Limits::held_bytes_max), and this one was
    /// among those that held the most.
    Overload,
    /// The stream ended or failed without a close frame, or before an answer was finished, or the server that was to be
    /// reached did not answer in time. Where TLS has failed, the error is a [`TlsError`](crate::tls::TlsError), inside.
    Lost(io::Error),
    /// A connection that was to be made: the server did not answer as it should.
    Refused(AnswerError),
}

impl Closed {
    /// The code as RFC 6455 section 7.1.5 defines it, with 1005 for a close frame without one and 1006 for none.
    pub fn code(&self) -> u16 {
        match self {
            Self::Agreed { code, .. } => code.map_or(1005, CloseCode::get),
            Self::Violation(_)
            | Self::Silent
            | Self::Unanswered
            | Self::NotReading
            | Self::Overload
            | Self::Lost(_)
            | Self::Refused(_) => 1006,
        }
    }
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Agreed { code: None, .. } => write!(f, "closed without a code"),
            Self::Agreed { code: Some(code), reason } if reason.is_empty() => {
                write!(f, "closed with {code}")
            }
            Self::Agreed { code: Some(code), reason } => write!(f, "closed with {code}: {reason}"),
            Self::Violation(violation) => violation.fmt(f),
            Self::Silent => write!(f, "the peer did not answer a ping in time"),
            Self::Unanswered => write!(f, "the peer did not answer a close frame in time"),
            Self::NotReading => write!(f, "the peer does not read what it is sent"),
            Self::Overload => {
                write!(f, "all connections together hold too much, this one a good part of it")
            }
            Self::Lost(error) => write!(f, "the connection was lost: {error}"),
            Self::Refused(error) => error.fmt(f),
        }
    }
}

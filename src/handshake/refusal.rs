//! Why a server refuses a request, and what it answers: the one table from reasons to statuses.

use std::fmt;

use super::head::HeadError;
use super::response::{Response, Status};

/// Why a request is refused.
///
/// For counting and for logs; the peer gets [`response`](Self::response), after which the connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// Lines, lengths and first bytes: 400, 414 or 431.
    Head(HeadError),
    /// A request line that is not one: 400.
    RequestLine,
    /// A field line that is not one: 400.
    FieldLine,
    /// Another version than HTTP/1.1: 505.
    HttpVersion,
    /// A target that is not in origin-form or absolute-form, or not legal: 400.
    Target,
    /// The named field stands twice, where only one may be: 400.
    Repeated(&'static str),
    /// No `Host`: 400.
    HostMissing,
    /// A `Host` that is not a host, with a port or without: 400.
    HostInvalid,
    /// An upgrade with another method than `GET`: 405.
    Method,
    /// An upgrade to something that is not WebSocket: 426.
    Protocol,
    /// A version of WebSocket that is not 13, or none: 426.
    WebSocketVersion,
    /// No `Sec-WebSocket-Key`, or one that does not stand for 16 bytes: 400.
    Key,
    /// An `Origin` that is not an origin: 403.
    OriginInvalid,
    /// Two `Origin` fields: 403.
    OriginRepeated,
    /// An `Origin` that the policy does not allow: 403.
    OriginNotAllowed,
    /// An upgrade with a body: 400.
    Body,
    /// A `Content-Length` that is not one number: 400.
    ContentLength,
    /// `Content-Length` and `Transfer-Encoding` both, or a `Transfer-Encoding` that does not end with `chunked`: 400.
    Framing,
    /// A body in chunks, whose length is not told beforehand: 411.
    Chunked,
    /// A body with another transfer coding than chunks: 501.
    TransferCoding,
    /// A body of more than [`request_body_bytes_max`](crate::Limits::request_body_bytes_max): 413.
    BodyTooLong,
    /// An upgrade with `Expect`: 417.
    Expectation,
    /// `Sec-WebSocket-Protocol` is not a list of tokens, each once: 400.
    Subprotocols,
    /// More subprotocols than [`list_members_max`](crate::Limits::list_members_max): 400.
    TooManySubprotocols,
    /// `Sec-WebSocket-Extensions` does not follow the grammar: 400.
    Extensions,
    /// More extensions than [`list_members_max`](crate::Limits::list_members_max): 400.
    TooManyExtensions,
    /// Bytes after the request and before our answer: 400. Told by whoever reads the socket.
    EarlyBytes,
    /// Plain HTTP, where TLS is spoken: 400. Told by whoever reads the socket.
    PlainHttp,
    /// The request was not whole in time: 408. Told by whoever has the clock.
    Timeout,
    /// Too many connections, or too many in their handshake: 503. Told by whoever counts them.
    Overload,
}

impl Refusal {
    /// The status that answers this refusal.
    pub const fn status(self) -> Status {
        match self {
            Self::Head(error) => match error {
                HeadError::StartLineTooLong => Status::URI_TOO_LONG,
                HeadError::HeadTooLong | HeadError::FieldLineTooLong | HeadError::TooManyFields => {
                    Status::FIELDS_TOO_LARGE
                }
                HeadError::BareCr
                | HeadError::BareLf
                | HeadError::EmptyFirstLine
                | HeadError::Tls
                | HeadError::Http2
                | HeadError::NotHttp => Status::BAD_REQUEST,
            },
            Self::RequestLine
            | Self::FieldLine
            | Self::Target
            | Self::Repeated(_)
            | Self::HostMissing
            | Self::HostInvalid
            | Self::Key
            | Self::Body
            | Self::ContentLength
            | Self::Framing
            | Self::Subprotocols
            | Self::TooManySubprotocols
            | Self::Extensions
            | Self::TooManyExtensions
            | Self::EarlyBytes
            | Self::PlainHttp => Status::BAD_REQUEST,
            Self::OriginInvalid | Self::OriginRepeated | Self::OriginNotAllowed => {
                Status::FORBIDDEN
            }
            Self::Chunked => Status::LENGTH_REQUIRED,
            Self::BodyTooLong => Status::CONTENT_TOO_LARGE,
            Self::TransferCoding => Status::NOT_IMPLEMENTED,
            Self::Method => Status::METHOD_NOT_ALLOWED,
            Self::Timeout => Status::REQUEST_TIMEOUT,
            Self::Expectation => Status::EXPECTATION_FAILED,
            Self::Protocol | Self::WebSocketVersion => Status::UPGRADE_REQUIRED,
            Self::Overload => Status::SERVICE_UNAVAILABLE,
            Self::HttpVersion => Status::HTTP_VERSION_NOT_SUPPORTED,
        }
    }

    /// The answer to write: fixed text, which repeats nothing of the request.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.1
    //# the server MUST stop
    //# processing the client's handshake and return an HTTP response with an
    //# appropriate error code (such as 400 Bad Request).
    pub fn response(self) -> Response {
        let mut response = Response::new(self.status()).body(self.explanation().as_bytes());
        response.push_own("Content-Type", "text/plain");
        match self {
            Self::Method => response.push_own("Allow", "GET"),
            //= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
            //# If this
            //# version does not match a version understood by the server, the
            //# server MUST abort the WebSocket handshake described in this
            //# section and instead send an appropriate HTTP error code (such
            //# as 426 Upgrade Required)
            Self::WebSocketVersion => {
                //= https://www.rfc-editor.org/rfc/rfc6455#section-4.4
                //# If the server doesn't
                //# support the requested version, it MUST respond with a
                //# |Sec-WebSocket-Version| header field (or multiple
                //# |Sec-WebSocket-Version| header fields) containing all versions it is
                //# willing to use.
                response.push_own("Sec-WebSocket-Version", "13");
            }
            _ => {}
        }
        response
    }

    const fn explanation(self) -> &'static str {
        match self {
            Self::Head(error) => error.explanation(),
            Self::RequestLine => "the request line is not one",
            Self::FieldLine => "a header field is not one",
            Self::HttpVersion => "this server speaks HTTP/1.1",
            Self::Target => "the request target is not legal here",
            Self::Repeated(_) => "a header field stands twice",
            Self::HostMissing => "the Host field is missing",
            Self::HostInvalid => "the Host field is not legal",
            Self::Method => "a WebSocket is opened with GET",
            Self::Protocol => "this server upgrades to websocket only",
            Self::WebSocketVersion => "this server speaks WebSocket version 13",
            Self::Key => "Sec-WebSocket-Key is missing, or does not stand for 16 bytes",
            Self::OriginInvalid => "the Origin field is not legal",
            Self::OriginRepeated => "the Origin field stands twice",
            Self::OriginNotAllowed => "pages of this origin may not connect",
            Self::Body => "an upgrade has no body",
            Self::ContentLength => "Content-Length is not a number",
            Self::Framing => "Content-Length and Transfer-Encoding do not tell where the body ends",
            Self::Chunked => "a body here has a Content-Length",
            Self::TransferCoding => "this server knows no transfer coding of requests",
            Self::BodyTooLong => "the body is too long",
            Self::Expectation => "an upgrade has no expectation",
            Self::Subprotocols => "Sec-WebSocket-Protocol is not a list of different tokens",
            Self::TooManySubprotocols => "too many subprotocols",
            Self::Extensions => "Sec-WebSocket-Extensions does not follow the grammar",
            Self::TooManyExtensions => "too many extensions",
            Self::EarlyBytes => "bytes arrived before the handshake was answered",
            Self::PlainHttp => "TLS is spoken here: use wss:// or https://",
            Self::Timeout => "the request was not complete in time",
            Self::Overload => "too many connections at the moment",
        }
    }
}

impl From<HeadError> for Refusal {
    fn from(error: HeadError) -> Self {
        Self::Head(error)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.explanation())?;
        if let Self::Repeated(name) = self {
            write!(f, ": {name}")?;
        }
        write!(f, " (answered with {})", self.status())
    }
}

impl std::error::Error for Refusal {}

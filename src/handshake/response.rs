//! Answers that are not the 101: refusals, and what the application says to a plain request.

use std::borrow::Cow;
use std::fmt;

use super::extra::{ExtraFields, FieldError, write_field};

/// The status of an answer that ends a request: 200 to 599.
///
/// ```
/// use tautline::handshake::Status;
///
/// assert_eq!(Status::new(404), Some(Status::NOT_FOUND));
/// assert_eq!(Status::new(101), None); // an upgrade is accepted, not answered
/// assert_eq!(Status::NOT_FOUND.to_string(), "404 Not Found");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Status(u16);

impl Status {
    /// 200
    pub const OK: Self = Self(200);
    /// 204: the answer has no body.
    pub const NO_CONTENT: Self = Self(204);
    /// 301
    pub const MOVED_PERMANENTLY: Self = Self(301);
    /// 302
    pub const FOUND: Self = Self(302);
    /// 304: the answer has no body.
    pub const NOT_MODIFIED: Self = Self(304);
    /// 307
    pub const TEMPORARY_REDIRECT: Self = Self(307);
    /// 308
    pub const PERMANENT_REDIRECT: Self = Self(308);
    /// 400
    pub const BAD_REQUEST: Self = Self(400);
    /// 401
    pub const UNAUTHORIZED: Self = Self(401);
    /// 403
    pub const FORBIDDEN: Self = Self(403);
    /// 404
    pub const NOT_FOUND: Self = Self(404);
    /// 405
    pub const METHOD_NOT_ALLOWED: Self = Self(405);
    /// 408
    pub const REQUEST_TIMEOUT: Self = Self(408);
    /// 409
    pub const CONFLICT: Self = Self(409);
    /// 410
    pub const GONE: Self = Self(410);
    /// 411
    pub const LENGTH_REQUIRED: Self = Self(411);
    /// 413
    pub const CONTENT_TOO_LARGE: Self = Self(413);
    /// 414
    pub const URI_TOO_LONG: Self = Self(414);
    /// 417
    pub const EXPECTATION_FAILED: Self = Self(417);
    /// 426
    pub const UPGRADE_REQUIRED: Self = Self(426);
    /// 429
    pub const TOO_MANY_REQUESTS: Self = Self(429);
    /// 431
    pub const FIELDS_TOO_LARGE: Self = Self(431);
    /// 500
    pub const INTERNAL_SERVER_ERROR: Self = Self(500);
    /// 501
    pub const NOT_IMPLEMENTED: Self = Self(501);
    /// 503
    pub const SERVICE_UNAVAILABLE: Self = Self(503);
    /// 505
    pub const HTTP_VERSION_NOT_SUPPORTED: Self = Self(505);

    /// The status, if it ends a request.
    pub const fn new(status: u16) -> Option<Self> {
        match status {
            200..=599 => Some(Self(status)),
            0..=199 | 600.. => None,
        }
    }

    /// The number.
    pub const fn get(self) -> u16 {
        self.0
    }

    /// What stands after the number; empty for a status without a constant here.
    pub const fn reason(self) -> &'static str {
        match self.0 {
            200 => "OK",
            204 => "No Content",
            301 => "Moved Permanently",
            302 => "Found",
            304 => "Not Modified",
            307 => "Temporary Redirect",
            308 => "Permanent Redirect",
            400 => "Bad Request",
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "Not Found",
            405 => "Method Not Allowed",
            408 => "Request Timeout",
            409 => "Conflict",
            410 => "Gone",
            411 => "Length Required",
            413 => "Content Too Large",
            414 => "URI Too Long",
            417 => "Expectation Failed",
            426 => "Upgrade Required",
            429 => "Too Many Requests",
            431 => "Request Header Fields Too Large",
            500 => "Internal Server Error",
            501 => "Not Implemented",
            503 => "Service Unavailable",
            505 => "HTTP Version Not Supported",
            _ => "",
        }
    }
}

/// As in a status line: the number, a space, and the reason if there is one.
impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0, self.reason())
    }
}

/// An answer to a plain request, or to an upgrade that the application does not want.
///
/// It always closes the connection, and says so; the engine writes `Connection` and `Content-Length` itself.
///
/// ```
/// use tautline::handshake::{Response, Status};
///
/// let page = Response::new(Status::OK).field("Content-Type", "text/html")?.body(b"<h1>hi</h1>");
/// let mut out = Vec::new();
/// page.write(false, &mut out);
/// assert_eq!(
///     out,
///     b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 11\r\nContent-Type: text/html\r\n\r\n<h1>hi</h1>"
/// );
/// # Ok::<(), tautline::handshake::FieldError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    status: Status,
    fields: ExtraFields,
    body: Cow<'static, [u8]>,
}

impl Response {
    /// An answer without a body.
    pub const fn new(status: Status) -> Self {
        Self { status, fields: ExtraFields::new(), body: Cow::Borrowed(&[]) }
    }

    /// Adds a field, also called a header.
    ///
    /// # Errors
    ///
    /// When the name is no token, the value has a control character, or the field is the engine's to write.
    pub fn field(
        mut self,
        name: impl Into<Cow<'static, str>>,
        value: impl Into<Cow<'static, str>>,
    ) -> Result<Self, FieldError> {
        self.fields.push(name.into(), value.into())?;
        Ok(self)
    }

    /// Sets the body. Not sent with 204, 205 and 304, which have none.
    pub fn body(mut self, body: impl Into<Cow<'static, [u8]>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets the body to a text; `Content-Type` is up to you.
    pub fn text(self, text: impl Into<Cow<'static, str>>) -> Self {
        self.body(match text.into() {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        })
    }

    /// The status.
    pub fn status(&self) -> Status {
        self.status
    }

    /// Appends the answer to `out`; without its body where `head_only` says that the method was `HEAD`.
    pub fn write(&self, head_only: bool, out: &mut Vec<u8>) {
        let length = self.body.len().to_string();
        self.write_head(("Content-Length", length.as_bytes()), out);
        if self.has_body() && !head_only {
            out.extend_from_slice(&self.body);
        }
    }

    /// Whether its status allows for a body (RFC 9110 section 6.4.1).
    pub(crate) fn has_body(&self) -> bool {
        !matches!(self.status.0, 204 | 205 | 304)
    }

    /// Appends the head; `framing` is the field that tells where the body ends, which is left out where there is none.
    pub(crate) fn write_head(&self, framing: (&str, &[u8]), out: &mut Vec<u8>) {
        out.extend_from_slice(b"HTTP/1.1 ");
        out.extend_from_slice(self.status.to_string().as_bytes());
        // It says to what (RFC 9110 section 15.5.22), and who sends Upgrade says so in Connection (section 7.8).
        out.extend_from_slice(match self.status {
            Status::UPGRADE_REQUIRED => b"\r\nConnection: close, Upgrade\r\nUpgrade: websocket\r\n",
            _ => b"\r\nConnection: close\r\n".as_slice(),
        });
        if self.has_body() {
            write_field(framing.0, framing.1, out);
        } else if self.status.0 == 205 {
            // A client waits for content otherwise (RFC 9110 section 15.3.6).
            write_field("Content-Length", b"0", out);
        }
        self.fields.write(out);
        out.extend_from_slice(b"\r\n");
    }

    /// The body that was set.
    #[cfg(feature = "reactor")]
    pub(crate) fn body_bytes(&self) -> &[u8] {
        &self.body
    }

    pub(crate) fn push_own(&mut self, name: &'static str, value: &'static str) {
        self.fields.push_own(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_with_a_constant_has_its_reason_and_no_other_has_one() {
        let known: Vec<_> = (200..=599)
            .filter_map(Status::new)
            .filter(|status| !status.reason().is_empty())
            .map(|status| status.to_string())
            .collect();
        let expected = [
            "200 OK",
            "204 No Content",
            "301 Moved Permanently",
            "302 Found",
            "304 Not Modified",
            "307 Temporary Redirect",
            "308 Permanent Redirect",
            "400 Bad Request",
            "401 Unauthorized",
            "403 Forbidden",
            "404 Not Found",
            "405 Method Not Allowed",
            "408 Request Timeout",
            "409 Conflict",
            "410 Gone",
            "411 Length Required",
            "413 Content Too Large",
            "414 URI Too Long",
            "417 Expectation Failed",
            "426 Upgrade Required",
            "429 Too Many Requests",
            "431 Request Header Fields Too Large",
            "500 Internal Server Error",
            "501 Not Implemented",
            "503 Service Unavailable",
            "505 HTTP Version Not Supported",
        ];
        assert_eq!(known, expected);
    }
}

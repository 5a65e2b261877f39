//! Fields that the application adds to a request or an answer.
//!
//! A line break that gets into a field writes the rest of the head for an attacker (RFC 9112 section 11.1, undici's
//! CVE-2026-1527), so what is kept here was checked.

use std::borrow::Cow;
use std::fmt;

use super::fields::token;

/// Fields that frame the message or make the handshake: they are the engine's to write.
const RESERVED: [&str; 12] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "origin",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
];

/// Every field of the WebSocket handshake begins so.
const RESERVED_PREFIX: &str = "sec-websocket-";

/// Fields that may be written as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ExtraFields(Vec<(Cow<'static, str>, Cow<'static, str>)>);

impl ExtraFields {
    /// None, and nothing is allocated for it.
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds a field of the application.
    pub(crate) fn push(
        &mut self,
        name: Cow<'static, str>,
        value: Cow<'static, str>,
    ) -> Result<(), FieldError> {
        if token(name.as_bytes()).is_none() {
            return Err(FieldError::NameNotToken(name.into_owned()));
        }
        if is_reserved(&name) {
            return Err(FieldError::Reserved(name.into_owned()));
        }
        if value.bytes().any(|byte| byte != b'\t' && byte.is_ascii_control()) {
            return Err(FieldError::ControlInValue(name.into_owned()));
        }
        self.0.push((name, value));
        Ok(())
    }

    /// Adds a field of the engine.
    pub(crate) fn push_own(&mut self, name: &'static str, value: &'static str) {
        self.0.push((Cow::Borrowed(name), Cow::Borrowed(value)));
    }

    /// Appends the field lines.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        for (name, value) in &self.0 {
            write_field(name, value.as_bytes(), out);
        }
    }
}

/// Appends one field line.
pub(crate) fn write_field(name: &str, value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

fn is_reserved(name: &str) -> bool {
    let in_family = name
        .get(..RESERVED_PREFIX.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(RESERVED_PREFIX));
    in_family || RESERVED.iter().any(|reserved| name.eq_ignore_ascii_case(reserved))
}

/// A field of the application that may not be sent. Nothing was written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FieldError {
    /// The name is empty, or has a character that no field name has.
    NameNotToken(String),
    /// The value of the named field has a line break, a NUL or another control character.
    ControlInValue(String),
    /// The field is the engine's to write: `Connection`, `Content-Length`, `Expect`, `Host`, `HTTP2-Settings`,
    /// `Keep-Alive`, `Origin`, `Proxy-Connection`, `TE`, `Trailer`, `Transfer-Encoding`, `Upgrade`, and all that begin
    /// with `Sec-WebSocket-`.
    Reserved(String),
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NameNotToken(name) => {
                write!(f, "{name:?} is no field name: use letters, digits and hyphens")
            }
            Self::ControlInValue(name) => {
                write!(f, "the value of {name} has a line break or another control character")
            }
            Self::Reserved(name) => {
                write!(f, "{name} is written by the handshake itself and cannot be added")
            }
        }
    }
}

impl std::error::Error for FieldError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(name: &str, value: &str) -> Result<(), FieldError> {
        ExtraFields::new().push(name.to_owned().into(), value.to_owned().into())
    }

    #[test]
    fn a_line_break_or_a_nul_in_an_added_field_is_an_error_to_the_application() {
        for value in ["a\r\nSet-Cookie: b", "a\r", "a\n", "\0", "\u{7f}", "\u{1b}[0m"] {
            assert_eq!(push("X-A", value), Err(FieldError::ControlInValue("X-A".into())));
        }
        for name in ["", "X A", "X:A", "X\r\nA", "X-A\0", "X-Ä", " X-A", "X-A "] {
            assert_eq!(push(name, "a"), Err(FieldError::NameNotToken(name.into())));
        }
    }

    #[test]
    fn a_field_that_is_ours_cannot_be_added_in_any_case() {
        for name in RESERVED.into_iter().chain(["sec-websocket-accept", "sec-websocket-new"]) {
            for name in [name.to_owned(), name.to_uppercase()] {
                assert_eq!(push(&name, "a"), Err(FieldError::Reserved(name.clone())));
            }
        }
    }

    #[test]
    fn other_fields_are_written_as_they_are() {
        let mut fields = ExtraFields::new();
        for (name, value) in [("Set-Cookie", "a=b; Path=/"), ("set-cookie", "c\td"), ("X", "")] {
            fields.push(name.into(), value.into()).expect("a legal field");
        }
        let mut out = Vec::new();
        fields.write(&mut out);
        assert_eq!(out, b"Set-Cookie: a=b; Path=/\r\nset-cookie: c\td\r\nX: \r\n");
    }
}

//! The body of a close frame (RFC 6455 section 5.5.1).

use crate::close::{Close, CloseCode};
use crate::error::Violation;

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1
//# If there is a body, the first two bytes of
//# the body MUST be a 2-byte unsigned integer (in network byte order)
//# representing a status code with value /code/ defined in Section 7.4.
pub(super) fn parse_close(body: &[u8]) -> Result<Close<'_>, Violation> {
    let Some((&code, reason)) = body.split_first_chunk::<2>() else {
        return if body.is_empty() {
            Ok(Close::default())
        } else {
            Err(Violation::CloseBodyOfOneByte)
        };
    };
    let code = parse_code(code)?;
    let reason = simdutf8::basic::from_utf8(reason).map_err(|_| Violation::InvalidUtf8)?;
    Ok(Close { code: Some(code), reason })
}

/// The start of the body of a close frame: whether it can still become a legal one.
pub(super) fn check_close(start: &[u8]) -> Result<(), Violation> {
    let Some((&code, reason)) = start.split_first_chunk::<2>() else { return Ok(()) };
    parse_code(code)?;
    match str::from_utf8(reason) {
        Err(error) if error.error_len().is_some() => Err(Violation::InvalidUtf8),
        Ok(_) | Err(_) => Ok(()),
    }
}

fn parse_code(bytes: [u8; 2]) -> Result<CloseCode, Violation> {
    let code = u16::from_be_bytes(bytes);
    CloseCode::new(code).ok_or(Violation::CloseCodeNotAllowed(code))
}

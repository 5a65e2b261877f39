//! The end of a head, in a buffer that grows (RFC 9112 sections 2 and 3).
//!
//! The scan knows lines and limits and nothing of what the lines say. It is what makes a slow or an endless head cheap:
//! it resumes where it stopped, and refuses at the first byte that is one too many.

use std::fmt;

use crate::limits::Limits;

use super::fields::is_tchar;
use super::find::find;

/// A head has at most so many fields, whatever the limits say: they are parsed into a fixed array.
pub(crate) const FIELDS_MAX: usize = 128;

/// How a client with prior knowledge of HTTP/2 begins (RFC 9113 section 3.4). The method is registered for nothing
/// else.
const HTTP2_PREFACE: &[u8] = b"PRI ";

/// How every answer begins.
const ANSWER_OPENING: &[u8] = b"HTTP/";

/// Bytes at the start of a head that are looked at one by one.
const OPENING_BYTES: usize = 5;

/// Finds the end of a request's or an answer's head, and enforces the limits on the way.
///
/// Give it the whole buffer each time; it looks at no byte twice. Its first result, an end or an error, is also that of
/// every later call.
///
/// ```
/// use tautline::Limits;
/// use tautline::handshake::{HeadError, HeadScanner};
///
/// let limits = Limits::default();
/// let mut scanner = HeadScanner::request();
/// assert_eq!(scanner.scan(b"GET / HTTP/1.1\r\nHost: a\r", &limits), Ok(None));
/// assert_eq!(scanner.scan(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nmore", &limits), Ok(Some(27)));
///
/// let tls_hello = [0x16, 0x03, 0x01];
/// assert_eq!(HeadScanner::request().scan(&tls_hello, &limits), Err(HeadError::Tls));
/// ```
#[derive(Clone, Debug)]
pub struct HeadScanner {
    kind: Kind,
    state: State,
    /// Bytes at the start that are those of an HTTP/2 preface.
    preface_bytes: u8,
    fields: u8,
    scanned: usize,
    line_start: usize,
}

/// Whose head it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Request,
    Answer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    InLine,
    AfterCr,
    Ended,
    Refused(HeadError),
}

impl HeadScanner {
    /// A scanner for the head of a request.
    pub const fn request() -> Self {
        Self::new(Kind::Request)
    }

    /// A scanner for the head of an answer.
    pub const fn answer() -> Self {
        Self::new(Kind::Answer)
    }

    const fn new(kind: Kind) -> Self {
        Self { kind, state: State::InLine, preface_bytes: 0, fields: 0, scanned: 0, line_start: 0 }
    }

    /// The length of the head with its empty line, or `None` while that line is still to come.
    ///
    /// `buffered` is all that arrived so far, from the first byte of the head; what follows the head is not looked at.
    ///
    /// # Errors
    ///
    /// As soon as no further bytes could make the head acceptable, see [`HeadError`].
    pub fn scan(&mut self, buffered: &[u8], limits: &Limits) -> Result<Option<usize>, HeadError> {
        self.scan_within(buffered, limits, limits.head_bytes_max)
    }

    /// The same, with another limit on the whole head.
    pub(crate) fn scan_within(
        &mut self,
        buffered: &[u8],
        limits: &Limits,
        head_bytes_max: usize,
    ) -> Result<Option<usize>, HeadError> {
        match self.state {
            State::Ended => return Ok(Some(self.scanned)),
            State::Refused(error) => return Err(error),
            State::InLine | State::AfterCr => {}
        }
        let window = buffered.get(..head_bytes_max).unwrap_or(buffered);
        let result = match self.advance(window, limits) {
            Ok(false) if window.len() >= head_bytes_max => Err(HeadError::HeadTooLong),
            other => other,
        };
        match result {
            Ok(false) => Ok(None),
            Ok(true) => {
                self.state = State::Ended;
                Ok(Some(self.scanned))
            }
            Err(error) => {
                self.state = State::Refused(error);
                Err(error)
            }
        }
    }

    /// Goes on to the end of the window; whether the head ended in it.
    fn advance(&mut self, window: &[u8], limits: &Limits) -> Result<bool, HeadError> {
        while let Some(rest @ [first, ..]) = window.get(self.scanned..) {
            let piece = if self.scanned < OPENING_BYTES {
                self.check_opening(*first)?;
                std::slice::from_ref(first)
            } else {
                rest
            };
            if self.step(piece, limits)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Takes a line's bytes up to its end, or the one byte that ends it.
    fn step(&mut self, piece: &[u8], limits: &Limits) -> Result<bool, HeadError> {
        if self.state == State::AfterCr {
            if piece.first() != Some(&b'\n') {
                return Err(HeadError::BareCr);
            }
            self.scanned += 1;
            return self.end_line(limits);
        }
        let content = find(piece, [b'\r', b'\n']).unwrap_or(piece.len());
        self.scanned += content;
        self.check_line_length(limits)?;
        match piece.get(content) {
            None => Ok(false),
            Some(b'\r') if self.scanned == 0 => Err(HeadError::EmptyFirstLine),
            Some(b'\r') => {
                self.scanned += 1;
                self.state = State::AfterCr;
                Ok(false)
            }
            Some(_) => Err(HeadError::BareLf),
        }
    }

    fn end_line(&mut self, limits: &Limits) -> Result<bool, HeadError> {
        let empty = self.scanned - self.line_start == 2;
        if empty {
            return Ok(true);
        }
        if self.line_start > 0 {
            if usize::from(self.fields) >= limits.fields_max.min(FIELDS_MAX) {
                return Err(HeadError::TooManyFields);
            }
            self.fields += 1;
        }
        self.line_start = self.scanned;
        self.state = State::InLine;
        Ok(false)
    }

    fn check_line_length(&self, limits: &Limits) -> Result<(), HeadError> {
        let bytes = self.scanned - self.line_start;
        if self.line_start == 0 && bytes > limits.request_line_bytes_max {
            return Err(HeadError::StartLineTooLong);
        }
        if self.line_start > 0 && bytes > limits.field_line_bytes_max {
            return Err(HeadError::FieldLineTooLong);
        }
        Ok(())
    }

    /// Tells another protocol by its first bytes.
    fn check_opening(&mut self, byte: u8) -> Result<(), HeadError> {
        match (self.scanned, byte) {
            (0, b'\r' | b'\n') => return Ok(()),
            (0, 0x15 | 0x16) => return Err(HeadError::Tls),
            _ => {}
        }
        match self.kind {
            Kind::Request if self.scanned == 0 && !is_tchar(byte) => Err(HeadError::NotHttp),
            Kind::Request => self.check_preface(byte),
            Kind::Answer if ANSWER_OPENING.get(self.scanned) != Some(&byte) => {
                Err(HeadError::NotHttp)
            }
            Kind::Answer => Ok(()),
        }
    }

    fn check_preface(&mut self, byte: u8) -> Result<(), HeadError> {
        let matched = usize::from(self.preface_bytes);
        if self.scanned == matched && HTTP2_PREFACE.get(matched) == Some(&byte) {
            self.preface_bytes += 1;
            if matched + 1 == HTTP2_PREFACE.len() {
                return Err(HeadError::Http2);
            }
        }
        Ok(())
    }
}

/// Why a head is refused before it is parsed.
///
/// A server answers as [`Refusal::status`](super::Refusal::status) says; a client gives up the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HeadError {
    /// More bytes than [`head_bytes_max`](Limits::head_bytes_max): 431.
    HeadTooLong,
    /// A first line over [`request_line_bytes_max`](Limits::request_line_bytes_max): 414.
    StartLineTooLong,
    /// A field line over [`field_line_bytes_max`](Limits::field_line_bytes_max): 431.
    FieldLineTooLong,
    /// More fields than [`fields_max`](Limits::fields_max), or than 128: 431.
    TooManyFields,
    /// A carriage return that no line feed follows: 400.
    BareCr,
    /// A line feed without a carriage return: 400.
    BareLf,
    /// An empty line before the first line: 400.
    EmptyFirstLine,
    /// TLS, where plain HTTP is spoken: 400.
    Tls,
    /// The preface of HTTP/2: 400.
    Http2,
    /// First bytes that no HTTP begins with: 400.
    NotHttp,
}

impl HeadError {
    /// What is wrong, in fixed text.
    pub const fn explanation(self) -> &'static str {
        match self {
            Self::HeadTooLong => "the head is too long",
            Self::StartLineTooLong => "the first line is too long",
            Self::FieldLineTooLong => "a header field is too long",
            Self::TooManyFields => "too many header fields",
            Self::BareCr => "a carriage return without a line feed",
            Self::BareLf => "a line feed without a carriage return",
            Self::EmptyFirstLine => "an empty line before the first line",
            Self::Tls => "TLS, where plain HTTP is spoken",
            Self::Http2 => "HTTP/2, where HTTP/1.1 is spoken",
            Self::NotHttp => "these bytes are not HTTP",
        }
    }
}

impl fmt::Display for HeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.explanation())
    }
}

impl std::error::Error for HeadError {}

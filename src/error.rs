//! What can be wrong, by who is wrong: the peer ([`Violation`]) or the application ([`SendError`]).
//!
//! [`Violation::close_code`] is the one table from errors to close codes.

use std::fmt;

use crate::close::{CloseCode, REASON_BYTES_MAX};

/// The peer broke a rule of RFC 6455, or crossed a limit of this endpoint.
///
/// The connection is failed as RFC 6455 section 7.1.7 says: a close frame with [`close_code`](Self::close_code) is
/// written, nothing more is delivered, and every later call returns the same violation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Violation {
    /// An opcode that RFC 6455 reserves.
    ReservedOpcode(u8),
    /// A reserved bit is set, and no extension that gives it a meaning was agreed on.
    ReservedBits,
    /// A frame of a client that is not masked.
    Unmasked,
    /// A frame of a server that is masked.
    Masked,
    /// A control frame in fragments.
    FragmentedControl,
    /// A control frame with more than 125 bytes.
    LongControl,
    /// A length in more bytes than it needs.
    LengthNotMinimal,
    /// A length whose most significant bit is set.
    LengthOutOfRange,
    /// A continuation where no message is open.
    NothingToContinue,
    /// A new message where the last one is still open.
    MessageInterrupted,
    /// The body of a close frame is one byte, too short for a code.
    CloseBodyOfOneByte,
    /// A close frame with a code that must not stand in one.
    CloseCodeNotAllowed(u16),
    /// Text, or the reason of a close frame, that is not UTF-8.
    InvalidUtf8,
    /// A compressed message that is no DEFLATE stream, or ends inside a block.
    NotInflatable,
    /// More final blocks in one compressed message than anybody needs.
    TooManyFinalBlocks,
    /// More bytes in one message than [`message_bytes_max`](crate::Limits::message_bytes_max).
    MessageTooBig,
    /// More fragments in one message than [`fragments_max`](crate::Limits::fragments_max).
    TooManyFragments,
    /// More empty fragments in one message than [`empty_fragments_max`](crate::Limits::empty_fragments_max).
    TooManyEmptyFragments,
    /// More pings without reading their answers than
    /// [`unanswered_pings_max`](crate::Limits::unanswered_pings_max).
    TooManyPings,
}

impl Violation {
    /// The code of the close frame that answers this violation (RFC 6455 section 7.4.1).
    pub const fn close_code(self) -> CloseCode {
        match self {
            Self::ReservedOpcode(_)
            | Self::ReservedBits
            | Self::Unmasked
            | Self::Masked
            | Self::FragmentedControl
            | Self::LongControl
            | Self::LengthNotMinimal
            | Self::LengthOutOfRange
            | Self::NothingToContinue
            | Self::MessageInterrupted
            | Self::CloseBodyOfOneByte
            | Self::CloseCodeNotAllowed(_) => CloseCode::PROTOCOL_ERROR,
            Self::InvalidUtf8 | Self::NotInflatable => CloseCode::INVALID_PAYLOAD,
            Self::TooManyFragments
            | Self::TooManyEmptyFragments
            | Self::TooManyFinalBlocks
            | Self::TooManyPings => CloseCode::POLICY_VIOLATION,
            Self::MessageTooBig => CloseCode::TOO_BIG,
        }
    }

    /// The limit that was crossed, where it is no rule that was broken.
    const fn limit(self) -> Option<&'static str> {
        match self {
            Self::MessageTooBig => Some("Limits::message_bytes_max"),
            Self::TooManyFragments => Some("Limits::fragments_max"),
            Self::TooManyEmptyFragments => Some("Limits::empty_fragments_max"),
            Self::TooManyPings => Some("Limits::unanswered_pings_max"),
            Self::TooManyFinalBlocks => Some("a limit"),
            _ => None,
        }
    }

    /// The reason of the close frame: fixed text, at most 123 bytes, that repeats nothing of the input.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::ReservedOpcode(_) => "reserved opcode",
            Self::ReservedBits => "reserved bits set",
            Self::Unmasked => "frame of a client not masked",
            Self::Masked => "frame of a server masked",
            Self::FragmentedControl => "control frame in fragments",
            Self::LongControl => "control frame over 125 bytes",
            Self::LengthNotMinimal => "length not in its shortest form",
            Self::LengthOutOfRange => "length with its top bit set",
            Self::NothingToContinue => "continuation of no message",
            Self::MessageInterrupted => "new message inside an unfinished one",
            Self::CloseBodyOfOneByte => "close frame of one byte",
            Self::CloseCodeNotAllowed(_) => "close code not allowed in a frame",
            Self::InvalidUtf8 => "not UTF-8",
            Self::NotInflatable => "compressed data that does not inflate",
            Self::TooManyFinalBlocks => "too many final blocks in a compressed message",
            Self::MessageTooBig => "message over the size limit",
            Self::TooManyFragments => "too many fragments",
            Self::TooManyEmptyFragments => "too many empty fragments",
            Self::TooManyPings => "too many pings without reading",
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.limit() {
            None => write!(f, "the peer broke the protocol: {}", self.reason())?,
            Some(limit) => write!(f, "the peer crossed {limit}: {}", self.reason())?,
        }
        match self {
            Self::ReservedOpcode(opcode) => write!(f, " {opcode:#x}")?,
            Self::CloseCodeNotAllowed(code) => write!(f, ": {code}")?,
            _ => {}
        }
        write!(f, "; closed with {}", self.close_code())
    }
}

impl std::error::Error for Violation {}

/// The application asked for what the protocol does not allow. Nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SendError {
    /// A close frame was sent already; after it no message may follow.
    Closed,
    /// A ping or pong with more than 125 bytes.
    ControlTooLong(usize),
    /// A close reason with more than 123 bytes.
    ReasonTooLong(usize),
    /// A whole message, or a part of the other kind, while a message in parts is unfinished.
    PartsUnfinished,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => write!(f, "nothing can be sent after the close frame"),
            Self::ControlTooLong(bytes) => {
                write!(
                    f,
                    "a ping or pong carries at most 125 bytes, not {bytes}: send a message instead"
                )
            }
            Self::ReasonTooLong(bytes) => {
                write!(
                    f,
                    "a close reason carries at most {REASON_BYTES_MAX} bytes, not {bytes}: shorten it"
                )
            }
            Self::PartsUnfinished => {
                write!(
                    f,
                    "a message in parts is unfinished: send its last part first, of the same kind"
                )
            }
        }
    }
}

impl std::error::Error for SendError {}

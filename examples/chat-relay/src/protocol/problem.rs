//! Why a line is refused.

use std::borrow::Cow;
use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

use super::encode;

/// Why a line was refused: the `err` of an answer. The connection stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The line's id.
    pub id: Option<u64>,
    /// What a program goes by.
    pub code: ErrorCode,
    /// What a person reads.
    pub text: Cow<'static, str>,
    /// Present where it is temporary: milliseconds after which it is worth another try.
    pub retry_ms: Option<u64>,
}

impl Problem {
    pub(super) const TEXT_CHARS_MAX: usize = 200;

    /// A problem without an id. The text is cut where it repeats a long input.
    pub fn new(code: ErrorCode, text: impl Into<Cow<'static, str>>) -> Self {
        let mut text = text.into();
        if let Some((end, _)) = text.char_indices().nth(Self::TEXT_CHARS_MAX) {
            text.to_mut().truncate(end);
        }
        Self { id: None, code, text, retry_ms: None }
    }

    /// The same, as the answer to the line with this id.
    pub fn with_id(self, id: Option<u64>) -> Self {
        Self { id, ..self }
    }

    /// The same, worth another try after some milliseconds.
    pub fn retry_after(self, ms: u64) -> Self {
        Self { retry_ms: Some(ms), ..self }
    }

    /// The line that says it.
    pub fn line(&self) -> String {
        #[derive(Serialize)]
        struct Refusal<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            id: Option<u64>,
            err: Reason<'a>,
        }
        #[derive(Serialize)]
        struct Reason<'a> {
            code: ErrorCode,
            text: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            retry_ms: Option<u64>,
        }
        let err = Reason { code: self.code, text: &self.text, retry_ms: self.retry_ms };
        encode(&Refusal { id: self.id, err })
    }
}

/// The codes of `err`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The line is not a JSON object: not JSON at all, nested too deep, or a number out of range.
    Json,
    /// No command, more than one, or an unknown one.
    Command,
    /// A field is missing, unknown, or not of its type.
    Fields,
    /// More lines in a frame, or bytes in a line or body, than the relay takes.
    TooLong,
    /// A binary frame.
    Binary,
    /// A number that is not in its range: a sequence number beyond the head, a time to live over 60 s.
    Range,
    /// A version of the protocol other than 1.
    Version,
    /// A command before `hello` was answered.
    HelloFirst,
    /// A second `hello`.
    HelloAgain,
    /// A token that is none, any more or at all; ask the person to sign in again.
    Token,
    /// A name and password that do not go together, or a password that is not allowed.
    Password,
    /// No account can be made this way: registration is off, or needs an invitation that is still good.
    Registration,
    /// The person is kept out by the one who runs the relay.
    Blocked,
    /// A person's name that is not allowed.
    Name,
    /// A person's name that another person has.
    NameTaken,
    /// A room's name that is not allowed.
    RoomName,
    /// A room that one is not in, whether it exists or not.
    NotMember,
    /// One's role does not allow it, or a room's kind.
    Forbidden,
    /// Nobody has this name.
    UserUnknown,
    /// The person is in as many rooms as one person may be.
    RoomsFull,
    /// The room has as many members as a room may have.
    RoomFull,
    /// The relay knows as many people or rooms as it may. Temporary.
    RelayFull,
    /// Nothing more can be stored: the disk is full, or fails. What is stored can be read.
    Storage,
    /// More waits for the store than may wait, or one waits for as many answers as one may. Temporary.
    Busy,
    /// Too much in too short a time. Temporary.
    Rate,
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

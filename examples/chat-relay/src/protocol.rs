//! The lines of `relay.v1`: what a client may say, what the relay answers, and the codes of both.
//!
//! The socket is `/ws`, the subprotocol `relay.v1`; an opening request without it is answered with 400, one from a page
//! of another site with 403. One JSON object a line, several lines a frame, text frames only. A command is an object with one key that names it,
//! and an `id` if an answer is wanted; the answer carries the same `id`.
//!
//! ```text
//! C {"id":1,"hello":{"v":1,"name":"alice","at":{"lobby":["9f2c04d1a7b3",41]}}}
//! S {"id":1,"ok":{"user":"alice","token":"…","ping_s":25,"frame_bytes_max":65536,
//!                 "rooms":{"lobby":{"epoch":"9f2c04d1a7b3","first":1,"head":44}}}}
//! S {"msg":{"room":"lobby","seq":42,"from":"bob","cid":"…","ts":1790000000000,"body":{"text":"hi"}}}   … 43, 44
//! S {"live":{"room":"lobby","head":44,"members":[{"user":"bob","online":true}]}}
//! C {"id":2,"join":{"room":"tea"}}
//! S {"id":2,"ok":{"room":"tea","epoch":"51e0…","first":1,"head":0,"members":[…]}}
//! C {"id":3,"send":{"room":"tea","cid":"k1","body":{"text":"anyone?"}}}
//! S {"id":3,"ok":{"seq":1,"ts":1790000000123}}
//! C {"id":4,"get":{"room":"lobby","from":1,"to":41}}
//! S {"id":4,"ok":{"room":"lobby","first":1,"head":44,"msgs":[{"room":"lobby","seq":1,…},…]}}
//! C {"eph":{"room":"tea","kind":"typing","ttl_s":6}}
//! S {"presence":{"room":"tea","user":"bob","online":false,"last_seen":1790000001000}}
//! C {"id":5,"leave":{"room":"tea"}}
//! S {"id":5,"ok":{}}
//! S {"id":6,"err":{"code":"rate","text":"…","retry_ms":1200}}
//! S {"reset":{"room":"lobby","epoch":"77aa…","first":1,"head":9}}
//! ```
//!
//! What this relay, which has no accounts and no store, adds to the protocol or leaves open in it:
//!
//! - **Names and tokens.** The first `hello` with a free `name` gets a secret `token` in its `ok`. From then on the
//!   name belongs to who shows that token, until its owner has been away for an hour, or is away without having been
//!   in a room, or is the one away the longest when the relay is full. A `hello` with the name and its
//!   token always succeeds: if the name still has a connection, because the relay has not noticed yet that it is dead
//!   or because it is another tab, that one is closed with [`REPLACED`]. Without the token the answer is
//!   `name_taken`. A token that the relay does not know is no fault where the name is free: the relay was restarted.
//! - **`at` joins.** Where membership is kept nowhere else, a client's cursors are its membership: a room in `at` that
//!   the person is not in is joined. Those that cannot be are listed under `refused` in the answer, with the code.
//! - **`reset`** means: drop what you have of this room; what follows begins at `first`. A cursor of `["",0]` is a
//!   way to ask for all that is kept.
//! - **`live`** and the answer to `join` carry the members. A second `join` of the same room only answers.
//! - **Who sends a message gets it too**, as everybody in the room does. The `ok` says that it is in the log; the `msg`
//!   puts it in its place.
//! - **`presence`** with `"left":true`: the person is no member any more.
//! - **`ping`** is answered with an empty `ok`. Scripts in a browser cannot see the WebSocket's own pings; one command
//!   in every `ping_s` seconds lets them find a dead connection.
//! - `mark`, media and calls are not spoken here; they are unknown commands.
//!
//! A person's name has a letter or a digit, no control characters, nothing invisible, and at most 32 characters; case
//! does not tell two names apart. A room's name is the same in lower case, with at most 48. All numbers, such as bytes of
//! a line and of a body, lines of a frame, rooms of a person, and what may be said in what time, are in
//! [`limits`](crate::limits), each with the code that answers who goes beyond it.
//!
//! Fields that a command does not have are refused, so that a misspelt one is not lost in silence. Inside `body`
//! everything is allowed: the relay never looks into it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// The subprotocol's name, without which the socket is refused.
pub const SUBPROTOCOL: &str = "relay.v1";

/// Seconds between two `ping` commands of a client that wants to know whether its connection lives.
pub const PING_S: u64 = 25;

/// Close code: no `hello` came in time. Come back, with jitter.
pub const HELLO_LATE: u16 = 4001;
/// Close code: lines went on after `rate` had refused many. Do not come back by yourself.
pub const FLOOD: u16 = 4500;
/// Close code: the same person said `hello` on another connection. Do not come back by yourself.
pub const REPLACED: u16 = 4501;

/// The largest number that every JSON implementation keeps exactly: 2^53 - 1.
const NUMBER_MAX: u64 = (1 << 53) - 1;

/// A line of a client that was understood.
#[derive(Debug)]
pub struct Line {
    /// What the answer repeats; without it there is no answer, except for an error.
    pub id: Option<u64>,
    /// What is wanted.
    pub command: Command,
}

/// What a client may ask for.
#[derive(Debug)]
pub enum Command {
    /// Who I am, and what I have.
    Hello(Hello),
    /// Let me into a room; it is made if it does not exist.
    Join(InRoom),
    /// Let me out of a room.
    Leave(InRoom),
    /// Put a message into a room's log.
    Send(Send),
    /// Show me a part of a room's log.
    Get(Get),
    /// Tell the others something that is not kept.
    Eph(Eph),
    /// Are you there?
    Ping,
}

/// `hello`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hello {
    /// The version of the protocol: 1.
    pub v: u64,
    /// The person's name.
    pub name: String,
    /// The secret that an earlier `hello` with this name was given.
    #[serde(default)]
    pub token: Option<String>,
    /// Which of the person's devices this is. Not used yet: a person has one connection.
    #[serde(default)]
    pub device: Option<String>,
    /// For each room its epoch, and the last sequence number that the client has.
    #[serde(default)]
    pub at: BTreeMap<String, (String, u64)>,
}

/// `join` and `leave`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InRoom {
    /// The room's name.
    pub room: String,
}

/// `send`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Send {
    /// The room's name.
    pub room: String,
    /// The client's own name for the message: the same one when it is sent again.
    pub cid: String,
    /// The message.
    pub body: Map<String, Value>,
}

/// `get`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Get {
    /// The room's name.
    pub room: String,
    /// The first sequence number.
    pub from: u64,
    /// The last sequence number; beyond the head is as good as the head.
    pub to: u64,
}

/// `eph`, from a client and, with `from`, to the others.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Eph {
    /// The room's name.
    pub room: String,
    /// What it is about.
    pub kind: EphKind,
    /// Seconds for which it holds unless it is said again; 0 ends it.
    pub ttl_s: u64,
}

/// The kinds of `eph` that the relay passes on.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EphKind {
    /// Someone writes.
    Typing,
}

/// Seconds that an `eph` may hold.
pub const TTL_S_MAX: u64 = 60;

/// Reads a line of a client.
///
/// # Errors
///
/// A [`Problem`] with the line's `id`, if one could be read.
pub fn parse(line: &str) -> Result<Line, Problem> {
    let value = serde_json::from_str::<Value>(line)
        .map_err(|error| Problem::new(ErrorCode::Json, format!("not JSON: {error}")))?;
    let Value::Object(mut object) = value else {
        return Err(Problem::new(ErrorCode::Json, "a line is a JSON object"));
    };
    let id = match object.remove("id") {
        None => None,
        Some(id) => Some(id.as_u64().filter(|&id| id <= NUMBER_MAX).ok_or_else(|| {
            Problem::new(ErrorCode::Fields, "an id is a whole number from 0 to 2^53 - 1")
        })?),
    };
    let mut keys = object.into_iter();
    let command = match (keys.next(), keys.next()) {
        (Some((name, fields)), None) => command(&name, fields),
        (None, _) => Err(Problem::new(ErrorCode::Command, "the line names no command")),
        (Some(_), Some(_)) => {
            Err(Problem::new(ErrorCode::Command, "a line is one command, and an id"))
        }
    };
    match command {
        Ok(command) => Ok(Line { id, command }),
        Err(problem) => Err(problem.with_id(id)),
    }
}

fn command(name: &str, fields: Value) -> Result<Command, Problem> {
    match name {
        "hello" => read(fields).map(Command::Hello),
        "join" => read(fields).map(Command::Join),
        "leave" => read(fields).map(Command::Leave),
        "send" => read(fields).map(Command::Send),
        "get" => read(fields).map(Command::Get),
        "eph" => read(fields).map(Command::Eph),
        "ping" => read::<Nothing>(fields).map(|Nothing {}| Command::Ping),
        _ => Err(Problem::new(
            ErrorCode::Command,
            "unknown command; there are hello, join, leave, send, get, eph and ping",
        )),
    }
}

fn read<T: DeserializeOwned>(fields: Value) -> Result<T, Problem> {
    // A derived type would also take a list of its fields' values.
    if !fields.is_object() {
        return Err(Problem::new(ErrorCode::Fields, "a command's fields are a JSON object"));
    }
    serde_json::from_value(fields)
        .map_err(|error| Problem::new(ErrorCode::Fields, error.to_string()))
}

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
    /// A problem without an id. The text is cut where it repeats a long input.
    pub fn new(code: ErrorCode, text: impl Into<Cow<'static, str>>) -> Self {
        let mut text = text.into();
        if let Some((end, _)) = text.char_indices().nth(TEXT_CHARS_MAX) {
            text.to_mut().truncate(end);
        }
        Self { id: None, code, text, retry_ms: None }
    }

    /// The same, as the answer to the line with this id.
    pub fn with_id(self, id: Option<u64>) -> Self {
        Self { id, ..self }
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

const TEXT_CHARS_MAX: usize = 200;

/// The codes of `err`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
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
    /// A command before `hello`.
    HelloFirst,
    /// A second `hello`.
    HelloAgain,
    /// A person's name that is not allowed.
    Name,
    /// A person's name that another person has.
    NameTaken,
    /// A room's name that is not allowed.
    RoomName,
    /// A room that one has not joined, whether it exists or not.
    NotMember,
    /// The person is in as many rooms as one person may be.
    RoomsFull,
    /// The room has as many members as a room may have.
    RoomFull,
    /// The relay knows as many people or rooms as it may. Temporary.
    RelayFull,
    /// Too much in too short a time. Temporary.
    Rate,
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// The line of an answer.
pub fn ok_line(id: u64, ok: &impl Serialize) -> String {
    #[derive(Serialize)]
    struct Answer<'a, T> {
        id: u64,
        ok: &'a T,
    }
    encode(&Answer { id, ok })
}

/// The answer to `leave`, `eph` and `ping`, and the fields of `ping`: `{}`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// The answer to `hello`.
#[derive(Debug, Serialize)]
pub struct Welcome<'a> {
    /// The person's name as the others see it.
    pub user: &'a str,
    /// The secret with which the person can come back.
    pub token: &'a str,
    /// See [`PING_S`].
    pub ping_s: u64,
    /// Bytes of a frame that the relay takes.
    pub frame_bytes_max: usize,
    /// The rooms that the person is in.
    pub rooms: BTreeMap<&'a str, RoomHead<'a>>,
    /// The rooms of `at` that could not be joined.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub refused: BTreeMap<String, ErrorCode>,
}

/// Where a room's log is.
#[derive(Debug, Serialize)]
pub struct RoomHead<'a> {
    /// Which log this is: a room that was forgotten and made again has another.
    pub epoch: &'a str,
    /// The first sequence number that is kept; `head + 1` where none is.
    pub first: u64,
    /// The last sequence number; 0 where there was none yet.
    pub head: u64,
}

/// The answer to `join`.
#[derive(Debug, Serialize)]
pub struct Joined<'a> {
    /// The room's name.
    pub room: &'a str,
    /// Where its log is.
    #[serde(flatten)]
    pub log: RoomHead<'a>,
    /// Who is in it.
    pub members: Vec<Member<'a>>,
}

/// A person in a room.
#[derive(Debug, Serialize)]
pub struct Member<'a> {
    /// The person's name.
    pub user: &'a str,
    /// Whether the person has a connection.
    pub online: bool,
    /// When the last one ended, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<u64>,
}

/// The answer to `send`.
#[derive(Debug, Serialize)]
pub struct Sent {
    /// The message's place in the room's log.
    pub seq: u64,
    /// When it came, in milliseconds since 1970.
    pub ts: u64,
    /// The room had a message of this sender with this `cid` already.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dup: bool,
}

/// The answer to `get`: as many messages, oldest first, as one answer may carry.
#[derive(Debug, Serialize)]
pub struct Fetched<'a> {
    /// The room's name.
    pub room: &'a str,
    /// The first sequence number that is kept: what was asked for before it is gone.
    pub first: u64,
    /// The last sequence number.
    pub head: u64,
    /// Each as in `msg`.
    pub msgs: Vec<&'a RawValue>,
}

/// What the relay says without being asked.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Event<'a> {
    /// A message of a room.
    Msg(&'a RawValue),
    /// Catch-up is finished; what comes next comes as it happens.
    Live {
        /// The room's name.
        room: &'a str,
        /// The last sequence number.
        head: u64,
        /// Who is in it.
        members: Vec<Member<'a>>,
    },
    /// The cursor does not fit the log: drop what you have, what follows begins at `first`.
    Reset {
        /// The room's name.
        room: &'a str,
        /// Where its log is.
        #[serde(flatten)]
        log: RoomHead<'a>,
    },
    /// Somebody came, went or left.
    Presence {
        /// The room's name.
        room: &'a str,
        /// Who, and since when.
        #[serde(flatten)]
        member: Member<'a>,
        /// The person is no member any more.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        left: bool,
    },
    /// Something that is not kept.
    Eph {
        /// The room's name.
        room: &'a str,
        /// What it is about.
        kind: EphKind,
        /// Seconds for which it holds.
        ttl_s: u64,
        /// Who says it.
        from: &'a str,
    },
}

impl Event<'_> {
    /// The line that says it.
    pub fn line(&self) -> String {
        encode(self)
    }
}

/// A message as `msg` and `get` show it.
#[derive(Debug, Serialize)]
pub struct Message<'a> {
    /// The room's name.
    pub room: &'a str,
    /// Its place in the room's log.
    pub seq: u64,
    /// The sender's name.
    pub from: &'a str,
    /// The sender's own name for it.
    pub cid: &'a str,
    /// When it came, in milliseconds since 1970.
    pub ts: u64,
    /// What it says.
    pub body: &'a RawValue,
}

/// Writing to a string fails only for types that JSON cannot express, and none of ours is one.
fn encode(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_command_and_an_id() {
        let line =
            parse(r#" {"id":7,"get":{"room":"r","from":1,"to":9007199254740993}} "#).unwrap();
        assert_eq!(line.id, Some(7));
        assert!(matches!(
            line.command,
            Command::Get(Get { from: 1, to: 9_007_199_254_740_993, .. })
        ));
        assert!(matches!(parse(r#"{"ping":{}}"#).unwrap().command, Command::Ping));
    }

    #[test]
    fn what_a_problem_repeats_of_the_input_is_cut() {
        let field = "é".repeat(5_000);
        let problem = parse(&format!(r#"{{"id":3,"join":{{"{field}":1}}}}"#)).unwrap_err();
        assert_eq!((problem.id, problem.code), (Some(3), ErrorCode::Fields));
        assert_eq!(problem.text.chars().count(), TEXT_CHARS_MAX);
    }

    #[test]
    fn answers_look_as_the_protocol_shows_them() {
        let mut problem = Problem::new(ErrorCode::NotMember, "no").with_id(Some(2));
        assert_eq!(problem.line(), r#"{"id":2,"err":{"code":"not_member","text":"no"}}"#);
        problem.retry_ms = Some(5);
        problem.id = None;
        assert_eq!(problem.line(), r#"{"err":{"code":"not_member","text":"no","retry_ms":5}}"#);
        assert_eq!(ErrorCode::RelayFull.to_string(), "relay_full");
        assert_eq!(ok_line(0, &Nothing {}), r#"{"id":0,"ok":{}}"#);
        let sent = Sent { seq: 45, ts: 9, dup: true };
        assert_eq!(ok_line(2, &sent), r#"{"id":2,"ok":{"seq":45,"ts":9,"dup":true}}"#);
        let member = Member { user: "bob", online: false, last_seen: Some(8) };
        assert_eq!(
            Event::Presence { room: "r1", member, left: false }.line(),
            r#"{"presence":{"room":"r1","user":"bob","online":false,"last_seen":8}}"#
        );
        let log = RoomHead { epoch: "k4", first: 1, head: 9 };
        assert_eq!(
            Event::Reset { room: "r1", log }.line(),
            r#"{"reset":{"room":"r1","epoch":"k4","first":1,"head":9}}"#
        );
    }
}

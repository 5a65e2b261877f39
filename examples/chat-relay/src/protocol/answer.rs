//! What the relay says: answers to commands, and events.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::command::{EphKind, Granted};
use super::{ErrorCode, encode};
use crate::store::job::Access;

/// The line of an answer.
pub fn ok_line(id: u64, ok: &impl Serialize) -> String {
    #[derive(Serialize)]
    struct Answer<'a, T> {
        id: u64,
        ok: &'a T,
    }
    encode(&Answer { id, ok })
}

/// The answer where there is nothing to tell, and the fields of `ping`: `{}`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// The answer to `hello`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Welcome<'a> {
    /// The person's name as the others see it.
    pub user: &'a str,
    /// The secret with which the person can come back, where this `hello` made one: it is not shown again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<&'a str>,
    /// See [`PING_S`](super::PING_S).
    pub ping_s: u64,
    /// Bytes of a frame that the relay takes.
    pub frame_bytes_max: usize,
    /// The rooms that the person is in.
    pub rooms: BTreeMap<&'a str, RoomInfo<'a>>,
    /// The rooms of `at` that the person is not in.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub refused: BTreeMap<&'a str, ErrorCode>,
}

/// Where a room's log is.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub struct RoomHead<'a> {
    /// Which log this is: a room that was forgotten and made again has another.
    pub epoch: &'a str,
    /// The first sequence number that is kept; `head + 1` where none is.
    pub first: u64,
    /// The last sequence number; 0 where there was none yet.
    pub head: u64,
}

/// A room, as one of its members sees it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RoomInfo<'a> {
    /// Who comes in.
    pub kind: RoomKind,
    /// In a room of two: the other one's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub with: Option<&'a str>,
    /// What one may do.
    pub role: Granted,
    /// Where its log is.
    #[serde(flatten)]
    pub log: RoomHead<'a>,
    /// One's own mark: the last message that any of one's devices has received.
    pub recv: u64,
    /// The last one that was read.
    pub read: u64,
}

/// The kinds of rooms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RoomKind {
    /// Who knows its name comes in.
    Open,
    /// An owner lets people in.
    Invite,
    /// Two people.
    Direct,
}

impl From<Access> for RoomKind {
    fn from(access: Access) -> Self {
        match access {
            Access::Open => Self::Open,
            Access::Invite => Self::Invite,
            Access::Direct => Self::Direct,
        }
    }
}

/// The answer to `join` and `direct`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Joined<'a> {
    /// The room's name.
    pub room: &'a str,
    /// What it is.
    #[serde(flatten)]
    pub info: RoomInfo<'a>,
    /// Who is in it: the first page, as [`Members`] has it.
    #[serde(flatten)]
    pub members: Members<'a>,
}

/// The answer to `members`: a page of them, in an order that stays.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Members<'a> {
    /// Who is in the room.
    pub members: Vec<Member<'a>>,
    /// What `after` is for the next page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

/// A person in a room.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Member<'a> {
    /// The person's name.
    pub user: &'a str,
    /// What the person may do.
    pub role: Granted,
    /// Whether the person has a connection.
    pub online: bool,
    /// When the last one ended, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<u64>,
    /// The last message that any of the person's devices has received.
    pub recv: u64,
    /// The last one that the person has read.
    pub read: u64,
}

/// The answer to `send`, when the message is stored for good.
#[derive(Debug, Serialize, JsonSchema)]
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
#[derive(Debug, Serialize, JsonSchema)]
pub struct Fetched<'a> {
    /// The room's name.
    pub room: &'a str,
    /// The first sequence number that is kept: what was asked for before it is gone.
    pub first: u64,
    /// The last sequence number.
    pub head: u64,
    /// Each as in `msg`.
    pub msgs: Vec<Message<'a>>,
}

/// The answer to `search`: as many messages, newest first, as one answer may carry.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Found<'a> {
    /// Each as in `msg`.
    pub msgs: Vec<Message<'a>>,
    /// What `before` is to go on with older ones, if there are more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

/// A message as `msg`, `get` and `search` show it.
#[derive(Debug, Serialize, JsonSchema)]
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
    #[schemars(with = "Map<String, Value>")]
    pub body: &'a RawValue,
}

/// What the relay says without being asked.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Event<'a> {
    /// A message of a room.
    Msg(Message<'a>),
    /// Catch-up is finished; what comes next comes as it happens. What is known of the room's members may be old: ask
    /// for them.
    Live {
        /// The room's name.
        room: &'a str,
        /// The last sequence number.
        head: u64,
    },
    /// The cursor does not fit the log: drop what you have, what follows begins at `first`.
    Reset {
        /// The room's name.
        room: &'a str,
        /// Where its log is.
        #[serde(flatten)]
        log: RoomHead<'a>,
    },
    /// One is in a room from now on: another device has joined, or an owner has let one in.
    Added {
        /// The room's name.
        room: &'a str,
        /// What it is.
        #[serde(flatten)]
        info: RoomInfo<'a>,
    },
    /// One is not in a room any more.
    Removed {
        /// The room's name.
        room: &'a str,
    },
    /// Somebody joined, left, or has another role.
    Member {
        /// The room's name.
        room: &'a str,
        /// Who, with which role: `none` for who has left.
        #[serde(flatten)]
        member: Member<'a>,
    },
    /// A member came or went.
    Presence {
        /// The room's name.
        room: &'a str,
        /// Who.
        user: &'a str,
        /// Whether the person has a connection.
        online: bool,
        /// When the last one ended, in milliseconds since 1970.
        #[serde(skip_serializing_if = "Option::is_none")]
        last_seen: Option<u64>,
    },
    /// A member has received and read so far.
    Mark {
        /// The room's name.
        room: &'a str,
        /// Who.
        user: &'a str,
        /// The last message that has arrived.
        recv: u64,
        /// The last one that was read.
        read: u64,
    },
    /// Something that is not kept.
    Eph {
        /// The room's name.
        room: &'a str,
        /// Who says it.
        from: &'a str,
        /// What it is about.
        kind: EphKind,
        /// Seconds for which it holds; 0 ends it.
        ttl_s: u64,
        /// More about it.
        #[serde(skip_serializing_if = "Option::is_none")]
        data: Option<&'a Map<String, Value>>,
    },
}

impl Event<'_> {
    /// The line that says it.
    pub fn line(&self) -> String {
        encode(self)
    }
}

/// The answer to `admin` with `people`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct People<'a> {
    /// A page of them, in the order of their names.
    pub people: Vec<PersonInfo<'a>>,
}

/// A person, as the one who runs the relay sees them.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PersonInfo<'a> {
    /// The person's name.
    pub user: &'a str,
    /// What the next page is asked for with.
    pub key: &'a str,
    /// Connections of the person.
    pub devices: usize,
    /// Rooms that the person is in.
    pub rooms: usize,
    /// When the person was here, in milliseconds since 1970.
    pub last_seen: u64,
    /// Whether the person is kept out.
    pub blocked: bool,
}

/// The answer to `admin` with `rooms`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Rooms<'a> {
    /// A page of them, in the order of their names.
    pub rooms: Vec<RoomSummary<'a>>,
}

/// A room, as the one who runs the relay sees it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RoomSummary<'a> {
    /// The room's name.
    pub room: &'a str,
    /// Who comes in.
    pub kind: RoomKind,
    /// How many members it has.
    pub members: usize,
    /// The oldest message that is kept.
    pub first: u64,
    /// The last message.
    pub head: u64,
}

/// The answer to `admin` with `invite`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Invitation<'a> {
    /// The code for `hello`. It is not shown again.
    pub invitation: &'a str,
}

#[cfg(test)]
mod tests {
    use super::super::Problem;
    use super::*;

    #[test]
    fn answers_look_as_the_protocol_shows_them() {
        let mut problem = Problem::new(ErrorCode::NotMember, "no").with_id(Some(2));
        assert_eq!(problem.line(), r#"{"id":2,"err":{"code":"not_member","text":"no"}}"#);
        problem = problem.retry_after(5).with_id(None);
        assert_eq!(problem.line(), r#"{"err":{"code":"not_member","text":"no","retry_ms":5}}"#);
        assert_eq!(ErrorCode::RelayFull.to_string(), "relay_full");
        assert_eq!(ok_line(0, &Nothing {}), r#"{"id":0,"ok":{}}"#);
        let sent = Sent { seq: 45, ts: 9, dup: true };
        assert_eq!(ok_line(2, &sent), r#"{"id":2,"ok":{"seq":45,"ts":9,"dup":true}}"#);
        let gone = Event::Presence { room: "r1", user: "bob", online: false, last_seen: Some(8) };
        assert_eq!(
            gone.line(),
            r#"{"presence":{"room":"r1","user":"bob","online":false,"last_seen":8}}"#
        );
        let log = RoomHead { epoch: "k4", first: 1, head: 9 };
        assert_eq!(
            Event::Reset { room: "r1", log }.line(),
            r#"{"reset":{"room":"r1","epoch":"k4","first":1,"head":9}}"#
        );
    }
}

//! What a client may say.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{ErrorCode, Nothing, Problem};
use crate::store::job::{Access, Role};

/// The largest number that every JSON implementation keeps exactly: 2^53 - 1.
pub const NUMBER_MAX: u64 = (1 << 53) - 1;
/// Seconds that an `eph` may hold.
pub const TTL_S_MAX: u64 = 60;

/// A line of a client that was understood.
#[derive(Debug)]
pub struct Line {
    /// What the answer repeats; without it there is no answer, except for an error.
    pub id: Option<u64>,
    /// What is wanted.
    pub command: Command,
}

/// What a client may ask for. The answer to each is named in brackets.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum Command {
    /// Who I am, and what I have. [[`Welcome`](super::Welcome)]
    Hello(Box<Hello>),
    /// Let me into a room; it is made if it does not exist. [[`Joined`](super::Joined)]
    Join(Join),
    /// Let me out of a room. [`{}`](Nothing)
    Leave(InRoom),
    /// The room of two of us. [[`Joined`](super::Joined)]
    Direct(ToUser),
    /// Let somebody in, out, or do more or less. [`{}`](Nothing)
    Grant(Grant),
    /// Who is in a room? [[`Members`](super::Members)]
    Members(ListMembers),
    /// Put a message into a room's log. [[`Sent`](super::Sent)]
    Send(Send),
    /// Show me a part of a room's log. [[`Fetched`](super::Fetched)]
    Get(Get),
    /// Find messages. [[`Found`](super::Found)]
    Search(Search),
    /// I have received and read so far. [`{}`](Nothing)
    Mark(Mark),
    /// Tell the others something that is not kept. [`{}`](Nothing)
    Eph(Eph),
    /// Forget my token. [`{}`](Nothing)
    Logout(Logout),
    /// Are you there? [`{}`](Nothing)
    #[schemars(with = "Nothing")]
    Ping,
    /// What only the one who runs the relay may do.
    Admin(Admin),
}

/// The commands, as the refusal of an unknown one lists them.
const COMMANDS: &str =
    "hello, join, leave, direct, grant, members, send, get, search, mark, eph, logout and ping";

/// `hello`: exactly one of `token`, `name` and `admin`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hello {
    /// The version of the protocol: 1.
    pub v: u64,
    /// The secret that an earlier `hello` was given, or a JSON Web Token where those are what the relay takes.
    #[serde(default)]
    pub token: Option<String>,
    /// A person's name: a free one where names are free to take, one's own with `password` where there are accounts.
    #[serde(default)]
    pub name: Option<String>,
    /// With `name`: the password of the account.
    #[serde(default)]
    pub password: Option<String>,
    /// With `name` and `password`: make the account.
    #[serde(default)]
    pub register: bool,
    /// With `register`: the code that lets one in, where registration is by invitation.
    #[serde(default)]
    pub invitation: Option<String>,
    /// The secret of the one who runs the relay.
    #[serde(default)]
    pub admin: Option<String>,
    /// Which of the person's devices this is: 1 to 64 visible characters of ASCII. A newer connection of the same
    /// device replaces the older one.
    #[serde(default)]
    pub device: Option<String>,
    /// Whether events are wanted. Without, only answers come: the connection is no device, `at` has no use, and nobody
    /// sees it come or go.
    #[serde(default = "yes")]
    pub live: bool,
    /// For each room its epoch, and the last sequence number that the client has.
    #[serde(default)]
    pub at: BTreeMap<String, (String, u64)>,
}

fn yes() -> bool {
    true
}

/// `join`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Join {
    /// The room's name.
    pub room: String,
    /// Who may come in, if the room is made by this: `open` (the default) or `invite`.
    #[serde(default)]
    pub access: NewAccess,
}

/// Who may come into a new room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NewAccess {
    /// Who knows its name.
    #[default]
    Open,
    /// Whom an owner lets in.
    Invite,
}

impl From<NewAccess> for Access {
    fn from(access: NewAccess) -> Self {
        match access {
            NewAccess::Open => Self::Open,
            NewAccess::Invite => Self::Invite,
        }
    }
}

/// `leave`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InRoom {
    /// The room's name.
    pub room: String,
}

/// `direct`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ToUser {
    /// The other person's name.
    pub user: String,
}

/// `grant`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// The room's name.
    pub room: String,
    /// The person's name.
    pub user: String,
    /// What the person may do from now on.
    pub role: Granted,
}

/// A role to give: one of a member's, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Granted {
    /// Read, write, and grant.
    Owner,
    /// Read and write.
    Member,
    /// Read.
    Reader,
    /// No member any more.
    None,
}

impl From<Granted> for Option<Role> {
    fn from(granted: Granted) -> Self {
        match granted {
            Granted::Owner => Some(Role::Owner),
            Granted::Member => Some(Role::Member),
            Granted::Reader => Some(Role::Reader),
            Granted::None => None,
        }
    }
}

impl From<Option<Role>> for Granted {
    fn from(role: Option<Role>) -> Self {
        match role {
            Some(Role::Owner) => Self::Owner,
            Some(Role::Member) => Self::Member,
            Some(Role::Reader) => Self::Reader,
            None => Self::None,
        }
    }
}

/// `members`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListMembers {
    /// The room's name.
    pub room: String,
    /// The `next` of the answer before.
    #[serde(default)]
    pub after: u64,
}

/// `send`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Send {
    /// The room's name.
    pub room: String,
    /// The client's own name for the message: the same one when it is sent again.
    pub cid: String,
    /// The message. `text` in it is what `search` finds it by.
    pub body: Map<String, Value>,
}

/// `get`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Get {
    /// The room's name.
    pub room: String,
    /// The first sequence number.
    pub from: u64,
    /// The last sequence number; beyond the head is as good as the head.
    pub to: u64,
}

/// `search`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Search {
    /// Words that are all in the message; the last one may be the beginning of a word.
    pub text: String,
    /// Only in this room; without it, in all rooms that one is in.
    #[serde(default)]
    pub room: Option<String>,
    /// The `next` of the answer before.
    #[serde(default)]
    pub before: Option<u64>,
}

/// `mark`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mark {
    /// The room's name.
    pub room: String,
    /// The last sequence number that has arrived.
    #[serde(default)]
    pub recv: u64,
    /// The last one that was read.
    #[serde(default)]
    pub read: u64,
}

/// `eph`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Eph {
    /// The room's name.
    pub room: String,
    /// What it is about.
    pub kind: EphKind,
    /// Seconds for which it holds unless it is said again; 0 ends it.
    pub ttl_s: u64,
    /// More about it: the place of a live location, the signal of a call.
    #[serde(default)]
    pub data: Option<Map<String, Value>>,
}

/// The kinds of `eph`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EphKind {
    /// Somebody writes.
    Typing,
    /// Somebody is somewhere.
    Location,
    /// The signals by which a call is set up.
    Call,
}

/// `logout`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Logout {
    /// The token to forget, which is that of this connection; without it, all of the person's.
    #[serde(default)]
    pub token: Option<String>,
}

/// `admin`, on a connection whose `hello` had the secret.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Admin {
    /// People, in the order of their names, after one.
    People {
        /// The last name of the answer before.
        #[serde(default)]
        after: String,
    },
    /// Rooms, in the order of their names, after one.
    Rooms {
        /// The last name of the answer before.
        #[serde(default)]
        after: String,
    },
    /// Keeps a person out, or lets them in again.
    Block {
        /// The person's name.
        user: String,
        /// Whether they are kept out.
        blocked: bool,
    },
    /// Ends all of a person's connections and tokens, where there is another way back in than a token.
    SignOut {
        /// The person's name.
        user: String,
    },
    /// Makes an invitation.
    Invite {
        /// For how many people it is good.
        uses: u32,
        /// For how many days it is good.
        days: u32,
    },
    /// Drops a room with all that is in it.
    RemoveRoom {
        /// The room's name.
        room: String,
    },
    /// As `grant`, without being an owner.
    Role(Grant),
}

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
        "hello" => read(fields).map(Box::new).map(Command::Hello),
        "join" => read(fields).map(Command::Join),
        "leave" => read(fields).map(Command::Leave),
        "direct" => read(fields).map(Command::Direct),
        "grant" => read(fields).map(Command::Grant),
        "members" => read(fields).map(Command::Members),
        "send" => read(fields).map(Command::Send),
        "get" => read(fields).map(Command::Get),
        "search" => read(fields).map(Command::Search),
        "mark" => read(fields).map(Command::Mark),
        "eph" => read(fields).map(Command::Eph),
        "logout" => read(fields).map(Command::Logout),
        "ping" => read::<Nothing>(fields).map(|Nothing {}| Command::Ping),
        "admin" => read(fields).map(Command::Admin),
        _ => {
            Err(Problem::new(ErrorCode::Command, format!("unknown command; there are {COMMANDS}")))
        }
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
        let admin = r#"{"admin":{"block":{"user":"bob","blocked":true}}}"#;
        assert!(matches!(
            parse(admin).unwrap().command,
            Command::Admin(Admin::Block { blocked: true, .. })
        ));
    }

    #[test]
    fn what_a_problem_repeats_of_the_input_is_cut() {
        let field = "é".repeat(5_000);
        let problem = parse(&format!(r#"{{"id":3,"join":{{"{field}":1}}}}"#)).unwrap_err();
        assert_eq!((problem.id, problem.code), (Some(3), ErrorCode::Fields));
        assert_eq!(problem.text.chars().count(), Problem::TEXT_CHARS_MAX);
    }
}

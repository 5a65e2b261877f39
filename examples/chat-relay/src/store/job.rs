//! What the store is asked to do, and what it answers.
//!
//! A name is `shown` as its owner wrote it, and compared by its `key`. All times are milliseconds since 1970. Tokens
//! and invitations come in as the person holds them; only their hashes are kept.

use std::sync::Arc;

/// A person, as the store numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PersonId(
    /// From 1.
    pub u32,
);

/// A room, as the store numbers them. The number of a room that was forgotten is not given again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoomId(
    /// From 1.
    pub u32,
);

/// What a member may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Read.
    Reader,
    /// Read and write.
    Member,
    /// Also let others in, out, and change their roles.
    Owner,
}

/// Who comes into a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Who knows its name.
    Open,
    /// Whom an owner lets in.
    Invite,
    /// Two people, and nobody else, ever.
    Direct,
}

/// One thing to do. Those that change something are durable when they are answered.
#[derive(Clone, Debug)]
pub enum Job {
    /// Whose token is this? It was seen at `now_ms`.
    Resume {
        /// The secret, as the person holds it.
        token: String,
        /// When it was seen.
        now_ms: u64,
    },
    /// Makes a person, with a first token.
    Register {
        /// The name, as names are compared.
        key: Arc<str>,
        /// The name, as its owner wrote it.
        shown: Arc<str>,
        /// The first token.
        token: String,
        /// The device that the token is for, as the person's client names it.
        device: String,
        /// A hash of the password, if there is one.
        password_hash: Option<String>,
        /// A code that has to be good for one more person; it is used up in the same transaction.
        invitation: Option<String>,
        /// The time.
        now_ms: u64,
    },
    /// The hash of a person's password.
    PasswordHash {
        /// The name, as names are compared.
        key: Arc<str>,
    },
    /// One more token for a person who has shown another secret. An older token of the same device is dropped.
    SignIn {
        /// Whose it is.
        person: PersonId,
        /// The new token.
        token: String,
        /// The device that it is for.
        device: String,
        /// The time.
        now_ms: u64,
    },
    /// The person whom somebody else vouches for; made if there is none.
    Vouched {
        /// The name, as names are compared.
        key: Arc<str>,
        /// The name, as its owner wrote it.
        shown: Arc<str>,
        /// The time.
        now_ms: u64,
    },
    /// The person with this name.
    Find {
        /// The name, as names are compared.
        key: Arc<str>,
    },
    /// Drops one token (`Some`) or all tokens of a person.
    SignOut {
        /// Who.
        person: PersonId,
        /// The token; `None` for all of them.
        token: Option<String>,
    },
    /// Blocks a person, or lets them in again, with the tokens that they have.
    Block {
        /// Who.
        person: PersonId,
        /// Whether the person is blocked from now on.
        blocked: bool,
    },
    /// Drops a person who is in no room, has no message and is not blocked; others stay as they are.
    ForgetPerson {
        /// Who.
        person: PersonId,
    },
    /// When the person was last here.
    Seen {
        /// Who.
        person: PersonId,
        /// The time; an earlier one than is stored changes nothing.
        at_ms: u64,
    },
    /// Keeps a new invitation for so many people.
    Invite {
        /// The code, as it is handed on.
        code: String,
        /// How many people may use it.
        uses: u32,
        /// The last moment that it is good.
        until_ms: u64,
    },
    /// All people after a key, in the order of their keys.
    People {
        /// The key that comes before the first one of the answer.
        after: Arc<str>,
        /// How many at most.
        people_max: u32,
    },

    /// Makes a room.
    MakeRoom {
        /// Its name, which no other room has.
        name: Arc<str>,
        /// Tells its log from that of an earlier room with this name.
        epoch: String,
        /// Who comes in.
        access: Access,
        /// Who is in it from the start.
        members: Vec<(PersonId, Role)>,
        /// The time.
        now_ms: u64,
    },
    /// Makes a person a member, gives a member another role, or (`None`) ends the membership. A new member's marks are
    /// the head.
    SetRole {
        /// Where.
        room: RoomId,
        /// Who.
        person: PersonId,
        /// The role; `None` ends the membership.
        role: Option<Role>,
    },
    /// Drops a room with all that is in it, or with its members the oldest of its messages, if there are many.
    ForgetRoom {
        /// Where.
        room: RoomId,
    },

    /// Puts a message into a room's log, unless the log has one of this sender with this `cid`.
    Send {
        /// Where.
        room: RoomId,
        /// Who says it.
        from: PersonId,
        /// The sender's own name for it.
        cid: String,
        /// JSON, as it is passed on. `Search` finds it by the string `text` in it.
        body: Arc<str>,
        /// The time.
        now_ms: u64,
    },
    /// Messages of a room from `from` to `to`, as many as fit, but at least one where there is one.
    Read {
        /// Where.
        room: RoomId,
        /// The first number.
        from: u64,
        /// The last number.
        to: u64,
        /// How many at most.
        messages_max: u32,
        /// How many [bytes](Message::line_bytes) they have at most, together.
        bytes_max: usize,
    },
    /// Messages in these rooms with all these words, the newest first, as many as fit, but at least one where there is
    /// one. `before` is the `next` of the answer before.
    Search {
        /// The rooms to look in.
        rooms: Vec<RoomId>,
        /// The words; the last one may be the beginning of a word.
        words: String,
        /// Only messages with a smaller number.
        before: Option<u64>,
        /// How many at most.
        messages_max: u32,
        /// How many [bytes](Message::line_bytes) they have at most, together.
        bytes_max: usize,
    },
    /// Raises a member's marks; they never go back. `read` raises `recv`, and both end at the head.
    Mark {
        /// Where.
        room: RoomId,
        /// Who.
        person: PersonId,
        /// The last message that has arrived.
        recv: u64,
        /// The last message that was read.
        read: u64,
    },
    /// Drops messages that are older than `before_ms` or not among the newest `messages_max` of their room: at most
    /// `at_once` of them.
    Retain {
        /// Drops what is older.
        before_ms: Option<u64>,
        /// Drops all but the newest so many of a room.
        messages_max: Option<u64>,
        /// How many this job drops at most.
        at_once: u32,
    },
}

/// What came of a job.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// It is done.
    Done,
    /// `Resume`, `Register`, `SignIn`, `Vouched`, `Find`.
    Person(Known),
    /// `PasswordHash`; no hash where the person has no password.
    PasswordHash {
        /// Who.
        person: PersonId,
        /// The hash; `None` where there is no password.
        hash: Option<String>,
    },
    /// `People`
    People(Vec<Known>),
    /// `MakeRoom`
    Room(RoomId),
    /// `Send`: its number and time, or those of the first one with the same `cid`.
    Sent {
        /// Its number in the room.
        seq: u64,
        /// When it was put there.
        ts: u64,
        /// Whether the log had it before.
        dup: bool,
    },
    /// `Read`, oldest first; `first` is the oldest that is kept.
    Page {
        /// The oldest number that is kept.
        first: u64,
        /// The messages.
        messages: Vec<Message>,
    },
    /// `Search`, newest first.
    Found {
        /// The messages.
        messages: Vec<Message>,
        /// Where to go on, if there are more.
        next: Option<u64>,
    },
    /// `Mark`: where the marks are now.
    Marked {
        /// The last message that has arrived.
        recv: u64,
        /// The last message that was read.
        read: u64,
    },
    /// `Retain`: the rooms whose oldest message is another now, and whether there is more to drop.
    Retained {
        /// The rooms, each with its oldest number.
        firsts: Vec<(RoomId, u64)>,
        /// Whether there is more to drop.
        more: bool,
    },
    /// `ForgetRoom`: nobody is in it any more, and there are more messages to drop. Ask again.
    More,
    /// It could not be done, and nothing has changed.
    Refused(Refused),
}

/// Why a job was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The name of a person or of a room is taken.
    Exists,
    /// No person has this name, or this token.
    Unknown,
    /// The person is blocked.
    Blocked,
    /// The invitation is unknown, used up or too old.
    BadInvitation,
    /// There is no such room.
    NoRoom,
    /// The disk or the file that is allowed is full. What is stored can be read.
    Full,
    /// It was not asked: too much waits for it. Said by who would have asked.
    Busy,
    /// Anything else that a disk or a file does; a text for the operator.
    Failed(String),
}

/// A person that the store knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its number.
    pub person: PersonId,
    /// The name, as names are compared.
    pub key: Arc<str>,
    /// The name, as its owner wrote it.
    pub shown: Arc<str>,
    /// When the person was last here.
    pub last_seen_ms: u64,
    /// Whether the person is blocked.
    pub blocked: bool,
}

/// A message of a room's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its number over all rooms, that `Search` goes on from.
    pub number: u64,
    /// The room.
    pub room: RoomId,
    /// Its number in the room.
    pub seq: u64,
    /// The sender's name as it is shown.
    pub from: Arc<str>,
    /// The sender's own name for it.
    pub cid: String,
    /// When it was put there.
    pub ts: u64,
    /// JSON.
    pub body: String,
}

impl Message {
    /// About how many bytes it has as a line, without the name of its room.
    pub fn line_bytes(&self) -> usize {
        /// What is around the names and the body.
        const FRAME: usize = 90;
        FRAME + self.from.len() + self.cid.len() + self.body.len()
    }
}

/// All that the relay keeps in memory: rooms, and the people in them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// All people, in the order of their numbers.
    pub people: Vec<Known>,
    /// All rooms, in the order of their numbers.
    pub rooms: Vec<StoredRoom>,
}

/// A room, as the inventory lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRoom {
    /// Its number.
    pub room: RoomId,
    /// Its name.
    pub name: Arc<str>,
    /// Tells its log from that of an earlier room with this name.
    pub epoch: String,
    /// Who comes in.
    pub access: Access,
    /// The oldest number that is kept; `head + 1` where none is.
    pub first: u64,
    /// The newest number; 0 before the first message.
    pub head: u64,
    /// Who is in it, in the order of their numbers.
    pub members: Vec<StoredMember>,
}

/// A member of a room, as the inventory lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredMember {
    /// Who.
    pub person: PersonId,
    /// What they may do.
    pub role: Role,
    /// The last message that has arrived.
    pub recv: u64,
    /// The last message that was read.
    pub read: u64,
}

//! Every limit of the relay, with its default, its reason, and what a client sees who crosses it.
//!
//! The codes are those of [`ErrorCode`](crate::protocol::ErrorCode). The engine's own limits (bytes of a WebSocket
//! message, bytes waiting for a slow reader, deadlines) stand beside these; the relay sets
//! [`FRAME_BYTES_ANSWERED_MAX`] and [`BYTES_PER_SECOND_MAX`] there.

use std::time::Duration;

/// Bytes of one line, which a client need not try to exceed: of a longer one the relay does not say which it was.
pub const LINE_BYTES_MAX: usize = 16 * 1024;
/// Bytes of one WebSocket message from a client. Beyond it `too_long`, and nothing of it is done.
pub const FRAME_BYTES_MAX: usize = 64 * 1024;
/// Bytes of one line, and of its frame, before `hello` was answered: that names every room that the client knows, and
/// others bring a person into most of them. 256 names of 48 characters fit however they are written, with the longest
/// token. Beyond it `too_long`.
pub const HELLO_BYTES_MAX: usize = 192 * 1024;
/// Bytes of one that is still answered. Beyond it the engine closes with 1009.
pub const FRAME_BYTES_ANSWERED_MAX: usize = 2 * 1024 * 1024;
/// Bytes that a connection may send in one second. A client that is faster is read at this rate.
pub const BYTES_PER_SECOND_MAX: u32 = 1024 * 1024;
/// Bytes that wait for a connection whose socket is full. Beyond it nothing is pushed any more: it is fed from the log
/// as its socket drains.
pub const WAITING_BYTES_MAX: usize = 64 * 1024;
/// Members of a room up to which they are told of each other's marks and presence: that grows with the square of their
/// number.
pub const MEMBERS_TOLD_MAX: usize = 256;
/// Things that may wait for the store. Beyond it `busy`.
pub const STORE_WAITING_MAX: usize = 16 * 1024;

/// What people and rooms may cost.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RelayLimits {
    /// Bytes of one line. Default 16 KiB; beyond it `too_long`.
    pub line_bytes_max: usize,
    /// Lines of one frame. Default 64; the rest is dropped and answered once with `too_long`.
    pub frame_lines_max: usize,
    /// Bytes of a message's body, encoded as the relay passes it on. Default 8 KiB; beyond it `too_long`.
    pub body_bytes_max: usize,
    /// Bytes of the `data` of an `eph`, encoded. Default 4 KiB; beyond it `too_long`.
    pub eph_bytes_max: usize,
    /// Characters of a person's name. Default 32; beyond it `name`.
    pub name_chars_max: usize,
    /// Characters of a room's name. Default 48; beyond it `room_name`.
    pub room_chars_max: usize,
    /// Bytes of the text of a search. Default 200; beyond it `too_long`.
    pub search_bytes_max: usize,

    /// Messages in one answer to `get` or `search`. Default 100; the client asks again for the rest.
    pub answer_messages_max: u32,
    /// Bytes of messages with their names, in one answer to `get` or `search`, and in one piece of a catch-up. Default
    /// 64 KiB, but always one message.
    pub answer_bytes_max: usize,
    /// Answers to `get` and `search` that a person may await, with all devices. Default 16; beyond it `busy`.
    pub reading_max: usize,
    /// Members in one answer. Default 256; the client asks again for the rest.
    pub answer_members_max: usize,

    /// People that are in a room or connected. Default 100,000; beyond it `relay_full`.
    pub people_max: usize,
    /// Rooms. Default 100,000; beyond it `relay_full`.
    pub rooms_max: usize,
    /// Rooms of one person. Default 256; beyond it `rooms_full`. Others bring a person into three quarters of them at
    /// most.
    pub rooms_per_person_max: usize,
    /// Members of one room. Default 5,000; beyond it `room_full`.
    pub members_max: usize,
    /// Connections of one person. Default 8; the oldest is closed with 4501 when another comes.
    pub devices_max: usize,
    /// From the opening of a connection to its `hello`. Default 20 s; then close code 4001.
    pub hello_within: Duration,
    /// From the end of a person's last connection to the time when others see it. Default 5 s: who comes back in this
    /// time was never gone.
    pub away_after: Duration,
    /// For how long somebody who was in no room, and has left, keeps the name where names are free to take. Default 60
    /// s.
    pub name_kept: Duration,
    /// For how long a client that is behind may take nothing. Default 60 s; then close code 4002.
    pub lag_max: Duration,

    /// What a person may spend at once, with all devices. A line costs 1 and a further 1 for each KiB that it brings or
    /// asks for; the answer to `hello` and the catch-up cost nothing, and the latter goes as the socket takes it.
    /// Default 200; beyond it `rate`, with the time after which the line will be taken.
    pub burst: u32,
    /// What comes back each second. Default 20.
    pub refill_per_s: u32,
    /// How many times of that all people at one address may spend together: an IPv4 address, or an IPv6 network of 64
    /// bits. Default 20; not counted over loopback, where a proxy or a friend is at the other end.
    pub address_factor: u32,
    /// What a `hello` that makes a person costs, or checks a password. Default 20.
    pub hello_cost: u32,
    /// What it costs beyond that where a password is hashed or compared, which takes tens of milliseconds. Default 100.
    pub password_cost: u32,
    /// What it costs to make a room. Default 20.
    pub room_cost: u32,
    /// What a `search` costs beside its answer: the store looks at the numbers of all messages that have one of the words,
    /// whoever can read them, or a word that begins as the last one does. Default 10.
    pub search_cost: u32,
    /// Lines refused with `rate`, and sent before the time that the refusal before them named, until the connection is
    /// closed with 4500. One is forgiven each second. Default 200.
    pub refusals_max: u32,
}

impl Default for RelayLimits {
    fn default() -> Self {
        Self {
            line_bytes_max: LINE_BYTES_MAX,
            frame_lines_max: 64,
            body_bytes_max: 8 * 1024,
            eph_bytes_max: 4 * 1024,
            name_chars_max: 32,
            room_chars_max: 48,
            search_bytes_max: 200,
            answer_messages_max: 100,
            answer_bytes_max: 64 * 1024,
            reading_max: 16,
            answer_members_max: 256,
            people_max: 100_000,
            rooms_max: 100_000,
            rooms_per_person_max: 256,
            members_max: 5_000,
            devices_max: 8,
            hello_within: Duration::from_secs(20),
            away_after: Duration::from_secs(5),
            name_kept: Duration::from_secs(60),
            lag_max: Duration::from_secs(60),
            burst: 200,
            refill_per_s: 20,
            address_factor: 20,
            hello_cost: 20,
            password_cost: 100,
            room_cost: 20,
            search_cost: 10,
            refusals_max: 200,
        }
    }
}

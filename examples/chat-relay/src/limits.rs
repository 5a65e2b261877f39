//! Every limit of the relay, with its default, its reason, and what a client sees who crosses it.
//!
//! The codes are those of [`ErrorCode`](crate::protocol::ErrorCode). The engine's own limits (bytes of a WebSocket
//! message, bytes waiting for a slow reader, deadlines) stand beside these; the relay sets
//! [`FRAME_BYTES_MAX`] and [`BYTES_PER_SECOND_MAX`] there.

use std::time::Duration;

/// Bytes of one WebSocket message from a client. Beyond it the engine closes with 1009.
pub const FRAME_BYTES_MAX: usize = 64 * 1024;
/// Bytes that a connection may send in one second. A client that is faster is read at this rate.
pub const BYTES_PER_SECOND_MAX: u32 = 1024 * 1024;

/// What people and rooms may cost. The worst case of all rooms' history is
/// `rooms_max * history_messages_max * body_bytes_max`: 400 MiB by default.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RelayLimits {
    /// Bytes of one line. Default 16 KiB; beyond it `too_long`.
    pub line_bytes_max: usize,
    /// Lines of one frame. Default 64; the rest is dropped and answered once with `too_long`.
    pub frame_lines_max: usize,
    /// Bytes of a message's body, encoded as the relay passes it on. Default 8 KiB; beyond it `too_long`.
    pub body_bytes_max: usize,
    /// Characters of a person's name. Default 32; beyond it `name`.
    pub name_chars_max: usize,
    /// Characters of a room's name. Default 48; beyond it `room_name`.
    pub room_chars_max: usize,

    /// Messages that a room keeps. Default 100; a cursor older than that is answered with `reset`.
    pub history_messages_max: usize,
    /// Messages in one answer to `get`. Default 100; the client asks again for the rest.
    pub answer_messages_max: usize,
    /// Bytes of messages in one answer to `get`, and in one piece of a catch-up. Default 64 KiB, but always one
    /// message, and in a catch-up one list of members beyond it.
    pub answer_bytes_max: usize,

    /// People that the relay knows, those who are away included. Default 10,000; then who is away the longest is
    /// forgotten, and if all are here, `relay_full`.
    pub people_max: usize,
    /// Rooms. Default 512; then the room that is quiet the longest of those without members is forgotten, or else of
    /// those whose members are all away, and if in all of them somebody is here, `relay_full`.
    pub rooms_max: usize,
    /// Rooms of one person. Default 32; beyond it `rooms_full`.
    pub rooms_per_person_max: usize,
    /// Members of one room, those who are away included. Default 1,000; then who is away the longest leaves, and if
    /// all are here, `room_full`.
    pub members_max: usize,
    /// How long a person without a connection keeps the name and the rooms, if there are rooms. Default 1 h; after it
    /// the name is free.
    pub away_kept: Duration,
    /// From the opening of a connection to its `hello`. Default 20 s; then close code 4001.
    pub hello_within: Duration,

    /// What a client may spend at once. A line costs 1 and a further 1 for each KiB that it brings or asks for.
    /// Default 200; beyond it `rate`, with the time after which the line will be taken.
    pub burst: u32,
    /// What comes back each second. Default 20.
    pub refill_per_s: u32,
    /// Lines refused with `rate`, and sent before the time that the refusal before them named, until the connection is
    /// closed with 4500. One is forgiven each second. Default 200.
    pub refusals_max: u32,
}

impl Default for RelayLimits {
    fn default() -> Self {
        Self {
            line_bytes_max: 16 * 1024,
            frame_lines_max: 64,
            body_bytes_max: 8 * 1024,
            name_chars_max: 32,
            room_chars_max: 48,
            history_messages_max: 100,
            answer_messages_max: 100,
            answer_bytes_max: 64 * 1024,
            people_max: 10_000,
            rooms_max: 512,
            rooms_per_person_max: 32,
            members_max: 1_000,
            away_kept: Duration::from_secs(60 * 60),
            hello_within: Duration::from_secs(20),
            burst: 200,
            refill_per_s: 20,
            refusals_max: 200,
        }
    }
}

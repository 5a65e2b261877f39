//! The lines of `relay.v1`: what a client may say, what the relay answers, and the codes of both.
//!
//! The socket is `/ws`, the subprotocol `relay.v1`; an opening request without it is answered with 400, one from a page
//! of another site with 403. One JSON object a line, several lines a frame, text frames only. A command is an object
//! with one key that names it, and an `id` if an answer is wanted; the answer carries the same `id`. Answers may come
//! in another order than the commands: wait for the answer of what the next command needs, as a `join` before its
//! `send`. Sends of one connection keep their order.
//!
//! ```text
//! C {"id":1,"hello":{"v":1,"name":"alice","device":"d7"}}
//! S {"id":1,"ok":{"user":"alice","token":"…","ping_s":25,"frame_bytes_max":65536,"rooms":{}}}
//! C {"id":2,"join":{"room":"tea"}}
//! S {"id":2,"ok":{"room":"tea","kind":"open","role":"owner","epoch":"51e0…","first":1,"head":0,"recv":0,"read":0,
//!                 "members":[{"user":"alice","role":"owner","online":true,"recv":0,"read":0}]}}
//! S {"member":{"room":"tea","user":"bob","role":"member","online":true,"recv":0,"read":0}}
//! C {"id":3,"send":{"room":"tea","cid":"k1","body":{"text":"anyone?"}}}
//! S {"id":3,"ok":{"seq":1,"ts":1790000000123}}                        it is stored
//! S {"msg":{"room":"tea","seq":1,"from":"alice","cid":"k1","ts":1790000000123,"body":{"text":"anyone?"}}}
//! C {"mark":{"room":"tea","recv":1,"read":1}}
//! S {"mark":{"room":"tea","user":"bob","recv":1,"read":0}}
//! C {"eph":{"room":"tea","kind":"typing","ttl_s":6}}
//! S {"eph":{"room":"tea","from":"bob","kind":"typing","ttl_s":6}}
//! S {"presence":{"room":"tea","user":"bob","online":false,"last_seen":1790000001000}}
//! C {"id":4,"get":{"room":"tea","from":1,"to":41}}
//! S {"id":4,"ok":{"room":"tea","first":1,"head":44,"msgs":[{"room":"tea","seq":1,…},…]}}
//! C {"id":5,"direct":{"user":"bob"}}
//! S {"id":5,"ok":{"room":"@1-2","kind":"direct","with":"bob","role":"member",…}}
//! C {"id":6,"search":{"text":"any"}}
//! S {"id":6,"ok":{"msgs":[{"room":"tea","seq":1,…}]}}
//! S {"id":7,"err":{"code":"rate","text":"…","retry_ms":1200}}
//!
//! C {"id":1,"hello":{"v":1,"token":"…","device":"d7","at":{"tea":["51e0…",41]}}}      back again
//! S {"id":1,"ok":{"user":"alice","ping_s":25,"frame_bytes_max":65536,
//!                 "rooms":{"tea":{"kind":"open","role":"owner","epoch":"51e0…","first":1,"head":44,"recv":41,"read":40}}}}
//! S {"msg":{"room":"tea","seq":42,…}}     … 43, 44
//! S {"live":{"room":"tea","head":44}}
//! ```
//!
//! **Who one is.** `hello` has exactly one of:
//!
//! - `token`: the secret that an earlier `hello` was given in its `ok`, or a JSON Web Token where the relay takes
//!   those. One that is not
//!   good is answered with `token`; a JSON Web Token whose name is another person's in another case, with `name_taken`.
//! - `name`: where names are free to take, a new person, whose `ok` has the token that is the only way back to this
//!   name; taken ones are
//!   answered with `name_taken`. Where there are accounts, with `password`, and to make one with `register` and perhaps
//!   `invitation`.
//!
//! A person has up to eight connections. A newer one of the same `device` replaces the older, which is closed with
//! [`REPLACED`]; so is the oldest when a ninth comes. What is said here of a person holds for all devices together:
//! marks are the maximum, `online` is any of them.
//!
//! With `"live":false` in `hello` only answers come: the connection is no device, and gets no events.
//!
//! **Rooms.** Rooms and their members are kept. `kind` is `open` (who knows the name joins), `invite` (an owner
//! grants), or
//! `direct` (two people; its name begins with `@`). `role` is `owner`, `member`, `reader`, or `none` for who has left;
//! readers neither send nor say `eph`. Who makes a room is its owner; when the last owner leaves, somebody who is still
//! there becomes one.
//!
//! **The log.** `seq` counts each room's messages from 1 without a gap, and is given when the message is stored for
//! good; the `ok` says so. (room, sender, `cid`) is unique for as long as the message is kept: a repeated `send` gets
//! the first one's answer with `"dup":true`. Who sends a message gets it too, on all devices. A client applies `last +
//! 1`, drops what is not newer, and asks `get` on a gap.
//!
//! **Coming back.** `at` in `hello` has for each room the epoch and the last number that the client has. What is
//! missing follows, room by room, each ended by `live`. A cursor that does not fit (another epoch, older than what is
//! kept, beyond the head) is answered with `reset`: drop what you have of this room, what follows begins at `first`.
//! `["",0]` is a way to ask for all that is kept. A room that is not in `at` is live from its head at once, without an
//! event. The same happens to a client that reads too slowly: the log is its queue, and `live` says when it has caught
//! up. Members, marks and presence are not replayed: ask `members` after `live`. A client that takes nothing for a
//! minute is closed with [`TOO_SLOW`].
//!
//! **Marks** only ever grow; `read` raises `recv`, and both end at the head. Others see a mark when it is stored.
//! In rooms of more than [`MEMBERS_TOLD_MAX`](crate::limits::MEMBERS_TOLD_MAX) members, marks and presence are not
//! told; `members` has them.
//!
//! **`eph`** is never stored; it holds for `ttl_s` seconds at most. **`ping`** lets a script in a browser, which cannot
//! see the WebSocket's own pings, find a dead connection: one command in every `ping_s` seconds.
//!
//! Calls and media are not spoken yet; their signals and keys have their place in `eph` and in the opaque `body`.
//!
//! A person's name has a letter or a digit, no control characters, nothing invisible, and at most 32 characters; case
//! and composition do not tell two names apart. A room's name is the same in lower case, with at most 48. All numbers,
//! such as bytes of a line and of a body, lines of a frame, rooms of a person, and what may be said in what time, are
//! in [`limits`](crate::limits), each with the code that answers who goes beyond it.
//!
//! Fields that a command does not have are refused, so that a misspelt one is not lost in silence. Inside `body` and
//! `data` everything is allowed: the relay never looks into it, but for `text`, which `search` finds.
//!
//! Close codes 4000 to 4499 mean "come back, with jitter", 4500 to 4999 "do not come back by yourself".

mod answer;
mod command;
mod problem;

use serde::Serialize;

pub use answer::*;
pub use command::*;
pub use problem::{ErrorCode, Problem};

/// The subprotocol's name, without which the socket is refused.
pub const SUBPROTOCOL: &str = "relay.v1";

/// Seconds between two `ping` commands of a client that wants to know whether its connection lives.
pub const PING_S: u64 = 25;

/// Close code: no `hello` came in time. Come back, with jitter.
pub const HELLO_LATE: u16 = 4001;
/// Close code: the client was behind, and took nothing for a minute. Come back, with jitter.
pub const TOO_SLOW: u16 = 4002;
/// Close code: the relay could not read what it has stored for the client. Come back, with jitter.
pub const STORE_FAILED: u16 = 4003;
/// Close code: lines went on after `rate` had refused many. Do not come back by yourself.
pub const FLOOD: u16 = 4500;
/// Close code: a newer connection has taken its place. Do not come back by yourself.
pub const REPLACED: u16 = 4501;
/// Close code: the person was signed out. Do not come back by yourself.
pub const SIGNED_OUT: u16 = 4502;
/// Close code: the token has expired. Come back with a new one.
pub const EXPIRED: u16 = 4503;

/// Writing to a string fails only for types that JSON cannot express, and none of ours is one.
fn encode(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

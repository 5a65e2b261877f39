//! permessage-deflate (RFC 7692) over the public API of the core: what is agreed on, what is sent, and what comes of
//! what a peer sends.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "what a test cannot go on without fails it"
)]

#[path = "../support/mod.rs"]
mod support;

mod answers;
mod blocks;
mod bombs;
mod chunking;
mod decoder;
mod examples;
mod inflating;
mod memory;
mod negotiation;
mod offers;
mod prepared;
mod sending;
mod windows;
mod wired;

use tautline::frame::Role;

const ROLES: [Role; 2] = [Role::Client, Role::Server];

/// Each pair of takeover and window bits that makes a difference somewhere.
const WAYS: [(bool, u8); 4] = [(false, 15), (false, 9), (true, 15), (true, 9)];

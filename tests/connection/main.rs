//! The Sans-I/O connection against its contract: each property that `Connection` promises, from outside.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "what a test cannot go on without fails it"
)]

#[path = "../support/mod.rs"]
mod support;

mod chunking;
mod closing;
mod deadlines;
mod limits;
mod pings;
mod sending;
mod streaming;
mod violations;
mod wired;

use tautline::frame::Role;

const ROLES: [Role; 2] = [Role::Client, Role::Server];

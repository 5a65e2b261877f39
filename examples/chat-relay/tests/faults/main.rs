//! The relay as a process, under faults: killed, with connections that are cut anywhere, and on a full disk.
//!
//! What is held to be true all the time stands in `person` and `ledger`: what was acknowledged is there, nothing is
//! there twice, no number is left out, a message never changes its number, and marks never go back. A random number is
//! printed with which a run can be had again, as far as threads and processes allow: `CHAT_RELAY_SEED=… cargo test
//! --test faults`.
//!
//! A killed process loses nothing that it has written: that a commit is on the disk and not only with the operating
//! system is SQLite's part, and no process can test it without cutting the power.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may fail by panicking"
)]

mod cut;
mod full;
mod kill;
mod ledger;
mod link;
mod person;
mod process;
mod proxy;
mod random;

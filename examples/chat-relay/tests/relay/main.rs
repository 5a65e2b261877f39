//! The relay without a socket: what people see who do it right, and who do not.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test may fail by panicking"
)]

mod abuse;
mod history;
mod lines;
mod lives;
mod people;
mod races;
mod rooms;
mod world;

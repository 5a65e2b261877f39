//! What brought other servers down, sent to ours over real sockets; each test is named after what it sends.
//!
//! The server is a process of its own, so that its memory and its CPU time are known. In each test an honest client is
//! connected too, and gets its echoes in the meantime. A test fails where the server grows by more than the test
//! allows, or where four times the work takes more than eight times the CPU; nothing depends on how long anything
//! takes. Each prints a line of figures: `cargo test --test attacks -- --nocapture`. The same attacks on the core
//! alone, with each allocation counted, are in `tests/incidents_core.rs`.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // a test may panic

mod admission;
#[path = "../tls/authority.rs"]
#[allow(dead_code, reason = "shared with the tests of TLS")]
mod authority;
mod child;
mod compression;
mod connections;
mod frames;
mod handshakes;
mod heads;
mod peer;
mod readers;
mod server;
#[path = "../support/mod.rs"]
mod support;
mod tls;

#[test]
#[ignore = "the server of the other tests, in a process of its own"]
fn the_server_of_the_other_tests() {
    if let Ok(settings) = std::env::var(server::SETTINGS) {
        child::run(&settings);
    }
}

//! What several test binaries and the fuzz targets share. Nothing here asserts on its own what a test is about; it
//! builds bytes, drives a connection, and writes down what came of it.

#![allow(dead_code, reason = "each test binary uses its part")]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "what a test cannot go on without fails it"
)]
#![allow(unreachable_pub, reason = "the fuzz crate includes these files too")]

/// How many cases of a property to try: few under Miri, where each takes a thousand times as long.
pub const fn cases(usually: u32) -> u32 {
    if cfg!(miri) { 2 } else { usually }
}

#[cfg(feature = "deflate")]
pub mod deflate;
pub mod drive;
pub mod frames;
pub mod inflate;
pub mod wire;

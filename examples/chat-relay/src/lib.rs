//! A chat relay: people, rooms and the lines of `relay.v1` between them.
//!
//! ```text
//!  socket ──> server ──lines──> relay ──> room
//!    ^                            │
//!    └──────── Out: send, publish, subscribe, close
//! ```
//!
//! - [`protocol`]: the lines, with their codes; read it to write a client.
//! - [`relay`]: what they do. No socket, no clock, no random source: the same calls give the same lines.
//! - [`room`], [`names`], [`bucket`], [`limits`]: its parts.
//! - [`page`]: the files that a browser gets.
//! - [`server`]: the adapter to tautline's reactor.
//! - [`metrics`]: what the engine counts, for Prometheus.
//! - [`options`]: the command line.
//!
//! The program around it is `main.rs`.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod bucket;
pub mod certificate;
pub mod limits;
pub mod metrics;
pub mod names;
pub mod options;
pub mod page;
pub mod protocol;
pub mod relay;
pub mod room;
pub mod server;

//! A chat relay: people, rooms and the lines of `relay.v1` between them.
//!
//! ```text
//!  socket ──> server ──lines──> relay ──jobs──> store
//!    ^                          │   ^             │
//!    │                          │   └── answers ──┘
//!    └── send, publish, close ──┘
//! ```
//!
//! - [`protocol`]: the lines, with their codes; read it to write a client.
//! - [`relay`]: what they do. No socket, no clock, no random source, no database: the same calls give the same lines.
//! - [`store`]: messages, rooms, people and tokens in one SQLite file, behind a queue.
//! - [`names`], [`bucket`], [`limits`]: their parts.
//! - [`server`]: the adapter to tautline's reactor, with the threads around it.
//! - [`page`]: the files that a browser gets.
//! - [`metrics`]: what the engine and the relay count, for Prometheus.
//! - [`config`]: the command line, the environment and the file, as one parsed value.
//! - [`auth`], [`certificate`]: passwords, tokens that somebody else has signed, TLS.
//! - [`setup`]: from the configuration to a server and its store. [`log`]: what is said of what happens.
//! - [`admin`]: what the one who runs it asks a running relay for.
//! - [`chat`]: the terminal client, the program `chat`. [`asyncapi`]: the protocol as a document for programs.
//!
//! The program around it is `main.rs`.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod admin;
pub mod asyncapi;
pub mod auth;
pub mod bucket;
pub mod certificate;
pub mod chat;
pub mod config;
mod folders;
pub mod limits;
pub mod log;
pub mod metrics;
pub mod names;
pub mod page;
pub mod protocol;
pub mod relay;
pub mod server;
pub mod setup;
pub mod store;

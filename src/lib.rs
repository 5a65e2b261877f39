//! A WebSocket protocol engine without an async runtime.
//!
//! Tautline is two things: a protocol core that does no I/O, and a single-threaded event loop on
//! [mio](https://docs.rs/mio) that carries it. Use the loop for a server, a gateway or a client with many connections;
//! use the core alone where you have a loop of your own, or an async runtime.
//!
//! ```text
//!    your program: a Handler            your program, around sockets of its own
//!         |      ^                                   |      ^
//!    send |      | on_message                   send |      | events
//!   .-----v------'-------------------.               |      |
//!   |  Reactor     sockets, topics,  |               |      |
//!   |              timers, handles   |               |      |
//!   '-----.------^-------------------'               |      |
//!         v      |                                   v      |
//!   .----------------------------------------------------------------.
//!   |  handshake        HTTP/1.1 head  <->  Request, Agreed          |
//!   |  Connection       bytes and a time in, events and bytes out    |
//!   '----------------------------------------------------------------'
//! ```
//!
//! # A server in ten lines
//!
//! ```no_run
//! use tautline::{Message, Reactor, reactor::{Context, Handler}};
//!
//! struct Echo;
//!
//! impl Handler for Echo {
//!     type Session = ();
//!
//!     fn on_message(&mut self, cx: &mut Context<'_, ()>, message: Message<'_>) {
//!         cx.send(message);
//!     }
//! }
//!
//! fn main() -> std::io::Result<()> {
//!     Reactor::new(Echo)?.listen("127.0.0.1:9001")?.run()
//! }
//! ```
//!
//! The message borrows the loop's one receive buffer, unmasked and validated where it came to lie; the reply is encoded
//! straight into the loop's one send buffer. However many messages a turn brought, each socket is written once. Between
//! two messages a connection owns no buffer at all.
//!
//! [`reactor`] tells how a turn goes, what happens when a peer does not read, and how other threads reach the loop.
//! Topics ([`Context::publish`](reactor::Context::publish)) encode a message once for all who get it.
//!
//! # A client in four
//!
//! ```no_run
//! let mut client = tautline::connect("ws://127.0.0.1:9001/")?;
//! client.send("hello")?;
//! println!("{:?}", client.read()?);
//! client.close(tautline::CloseCode::NORMAL, "done")?;
//! # Ok::<(), tautline::client::ClientError>(())
//! ```
//!
//! It blocks, and suits tests, tools and programs with one connection. For many, or beside a server, the loop makes
//! connections too: [`Hub::connect`](reactor::Hub::connect).
//!
//! # The core without I/O
//!
//! With `default-features = false` nothing is left but the core: no socket, no clock, no random source, no thread. You
//! bring the bytes and the time:
//!
//! ```
//! use std::{sync::Arc, time::Instant};
//! use tautline::{Connection, Event, Limits, handshake::Agreed};
//!
//! let agreed = Agreed::default(); // from the opening handshake
//! let mut ws = Connection::server(&agreed, &Arc::new(Limits::default()), Instant::now());
//! let mut out = Vec::new();
//!
//! let mut bytes = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]; // from a socket
//! let mut incoming = ws.receive(Instant::now(), &mut bytes);
//! let outcome = loop {
//!     match incoming.next() {
//!         Ok(Some((event, sender))) => {
//!             if let Event::Message(message) = event {
//!                 sender.send(message, &mut out)?;
//!             }
//!             sender.flush(&mut out); // the pong to a ping, the close to a close
//!         }
//!         Ok(None) => break Ok(()),
//!         Err(violation) => break Err(violation),
//!     }
//! };
//! ws.flush(&mut out); // where a rule was broken: the close frame that says so
//! assert_eq!(out, b"\x81\x05Hello"); // to the socket, and only then:
//! outcome?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`Connection`] states the order of calls and what is promised. It is made of a [`Receiver`] and a [`Sender`], which
//! may live in two tasks. [`handshake`] has the opening handshake of both roles, [`frame`] the frames themselves.
//!
//! # Features
//!
//! | feature | default | what it adds |
//! | --- | --- | --- |
//! | `reactor` | yes | [`Reactor`], on mio |
//! | `tls` | yes | `wss://` for the event loop, and for the blocking client: rustls with ring; brings `reactor` with it |
//! | `client` | yes | [`Client`], on blocking sockets |
//! | `deflate` | yes | [`Deflate`], compressed messages (RFC 7692) |
//!
//! Features add; none changes what the others do.
//!
//! # Limits
//!
//! All limits are in [`Limits`], each with its default, its reason, and what a peer sees who crosses it.
//!
//! # Errors
//!
//! By who is wrong: [`Violation`] is the peer's fault and has a close code; [`SendError`] is the caller's, and nothing
//! was sent; [`handshake::Refusal`] and [`handshake::AnswerError`] are the ways an opening handshake ends without a
//! connection. Bytes from the network never make this crate panic; where they do, it is a bug of ours.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

#[cfg(feature = "client")]
pub mod client;
mod close;
pub mod connection;
#[cfg(feature = "deflate")]
pub mod deflate;
#[cfg(not(feature = "deflate"))]
#[path = "deflate/absent.rs"]
mod deflate;
mod error;
pub mod frame;
pub mod handshake;
mod limits;
pub mod manual;
#[cfg(any(feature = "client", feature = "reactor"))]
mod random;
#[cfg(feature = "reactor")]
pub mod reactor;
#[cfg(feature = "tls")]
pub mod tls;
pub mod utf8;

#[cfg(feature = "client")]
pub use client::{Client, connect};
pub use close::{Close, CloseCode};
pub use connection::{
    Compress, Connection, Delivery, Event, Expired, Incoming, MaskKeys, Message, Outgoing,
    OwnedMessage, Part, Prepared, Receiver, Sender,
};
#[cfg(feature = "deflate")]
pub use deflate::Deflate;
pub use error::{SendError, Violation};
pub use frame::Role;
pub use handshake::Origins;
pub use limits::Limits;
#[cfg(any(feature = "client", feature = "reactor"))]
pub use random::RandomKeys;
#[cfg(feature = "reactor")]
pub use reactor::Reactor;

/// The examples of the README are tests.
#[cfg(all(doctest, feature = "client", feature = "reactor"))]
#[doc = include_str!("../README.md")]
struct Readme;

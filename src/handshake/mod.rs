//! The opening handshake, without any I/O (RFC 6455 section 4).
//!
//! A peer's bytes go in, a decision comes out. Nothing here reads a socket, asks the time or rolls dice: the caller
//! keeps the bytes that arrived, and gives the client's nonce.
//!
//! ```text
//!            bytes ──► HeadScanner ──► end of the head
//!                                          │
//!   server:  ServerHandshake ──► Opening::Upgrade(Request) ── accept ──► 101 and Agreed
//!                            ╰─► Opening::Plain(HttpRequest) ──────────► Response
//!                            ╰─► Refusal ──────────────────── response ► Response
//!
//!   client:  ClientRequest ── write ──► ClientHandshake ──► Agreed
//!                                                       ╰─► AnswerError
//! ```
//!
//! Both machines follow one rule: keep the bytes in one buffer, call `receive` with all of it whenever it grew, and
//! stop at the first answer. They resume where they stopped, so that a head in packets of one byte costs no more than
//! a head in one packet, and the way in which bytes were cut never changes what comes out.
//!
//! # A server
//!
//! ```
//! use tautline::Limits;
//! use tautline::handshake::{Accept, Opening, Origins, Policy, ServerHandshake};
//!
//! let limits = Limits::default();
//! let policy = Policy { limits: &limits, origins: &Origins::SameHost, secure: false };
//! let received = b"GET /chat HTTP/1.1\r\n\
//!     Host: server.example.com\r\n\
//!     Upgrade: websocket\r\n\
//!     Connection: Upgrade\r\n\
//!     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
//!     Sec-WebSocket-Version: 13\r\n\r\n";
//!
//! let mut handshake = ServerHandshake::new();
//! let mut out = Vec::new();
//! match handshake.receive(received, &policy) {
//!     Ok(None) => {} // the head is not whole yet: read more
//!     Ok(Some((head_bytes, Opening::Upgrade(request)))) => {
//!         assert_eq!((head_bytes, request.path()), (received.len(), "/chat"));
//!         request.accept(&Accept::new(), &mut out)?;
//!     }
//!     Ok(Some((_, Opening::Plain(request)))) => println!("a page is wanted: {}", request.path()),
//!     Err(refusal) => refusal.response().write(received.starts_with(b"HEAD "), &mut out),
//! }
//! assert!(out.starts_with(b"HTTP/1.1 101 Switching Protocols\r\n"));
//! # Ok::<(), tautline::handshake::AcceptError>(())
//! ```
//!
//! # A client
//!
//! ```
//! use tautline::Limits;
//! use tautline::handshake::{ClientRequest, Url};
//!
//! let url: Url = "ws://server.example.com/chat".parse()?;
//! let mut out = Vec::new();
//! // The nonce comes from a random source of the caller, fresh for each connection.
//! let mut handshake = ClientRequest::new(url).write(*b"the sample nonce", &mut out);
//!
//! let answer = b"HTTP/1.1 101 Switching Protocols\r\n\
//!     Upgrade: websocket\r\n\
//!     Connection: Upgrade\r\n\
//!     Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n\x81\x02hi";
//! let (head_bytes, agreed) = handshake.receive(answer, &Limits::default())?.expect("the head is whole");
//! assert_eq!(agreed.subprotocol, None);
//! assert_eq!(answer[head_bytes..], *b"\x81\x02hi"); // the first frame
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Extensions
//!
//! Offers are parsed and checked against the grammar of section 9.1 ([`Request::extensions`]). The one that is known
//! here is permessage-deflate: a server that [accepts](Accept::deflate) it answers to the first offer that it can
//! honour, a client checks that the answer is one to [its offers](ClientRequest::deflate).

mod accept;
mod answer;
mod authority;
mod client;
mod extension;
mod extra;
mod fields;
mod find;
mod head;
mod key;
mod origin;
mod refusal;
mod request;
mod response;
mod server;
mod target;
mod url;

use std::borrow::Cow;

use crate::deflate;

pub use accept::{Accept, AcceptError};
pub use answer::{AnswerError, ClientHandshake, RefusedAnswer};
pub use authority::{Authority, AuthorityError};
pub use client::{ClientRequest, RequestError};
pub use extension::{Extension, Parameter};
pub use extra::FieldError;
pub use fields::{Field, Fields};
pub use head::{HeadError, HeadScanner};
pub use key::Key;
pub use origin::{BadOrigin, Origin, OriginError, OriginList, Origins};
pub use refusal::Refusal;
pub use request::{HttpRequest, Request};
pub use response::{Response, Status};
pub use server::{Opening, Policy, ServerHandshake};
pub use url::{Url, UrlError};

/// What both sides agreed on in the opening handshake.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Agreed {
    /// The subprotocol in use; `None` where none was asked for or none was chosen.
    pub subprotocol: Option<Cow<'static, str>>,
    pub(crate) deflate: Option<deflate::Agreed>,
}

#[cfg(feature = "deflate")]
impl Agreed {
    /// How messages are compressed; `None` where they are not.
    pub fn deflate(&self) -> Option<deflate::Agreed> {
        self.deflate
    }
}

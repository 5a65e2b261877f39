//! Tautline.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

#[cfg(feature = "client")]
pub mod client;
mod close;
pub mod connection;
mod error;
pub mod frame;
pub mod handshake;
mod limits;
#[cfg(any(feature = "client", feature = "reactor"))]
mod random;
#[cfg(feature = "reactor")]
pub mod reactor;
pub mod utf8;

#[cfg(feature = "client")]
pub use client::{Client, connect};
pub use close::{Close, CloseCode};
pub use connection::{
    Connection, Delivery, Event, Expired, Incoming, MaskKeys, Message, OwnedMessage, Part,
    Receiver, Sender,
};
pub use error::{SendError, Violation};
pub use frame::Role;
pub use handshake::Origins;
pub use limits::Limits;
#[cfg(feature = "reactor")]
pub use reactor::Reactor;

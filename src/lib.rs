//! Tautline.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod close;
pub mod connection;
mod error;
pub mod frame;
pub mod handshake;
mod limits;
pub mod utf8;

pub use close::{Close, CloseCode};
pub use connection::{
    Connection, Delivery, Event, Expired, Incoming, MaskKeys, Message, OwnedMessage, Part, Receiver, Sender,
};
pub use error::{SendError, Violation};
pub use frame::Role;
pub use limits::Limits;

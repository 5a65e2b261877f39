//! permessage-deflate (RFC 7692): what is offered and agreed on, and the codecs behind it.
//!
//! ```
//! use tautline::Deflate;
//! use tautline::handshake::{Accept, ClientRequest};
//!
//! let accept = Accept::new().deflate(Deflate::default()); // a server; or Reactor::deflate, for all clients
//! let request = ClientRequest::new("ws://server.example.com/".parse()?).deflate(Deflate::default());
//! # let _ = (accept, request);
//! # Ok::<(), tautline::handshake::UrlError>(())
//! ```
//!
//! With [`Deflate::default`] neither side keeps anything from one message to the next, so that a connection at rest
//! owns no more than without compression: compressors and decompressors belong to the thread and are lent for the
//! length of a message.
//!
//! # Context takeover
//!
//! With [`context_takeover`](Direction::context_takeover) a message may refer to those before it, which helps where
//! many small messages look alike. A connection then keeps the plain text that may be referred to, and no codec: a lent
//! codec gets it as its dictionary.
//!
//! | window bits | 9 | 10 | 11 | 12 | 13 | 14 | 15 |
//! | --- | --- | --- | --- | --- | --- | --- | --- |
//! | bytes for receiving | 512 | 1,024 | 2,048 | 4,096 | 8,192 | 16,384 | 32,768 |
//! | bytes for sending | 512 | 1,024 | 2,048 | 4,096 | 4,096 | 4,096 | 4,096 |
//! | measured, both directions | 1,200 | 2,200 | 4,300 | 8,400 | 12,500 | 20,700 | 37,000 |
//!
//! A message that does not get shorter is sent as it is. With context takeover it is compressed now and then all the
//! same, at the cost of a few bytes: so those that come after it can refer to it.
//!
//! For sending no more than [`HISTORY_BYTES_MAX`] are kept: a longer history costs more time than it saves bytes. The
//! level makes no difference to a connection. What a thread lends is some 110 KiB for each decompressor and 300 to
//! 400 KiB for each compressor, of which it keeps at most 32: with context takeover, the connections that have sent
//! last go on with the compressors that they had.
//!
//! What is published on a topic, or [prepared](crate::Prepared), is compressed once for many, so it refers to nothing
//! before it; and the next message to a connection that got it does not refer to what was before either. Where nearly
//! all is published, context takeover gains nothing for sending.
//!
//! # What becomes of the settings
//!
//! | setting | a client offers | a server answers |
//! | --- | --- | --- |
//! | no takeover in sending, or receiving | `client_no_context_takeover`, or `server_…` | `server_no_context_takeover`, or `client_…`, also where it was not asked for |
//! | takeover | nothing | nothing, unless the client asks for none |
//! | `max_window_bits` in sending, N below 15 | `client_max_window_bits=N` | `server_max_window_bits`, the less of N and what was asked for |
//! | 15 | `client_max_window_bits` | as it was asked for |
//! | `max_window_bits` in receiving, N below 15 | `server_max_window_bits=N` | `client_max_window_bits`, the less of N and what was offered; where the client cannot be told a window, it gets no takeover instead |
//!
//! A server takes the first offer that follows the standard and asks for no window of 8 bits; a client refuses an
//! answer that does not grant what it asked for.
//!
//! # Window bits of 8
//!
//! RFC 7692 knows windows of 2^8 to 2^15 bytes, DEFLATE libraries only those from 2^9. An offer that limits the
//! server's window to 8 bits is declined; a client that is told to use 8 bits sends its messages uncompressed, which is
//! always allowed. A peer that limits its own window to 8 bits is understood: our window is then larger than it needs
//! to be.
//!
//! # Secrets
//!
//! The length of a compressed message tells something about its text. Where a secret and text of somebody else go into
//! one message, or share a context, send it [uncompressed](crate::Message::uncompressed) (RFC 7692 section 8).

mod agree;
mod compressor;
mod config;
mod history;
mod inflater;
mod parameters;

pub use agree::Agreed;
pub(crate) use agree::{Receiving, Sending};
pub(crate) use compressor::Compressor;
pub use compressor::HISTORY_BYTES_MAX;
pub use config::{Deflate, Direction, Level, WindowBits};
pub(crate) use history::History;
pub(crate) use inflater::Inflater;
pub use parameters::Parameters;

/// The extension's name (RFC 7692 section 7).
//= https://www.rfc-editor.org/rfc/rfc6455#section-9.1
//# Any extension-token used MUST be a registered token (see
//# Section 11.4).
pub(crate) const NAME: &str = "permessage-deflate";

/// What both sides cut off from the end of a compressed message.
//= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.1
//# Remove 4 octets (that are 0x00 0x00 0xff 0xff) from the tail end.
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

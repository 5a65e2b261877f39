//! Messages that are encoded, and compressed, once for many receivers.

#[cfg(feature = "reactor")]
use super::message::{Compress, Kind};
use super::message::{Message, Outgoing, OwnedMessage};
#[cfg(feature = "reactor")]
use super::sender::Payload;
use super::sender::write_message;
use crate::deflate::{History, Sending};

/// How a message is encoded for a receiver: compressed so, or plain.
pub(crate) type Encoding = Option<Sending>;

/// A message that is sent to many connections: encoded once for all that agreed on the same compression.
///
/// ```
/// use tautline::{Prepared, Sender, handshake::Agreed};
///
/// let mut news = Prepared::new("the same for everybody");
/// let mut out = Vec::new();
/// Sender::server(&Agreed::default()).send_prepared(&mut news, &mut out)?;
/// Sender::server(&Agreed::default()).send_prepared(&mut news, &mut out)?;
/// # Ok::<(), tautline::SendError>(())
/// ```
///
/// It is compressed without reference to earlier messages, also where a connection has agreed on context takeover; the
/// next message to that connection does not refer to earlier ones either.
#[derive(Clone, Debug)]
pub struct Prepared {
    message: Outgoing<OwnedMessage>,
    frames: Vec<(Encoding, Vec<u8>)>,
}

impl Prepared {
    /// Prepares a message. Each encoding of it is made when it is sent to the first receiver that needs it.
    pub fn new<'m>(message: impl Into<Outgoing<Message<'m>>>) -> Self {
        let Outgoing { content, compress } = message.into();
        Self { message: Outgoing { content: content.to_owned(), compress }, frames: Vec::new() }
    }

    /// The message.
    pub fn message(&self) -> Message<'_> {
        self.message.content.as_message()
    }

    /// The frame for receivers of this encoding.
    pub(super) fn frame(&mut self, encoding: Encoding) -> &[u8] {
        let at = self.frames.iter().position(|(it, _)| *it == encoding);
        let at = at.unwrap_or_else(|| {
            let mut frame = Vec::new();
            let message = Outgoing { content: self.message(), compress: self.message.compress };
            encode(message, encoding, &mut frame);
            self.frames.push((encoding, frame));
            self.frames.len() - 1
        });
        self.frames.get(at).map_or(&[], |(_, frame)| frame)
    }
}

/// Appends a message to `out` as a server sends it: the same bytes for every receiver of this encoding.
pub(crate) fn encode(message: Outgoing<Message<'_>>, encoding: Encoding, out: &mut Vec<u8>) {
    write_message(message.into(), encoding, &mut History::default(), None, out);
}

/// The same for a message of which the payload is left, which was a legal one.
#[cfg(feature = "reactor")]
pub(crate) fn encode_payload(
    kind: Kind,
    payload: &[u8],
    compress: Compress,
    encoding: Encoding,
    out: &mut Vec<u8>,
) {
    let message = Payload(kind, payload, compress);
    write_message(message, encoding, &mut History::default(), None, out);
}

//! Messages that are encoded, and compressed, once for many receivers.

use super::message::{Message, Outgoing, OwnedMessage, Payload};
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
            encode(message.into(), encoding, &mut frame);
            self.frames.push((encoding, frame));
            self.frames.len() - 1
        });
        self.frames.get(at).map_or(&[], |(_, frame)| frame)
    }
}

/// Appends a message to `out` as a server sends it: the same bytes for every receiver of this encoding.
pub(crate) fn encode(payload: Payload<'_>, encoding: Encoding, out: &mut Vec<u8>) {
    write_message(&payload, encoding.as_ref(), &mut History::default(), None, out);
}

//! What goes in and out of a connection.

use crate::close::Close;
use crate::frame::Opcode;

/// A message, borrowed from whoever has its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// A text message; always UTF-8.
    Text(&'a str),
    /// A binary message.
    Binary(&'a [u8]),
}

impl<'a> Message<'a> {
    /// The payload, whatever its kind.
    pub const fn as_bytes(self) -> &'a [u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(data) => data,
        }
    }

    /// A copy that owns its bytes.
    pub fn to_owned(self) -> OwnedMessage {
        match self {
            Self::Text(text) => OwnedMessage::Text(text.into()),
            Self::Binary(data) => OwnedMessage::Binary(data.into()),
        }
    }

    /// To be sent compressed, however short it is, where that makes it shorter.
    pub const fn compressed(self) -> Outgoing<Self> {
        Outgoing { content: self, compress: Compress::Always }
    }

    /// To be sent as it is: it has a secret in it, or does not compress.
    pub const fn uncompressed(self) -> Outgoing<Self> {
        Outgoing { content: self, compress: Compress::Never }
    }

    pub(crate) const fn kind(self) -> Kind {
        match self {
            Self::Text(_) => Kind::Text,
            Self::Binary(_) => Kind::Binary,
        }
    }
}

impl<'a> From<&'a str> for Message<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a [u8]> for Message<'a> {
    fn from(data: &'a [u8]) -> Self {
        Self::Binary(data)
    }
}

impl<'a> From<&'a OwnedMessage> for Message<'a> {
    fn from(message: &'a OwnedMessage) -> Self {
        message.as_message()
    }
}

/// A message that owns its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum OwnedMessage {
    /// A text message; always UTF-8.
    Text(String),
    /// A binary message.
    Binary(Vec<u8>),
}

impl OwnedMessage {
    /// The message, borrowed.
    pub fn as_message(&self) -> Message<'_> {
        match self {
            Self::Text(text) => Message::Text(text),
            Self::Binary(data) => Message::Binary(data),
        }
    }
}

/// A piece of a message that is sent or received without being held whole in memory.
///
/// Parts of a text are cut between characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part<'a> {
    /// The bytes of this part, of the kind that the whole message has.
    pub data: Message<'a>,
    /// Whether the message ends here.
    pub last: bool,
}

impl<'a> Part<'a> {
    /// To be sent compressed. The first part of a message decides for all.
    pub const fn compressed(self) -> Outgoing<Self> {
        Outgoing { content: self, compress: Compress::Always }
    }

    /// To be sent as it is. The first part of a message decides for all.
    pub const fn uncompressed(self) -> Outgoing<Self> {
        Outgoing { content: self, compress: Compress::Never }
    }
}

/// A [`Message`] or [`Part`] to be sent, and whether it is to be compressed.
///
/// ```
/// use tautline::Message;
/// # use tautline::{Sender, handshake::Agreed};
/// # let (mut sender, mut out) = (Sender::server(&Agreed::default()), Vec::new());
///
/// sender.send("worth compressing if it is long enough", &mut out)?;
/// sender.send(&vec![1, 2, 3], &mut out)?; // bytes make a binary message
/// sender.send(Message::Text("a password").uncompressed(), &mut out)?;
/// # Ok::<(), tautline::SendError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outgoing<T> {
    /// What is to be sent.
    pub content: T,
    /// Whether it is to be compressed.
    pub compress: Compress,
}

/// Whether a message is to be compressed, where permessage-deflate was agreed on. One that would not get shorter is
/// sent as it is, unless it is the first of its kind with context takeover, to which later ones may refer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Compress {
    /// If it is long enough to gain something.
    #[default]
    IfWorthwhile,
    /// However short it is.
    Always,
    /// Never.
    Never,
}

impl<T> From<T> for Outgoing<T> {
    fn from(content: T) -> Self {
        Self { content, compress: Compress::IfWorthwhile }
    }
}

impl<'a> From<&'a str> for Outgoing<Message<'a>> {
    fn from(text: &'a str) -> Self {
        Message::from(text).into()
    }
}

impl<'a> From<&'a String> for Outgoing<Message<'a>> {
    fn from(text: &'a String) -> Self {
        Message::Text(text).into()
    }
}

impl<'a> From<&'a [u8]> for Outgoing<Message<'a>> {
    fn from(data: &'a [u8]) -> Self {
        Message::from(data).into()
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Outgoing<Message<'a>> {
    fn from(data: &'a [u8; N]) -> Self {
        Message::Binary(data).into()
    }
}

impl<'a> From<&'a Vec<u8>> for Outgoing<Message<'a>> {
    fn from(data: &'a Vec<u8>) -> Self {
        Message::Binary(data).into()
    }
}

impl<'a> From<&'a OwnedMessage> for Outgoing<Message<'a>> {
    fn from(message: &'a OwnedMessage) -> Self {
        message.as_message().into()
    }
}

/// How messages are delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Delivery {
    /// Whole, within [`Limits::message_bytes_max`](crate::Limits::message_bytes_max).
    #[default]
    Whole,
    /// In parts, as their bytes arrive. Nothing is kept, so that a message may be larger than memory; to count its
    /// bytes is up to the application. Of a text that turns out not to be UTF-8, how much is delivered before depends
    /// on how its bytes were cut.
    Parts,
}

/// What a peer sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A whole message.
    Message(Message<'a>),
    /// A part of a message, where [`Delivery::Parts`] was chosen.
    Part(Part<'a>),
    /// A ping. A [`Connection`](super::Connection) owes the answer already; nothing needs to be done.
    Ping(&'a [u8]),
    /// A pong.
    Pong(&'a [u8]),
    /// The peer closes, or agrees to close. Nothing comes after it. A [`Connection`](super::Connection) owes the answer
    /// already.
    Close(Close<'a>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Binary,
}

impl Kind {
    pub(crate) const fn opcode(self) -> Opcode {
        match self {
            Self::Text => Opcode::Text,
            Self::Binary => Opcode::Binary,
        }
    }
}

/// What is sent in one frame: a message's kind, its bytes, and whether they are to be compressed.
///
/// To its connection it is handed by reference: a copy would read in one go what was just written in pieces, and wait for
/// all of them to reach memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Payload<'a> {
    pub(crate) kind: Kind,
    pub(crate) bytes: &'a [u8],
    pub(crate) compress: Compress,
}

impl<'a> From<Outgoing<Message<'a>>> for Payload<'a> {
    #[inline]
    fn from(Outgoing { content, compress }: Outgoing<Message<'a>>) -> Self {
        let (kind, bytes) = match content {
            Message::Text(text) => (Kind::Text, text.as_bytes()),
            Message::Binary(data) => (Kind::Binary, data),
        };
        Self { kind, bytes, compress }
    }
}

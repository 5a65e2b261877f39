//! Against tungstenite: the same verdict on every frame, and the same messages.

use std::io::{self, ErrorKind, Read, Write};

use tautline::frame::Role;
use tautline::{Delivery, Limits};
use tungstenite::protocol::{Role as TheirRole, WebSocket, WebSocketConfig};
use tungstenite::{Error, Message};

use super::support::drive::{Outcome, Seen, connection, receive};

/// Bytes of a message, and of a frame.
const MESSAGE_BYTES_MAX: usize = 2_000;
/// Frames beyond these are left out.
const FRAMES_MAX: usize = 64;

/// What it is, and whether a frame shows it.
type Difference = (&'static str, fn(&Sent<'_>) -> bool);

/// Where the two may differ, and why. Everything else is a finding.
const DIFFERENCES: [Difference; 4] = [
    // Theirs decides when a frame is whole, ours at the byte that breaks a rule.
    ("what is wrong with a frame shows before it is whole", |it| it.ours_failed && !it.frame.whole),
    // RFC 6455 section 5.2: "the minimal number of bytes MUST be used to encode the length".
    ("a length that is not minimal", |it| it.ours_failed && !it.frame.minimal),
    // Theirs delivers it, and answers 1002.
    ("a close frame whose code may not be sent", |it| it.ours_failed && it.frame.is_bad_close()),
    // It was registered after the RFC: theirs does not know it, and says 1002 instead.
    ("close code 1014", |it| it.frame.close_code() == Some(1014)),
];

/// A byte of choices, then frames of a peer: after each of them both have delivered the same, or both have failed.
pub fn against_tungstenite(data: &[u8]) {
    let Some((&choices, bytes)) = data.split_first() else { return };
    let role = if choices & 1 == 0 { Role::Server } else { Role::Client };
    let mut limits = Limits::default();
    limits.message_bytes_max = MESSAGE_BYTES_MAX;
    limits.fragments_max = u32::MAX;
    limits.empty_fragments_max = u32::MAX;
    let mut ours = connection(role, &limits, Delivery::Whole);
    let (mut outcome, mut theirs) = (Outcome::default(), Theirs::new(role));
    for frame in Frames(bytes).take(FRAMES_MAX) {
        outcome.events.clear();
        receive(&mut ours, frame.bytes, &mut outcome);
        let they = theirs.receive(frame.bytes);
        let ours_failed = outcome.violation.is_some();
        let sent = Sent { frame, ours_failed };
        let differ = ours_failed != they.is_none()
            || they.as_ref().is_some_and(|events| *events != outcome.events);
        if differ {
            assert!(
                DIFFERENCES.iter().any(|(_, is)| is(&sent)),
                "ours: {:?} {:?}; theirs: {they:?}; {sent:02x?}",
                outcome.violation,
                outcome.events
            );
            return;
        }
        let closed = matches!(outcome.events.last(), Some(Seen::Close(..)));
        if ours_failed || closed {
            return;
        }
    }
}

/// A frame that was given to both.
#[derive(Debug)]
struct Sent<'a> {
    frame: Frame<'a>,
    ours_failed: bool,
}

/// A frame taken apart, without a look at any rule.
#[derive(Debug)]
struct Frame<'a> {
    bytes: &'a [u8],
    payload: Vec<u8>,
    /// All of it is there.
    whole: bool,
    /// Its length is in the shortest form.
    minimal: bool,
}

impl Frame<'_> {
    fn opcode(&self) -> u8 {
        self.bytes.first().map_or(0, |first| first & 0x0F)
    }

    fn close_code(&self) -> Option<u16> {
        let code = self.payload.first_chunk().map(|code| u16::from_be_bytes(*code));
        code.filter(|_| self.opcode() == 8)
    }

    fn is_bad_close(&self) -> bool {
        self.close_code().is_some_and(|code| tautline::CloseCode::new(code).is_none())
    }
}

/// The frames in a run of bytes.
struct Frames<'a>(&'a [u8]);

impl<'a> Iterator for Frames<'a> {
    type Item = Frame<'a>;

    fn next(&mut self) -> Option<Frame<'a>> {
        let bytes = self.0;
        if bytes.is_empty() {
            return None;
        }
        let parsed = parse(bytes);
        let cut = Frame { bytes, payload: Vec::new(), whole: false, minimal: true };
        let frame = parsed.unwrap_or(cut);
        self.0 = bytes.get(frame.bytes.len()..).unwrap_or_default();
        Some(frame)
    }
}

fn parse(bytes: &[u8]) -> Option<Frame<'_>> {
    let second = *bytes.get(1)?;
    let extended = match second & 0x7F {
        126 => bytes.get(2..4)?,
        127 => bytes.get(2..10)?,
        _ => &[],
    };
    let long = extended.iter().fold(0u64, |length, byte| length << 8 | u64::from(*byte));
    let (length, minimal) = match extended.len() {
        2 => (long, long > 125),
        8 => (long, long > 0xFFFF),
        _ => (u64::from(second & 0x7F), true),
    };
    let start = 2 + extended.len();
    let key = if second & 0x80 == 0 { &[] } else { bytes.get(start..start + 4)? };
    let start = start + key.len();
    let end = usize::try_from(length).ok().and_then(|length| start.checked_add(length));
    let payload = end.and_then(|end| bytes.get(start..end));
    let whole = payload.is_some();
    let payload = payload.unwrap_or(bytes.get(start..).unwrap_or_default());
    let bytes = bytes.get(..start + payload.len()).unwrap_or(bytes);
    let payload: Vec<u8> = match key {
        [] => payload.to_vec(),
        key => payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect(),
    };
    Some(Frame { bytes, payload, whole, minimal })
}

/// Their end of the connection.
struct Theirs(WebSocket<Wire>);

/// What has come from the peer and was not read. What is written is thrown away.
struct Wire(Vec<u8>);

impl Theirs {
    fn new(role: Role) -> Self {
        let role = match role {
            Role::Server => TheirRole::Server,
            Role::Client => TheirRole::Client,
        };
        let config = WebSocketConfig::default()
            .max_message_size(Some(MESSAGE_BYTES_MAX))
            .max_frame_size(Some(MESSAGE_BYTES_MAX));
        Self(WebSocket::from_raw_socket(Wire(Vec::new()), role, Some(config)))
    }

    /// What these bytes come to; `None` where they are refused.
    fn receive(&mut self, bytes: &[u8]) -> Option<Vec<Seen>> {
        self.0.get_mut().0.extend_from_slice(bytes);
        let mut events = Vec::new();
        loop {
            match self.0.read() {
                Ok(message) => events.push(seen(message)),
                Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => break,
                Err(Error::ConnectionClosed) => break,
                Err(_) => return None,
            }
            if let Some(Seen::Close(..)) = events.last() {
                break;
            }
        }
        Some(events)
    }
}

fn seen(message: Message) -> Seen {
    match message {
        Message::Text(text) => Seen::text(text.as_str()),
        Message::Binary(data) => Seen::binary(&data),
        Message::Ping(payload) => Seen::Ping(payload.to_vec()),
        Message::Pong(payload) => Seen::Pong(payload.to_vec()),
        Message::Close(None) => Seen::Close(None, String::new()),
        Message::Close(Some(close)) => {
            let code = tautline::CloseCode::new(close.code.into());
            Seen::Close(code, close.reason.as_str().into())
        }
        Message::Frame(_) => panic!("no frame is read by itself"),
    }
}

impl Read for Wire {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = bytes.len().min(self.0.len());
        if count == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        for (slot, byte) in bytes.iter_mut().zip(self.0.drain(..count)) {
            *slot = byte;
        }
        Ok(count)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

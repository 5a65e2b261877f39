//! Drives a connection with bytes alone, and writes down what came of it.

use std::sync::Arc;
use std::time::Instant;

use tautline::frame::Role;
use tautline::handshake::Agreed;
use tautline::{CloseCode, Connection, Delivery, Event, Limits, OwnedMessage, Violation};

/// An event that owns its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    Message(OwnedMessage),
    Part(OwnedMessage, bool),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<CloseCode>, String),
}

impl Seen {
    pub fn text(text: &str) -> Self {
        Self::Message(OwnedMessage::Text(text.into()))
    }

    pub fn binary(data: &[u8]) -> Self {
        Self::Message(OwnedMessage::Binary(data.into()))
    }
}

impl From<Event<'_>> for Seen {
    fn from(event: Event<'_>) -> Self {
        match event {
            Event::Message(message) => Self::Message(message.to_owned()),
            Event::Part(part) => Self::Part(part.data.to_owned(), part.last),
            Event::Ping(payload) => Self::Ping(payload.into()),
            Event::Pong(payload) => Self::Pong(payload.into()),
            Event::Close(close) => Self::Close(close.code, close.reason.into()),
        }
    }
}

/// All that a connection made of some bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub events: Vec<Seen>,
    pub out: Vec<u8>,
    pub violation: Option<Violation>,
}

impl Outcome {
    /// The same, in a form that does not depend on where parts were cut: neighbours are one, and the text before a
    /// byte that is not UTF-8 counts as not delivered, since how much of it came alone is up to the cuts.
    pub fn joined(mut self) -> Self {
        self.events = joined(self.events);
        if self.violation == Some(Violation::InvalidUtf8) {
            self.events.pop_if(|last| matches!(last, Seen::Part(_, false)));
        }
        self
    }
}

/// Events with each run of neighbouring parts put together.
pub fn joined(events: Vec<Seen>) -> Vec<Seen> {
    let mut joined: Vec<Seen> = Vec::new();
    for event in events {
        match (joined.last_mut(), &event) {
            (Some(Seen::Part(before, ended @ false)), Seen::Part(data, last)) => {
                append(before, data);
                *ended = *last;
            }
            _ => joined.push(event),
        }
    }
    joined
}

/// Events with the parts of each message put together to a message, where its last part was.
pub fn gathered(events: Vec<Seen>) -> Vec<Seen> {
    let mut gathered = Vec::new();
    let mut open: Option<OwnedMessage> = None;
    for event in events {
        let Seen::Part(data, last) = event else {
            gathered.push(event);
            continue;
        };
        match &mut open {
            Some(before) => append(before, &data),
            None => open = Some(data),
        }
        if last {
            gathered.extend(open.take().map(Seen::Message));
        }
    }
    gathered
}

fn append(before: &mut OwnedMessage, data: &OwnedMessage) {
    match (before, data) {
        (OwnedMessage::Text(before), OwnedMessage::Text(text)) => before.push_str(text),
        (OwnedMessage::Binary(before), OwnedMessage::Binary(data)) => before.extend(data),
        (before, _) => panic!("a part of another kind than the one before: {before:?}, {data:?}"),
    }
}

/// A connection whose masking keys, where it is a client, are 1, 2, 3 and so on.
pub fn connection(role: Role, limits: &Limits, delivery: Delivery) -> Connection {
    connection_after(&Agreed::default(), role, limits, delivery)
}

/// The same after a handshake that came to this.
pub fn connection_after(
    agreed: &Agreed,
    role: Role,
    limits: &Limits,
    delivery: Delivery,
) -> Connection {
    let (limits, now) = (Arc::new(limits.clone()), Instant::now());
    let mut ws = match role {
        Role::Server => Connection::server(agreed, &limits, now),
        Role::Client => Connection::client(agreed, &limits, now, counted_keys()),
    };
    ws.set_delivery(delivery);
    ws
}

/// The keys 1, 2, 3 and so on.
pub fn counted_keys() -> impl FnMut() -> [u8; 4] + Send + 'static {
    let mut count = 0u32;
    move || {
        count = count.wrapping_add(1);
        count.to_be_bytes()
    }
}

/// Gives a connection one run of bytes, and flushes after each event.
pub fn receive(ws: &mut Connection, bytes: &[u8], outcome: &mut Outcome) {
    let mut bytes = bytes.to_vec();
    let mut incoming = ws.receive(Instant::now(), &mut bytes);
    loop {
        match incoming.next() {
            Ok(Some((event, sender))) => {
                outcome.events.push(event.into());
                sender.flush(&mut outcome.out);
            }
            Ok(None) => break,
            Err(violation) => {
                assert!(
                    outcome.violation.is_none_or(|first| first == violation),
                    "another error later"
                );
                assert_eq!(incoming.next().err(), Some(violation), "another error at once");
                outcome.violation = Some(violation);
                break;
            }
        }
    }
    ws.flush(&mut outcome.out);
}

/// What a connection makes of bytes that come in these runs.
pub fn run<'a>(mut ws: Connection, runs: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let mut outcome = Outcome::default();
    for bytes in runs {
        receive(&mut ws, bytes, &mut outcome);
    }
    outcome
}

/// `bytes` cut at these places, which may be in any order and beyond the end.
pub fn pieces(bytes: &[u8], cuts: impl IntoIterator<Item = usize>) -> Vec<&[u8]> {
    let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

/// Checks the promise that the cuts do not matter: `bytes` whole, byte by byte, and at these cuts. Gives what came of
/// them whole.
pub fn assert_cuts_do_not_matter(
    role: Role,
    limits: &Limits,
    delivery: Delivery,
    bytes: &[u8],
    cuts: impl IntoIterator<Item = usize>,
) -> Outcome {
    assert_cuts_do_not_matter_after(&Agreed::default(), role, limits, delivery, bytes, cuts)
}

/// The same after a handshake that came to this.
pub fn assert_cuts_do_not_matter_after(
    agreed: &Agreed,
    role: Role,
    limits: &Limits,
    delivery: Delivery,
    bytes: &[u8],
    cuts: impl IntoIterator<Item = usize>,
) -> Outcome {
    let run =
        |runs: Vec<&[u8]>| run(connection_after(agreed, role, limits, delivery), runs).joined();
    let whole = run(vec![bytes]);
    assert_eq!(run(bytes.chunks(1).collect()), whole, "byte by byte, and whole");
    let pieces = pieces(bytes, cuts);
    let lengths: Vec<_> = pieces.iter().map(|piece| piece.len()).collect();
    assert_eq!(run(pieces), whole, "in runs of {lengths:?} bytes, and whole");
    whole
}

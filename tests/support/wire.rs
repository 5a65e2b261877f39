//! Two connections wired together, and a model of what each must send and receive.

use std::time::{Duration, Instant};

use tautline::frame::Role;
use tautline::handshake::Agreed;
use tautline::{
    CloseCode, Compress, Connection, Delivery, Expired, Limits, Message, Outgoing, OwnedMessage,
    Part, Prepared, SendError,
};

use super::drive::{Seen, connection_after, gathered, joined};

/// Something that one end does. Lengths are in bytes, in characters for text.
#[derive(Clone, Copy, Debug)]
pub enum Op {
    Text(usize),
    Binary(usize),
    TextPart(usize, bool),
    BinaryPart(usize, bool),
    /// The same four, and a word on compression.
    TextAs(usize, Compress),
    BinaryAs(usize, Compress),
    TextPartAs(usize, bool, Compress),
    BinaryPartAs(usize, bool, Compress),
    /// Bytes that do not compress.
    Noise(usize, Compress),
    /// A text that is prepared, and sent for the first time.
    Prepared(usize, Compress),
    /// One of those that either end has prepared before, if there is any.
    PreparedAgain(usize),
    Ping(usize),
    Close(CloseCode, usize),
    Flush,
    /// Takes so many of the bytes that the other end wrote.
    Receive {
        bytes: usize,
        flush_each: bool,
    },
    /// Lets so many seconds pass.
    Wait(u64),
}

/// Plays the operations, then lets all that was written arrive. Panics where an end does not answer as the protocol
/// wants it, or does not receive what the other one sent, in order.
pub fn play(deliveries: [Delivery; 2], ops: impl IntoIterator<Item = (Role, Op)>) {
    play_after(&[Agreed::default(), Agreed::default()], deliveries, ops);
}

/// The same after a handshake that came to this for the client and the server.
pub fn play_after(
    agreed: &[Agreed; 2],
    deliveries: [Delivery; 2],
    ops: impl IntoIterator<Item = (Role, Op)>,
) {
    let mut client = End::new(&agreed[0], Role::Client, deliveries[0]);
    let mut server = End::new(&agreed[1], Role::Server, deliveries[1]);
    let mut prepared = Vec::new();
    for (role, op) in ops {
        match role {
            Role::Client => client.apply(op, &mut server, &mut prepared),
            Role::Server => server.apply(op, &mut client, &mut prepared),
        }
    }
    client.flush();
    server.flush();
    while !(client.out.is_empty() && server.out.is_empty()) {
        client.receive(server.out.len(), true, &mut server);
        server.receive(client.out.len(), true, &mut client);
    }
    client.assert_heard(&server);
    server.assert_heard(&client);
    assert_eq!(client.closed, server.closed, "a close that was answered or not");
    assert_eq!([client.ws.is_over(), server.ws.is_over()], [client.closed; 2]);
}

struct End {
    ws: Connection,
    delivery: Delivery,
    now: Instant,
    /// What was written and has not arrived.
    out: Vec<u8>,
    sent: Vec<Seen>,
    seen: Vec<Seen>,
    /// The kind of the message in parts that is open: whether it is text.
    open: Option<bool>,
    closed: bool,
    owed_pong: Option<Vec<u8>>,
    owed_close: Option<Seen>,
}

impl End {
    fn new(agreed: &Agreed, role: Role, delivery: Delivery) -> Self {
        let mut limits = Limits::default();
        limits.empty_fragments_max = u32::MAX;
        limits.unanswered_pings_max = u32::MAX;
        Self {
            ws: connection_after(agreed, role, &limits, delivery),
            delivery,
            now: Instant::now(),
            out: Vec::new(),
            sent: Vec::new(),
            seen: Vec::new(),
            open: None,
            closed: false,
            owed_pong: None,
            owed_close: None,
        }
    }

    fn apply(&mut self, op: Op, other: &mut Self, prepared: &mut Vec<Prepared>) {
        let default = Compress::default();
        match op {
            Op::Text(length) => self.apply(Op::TextAs(length, default), other, prepared),
            Op::Binary(length) => self.apply(Op::BinaryAs(length, default), other, prepared),
            Op::TextPart(length, last) => {
                self.apply(Op::TextPartAs(length, last, default), other, prepared);
            }
            Op::BinaryPart(length, last) => {
                self.apply(Op::BinaryPartAs(length, last, default), other, prepared);
            }
            Op::TextAs(length, compress) => {
                self.send(OwnedMessage::Text(self.text(length)), compress);
            }
            Op::BinaryAs(length, compress) => {
                self.send(OwnedMessage::Binary(self.data(length)), compress);
            }
            Op::Noise(length, compress) => {
                self.send(OwnedMessage::Binary(self.noise(length)), compress);
            }
            Op::TextPartAs(length, last, compress) => {
                self.send_part(OwnedMessage::Text(self.text(length)), last, compress);
            }
            Op::BinaryPartAs(length, last, compress) => {
                self.send_part(OwnedMessage::Binary(self.data(length)), last, compress);
            }
            Op::Prepared(length, compress) => {
                let text = self.text(length);
                let content = Message::Text(&text);
                prepared.push(Prepared::new(Outgoing { content, compress }));
                self.send_prepared(prepared.last_mut().expect("it was just added"));
            }
            Op::PreparedAgain(which) => {
                let count = prepared.len();
                if let Some(prepared) = prepared.get_mut(which % count.max(1)) {
                    self.send_prepared(prepared);
                }
            }
            Op::Ping(length) => {
                let payload = self.data(length);
                let expected = self
                    .expect_control((length > 125).then_some(SendError::ControlTooLong(length)));
                self.attempt(expected, Seen::Ping(payload.clone()), |ws, out| {
                    ws.ping(&payload, out)
                });
            }
            Op::Close(code, length) => {
                let reason = "r".repeat(length);
                let expected =
                    self.expect_control((length > 123).then_some(SendError::ReasonTooLong(length)));
                let (now, close) = (self.now, Seen::Close(Some(code), reason.clone()));
                self.closed |=
                    self.attempt(expected, close, |ws, out| ws.close(now, code, &reason, out));
            }
            Op::Flush => self.flush(),
            Op::Receive { bytes, flush_each } => {
                self.receive(bytes.min(other.out.len()), flush_each, other);
            }
            Op::Wait(seconds) => self.wait(Duration::from_secs(seconds)),
        }
    }

    fn flush(&mut self) {
        self.ws.flush(&mut self.out);
        self.note_flush();
    }

    fn expect_message(&self) -> Result<(), SendError> {
        match self.open {
            _ if self.is_closed() => Err(SendError::Closed),
            Some(_) => Err(SendError::PartsUnfinished),
            None => Ok(()),
        }
    }

    fn send(&mut self, message: OwnedMessage, compress: Compress) {
        let what = Seen::Part(message.clone(), true);
        self.attempt(self.expect_message(), what, |ws, out| {
            ws.send(Outgoing { content: message.as_message(), compress }, out)
        });
    }

    fn send_prepared(&mut self, prepared: &mut Prepared) {
        let what = Seen::Part(prepared.message().to_owned(), true);
        self.attempt(self.expect_message(), what, |ws, out| ws.send_prepared(prepared, out));
    }

    fn send_part(&mut self, data: OwnedMessage, last: bool, compress: Compress) {
        let is_text = matches!(data.as_message(), Message::Text(_));
        let expected = match self.open {
            _ if self.is_closed() => Err(SendError::Closed),
            Some(open) if open != is_text => Err(SendError::PartsUnfinished),
            Some(_) | None => Ok(()),
        };
        let content = Part { data: data.as_message(), last };
        let what = Seen::Part(data.clone(), last);
        if self.attempt(expected, what, |ws, out| ws.send_part(Outgoing { content, compress }, out))
        {
            self.open = (!last).then_some(is_text);
        }
    }

    fn expect_control(&self, too_long: Option<SendError>) -> Result<(), SendError> {
        if self.is_closed() { Err(SendError::Closed) } else { too_long.map_or(Ok(()), Err) }
    }

    fn receive(&mut self, bytes: usize, flush_each: bool, other: &mut Self) {
        let mut bytes: Vec<u8> = other.out.drain(..bytes).collect();
        let mut incoming = self.ws.receive(self.now, &mut bytes);
        while let Some((event, sender)) = incoming.next().expect("what the crate writes is legal") {
            let event = Seen::from(event);
            let closed = self.closed || self.owed_close.is_some();
            match &event {
                Seen::Ping(payload) if !closed => self.owed_pong = Some(payload.clone()),
                Seen::Close(code, _) if !closed => {
                    self.owed_close = Some(Seen::Close(*code, String::new()))
                }
                _ => {}
            }
            self.seen.push(event);
            if flush_each {
                sender.flush(&mut self.out);
                self.sent.extend(self.owed_pong.take().map(Seen::Pong));
                self.closed |= self.owed_close.is_some();
                self.sent.extend(self.owed_close.take());
            }
        }
        assert_eq!(incoming.remaining(), 0);
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
        let due = self.ws.deadline().is_some_and(|deadline| deadline <= self.now);
        let before = self.out.len();
        let expired = self.ws.on_deadline(self.now, &mut self.out);
        match expired {
            Expired::Asked => {
                self.note_flush();
                self.sent.push(Seen::Ping(Vec::new()));
            }
            Expired::Nothing | Expired::PeerSilent | Expired::CloseUnanswered => {
                assert_eq!(self.out.len(), before, "{expired:?} writes nothing");
            }
            Expired::Idle => panic!("no idle limit was set"),
        }
        assert_eq!(
            due,
            expired != Expired::Nothing,
            "{expired:?}, and a deadline that passed or not"
        );
        assert!(self.ws.deadline().is_some(), "every state has a deadline");
    }

    /// Sends something, of which the model knows whether it may be sent. What is owed goes first; what is refused
    /// writes nothing.
    fn attempt(
        &mut self,
        expected: Result<(), SendError>,
        what: Seen,
        send: impl FnOnce(&mut Connection, &mut Vec<u8>) -> Result<(), SendError>,
    ) -> bool {
        let before = self.out.len();
        let result = send(&mut self.ws, &mut self.out);
        assert_eq!(result, expected, "{what:?}");
        match result {
            Ok(()) => {
                self.note_flush();
                self.sent.push(what);
            }
            Err(_) => assert_eq!(self.out.len(), before, "a refused {what:?} writes nothing"),
        }
        result.is_ok()
    }

    fn note_flush(&mut self) {
        self.sent.extend(self.owed_pong.take().map(Seen::Pong));
        self.closed |= self.owed_close.is_some();
        self.sent.extend(self.owed_close.take());
    }

    fn is_closed(&self) -> bool {
        self.closed || self.owed_close.is_some()
    }

    fn assert_heard(&self, other: &Self) {
        let sent = other.sent.clone();
        let seen = self.seen.clone();
        match self.delivery {
            Delivery::Whole => assert_eq!(seen, gathered(sent)),
            Delivery::Parts => {
                let empty = |seen: &Seen| matches!(seen, Seen::Part(data, false) if data.as_message().as_bytes().is_empty());
                let sent = sent.into_iter().filter(|seen| !empty(seen)).collect();
                assert_eq!(joined(seen), joined(sent));
            }
        }
    }

    /// Text of so many characters, of every length in UTF-8, that differs from one message to the next.
    fn text(&self, length: usize) -> String {
        "aé€😀ß語".chars().cycle().skip(self.sent.len() % 6).take(length).collect()
    }

    fn data(&self, length: usize) -> Vec<u8> {
        (self.sent.len()..).take(length).map(|i| i as u8).collect()
    }

    /// Bytes without a pattern, which differ from one message to the next.
    fn noise(&self, length: usize) -> Vec<u8> {
        noise(self.sent.len() as u64, length)
    }
}

/// Bytes that do not compress; each seed has its own.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = (seed + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let bytes = std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    });
    bytes.take(length).collect()
}

//! Two connections wired together, and a model of what each must send and receive.

use std::time::{Duration, Instant};

use tautline::frame::Role;
use tautline::{
    CloseCode, Connection, Delivery, Expired, Limits, Message, OwnedMessage, Part, SendError,
};

use super::drive::{Seen, connection, gathered, joined};

/// Something that one end does. Lengths are in bytes, in characters for text.
#[derive(Clone, Copy, Debug)]
pub enum Op {
    Text(usize),
    Binary(usize),
    TextPart(usize, bool),
    BinaryPart(usize, bool),
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
    let mut client = End::new(Role::Client, deliveries[0]);
    let mut server = End::new(Role::Server, deliveries[1]);
    for (role, op) in ops {
        match role {
            Role::Client => client.apply(op, &mut server),
            Role::Server => server.apply(op, &mut client),
        }
    }
    client.apply(Op::Flush, &mut server);
    server.apply(Op::Flush, &mut client);
    while !(client.out.is_empty() && server.out.is_empty()) {
        client.apply(Op::Receive { bytes: usize::MAX, flush_each: true }, &mut server);
        server.apply(Op::Receive { bytes: usize::MAX, flush_each: true }, &mut client);
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
    fn new(role: Role, delivery: Delivery) -> Self {
        let mut limits = Limits::default();
        limits.empty_fragments_max = u32::MAX;
        limits.unanswered_pings_max = u32::MAX;
        Self {
            ws: connection(role, &limits, delivery),
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

    fn apply(&mut self, op: Op, other: &mut Self) {
        match op {
            Op::Text(length) => self.send(OwnedMessage::Text(self.text(length))),
            Op::Binary(length) => self.send(OwnedMessage::Binary(self.data(length))),
            Op::TextPart(length, last) => {
                self.send_part(OwnedMessage::Text(self.text(length)), last)
            }
            Op::BinaryPart(length, last) => {
                self.send_part(OwnedMessage::Binary(self.data(length)), last)
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
            Op::Flush => {
                self.ws.flush(&mut self.out);
                self.note_flush();
            }
            Op::Receive { bytes, flush_each } => {
                self.receive(bytes.min(other.out.len()), flush_each, other)
            }
            Op::Wait(seconds) => self.wait(Duration::from_secs(seconds)),
        }
    }

    fn send(&mut self, message: OwnedMessage) {
        let expected = match self.open {
            _ if self.is_closed() => Err(SendError::Closed),
            Some(_) => Err(SendError::PartsUnfinished),
            None => Ok(()),
        };
        let what = Seen::Part(message.clone(), true);
        self.attempt(expected, what, |ws, out| ws.send(message.as_message(), out));
    }

    fn send_part(&mut self, data: OwnedMessage, last: bool) {
        let is_text = matches!(data.as_message(), Message::Text(_));
        let expected = match self.open {
            _ if self.is_closed() => Err(SendError::Closed),
            Some(open) if open != is_text => Err(SendError::PartsUnfinished),
            Some(_) | None => Ok(()),
        };
        let part = Part { data: data.as_message(), last };
        if self.attempt(expected, Seen::Part(data.clone(), last), |ws, out| ws.send_part(part, out))
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
}

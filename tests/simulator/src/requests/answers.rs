//! The application where it answers requests: as a whole, or by a stream that it writes from wherever it may.

use std::net::SocketAddr;

use tautline::handshake::{HttpRequest, Response, Status};
use tautline::reactor::{Answer, Closed, ConnectionId, Dropped, Hub, SendStatus};
use tautline::{CloseCode, Message, Part};

use crate::app::{App, Cx, Session};
use crate::message::Stamp;
use crate::net::{Broken, Random};

/// Answers with a body, and those that have none.
const STATUSES: [u16; 6] = [200, 200, 200, 404, 204, 304];
/// Chunks in a row, of who writes until there is no more room.
const CHUNKS_IN_A_ROW: usize = 30;
const NOT_OPEN: SendStatus = SendStatus::Dropped(Dropped::NotOpen);

/// What the application keeps for its answers.
pub(crate) struct Answers {
    random: Random,
    /// The streams that are under way, as this handler knows them.
    streams: Vec<(usize, ConnectionId)>,
}

impl Answers {
    pub(crate) fn new(random: Random) -> Self {
        Self { random, streams: Vec::new() }
    }

    pub(crate) fn streams(&self) -> &[(usize, ConnectionId)] {
        &self.streams
    }
}

impl App {
    pub(crate) fn answer(
        &mut self,
        cx: &mut Cx<'_>,
        request: &HttpRequest<'_>,
        peer: SocketAddr,
    ) -> Answer {
        let number: usize = request.path()[1..].parse().expect("the number of a request");
        let pipe = usize::from(peer.port()) - 1024;
        let mut body = request.body();
        if self.breaks(Broken::BodyCut) {
            body = &body[..body.len().saturating_sub(1)];
        }
        self.oracle.get().asked(number, self.number, pipe, (request.method(), body));
        cx.session().exchange = Some(number);
        // It takes nothing before its answer.
        for status in [cx.write(b"early"), cx.finish(), cx.send("early")] {
            if status != NOT_OPEN {
                self.oracle.get().fail(format!("request {number} says {status:?} too early"));
            }
        }
        self.write_to_any(cx);
        let status = self.answers.random.pick(&STATUSES);
        let stamp = self.draw_chunk(number);
        let first = stamp.map(|it| it.fill()).unwrap_or_default();
        let response = Response::new(Status::new(status).expect("a status")).text(first);
        let stream = self.answers.random.draw(3) > 0;
        // Who says what comes back of nothing has said so all the same.
        let empty = Stamp { from: 0, number: 0, bytes: 0, text: false };
        let stamp = Some(stamp.unwrap_or(empty));
        self.oracle.get().answered(number, status, stream, stamp);
        if self.breaks(Broken::RequestTwice) {
            let asked = (request.method(), body);
            self.oracle.get().asked(number, self.number, pipe, asked);
        }
        if !stream {
            return response.into();
        }
        self.answers.streams.push((number, cx.id()));
        Answer::Stream(response)
    }

    fn draw_chunk(&mut self, number: usize) -> Option<Stamp> {
        let random = &mut self.answers.random;
        let bytes = match random.draw(5) {
            0 => 0,
            1 => random.draw(40),
            _ => random.draw(self.plan.chunk_bytes_max),
        };
        self.oracle.get().chunk(number, bytes)
    }

    /// Goes on with one of the streams, from outside of any event.
    pub(crate) fn write_from_outside(&mut self, hub: &mut Hub<'_, Session>) {
        let streams = self.answers.streams.clone();
        if streams.is_empty() {
            return;
        }
        let (number, id) = self.answers.random.pick(&streams);
        match hub.connection(id) {
            Some(mut cx) => {
                // All was tried to be written before the turn.
                let blocked = cx.waiting_bytes() > 0;
                self.oracle.get().exchanges[number].is_blocked = blocked;
                self.go_on(&mut cx, number);
                self.oracle.get().exchanges[number].is_blocked = false;
            }
            None => self.oracle.get().unreachable(number),
        }
    }

    /// Goes on with one of the streams, from the event of another connection.
    pub(crate) fn write_to_any(&mut self, cx: &mut Cx<'_>) {
        let streams = self.answers.streams.clone();
        if streams.is_empty() || self.answers.random.draw(3) > 0 {
            return;
        }
        let (number, id) = self.answers.random.pick(&streams);
        match cx.connection(id) {
            Some(mut other) => self.go_on(&mut other, number),
            None => self.oracle.get().unreachable(number),
        }
    }

    fn go_on(&mut self, cx: &mut Cx<'_>, number: usize) {
        match self.answers.random.draw(12) {
            0..=5 => {
                self.chunk(cx, number);
            }
            6..=8 => self.fill(cx, number),
            9 => self.ask_for_other_things(cx, number),
            10 => self.end_stream(cx, number),
            11 if self.answers.random.draw(2) == 0 => {
                // Whatever it is told.
                for _ in 0..CHUNKS_IN_A_ROW {
                    self.chunk(cx, number);
                }
            }
            _ => {}
        }
    }

    /// Says that a stream is whole, at times with much before it that waits still.
    fn end_stream(&mut self, cx: &mut Cx<'_>, number: usize) {
        match self.answers.random.draw(3) {
            0 => return,
            1 => self.fill(cx, number),
            _ => {}
        }
        let status = cx.finish();
        self.oracle.get().finishes(number, status);
        self.chunk(cx, number);
    }

    /// Writes until it is told that there is no more room.
    fn fill(&mut self, cx: &mut Cx<'_>, number: usize) {
        for _ in 0..CHUNKS_IN_A_ROW {
            if self.chunk(cx, number) != Some(SendStatus::Sent) {
                break;
            }
        }
    }

    fn chunk(&mut self, cx: &mut Cx<'_>, number: usize) -> Option<SendStatus> {
        let stamp = self.draw_chunk(number)?;
        let waited = cx.waiting_bytes();
        let status = cx.write(stamp.fill().as_bytes());
        self.oracle.get().wrote(number, status, stamp, waited);
        Some(status)
    }

    /// What is there for WebSockets only does nothing.
    fn ask_for_other_things(&mut self, cx: &mut Cx<'_>, number: usize) {
        let part = Part { data: Message::Text("a part"), last: true };
        let close = CloseCode::NORMAL;
        let said = [cx.send("text"), cx.send_part(part), cx.ping(b""), cx.close(close, "")];
        if said != [NOT_OPEN; 4] || cx.subscribe("0") {
            self.oracle.get().fail(format!("request {number} is taken for a WebSocket"));
        }
    }

    pub(crate) fn stream_has_room(&mut self, cx: &mut Cx<'_>, number: usize) {
        if self.breaks(Broken::RoomMissed) {
            return;
        }
        self.oracle.get().has_room(number, cx.waiting_bytes());
        match self.answers.random.draw(6) {
            0..=3 => self.fill(cx, number),
            4 => self.go_on(cx, number),
            _ => self.end_stream(cx, number),
        }
    }

    pub(crate) fn stream_closed(&mut self, cx: &mut Cx<'_>, number: usize, closed: &Closed) {
        self.answers.streams.retain(|(it, _)| *it != number);
        if self.breaks(Broken::CloseMissed) {
            return;
        }
        self.oracle.get().stream_closed(number, closed);
        if self.breaks(Broken::CloseTwice) {
            self.oracle.get().stream_closed(number, closed);
        }
        // Nothing of this may be taken by a connection that has ended.
        self.chunk(cx, number);
        let status = cx.finish();
        self.oracle.get().finishes(number, status);
        self.write_to_any(cx);
    }
}

//! Requests that ask for no upgrade: what the oracle knows of each, from its first byte to the end of its answer.
//!
//! [`client`] sends them and reads the answers, [`answers`] is the application that gives them.

pub(crate) mod answers;
mod checks;
pub(crate) mod client;
mod reader;
mod request;
mod wire;

use std::collections::VecDeque;
use std::time::Instant;

use tautline::reactor::{Dropped, SendStatus};

use crate::message::Stamp;
use crate::oracle::Oracle;
pub(crate) use request::Request;

/// What a chunk costs beside its bytes: its length before it, and the ends of lines.
const CHUNK_EXTRA_BYTES: usize = 20;

/// A request and its answer.
pub(crate) struct Exchange {
    pub(crate) request: Request,
    /// The net's number of its connection.
    pub(crate) pipe: usize,
    /// The loop that was asked.
    pub(crate) at: Option<usize>,
    pub(crate) phase: Phase,
    /// The client has ended its direction.
    pub(crate) client_ended: bool,
    /// The status of the answer, and whether a body follows its head.
    pub(crate) status: Option<u16>,
    pub(crate) has_body: bool,
    /// The body of an answer that is whole.
    pub(crate) whole: Option<Stamp>,
    /// Chunks that were accepted, as long as they are on their way.
    pub(crate) chunks: VecDeque<Stamp>,
    chunks_made: u64,
    /// The application has said that nothing follows.
    pub(crate) finished: bool,
    /// The handler was told that all was written.
    pub(crate) agreed: bool,
    /// When it was answered as a whole, or when its stream ended.
    pub(crate) ended_at: Option<Instant>,
    /// Its end is known, and its handler has to be told in this turn.
    must_close: bool,
    /// The end that is to come is that of a client that does not read.
    is_behind: bool,
    /// Its socket is full: what waits now was tried to be written before.
    pub(crate) is_blocked: bool,
    /// The handler has to be told as soon as nothing waits any more.
    owes_room: bool,
    /// It has room since the last turn, so that it has to be told in this one.
    room_is_due: bool,
    /// Bytes that waited after the last turn, since when some do, and what was made since that turn.
    pub(crate) waiting: usize,
    waiting_since: Option<Instant>,
    made_bytes: usize,
}

/// How far a request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The handler does not know of it.
    Asking,
    /// It was answered as a whole.
    Answered,
    /// It is being answered by a stream.
    Streaming,
    /// The handler was told of the stream's end.
    Closed,
}

impl Exchange {
    fn new(request: Request, pipe: usize) -> Self {
        Self {
            request,
            pipe,
            at: None,
            phase: Phase::Asking,
            client_ended: false,
            status: None,
            has_body: false,
            whole: None,
            chunks: VecDeque::new(),
            chunks_made: 0,
            finished: false,
            agreed: false,
            ended_at: None,
            must_close: false,
            is_behind: false,
            is_blocked: false,
            owes_room: false,
            room_is_due: false,
            waiting: 0,
            waiting_since: None,
            made_bytes: 0,
        }
    }
}

impl Oracle {
    /// Something that is worth to be counted, so that it can be seen that it happens at all.
    pub(crate) fn count(&mut self, what: &'static str) {
        *self.tally.entry(what).or_default() += 1;
    }

    /// A request that is about to be sent.
    pub(crate) fn exchange(&mut self, request: Request, pipe: usize) -> usize {
        self.exchanges.push(Exchange::new(request, pipe));
        self.exchanges.len() - 1
    }

    /// Something happens to a request, or to its answer.
    pub(crate) fn note_exchange(&mut self, number: usize, what: &'static str, bytes: usize) {
        let at = self.exchanges[number].at;
        self.net.sim().note(at, what, [number as u64, bytes as u64, 0]);
        self.count(what);
    }

    /// A handler is asked.
    pub(crate) fn asked(
        &mut self,
        number: usize,
        at: usize,
        pipe: usize,
        (method, body): (&str, &[u8]),
    ) {
        self.exchanges[number].at = Some(at);
        self.note_exchange(number, "is asked", body.len());
        let it = &self.exchanges[number];
        let wrong = match it.request.body {
            _ if it.phase != Phase::Asking => Some("is asked twice"),
            _ if it.pipe != pipe => Some("comes from somebody else"),
            _ if it.request.refused_with.is_some() => Some("should have been refused"),
            _ if it.request.method != method => Some("has another method"),
            sent if sent.bytes != body.len() => Some("has a body of another length"),
            sent if sent.fill().as_bytes() != body => Some("has another body"),
            _ if body.len() > self.limits.request_body_bytes_max => Some("has too long a body"),
            _ => None,
        };
        if let Some(wrong) = wrong {
            self.fail(format!("request {number} {wrong}"));
        }
    }

    /// What a new chunk, or a whole body, of an answer is to be, where some may still be made.
    pub(crate) fn chunk(&mut self, number: usize, bytes: usize) -> Option<Stamp> {
        if self.chunks_left == 0 || self.chunk_bytes_left < bytes {
            return None;
        }
        self.chunks_left -= 1;
        self.chunk_bytes_left -= bytes;
        let it = &mut self.exchanges[number];
        it.chunks_made += 1;
        Some(Stamp { from: 2_000_000 + number as u64, number: it.chunks_made, bytes, text: false })
    }

    /// A handler has answered, as a whole or with the head of a stream and its first chunk.
    pub(crate) fn answered(
        &mut self,
        number: usize,
        status: u16,
        stream: bool,
        body: Option<Stamp>,
    ) {
        self.note_exchange(number, if stream { "begins a stream" } else { "is answered" }, 0);
        let now = self.now();
        let it = &mut self.exchanges[number];
        it.status = Some(status);
        it.has_body = it.request.method != "HEAD" && !matches!(status, 204 | 304);
        if stream {
            it.phase = Phase::Streaming;
            it.finished = !it.has_body;
            let first = body.filter(|it| it.bytes > 0);
            it.made_bytes = 500 + first.map_or(0, |it| it.bytes);
            it.chunks.extend(first.filter(|_| it.has_body));
        } else {
            (it.phase, it.whole, it.ended_at) = (Phase::Answered, body, Some(now));
        }
    }

    /// What became of a chunk, while so much waited before it.
    pub(crate) fn wrote(
        &mut self,
        number: usize,
        status: SendStatus,
        stamp: Stamp,
        waited: usize,
    ) -> bool {
        let accepted = self.accepted(number, status, stamp.bytes, waited);
        if accepted {
            let it = &mut self.exchanges[number];
            it.chunks.extend(Some(stamp).filter(|it| it.bytes > 0));
        }
        accepted
    }

    /// What became of the end of an answer.
    pub(crate) fn finishes(&mut self, number: usize, status: SendStatus) {
        if self.accepted(number, status, 5, 0) {
            self.exchanges[number].finished = true;
            self.note_exchange(number, "is finished", 0);
        }
    }

    fn accepted(&mut self, number: usize, status: SendStatus, bytes: usize, waited: usize) -> bool {
        self.note_exchange(number, "writes", bytes);
        let (bytes_max, ending) = (self.limits.outbox_bytes_max, self.shutting_down);
        let it = &mut self.exchanges[number];
        let is_over = it.is_blocked && waited > bytes_max;
        let streams = it.phase == Phase::Streaming && !it.finished;
        match status {
            SendStatus::Sent | SendStatus::Queued if streams && !is_over => {
                it.made_bytes += bytes + CHUNK_EXTRA_BYTES;
                it.owes_room |= status == SendStatus::Queued;
                return true;
            }
            // A shutdown finishes it, and tells the end only when that is written.
            SendStatus::Dropped(Dropped::NotOpen) => it.must_close |= streams && !ending,
            SendStatus::Dropped(Dropped::NotReading) if streams && waited > bytes_max => {
                (it.must_close, it.is_behind) = (true, true);
                self.count("takes no more");
            }
            other => self.fail(format!("request {number} says {other:?} to {bytes} bytes")),
        }
        false
    }

    /// A stream that the handler has not been told the end of cannot be reached.
    pub(crate) fn unreachable(&mut self, number: usize) {
        let it = &mut self.exchanges[number];
        it.must_close |= it.phase == Phase::Streaming;
    }

    /// A handler is told that there is room.
    pub(crate) fn has_room(&mut self, number: usize, waiting: usize) {
        self.note_exchange(number, "is told of room", 0);
        let it = &mut self.exchanges[number];
        (it.owes_room, it.room_is_due) = (false, false);
        let wrong = match () {
            () if it.phase != Phase::Streaming => "and does not stream",
            () if it.finished => "and is finished",
            () if waiting > 0 => "and something waits",
            () => return,
        };
        self.fail(format!("request {number} is told of room, {wrong}"));
    }
}

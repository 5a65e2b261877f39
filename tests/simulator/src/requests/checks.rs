//! What is checked of requests and their answers after every turn of a loop, and when all is at rest.

use std::time::Instant;

use tautline::reactor::Closed;

use super::{Exchange, Phase};
use crate::checks::{TICK, allowed_to_wait};
use crate::net::SimNet;
use crate::oracle::Oracle;

/// A segment of an outbox is kept until all of it is written.
const SEGMENT_BYTES: usize = 64 * 1024;

impl Oracle {
    /// The request whose connection this is.
    pub(crate) fn exchange_of(&self, pipe: usize) -> Option<&Exchange> {
        self.exchanges.iter().find(|it| it.pipe == pipe)
    }

    /// Checks the answers of a loop whose turn is over. `waiting` says how many bytes wait for each stream.
    pub(crate) fn check_streams(&mut self, at: usize, waiting: &[(usize, usize)]) {
        for (number, waiting) in waiting {
            self.check_stream(*number, *waiting);
        }
        let mut mine = self.exchanges.iter().filter(|it| it.at == Some(at));
        if mine.any(|it| it.must_close && it.phase == Phase::Streaming) {
            self.fail(format!("loop {at} does not tell the end of a stream"));
        }
    }

    fn check_stream(&mut self, number: usize, waiting: usize) {
        let (now, limits) = (self.now(), self.limits.clone());
        let secure = self.secure;
        let pipe = self.exchanges[number].pipe;
        let written_at = self.net.sim().heard_at(pipe, false).map(|it| it.1);
        let had_room = written_at == Some(now);
        let it = &mut self.exchanges[number];
        let bytes_max = limits.outbox_bytes_max;
        let allowed = allowed_to_wait(it.waiting, it.made_bytes, bytes_max, had_room);
        (it.waiting, it.made_bytes) = (waiting, 0);
        if waiting > 0 {
            it.waiting_since.get_or_insert(now);
            it.owes_room |= !it.finished;
        } else {
            it.waiting_since = None;
        }
        let owes = it.owes_room && !it.finished && waiting == 0 && !secure;
        let late = std::mem::replace(&mut it.room_is_due, owes) && owes;
        let stalled =
            it.stalls_since(written_at).is_some_and(|at| now >= at + limits.pong_within + TICK);
        if waiting > allowed + 512 {
            self.fail(format!("{waiting} bytes wait for request {number}, and {allowed} may"));
        } else if late {
            self.fail(format!("request {number} has room, and its handler was not told"));
        } else if stalled && !self.shutting_down {
            self.fail(format!("request {number} waits for a client that takes nothing"));
        }
    }

    /// A loop that has connections of requests only holds no more than these may.
    pub(crate) fn check_held(&mut self, net: &SimNet, at: usize, held: usize) {
        let held_bytes_max = self.limits.held_bytes_max;
        if held > held_bytes_max {
            return self.fail(format!("loop {at} holds {held} bytes, and {held_bytes_max} may be"));
        }
        let pipes: Vec<_> = net.sim().streams_of(at).map(|it| it.0).collect();
        let mut allowed = 0;
        for pipe in &pipes {
            match self.exchange_of(*pipe) {
                Some(it) if !self.secure => allowed += it.may_hold(self.chunk_bytes_max),
                _ => return,
            }
        }
        if held > allowed {
            self.fail(format!("loop {at} holds {held} bytes, and its requests {allowed}"));
        } else if held > 0 {
            self.count("is held");
        }
    }

    /// A loop does not sleep beyond a deadline of its requests.
    pub(crate) fn check_sleep_of_requests(
        &self,
        at: usize,
        until: Option<Instant>,
    ) -> Result<(), String> {
        let streams: Vec<_> = self.net.sim().streams_of(at).map(|it| it.0).collect();
        for (number, it) in self.exchanges.iter().enumerate() {
            if it.at != Some(at) || !streams.contains(&it.pipe) {
                continue;
            }
            let written_at = self.net.sim().heard_at(it.pipe, false).map(|it| it.1);
            let deadline = match it.phase {
                Phase::Asking => None,
                // Its time began anew when it was finished; the shutdown as a whole has an end.
                Phase::Streaming if self.shutting_down => None,
                Phase::Streaming => {
                    it.stalls_since(written_at).map(|at| at + self.limits.pong_within)
                }
                Phase::Answered | Phase::Closed => {
                    it.ended_at.max(written_at).map(|at| at + self.limits.close_within)
                }
            };
            let late = |deadline| until.is_none_or(|until| until > deadline + TICK);
            if deadline.is_some_and(late) {
                return Err(format!("loop {at} sleeps beyond a deadline of request {number}"));
            }
        }
        Ok(())
    }

    /// A handler is told of the end of a stream.
    pub(crate) fn stream_closed(&mut self, number: usize, closed: &Closed) {
        self.note_exchange(number, "is closed as a stream", closed.code().into());
        self.count(match closed {
            Closed::Agreed { .. } => "ends whole",
            Closed::NotReading => "ends unread",
            Closed::Overload => "ends in overload",
            _ => "ends lost",
        });
        let now = self.now();
        let it = &self.exchanges[number];
        if it.phase != Phase::Streaming {
            return self.fail(format!("request {number} is closed, and is {:?}", it.phase));
        }
        if let Err(why) = self.may_end(it, closed, now) {
            self.fail(format!("request {number} is closed ({closed}): {why}"));
        }
        let it = &mut self.exchanges[number];
        it.agreed = matches!(closed, Closed::Agreed { .. });
        (it.phase, it.ended_at) = (Phase::Closed, Some(now));
    }

    /// Whether the end of a stream may come so.
    fn may_end(&self, it: &Exchange, closed: &Closed, now: Instant) -> Result<(), &'static str> {
        let (holds, otherwise) = match closed {
            Closed::Agreed { code: None, reason } if reason.is_empty() => {
                (it.finished || self.shutting_down, "it is not finished")
            }
            Closed::NotReading => {
                let written_at = self.net.sim().heard_at(it.pipe, false).map(|it| it.1);
                let within = self.limits.pong_within;
                let early = written_at.is_some_and(|at| now.saturating_duration_since(at) < within);
                // A shutdown does not wait for who takes a little all the time.
                (it.is_behind || !early || self.shutting_down, "too early")
            }
            Closed::Overload => (self.limits.held_bytes_max < 1_000_000, "so much is not held"),
            Closed::Lost(_) => {
                let too_much = it.request.behind > self.limits.head_bytes_max;
                let broken = self.net.sim().is_broken(it.pipe);
                // Who has only ended its direction gets the rest of what is finished.
                let left = it.client_ended && (!it.finished || self.secure);
                (broken || left || too_much, "nothing has broken it")
            }
            _ => (false, "there is no reason for it"),
        };
        if holds { Ok(()) } else { Err(otherwise) }
    }
}

impl Exchange {
    /// Since when its client has surely taken nothing of what waits.
    fn stalls_since(&self, written_at: Option<Instant>) -> Option<Instant> {
        self.waiting_since.max(written_at).filter(|_| self.waiting > 0)
    }

    /// How many bytes its connection may hold.
    fn may_hold(&self, chunk_bytes_max: usize) -> usize {
        let head_bytes = self.request.head().len();
        match self.phase {
            // A buffer that grows has up to twice as much room as it needs.
            Phase::Asking if self.request.refused_with.is_some() => 2 * head_bytes + 1_000,
            Phase::Asking => 2 * (head_bytes + self.request.body.bytes) + 1_000,
            Phase::Answered => 1_000 + self.whole.map_or(0, |it| it.bytes),
            Phase::Streaming | Phase::Closed => {
                self.waiting + self.made_bytes + SEGMENT_BYTES + chunk_bytes_max + 1_000
            }
        }
    }
}

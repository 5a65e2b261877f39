//! What a connection waits for, and until when.

use std::time::{Duration, Instant};

use crate::limits::Limits;

/// The deadlines of an open connection: every state that waits for the peer has one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadlines {
    phase: Phase,
    /// When the last message came.
    message_at: Instant,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// The peer was last heard at this time.
    Heard(Instant),
    /// The peer was asked at this time whether it lives, and has not been heard since.
    Asked(Instant),
    /// A close frame was sent at this time. Nothing that comes extends what follows.
    Closing(Instant),
}

/// What has to be done at a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Nothing,
    Ping,
    Idle,
    PeerSilent,
    CloseUnanswered,
}

impl Deadlines {
    pub(crate) fn new(now: Instant) -> Self {
        Self { phase: Phase::Heard(now), message_at: now }
    }

    /// Bytes came from the peer, or were taken by it. Whether it was asked: only then may the next deadline be earlier
    /// than the last one.
    #[inline]
    pub(crate) fn heard(&mut self, now: Instant) -> bool {
        let asked = matches!(self.phase, Phase::Asked(_));
        match self.phase {
            Phase::Heard(_) | Phase::Asked(_) => self.phase = Phase::Heard(now),
            Phase::Closing(_) => {}
        }
        asked
    }

    /// A message, or a part of one, came.
    #[inline]
    pub(crate) fn message(&mut self, now: Instant) {
        self.message_at = now;
    }

    /// A close frame was sent.
    pub(crate) fn closing(&mut self, now: Instant) {
        if !matches!(self.phase, Phase::Closing(_)) {
            self.phase = Phase::Closing(now);
        }
    }

    /// A close frame was sent by the sending half alone, in answer to what was heard last.
    pub(crate) fn closing_since_heard(&mut self) {
        match self.phase {
            Phase::Heard(at) | Phase::Asked(at) => self.phase = Phase::Closing(at),
            Phase::Closing(_) => {}
        }
    }

    /// When [`expire`](Self::expire) has to be called next; `None` is never.
    pub(crate) fn next(&self, limits: &Limits) -> Option<Instant> {
        let (since, within) = match self.phase {
            Phase::Heard(at) => (at, limits.ping_after),
            Phase::Asked(at) => (at, Some(limits.pong_within)),
            Phase::Closing(at) => return after(at, Some(limits.close_within)),
        };
        match (after(since, within), after(self.message_at, limits.idle_after)) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// What is due at `now`.
    pub(crate) fn expire(&mut self, now: Instant, limits: &Limits) -> Due {
        let passed = |deadline: Option<Instant>| deadline.is_some_and(|it| it <= now);
        match self.phase {
            Phase::Closing(at) => {
                if passed(after(at, Some(limits.close_within))) {
                    Due::CloseUnanswered
                } else {
                    Due::Nothing
                }
            }
            Phase::Asked(at) if passed(after(at, Some(limits.pong_within))) => Due::PeerSilent,
            Phase::Heard(_) | Phase::Asked(_)
                if passed(after(self.message_at, limits.idle_after)) =>
            {
                Due::Idle
            }
            Phase::Heard(at) if passed(after(at, limits.ping_after)) => {
                self.phase = Phase::Asked(now);
                Due::Ping
            }
            Phase::Heard(_) | Phase::Asked(_) => Due::Nothing,
        }
    }
}

fn after(at: Instant, within: Option<Duration>) -> Option<Instant> {
    at.checked_add(within?)
}

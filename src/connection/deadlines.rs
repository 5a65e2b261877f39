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

    /// Bytes came from the peer, or were taken by it.
    #[inline]
    pub(crate) fn heard(&mut self, now: Instant) {
        match self.phase {
            Phase::Heard(_) | Phase::Asked(_) => self.phase = Phase::Heard(now),
            Phase::Closing(_) => {}
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn limits() -> Limits {
        Limits {
            ping_after: Some(10 * SECOND),
            pong_within: 3 * SECOND,
            close_within: 5 * SECOND,
            ..Limits::default()
        }
    }

    #[test]
    fn silence_is_asked_about_and_then_ends_the_connection() {
        let (start, limits) = (Instant::now(), limits());
        let mut deadlines = Deadlines::new(start);
        assert_eq!(deadlines.next(&limits), Some(start + 10 * SECOND));
        assert_eq!(deadlines.expire(start + 9 * SECOND, &limits), Due::Nothing);
        assert_eq!(deadlines.expire(start + 10 * SECOND, &limits), Due::Ping);
        assert_eq!(deadlines.next(&limits), Some(start + 13 * SECOND));
        assert_eq!(deadlines.expire(start + 12 * SECOND, &limits), Due::Nothing);
        assert_eq!(deadlines.expire(start + 13 * SECOND, &limits), Due::PeerSilent);
    }

    #[test]
    fn a_peer_that_is_heard_is_asked_anew() {
        let (start, limits) = (Instant::now(), limits());
        let mut deadlines = Deadlines::new(start);
        assert_eq!(deadlines.expire(start + 10 * SECOND, &limits), Due::Ping);
        deadlines.heard(start + 12 * SECOND);
        assert_eq!(deadlines.next(&limits), Some(start + 22 * SECOND));
        assert_eq!(deadlines.expire(start + 13 * SECOND, &limits), Due::Nothing);
    }

    #[test]
    fn the_deadline_of_a_close_is_not_extended_by_what_comes() {
        let (start, limits) = (Instant::now(), limits());
        let mut deadlines = Deadlines::new(start);
        deadlines.closing(start + SECOND);
        deadlines.heard(start + 2 * SECOND);
        deadlines.closing(start + 3 * SECOND);
        assert_eq!(deadlines.next(&limits), Some(start + 6 * SECOND));
        assert_eq!(deadlines.expire(start + 6 * SECOND, &limits), Due::CloseUnanswered);
    }

    #[test]
    fn pongs_do_not_keep_an_idle_connection_open() {
        let (start, mut limits) = (Instant::now(), limits());
        limits.idle_after = Some(12 * SECOND);
        let mut deadlines = Deadlines::new(start);
        deadlines.heard(start + 8 * SECOND);
        assert_eq!(deadlines.next(&limits), Some(start + 12 * SECOND));
        assert_eq!(deadlines.expire(start + 12 * SECOND, &limits), Due::Idle);
    }

    #[test]
    fn limits_too_far_to_be_reached_are_never_reached() {
        let (start, mut limits) = (Instant::now(), limits());
        limits.ping_after = Some(Duration::MAX);
        assert_eq!(Deadlines::new(start).next(&limits), None);
        limits.ping_after = None;
        assert_eq!(Deadlines::new(start).next(&limits), None);
    }
}

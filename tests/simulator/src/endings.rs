//! Ends of connections, as the oracle sees them: each comes once, and for a reason that there was.

use std::io::ErrorKind;
use std::time::Instant;

use tautline::Violation;
use tautline::reactor::Closed;

use crate::oracle::{CLIENT, EndId, Oracle, Phase};

/// Codes that the engine closes with by itself: idle or shutting down, pings, a long message.
const OWN_CODES: [u16; 4] = [1001, 1008, 1009, 1013];

impl Oracle {
    /// A handler is told of an end.
    pub(crate) fn closed(&mut self, id: EndId, closed: &Closed) {
        self.note(id, "is closed", closed.code().into());
        let now = self.now();
        let before = self.end(id).phase;
        let expected = before == Phase::Open || before == Phase::New && id.1 == CLIENT;
        if !expected {
            self.fail(format!("{id:?} is told of its end, and is {before:?}"));
        }
        if let Err(why) = self.may_close(id, closed) {
            self.fail(format!("{id:?} is closed ({closed}): {why}"));
        }
        let end = self.end(id);
        (end.phase, end.closed_at, end.must_close) = (Phase::Closed, Some(now), false);
        for subscribers in self.topics.values_mut() {
            subscribers.retain(|it| *it != id);
        }
    }

    /// Whether an end may come so.
    fn may_close(&self, id: EndId, closed: &Closed) -> Result<(), String> {
        let limits = &self.limits;
        let link = &self.links[id.0];
        let (end, other) = (&link.ends[id.1], &link.ends[1 - id.1]);
        match closed {
            Closed::Agreed { .. } | Closed::Violation(_) | Closed::Unanswered
                if end.pause.lasts && !self.shutting_down =>
            {
                Err("it is paused".into())
            }
            Closed::Agreed { code, .. } => {
                if let Some(missing) = other.ledger.missing() {
                    return Err(format!("{missing:?} has not arrived"));
                }
                let code = code.map(|it| it.get());
                let said = code.is_some() && [other.code, end.code].contains(&code);
                let own = code.is_some_and(|it| OWN_CODES.contains(&it));
                ensure(link.raw || said || own, "nobody has closed with that code")
            }
            Closed::Violation(_) if link.misbehaves => Ok(()),
            Closed::Violation(Violation::MessageTooBig) => {
                let longer = other.ledger.has_longer_than(limits.message_bytes_max);
                ensure(longer, "no message is over the limit")
            }
            Closed::Violation(Violation::TooManyPings) => {
                ensure(limits.unanswered_pings_max < 100, "so many pings were not sent")
            }
            Closed::Silent => {
                let pipe = link.pipe;
                let heard = pipe.and_then(|it| self.net.sim().heard_at(it, id.1 == CLIENT));
                let within = limits.ping_after.unwrap_or_default() + limits.pong_within;
                ensure(!self.is_within(heard.map(|(read, _)| read), within), "too early")?;
                ensure(!self.is_within(end.pause.changed_at, within), "too early for its pause")?;
                // Of what TLS has encrypted already, nothing is known.
                let takes = end.pause.lasts && end.waiting == 0 && !self.secure;
                ensure(!takes, "it is paused, and nothing waits for it")
            }
            Closed::Unanswered => {
                let closing_at = end.closing_at.filter(|_| end.code.is_some());
                ensure(!self.is_within(closing_at, limits.close_within), "too early")
            }
            Closed::NotReading => Ok(()),
            Closed::Overload => ensure(limits.held_bytes_max < 1_000_000, "so much is not held"),
            Closed::Lost(error) if end.phase == Phase::New => {
                let early = self.is_within(end.begun_at, limits.handshake_within);
                ensure(error.kind() != ErrorKind::TimedOut || !early, "too early")
            }
            Closed::Refused(_) if end.phase == Phase::New => Ok(()),
            Closed::Lost(_) => {
                let broken = link.pipe.is_none_or(|pipe| self.net.sim().is_broken(pipe));
                let ended = link.misbehaves || other.phase == Phase::Closed;
                ensure(broken || ended, "nothing has broken it")
            }
            _ => Err("there is no reason for it".into()),
        }
    }

    /// Whether less time than this has passed since then.
    fn is_within(&self, since: Option<Instant>, within: std::time::Duration) -> bool {
        since.is_some_and(|since| self.now().saturating_duration_since(since) < within)
    }
}

fn ensure(holds: bool, otherwise: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise.into()) }
}

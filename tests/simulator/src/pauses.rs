//! Pauses: an application reads no further from a connection for a while, and what the oracle knows of that.

use std::time::Instant;

use tautline::reactor::{ConnectionId, Hub};

use crate::app::{App, Cx, Session};
use crate::net::{Broken, Random};
use crate::oracle::{CLIENT, End, EndId, Oracle, Phase, SERVER};
use crate::plan::Plan;

/// What is known of the pauses of an end.
#[derive(Debug, Default)]
pub(crate) struct Pause {
    /// Nothing is read from it now.
    pub(crate) lasts: bool,
    /// When that has last begun or ended.
    pub(crate) changed_at: Option<Instant>,
    /// Since when something waits for its peer, as seen after a turn.
    pub(crate) stuck_at: Option<Instant>,
    /// Turns until what had come before the pause is surely handled, and counts as heard.
    pub(crate) turns: u8,
}

impl Plan {
    /// Adds pauses. What was drawn for the rest stays as it is.
    pub(crate) fn add_pauses(&mut self, random: &mut Random) {
        // Some worlds have none, so that they stay what they were before there were any.
        self.pauses = random.pick(&[0, 10, 60, 300]);
    }
}

impl App {
    /// Perhaps pauses or resumes a connection, or another one, inside of an event.
    pub(crate) fn hold_back(&mut self, cx: &mut Cx<'_>) {
        if self.is_quiet() || !self.pausing.happens(self.plan.pauses) {
            return;
        }
        match self.pausing.draw(8) {
            0..=2 => self.pause(cx),
            3 => {
                self.pause(cx);
                self.resume(cx);
            }
            4 => {
                self.resume(cx);
                self.pause(cx);
            }
            5 => {
                self.pause_any(&mut cx.hub());
            }
            _ => self.resume_any(&mut cx.hub()),
        }
    }

    /// Pauses one of the connections, from outside of any event.
    pub(crate) fn pause_any(&mut self, hub: &mut Hub<'_, Session>) {
        let open = self.open().to_vec();
        if !open.is_empty() {
            let any = self.pausing.pick(&open);
            self.on_one(hub, any, Self::pause);
        }
    }

    /// Resumes one of those that are paused, or ends it.
    pub(crate) fn resume_any(&mut self, hub: &mut Hub<'_, Session>) {
        let paused = self.paused();
        if paused.is_empty() {
            return;
        }
        let any = self.pausing.pick(&paused);
        let closes = self.pausing.happens(self.plan.wildness * 4);
        self.on_one(hub, any, if closes { Self::close } else { Self::resume });
    }

    /// Resumes all, for good.
    pub(crate) fn resume_all(&mut self, hub: &mut Hub<'_, Session>) {
        for paused in self.paused() {
            self.on_one(hub, paused, Self::resume);
        }
    }

    /// Pauses some, which a shutdown has to end all the same.
    pub(crate) fn pause_some(&mut self, hub: &mut Hub<'_, Session>) {
        for any in self.open().to_vec() {
            if self.pausing.draw(2) == 0 {
                self.on_one(hub, any, Self::pause);
            }
        }
    }

    fn paused(&self) -> Vec<(EndId, ConnectionId)> {
        let mut oracle = self.oracle.get();
        self.open().iter().copied().filter(|(id, _)| oracle.end(*id).pause.lasts).collect()
    }

    fn on_one(
        &mut self,
        hub: &mut Hub<'_, Session>,
        (_, id): (EndId, ConnectionId),
        act: fn(&mut Self, &mut Cx<'_>),
    ) {
        if let Some(mut cx) = hub.connection(id) {
            act(self, &mut cx);
        }
    }

    fn pause(&mut self, cx: &mut Cx<'_>) {
        let id = Self::end(cx);
        // One that is closing is not paused. When the loop closes by itself is not known so exactly.
        let (closed, uncertain) = self.oracle.get().may_be_closing(id);
        if closed {
            cx.pause_reading();
        } else if !uncertain {
            if !self.breaks(Broken::PauseMissed) {
                cx.pause_reading();
            }
            self.oracle.get().paused(id);
        }
    }

    fn resume(&mut self, cx: &mut Cx<'_>) {
        let id = Self::end(cx);
        if !self.oracle.get().end(id).pause.lasts {
            // It does nothing.
            return cx.resume_reading();
        }
        if !self.breaks(Broken::ResumeMissed) {
            cx.resume_reading();
        }
        self.oracle.get().resumed(id);
    }
}

impl Oracle {
    /// Whether an end is surely closing, and whether it perhaps is.
    fn may_be_closing(&mut self, id: EndId) -> (bool, bool) {
        let (now, idle_after) = (self.now(), self.limits.idle_after);
        let end = self.end(id);
        let idle = idle_after
            .is_some_and(|within| end.message_at.is_none_or(|since| now >= since + within));
        (end.ledger.closed, idle || end.must_close || end.closing_at.is_some())
    }

    fn paused(&mut self, id: EndId) {
        let now = self.now();
        let end = self.end(id);
        if end.phase == Phase::Open && !end.pause.lasts {
            end.pause = Pause { lasts: true, changed_at: Some(now), ..Pause::default() };
            (end.heard_at, end.asked_at) = (Some(now), None);
            self.note(id, "is paused", 0);
            self.count("is paused");
        }
    }

    /// An end is read again: the application has resumed it, or closed it.
    pub(crate) fn resumed(&mut self, id: EndId) {
        let now = self.now();
        let end = self.end(id);
        if end.pause.lasts {
            end.pause = Pause { lasts: false, changed_at: Some(now), stuck_at: None, turns: 2 };
            (end.heard_at, end.asked_at, end.message_at) = (Some(now), None, Some(now));
            self.note(id, "is resumed", 0);
            self.count("is resumed");
        }
    }

    /// Nothing is read from an end that is paused. Says since when something waits for its peer, as long as that lasts.
    pub(crate) fn check_pause(&mut self, id: EndId, read_at: Option<Instant>) {
        let (now, shutting_down) = (self.now(), self.shutting_down);
        let end = self.end(id);
        let waits = end.waiting > 0;
        if !end.pause.lasts || end.phase != Phase::Open || shutting_down {
            return;
        }
        end.pause.stuck_at = if waits { end.pause.stuck_at.or(Some(now)) } else { None };
        if read_at > end.pause.changed_at {
            self.fail(format!("{id:?} is read, and is paused"));
        } else if waits {
            self.count("waits in a pause");
        }
    }

    /// An end that has closed and is open still, although all is at rest, its peer reads, and nothing waits. `closes`
    /// says who has closed.
    pub(crate) fn closes_without_end(&self, closes: impl Fn(&End) -> bool) -> Option<EndId> {
        let ends = |link: usize| [(link, CLIENT), (link, SERVER)];
        let mut all = (0..self.links.len()).filter(|it| !self.links[*it].raw).flat_map(ends);
        all.find(|(link, side)| {
            let ends = &self.links[*link].ends;
            let (end, other) = (&ends[*side], &ends[1 - side]);
            let reads = match other.phase {
                Phase::New => false,
                Phase::Open => !other.pause.lasts && other.waiting == 0,
                Phase::Closed => true,
            };
            end.phase == Phase::Open && end.waiting == 0 && reads && closes(end)
        })
    }
}

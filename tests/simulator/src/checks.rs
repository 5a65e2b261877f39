//! What is checked after every turn of a loop: memory, time, and how many calls it took.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tautline::Limits;

use crate::net::SimNet;
use crate::oracle::{CLIENT, End, EndId, Oracle, Phase, SERVER};
use crate::requests::Phase as Answering;

/// How late a deadline may be seen, by a loop that is polled at that time.
pub(crate) const TICK: Duration = Duration::from_millis(8);
/// Polls in a row that want no waiting and come to nothing.
const SPINS_MAX: usize = 40;

/// What is kept of a loop from one turn to the next.
#[derive(Default)]
pub(crate) struct Checks {
    number: usize,
    events: usize,
    calls: usize,
    idle_calls: usize,
    spins: usize,
    /// Streams whose opening handshake is surely over, and since when.
    refused: BTreeMap<usize, Instant>,
}

impl Checks {
    pub(crate) fn new(number: usize) -> Self {
        Self { number, ..Self::default() }
    }

    /// Checks a loop whose turn is over. `waiting` says how many bytes wait for each connection that is open.
    pub(crate) fn after_turn(
        &mut self,
        net: &SimNet,
        oracle: &mut Oracle,
        waiting: &[(EndId, usize)],
    ) {
        self.calls(net, oracle);
        for (id, waiting) in waiting {
            check_memory(oracle, *id, *waiting);
        }
        self.streams(net, oracle);
        let now = oracle.now();
        for link in 0..oracle.links.len() {
            for side in [CLIENT, SERVER] {
                if oracle.end((link, side)).at == Some(self.number) {
                    check_times(oracle, (link, side), now);
                }
            }
        }
    }

    /// A loop makes as many calls as it has events and moves bytes, and no more.
    fn calls(&mut self, net: &SimNet, oracle: &mut Oracle) {
        let it = net.sim().of_loop(self.number).clone();
        let streams = net.sim().streams_of(self.number).count();
        let events = it.events - self.events;
        let calls = it.calls - self.calls;
        let idle = it.idle_calls - self.idle_calls;
        (self.events, self.calls, self.idle_calls) = (it.events, it.calls, it.idle_calls);
        if idle > 40 + 4 * (events + streams) + calls {
            oracle.fail(format!(
                "loop {} makes {idle} calls for nothing in a turn, for {events} events and {calls} others",
                self.number
            ));
        }
        let spins = it.timeout == Some(Duration::ZERO) && events + calls + idle == 0;
        self.spins = if spins { self.spins + 1 } else { 0 };
        if self.spins > SPINS_MAX {
            oracle.fail(format!("loop {} spins", self.number));
        }
    }

    /// A stream that does not come to an open connection, or is not one any more, is let go of in time.
    fn streams(&mut self, net: &SimNet, oracle: &mut Oracle) {
        let now = oracle.now();
        let streams: Vec<_> = net.sim().streams_of(self.number).collect();
        self.refused.retain(|pipe, _| streams.iter().any(|(it, ..)| it == pipe));
        let Limits { handshake_within, close_within, .. } = oracle.limits.clone();
        for (pipe, since, writable_at) in streams {
            let link = oracle.links.iter().find(|link| link.pipe == Some(pipe));
            let end = link.and_then(|it| it.ends.iter().find(|it| it.at == Some(self.number)));
            let exchange = oracle.exchange_of(pipe);
            let ended_at = match end {
                _ if exchange.is_some_and(|it| it.phase == Answering::Streaming) => continue,
                _ if exchange.is_some_and(|it| it.ended_at.is_some()) => {
                    exchange.and_then(|it| it.ended_at)
                }
                Some(End { phase: Phase::Open, .. }) => continue,
                Some(End { closed_at: Some(at), .. }) => Some(*at),
                _ if now >= since + handshake_within + TICK => {
                    Some(*self.refused.entry(pipe).or_insert(now))
                }
                _ => None,
            };
            // Its peer has the time to take what waits, as long as it takes some of it.
            if ended_at.is_some_and(|at| now >= at.max(writable_at) + close_within + TICK) {
                oracle.fail(format!("loop {} keeps stream {pipe} for too long", self.number));
            }
        }
    }
}

/// No more waits for a peer that does not read than it may.
fn check_memory(oracle: &mut Oracle, id: EndId, waiting: usize) {
    let (bytes_max, now) = (oracle.limits.outbox_bytes_max, oracle.now());
    let pipe = oracle.links[id.0].pipe;
    let heard = pipe.and_then(|pipe| oracle.net.sim().heard_at(pipe, id.1 == CLIENT));
    let had_room = heard.is_some_and(|(_, writable_at)| writable_at == now);
    let end = oracle.end(id);
    let (before, made) = (end.waiting, end.made_bytes);
    (end.waiting, end.made_bytes) = (waiting, 0);
    let allowed = allowed_to_wait(before, made, bytes_max, had_room);
    if waiting > allowed + 512 {
        oracle.fail(format!("{waiting} bytes wait for {id:?}, and {allowed} may"));
    }
}

/// How much may wait, where so much did before the turn and so much was made in it.
pub(crate) fn allowed_to_wait(
    before: usize,
    made: usize,
    bytes_max: usize,
    had_room: bool,
) -> usize {
    match before > bytes_max {
        // Who is behind already gets nothing more but the answer to a ping, and is cut.
        true if !had_room => before,
        // Where there was room in this turn, what waited does not count until it was tried again.
        _ if had_room => before + bytes_max + made,
        _ => bytes_max + made,
    }
}

/// No deadline is later than a tick after the loop was polled.
fn check_times(oracle: &mut Oracle, id: EndId, now: Instant) {
    let limits = oracle.limits.clone();
    let passed = |since: Option<Instant>, within: Duration| {
        since.is_some_and(|since| now >= since + within + TICK)
    };
    let pipe = oracle.links[id.0].pipe;
    let heard = pipe.and_then(|pipe| oracle.net.sim().heard_at(pipe, id.1 == CLIENT));
    let shutting_down = oracle.shutting_down;
    oracle.check_pause(id, heard.map(|it| it.0));
    let end = oracle.end(id);
    let late = match end.phase {
        Phase::New if id.1 == CLIENT => {
            passed(end.begun_at, limits.handshake_within).then_some("its handshake")
        }
        Phase::New | Phase::Closed => None,
        Phase::Open if end.must_close => Some("its end"),
        Phase::Open if end.closing_at.is_some() => {
            passed(end.closing_at, limits.close_within).then_some("the answer to its close")
        }
        Phase::Open if shutting_down => None,
        Phase::Open => {
            let paused = end.pause.lasts;
            // Who is paused is not heard: it only has to take what waits for it, and is asked for nothing else.
            let told_at = if paused { end.pause.changed_at } else { end.told_at };
            let latest = [told_at, heard.map(|it| it.0), heard.map(|it| it.1)];
            let latest = latest.into_iter().flatten().max();
            if end.pause.turns > 0 {
                end.pause.turns -= 1;
                (end.heard_at, end.asked_at) = (Some(now), None);
            }
            if latest > end.heard_at {
                (end.heard_at, end.asked_at) = (latest, None);
            }
            let counts = !paused || passed(end.pause.stuck_at, Duration::ZERO);
            let asks = limits.ping_after.is_some_and(|it| passed(end.heard_at, it));
            if asks && counts && end.asked_at.is_none() {
                end.asked_at = Some(now);
            } else if !counts {
                end.asked_at = None;
            }
            let idle = limits.idle_after.is_some_and(|it| passed(end.message_at, it));
            if idle && !paused {
                end.closing_at = Some(now);
            }
            let late = end.closing_at.is_none() && passed(end.asked_at, limits.pong_within);
            late.then_some("the answer to its ping")
        }
    };
    if let Some(what) = late {
        oracle.fail(format!("{id:?} waits for {what} for too long"));
    }
}

/// A loop does not sleep beyond a deadline of its connections.
pub(crate) fn check_sleep(
    oracle: &Oracle,
    number: usize,
    until: Option<Instant>,
) -> Result<(), String> {
    let limits = &oracle.limits;
    for (link, side) in (0..oracle.links.len()).flat_map(|it| [(it, CLIENT), (it, SERVER)]) {
        let end = &oracle.links[link].ends[side];
        let deadline = match end.phase {
            _ if end.at != Some(number) => None,
            Phase::New if side == CLIENT => after(end.begun_at, Some(limits.handshake_within)),
            Phase::New | Phase::Closed => None,
            Phase::Open if end.closing_at.is_some() => {
                after(end.closing_at, Some(limits.close_within))
            }
            // When it was last heard is not known so exactly: what was read before may have waited to be handled.
            Phase::Open => None,
        };
        if let Some(deadline) = deadline
            && until.is_none_or(|until| until > deadline + TICK)
        {
            let late = until.map(|until| until - deadline);
            return Err(format!(
                "loop {number} sleeps beyond a deadline of {:?}, by {late:?}",
                (link, side)
            ));
        }
    }
    Ok(())
}

fn after(since: Option<Instant>, within: Option<Duration>) -> Option<Instant> {
    since?.checked_add(within?)
}

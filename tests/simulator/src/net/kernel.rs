//! What a kernel does: it moves bytes, keeps readiness, and fails as it was drawn.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tautline::reactor::Ready;

use super::pipe::{ACCEPTED, DIALER, Pipe};
use super::{Broken, Loop, Odds, Random, Sim, Trace};

/// EMFILE: the process has as many descriptors as it may have.
const EMFILE: i32 = 24;
const ECONNABORTED: i32 = 103;
/// EMFILE, ENFILE, ENOMEM, and one that is of a single connection.
const ACCEPT_ERRORS: [i32; 4] = [EMFILE, 23, 12, ECONNABORTED];
/// Calls of one turn, after which it is one that does not end.
const TURN_CALLS_MAX: usize = 300_000;
/// Tokens that are gone and may still be named by an event.
const GONE_MAX: usize = 8;

impl Sim {
    pub(super) fn new(seed: u64) -> Self {
        let now = Instant::now();
        Self {
            start: now,
            now,
            random: Random::new(seed),
            next: 0,
            pipes: Default::default(),
            listeners: Default::default(),
            loops: vec![Loop::default()],
            late: Vec::new(),
            accept_errors: Default::default(),
            turned_away: 0,
            reads: 0,
            read_first: 0,
            writes: 0,
            writes_of_several: 0,
            polls: 0,
            capacity: 64 * 1024,
            full_until: usize::MAX,
            reads_after_reset: false,
            tells_room_unasked: false,
            descriptors_max: usize::MAX,
            odds: Odds::CALM,
            broken: None,
            shared: false,
            trace: Trace::default(),
        }
    }

    pub(super) fn open(&mut self, connected: bool) -> usize {
        let number = self.next;
        self.next += 1;
        self.pipes.insert(number, Pipe::new(connected, self.now));
        number
    }

    /// A number from 0 to `below`, exclusive.
    pub fn draw(&mut self, below: usize) -> usize {
        self.random.draw(below)
    }

    fn happens(&mut self, per_mille: u16) -> bool {
        self.random.happens(per_mille)
    }

    /// What is known of a loop.
    pub fn of_loop(&self, number: usize) -> &Loop {
        &self.loops[number]
    }

    /// How many listeners there are.
    pub fn listeners(&self) -> usize {
        self.listeners.len()
    }

    /// Notes what happened at a loop, or at a peer.
    pub fn note(&mut self, who: Option<usize>, what: &'static str, numbers: [u64; 3]) {
        let at = self.now - self.start;
        self.trace.note(at, who, what, numbers);
    }

    /// Whether neither end of a stream could write all that it wanted to.
    pub fn is_full(&self, pipe: usize) -> bool {
        self.pipes.get(&pipe).is_some_and(|pipe| pipe.ends.iter().all(|end| end.full))
    }

    /// Whether this is the time to go wrong on purpose.
    pub fn breaks(&mut self, how: Broken) -> bool {
        match &mut self.broken {
            Some((it, left)) if *it == how && *left > 0 => *left -= 1,
            _ => return false,
        }
        matches!(self.broken, Some((_, 0)))
    }

    /// Whether a connection is broken or gone, or one of its ends is let go of or could not be registered.
    pub fn is_broken(&self, number: usize) -> bool {
        let pipe = self.pipes.get(&number);
        pipe.is_none_or(|pipe| pipe.reset || pipe.ends.iter().any(|end| end.dropped))
            || self.is_unregistered(number)
    }

    /// Whether an end of a connection could not be registered to be told of room.
    pub fn is_unregistered(&self, pipe: usize) -> bool {
        self.pipes.get(&pipe).is_some_and(|pipe| pipe.ends.iter().any(|end| end.unregistered))
    }

    /// When an end of a connection has last read something, and when it was last told that it may write, or found that
    /// it may; `None` where it is let go of.
    pub fn heard_at(&self, pipe: usize, dialer: bool) -> Option<(Instant, Instant)> {
        let end = &self.pipes.get(&pipe)?.ends[if dialer { DIALER } else { ACCEPTED }];
        (!end.dropped).then_some((end.read_at, end.writable_at))
    }

    /// The streams that a loop has: their connections, since when, and when it was last told or found that it may write.
    pub fn streams_of(&self, number: usize) -> impl Iterator<Item = (usize, Instant, Instant)> {
        self.pipes.iter().flat_map(move |(pipe, it)| {
            let mine = it.ends.iter().filter(move |it| it.owner == Some(number) && !it.dropped);
            mine.map(|end| (*pipe, end.since, end.writable_at))
        })
    }

    /// The next time at which something happens by itself.
    pub fn next_late(&self) -> Option<Instant> {
        self.late.iter().map(|(_, _, at, _)| *at).min()
    }

    fn count(&mut self, number: usize, moved: bool) {
        let it = &mut self.loops[number];
        if moved {
            it.calls += 1;
        } else {
            it.idle_calls += 1;
        }
        it.turn_calls += 1;
        assert!(it.turn_calls < TURN_CALLS_MAX, "a turn does not end");
    }

    fn interrupted(&mut self) -> io::Result<()> {
        if self.happens(self.odds.interrupted) {
            return Err(ErrorKind::Interrupted.into());
        }
        Ok(())
    }

    fn descriptors(&self, number: usize) -> usize {
        self.streams_of(number).count()
    }

    /// A connection reaches whoever listens at an address, or is refused.
    pub(super) fn arrive(&mut self, number: usize, address: SocketAddr) {
        let Some(pipe) = self.pipes.get_mut(&number) else { return };
        match self.listeners.get_mut(&address) {
            Some(backlog) => {
                backlog.waiting.push_back(number);
                backlog.edge = true;
                (pipe.connected, pipe.ends[DIALER].writable_edge) = (true, true);
            }
            None => {
                pipe.ends[ACCEPTED].dropped = true;
                pipe.break_off();
            }
        }
    }

    pub(super) fn connect(&mut self, number: usize, address: SocketAddr) -> io::Result<usize> {
        if self.descriptors(number) >= self.descriptors_max {
            return Err(io::Error::from_raw_os_error(EMFILE));
        }
        if self.happens(self.odds.connect) {
            return Err(ErrorKind::ConnectionRefused.into());
        }
        let made = self.open(false);
        if let Some(pipe) = self.pipes.get_mut(&made) {
            pipe.ends[DIALER].owner = Some(number);
        }
        self.note(Some(number), "connects", [made as u64, 0, 0]);
        if self.happens(self.odds.late) {
            let at = self.now + Duration::from_millis(self.draw(3_000) as u64);
            let succeeds = self.draw(3) > 0;
            self.late.push((made, address, at, succeeds));
        } else if self.shared {
            self.arrive(made, address);
        }
        Ok(made)
    }

    /// Connects what was late and whose time has come.
    fn settle_late(&mut self) {
        let (now, mut at) = (self.now, 0);
        while at < self.late.len() {
            if self.late[at].2 > now {
                at += 1;
                continue;
            }
            let (number, address, _, succeeds) = self.late.remove(at);
            if succeeds {
                self.arrive(number, address);
            } else if let Some(pipe) = self.pipes.get_mut(&number) {
                pipe.ends[ACCEPTED].dropped = true;
                pipe.break_off();
            }
        }
    }

    pub(super) fn accept(&mut self, number: usize, address: SocketAddr) -> io::Result<usize> {
        self.interrupted()?;
        let waiting = self.listeners.get(&address).is_some_and(|it| !it.waiting.is_empty());
        self.count(number, waiting);
        if waiting && let Some(error) = self.accept_errors.pop_front() {
            return Err(error);
        }
        if waiting && self.descriptors(number) >= self.descriptors_max {
            return Err(io::Error::from_raw_os_error(EMFILE));
        }
        let fails = waiting && self.happens(self.odds.accept);
        let error = self.random.pick(&ACCEPT_ERRORS);
        if fails && error != ECONNABORTED {
            return Err(io::Error::from_raw_os_error(error));
        }
        let backlog = self.listeners.get_mut(&address).expect("a listener");
        let accepted = backlog.waiting.pop_front().ok_or(ErrorKind::WouldBlock)?;
        let now = self.now;
        let Some(pipe) = self.pipes.get_mut(&accepted) else {
            return Err(io::Error::from_raw_os_error(ECONNABORTED));
        };
        let end = &mut pipe.ends[ACCEPTED];
        if fails {
            end.dropped = true;
            pipe.break_off();
            return Err(io::Error::from_raw_os_error(ECONNABORTED));
        }
        (end.owner, end.since, end.read_at) = (Some(number), now, now);
        self.note(Some(number), "accepts", [accepted as u64, 0, 0]);
        Ok(accepted)
    }

    pub(super) fn turn_away(&mut self, number: usize, address: SocketAddr, answer: &[u8]) -> usize {
        let backlog = self.listeners.get_mut(&address).expect("a listener");
        let all = std::mem::take(&mut backlog.waiting);
        let count = all.len();
        for waiting in all {
            self.turned_away += 1;
            if let Some(pipe) = self.pipes.get_mut(&waiting) {
                pipe.push(ACCEPTED, answer.iter());
                pipe.ends[ACCEPTED].inbox.clear();
                pipe.let_go(ACCEPTED);
            }
        }
        self.note(Some(number), "turns away", [self.turned_away as u64, 0, 0]);
        count
    }

    pub(super) fn drop_listener(&mut self, address: SocketAddr) {
        let backlog = self.listeners.remove(&address);
        for number in backlog.into_iter().flat_map(|it| it.waiting) {
            if let Some(pipe) = self.pipes.get_mut(&number) {
                pipe.ends[ACCEPTED].dropped = true;
                pipe.break_off();
            }
        }
    }

    pub(super) fn register(&mut self, pipe: usize, side: usize, token: usize) -> io::Result<()> {
        if self.happens(self.odds.register) {
            return Err(io::Error::from_raw_os_error(12));
        }
        let pipe = self.pipes.get_mut(&pipe).expect("a stream");
        let (connected, reset) = (pipe.connected, pipe.reset);
        let [end, other] = pipe.both(side);
        end.token = Some(token);
        end.writable_edge = connected || reset;
        end.readable_edge = !end.inbox.is_empty() || other.ended || reset;
        end.tells_room = self.tells_room_unasked;
        Ok(())
    }

    pub(super) fn register_writable(&mut self, pipe: usize, side: usize) -> io::Result<()> {
        if self.tells_room_unasked {
            return Ok(());
        }
        let fails = self.happens(self.odds.register);
        let pipe = self.pipes.get_mut(&pipe).expect("a stream");
        let (connected, reset) = (pipe.connected, pipe.reset);
        let end = &mut pipe.ends[side];
        (end.tells_room, end.unregistered) = (!fails, fails);
        if fails {
            return Err(io::Error::from_raw_os_error(12));
        }
        end.writable_edge = (connected && !end.full) || reset;
        Ok(())
    }

    pub(super) fn read(
        &mut self,
        number: usize,
        (pipe, side): (usize, usize),
        bytes: &mut [u8],
    ) -> io::Result<usize> {
        self.interrupted()?;
        if self.happens(self.odds.reset) {
            self.pipes.get_mut(&pipe).expect("a stream").break_off();
        }
        let (short, nothing) =
            (self.happens(self.odds.short_read), self.happens(self.odds.no_read));
        let (now, full_until) = (self.now, self.full_until);
        let it = self.pipes.get_mut(&pipe).expect("a stream");
        let has_more = self.reads_after_reset && !it.ends[side].inbox.is_empty();
        if it.reset && !has_more {
            self.count(number, false);
            return Err(ErrorKind::ConnectionReset.into());
        }
        let [end, other] = it.both(side);
        let (there, ended) = (end.inbox.len(), other.ended);
        let mut count = bytes.len().min(there);
        if count > 0 && nothing {
            end.readable_edge = true;
            self.count(number, false);
            return Err(ErrorKind::WouldBlock.into());
        }
        if count > 0 && short {
            count = 1 + self.random.draw(count);
        }
        let it = self.pipes.get_mut(&pipe).expect("a stream");
        let taken = it.pull(side, count, now, full_until);
        it.ends[side].readable_edge |= short && count < there;
        bytes[..count].copy_from_slice(&taken);
        self.reads += usize::from(count > 0);
        self.count(number, count > 0);
        self.note(Some(number), "reads", [pipe as u64, count as u64, u64::from(ended)]);
        if count == 0 && !ended { Err(ErrorKind::WouldBlock.into()) } else { Ok(count) }
    }

    pub(super) fn write(
        &mut self,
        number: usize,
        (pipe, side): (usize, usize),
        slices: &[&[u8]],
    ) -> io::Result<usize> {
        self.interrupted()?;
        let capacity = match () {
            () if self.happens(self.odds.no_write) => 0,
            () if self.happens(self.odds.short_write) => 1 + self.draw(self.capacity),
            () => self.capacity,
        };
        if self.happens(self.odds.reset) {
            self.pipes.get_mut(&pipe).expect("a stream").break_off();
        }
        let it = self.pipes.get_mut(&pipe).expect("a stream");
        let offered: usize = slices.iter().map(|it| it.len()).sum();
        if let Err(error) = it.may_write(side) {
            self.count(number, false);
            return Err(error);
        }
        let [end, other] = it.both(side);
        if other.dropped {
            if end.was_short {
                end.writable_at = self.now;
            }
            // The answer to bytes for nobody is a reset.
            it.break_off();
            self.count(number, true);
            return Ok(offered);
        }
        let taken = offered.min(capacity.saturating_sub(it.ends[1 - side].inbox.len()));
        if taken > 0 {
            it.push(side, slices.iter().flat_map(|it| it.iter()).take(taken));
        }
        let [end, other] = it.both(side);
        if std::mem::replace(&mut end.was_short, taken < offered) && taken > 0 {
            end.writable_at = self.now;
        }
        // Where there is room again, an edge is on its way, although this write came before it.
        end.writable_edge |= end.full && taken > 0 && other.inbox.len() - taken <= self.full_until;
        end.full = taken < offered;
        end.was_full |= end.full;
        if end.full && other.inbox.is_empty() {
            // Nothing stands in the way but the draw: there is room again at once.
            (end.full, end.writable_edge) = (false, true);
        }
        self.note(Some(number), "writes", [pipe as u64, taken as u64, offered as u64]);
        self.count(number, taken > 0);
        if taken == 0 && offered > 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.writes += 1;
        self.writes_of_several += usize::from(slices.len() > 1);
        self.damage((pipe, side), taken);
        Ok(taken)
    }

    /// Spoils what was just written, if that is what goes wrong.
    fn damage(&mut self, (pipe, side): (usize, usize), taken: usize) {
        if taken < 8 {
            return;
        }
        let lost = self.breaks(Broken::ByteLost);
        let swapped = self.breaks(Broken::BytesSwapped);
        let twice = self.breaks(Broken::ByteTwice);
        let inbox = &mut self.pipes.get_mut(&pipe).expect("a stream").ends[1 - side].inbox;
        let last = inbox.len() - 1;
        if lost {
            inbox.remove(last - 2);
        } else if twice {
            let byte = inbox[last - 2];
            inbox.insert(last - 2, byte);
        } else if swapped && let Some(at) = (last - 6..last).find(|at| inbox[*at] != inbox[at + 1])
        {
            inbox.swap(at, at + 1);
        }
    }

    pub(super) fn shutdown(
        &mut self,
        number: usize,
        (pipe, side): (usize, usize),
    ) -> io::Result<()> {
        self.note(Some(number), "shuts down", [pipe as u64, 0, 0]);
        let pipe = self.pipes.get_mut(&pipe).expect("a stream");
        if pipe.reset {
            return Err(ErrorKind::NotConnected.into());
        }
        pipe.end(side);
        Ok(())
    }

    pub(super) fn drop_stream(&mut self, number: usize, side: usize) {
        let kept = self.breaks(Broken::StreamKept);
        let Some(pipe) = self.pipes.get_mut(&number) else { return };
        let (owner, token) = (pipe.ends[side].owner, pipe.ends[side].token);
        if !kept {
            pipe.let_go(side);
        }
        if pipe.ends.iter().all(|end| end.dropped) {
            self.pipes.remove(&number);
        }
        let Some(owner) = owner else { return };
        self.note(Some(owner), "drops", [number as u64, 0, 0]);
        let gone = &mut self.loops[owner].gone;
        gone.extend(token);
        if gone.len() > GONE_MAX {
            gone.remove(0);
        }
    }

    pub(super) fn has_events(&mut self, number: usize) -> bool {
        self.settle_late();
        let it = &self.loops[number];
        let mine = self.pipes.values().flat_map(|pipe| &pipe.ends);
        let mut mine = mine.filter(|end| end.owner == Some(number) && end.token.is_some());
        it.woken.load(Ordering::Acquire)
            || self.listeners.values().any(|it| it.owner == number && it.edge)
            || mine.any(|end| end.has_changed())
    }

    /// What has changed for a loop, as one poll tells it.
    pub(super) fn poll(&mut self, number: usize, ready: &mut Vec<Ready>) {
        self.settle_late();
        for it in self.listeners.values_mut().filter(|it| it.owner == number) {
            if std::mem::take(&mut it.edge) && !it.waiting.is_empty() {
                let token = it.token;
                ready.push(Ready { token, readable: true, writable: false, read_closed: false });
            }
        }
        let pipes: Vec<usize> = self.pipes.keys().copied().collect();
        for pipe in pipes {
            for side in [DIALER, ACCEPTED] {
                ready.extend(self.event(number, pipe, side));
            }
        }
        if self.happens(self.odds.stale)
            && let Some(&token) = self.loops[number].gone.first()
        {
            ready.push(Ready { token, readable: true, writable: true, read_closed: true });
        }
        if self.happens(self.odds.permuted) {
            for at in (1..ready.len()).rev() {
                let other = self.draw(at + 1);
                ready.swap(at, other);
            }
        }
        if !ready.is_empty() {
            self.note(Some(number), "polls", [ready.len() as u64, 0, 0]);
        }
    }

    fn event(&mut self, number: usize, pipe: usize, side: usize) -> Option<Ready> {
        let odds = self.odds;
        let it = self.pipes.get_mut(&pipe)?;
        let (reset, connected) = (it.reset, it.connected);
        let [end, other] = it.both(side);
        let token = end.token.filter(|_| end.owner == Some(number))?;
        let (changed, tells_room) = (end.has_changed(), end.tells_room);
        let stays_away = if changed { odds.held } else { 1000 - odds.spurious.min(1000) };
        if self.random.happens(stays_away) {
            return None;
        }
        let mut readable = std::mem::take(&mut end.readable_edge);
        let mut writable = tells_room && std::mem::take(&mut end.writable_edge);
        let closed = other.ended || reset;
        if !changed {
            let kinds = [(true, false), (false, true), (true, true)];
            (readable, writable) = self.random.pick(&kinds);
        } else if self.random.happens(odds.whole) {
            readable |= !end.inbox.is_empty() || closed;
            writable |= tells_room && connected && !end.full;
        }
        let was_full = end.was_full;
        if writable {
            end.writable_at = self.now;
        }
        // Of room, only that is missed which was waited for.
        let swallowed = (readable && changed && self.breaks(Broken::ReadableEdge))
            || (writable && changed && was_full && self.breaks(Broken::WritableEdge));
        let event = Ready { token, readable, writable, read_closed: readable && closed };
        (!swallowed).then_some(event)
    }
}

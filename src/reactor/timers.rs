//! Deadlines of connections: a hierarchical timing wheel.
//!
//! Setting, cancelling and expiring cost the same however many deadlines there are, and a tick without any costs
//! nothing: occupied slots are found in bitmaps, and the loop sleeps until the next one.

use std::time::{Duration, Instant};

/// How exact a deadline is. It is never early.
const TICK: Duration = Duration::from_millis(TICK_MS);
const TICK_MS: u64 = 8;
/// Each level has 64 slots; a slot of a level spans all slots of the level below.
const SLOT_BITS: u32 = 6;
const SLOTS: usize = 1 << SLOT_BITS;
/// Four levels reach 37 hours; what is later is looked at again then.
const LEVELS: u32 = 4;
const SPAN_MAX: u64 = 1 << (SLOT_BITS * LEVELS);

/// One deadline per index, in doubly linked lists whose links are indices too.
pub(super) struct Timers {
    start: Instant,
    /// All ticks up to this one have been expired.
    tick: u64,
    levels: [Level; LEVELS as usize],
    nodes: Vec<Node>,
}

struct Level {
    occupied: u64,
    heads: [u32; SLOTS],
}

#[derive(Clone, Copy)]
struct Node {
    previous: u32,
    next: u32,
    due: u64,
    /// `level * SLOTS + slot`, or `NOWHERE`.
    place: u16,
}

const NONE: u32 = u32::MAX;
const NOWHERE: u16 = u16::MAX;

impl Timers {
    pub(super) fn new(start: Instant) -> Self {
        let level = || Level { occupied: 0, heads: [NONE; SLOTS] };
        Self { start, tick: 0, levels: [level(), level(), level(), level()], nodes: Vec::new() }
    }

    /// Sets the deadline of `index`, in place of the one that it had.
    pub(super) fn set(&mut self, index: u32, at: Instant) {
        self.cancel(index);
        if self.nodes.len() <= index as usize {
            let empty = Node { previous: NONE, next: NONE, due: 0, place: NOWHERE };
            self.nodes.resize(index as usize + 1, empty);
        }
        let since = at.saturating_duration_since(self.start);
        let due = since.as_nanos().div_ceil(TICK.as_nanos()).try_into().unwrap_or(u64::MAX);
        self.link(index, due);
    }

    /// Forgets the deadline of `index`, if it has one.
    pub(super) fn cancel(&mut self, index: u32) {
        let Some(&Node { previous, next, place, .. }) = self.nodes.get(index as usize) else {
            return;
        };
        if place == NOWHERE {
            return;
        }
        if let Some(node) = self.nodes.get_mut(next as usize) {
            node.previous = previous;
        }
        if let Some(node) = self.nodes.get_mut(previous as usize) {
            node.next = next;
        } else if let Some((level, slot)) = self.level_mut(place) {
            if let Some(head) = level.heads.get_mut(slot) {
                *head = next;
            }
            if next == NONE {
                level.occupied &= !(1 << slot);
            }
        }
        if let Some(node) = self.nodes.get_mut(index as usize) {
            node.place = NOWHERE;
        }
    }

    /// The deadline of `index`, if it has one, rounded up to when it will expire.
    pub(super) fn deadline(&self, index: u32) -> Option<Instant> {
        let node = self.nodes.get(index as usize).filter(|node| node.place != NOWHERE)?;
        self.at(node.due)
    }

    /// When [`expire`](Self::expire) should be called next.
    pub(super) fn next(&self) -> Option<Instant> {
        self.at(self.next_tick()?)
    }

    /// When a tick is; `None` where that is too far to be reached.
    fn at(&self, tick: u64) -> Option<Instant> {
        self.start.checked_add(Duration::from_millis(tick.checked_mul(TICK_MS)?))
    }

    /// Takes out all deadlines that have passed, and appends their indices to `expired`.
    pub(super) fn expire(&mut self, now: Instant, expired: &mut Vec<u32>) {
        let since = now.saturating_duration_since(self.start);
        let now = u64::try_from(since.as_nanos() / TICK.as_nanos()).unwrap_or(u64::MAX);
        while self.tick < now {
            self.tick = match self.next_tick() {
                Some(next) if next <= now => next,
                _ => now,
            };
            // Deadlines come down level by level until they are due.
            for level in (0..LEVELS).rev() {
                if self.tick.is_multiple_of(1 << (SLOT_BITS * level)) {
                    self.empty(level, expired);
                }
            }
        }
    }

    /// Takes out of the current slot of a level what is due, and moves the rest down.
    fn empty(&mut self, level: u32, expired: &mut Vec<u32>) {
        let slot = slot(self.tick, level);
        let place = place(level, slot);
        let Some((level, slot)) = self.level_mut(place) else { return };
        level.occupied &= !(1 << slot);
        let Some(head) = level.heads.get_mut(slot) else { return };
        let mut index = std::mem::replace(head, NONE);
        while let Some(node) = self.nodes.get_mut(index as usize) {
            node.place = NOWHERE;
            let Node { next, due, .. } = *node;
            if due <= self.tick {
                expired.push(index);
            } else {
                self.link(index, due);
            }
            index = next;
        }
    }

    /// Puts `index` in front of the list of the slot for `due`.
    fn link(&mut self, index: u32, due: u64) {
        let away = due.saturating_sub(self.tick).clamp(1, SPAN_MAX - 1);
        let level = away.ilog2() / SLOT_BITS;
        let place = place(level, slot(self.tick + away, level));
        let Some((level, slot)) = self.level_mut(place) else { return };
        level.occupied |= 1 << slot;
        let Some(head) = level.heads.get_mut(slot) else { return };
        let next = std::mem::replace(head, index);
        if let Some(node) = self.nodes.get_mut(next as usize) {
            node.previous = index;
        }
        if let Some(node) = self.nodes.get_mut(index as usize) {
            *node = Node { previous: NONE, next, due, place };
        }
    }

    /// The next tick at which a slot is to be emptied.
    fn next_tick(&self) -> Option<u64> {
        (0..LEVELS)
            .zip(&self.levels)
            .filter(|(_, level)| level.occupied != 0)
            .map(|(number, level)| {
                let shift = SLOT_BITS * number;
                let current = self.tick >> shift;
                let after = (current % SLOTS as u64) as u32 + 1;
                let ahead = level.occupied.rotate_right(after).trailing_zeros();
                (current + 1 + u64::from(ahead)) << shift
            })
            .min()
    }

    fn level_mut(&mut self, place: u16) -> Option<(&mut Level, usize)> {
        let (level, slot) = (usize::from(place) / SLOTS, usize::from(place) % SLOTS);
        Some((self.levels.get_mut(level)?, slot))
    }
}

fn slot(tick: u64, level: u32) -> usize {
    (tick >> (SLOT_BITS * level)) as usize % SLOTS
}

fn place(level: u32, slot: usize) -> u16 {
    level as u16 * SLOTS as u16 + slot as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[derive(Clone, Debug)]
    enum Step {
        Set(u32, u64),
        Cancel(u32),
        Advance(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        let millis = prop_oneof![0..100u64, 0..5_000u64, 0..500_000u64, 0..300_000_000u64];
        prop_oneof![
            3 => (0..20u32, millis.clone()).prop_map(|(index, ms)| Step::Set(index, ms)),
            1 => (0..20u32).prop_map(Step::Cancel),
            2 => millis.prop_map(Step::Advance),
        ]
    }

    proptest! {
        #[test]
        fn each_deadline_expires_once_never_early_and_at_most_a_tick_late(
            steps in proptest::collection::vec(step(), 1..60),
        ) {
            let start = Instant::now();
            let mut now = start;
            let mut timers = Timers::new(start);
            let mut model = BTreeMap::new();
            for step in steps {
                match step {
                    Step::Set(index, ms) => {
                        let at = now + Duration::from_millis(ms);
                        timers.set(index, at);
                        model.insert(index, at);
                    }
                    Step::Cancel(index) => {
                        timers.cancel(index);
                        model.remove(&index);
                    }
                    Step::Advance(ms) => {
                        now += Duration::from_millis(ms);
                        let mut expired = Vec::new();
                        timers.expire(now, &mut expired);
                        for index in expired {
                            let at = model.remove(&index);
                            prop_assert!(at.is_some_and(|at| at <= now), "{index} is early");
                        }
                        for (index, at) in &model {
                            prop_assert!(*at + 2 * TICK > now, "{index} is late");
                        }
                    }
                }
                prop_assert_eq!(timers.next().is_some(), !model.is_empty());
                if let (Some(next), Some(first)) = (timers.next(), model.values().min()) {
                    prop_assert!(next <= *first + 2 * TICK, "the loop would sleep past a deadline");
                    prop_assert!(next > now, "the loop would spin");
                }
            }
        }
    }

    #[test]
    fn a_loop_that_runs_for_ten_years_neither_spins_nor_sleeps_past_a_deadline() {
        let start = Instant::now();
        let mut timers = Timers::new(start);
        let now = start + Duration::from_secs(10 * 365 * 86_400);
        timers.expire(now, &mut Vec::new());
        timers.set(0, now + Duration::from_secs(25));
        let next = timers.next().unwrap();
        assert!(next > now && next <= now + Duration::from_secs(26));
        assert!(timers.deadline(0).is_some_and(|at| at >= now + Duration::from_secs(25)));
    }

    #[test]
    fn sleeping_until_next_and_expiring_finds_every_deadline_in_few_steps() {
        let start = Instant::now();
        let mut timers = Timers::new(start);
        let far = [1, 63, 64, 65, 4_095, 4_096, 262_144, SPAN_MAX - 1, SPAN_MAX, 2 * SPAN_MAX];
        for (index, &ticks) in far.iter().enumerate() {
            timers.set(index as u32, start + TICK * ticks as u32);
        }
        let mut expired = Vec::new();
        let mut steps = 0;
        while let Some(next) = timers.next() {
            timers.expire(next, &mut expired);
            steps += 1;
        }
        assert_eq!(expired, (0..far.len() as u32).collect::<Vec<_>>());
        assert!(steps < 60, "{steps} steps");
    }
}

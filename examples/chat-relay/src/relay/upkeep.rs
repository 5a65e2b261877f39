//! What is done again, and what is dropped, as time passes.

use std::time::Duration;

use super::then::Step;
use super::{Key, Moment, Out, Relay, Retention, ask_store, rooms};
use crate::store::job::{Answer, Job};

/// How many people who had left before the relay started the store is asked to forget in one tick: others wait for it.
const FORGOTTEN_AT_ONCE: usize = 500;

impl<K: Key> Relay<K> {
    /// Does again what the store could not do, and nobody waits for.
    pub(super) fn store_again(&mut self, now: Moment, out: &mut Vec<Out<K>>) {
        if now.clock >= self.limits.name_kept {
            let some = (0..FORGOTTEN_AT_ONCE).map_while(|_| self.left_before.pop_first());
            self.unforgotten.extend(some);
        }
        for (room, person) in std::mem::take(&mut self.unmarked) {
            self.store_mark(room, person, out);
        }
        for person in std::mem::take(&mut self.unforgotten) {
            if !self.people.contains_key(&person) {
                self.forget(person, out);
            }
        }
        for room in std::mem::take(&mut self.unforgotten_rooms) {
            out.push(rooms::ask_to_forget(room));
        }
        for room in std::mem::take(&mut self.heirless) {
            self.pass_on(room, out);
        }
    }

    pub(super) fn retain(&mut self, now: Moment, out: &mut Vec<Out<K>>) {
        const EVERY: Duration = Duration::from_secs(60);
        let Retention { age_max, messages_max } = self.retention;
        if (age_max, messages_max) != (None, None) && now.clock >= self.retained_at + EVERY {
            self.retained_at = now.clock;
            out.push(ask_store(Step::Retained, self.retain_job(now)));
        }
    }

    fn retain_job(&self, now: Moment) -> Job {
        let Retention { age_max, messages_max } = self.retention;
        let age_ms = age_max.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
        let before_ms = age_ms.map(|age_ms| now.unix_ms.saturating_sub(age_ms));
        Job::Retain { before_ms, messages_max, at_once: 1_000 }
    }

    pub(super) fn retained(&mut self, now: Moment, answer: Answer, out: &mut Vec<Out<K>>) {
        let Answer::Retained { firsts, more } = answer else { return };
        for (room, first) in firsts {
            let Some(held) = self.rooms.get_mut(&room) else { continue };
            held.first = held.first.max(first);
            self.forget_if_over(room, out);
        }
        if more {
            out.push(ask_store(Step::Retained, self.retain_job(now)));
        }
    }
}

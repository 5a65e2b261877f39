//! Whether things can be stored, as far as the last ones say.

use std::time::Duration;

use crate::store::job::{Answer, Refused};

/// After a refusal, for how long nothing else has to be heard of. Then it is worth another try.
const REMEMBERED: Duration = Duration::from_secs(60);

/// What came of the last things that were to be stored.
#[derive(Debug, Default)]
pub(super) struct Storage {
    trouble: Option<Trouble>,
    /// Messages that were stored.
    pub(super) stored: u64,
    /// Things that were refused.
    pub(super) refused: u64,
}

#[derive(Clone, Copy, Debug)]
struct Trouble {
    since: Duration,
    /// There was no space. Then a mark or a date can still be changed in its place, which says nothing.
    full: bool,
}

impl Storage {
    /// Whether it works.
    pub(super) fn works(&self) -> bool {
        self.trouble.is_none()
    }

    /// Notes an answer of the store, and says so where it is something else than before.
    pub(super) fn note(&mut self, now: Duration, answer: &Answer) {
        let full = self.trouble.is_some_and(|trouble| trouble.full);
        match answer {
            Answer::Sent { dup: false, .. } => {
                self.stored = self.stored.saturating_add(1);
                self.is_well();
            }
            Answer::Room(_) => self.is_well(),
            Answer::Retained { firsts, .. } if !firsts.is_empty() => self.is_well(),
            Answer::Done | Answer::Marked { .. } if !full => self.is_well(),
            Answer::Refused(Refused::Full) => self.is_not(now, "the disk is full", true),
            Answer::Refused(Refused::Failed(error)) => self.is_not(now, error, false),
            _ => {}
        }
    }

    /// Time has passed.
    pub(super) fn tick(&mut self, now: Duration) {
        let old = |it: &Trouble| it.since.saturating_add(REMEMBERED) <= now;
        if self.trouble.as_ref().is_some_and(old) {
            self.trouble = None;
        }
    }

    fn is_well(&mut self) {
        if self.trouble.take().is_some() {
            tracing::info!("things can be stored again");
        }
    }

    fn is_not(&mut self, since: Duration, reason: &str, full: bool) {
        self.refused = self.refused.saturating_add(1);
        if self.trouble.replace(Trouble { since, full }).is_none() {
            tracing::error!(reason, "nothing can be stored; what is stored can be read");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_over_when_something_new_was_stored_or_a_minute_later() {
        let sent = Answer::Sent { seq: 1, ts: 0, dup: false };
        let again = Answer::Sent { seq: 1, ts: 0, dup: true };
        let full = Answer::Refused(Refused::Full);
        let at = Duration::from_secs;
        let mut storage = Storage::default();
        for (answer, works) in [
            (&sent, true),
            (&full, false),
            (&Answer::Marked { recv: 1, read: 1 }, false),
            (&Answer::Done, false),
            (&again, false),
            (&sent, true),
            (&full, false),
        ] {
            storage.note(at(100), answer);
            assert_eq!(storage.works(), works, "{answer:?}");
        }
        storage.tick(at(159));
        assert!(!storage.works());
        storage.tick(at(160));
        assert!(storage.works());
        assert_eq!((storage.stored, storage.refused), (2, 2));
    }
}

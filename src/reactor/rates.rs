//! How fast a connection may send: token buckets.
//!
//! Whoever is too fast is not cut, and loses nothing: it is read no further until it has tokens again, so that its own
//! output fills up.

use std::time::{Duration, Instant};

use crate::limits::Limits;

/// A bucket holds what comes in as long, so that a burst of that size costs no wait.
const BURST: Duration = Duration::from_secs(1);
/// An empty bucket is waited for until it holds what comes in as long, so that nobody is read a byte at a time.
const PAUSE: Duration = Duration::from_millis(125);

/// The buckets of connections that are open, by their index. There are none where nothing is limited.
#[derive(Default)]
pub(super) struct Rates(Vec<Option<Buckets>>);

#[derive(Clone, Copy, Default)]
struct Buckets {
    messages: Bucket,
    bytes: Bucket,
    /// It is not read before this time.
    paused_until: Option<Instant>,
}

/// When it will be full again; `None` where it is.
#[derive(Clone, Copy, Default)]
struct Bucket(Option<Instant>);

impl Rates {
    /// A connection begins, with full buckets.
    pub(super) fn begin(&mut self, index: u32, limits: &Limits) {
        if limits.messages_per_second_max.is_none() && limits.bytes_per_second_max.is_none() {
            return;
        }
        let index = index as usize;
        if self.0.len() <= index {
            self.0.resize(index + 1, None);
        }
        if let Some(buckets) = self.0.get_mut(index) {
            *buckets = Some(Buckets::default());
        }
    }

    /// A connection is not open any more: what it still sends is thrown away, at any rate.
    pub(super) fn end(&mut self, index: u32) {
        if let Some(buckets) = self.0.get_mut(index as usize) {
            *buckets = None;
        }
    }

    /// Until when a connection is not read, if it is not.
    #[inline]
    pub(super) fn paused_until(&self, index: u32) -> Option<Instant> {
        self.0.get(index as usize)?.as_ref()?.paused_until
    }

    /// Whether a connection is too fast: until when it has to wait.
    #[inline]
    pub(super) fn must_wait(&self, index: u32, now: Instant, limits: &Limits) -> Option<Instant> {
        let Buckets { messages, bytes, .. } = self.0.get(index as usize)?.as_ref()?;
        let messages = limits.messages_per_second_max.and_then(|it| messages.empty_until(now, it));
        let bytes = limits.bytes_per_second_max.and_then(|it| bytes.empty_until(now, it));
        messages.max(bytes)
    }

    pub(super) fn pause(&mut self, index: u32, until: Instant) {
        if let Some(Some(buckets)) = self.0.get_mut(index as usize) {
            buckets.paused_until = Some(until);
        }
    }

    /// Ends a pause whose time has come.
    pub(super) fn resume(&mut self, index: u32, now: Instant) -> bool {
        match self.0.get_mut(index as usize) {
            Some(Some(Buckets { paused_until: paused @ Some(_), .. })) if *paused <= Some(now) => {
                *paused = None;
                true
            }
            _ => false,
        }
    }

    /// A message came, or a ping or a pong.
    #[inline]
    pub(super) fn take_message(&mut self, index: u32, now: Instant, limits: &Limits) {
        if let Some(Some(buckets)) = self.0.get_mut(index as usize)
            && let Some(rate) = limits.messages_per_second_max
        {
            buckets.messages.take(now, 1, rate);
        }
    }

    /// How many bytes may be read now.
    #[inline]
    pub(super) fn bytes_left(&self, index: u32, now: Instant, limits: &Limits) -> usize {
        match (self.0.get(index as usize), limits.bytes_per_second_max) {
            (Some(Some(buckets)), Some(rate)) => buckets.bytes.left(now, rate) as usize,
            _ => usize::MAX,
        }
    }

    /// So many bytes were read.
    #[inline]
    pub(super) fn take_bytes(&mut self, index: u32, now: Instant, count: usize, limits: &Limits) {
        if let Some(Some(buckets)) = self.0.get_mut(index as usize)
            && let Some(rate) = limits.bytes_per_second_max
        {
            buckets.bytes.take(now, count, rate);
        }
    }
}

impl Bucket {
    /// The tokens in it.
    fn left(self, now: Instant, rate: u32) -> u32 {
        let missing = self.0.map_or(Duration::ZERO, |full| full.saturating_duration_since(now));
        let there = BURST.saturating_sub(missing).as_nanos() * u128::from(rate.max(1));
        u32::try_from(there / BURST.as_nanos()).unwrap_or(u32::MAX)
    }

    fn take(&mut self, now: Instant, count: usize, rate: u32) {
        let takes = time_for(count, rate);
        self.0 = self.0.map_or(now, |full| full.max(now)).checked_add(takes);
    }

    /// Where there is no token in it: when there will be enough to go on.
    fn empty_until(self, now: Instant, rate: u32) -> Option<Instant> {
        if self.left(now, rate) > 0 {
            return None;
        }
        let wait = PAUSE.max(time_for(1, rate)).min(BURST);
        let there = self.0.and_then(|full| full.checked_sub(BURST.saturating_sub(wait)));
        Some(there.unwrap_or(now).max(now))
    }
}

/// In which time so many tokens come in.
fn time_for(count: usize, rate: u32) -> Duration {
    let nanos = (count as u128 * BURST.as_nanos()).div_ceil(u128::from(rate.max(1)));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn limits(messages: Option<u32>, bytes: Option<u32>) -> Limits {
        Limits {
            messages_per_second_max: messages,
            bytes_per_second_max: bytes,
            ..Limits::default()
        }
    }

    #[test]
    fn what_comes_in_a_second_is_there_at_once_and_the_rest_at_the_rate() {
        for rate in [1, 3, 10, 1_000, 1_000_000_000, u32::MAX] {
            let limits = limits(None, Some(rate));
            let (mut rates, start) = (Rates::default(), Instant::now());
            rates.begin(0, &limits);
            assert_eq!(rates.bytes_left(0, start, &limits), rate as usize);
            let (mut now, mut taken) = (start, 0);
            for _ in 0..50 {
                let left = rates.bytes_left(0, now, &limits);
                assert!(left > 0, "{rate}: it woke for nothing");
                rates.take_bytes(0, now, left, &limits);
                taken += left as u64;
                let until = rates.must_wait(0, now, &limits).unwrap();
                assert!(until > now && until <= now + Duration::from_secs(1), "{rate}");
                rates.pause(0, until);
                assert!(!rates.resume(0, now));
                now = until;
                assert!(rates.resume(0, now) && rates.paused_until(0).is_none());
            }
            let most = rate as f64 * (1.0 + (now - start).as_secs_f64());
            assert!(taken as f64 <= most && taken as f64 > 0.9 * (most - 2.0 * rate as f64));
        }
    }

    proptest! {
        #[test]
        fn no_pattern_of_sending_gets_more_than_the_rate_and_one_burst(
            rate in 1u32..5_000,
            steps in proptest::collection::vec((0u64..3_000, 1usize..20), 1..200),
        ) {
            let limits = limits(Some(rate), None);
            let (mut rates, start) = (Rates::default(), Instant::now());
            rates.begin(7, &limits);
            let (mut now, mut taken) = (start, 0u64);
            for (ms, tries) in steps {
                now += Duration::from_millis(ms);
                for _ in 0..tries {
                    if rates.must_wait(7, now, &limits).is_none() {
                        rates.take_message(7, now, &limits);
                        taken += 1;
                    }
                }
                let most = rate as f64 * (1.0 + (now - start).as_secs_f64());
                prop_assert!(taken as f64 <= most, "{taken} of {most}");
            }
        }
    }

    #[test]
    fn without_a_limit_nothing_is_kept_and_nothing_waits() {
        let (mut rates, now) = (Rates::default(), Instant::now());
        let limits = limits(None, None);
        rates.begin(1_000_000, &limits);
        assert_eq!(rates.0.len(), 0);
        rates.take_message(1_000_000, now, &limits);
        assert_eq!(rates.must_wait(1_000_000, now, &limits), None);
        assert_eq!(rates.bytes_left(1_000_000, now, &limits), usize::MAX);
    }

    #[test]
    fn the_next_connection_in_a_place_begins_with_full_buckets() {
        let limits = limits(Some(1), Some(1));
        let (mut rates, now) = (Rates::default(), Instant::now());
        rates.begin(0, &limits);
        rates.take_message(0, now, &limits);
        rates.pause(0, now);
        rates.end(0);
        rates.begin(0, &limits);
        assert_eq!((rates.paused_until(0), rates.must_wait(0, now, &limits)), (None, None));
    }
}

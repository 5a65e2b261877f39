//! Flood control: a bucket of tokens that fills with time.

use std::time::Duration;

/// Tokens, counted in thousandths so that a refill of any rate is exact to the millisecond.
#[derive(Clone, Debug)]
pub struct Bucket {
    thousandths: i64,
    filled_at: Duration,
}

/// How much a bucket holds, and how fast it fills.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// Tokens of a full bucket.
    pub burst: u32,
    /// Tokens that come back each second.
    pub refill_per_s: u32,
}

impl Bucket {
    /// A full bucket at `now`, a time since any fixed moment.
    pub fn full(rate: Rate, now: Duration) -> Self {
        Self { thousandths: i64::from(rate.burst) * 1000, filled_at: now }
    }

    /// Takes `tokens`, also more than there are: who asks for something large waits longer afterwards.
    ///
    /// # Errors
    ///
    /// When the bucket is empty. Nothing is taken then, and the error says after what time it will not be.
    pub fn take(&mut self, tokens: u32, rate: Rate, now: Duration) -> Result<(), Duration> {
        self.fill(rate, now);
        if self.thousandths < 1000 {
            let missing = 1000 - self.thousandths;
            let wait_ms = missing.div_euclid(i64::from(rate.refill_per_s.max(1))) + 1;
            return Err(Duration::from_millis(wait_ms.unsigned_abs()));
        }
        self.charge(tokens);
        Ok(())
    }

    /// Takes `tokens` for something that was already done.
    pub fn charge(&mut self, tokens: u32) {
        self.thousandths = self.thousandths.saturating_sub(i64::from(tokens) * 1000);
    }

    /// Whether nothing of it is spent.
    pub fn is_full(&mut self, rate: Rate, now: Duration) -> bool {
        self.fill(rate, now);
        self.thousandths >= i64::from(rate.burst) * 1000
    }

    fn fill(&mut self, rate: Rate, now: Duration) {
        let passed_ms =
            i64::try_from(now.saturating_sub(self.filled_at).as_millis()).unwrap_or(i64::MAX);
        let gained = passed_ms.saturating_mul(i64::from(rate.refill_per_s));
        self.thousandths =
            self.thousandths.saturating_add(gained).min(i64::from(rate.burst) * 1000);
        self.filled_at = self.filled_at.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { burst: 3, refill_per_s: 2 };
    const ZERO: Duration = Duration::ZERO;

    #[test]
    fn an_empty_bucket_says_when_it_will_give_again_and_keeps_its_word() {
        let mut bucket = Bucket::full(RATE, ZERO);
        for _ in 0..3 {
            assert_eq!(bucket.take(1, RATE, ZERO), Ok(()));
        }
        let wait = bucket.take(1, RATE, ZERO).unwrap_err();
        assert!(bucket.take(1, RATE, wait - Duration::from_millis(2)).is_err());
        assert_eq!(bucket.take(1, RATE, wait), Ok(()));
    }

    #[test]
    fn a_debt_is_paid_off_before_anything_is_given() {
        let mut bucket = Bucket::full(RATE, ZERO);
        assert_eq!(bucket.take(11, RATE, ZERO), Ok(()));
        assert!(bucket.take(1, RATE, Duration::from_secs(4)).is_err());
        assert_eq!(bucket.take(1, RATE, Duration::from_millis(4_501)), Ok(()));
    }

    #[test]
    fn a_bucket_never_holds_more_than_its_burst_and_time_never_goes_back() {
        let mut bucket = Bucket::full(RATE, Duration::from_secs(10));
        assert_eq!(bucket.take(3, RATE, Duration::from_secs(1_000_000)), Ok(()));
        assert!(bucket.take(1, RATE, ZERO).is_err());
        assert!(bucket.take(1, RATE, Duration::from_secs(1_000_000)).is_err());
        assert!(Bucket::full(RATE, ZERO).take(u32::MAX, RATE, Duration::MAX).is_ok());
    }
}

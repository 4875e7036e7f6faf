//! How fast one peer or address may speak: token buckets. Pure.

mod addresses;

use std::time::{Duration, Instant};

pub(crate) use addresses::{Addresses, Rates, Share};

/// What a bucket is filled with and holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    per_second: u32,
    burst: u32,
}

impl Rate {
    pub(crate) const fn of(per_second: u32, burst: u32) -> Self {
        Self { per_second, burst }
    }

    /// Five seconds' worth may come at once.
    pub(crate) const fn bursting(per_second: u32) -> Self {
        Self::of(per_second, per_second.saturating_mul(5))
    }

    pub(crate) const fn per_second(self) -> u32 {
        self.per_second
    }

    pub(crate) const fn burst(self) -> u32 {
        self.burst
    }

    /// How long one token takes to come.
    pub(crate) fn gap(self) -> Duration {
        Duration::from_secs(1) / self.per_second.max(1)
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Bucket {
    rate: Rate,
    tokens: f64,
    filled: Instant,
}

impl Bucket {
    /// Full.
    pub(crate) fn new(now: Instant, rate: Rate) -> Self {
        Self {
            rate,
            tokens: rate.burst.into(),
            filled: now,
        }
    }

    /// Takes one token, if there is one.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        self.fill(now);
        let there = self.tokens >= 1.0;
        if there {
            self.tokens -= 1.0;
        }
        there
    }

    /// Whether nothing is missing.
    fn is_full(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.tokens >= self.rate.burst.into()
    }

    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        // A time before the last one takes nothing back and gives nothing twice.
        self.filled = self.filled.max(now);
        let more = self.tokens + passed * f64::from(self.rate.per_second);
        self.tokens = more.min(self.rate.burst.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_let_through_and_then_the_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(start, Rate::of(10, 5));
        let taken = (0..20).filter(|_| bucket.take(start)).count();
        assert_eq!(taken, 5);
        let later = start + Duration::from_secs(1);
        let taken = (0..20).filter(|_| bucket.take(later)).count();
        assert_eq!(taken, 5, "never more than the burst");
        assert!(bucket.take(later + Duration::from_millis(100)));
        assert!(!bucket.take(later + Duration::from_millis(150)));
    }

    #[test]
    fn a_clock_that_steps_back_gives_nothing() {
        let start = Instant::now();
        let mut bucket = Bucket::new(start + Duration::from_secs(5), Rate::of(10, 1));
        assert!(bucket.take(start));
        assert!(!bucket.take(start + Duration::from_secs(5)));
    }
}

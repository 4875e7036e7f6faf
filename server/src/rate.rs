//! How fast one peer may speak: a token bucket. Pure.

use std::time::Instant;

/// See the module.
#[derive(Debug)]
pub(crate) struct Bucket {
    per_second: f64,
    most: f64,
    tokens: f64,
    filled: Instant,
}

impl Bucket {
    /// Full, with `most` tokens.
    pub(crate) fn new(now: Instant, per_second: u32, most: u32) -> Self {
        Self {
            per_second: per_second.into(),
            most: most.into(),
            tokens: most.into(),
            filled: now,
        }
    }

    /// Takes one token, if there is one.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.filled = now;
        self.tokens = (self.tokens + passed * self.per_second).min(self.most);
        let there = self.tokens >= 1.0;
        if there {
            self.tokens -= 1.0;
        }
        there
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_is_let_through_and_then_the_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(start, 10, 5);
        let taken = (0..20).filter(|_| bucket.take(start)).count();
        assert_eq!(taken, 5);
        let later = start + Duration::from_secs(1);
        let taken = (0..20).filter(|_| bucket.take(later)).count();
        assert_eq!(taken, 5, "never more than the burst");
        assert!(bucket.take(later + Duration::from_millis(100)));
        assert!(!bucket.take(later + Duration::from_millis(150)));
    }
}

//! How long to wait before the next try: exponential with full jitter, so that a room
//! whose server died does not come back as one thundering herd.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Draws waiting times; pure, so that a seed tells the whole future.
#[derive(Debug)]
pub(super) struct Backoff {
    first: Duration,
    cap: Duration,
    tries: u32,
    random: StdRng,
}

impl Backoff {
    /// Waits at most `first` before the first try and at most `cap` before any.
    pub(super) fn new(first: Duration, cap: Duration, seed: u64) -> Self {
        Self {
            first,
            cap,
            tries: 0,
            random: StdRng::seed_from_u64(seed),
        }
    }

    /// Draws the wait before the next try, evenly from nothing to the current ceiling.
    pub(super) fn next_wait(&mut self) -> Duration {
        let ceiling = self.ceiling();
        self.tries = self.tries.saturating_add(1);
        ceiling.mul_f64(self.random.random_range(0.0..=1.0))
    }

    /// Forgets past failures: the link stood again.
    pub(super) fn reset(&mut self) {
        self.tries = 0;
    }

    /// The longest wait that the next draw may give.
    fn ceiling(&self) -> Duration {
        self.first
            .saturating_mul(2_u32.saturating_pow(self.tries))
            .min(self.cap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FIRST: Duration = Duration::from_millis(100);
    const CAP: Duration = Duration::from_secs(5);

    #[test]
    fn the_ceiling_doubles_until_the_cap_and_starts_over_after_a_reset() {
        let mut backoff = Backoff::new(FIRST, CAP, 1);
        let mut ceilings = Vec::new();
        for _ in 0..8 {
            ceilings.push(backoff.ceiling().as_millis());
            backoff.next_wait();
        }
        assert_eq!(ceilings, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        backoff.reset();
        assert_eq!(backoff.ceiling(), FIRST);
    }

    #[test]
    fn one_seed_gives_one_sequence_and_two_seeds_give_two() {
        let draw = |seed| {
            let mut backoff = Backoff::new(FIRST, CAP, seed);
            (0..10).map(|_| backoff.next_wait()).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn jitter_covers_the_whole_range_and_not_its_edge_only() {
        let mut backoff = Backoff::new(CAP, CAP, 3);
        let waits: Vec<f64> = (0..1000)
            .map(|_| backoff.next_wait().as_secs_f64())
            .collect();
        let mean = waits.iter().sum::<f64>() / 1000.0;
        assert!((2.2..2.8).contains(&mean), "mean {mean}");
        assert!(waits.iter().any(|&w| w < 0.25) && waits.iter().any(|&w| w > 4.75));
    }

    proptest! {
        #[test]
        fn no_wait_is_ever_longer_than_its_ceiling(seed: u64, tries in 0_usize..80) {
            let mut backoff = Backoff::new(FIRST, CAP, seed);
            for _ in 0..tries {
                let ceiling = backoff.ceiling();
                prop_assert!(backoff.next_wait() <= ceiling);
                prop_assert!(ceiling <= CAP);
            }
        }
    }
}

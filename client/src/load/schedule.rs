//! When things are due: evenly, at a rate, up to a number or a time. Pure.

use std::time::Duration;

/// The times, counted from the start, at which things are due.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    rate: f64,
    most: Option<u64>,
    until: Option<Duration>,
    given: u64,
}

impl Schedule {
    /// So many a second, at most so many in all, and none later than `until`.
    pub(super) const fn new(rate: f64, most: Option<u64>, until: Option<Duration>) -> Self {
        Self {
            rate,
            most,
            until,
            given: 0,
        }
    }
}

impl Iterator for Schedule {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        if self.most.is_some_and(|most| self.given >= most) {
            return None;
        }
        // From the count, not from the last one: rounding does not add up.
        #[allow(clippy::cast_precision_loss)]
        let due = Duration::from_secs_f64(self.given as f64 / self.rate);
        if self.until.is_some_and(|until| due >= until) {
            return None;
        }
        self.given += 1;
        Some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_are_due_evenly_from_the_start_on() {
        let due: Vec<_> = Schedule::new(4.0, Some(3), None).collect();
        assert_eq!(due, [0, 250, 500].map(Duration::from_millis));
    }

    #[test]
    fn none_is_due_when_the_time_is_over() {
        let second = Some(Duration::from_secs(1));
        assert_eq!(Schedule::new(100.0, None, second).count(), 100);
        assert_eq!(Schedule::new(100.0, Some(7), second).count(), 7);
    }

    #[test]
    fn odd_rates_do_not_drift() {
        let hour = Schedule::new(3.0, None, Some(Duration::from_secs(3600)));
        assert_eq!(hour.count(), 3 * 3600);
    }
}

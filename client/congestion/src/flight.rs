//! How much may be on its way at once: what a path carries until it is told of, and a little more.
//!
//! When a path suddenly carries less, all that tells of it is that feedback comes late. Until it is there, whatever is sent
//! beyond this bound only fills the queue, and is dropped (RFC 8298, section 4.1.2, bounds its congestion window for the same reason).

use std::time::Duration;

use crate::Moment;

/// Feedback is expected so far apart until it is known, and not further apart than this.
const INTERVAL: Duration = Duration::from_millis(100);
const LONGEST_INTERVAL: Duration = Duration::from_millis(300);
/// Pictures leave in bursts beyond the rate: this many times what would be on its way in the mean, and so much more.
const BURSTS: f64 = 1.25;
const ALLOWANCE: Duration = Duration::from_millis(40);
/// And while a queue is to be emptied.
const ALLOWANCE_IN_DRAINING: Duration = Duration::from_millis(80);
/// Beyond all that is known a packet may take so long.
const GRACE: Duration = Duration::from_millis(100);
/// Bytes that may be on their way on any path.
const LEAST: f64 = 4_000.0;

/// What the bound depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reach {
    /// Bits a second.
    pub(crate) rate: f64,
    /// Until feedback came, lately.
    pub(crate) round_trip: Duration,
    /// Of that, in the queue.
    pub(crate) queue: Duration,
    /// The queue is to be emptied.
    pub(crate) draining: bool,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Flight {
    interval: Duration,
    heard: Option<Moment>,
}

impl Default for Flight {
    fn default() -> Self {
        Self {
            interval: INTERVAL,
            heard: None,
        }
    }
}

impl Flight {
    /// Feedback came.
    pub(crate) fn heard(&mut self, now: Moment) {
        let Some(before) = self.heard.replace(now) else {
            return;
        };
        let gap = now.saturating_sub(before);
        if gap < LONGEST_INTERVAL {
            self.interval = (self.interval * 7 + gap) / 8;
        }
    }

    /// How far apart feedback comes.
    pub(crate) const fn interval(&self) -> Duration {
        self.interval
    }

    /// What left so long ago and was not told of is not on its way any more.
    pub(crate) fn longest(&self, reach: Reach) -> Duration {
        let time = if reach.draining {
            reach.round_trip.saturating_sub(reach.queue)
        } else {
            reach.round_trip * 2
        };
        time + self.interval + GRACE
    }

    /// Bytes that may be on their way.
    pub(crate) fn most(&self, reach: Reach) -> usize {
        let time = if reach.draining {
            reach.round_trip.saturating_sub(reach.queue) + self.interval + ALLOWANCE_IN_DRAINING
        } else {
            (reach.round_trip + self.interval).mul_f64(BURSTS) + ALLOWANCE
        };
        (reach.rate / 8.0 * time.as_secs_f64()).max(LEAST) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(of: u64) -> Duration {
        Duration::from_millis(of)
    }

    #[test]
    fn on_the_way_is_what_the_path_carries_until_it_is_told_of() {
        let mut flight = Flight::default();
        for n in 0..100 {
            flight.heard(ms(50) * n);
        }
        let reach = Reach {
            rate: 2_000_000.0,
            round_trip: ms(40),
            queue: Duration::ZERO,
            draining: false,
        };
        let most = flight.most(reach);
        // A picture's burst of one and a half times the rate fits.
        assert!((33_750..45_000).contains(&most), "{most}");
        let draining = Reach {
            round_trip: ms(240),
            queue: ms(200),
            draining: true,
            ..reach
        };
        assert_eq!(flight.most(draining), 42_500);
        let poor = Reach {
            rate: 30_000.0,
            ..reach
        };
        assert_eq!(flight.most(poor), 4_000, "a picture passes anyway");
    }
}

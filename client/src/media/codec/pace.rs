//! How long a picture lasts, told from when pictures were taken.

use std::time::Duration;

use crate::media::clock::Timestamp;

/// Smooths the distance between pictures, so that an encoder's rate control follows
/// a camera that slows down in the dark, and does not follow every hiccup.
#[derive(Debug)]
pub(super) struct Pace {
    smoothed: Duration,
    last: Option<Timestamp>,
}

impl Pace {
    /// Starts at the expected rate.
    pub(super) fn new(fps: u32) -> Self {
        Self {
            smoothed: Duration::from_secs(1) / fps.max(1),
            last: None,
        }
    }

    /// How long the picture taken at `at` lasts.
    pub(super) fn next(&mut self, at: Timestamp) -> Duration {
        if let Some(last) = self.last {
            let seen = at
                .since(last)
                .clamp(Duration::from_millis(1), Duration::from_millis(500));
            self.smoothed = (self.smoothed * 7 + seen) / 8;
        }
        self.last = Some(at);
        self.smoothed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(pace: &mut Pace, every: Duration, count: u32) -> Duration {
        let start = pace.last.unwrap_or(Timestamp::from_micros(1_000_000));
        (1..=count).fold(Duration::ZERO, |_, n| pace.next(start + every * n))
    }

    #[test]
    fn a_slower_camera_is_followed_within_a_second() {
        let mut pace = Pace::new(30);
        let slow = run(&mut pace, Duration::from_millis(100), 40);
        assert!(slow > Duration::from_millis(99), "{slow:?}");
    }

    #[test]
    fn one_hiccup_moves_it_by_an_eighth() {
        let mut pace = Pace::new(50);
        assert_eq!(
            run(&mut pace, Duration::from_millis(20), 10),
            Duration::from_millis(20)
        );
        assert_eq!(
            run(&mut pace, Duration::from_millis(100), 1),
            Duration::from_millis(30)
        );
    }

    #[test]
    fn a_clock_that_stands_still_does_not_stop_it() {
        let mut pace = Pace::new(30);
        assert!(run(&mut pace, Duration::ZERO, 100) >= Duration::from_millis(1));
    }
}

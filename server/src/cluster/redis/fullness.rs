//! Whether a broker has memory left, told once for each time that it has not: around its limit it gives one thing and refuses
//! the next.

use std::time::{Duration, Instant};

/// For so long nothing must have been refused.
const CALM: Duration = Duration::from_secs(60);

/// When something was refused last, until it is told that it is over.
#[derive(Debug, Default)]
pub(super) struct Fullness(Option<Instant>);

impl Fullness {
    /// Something new was given or refused; gives what is news: that it is full, or no more.
    pub(super) fn news(&mut self, now: Instant, refused: bool) -> Option<bool> {
        if refused {
            return self.0.replace(now).is_none().then_some(true);
        }
        let over = self.0.take_if(|at| now >= *at + CALM);
        over.map(|_| false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_around_its_limit_is_told_of_once_and_once_when_it_is_over() {
        let mut now = Instant::now();
        let mut fullness = Fullness::default();
        assert_eq!(fullness.news(now, false), None);
        assert_eq!(fullness.news(now, true), Some(true));
        for _ in 0..100 {
            now += CALM / 2;
            assert_eq!(fullness.news(now, false), None);
            assert_eq!(fullness.news(now, true), None);
        }
        now += CALM;
        assert_eq!(fullness.news(now, false), Some(false));
        assert_eq!(fullness.news(now, false), None);
        assert_eq!(fullness.news(now, true), Some(true), "another time");
    }
}

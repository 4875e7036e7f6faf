//! One clock for the whole process: wall-clock anchored, monotonic.

use std::ops::{Add, Sub};
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Microseconds since the Unix epoch, never stepping back inside one process.
///
/// The wall clock is read once; from then on the monotonic clock advances it.
/// Processes on one machine agree on it to within the drift since their starts,
/// which is what lets a mark in a picture tell its age in another process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The present moment.
    #[must_use]
    pub fn now() -> Self {
        Self::at(Instant::now())
    }

    /// The moment of a monotonic reading.
    #[must_use]
    pub fn at(instant: Instant) -> Self {
        static ANCHOR: OnceLock<(Instant, u64)> = OnceLock::new();
        let (start, wall) = ANCHOR.get_or_init(|| {
            let wall = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default();
            (Instant::now(), micros(wall))
        });
        let after = micros(instant.saturating_duration_since(*start));
        let before = micros(start.saturating_duration_since(instant));
        Self((wall + after).saturating_sub(before))
    }

    /// A moment from its count of microseconds since the Unix epoch.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since the Unix epoch.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; zero if it is not after it.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;
    fn add(self, by: Duration) -> Self {
        Self(self.0.saturating_add(micros(by)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;
    fn sub(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(micros(by)))
    }
}

fn micros(d: Duration) -> u64 {
    u64::try_from(d.as_micros()).unwrap_or(u64::MAX)
}

//! Whether less is sent than would be allowed: then what arrives tells nothing of what the path
//! carries, and probes have to.

use crate::Moment;

/// Of the allowed rate; an application that stays below it does not fill the path.
const SHARE: f64 = 0.65;
/// Seconds of the allowed rate that are looked at.
const WINDOW: f64 = 0.5;
/// Unused parts of the window at which the state begins and ends.
const BEGINS: f64 = 0.8;
const ENDS: f64 = 0.5;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct AppLimit {
    updated: Moment,
    /// Bytes that might have been sent and were not.
    unused: f64,
    since: Option<Moment>,
}

impl AppLimit {
    pub(crate) fn sent(&mut self, now: Moment, bytes: usize, allowed: f64) {
        let most = allowed * SHARE * WINDOW / 8.0;
        let passed = now.saturating_sub(self.updated).as_secs_f64();
        self.updated = now;
        self.unused += allowed * SHARE * passed / 8.0 - bytes as f64;
        self.unused = self.unused.clamp(-most, most);
        let share = if most > 0.0 { self.unused / most } else { 0.0 };
        if share > BEGINS {
            self.since.get_or_insert(now);
        } else if share < ENDS {
            self.since = None;
        }
    }

    /// Since when, if now.
    pub(crate) const fn since(&self) -> Option<Moment> {
        self.since
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn sends(share: f64) -> AppLimit {
        let mut limit = AppLimit::default();
        for n in 1..200 {
            let bytes = 1_000_000.0 * share / 8.0 * 0.02;
            limit.sent(Duration::from_millis(n * 20), bytes as usize, 1_000_000.0);
        }
        limit
    }

    #[test]
    fn who_sends_a_third_is_limited_by_itself_and_who_sends_nearly_all_is_not() {
        assert!(sends(0.33).since().is_some());
        assert!(sends(0.9).since().is_none());
    }
}

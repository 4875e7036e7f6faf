//! Up to where what was sent is of no use any more, as a key frame follows: nobody is helped by having it again. Pure.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// So long anybody may ask for something older. Numbers come again after longer.
const ASKED: Duration = Duration::from_secs(3);
/// Streams that are kept count of.
const STREAMS: usize = 64;

/// See the module.
#[derive(Debug, Default)]
pub(in crate::peer) struct Forgotten {
    up_to: HashMap<u32, (u16, Instant)>,
}

impl Forgotten {
    pub(in crate::peer) fn forget(&mut self, ssrc: u32, up_to: u16, now: Instant) {
        if self.up_to.len() < STREAMS || self.up_to.contains_key(&ssrc) {
            self.up_to.insert(ssrc, (up_to, now));
        }
    }

    pub(in crate::peer) fn includes(&self, ssrc: u32, number: u16, now: Instant) -> bool {
        self.up_to.get(&ssrc).is_some_and(|(up_to, since)| {
            let before = up_to.wrapping_sub(number) < 1 << 15;
            before && now.saturating_duration_since(*since) < ASKED
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_before_is_of_no_use_for_a_while_and_what_follows_is() {
        let mut forgotten = Forgotten::default();
        let now = Instant::now();
        assert!(!forgotten.includes(1, 3, now));
        forgotten.forget(1, 3, now);
        assert!(forgotten.includes(1, 3, now) && forgotten.includes(1, 65_000, now));
        assert!(!forgotten.includes(1, 4, now) && !forgotten.includes(2, 3, now));
        assert!(!forgotten.includes(1, 3, now + ASKED));
    }
}

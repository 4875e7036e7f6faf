//! What was sent, by its transport-wide number, until the receiver has told its fate
//! (draft-holmer-rmcat-transport-wide-cc-extensions-01).

use std::collections::VecDeque;
use std::time::Duration;

use crate::Moment;

/// Packets are kept so long, and so many.
const KEPT: Duration = Duration::from_secs(10);
const PACKETS: usize = 16_384;

/// What the receiver tells about one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Transport-wide, as it was written on the packet.
    pub number: u16,
    /// By the receiver's clock; `None` where it did not arrive.
    pub at: Option<Moment>,
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    left: Moment,
    bytes: usize,
    probe: Option<u32>,
    told: bool,
    /// Bytes that had left before it.
    before: u64,
}

/// One packet whose fate is known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fate {
    pub(crate) left: Moment,
    pub(crate) bytes: usize,
    pub(crate) probe: Option<u32>,
    pub(crate) arrived: Option<Moment>,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// The number of the first that is kept, unwrapped.
    first: u64,
    sent: VecDeque<Sent>,
    /// Bytes that have left.
    total: u64,
    /// The first that left after all that were told of.
    beyond: u64,
}

impl History {
    /// A packet leaves; gives the number to write on it.
    pub(crate) fn leaves(&mut self, now: Moment, bytes: usize, probe: Option<u32>) -> u16 {
        while self.sent.len() >= PACKETS
            || self
                .sent
                .front()
                .is_some_and(|sent| now.saturating_sub(sent.left) > KEPT)
        {
            self.sent.pop_front();
            self.first += 1;
        }
        let number = self.first + self.sent.len() as u64;
        self.sent.push_back(Sent {
            left: now,
            bytes,
            probe,
            told: false,
            before: self.total,
        });
        self.total += bytes as u64;
        number as u16
    }

    /// What one line of feedback means. Nothing where the number is unknown or its arrival told before.
    pub(crate) fn told(&mut self, arrival: Arrival) -> Option<Fate> {
        let offset = arrival.number.wrapping_sub(self.first as u16);
        let sent = self.sent.get_mut(usize::from(offset))?;
        if std::mem::replace(&mut sent.told, true) {
            return None;
        }
        self.beyond = self.beyond.max(self.first + u64::from(offset) + 1);
        Some(Fate {
            left: sent.left,
            bytes: sent.bytes,
            probe: sent.probe,
            arrived: arrival.at,
        })
    }

    /// Bytes on their way: what left after the newest packet that anybody has told of, and after `since`. Older ones are
    /// lost, or the word of them is.
    pub(crate) fn on_the_way(&self, since: Moment) -> usize {
        let beyond = self.beyond.saturating_sub(self.first) as usize;
        let young = self.sent.partition_point(|sent| sent.left < since);
        let next = self.sent.get(beyond.max(young));
        let told = next.map_or(self.total, |next| next.before);
        (self.total - told) as usize
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_go_on_across_the_wrap() {
        let mut history = History::default();
        for n in 0..200_000u64 {
            let now = Duration::from_millis(n);
            assert_eq!(history.leaves(now, 100, None), n as u16);
            let at = Some(now);
            let number = n as u16;
            assert!(history.told(Arrival { number, at }).is_some());
            assert!(
                history.told(Arrival { number, at }).is_none(),
                "told before"
            );
        }
    }

    #[test]
    fn what_left_after_the_newest_that_was_told_of_is_on_its_way() {
        let mut history = History::default();
        for n in 0..10 {
            history.leaves(Duration::from_millis(n), 100, None);
        }
        assert_eq!(history.on_the_way(Moment::ZERO), 1_000);
        history.told(Arrival {
            number: 6,
            at: None,
        });
        assert_eq!(
            history.on_the_way(Moment::ZERO),
            300,
            "those before are lost"
        );
        let late = Duration::from_millis(8);
        assert_eq!(history.on_the_way(late), 200, "or were too long on it");
        history.told(Arrival {
            number: 9,
            at: None,
        });
        assert_eq!(history.on_the_way(Moment::ZERO), 0);
    }

    proptest! {
        #[test]
        fn feedback_about_anything_is_taken(numbers in prop::collection::vec(any::<u16>(), 0..200), sent in 0u64..300) {
            let mut history = History::default();
            for n in 0..sent {
                history.leaves(Duration::from_millis(n), 1, None);
            }
            for number in numbers {
                let fate = history.told(Arrival { number, at: None });
                prop_assert!(fate.is_none() || u64::from(number) < sent);
            }
        }
    }
}

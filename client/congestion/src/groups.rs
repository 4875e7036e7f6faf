//! Packets in groups that left together, and what the path did to the distance of two groups
//! (draft-ietf-rmcat-gcc-02, sections 4.1 and 5.1).

use std::time::Duration;

use crate::{Moment, millis};

/// Packets that leave within this belong together.
const TOGETHER: Duration = Duration::from_millis(5);
/// Packets that arrive at once after something held them belong together too, up to this long a burst.
const LONGEST_BURST: Duration = Duration::from_millis(100);
/// A receiver's clock that jumps further than this begins anew.
const JUMP: f64 = 3_000.0;
/// So many groups that arrived before their forerunners: the clock has gone back.
const BACKWARDS: u32 = 3;

#[derive(Clone, Copy, Debug)]
struct Group {
    first_left: Moment,
    left: Moment,
    first_arrived: Moment,
    arrived: Moment,
}

/// Milliseconds between two groups, at either end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Distance {
    pub(crate) left: f64,
    pub(crate) arrived: f64,
    /// When the later group arrived, by the receiver's clock.
    pub(crate) at: Moment,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    current: Option<Group>,
    previous: Option<Group>,
    backwards: u32,
}

impl Groups {
    /// Takes in a packet, in the order of departure; a packet that begins a new group completes the one before.
    pub(crate) fn see(&mut self, left: Moment, arrived: Moment) -> Option<Distance> {
        let Some(current) = &mut self.current else {
            self.current = Some(Group::of(left, arrived));
            return None;
        };
        if left < current.first_left {
            return None;
        }
        if current.takes(left, arrived) {
            current.left = current.left.max(left);
            current.arrived = current.arrived.max(arrived);
            return None;
        }
        let complete = *current;
        let previous = self.previous.replace(complete);
        self.current = Some(Group::of(left, arrived));
        let previous = previous?;
        let distance = Distance {
            left: millis(complete.left) - millis(previous.left),
            arrived: millis(complete.arrived) - millis(previous.arrived),
            at: complete.arrived,
        };
        if (distance.arrived - distance.left).abs() > JUMP {
            *self = Self::default();
            return None;
        }
        if distance.arrived < 0.0 {
            self.backwards += 1;
            if self.backwards >= BACKWARDS {
                *self = Self::default();
            }
            return None;
        }
        self.backwards = 0;
        Some(distance)
    }
}

impl Group {
    const fn of(left: Moment, arrived: Moment) -> Self {
        Self {
            first_left: left,
            left,
            first_arrived: arrived,
            arrived,
        }
    }

    fn takes(&self, left: Moment, arrived: Moment) -> bool {
        if left.saturating_sub(self.first_left) <= TOGETHER {
            return true;
        }
        let apart = millis(arrived) - millis(self.arrived);
        let stretched = apart - (millis(left) - millis(self.left));
        apart <= millis(TOGETHER)
            && stretched < 0.0
            && arrived.saturating_sub(self.first_arrived) < LONGEST_BURST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(of: u64) -> Moment {
        Duration::from_millis(of)
    }

    #[test]
    fn packets_that_left_within_five_milliseconds_are_one_group() {
        let mut groups = Groups::default();
        for (left, arrived) in [(0, 50), (3, 53), (5, 55), (33, 83)] {
            assert_eq!(groups.see(ms(left), ms(arrived)), None);
        }
        let distance = groups.see(ms(66), ms(126));
        let expected = Distance {
            left: 28.0,
            arrived: 28.0,
            at: ms(83),
        };
        assert_eq!(distance, Some(expected));
        let later = groups.see(ms(99), ms(160)).map(|d| d.arrived - d.left);
        assert_eq!(later, Some(10.0), "held back by ten milliseconds");
    }

    #[test]
    fn packets_that_were_held_and_let_go_at_once_are_one_group() {
        let mut groups = Groups::default();
        groups.see(ms(0), ms(100));
        for left in [20, 40, 60] {
            assert_eq!(groups.see(ms(left), ms(100)), None);
        }
        groups.see(ms(90), ms(130));
        let distance = groups.see(ms(130), ms(170));
        assert_eq!(distance.map(|d| (d.left, d.arrived)), Some((30.0, 30.0)));
    }

    #[test]
    fn a_clock_that_jumps_begins_anew() {
        let mut groups = Groups::default();
        groups.see(ms(0), ms(100));
        groups.see(ms(30), ms(130));
        groups.see(ms(60), ms(90_000));
        assert_eq!(groups.see(ms(90), ms(90_030)), None);
        groups.see(ms(120), ms(90_060));
        assert_eq!(groups.see(ms(150), ms(90_090)), None);
        assert!(groups.see(ms(180), ms(90_120)).is_some());
    }
}

//! When what came through a pipe is given. Pure: time comes in.
//!
//! Items say how long after the first one they belong. A writer that is ahead of that is held
//! back; one that is behind moves the schedule, so that its stamps stay near the truth.

use std::time::Duration;

use crate::media::clock::Timestamp;

/// Being late by this much is jitter: the item is stamped as if it had come in time.
const JITTER: Duration = Duration::from_millis(60);

/// An item that says it belongs this much later than now says nonsense, or follows a long pause.
const ABSURD: Duration = Duration::from_secs(10);

/// It is looked so often whether every item waits for its time.
const WINDOW: Duration = Duration::from_secs(3);

/// Every item of a window waiting longer than this is delay for nothing.
const NEEDLESS: Duration = Duration::from_millis(40);

/// What of a needless wait is kept.
const RESERVE: Duration = Duration::from_millis(10);

/// What to do about an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Give it, with this time stamp.
    Now(Timestamp),
    /// It is too early by so much.
    In(Duration),
}

/// The schedule of one pipe.
#[derive(Debug, Default)]
pub(super) struct Pace {
    start: Option<Timestamp>,
    window: Option<Window>,
}

#[derive(Debug)]
struct Window {
    since: Timestamp,
    least: Duration,
}

impl Pace {
    /// Decides about an item that belongs `time` after the first.
    pub(super) fn due(&mut self, time: Duration, now: Timestamp) -> Due {
        let start = *self.start.get_or_insert(now - time);
        let due = start + time;
        if now < due {
            let early = due.since(now);
            if early <= ABSURD {
                return Due::In(early);
            }
            self.start = Some(now - time);
            return Due::Now(now);
        }
        let late = now.since(due);
        if late <= JITTER {
            return Due::Now(due);
        }
        let moved = late - JITTER;
        self.start = Some(start + moved);
        Due::Now(due + moved)
    }

    /// An item was given that had waited so long; `full` tells that its writer is held back, and so that the wait is the
    /// schedule's purpose. A live writer's wait is what jitter long past has left behind, and is taken back, step by step:
    /// what waits already is late at once, and moves the schedule again.
    pub(super) fn gave(&mut self, waited: Duration, full: bool, now: Timestamp) {
        if full {
            self.window = None;
            return;
        }
        let window = self.window.get_or_insert(Window {
            since: now,
            least: waited,
        });
        window.least = window.least.min(waited);
        if now.since(window.since) < WINDOW {
            return;
        }
        let least = window.least;
        self.window = None;
        if least > NEEDLESS {
            self.start = self.start.map(|start| start - (least - RESERVE));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Duration = Duration::from_millis(40);

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn start() -> Timestamp {
        Timestamp::from_micros(1_700_000_000_000_000)
    }

    /// Plays items that come at these times; gives when each was given, and its stamp.
    fn play(
        pace: &mut Pace,
        come: impl IntoIterator<Item = Timestamp>,
    ) -> Vec<(Timestamp, Timestamp)> {
        let mut now = start();
        let mut given = Vec::new();
        for (number, came) in (0_u32..).zip(come) {
            now = now.max(came);
            let stamp = loop {
                match pace.due(FRAME * number, now) {
                    Due::Now(stamp) => break stamp,
                    Due::In(pause) => now = now + pause,
                }
            };
            pace.gave(stamp.since(came), false, now);
            given.push((now, stamp));
        }
        given
    }

    #[test]
    fn a_writer_that_hurries_is_held_to_its_rate() {
        let given = play(&mut Pace::default(), [start(); 10]);
        for (number, (at, stamp)) in (0_u32..).zip(given) {
            assert_eq!(
                (at, stamp),
                (start() + FRAME * number, start() + FRAME * number)
            );
        }
    }

    #[test]
    fn jitter_is_not_passed_on_and_leaves_no_delay() {
        let late = [0, 30, 10, 35, 0, 20];
        let come = (0_u32..)
            .zip(late)
            .map(|(n, late)| start() + FRAME * n + ms(late));
        let given = play(&mut Pace::default(), come.clone());
        for (number, ((at, stamp), came)) in (0_u32..).zip(given.into_iter().zip(come)) {
            assert_eq!((at, stamp), (came, start() + FRAME * number));
        }
    }

    #[test]
    fn a_writer_that_is_slower_than_it_says_is_followed_with_stamps_near_the_truth() {
        let come = (0..200_u32).map(|n| start() + ms(50) * n);
        let given = play(&mut Pace::default(), come.clone());
        for ((at, stamp), came) in given.iter().zip(come) {
            assert_eq!(*at, came);
            assert!(at.since(*stamp) <= JITTER);
        }
        let steps = given[20..].windows(2).map(|w| w[1].1.since(w[0].1));
        assert!(steps.into_iter().all(|step| step == ms(50)));
    }

    #[test]
    fn the_delay_that_a_hold_up_leaves_is_taken_back() {
        // Half a second of nothing, then what was missed in one burst, then as before.
        let come = (0..400_u32).map(|n| {
            let in_time = start() + FRAME * n;
            let held = start() + ms(2_000);
            if in_time > start() + ms(1_500) && in_time < held {
                held
            } else {
                in_time
            }
        });
        let given = play(&mut Pace::default(), come.clone());
        let waits: Vec<_> = given
            .iter()
            .zip(come)
            .map(|((at, _), came)| at.since(came))
            .collect();
        assert!(waits[60] > ms(300), "{:?}", waits[60]);
        assert!(waits[399] <= NEEDLESS, "{:?}", waits[399]);
    }

    #[test]
    fn who_is_held_back_is_not_hurried() {
        let mut pace = Pace::default();
        let mut now = start();
        for number in 0..200_u32 {
            if let Due::In(pause) = pace.due(FRAME * number, now) {
                now = now + pause;
            }
            pace.gave(ms(320), true, now);
        }
        assert_eq!(now, start() + FRAME * 199);
    }

    #[test]
    fn times_that_jump_neither_hold_nor_hurry() {
        let mut pace = Pace::default();
        assert_eq!(pace.due(Duration::ZERO, start()), Due::Now(start()));
        assert_eq!(pace.due(ms(3_600_000), start()), Due::Now(start()));
        assert_eq!(pace.due(ms(3_600_040), start()), Due::In(FRAME));
        let back = pace.due(Duration::ZERO, start() + FRAME);
        assert_eq!(back, Due::Now(start() + FRAME - JITTER));
        assert_eq!(pace.due(ms(120), start() + FRAME), Due::In(ms(60)));
    }
}

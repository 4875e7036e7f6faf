//! When a device counts as hung, and when it is tried again. Pure: time comes in.

use std::time::Duration;

use crate::media::clock::Timestamp;

/// A device that has given something is not silent for longer than this.
const STALLED: Duration = Duration::from_secs(3);

/// One that was just opened may take its time: lamps light up, drivers load.
const FIRST: Duration = Duration::from_secs(8);

/// The first try after it went comes after this long; each that fails doubles it.
const RETRY: Duration = Duration::from_secs(1);

/// And none later than this, so that what is plugged in is there soon.
const SLOWEST: Duration = Duration::from_secs(4);

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Ask the device.
    Ask,
    /// It has been silent for so long: close it.
    Close(Duration),
    /// Try to open it.
    Open,
    /// Nothing, for so long.
    Wait(Duration),
}

/// Follows one device.
#[derive(Debug)]
pub(super) struct Watchdog {
    state: State,
    /// The pause before the next try.
    pause: Duration,
}

#[derive(Debug)]
enum State {
    Open { last: Timestamp, patience: Duration },
    Gone { again: Timestamp },
}

impl Watchdog {
    /// It was opened just now.
    pub(super) const fn new(now: Timestamp) -> Self {
        Self {
            state: State::Open {
                last: now,
                patience: FIRST,
            },
            pause: RETRY,
        }
    }

    /// What to do.
    pub(super) fn order(&self, now: Timestamp) -> Order {
        match &self.state {
            State::Open { last, patience } => {
                let silent = now.since(*last);
                if silent > *patience {
                    Order::Close(silent)
                } else {
                    Order::Ask
                }
            }
            State::Gone { again } => {
                let left = again.since(now);
                if left.is_zero() {
                    Order::Open
                } else {
                    Order::Wait(left)
                }
            }
        }
    }

    /// It gave something: it works.
    pub(super) const fn gave(&mut self, now: Timestamp) {
        self.state = State::Open {
            last: now,
            patience: STALLED,
        };
        self.pause = RETRY;
    }

    /// It was opened again. Only what it gives tells that it works.
    pub(super) const fn opened(&mut self, now: Timestamp) {
        self.state = State::Open {
            last: now,
            patience: FIRST,
        };
    }

    /// It failed, was closed, or could not be opened.
    pub(super) fn failed(&mut self, now: Timestamp) {
        self.state = State::Gone {
            again: now + self.pause,
        };
        self.pause = (self.pause * 2).min(SLOWEST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_micros(1_700_000_000_000_000) + Duration::from_millis(millis)
    }

    #[test]
    fn a_device_is_hung_when_it_stops_giving() {
        let mut dog = Watchdog::new(at(0));
        dog.gave(at(500));
        assert_eq!(dog.order(at(3_500)), Order::Ask);
        assert_eq!(
            dog.order(at(3_600)),
            Order::Close(Duration::from_millis(3_100))
        );
    }

    #[test]
    fn the_first_picture_may_take_longer() {
        let dog = Watchdog::new(at(0));
        assert_eq!(dog.order(at(8_000)), Order::Ask);
        assert_eq!(
            dog.order(at(8_001)),
            Order::Close(Duration::from_millis(8_001))
        );
    }

    #[test]
    fn tries_become_rarer_up_to_a_limit_and_start_anew_once_it_works() {
        let mut dog = Watchdog::new(at(0));
        let mut now = at(0);
        let mut pauses = Vec::new();
        for _ in 0..5 {
            dog.failed(now);
            let Order::Wait(pause) = dog.order(now) else {
                unreachable!("it was just tried");
            };
            pauses.push(pause.as_secs());
            now = now + pause;
            assert_eq!(dog.order(now), Order::Open);
        }
        assert_eq!(pauses, [1, 2, 4, 4, 4]);
        // One that opens and gives nothing is no better than one that does not open.
        dog.opened(now);
        now = now + Duration::from_secs(9);
        assert!(matches!(dog.order(now), Order::Close(_)));
        dog.failed(now);
        assert_eq!(dog.order(now), Order::Wait(4 * SECOND));
        dog.opened(now);
        dog.gave(now);
        dog.failed(now);
        assert_eq!(dog.order(now), Order::Wait(SECOND));
    }
}

//! What lies between a device's callback and the one who fetches: samples and their times.

use std::collections::VecDeque;
use std::time::Duration;

use crate::media::clock::Timestamp;

/// The newest sound of a device, interleaved; full, it drops the oldest and counts.
#[derive(Debug)]
pub(super) struct Ring {
    samples: VecDeque<i16>,
    capacity: usize,
    rate: u32,
    channels: usize,
    /// When the sample after the last one will be taken.
    end: Timestamp,
    dropped: u64,
}

impl Ring {
    /// Holds `capacity` frames (one sample per channel) of sound at `rate`.
    pub(super) fn new(capacity: usize, rate: u32, channels: u16) -> Self {
        let channels = usize::from(channels.max(1));
        Self {
            samples: VecDeque::with_capacity(capacity * channels),
            capacity: capacity * channels,
            rate: rate.max(1),
            channels,
            end: Timestamp::default(),
            dropped: 0,
        }
    }

    /// Adds sound that ended at `end`.
    pub(super) fn push(&mut self, samples: &[i16], end: Timestamp) {
        // Whole frames only, or the channels would be swapped from here on.
        let whole = samples.len() - samples.len() % self.channels;
        let kept = &samples[whole.saturating_sub(self.capacity)..whole];
        let over = (self.samples.len() + kept.len()).saturating_sub(self.capacity);
        self.samples.drain(..over);
        self.samples.extend(kept);
        self.dropped += ((whole - kept.len() + over) / self.channels) as u64;
        self.end = end;
    }

    /// Moves the oldest `frames` into `out` and tells when the first was taken; `None`, and
    /// nothing moved, where there are fewer.
    pub(super) fn take(&mut self, frames: usize, out: &mut Vec<i16>) -> Option<Timestamp> {
        let wanted = frames * self.channels;
        if wanted == 0 || self.samples.len() < wanted {
            return None;
        }
        let held = (self.samples.len() / self.channels) as u64;
        let at = self.end - Duration::from_micros(held * 1_000_000 / u64::from(self.rate));
        out.extend(self.samples.drain(..wanted));
        Some(at)
    }

    /// Frames lost so far.
    pub(super) const fn dropped(&self) -> u64 {
        self.dropped
    }
}

/// Takes the wobble of callbacks out of their times: a device's sample clock is far steadier
/// than the moments at which a thread is woken.
#[derive(Debug, Default)]
pub(super) struct SteadyClock {
    next: Option<Timestamp>,
}

impl SteadyClock {
    /// Further off than this the sound was interrupted, and the measured time is believed.
    const JUMP: Duration = Duration::from_millis(100);

    /// The time of a block that was measured to begin at `measured` and lasts `duration`.
    pub(super) fn stamp(&mut self, measured: Timestamp, duration: Duration) -> Timestamp {
        let at = match self.next {
            None => measured,
            Some(expected) => {
                let (late, early) = (measured.since(expected), expected.since(measured));
                if late.max(early) > Self::JUMP {
                    measured.max(expected)
                } else {
                    // A sixteenth of the way follows the drift of clocks and hides jitter.
                    expected + late / 16 - early / 16
                }
            }
        };
        self.next = Some(at + duration);
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Timestamp {
        Timestamp::from_micros(ms * 1_000)
    }

    const TWENTY: Duration = Duration::from_millis(20);

    #[test]
    fn sound_comes_out_in_order_with_the_time_of_its_first_sample() {
        let mut ring = Ring::new(100, 1_000, 2);
        ring.push(&[1, 2, 3, 4, 5, 6], ms(50));
        let mut out = Vec::new();
        assert_eq!(ring.take(4, &mut out), None);
        assert_eq!(ring.take(2, &mut out), Some(ms(47)));
        assert_eq!(out, [1, 2, 3, 4]);
        ring.push(&[7, 8], ms(51));
        assert_eq!(ring.take(2, &mut out), Some(ms(49)));
        assert_eq!(out, [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(ring.dropped(), 0);
    }

    #[test]
    fn a_full_ring_drops_the_oldest_and_counts() {
        let mut ring = Ring::new(3, 1_000, 1);
        ring.push(&[1, 2], ms(2));
        ring.push(&[3, 4], ms(4));
        assert_eq!(ring.dropped(), 1);
        ring.push(&[5, 6, 7, 8, 9], ms(9));
        assert_eq!(ring.dropped(), 6);
        let mut out = Vec::new();
        assert_eq!(ring.take(3, &mut out), Some(ms(6)));
        assert_eq!(out, [7, 8, 9]);
    }

    #[test]
    fn half_a_frame_is_cut_off() {
        let mut ring = Ring::new(8, 1_000, 2);
        ring.push(&[1, 2, 3], ms(2));
        ring.push(&[4, 5], ms(3));
        let mut out = Vec::new();
        assert!(ring.take(2, &mut out).is_some());
        assert_eq!(out, [1, 2, 4, 5]);
    }

    #[test]
    fn times_are_steady_while_callbacks_wobble() {
        let mut clock = SteadyClock::default();
        assert_eq!(clock.stamp(ms(100), TWENTY), ms(100));
        assert_eq!(
            clock.stamp(ms(136), TWENTY),
            Timestamp::from_micros(121_000)
        );
        assert_eq!(
            clock.stamp(ms(125), TWENTY),
            Timestamp::from_micros(140_000)
        );
    }

    #[test]
    fn an_interruption_is_followed_at_once_and_time_never_goes_back() {
        let mut clock = SteadyClock::default();
        clock.stamp(ms(100), TWENTY);
        assert_eq!(clock.stamp(ms(900), TWENTY), ms(900));
        assert_eq!(clock.stamp(ms(300), TWENTY), ms(920));
    }
}

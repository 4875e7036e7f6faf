//! The loudspeaker's sound on its way to the echo canceller.
//!
//! The device's callback puts in what it plays; the microphone's thread takes as much as it has of its own, so
//! that both stay in step however unevenly the callbacks come. Nobody holds the lock for longer than a copy.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Blocks of 10 ms that may wait: what callbacks bring at once. More would be heard by the microphone before the
/// canceller knows of it, so beyond it the canceller is given the older ones without waiting for the microphone.
const SLACK: usize = 4;

/// Blocks held at most, where no microphone takes them; then the oldest go.
const CAPACITY: usize = 50;

/// Channels of the mix.
const CHANNELS: usize = 2;

/// Both ends; cheap to clone.
#[derive(Clone, Debug)]
pub struct EchoReference(Arc<Mutex<Queue>>);

#[derive(Debug)]
struct Queue {
    rate: u32,
    samples: VecDeque<i16>,
    /// From the callback to the ear, as the device tells.
    delay: Duration,
    dropped: u64,
}

impl EchoReference {
    /// For a device of this rate; what it plays is stereo.
    #[must_use]
    pub fn new(rate: u32) -> Self {
        let rate = rate.max(8_000);
        Self(Arc::new(Mutex::new(Queue {
            rate,
            samples: VecDeque::with_capacity(block(rate) * CAPACITY),
            delay: Duration::ZERO,
            dropped: 0,
        })))
    }

    /// The device now plays `samples`; they are heard after `delay`.
    pub fn play(&self, samples: &[i16], delay: Duration) {
        let mut queue = self.lock();
        let capacity = block(queue.rate) * CAPACITY;
        let kept = &samples[samples.len().saturating_sub(capacity)..];
        let over = (queue.samples.len() + kept.len()).saturating_sub(capacity);
        // Whole frames, or the channels would be swapped from here on.
        let over = over.next_multiple_of(CHANNELS).min(queue.samples.len());
        queue.samples.drain(..over);
        queue.samples.extend(kept);
        queue.dropped += (over / CHANNELS) as u64;
        queue.delay = delay;
    }

    /// Gives `take` what belongs to the next 10 ms of the microphone, in blocks of 10 ms with their rate; tells how
    /// long the last of them takes until it is heard.
    pub fn take(&self, mut take: impl FnMut(&[i16], u32)) -> Duration {
        loop {
            let (samples, rate, waiting, delay) = {
                let mut queue = self.lock();
                let size = block(queue.rate);
                if queue.samples.len() < size {
                    return queue.delay;
                }
                let samples: Vec<i16> = queue.samples.drain(..size).collect();
                (samples, queue.rate, queue.samples.len() / size, queue.delay)
            };
            take(&samples, rate);
            if waiting <= SLACK {
                return delay.saturating_sub(Duration::from_millis(10) * waiting as u32);
            }
        }
    }

    /// Frames that no microphone took.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.lock().dropped
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Samples of 10 ms.
const fn block(rate: u32) -> usize {
    rate as usize / 100 * CHANNELS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(reference: &EchoReference) -> Vec<i16> {
        let mut firsts = Vec::new();
        reference.take(|block, rate| {
            assert_eq!((block.len(), rate), (160, 8_000));
            firsts.push(block[0]);
        });
        firsts
    }

    #[test]
    fn uneven_callbacks_come_out_evenly() {
        let reference = EchoReference::new(8_000);
        for period in 0..3_i16 {
            let both: Vec<i16> = [period * 2; 160]
                .into_iter()
                .chain([period * 2 + 1; 160])
                .collect();
            reference.play(&both, Duration::from_millis(30));
            assert_eq!(taken(&reference), [period * 2]);
            assert_eq!(taken(&reference), [period * 2 + 1]);
        }
        assert!(
            taken(&reference).is_empty(),
            "nothing is played, nothing is taken"
        );
    }

    #[test]
    fn what_has_waited_too_long_is_taken_at_once() {
        let reference = EchoReference::new(8_000);
        for n in 0..9 {
            reference.play(&[n; 160], Duration::ZERO);
        }
        assert_eq!(taken(&reference), [0, 1, 2, 3, 4]);
        assert_eq!(taken(&reference), [5]);
    }

    #[test]
    fn without_a_microphone_the_oldest_go_and_are_counted() {
        let reference = EchoReference::new(8_000);
        for _ in 0..60 {
            reference.play(&[1; 160], Duration::ZERO);
        }
        assert_eq!(reference.dropped(), 10 * 80);
        reference.play(&[1; 100_000], Duration::ZERO);
        assert_eq!(reference.lock().samples.len(), 160 * CAPACITY);
    }

    #[test]
    fn the_delay_is_what_is_left_of_it() {
        let reference = EchoReference::new(8_000);
        reference.play(&[1; 480], Duration::from_millis(70));
        let delay = reference.take(|_, _| {});
        assert_eq!(delay, Duration::from_millis(50));
    }
}

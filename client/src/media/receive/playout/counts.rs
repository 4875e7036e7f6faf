//! What became of received sound, by the names of W3C webrtc-stats (`RTCInboundRtpStreamStats`).

use std::collections::VecDeque;
use std::time::Duration;

use super::super::jitter::PacketCounts;
use super::{BLOCK, CHANNELS};
use crate::media::frame::SAMPLE_RATE;

/// Blocks over which the level is taken: a tenth of a second.
const LEVEL_BLOCKS: usize = 10;

/// Samples are counted once for all channels.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct AudioCounts {
    /// What became of the packets.
    pub packets: PacketCounts,
    /// `totalSamplesReceived`: played, concealed ones too.
    pub samples: u64,
    /// `concealedSamples`
    pub concealed: u64,
    /// `silentConcealedSamples`: of these, the ones that had faded to the noise behind the voice.
    pub silent_concealed: u64,
    /// `concealmentEvents`: runs of them.
    pub concealment_events: u64,
    /// `insertedSamplesForDeceleration`
    pub inserted: u64,
    /// `removedSamplesForAcceleration`
    pub removed: u64,
    /// `jitterBufferEmittedCount`
    pub emitted: u64,
    /// `jitterBufferDelay`: seconds that all emitted samples waited, together.
    pub delay: f64,
    /// `jitterBufferTargetDelay`: the same, had each waited as long as was aimed at.
    pub target_delay: f64,
    /// `jitterBufferMinimumDelay`: the same, had none waited for their picture.
    pub minimum_delay: f64,
    /// `audioLevel`: 0 to 1, over the last tenth of a second.
    pub level: f64,
    /// `totalAudioEnergy`
    pub energy: f64,
}

#[derive(Debug, Default)]
pub(super) struct Counting {
    counts: AudioCounts,
    concealing: bool,
    /// Mean squares of the last blocks.
    squares: VecDeque<f64>,
}

impl Counting {
    pub(super) fn block(&mut self, block: &[i16]) {
        let sum: f64 = block
            .iter()
            .map(|s| (f64::from(*s) / 32_768.0).powi(2))
            .sum();
        let square = sum / block.len().max(1) as f64;
        self.counts.samples += (block.len() / CHANNELS) as u64;
        self.counts.energy += square * BLOCK as f64 / f64::from(SAMPLE_RATE);
        if self.squares.len() == LEVEL_BLOCKS {
            self.squares.pop_front();
        }
        self.squares.push_back(square);
        let mean = self.squares.iter().sum::<f64>() / self.squares.len() as f64;
        self.counts.level = mean.sqrt();
    }

    /// Nothing is played any more.
    pub(super) fn pause(&mut self) {
        self.squares.clear();
        self.counts.level = 0.0;
    }

    pub(super) fn played(
        &mut self,
        frames: usize,
        waited_micros: i64,
        minimum: Duration,
        wait: Duration,
    ) {
        self.concealing = false;
        self.counts.emitted += frames as u64;
        self.counts.minimum_delay += minimum.as_secs_f64() * frames as f64;
        self.counts.target_delay += (minimum + wait).as_secs_f64() * frames as f64;
        self.counts.delay += waited_micros.max(0) as f64 / 1e6 * frames as f64;
    }

    pub(super) const fn recovered(&mut self) {
        self.concealing = false;
    }

    pub(super) fn concealed(&mut self, frames: usize, faded: bool) {
        self.counts.concealment_events += u64::from(!std::mem::replace(&mut self.concealing, true));
        self.counts.concealed += frames as u64;
        if faded {
            self.counts.silent_concealed += frames as u64;
        }
    }

    pub(super) const fn removed(&mut self, frames: usize) {
        self.counts.removed += frames as u64;
    }

    pub(super) const fn inserted(&mut self, frames: usize) {
        self.counts.inserted += frames as u64;
    }

    pub(super) const fn so_far(&self, packets: PacketCounts) -> AudioCounts {
        AudioCounts {
            packets,
            ..self.counts
        }
    }
}

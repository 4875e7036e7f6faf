//! Several voices into one: a short buffer for each, a sum that does not crackle.
//!
//! Everything is stereo, interleaved; a frame is one sample for each ear. Time is what the
//! device consumes: the mixer knows no clock.

use std::collections::VecDeque;

/// What a voice must have gathered before it starts to sound, and to which an overfull one is cut.
pub(in crate::media::sink) const TARGET_MS: usize = 40;
/// What a voice holds at most.
const CAPACITY_MS: usize = 200;
/// A voice that had more than this beyond its target left over, for a whole [`WINDOW_MS`], lags for nothing.
const SPARE_MS: usize = 20;
/// For how long a voice is watched before what was never needed is cut out.
const WINDOW_MS: usize = 2_000;

/// Which voice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::media::sink) struct InputId(u64);

/// What became of one peer's sound, in frames (a sample for each ear).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InputStats {
    /// Pushed so far: what was played, dropped and is buffered, together.
    pub pushed: u64,
    /// Played.
    pub played: u64,
    /// Thrown away because too much had gathered.
    pub dropped: u64,
    /// Waiting to be played.
    pub buffered: u64,
    /// Times the buffer ran dry and silence was played.
    pub underflows: u64,
}

/// Mixes; shared by the device's callback and those who push.
#[derive(Debug)]
pub(in crate::media::sink) struct Mixer {
    frames_per_ms: usize,
    voices: Vec<Voice>,
    next: u64,
    /// Kept for its memory.
    sum: Vec<i32>,
}

#[derive(Debug)]
struct Voice {
    id: InputId,
    samples: VecDeque<i16>,
    sounding: bool,
    stats: InputStats,
    /// The least that was left after a period of the current window, in samples.
    least: usize,
    /// Samples played in the current window.
    watched: usize,
}

impl Mixer {
    pub(in crate::media::sink) fn new(rate: u32) -> Self {
        Self {
            frames_per_ms: (rate as usize / 1_000).max(1),
            voices: Vec::new(),
            next: 0,
            sum: Vec::new(),
        }
    }

    pub(in crate::media::sink) fn add(&mut self) -> InputId {
        let id = InputId(self.next);
        self.next += 1;
        self.voices.push(Voice {
            id,
            samples: VecDeque::with_capacity(self.samples_in(CAPACITY_MS)),
            sounding: false,
            stats: InputStats::default(),
            least: usize::MAX,
            watched: 0,
        });
        id
    }

    pub(in crate::media::sink) fn remove(&mut self, id: InputId) {
        self.voices.retain(|voice| voice.id != id);
    }

    pub(in crate::media::sink) fn stats(&self, id: InputId) -> InputStats {
        let voice = self.voices.iter().find(|voice| voice.id == id);
        voice.map_or_else(InputStats::default, |voice| InputStats {
            buffered: (voice.samples.len() / 2) as u64,
            ..voice.stats
        })
    }

    /// How much waits of the voice of which most does, in frames; `None` where none sounds.
    pub(in crate::media::sink) fn longest(&self) -> Option<usize> {
        let sounding = self.voices.iter().filter(|voice| voice.sounding);
        sounding.map(|voice| voice.samples.len() / 2).max()
    }

    /// Adds sound of a voice. One that would hold too much is cut to its target: it crackles
    /// once and is in time again, instead of lagging for the rest of the call.
    pub(in crate::media::sink) fn push(&mut self, id: InputId, samples: &[i16]) {
        let (target, capacity) = (self.samples_in(TARGET_MS), self.samples_in(CAPACITY_MS));
        let Some(voice) = self.voices.iter_mut().find(|voice| voice.id == id) else {
            return;
        };
        let samples = &samples[..samples.len() & !1];
        voice.stats.pushed += (samples.len() / 2) as u64;
        if voice.samples.len() + samples.len() <= capacity {
            voice.samples.extend(samples);
            return;
        }
        let kept = &samples[samples.len().saturating_sub(target)..];
        voice.stats.dropped += ((samples.len() - kept.len()) / 2) as u64;
        voice.cut((voice.samples.len() + kept.len()).saturating_sub(target));
        voice.samples.extend(kept);
    }

    /// Fills a device's period.
    pub(in crate::media::sink) fn fill(&mut self, out: &mut [i16]) {
        let target = self.samples_in(TARGET_MS);
        let (spare, window) = (self.samples_in(SPARE_MS), self.samples_in(WINDOW_MS));
        self.sum.clear();
        self.sum.resize(out.len(), 0);
        let mut sounding = 0;
        for voice in &mut self.voices {
            voice.sounding |= voice.samples.len() >= target;
            if voice.sounding {
                sounding += 1;
                voice.play(&mut self.sum);
                voice.trim(out.len(), target, spare, window);
            }
        }
        for (out, &sum) in out.iter_mut().zip(&self.sum) {
            // A single voice fits as it is and is left exactly so.
            *out = if sounding > 1 { soft(sum) } else { sum as i16 };
        }
    }

    const fn samples_in(&self, ms: usize) -> usize {
        ms * self.frames_per_ms * 2
    }
}

impl Voice {
    fn play(&mut self, sum: &mut [i32]) {
        let count = sum.len().min(self.samples.len());
        for (sum, sample) in sum.iter_mut().zip(self.samples.drain(..count)) {
            *sum += i32::from(sample);
        }
        self.stats.played += (count / 2) as u64;
        if count < sum.len() {
            self.stats.underflows += 1;
            self.sounding = false;
        }
    }

    /// Cuts out what lay in the buffer for a whole window and was never needed.
    fn trim(&mut self, period: usize, target: usize, spare: usize, window: usize) {
        self.least = self.least.min(self.samples.len());
        self.watched += period;
        if self.watched < window && self.sounding {
            return;
        }
        if self.sounding && self.least > target + spare {
            self.cut(self.least - target);
        }
        (self.least, self.watched) = (usize::MAX, 0);
    }

    fn cut(&mut self, samples: usize) {
        let cut = samples.min(self.samples.len()) & !1;
        self.samples.drain(..cut);
        self.stats.dropped += (cut / 2) as u64;
    }
}

/// The sum of several voices in 16 bits: as it is up to three quarters of full scale, from there
/// bent so that it nears full scale without a hard edge.
fn soft(sum: i32) -> i16 {
    const KNEE: i32 = 24_576;
    const ROOM: i32 = i16::MAX as i32 - KNEE;
    let loud = sum.saturating_abs();
    if loud <= KNEE {
        return sum as i16;
    }
    let (over, room) = (i64::from(loud - KNEE), i64::from(ROOM));
    // x / (1 + x) in units of the room: slope 1 at the knee, limit 1.
    let bent = KNEE + (over * room / (over + room)) as i32;
    (bent * sum.signum()) as i16
}

#[cfg(test)]
mod tests;

//! What received sound tells about a call.

use std::time::Duration;

use super::histogram::Histogram;
use super::tone::ToneMeter;
use super::tone::seconds::{SecondOfSound, Seconds};
use crate::event::ToneSummary;
use crate::media::clock::Timestamp;
use crate::media::frame::Sound;

/// Measures the tone in received sound. Pure: time comes in.
#[derive(Default)]
pub struct AudioMeter {
    tone: ToneMeter,
    latency: Histogram,
    heard: bool,
    seconds: Seconds,
}

/// What a piece of sound told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Listened {
    /// How late each second of it was that ended here, modulo a second: exactly.
    pub late: Vec<Duration>,
    /// The same of seconds that had gaps, to a few milliseconds.
    pub roughly: Vec<Duration>,
    /// Whether a tone has begun by its end; without one nothing is said about gaps and clicks.
    pub tone: bool,
    /// Gaps found in it.
    pub gaps: u64,
    /// How long gaps were that ended in it.
    pub silences: Vec<Duration>,
    /// Clicks found in it.
    pub clicks: u64,
    /// The seconds that ended in it.
    pub seconds: Vec<SecondOfSound>,
}

impl AudioMeter {
    /// Takes in sound whose first sample was heard, or would have been, at `now`. `own` is the tone that we send, whose
    /// echo is looked for.
    pub fn hear(&mut self, now: Timestamp, sound: &Sound, own: Option<u32>) -> Listened {
        self.heard |= !sound.samples.is_empty();
        let (gaps, clicks) = (self.tone.gaps(), self.tone.clicks());
        let late = self.tone.push(now, sound);
        for delay in &late {
            self.latency.add(*delay);
        }
        Listened {
            late,
            roughly: self.tone.rough(),
            tone: self.tone.has_begun(),
            gaps: self.tone.gaps() - gaps,
            silences: self.tone.lengths(),
            clicks: self.tone.clicks() - clicks,
            seconds: self.seconds.push(sound, own),
        }
    }

    /// For how long the tone is missing now.
    #[must_use]
    pub fn standing(&self) -> Option<Duration> {
        self.tone.standing()
    }

    /// What came of it so far; `None` until sound came.
    #[must_use]
    pub fn summary(&self) -> Option<ToneSummary> {
        self.heard.then(|| {
            let peak = self.tone.peak();
            ToneSummary {
                frequency_hz: peak.hz,
                purity: peak.purity,
                gaps: self.tone.gaps(),
                level_dbfs: self.tone.level_dbfs(),
                latency_ms_p50: self.latency_ms(0.5),
                latency_ms_p99: self.latency_ms(0.99),
            }
        })
    }

    /// Milliseconds from capture to hearing that `share` (0 to 1) of all measured
    /// seconds did not exceed; `None` where the sound was not the tone that tells time.
    #[must_use]
    fn latency_ms(&self, share: f64) -> Option<f64> {
        let at = self.latency.percentile(share)?;
        Some(at.as_secs_f64() * 1000.0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::media::capture::tone::render;
    use crate::media::codec::opus::{Content, OpusDecoder, OpusEncoder};

    #[test]
    fn a_call_through_opus_is_measured() {
        for (content, rate) in [(Content::Music, 64_000), (Content::Voice, 32_000)] {
            let mut encoder = OpusEncoder::new(1, content, rate).unwrap();
            let mut decoder = OpusDecoder::new(2).unwrap();
            let mut meter = AudioMeter::default();
            for block in 0..300 {
                let at = Timestamp::from_micros(1_790_000_000_123_000 + block * 20_000);
                let packet = encoder.encode(&render(440, at)).unwrap();
                let heard = at + Duration::from_millis(80);
                meter.hear(heard, &decoder.decode(&packet.data, heard).unwrap(), None);
            }
            let summary = meter.summary().unwrap();
            assert!((summary.frequency_hz - 440.0).abs() < 0.5, "{summary:?}");
            assert!(summary.purity > 0.95, "{summary:?}");
            assert_eq!(summary.gaps, 0);
            assert!((-16.0..-14.0).contains(&summary.level_dbfs), "{summary:?}");
            // Opus itself looks ahead by up to 6.5 ms.
            let late = summary.latency_ms_p50.expect("a latency");
            assert!((80.0..90.0).contains(&late), "{content:?} {late} ms");
        }
    }

    #[test]
    fn silence_and_nothing_are_told_apart() {
        let mut meter = AudioMeter::default();
        assert_eq!(meter.summary(), None);
        let silence = Sound {
            samples: vec![0; 48_000],
            channels: 1,
            at: Timestamp::default(),
        };
        meter.hear(Timestamp::default(), &silence, None);
        let summary = meter.summary().unwrap();
        assert_eq!(
            (summary.frequency_hz, summary.purity, summary.gaps),
            (0.0, 0.0, 0)
        );
        assert_eq!(summary.latency_ms_p50, None);
    }
}

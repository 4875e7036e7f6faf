//! What is counted of sources. Pure: time comes in.

use std::time::Duration;

use crate::event::{PreviewAudio, PreviewVideo};
use crate::media::capture::CaptureStats;
use crate::media::clock::Timestamp;

/// Counts pictures.
#[derive(Debug, Default)]
pub(super) struct PictureMeter {
    frames: u64,
    size: (u32, u32),
    /// The stretch since the last report: from when, and how many.
    since: Option<Timestamp>,
    recent: u32,
    fps: f64,
}

/// Less than this tells no rate: that of the stretch before is told again.
const SHORTEST: Duration = Duration::from_millis(200);

impl PictureMeter {
    /// A picture came.
    pub(super) fn see(&mut self, now: Timestamp, size: (u32, u32)) {
        self.frames += 1;
        self.size = size;
        match self.since {
            // The first one begins the stretch and is no part of it.
            None => self.since = Some(now),
            Some(_) => self.recent += 1,
        }
    }

    /// So far, and the rate since the last report.
    pub(super) fn report(
        &mut self,
        now: Timestamp,
        source: String,
        stats: CaptureStats,
    ) -> PreviewVideo {
        if let Some(stretch) = self.since.map(|since| now.since(since))
            && stretch >= SHORTEST
        {
            self.fps = f64::from(self.recent) / stretch.as_secs_f64();
            self.since = Some(now);
            self.recent = 0;
        }
        PreviewVideo {
            source,
            frames: self.frames,
            fps: self.fps,
            width: self.size.0,
            height: self.size.1,
            dropped: stats.dropped,
            broken: stats.broken,
        }
    }

    pub(super) const fn frames(&self) -> u64 {
        self.frames
    }
}

/// Follows how loud it is.
#[derive(Debug)]
pub(super) struct LevelMeter {
    /// Of the last packet, dB of full scale.
    last: f32,
    /// The loudest since the last report.
    peak: f32,
    heard: u64,
}

/// What silence is said to be (RFC 6464's range).
const SILENCE: f32 = -127.0;

impl Default for LevelMeter {
    fn default() -> Self {
        Self {
            last: SILENCE,
            peak: SILENCE,
            heard: 0,
        }
    }
}

impl LevelMeter {
    /// A packet of this level came.
    pub(super) fn hear(&mut self, dbfs: f32) {
        self.last = dbfs;
        self.peak = self.peak.max(dbfs);
        self.heard += 1;
    }

    /// Now, and the loudest since the last report.
    pub(super) fn report(&mut self, source: String) -> PreviewAudio {
        let peak = std::mem::replace(&mut self.peak, self.last);
        PreviewAudio {
            source,
            packets: self.heard,
            level_dbfs: f64::from(self.last),
            peak_dbfs: f64::from(peak),
        }
    }

    pub(super) const fn heard(&self) -> u64 {
        self.heard
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_since_the_last_report() {
        let mut meter = PictureMeter::default();
        let start = Timestamp::from_micros(1_700_000_000_000_000);
        let at = |n: u32| start + Duration::from_millis(40) * n;
        let report = |meter: &mut PictureMeter, n| {
            let report = meter.report(at(n), String::new(), CaptureStats::default());
            (report.frames, (report.fps * 10.0).round())
        };
        assert_eq!(report(&mut meter, 0), (0, 0.0));
        for n in 10..=35 {
            meter.see(at(n), (640, 360));
        }
        assert_eq!(report(&mut meter, 35), (26, 250.0));
        for n in (36..=60).step_by(2) {
            meter.see(at(n), (640, 360));
        }
        assert_eq!(report(&mut meter, 60), (39, 130.0));
        // Right after, nothing more is known; a while without pictures is none a second.
        assert_eq!(report(&mut meter, 61), (39, 130.0));
        assert_eq!(report(&mut meter, 70), (39, 0.0));
    }

    #[test]
    fn the_loudest_of_a_stretch_is_told_once() {
        let mut meter = LevelMeter::default();
        let report = |meter: &mut LevelMeter| {
            let report = meter.report(String::new());
            (report.level_dbfs, report.peak_dbfs)
        };
        assert_eq!(report(&mut meter), (-127.0, -127.0));
        for level in [-40.0, -6.0, -30.0] {
            meter.hear(level);
        }
        assert_eq!(report(&mut meter), (-30.0, -6.0));
        assert_eq!(report(&mut meter), (-30.0, -30.0));
    }
}

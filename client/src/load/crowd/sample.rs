//! Now and then what one peer receives is decoded and judged, as a call's is.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde::Serialize;
use tokio::sync::mpsc;

use super::check::Frame;
use super::peer::Shared;
use super::prepared::Prepared;
use crate::measure::audio::AudioMeter;
use crate::measure::video::VideoMeter;
use crate::media::clock::Timestamp;
use crate::media::codec::opus::OpusDecoder;
use crate::media::codec::video_decoder;
use crate::media::frame::VideoCodec;

/// Stretches that wait for the thread; more are left out, as it is not in a hurry.
const STRETCHES: usize = 2;

/// Sounds of a stretch: two seconds.
const SOUNDS: usize = 100;

/// What one peer received without a break.
#[derive(Debug)]
pub(super) struct Stretch {
    video: bool,
    frames: Vec<Vec<u8>>,
}

/// Gathers a stretch.
#[derive(Debug, Default)]
pub(super) struct Collect {
    frames: Vec<Vec<u8>>,
    next: usize,
}

impl Collect {
    /// Takes a frame of the peer whose turn it is; when the stretch is whole, it is the next one's turn.
    pub(super) fn take(
        &mut self,
        video: bool,
        own: usize,
        frame: Frame,
        row: usize,
        shared: &Shared,
    ) {
        let enough = if video { row } else { SOUNDS.min(row) };
        match frame.number {
            // Decoding begins with the first of the row, the key frame.
            Some(0) => {
                self.frames = vec![frame.data];
                self.next = 1;
            }
            Some(number) if number == self.next && !self.frames.is_empty() => {
                self.frames.push(frame.data);
                self.next += 1;
            }
            _ => self.frames.clear(),
        }
        if self.frames.len() < enough {
            return;
        }
        let frames = std::mem::take(&mut self.frames);
        // A thread that is behind judges fewer.
        let _ = shared.judged.try_send(Stretch { video, frames });
        if video || !shared.plan.media.senses.video() {
            let _ = shared.sample.compare_exchange(
                shared.sample.load(Ordering::Relaxed),
                own + 1,
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
        }
    }
}

/// What was seen and heard in the samples.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Sampled {
    /// Pictures that were decoded, and of them those whose number could not be read.
    pub(super) pictures: u64,
    pub(super) unreadable: u64,
    /// Against the known pictures, mean and worst.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) psnr_db: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) psnr_db_min: Option<f64>,
    /// Stretches of sound, and of them those that were not the tone.
    pub(super) sounds: u64,
    pub(super) off_tone: u64,
    /// Stretches that no decoder took.
    pub(super) undecodable: u64,
}

/// The thread; it ends when nobody sends it anything any more.
pub(super) struct Judge {
    give: mpsc::Sender<Stretch>,
    thread: std::thread::JoinHandle<Sampled>,
}

impl Judge {
    pub(super) fn start(prepared: Arc<Prepared>) -> io::Result<Self> {
        let (give, mut take) = mpsc::channel::<Stretch>(STRETCHES);
        let work = move || {
            let mut sampled = Sampled::default();
            let mut quality = (0.0, 0_u32);
            while let Some(stretch) = take.blocking_recv() {
                let judged = match stretch.video {
                    true => sampled.see(&stretch.frames, &mut quality),
                    false => sampled.hear(&stretch.frames),
                };
                if judged.is_none() {
                    sampled.undecodable += 1;
                }
            }
            drop(prepared);
            if quality.1 > 0 {
                sampled.psnr_db = Some(quality.0 / f64::from(quality.1));
            }
            sampled
        };
        let thread = std::thread::Builder::new()
            .name("crowd-judge".into())
            .spawn(work)?;
        Ok(Self { give, thread })
    }

    pub(super) fn sender(&self) -> mpsc::Sender<Stretch> {
        self.give.clone()
    }

    /// Waits for what it still has to do.
    pub(super) fn end(self) -> Sampled {
        drop(self.give);
        self.thread.join().unwrap_or_default()
    }
}

impl Sampled {
    fn see(&mut self, frames: &[Vec<u8>], quality: &mut (f64, u32)) -> Option<()> {
        let mut decoder = video_decoder(VideoCodec::Vp8).ok()?;
        let mut meter = VideoMeter::default();
        for frame in frames {
            let Some(picture) = decoder.decode(frame).ok()? else {
                continue;
            };
            self.pictures += 1;
            let look = meter.see(Timestamp::default(), &picture);
            self.unreadable += u64::from(look.taken.is_none());
        }
        let summary = meter.summary()?;
        quality.0 += summary.psnr_db;
        quality.1 += 1;
        let worst = self.psnr_db_min.unwrap_or(f64::INFINITY);
        self.psnr_db_min = Some(worst.min(summary.psnr_db_min));
        Some(())
    }

    fn hear(&mut self, packets: &[Vec<u8>]) -> Option<()> {
        let mut decoder = OpusDecoder::new(1).ok()?;
        let mut meter = AudioMeter::default();
        let mut at = Timestamp::default();
        for packet in packets {
            let sound = decoder.decode(packet, at).ok()?;
            at = at + sound.duration();
            meter.hear(at, &sound, None);
        }
        self.sounds += 1;
        let tone = meter.summary()?;
        let is_tone = (tone.frequency_hz - f64::from(super::prepared::HZ)).abs() < 5.0;
        self.off_tone += u64::from(!is_tone);
        Some(())
    }
}

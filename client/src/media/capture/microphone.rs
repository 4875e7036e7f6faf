//! A microphone, by `cpal`.

mod blocks;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cpal::traits::{DeviceTrait, StreamTrait};
use cpal::{BufferSize, Data, InputCallbackInfo};

use super::{AudioItem, AudioSource, SourceError};
use crate::media::clock::Timestamp;
use crate::media::convert::Resampler;
use crate::media::devices::audio::{self, Found, Kind};
use crate::media::devices::{Held, OPEN_LIMIT, samples};
use crate::media::frame::{SAMPLE_RATE, Sound};
use blocks::{Ring, SteadyClock};

/// How long one call of [`Microphone::next`] waits at most.
const PATIENCE: Duration = Duration::from_millis(500);
/// What the ring holds before the oldest goes.
const CAPACITY: Duration = Duration::from_millis(500);
/// Blocks of 20 ms, one Opus packet each.
const BLOCKS_A_SECOND: u32 = 50;

/// An open microphone. A thread of the sound library fills a ring of half a second, dropping the
/// oldest when nobody fetches; [`AudioSource::next`] gives 20 ms at 48 kHz, mono or stereo.
pub struct Microphone {
    shared: Arc<Shared>,
    label: String,
    rate: u32,
    channels: u16,
    /// Channels of the device, more than two at times.
    device_channels: u16,
    to_ours: Resampler,
    /// At 48 kHz, less than a block.
    ready: Vec<i16>,
    /// What a fetch brings, kept for its memory.
    fetched: Vec<i16>,
    clock: SteadyClock,
    // Last, so that the stream ends before what it writes to.
    _stream: Held,
}

struct Shared {
    state: Mutex<State>,
    more: Condvar,
}

struct State {
    ring: Ring,
    failed: Option<cpal::Error>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Opening {
    shared: Arc<Shared>,
    label: String,
    rate: u32,
    channels: u16,
}

impl Microphone {
    /// Opens the microphone that `which` means (an index, an id or a part of a name), or the
    /// system's default one, and starts it.
    ///
    /// # Errors
    /// When there is none, or it cannot be opened within seconds.
    pub fn open(which: Option<&str>) -> Result<Self, SourceError> {
        let wanted = which.map(str::to_owned);
        let opened = Held::open("microphone", OPEN_LIMIT, move |opened, stop| {
            let _quiet = audio::quiet();
            match start(wanted.as_deref()) {
                Ok((stream, opening)) => {
                    if opened.tell(Ok(opening)) {
                        stop.wait();
                    }
                    drop(stream);
                }
                Err(error) => {
                    let _ = opened.tell(Err(error));
                }
            }
        });
        let (stream, opening) = opened.ok_or_else(|| audio::silent(Kind::Microphone))?;
        let Opening {
            shared,
            label,
            rate,
            channels: device_channels,
        } = opening?;
        let channels = device_channels.min(2);
        let to_ours = Resampler::new(rate, SAMPLE_RATE, channels)
            .map_err(|error| unusable(&label, &error))?;
        Ok(Self {
            shared,
            label,
            rate,
            channels,
            device_channels,
            to_ours,
            ready: Vec::new(),
            fetched: Vec::new(),
            clock: SteadyClock::default(),
            _stream: stream,
        })
    }

    /// Frames of sound (one sample per channel) that were lost because nobody fetched them.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.shared.lock().ring.dropped()
    }

    /// Waits for 20 ms of the device's sound; `None` where it did not come in time.
    fn fetch(&mut self) -> Result<Option<Timestamp>, SourceError> {
        let frames = (self.rate / BLOCKS_A_SECOND) as usize;
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.shared.lock();
        loop {
            self.fetched.clear();
            if let Some(at) = state.ring.take(frames, &mut self.fetched) {
                return Ok(Some(at));
            }
            if let Some(error) = &state.failed {
                return Err(audio::trouble(Kind::Microphone, &self.label, error));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            let woken = self.shared.more.wait_timeout(state, left);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl AudioSource for Microphone {
    fn next(&mut self) -> Result<Option<AudioItem>, SourceError> {
        let block = (SAMPLE_RATE / BLOCKS_A_SECOND) as usize * usize::from(self.channels);
        loop {
            let Some(measured) = self.fetch()? else {
                return Ok(Some(AudioItem::Nothing));
            };
            if self.device_channels > self.channels {
                keep_first_two(&mut self.fetched, self.device_channels);
            }
            let before = self.ready.len() / usize::from(self.channels);
            let lag = frames_last(before + self.to_ours.delay(), SAMPLE_RATE);
            let measured = measured - lag;
            let converted = self.to_ours.push(&self.fetched);
            let converted = converted.map_err(|error| unusable(&self.label, &error))?;
            self.ready.extend(converted);
            if self.ready.len() < block {
                continue;
            }
            let rest = self.ready.split_off(block);
            let samples = std::mem::replace(&mut self.ready, rest);
            let at = self.clock.stamp(
                measured,
                frames_last(block / usize::from(self.channels), SAMPLE_RATE),
            );
            return Ok(Some(AudioItem::Raw(Sound {
                samples,
                channels: self.channels,
                at,
            })));
        }
    }

    fn describe(&self) -> String {
        let channels = if self.channels == 1 { "mono" } else { "stereo" };
        format!("{} {} Hz {channels}", self.label, self.rate)
    }
}

/// Finds, opens and starts; on the thread that will hold the stream.
fn start(which: Option<&str>) -> Result<(cpal::Stream, Opening), SourceError> {
    let found = audio::choose(Kind::Microphone, which)?;
    let config = found.config;
    let (rate, channels) = (config.sample_rate, config.channels);
    let capacity = frames_in(CAPACITY, rate);
    let shared = Arc::new(Shared {
        state: Mutex::new(State {
            ring: Ring::new(capacity, rate, channels),
            failed: None,
        }),
        more: Condvar::new(),
    });
    let stream = build(&found, config.buffer_size, &shared)
        // Some drivers promise buffers that they then refuse.
        .or_else(|_| build(&found, BufferSize::Default, &shared))
        .and_then(|stream| stream.play().map(|()| stream))
        .map_err(|error| audio::trouble(Kind::Microphone, &found.label, &error))?;
    let opening = Opening {
        shared,
        label: found.label,
        rate,
        channels,
    };
    Ok((stream, opening))
}

fn build(
    found: &Found,
    buffer_size: BufferSize,
    shared: &Arc<Shared>,
) -> Result<cpal::Stream, cpal::Error> {
    let mut config = found.config;
    config.buffer_size = buffer_size;
    let (rate, channels) = (config.sample_rate, config.channels);
    // Room for the largest period seen so far, so that the callback seldom allocates.
    let mut heard = Vec::with_capacity(frames_in(CAPACITY, rate) * usize::from(channels));
    let hearing = shared.clone();
    let failing = shared.clone();
    found.device.build_input_stream_raw(
        config,
        found.format,
        move |data: &Data, info: &InputCallbackInfo| {
            let now = Timestamp::now();
            heard.clear();
            samples::read(data, &mut heard);
            let stamp = info.timestamp();
            // Of the first of these samples; a driver that knows nothing better tells the end.
            let delay = stamp.callback.saturating_duration_since(stamp.capture);
            let lasts = frames_last(heard.len() / usize::from(channels.max(1)), rate);
            let end = (now - delay.min(CAPACITY) + lasts).min(now);
            hearing.lock().ring.push(&heard, end);
            hearing.more.notify_one();
        },
        move |error| {
            if audio::goes_on(&error) {
                tracing::debug!("microphone: {error}");
                return;
            }
            failing.lock().failed.get_or_insert(error);
            failing.more.notify_all();
        },
        Some(OPEN_LIMIT),
    )
}

/// Of interleaved sound with more channels, the first two; the others are rarely a voice.
fn keep_first_two(samples: &mut Vec<i16>, channels: u16) {
    let channels = usize::from(channels);
    let frames = samples.len() / channels;
    for frame in 0..frames {
        samples[frame * 2] = samples[frame * channels];
        samples[frame * 2 + 1] = samples[frame * channels + 1];
    }
    samples.truncate(frames * 2);
}

fn unusable(label: &str, problem: &impl std::fmt::Display) -> SourceError {
    SourceError::Device {
        device: label.to_owned(),
        problem: problem.to_string(),
        hint: "choose another, or go without by --audio none".to_owned(),
    }
}

fn frames_in(duration: Duration, rate: u32) -> usize {
    (u64::from(rate) * duration.as_millis() as u64 / 1_000) as usize
}

fn frames_last(frames: usize, rate: u32) -> Duration {
    Duration::from_micros(frames as u64 * 1_000_000 / u64::from(rate.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_channels_the_first_two_are_kept() {
        let mut samples = vec![1, 2, 3, 4, 5, 6, 7, 8, 9];
        keep_first_two(&mut samples, 3);
        assert_eq!(samples, [1, 2, 4, 5, 7, 8]);
    }
}

//! A loudspeaker, by `cpal`: the voices of all far peers in one mix.

pub(super) mod mixer;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cpal::traits::{DeviceTrait, StreamTrait};
use cpal::{BufferSize, Data, OutputCallbackInfo};

use crate::media::capture::SourceError;
use crate::media::convert::{Resampler, with_channels};
use crate::media::devices::audio::{self, Found, Kind};
use crate::media::devices::{Held, OPEN_LIMIT, Stop, samples};
use crate::media::frame::{SAMPLE_RATE, Sound};
use crate::media::voice::echo::EchoReference;
pub use mixer::InputStats;
use mixer::{InputId, Mixer};

/// What is mixed is stereo.
const CHANNELS: u16 = 2;

/// How often it is looked whether the device still plays.
const LOOK: Duration = Duration::from_millis(250);

/// How long a device that failed is left alone before it is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// A device whose clock says that what it plays now is heard later than this knows nothing.
const LATENCY_LIMIT: Duration = Duration::from_secs(1);

/// An open loudspeaker. Dropping it falls silent and ends its threads.
pub struct Speaker {
    shared: Arc<Shared>,
    label: String,
    rate: u32,
    _stream: Held,
}

struct Shared {
    rate: u32,
    mixer: Mutex<Mixer>,
    reference: EchoReference,
    failed: Mutex<Option<cpal::Error>>,
    /// How much later the device sounds than it asks, microseconds.
    device_latency: AtomicU64,
}

impl Shared {
    fn mixer(&self) -> MutexGuard<'_, Mixer> {
        self.mixer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self) -> MutexGuard<'_, Option<cpal::Error>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Opening {
    shared: Arc<Shared>,
    label: String,
    rate: u32,
}

impl Speaker {
    /// Opens the loudspeaker that `which` means (an index, an id or a part of a name), or the
    /// system's default one, and starts it; silent until somebody is heard.
    ///
    /// # Errors
    /// When there is none, or it cannot be opened within seconds.
    pub fn open(which: Option<&str>) -> Result<Self, SourceError> {
        let wanted = which.map(str::to_owned);
        let opened = Held::open("loudspeaker", OPEN_LIMIT, move |opened, stop| {
            let _quiet = audio::quiet();
            match start(wanted.as_deref(), None) {
                Ok((stream, opening)) => {
                    let shared = opening.shared.clone();
                    if opened.tell(Ok(opening)) {
                        keep(stream, wanted.as_deref(), &shared, &stop);
                    }
                }
                Err(error) => {
                    let _ = opened.tell(Err(error));
                }
            }
        });
        let (stream, opening) = opened.ok_or_else(|| audio::silent(Kind::Loudspeaker))?;
        let Opening {
            shared,
            label,
            rate,
        } = opening?;
        Ok(Self {
            shared,
            label,
            rate,
            _stream: stream,
        })
    }

    /// A place in the mix for `peer`; it is given up by dropping it.
    ///
    /// # Errors
    /// When our sound cannot be brought to the device's rate.
    pub fn input(&self, peer: &str) -> Result<SpeakerInput, SourceError> {
        let from_ours = (self.rate != SAMPLE_RATE)
            .then(|| Resampler::new(SAMPLE_RATE, self.rate, CHANNELS))
            .transpose()
            .map_err(|error| SourceError::Device {
                device: self.label.clone(),
                problem: error.to_string(),
                hint: "choose another, or go without by --speaker none".to_owned(),
            })?;
        Ok(SpeakerInput {
            peer: peer.to_owned(),
            id: self.shared.mixer().add(),
            shared: self.shared.clone(),
            from_ours,
        })
    }

    /// Why it is silent (unplugged, its server gone), if it is. The call goes on without it, and it is tried
    /// again each second.
    #[must_use]
    pub fn problem(&self) -> Option<SourceError> {
        let failed = self.shared.failed();
        let error = failed.as_ref()?;
        Some(audio::trouble(Kind::Loudspeaker, &self.label, error))
    }

    /// What it plays, for taking it out of what our microphone hears.
    #[must_use]
    pub fn reference(&self) -> EchoReference {
        self.shared.reference.clone()
    }

    /// What it is, for people.
    #[must_use]
    pub fn describe(&self) -> String {
        format!("{} {} Hz", self.label, self.rate)
    }
}

/// One peer's place in the mix: a buffer that starts to sound when 40 ms are in it, holds 200 ms,
/// and plays silence where it runs dry.
pub struct SpeakerInput {
    peer: String,
    id: InputId,
    shared: Arc<Shared>,
    /// None where the device has our rate.
    from_ours: Option<Resampler>,
}

impl SpeakerInput {
    /// Adds sound to be heard next; never waits for the device.
    pub fn push(&mut self, sound: &Sound) {
        let stereo = with_channels(sound, CHANNELS);
        match &mut self.from_ours {
            None => self.shared.mixer().push(self.id, &stereo),
            Some(resampler) => match resampler.push(&stereo) {
                Ok(samples) => self.shared.mixer().push(self.id, &samples),
                Err(error) => tracing::debug!("loudspeaker: {error}"),
            },
        }
    }

    /// Who is heard here.
    #[must_use]
    pub fn peer(&self) -> &str {
        &self.peer
    }

    /// How much later than now what is added now will be heard.
    #[must_use]
    pub fn latency(&self) -> Duration {
        let device = self.shared.device_latency.load(Ordering::Relaxed);
        let before = self.stats().buffered * 1_000_000 / u64::from(self.rate());
        Duration::from_micros(device + before)
    }

    fn rate(&self) -> u32 {
        self.shared.rate.max(1)
    }

    /// What became of the sound so far.
    #[must_use]
    pub fn stats(&self) -> InputStats {
        self.shared.mixer().stats(self.id)
    }
}

impl Drop for SpeakerInput {
    fn drop(&mut self) {
        self.shared.mixer().remove(self.id);
    }
}

/// Holds the stream until the owner is gone, and opens another when it fails: a headset that is plugged in again,
/// a sound server that was restarted.
fn keep(stream: cpal::Stream, which: Option<&str>, shared: &Arc<Shared>, stop: &Stop) {
    let mut stream = Some(stream);
    while !stop.waited(LOOK) {
        if shared.failed().is_none() {
            continue;
        }
        drop(stream.take());
        if stop.waited(RETRY) {
            return;
        }
        match start(which, Some(shared)) {
            Ok((again, _)) => {
                *shared.failed() = None;
                stream = Some(again);
            }
            Err(error) => tracing::debug!("not yet back: {error}"),
        }
    }
}

/// Finds, opens and starts, with what is shared if it was open before; on the thread that will hold the stream.
fn start(
    which: Option<&str>,
    before: Option<&Arc<Shared>>,
) -> Result<(cpal::Stream, Opening), SourceError> {
    let found = audio::choose(Kind::Loudspeaker, which)?;
    let rate = found.config.sample_rate;
    let shared = before.cloned().unwrap_or_else(|| {
        Arc::new(Shared {
            rate,
            mixer: Mutex::new(Mixer::new(rate)),
            reference: EchoReference::new(rate),
            failed: Mutex::new(None),
            device_latency: AtomicU64::new(0),
        })
    });
    if shared.rate != rate {
        return Err(SourceError::Device {
            device: found.label,
            problem: format!("it has {rate} Hz now and had {} Hz", shared.rate),
            hint: "join again to use it".to_owned(),
        });
    }
    let stream = build(&found, found.config.buffer_size, &shared)
        // Some drivers promise buffers that they then refuse.
        .or_else(|_| build(&found, BufferSize::Default, &shared))
        .and_then(|stream| stream.play().map(|()| stream))
        .map_err(|error| audio::trouble(Kind::Loudspeaker, &found.label, &error))?;
    let opening = Opening {
        shared,
        label: found.label,
        rate,
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
    let channels = usize::from(config.channels.max(1));
    let playing = shared.clone();
    let failing = shared.clone();
    // They grow to the largest period once and are kept.
    let (mut mix, mut spread) = (Vec::new(), Vec::new());
    found.device.build_output_stream_raw(
        config,
        found.format,
        move |data: &mut Data, info: &OutputCallbackInfo| {
            mix.resize(data.len() / channels * usize::from(CHANNELS), 0);
            playing.mixer().fill(&mut mix);
            let stamp = info.timestamp();
            let heard_after = stamp.playback.saturating_duration_since(stamp.callback);
            let heard_after = heard_after.min(LATENCY_LIMIT);
            playing.device_latency.store(
                u64::try_from(heard_after.as_micros()).unwrap_or(0),
                Ordering::Relaxed,
            );
            playing.reference.play(&mix, heard_after);
            if channels == usize::from(CHANNELS) {
                samples::write(&mix, data);
            } else {
                spread_over(&mix, channels, &mut spread);
                samples::write(&spread, data);
            }
        },
        move |error| {
            if audio::goes_on(&error) {
                tracing::debug!("loudspeaker: {error}");
            } else {
                failing.failed().get_or_insert(error);
            }
        },
        Some(OPEN_LIMIT),
    )
}

/// Stereo to one channel (the mean) or to the first two of many.
fn spread_over(stereo: &[i16], channels: usize, out: &mut Vec<i16>) {
    out.clear();
    for frame in stereo.chunks_exact(2) {
        let (left, right) = (frame[0], frame[1]);
        if channels == 1 {
            out.push(((i32::from(left) + i32::from(right)) >> 1) as i16);
        } else {
            out.extend([left, right]);
            out.extend(std::iter::repeat_n(0, channels - 2));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stereo_goes_to_the_channels_that_are_there() {
        let mut out = Vec::new();
        spread_over(&[10, 20, -3, -4], 1, &mut out);
        assert_eq!(out, [15, -4]);
        spread_over(&[10, 20, 30, 40], 4, &mut out);
        assert_eq!(out, [10, 20, 0, 0, 30, 40, 0, 0]);
    }
}

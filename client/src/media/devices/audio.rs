//! Microphones and loudspeakers by `cpal`: which host, which device, which format.

use cpal::traits::{DeviceTrait, HostTrait};
use cpal::{
    BufferSize, ErrorKind, StreamConfig, SupportedBufferSize, SupportedStreamConfig,
    SupportedStreamConfigRange,
};

use super::inventory::SoundInfo;
use super::{Device, Held, OPEN_LIMIT, choices, find, matching, samples};
use crate::media::capture::SourceError;
use crate::media::frame::SAMPLE_RATE;

/// Which way sound goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Microphone,
    Loudspeaker,
}

impl Kind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Microphone => "microphone",
            Self::Loudspeaker => "loudspeaker",
        }
    }

    /// How to do without.
    const fn without(self) -> &'static str {
        match self {
            Self::Microphone => "go without by --audio none, or with --audio tone",
            Self::Loudspeaker => "go without by --speaker none",
        }
    }
}

/// A device that was found, not opened yet.
pub(crate) struct Found {
    pub(crate) device: cpal::Device,
    pub(crate) config: StreamConfig,
    pub(crate) format: cpal::SampleFormat,
    /// `microphone "Built-in Audio"`.
    pub(crate) label: String,
}

/// The devices of one kind and how each would be opened, bounded in time.
pub(crate) fn describe_all(kind: Kind) -> Vec<SoundInfo> {
    let listed = Held::open("ask-sound", OPEN_LIMIT, move |opened, _stop| {
        let _quiet = quiet();
        let _ = opened.tell(host().map_or_else(|_| Vec::new(), |host| described(kind, &host)));
    });
    listed.map(|(_held, devices)| devices).unwrap_or_default()
}

fn described(kind: Kind, host: &cpal::Host) -> Vec<SoundInfo> {
    let (devices, names) = numbered(kind, host);
    let mut all = Vec::new();
    for (device, named) in devices.iter().zip(names) {
        let (sample_rate, channels, problem) = match offer(kind, device) {
            Ok(offer) => (Some(offer.sample_rate()), Some(offer.channels()), None),
            Err(error) => {
                let label = format!("{} \"{}\"", kind.name(), named.name);
                (None, None, Some(trouble(kind, &label, &error).to_string()))
            }
        };
        all.push(SoundInfo {
            device: named,
            sample_rate,
            channels,
            problem,
        });
    }
    all
}

/// Finds the device that `which` means, or the default one, and the best it offers.
pub(crate) fn choose(kind: Kind, which: Option<&str>) -> Result<Found, SourceError> {
    let host = host().map_err(|error| trouble(kind, kind.name(), &error))?;
    let (devices, names) = numbered(kind, &host);
    let chosen = match which {
        Some(which) => find(&names, which).and_then(|at| devices.into_iter().nth(at)),
        None => default_device(kind, &host),
    };
    let Some(device) = chosen else {
        return Err(no_device(kind, which, &names));
    };
    let label = format!("{} \"{}\"", kind.name(), name(&device));
    let failed = |error: &cpal::Error| {
        // Without a card, ALSA's default device is there and cannot be opened.
        if is_alsa(&host) && names.iter().all(|d| d.default) {
            no_device(kind, which, &[])
        } else {
            trouble(kind, &label, error)
        }
    };
    let best = offer(kind, &device).map_err(|error| failed(&error))?;
    Ok(Found {
        config: StreamConfig {
            channels: best.channels(),
            sample_rate: best.sample_rate(),
            buffer_size: buffer(kind, is_alsa(&host), &best),
        },
        format: best.sample_format(),
        device,
        label,
    })
}

/// The best that a device offers.
fn offer(kind: Kind, device: &cpal::Device) -> Result<SupportedStreamConfig, cpal::Error> {
    let (default, ranges) = match kind {
        Kind::Microphone => (
            device.default_input_config(),
            device
                .supported_input_configs()
                .map(Iterator::collect::<Vec<_>>),
        ),
        Kind::Loudspeaker => (
            device.default_output_config(),
            device
                .supported_output_configs()
                .map(Iterator::collect::<Vec<_>>),
        ),
    };
    let channels = match (kind, &default) {
        (Kind::Microphone, Ok(default)) => default.channels().clamp(1, 2),
        _ => 2,
    };
    best(ranges?, channels)
        .or_else(|| default.ok())
        .ok_or_else(|| ErrorKind::UnsupportedConfig.into())
}

/// What went wrong with a device, in words that say what to do next.
pub(crate) fn trouble(kind: Kind, label: &str, error: &cpal::Error) -> SourceError {
    let advice = match error.kind() {
        ErrorKind::DeviceBusy => "another program holds it: close that",
        ErrorKind::PermissionDenied => {
            "allow this program to use it (on Linux: add yourself to the group `audio` and log in again)"
        }
        ErrorKind::HostUnavailable | ErrorKind::StreamInvalidated => {
            "see that the sound server runs"
        }
        ErrorKind::DeviceNotAvailable => "see that it is plugged in",
        _ => "choose another",
    };
    SourceError::Device {
        device: label.to_owned(),
        problem: error.to_string(),
        hint: format!("{advice}, or {}", kind.without()),
    }
}

/// A device that did not answer within [`OPEN_LIMIT`].
pub(crate) fn silent(kind: Kind) -> SourceError {
    SourceError::Device {
        device: kind.name().to_owned(),
        problem: format!("no answer within {} s", OPEN_LIMIT.as_secs()),
        hint: format!("restart the sound server, or {}", kind.without()),
    }
}

/// Whether a stream goes on after this error.
pub(crate) fn goes_on(error: &cpal::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Xrun | ErrorKind::DeviceChanged | ErrorKind::RealtimeDenied
    )
}

/// Keeps ALSA's library from writing to the terminal from this thread, as long as it is held.
pub(crate) fn quiet() -> impl Sized {
    #[cfg(target_os = "linux")]
    alsa::Output::local_error_handler().ok()
}

/// PulseAudio where its server answers, else ALSA; the only one there is elsewhere.
/// (`cpal::default_host` does the same and panics where ALSA has no configuration.)
fn host() -> Result<cpal::Host, cpal::Error> {
    let mut last = ErrorKind::HostUnavailable.into();
    for id in cpal::available_hosts() {
        match cpal::host_from_id(id) {
            Ok(host) => return Ok(host),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn no_device(kind: Kind, which: Option<&str>, names: &[Device]) -> SourceError {
    let hint = if names.is_empty() {
        format!(
            "plug one in or start the sound server, or {}",
            kind.without()
        )
    } else {
        format!("there is {}; or {}", choices(names), kind.without())
    };
    SourceError::NoDevice {
        kind: kind.name(),
        which: matching(which),
        hint,
    }
}

fn default_device(kind: Kind, host: &cpal::Host) -> Option<cpal::Device> {
    match kind {
        Kind::Microphone => host.default_input_device(),
        Kind::Loudspeaker => host.default_output_device(),
    }
}

/// The devices of one kind that make sense to a person, and how they are named.
fn numbered(kind: Kind, host: &cpal::Host) -> (Vec<cpal::Device>, Vec<Device>) {
    let default = default_device(kind, host).and_then(|d| d.id().ok());
    let all = match kind {
        Kind::Microphone => host.input_devices().map(Iterator::collect::<Vec<_>>),
        Kind::Loudspeaker => host.output_devices().map(Iterator::collect::<Vec<_>>),
    };
    let mut kept = Vec::new();
    let mut names = Vec::new();
    for device in all.unwrap_or_default() {
        let Ok(id) = device.id() else { continue };
        if is_alsa(host) && !worth_naming(id.id()) {
            continue;
        }
        names.push(Device {
            index: names.len(),
            name: name(&device),
            default: default.as_ref() == Some(&id),
            id: id.id().to_owned(),
        });
        kept.push(device);
    }
    (kept, names)
}

fn is_alsa(host: &cpal::Host) -> bool {
    host.id().to_string() == "alsa"
}

/// ALSA names one card in a dozen ways; the converting one is enough.
fn worth_naming(pcm: &str) -> bool {
    pcm == "default" || pcm.starts_with("plughw:")
}

fn name(device: &cpal::Device) -> String {
    let description = device.description().map(|d| d.name().to_owned());
    let name = description.unwrap_or_else(|_| "unnamed".to_owned());
    name.lines().next().unwrap_or("unnamed").to_owned()
}

/// The offer nearest to 48 kHz, then to `channels`, then to our sample format.
fn best(
    ranges: impl IntoIterator<Item = SupportedStreamConfigRange>,
    channels: u16,
) -> Option<SupportedStreamConfig> {
    ranges
        .into_iter()
        .filter_map(|range| {
            let rate = SAMPLE_RATE.clamp(range.min_sample_rate(), range.max_sample_rate());
            let cost = (
                rate.abs_diff(SAMPLE_RATE),
                // Three channels and more are worse than one or two, whatever was asked.
                (range.channels() > 2, range.channels().abs_diff(channels)),
                samples::rank(range.sample_format())?,
            );
            Some((cost, range.try_with_sample_rate(rate)?))
        })
        .min_by_key(|(cost, _)| *cost)
        .map(|(_, config)| config)
}

/// A short buffer where the device lets us choose. A sound server has large ones of its own behind
/// it and hands over every 10 ms what a microphone gave; straight from the hardware it is two
/// periods and no more, so these are 20 ms, or a moment's load tears the sound.
fn buffer(kind: Kind, straight: bool, config: &SupportedStreamConfig) -> BufferSize {
    let parts = match kind {
        Kind::Microphone if !straight => 100,
        _ => 50,
    };
    match *config.buffer_size() {
        SupportedBufferSize::Range { min, max } if min <= max => {
            BufferSize::Fixed((config.sample_rate() / parts).clamp(min, max))
        }
        _ => BufferSize::Default,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use cpal::SampleFormat;

    use super::*;

    fn range(channels: u16, rates: (u32, u32), format: SampleFormat) -> SupportedStreamConfigRange {
        let buffer = SupportedBufferSize::Range { min: 64, max: 512 };
        SupportedStreamConfigRange::new(channels, rates.0, rates.1, buffer, format)
    }

    fn shape(ranges: &[SupportedStreamConfigRange], channels: u16) -> (u16, u32, SampleFormat) {
        let best = best(ranges.iter().copied(), channels).unwrap();
        (best.channels(), best.sample_rate(), best.sample_format())
    }

    #[test]
    fn the_rate_matters_more_than_channels_and_these_more_than_the_format() {
        let ranges = [
            range(1, (8_000, 16_000), SampleFormat::I16),
            range(6, (48_000, 48_000), SampleFormat::I16),
            range(2, (44_100, 96_000), SampleFormat::F32),
            range(2, (44_100, 96_000), SampleFormat::I32),
        ];
        assert_eq!(shape(&ranges, 1), (2, 48_000, SampleFormat::F32));
        assert_eq!(shape(&ranges[..2], 1), (6, 48_000, SampleFormat::I16));
        assert_eq!(shape(&ranges[..1], 2), (1, 16_000, SampleFormat::I16));
    }

    #[test]
    fn formats_that_cannot_be_converted_are_not_chosen() {
        let dsd = range(2, (48_000, 48_000), SampleFormat::DsdU8);
        assert!(best([dsd], 2).is_none());
    }

    #[test]
    fn the_buffer_keeps_to_what_the_device_allows() {
        let config = range(2, (48_000, 48_000), SampleFormat::I16).with_max_sample_rate();
        let fixed = |kind, straight| buffer(kind, straight, &config);
        assert_eq!(fixed(Kind::Microphone, false), BufferSize::Fixed(480));
        assert_eq!(fixed(Kind::Microphone, true), BufferSize::Fixed(512));
        assert_eq!(fixed(Kind::Loudspeaker, false), BufferSize::Fixed(512));
    }

    #[test]
    fn a_busy_device_is_told_with_what_to_do() {
        let error = cpal::Error::with_message(ErrorKind::DeviceBusy, "in use");
        assert_eq!(
            trouble(Kind::Microphone, "microphone \"A\"", &error).to_string(),
            "microphone \"A\": in use; another program holds it: close that, or go without by \
             --audio none, or with --audio tone"
        );
    }
}

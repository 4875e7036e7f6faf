//! Uncompressed sound of any layout, cut into 20 ms of 16-bit mono or stereo at 48 kHz.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use super::input::Problem;
use super::opus;
use super::resample::ToSampleRate;
use super::source::Unit;
use crate::media::capture::AudioItem;
use crate::media::clock::Timestamp;
use crate::media::frame::Sound;

/// Frames in an item: 20 ms.
const ITEM: usize = 960;

/// How long an item is.
pub(super) const PACKET: Duration = Duration::from_millis(20);

const RATES: std::ops::RangeInclusive<u32> = 4_000..=384_000;
const MOST_CHANNELS: u16 = 32;

/// How one sample is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Unsigned, as 8-bit WAV is.
    U8,
    /// Signed, in so many bytes, low byte first or not.
    Int {
        bytes: usize,
        little: bool,
    },
    F32,
    F64,
}

impl Format {
    pub(super) fn of(bits: u64, float: bool, little: bool) -> Option<Self> {
        match (bits, float) {
            (8, false) => Some(Self::U8),
            (16, false) => Some(Self::Int { bytes: 2, little }),
            (24, false) => Some(Self::Int { bytes: 3, little }),
            (32, false) => Some(Self::Int { bytes: 4, little }),
            (32, true) => Some(Self::F32),
            (64, true) => Some(Self::F64),
            _ => None,
        }
    }

    const fn bytes(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::Int { bytes, .. } => bytes,
            Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// A sample between -1 and 1.
    fn read(self, sample: &[u8]) -> f32 {
        let value = match (self, sample) {
            (Self::U8, [byte]) => (f32::from(*byte) - 128.0) / 128.0,
            (Self::F32, [a, b, c, d]) => f32::from_le_bytes([*a, *b, *c, *d]),
            #[allow(clippy::cast_possible_truncation)]
            (Self::F64, [a, b, c, d, e, f, g, h]) => {
                f64::from_le_bytes([*a, *b, *c, *d, *e, *f, *g, *h]) as f32
            }
            (Self::Int { little, .. }, bytes) => {
                let mut word = [0; 4];
                let high = word.iter_mut().rev();
                // The most significant byte goes into the last place of a little-endian word.
                if little {
                    high.zip(bytes.iter().rev())
                        .for_each(|(to, from)| *to = *from);
                } else {
                    high.zip(bytes).for_each(|(to, from)| *to = *from);
                }
                // 2^31 as full scale; a rounding of the last of 32 bits is meant.
                #[allow(clippy::cast_precision_loss)]
                let value = i32::from_le_bytes(word) as f32;
                value / 2_147_483_648.0
            }
            _ => 0.0,
        };
        if value.is_finite() { value } else { 0.0 }
    }
}

/// How the samples of a stream are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) rate: u32,
    pub(super) channels: u16,
    pub(super) format: Format,
}

impl Layout {
    /// A layout within reason.
    pub(super) fn new(rate: u32, channels: u16, format: Format) -> Option<Self> {
        let sane = RATES.contains(&rate) && (1..=MOST_CHANNELS).contains(&channels);
        sane.then_some(Self {
            rate,
            channels,
            format,
        })
    }

    pub(super) fn frame_bytes(self) -> usize {
        usize::from(self.channels) * self.format.bytes()
    }

    /// The bytes of so much time.
    pub(super) fn frames_bytes(self, time: Duration) -> u64 {
        let millis = u64::try_from(time.as_millis()).unwrap_or(0);
        u64::from(self.rate) * millis / 1_000 * self.frame_bytes() as u64
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PCM {} Hz, channels: {}", self.rate, self.channels)
    }
}

/// Bytes in, items out.
pub(super) struct Samples {
    layout: Layout,
    out_channels: u16,
    rate: ToSampleRate,
    ready: VecDeque<i16>,
    popped: u64,
}

impl Samples {
    pub(super) fn new(layout: Layout) -> Result<Self, Problem> {
        let out_channels = layout.channels.min(2);
        Ok(Self {
            layout,
            out_channels,
            rate: ToSampleRate::new(layout.rate, out_channels)?,
            ready: VecDeque::new(),
            popped: 0,
        })
    }

    /// Takes whole frames; the rest of the last one is left out.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        let format = self.layout.format;
        let mut mixed = Vec::new();
        let mut frame = Vec::with_capacity(usize::from(self.layout.channels));
        for bytes in bytes.chunks_exact(self.layout.frame_bytes()) {
            frame.clear();
            frame.extend(bytes.chunks_exact(format.bytes()).map(|s| format.read(s)));
            mix(&frame, &mut mixed);
        }
        let mixed: Vec<i16> = mixed.into_iter().map(to_i16).collect();
        self.rate.push(&mixed, &mut self.ready)
    }

    /// Gives what is left, filled up with silence to a whole item.
    pub(super) fn finish(&mut self) -> Result<(), Problem> {
        self.rate.finish(&mut self.ready)?;
        let rest = self.ready.len() % self.item();
        if rest > 0 {
            self.ready.resize(self.ready.len() + self.item() - rest, 0);
        }
        Ok(())
    }

    /// The next whole item.
    pub(super) fn pop(&mut self) -> Option<Unit<AudioItem>> {
        if self.ready.len() < self.item() {
            return None;
        }
        let samples = self.ready.drain(..self.item()).collect();
        let time = opus::time(self.popped * ITEM as u64);
        self.popped += 1;
        Some(Unit {
            time,
            item: AudioItem::Raw(Sound {
                samples,
                channels: self.out_channels,
                at: Timestamp::default(),
            }),
        })
    }

    /// How many items have been given since the (last) start.
    pub(super) const fn popped(&self) -> u64 {
        self.popped
    }

    /// How long the items given since the last start last.
    pub(super) fn length(&self) -> Duration {
        opus::time(self.popped * ITEM as u64)
    }

    /// Counts from zero again; what is inside goes on into the next pass, without a jump.
    pub(super) const fn go_on(&mut self) {
        self.popped = 0;
    }

    /// Counts from zero again, with nothing inside.
    pub(super) fn restart(&mut self) -> Result<(), Problem> {
        *self = Self::new(self.layout)?;
        Ok(())
    }

    fn item(&self) -> usize {
        ITEM * usize::from(self.out_channels)
    }
}

/// One frame to mono or stereo. More than two channels are mixed as ITU-R BS.775
/// does it, in the order of WAV: left, right, centre, low, then surrounds in turn.
fn mix(frame: &[f32], out: &mut Vec<f32>) {
    const HALF_POWER: f32 = std::f32::consts::FRAC_1_SQRT_2;
    match frame {
        [_] | [_, _] => out.extend_from_slice(frame),
        // Four channels have no centre.
        [left, right, back_left, back_right] => {
            out.push(left + HALF_POWER * back_left);
            out.push(right + HALF_POWER * back_right);
        }
        [left, right, centre, rest @ ..] => {
            let (mut l, mut r) = (left + HALF_POWER * centre, right + HALF_POWER * centre);
            for (n, sample) in rest.iter().skip(1).enumerate() {
                let side = if n % 2 == 0 { &mut l } else { &mut r };
                *side += HALF_POWER * sample;
            }
            out.extend_from_slice(&[l, r]);
        }
        [] => {}
    }
}

fn to_i16(sample: f32) -> i16 {
    // The cast saturates, which is what is wanted of sound that is too loud.
    #[allow(clippy::cast_possible_truncation)]
    let value = (sample * 32_768.0).round() as i16;
    value
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]
    use super::*;

    fn all(layout: Layout, bytes: &[u8]) -> Vec<i16> {
        let mut samples = Samples::new(layout).unwrap();
        samples.push(bytes).unwrap();
        samples.finish().unwrap();
        let mut out = Vec::new();
        while let Some(unit) = samples.pop() {
            if let AudioItem::Raw(sound) = unit.item {
                out.extend(sound.samples);
            }
        }
        out
    }

    fn mono(bits: u64, float: bool, little: bool) -> Layout {
        Layout::new(48_000, 1, Format::of(bits, float, little).unwrap()).unwrap()
    }

    #[test]
    fn every_sample_format_gives_the_same_sound() {
        let wanted = [-32_768_i16, -256, 0, 256, 16_384, 32_512];
        let check = |layout, bytes: Vec<u8>| {
            let out = all(layout, &bytes);
            assert_eq!(out.len(), 960);
            assert_eq!(out[..6], wanted, "{layout:?}");
            assert!(out[6..].iter().all(|s| *s == 0));
        };
        let map = |f: &dyn Fn(i16) -> Vec<u8>| wanted.iter().flat_map(|s| f(*s)).collect();
        check(mono(8, false, true), map(&|s| vec![((s >> 8) + 128) as u8]));
        check(mono(16, false, true), map(&|s| s.to_le_bytes().into()));
        check(mono(16, false, false), map(&|s| s.to_be_bytes().into()));
        check(
            mono(24, false, true),
            map(&|s| (i32::from(s) << 8).to_le_bytes()[..3].into()),
        );
        check(
            mono(32, false, true),
            map(&|s| (i32::from(s) << 16).to_le_bytes().into()),
        );
        check(
            mono(32, true, true),
            map(&|s| (f32::from(s) / 32_768.0).to_le_bytes().into()),
        );
        check(
            mono(64, true, true),
            map(&|s| (f64::from(s) / 32_768.0).to_le_bytes().into()),
        );
    }

    #[test]
    fn a_tone_at_another_rate_keeps_its_pitch_its_length_and_its_place() {
        for rate in [8_000_u32, 44_100, 96_000, 11_025] {
            let tone = |n: u32, rate: u32| {
                (f64::from(n) * 440.0 * std::f64::consts::TAU / f64::from(rate)).sin() * 16_000.0
            };
            let bytes: Vec<u8> = (0..rate)
                .flat_map(|n| (tone(n, rate) as i16).to_le_bytes())
                .collect();
            let layout = Layout::new(rate, 1, Format::of(16, false, true).unwrap()).unwrap();
            let out = all(layout, &bytes);
            assert_eq!(out.len(), 48_000);
            // The tone that fits best: how loud, how far shifted, and what it leaves over.
            let middle = 4_800..43_200_u32;
            let (mut sine, mut cosine) = (0.0, 0.0);
            let phase = |n: u32| f64::from(n) * 440.0 * std::f64::consts::TAU / 48_000.0;
            for n in middle.clone() {
                sine += f64::from(out[n as usize]) * phase(n).sin() * 2.0 / 38_400.0;
                cosine += f64::from(out[n as usize]) * phase(n).cos() * 2.0 / 38_400.0;
            }
            assert!((sine.hypot(cosine) - 16_000.0).abs() < 30.0, "{rate} Hz");
            let shift = cosine.atan2(sine).abs() * 48_000.0 / std::f64::consts::TAU / 440.0;
            assert!(shift < 2.5, "{rate} Hz: shifted by {shift} samples");
            for n in middle {
                let fit = sine * phase(n).sin() + cosine * phase(n).cos();
                let error = (f64::from(out[n as usize]) - fit).abs();
                assert!(error < 40.0, "{rate} Hz, sample {n}: off by {error}");
            }
        }
    }

    #[test]
    fn surround_is_mixed_to_two() {
        let mut out = Vec::new();
        mix(&[0.1, 0.2, 0.0, 0.9, 0.5, 0.0], &mut out);
        assert!((out[0] - 0.1 - 0.5 * std::f32::consts::FRAC_1_SQRT_2).abs() < 1e-6);
        assert!((out[1] - 0.2).abs() < 1e-6);
        assert_eq!(to_i16(1.7), i16::MAX);
    }
}

//! IVF: a header of 32 bytes, then frames with a size and a time stamp.

use std::time::Duration;

use super::h264::{self, ParameterSets};
use super::input::{Input, Problem};
use super::source::{Demux, Unit};
use super::{av1, vp8, vp9};
use crate::media::bitstream::av1::without_delimiters;
use crate::media::capture::VideoItem;
use crate::media::clock::Timestamp;
use crate::media::frame::{EncodedPicture, VideoCodec};

/// An IVF file of VP8, VP9, AV1 or H.264.
pub(super) struct Ivf {
    input: Input,
    header: u64,
    codec: VideoCodec,
    size: (u16, u16),
    /// A tick lasts `tick.0 / tick.1` seconds.
    tick: (u32, u32),
    first: Option<u64>,
    last: Duration,
    step: Duration,
    sets: ParameterSets,
}

impl Ivf {
    pub(super) fn open(mut input: Input) -> Result<Self, Problem> {
        let Some(head) = input.array::<32>()? else {
            return Err(Problem::NoFrame);
        };
        let word = |at: usize| u16::from_le_bytes([head[at], head[at + 1]]);
        let long = |at: usize| u32::from(word(at)) | u32::from(word(at + 2)) << 16;
        let codec = match &head[8..12] {
            b"VP80" => VideoCodec::Vp8,
            b"VP90" => VideoCodec::Vp9,
            b"AV01" => VideoCodec::Av1,
            b"H264" | b"h264" | b"AVC1" | b"avc1" => VideoCodec::H264,
            other => {
                return Err(Problem::unsupported(format!(
                    "is IVF of {}, not of VP8, VP9, AV1 or H.264; convert it: ffmpeg -i FILE -c:v libvpx out.ivf",
                    String::from_utf8_lossy(other).escape_default()
                )));
            }
        };
        let tick = (long(20), long(16));
        if tick.0 == 0 || tick.1 == 0 {
            return Err(input.broken(format!("a time base of {}/{}", tick.0, tick.1)));
        }
        let header = u64::from(word(6)).max(32);
        input.go_to(header)?;
        Ok(Self {
            input,
            header,
            codec,
            size: (word(12), word(14)),
            tick,
            first: None,
            last: Duration::ZERO,
            step: Duration::from_millis(33),
            sets: ParameterSets::default(),
        })
    }

    fn time(&mut self, stamp: u64) -> Duration {
        let ticks = stamp.saturating_sub(*self.first.get_or_insert(stamp));
        let micros =
            u128::from(ticks) * 1_000_000 * u128::from(self.tick.0) / u128::from(self.tick.1);
        let time = Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX));
        if time > self.last {
            self.step = time - self.last;
        }
        self.last = time;
        time
    }
}

impl Demux<VideoItem> for Ivf {
    fn next(&mut self) -> Result<Option<Unit<VideoItem>>, Problem> {
        loop {
            let Some(head) = self.input.array::<12>()? else {
                return Ok(None);
            };
            let [s0, s1, s2, s3, stamp @ ..] = head;
            let size = u64::from(u32::from_le_bytes([s0, s1, s2, s3]));
            let Some(data) = self.input.take_bytes(size)? else {
                return Ok(None);
            };
            let time = self.time(u64::from_le_bytes(stamp));
            let (data, key) = match self.codec {
                VideoCodec::Vp8 => {
                    let key = vp8::is_key(&data);
                    (data, key)
                }
                VideoCodec::Vp9 => {
                    let key = vp9::is_key(&data)?;
                    (data, key)
                }
                VideoCodec::Av1 => {
                    let key = av1::is_key(&data)?;
                    (without_delimiters(&data).into(), key)
                }
                VideoCodec::H264 => {
                    let (data, key) = self.sets.access_unit(&h264::units(&data));
                    (data.into(), key)
                }
            };
            // An empty frame stands for a picture that the encoder dropped.
            if data.is_empty() {
                continue;
            }
            return Ok(Some(Unit {
                time,
                item: VideoItem::Encoded(EncodedPicture {
                    codec: self.codec,
                    data,
                    key,
                    at: Timestamp::default(),
                    layer: None,
                }),
            }));
        }
    }

    fn rewind(&mut self) -> Result<(), Problem> {
        self.last = Duration::ZERO;
        self.input.go_to(self.header)
    }

    fn length(&self) -> Duration {
        self.last.saturating_add(self.step)
    }

    fn describe(&self) -> String {
        let codec = match self.codec {
            VideoCodec::Vp8 => "VP8",
            VideoCodec::Vp9 => "VP9",
            VideoCodec::Av1 => "AV1",
            VideoCodec::H264 => "H.264",
        };
        format!("IVF {codec} {}x{}", self.size.0, self.size.1)
    }
}

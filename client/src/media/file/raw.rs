//! Pictures and samples without any header: who reads them is told what they are.

use std::time::Duration;

use super::input::{Input, Problem};
use super::pcm::{Format, Layout, PACKET, Samples};
use super::source::{Demux, Unit};
use crate::media::capture::{AudioItem, VideoItem};
use crate::media::clock::Timestamp;
use crate::media::convert::{PixelFormat, to_picture};
use crate::media::frame::SAMPLE_RATE;

/// Pictures of one size, so many a second.
pub(super) struct RawPictures {
    input: Input,
    format: PixelFormat,
    size: (u32, u32),
    fps: u32,
    frames: u64,
}

impl RawPictures {
    pub(super) fn open(input: Input, format: PixelFormat, size: (u32, u32), fps: u32) -> Self {
        Self {
            input,
            format,
            size,
            fps: fps.max(1),
            frames: 0,
        }
    }
}

impl Demux<VideoItem> for RawPictures {
    fn next(&mut self) -> Result<Option<Unit<VideoItem>>, Problem> {
        let (width, height) = self.size;
        let needed = self.format.bytes(width, height) as u64;
        let bytes = self.input.up_to(needed)?;
        if bytes.is_empty() {
            return Ok(None);
        }
        if (bytes.len() as u64) < needed {
            return Err(Problem::Closed(format!(
                "in the middle of picture {}: of its {needed} bytes ({width}x{height} {:?}) {} came; \
                 are --size and --format what is written?",
                self.frames + 1,
                self.format,
                bytes.len()
            )));
        }
        let picture = to_picture(self.format, width, height, &bytes, Timestamp::default())
            .map_err(|error| self.input.broken(error.to_string()))?;
        let time = self.length();
        self.frames += 1;
        Ok(Some(Unit {
            time,
            item: VideoItem::Raw(picture),
        }))
    }

    fn rewind(&mut self) -> Result<(), Problem> {
        self.frames = 0;
        self.input.go_to(0)
    }

    fn length(&self) -> Duration {
        Duration::from_micros(self.frames.saturating_mul(1_000_000) / u64::from(self.fps))
    }

    fn describe(&self) -> String {
        let (width, height) = self.size;
        format!("{:?} {width}x{height} at {} fps", self.format, self.fps)
    }
}

/// Samples of 16 bits at 48 kHz.
pub(super) struct RawSamples {
    input: Input,
    layout: Layout,
    samples: Samples,
    ended: bool,
}

impl RawSamples {
    pub(super) fn open(input: Input, channels: u16) -> Result<Self, Problem> {
        let format = Format::Int {
            bytes: 2,
            little: true,
        };
        let layout = Layout::new(SAMPLE_RATE, channels, format)
            .ok_or_else(|| Problem::unsupported(format!("has {channels} channels, not 1 or 2")))?;
        Ok(Self {
            samples: Samples::new(layout)?,
            input,
            layout,
            ended: false,
        })
    }
}

impl Demux<AudioItem> for RawSamples {
    fn next(&mut self) -> Result<Option<Unit<AudioItem>>, Problem> {
        loop {
            if let Some(unit) = self.samples.pop() {
                return Ok(Some(unit));
            }
            if self.ended {
                return Ok(None);
            }
            let bytes = self.input.up_to(self.layout.frames_bytes(PACKET))?;
            self.ended = bytes.is_empty();
            if self.ended {
                self.samples.finish()?;
            } else {
                self.samples.push(&bytes)?;
            }
        }
    }

    fn rewind(&mut self) -> Result<(), Problem> {
        self.samples.restart()?;
        self.ended = false;
        self.input.go_to(0)
    }

    fn length(&self) -> Duration {
        self.samples.length()
    }

    fn describe(&self) -> String {
        self.layout.to_string()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn pictures(bytes: usize) -> RawPictures {
        let input = Input::once(std::io::Cursor::new(vec![77; bytes]));
        RawPictures::open(input, PixelFormat::I420, (16, 16), 25)
    }

    #[test]
    fn pictures_follow_each_other_at_their_rate() {
        let mut raw = pictures(2 * 384);
        let first = raw.next().unwrap().unwrap();
        assert_eq!(first.time, Duration::ZERO);
        let second = raw.next().unwrap().unwrap();
        assert_eq!(second.time, Duration::from_millis(40));
        let VideoItem::Raw(picture) = second.item else {
            unreachable!("raw pictures are raw");
        };
        assert_eq!((picture.width, picture.y[0]), (16, 77));
        assert!(raw.next().unwrap().is_none());
    }

    #[test]
    fn half_a_picture_tells_of_the_size() {
        let mut raw = pictures(384 + 100);
        raw.next().unwrap().unwrap();
        let Err(problem) = raw.next() else {
            unreachable!("half a picture is none");
        };
        let words = problem.to_string();
        assert!(words.contains("picture 2: of its 384 bytes"), "{words}");
        assert!(words.contains("--size"), "{words}");
    }

    #[test]
    fn samples_are_given_in_packets_and_the_last_one_is_filled_up() {
        let bytes: Vec<u8> = (0..1_000_i16).flat_map(i16::to_le_bytes).collect();
        let input = Input::once(std::io::Cursor::new(bytes));
        let mut raw = RawSamples::open(input, 1).unwrap();
        let mut sounds = Vec::new();
        while let Some(unit) = raw.next().unwrap() {
            if let AudioItem::Raw(sound) = unit.item {
                sounds.push(sound.samples);
            }
        }
        assert_eq!(sounds.len(), 2);
        assert_eq!(
            (sounds[0][959], sounds[1][39], sounds[1][40]),
            (959, 999, 0)
        );
    }
}

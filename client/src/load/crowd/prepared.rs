//! What everybody sends, encoded once.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use bytes::Bytes;

use super::args::Media;
use crate::measure::marks::{Mark, stamp};
use crate::media::capture::{test_picture, tone};
use crate::media::clock::Timestamp;
use crate::media::codec::opus::{Content, OpusEncoder};
use crate::media::codec::{CodecError, EncoderConfig, video_encoder};
use crate::media::frame::VideoCodec;

/// Seconds of media, which are sent over and over.
pub(super) const SECONDS: u32 = 2;

/// Packets of sound a second.
pub(super) const PACKETS: u32 = 50;

/// Of the tone that everybody sounds.
pub(super) const HZ: u32 = 440;

/// Of the sound, bits a second.
const SOUND_BITRATE: u32 = 32_000;

/// A row of frames, all different.
#[derive(Debug, Default)]
pub(super) struct Row {
    frames: Vec<(Bytes, bool)>,
    by_hash: HashMap<u64, usize>,
}

impl Row {
    pub(super) fn push(&mut self, data: Bytes, key: bool) {
        self.by_hash.insert(hash(&data), self.frames.len());
        self.frames.push((data, key));
    }

    pub(super) fn len(&self) -> usize {
        self.frames.len()
    }

    /// A frame, and whether decoding can start with it.
    pub(super) fn get(&self, number: usize) -> Option<(Bytes, bool)> {
        self.frames.get(number).cloned()
    }

    /// Which one these bytes are; `likely` is looked at first.
    pub(super) fn find(&self, bytes: &[u8], likely: usize) -> Option<usize> {
        let is = |number: &usize| {
            self.frames
                .get(*number)
                .is_some_and(|(data, _)| data[..] == *bytes)
        };
        if is(&likely) {
            return Some(likely);
        }
        let known = self.by_hash.get(&hash(bytes)).copied();
        known.filter(is)
    }
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

/// Pictures and sounds.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) pictures: Row,
    pub(super) sounds: Row,
    pub(super) fps: u32,
}

impl Prepared {
    /// Encodes them.
    ///
    /// # Errors
    /// When an encoder fails.
    pub(super) fn new(media: &Media) -> Result<Self, CodecError> {
        let mut pictures = Row::default();
        if media.senses.video() {
            let (width, height) = media.size;
            let config = EncoderConfig {
                width,
                height,
                fps: media.fps,
                bitrate: media.bitrate,
            };
            let mut encoder = video_encoder(VideoCodec::Vp8, config)?;
            for number in 0..media.fps * SECONDS {
                let mut picture = test_picture::render(number, width, height);
                picture.at = Timestamp::default()
                    + Duration::from_secs_f64(f64::from(number) / f64::from(media.fps));
                let at = picture.at;
                stamp(&mut picture, Mark { number, at });
                // What the encoder left out is not sent by anybody.
                if let Some(encoded) = encoder.encode(&picture, number == 0)? {
                    pictures.push(encoded.data, encoded.key);
                }
            }
        }
        let mut sounds = Row::default();
        if media.senses.audio() {
            let mut encoder = OpusEncoder::new(1, Content::Voice, SOUND_BITRATE)?;
            for number in 0..PACKETS * SECONDS {
                let at = Timestamp::default() + Duration::from_millis(u64::from(number) * 20);
                sounds.push(encoder.encode(&tone::render(HZ, at))?.data, true);
            }
        }
        Ok(Self {
            pictures,
            sounds,
            fps: media.fps,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::load::crowd::args::Senses;

    #[test]
    fn every_frame_is_known_by_its_bytes() {
        let prepared = Prepared::new(&Media {
            senses: Senses::Both,
            bitrate: 100_000,
            size: (160, 90),
            fps: 5,
        })
        .unwrap();
        assert!(prepared.pictures.get(0).unwrap().1);
        for row in [&prepared.pictures, &prepared.sounds] {
            assert!(row.len() >= 10);
            for number in 0..row.len() {
                let (bytes, _) = row.get(number).unwrap();
                // Wherever it is looked for first: no other has its bytes, so its delay is not another's.
                for likely in 0..row.len() {
                    assert_eq!(row.find(&bytes, likely), Some(number));
                }
            }
            assert_eq!(row.find(b"something else", 3), None);
        }
    }
}

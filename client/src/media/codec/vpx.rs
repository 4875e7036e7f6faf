//! VP8 by libvpx, in real time on one core.

use bytes::Bytes;

use super::pace::Pace;
use super::{CodecError, EncoderConfig, VideoDecoder, VideoEncoder};
use crate::media::clock::Timestamp;
use crate::media::frame::{EncodedPicture, Picture, VideoCodec};

mod ffi;

/// The largest picture that is decoded. The sixteen bits of a key frame's size
/// would otherwise let twenty bytes from a stranger allocate a gigabyte.
const MAX_PIXELS: u32 = 4096 * 2304;

/// Encodes VP8 with one thread, no lag and a constant bit rate.
pub struct Vp8Encoder {
    library: ffi::Encoder,
    config: EncoderConfig,
    pace: Pace,
}

impl Vp8Encoder {
    /// Opens an encoder for pictures of the size in `config`.
    ///
    /// # Errors
    /// When libvpx refuses the size or the rate.
    pub fn new(config: EncoderConfig) -> Result<Self, CodecError> {
        let library = ffi::Encoder::new(&settings(&config)).map_err(open_error)?;
        Ok(Self {
            library,
            config,
            pace: Pace::new(config.fps),
        })
    }

    fn follow_size(&mut self, picture: &Picture) -> Result<(), CodecError> {
        if (picture.width, picture.height) == (self.config.width, self.config.height) {
            return Ok(());
        }
        let config = EncoderConfig {
            width: picture.width,
            height: picture.height,
            ..self.config
        };
        self.library = ffi::Encoder::new(&settings(&config)).map_err(open_error)?;
        self.config = config;
        Ok(())
    }
}

impl VideoEncoder for Vp8Encoder {
    fn encode(
        &mut self,
        picture: &Picture,
        key: bool,
    ) -> Result<Option<EncodedPicture>, CodecError> {
        self.follow_size(picture)?;
        let duration = self.pace.next(picture.at);
        let frame = self
            .library
            .encode(picture, duration, key)
            .map_err(|problem| CodecError::Encode {
                codec: VideoCodec::Vp8,
                problem,
            })?;
        Ok(frame.map(|data| EncodedPicture {
            codec: VideoCodec::Vp8,
            key: starts_decoding(&data),
            data: Bytes::from(data),
            at: picture.at,
        }))
    }

    fn set_bitrate(&mut self, bits_per_second: u32) -> Result<(), CodecError> {
        if bits_per_second == self.config.bitrate {
            return Ok(());
        }
        self.library
            .set_kilobits(kilobits(bits_per_second))
            .map_err(|problem| CodecError::Encode {
                codec: VideoCodec::Vp8,
                problem: format!("{bits_per_second} bit/s refused: {problem}"),
            })?;
        self.config.bitrate = bits_per_second;
        Ok(())
    }
}

/// Decodes VP8. After a broken frame it gives nothing but errors until a key frame,
/// for what refers to a broken picture is broken too.
pub struct Vp8Decoder {
    library: ffi::Decoder,
    waits_for_key: bool,
}

impl Vp8Decoder {
    /// Opens a decoder.
    ///
    /// # Errors
    /// When libvpx refuses to start.
    pub fn new() -> Result<Self, CodecError> {
        Ok(Self {
            library: ffi::Decoder::new().map_err(open_error)?,
            waits_for_key: true,
        })
    }

    fn check(&self, frame: &[u8]) -> Result<(), String> {
        if frame.is_empty() {
            return Err("the frame is empty".into());
        }
        if !starts_decoding(frame) {
            if self.waits_for_key {
                return Err(
                    "it refers to a picture that was never decoded; a key frame is needed".into(),
                );
            }
            return Ok(());
        }
        let (width, height) = key_frame_size(frame).ok_or_else(|| {
            "the key frame's header is cut off or lacks its start code".to_owned()
        })?;
        if width == 0 || height == 0 || width * height > MAX_PIXELS {
            return Err(format!(
                "a picture of {width}x{height} is outside 1..{MAX_PIXELS} pixels"
            ));
        }
        Ok(())
    }
}

impl VideoDecoder for Vp8Decoder {
    fn decode(&mut self, frame: &[u8]) -> Result<Option<Picture>, CodecError> {
        let picture = self
            .check(frame)
            .and_then(|()| self.library.decode(frame, Timestamp::now()));
        self.waits_for_key = picture.is_err();
        picture.map_err(|problem| CodecError::Decode {
            codec: VideoCodec::Vp8,
            size: frame.len(),
            problem,
        })
    }
}

/// Whether the frame is a key frame: the inverse of the first bit, RFC 6386 section 9.1.
fn starts_decoding(frame: &[u8]) -> bool {
    frame.first().is_some_and(|first| first & 1 == 0)
}

/// Columns and rows in a key frame's header, RFC 6386 section 9.1.
fn key_frame_size(frame: &[u8]) -> Option<(u32, u32)> {
    let header = frame.get(3..10)?;
    if header[..3] != [0x9d, 0x01, 0x2a] {
        return None;
    }
    let side = |low: u8, high: u8| u32::from(u16::from_le_bytes([low, high]) & 0x3fff);
    Some((side(header[3], header[4]), side(header[5], header[6])))
}

/// Chooses libvpx's settings: those that libwebrtc is known to use, and for the
/// speed what a bench of this repository (`cargo run --release --example codec_bench`)
/// showed to cost the least time for the least loss of picture.
fn settings(config: &EncoderConfig) -> ffi::Settings {
    let pixels = config.width.saturating_mul(config.height);
    ffi::Settings {
        width: config.width,
        height: config.height,
        kilobits: kilobits(config.bitrate),
        speed: if pixels >= 960 * 540 { 10 } else { 8 },
        // Half of the optimal buffer may be spent on one key frame.
        max_key_percent: (600 * config.fps / 20).max(300),
    }
}

fn kilobits(bits_per_second: u32) -> u32 {
    (bits_per_second / 1000).max(1)
}

fn open_error(problem: String) -> CodecError {
    CodecError::Open {
        codec: VideoCodec::Vp8,
        problem,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn key_frame(width: u16, height: u16) -> Vec<u8> {
        let mut frame = vec![0x10, 0, 0, 0x9d, 0x01, 0x2a];
        frame.extend(width.to_le_bytes());
        frame.extend(height.to_le_bytes());
        frame.extend([0; 60]);
        frame
    }

    #[test]
    fn a_key_frames_size_leaves_out_the_scaling_bits() {
        assert_eq!(
            key_frame_size(&key_frame(640 | 0x4000, 360 | 0x8000)),
            Some((640, 360))
        );
        assert_eq!(key_frame_size(&key_frame(640, 360)[..9]), None);
        assert_eq!(key_frame_size(&[0; 20]), None);
    }

    #[test]
    fn a_gigantic_picture_is_refused_before_it_is_allocated() {
        let mut decoder = Vp8Decoder::new().unwrap();
        let error = decoder.decode(&key_frame(16_383, 16_383)).unwrap_err();
        assert!(error.to_string().contains("16383x16383"), "{error}");
        assert!(decoder.decode(&key_frame(0, 10)).is_err());
    }
}

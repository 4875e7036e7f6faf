//! VP8 and VP9 by libvpx, in real time on one core.

use std::borrow::Cow;

use bytes::Bytes;

use super::pace::Pace;
use super::{CodecError, EncoderConfig, VideoDecoder, VideoEncoder};
use crate::media::bitstream::vp9;
use crate::media::clock::Timestamp;
use crate::media::file::vp8;
use crate::media::frame::{EncodedPicture, Picture, VideoCodec};
use crate::media::layers::{Scalability, Turns};

mod ffi;

/// The largest picture that is decoded. The sixteen bits of a frame's size would
/// otherwise let twenty bytes from a stranger allocate gigabytes.
const MAX_PIXELS: u64 = 4096 * 2304;

/// Which of libvpx's codecs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// RFC 6386.
    Vp8,
    /// Profile 0.
    Vp9,
}

impl Kind {
    const fn codec(self) -> VideoCodec {
        match self {
            Self::Vp8 => VideoCodec::Vp8,
            Self::Vp9 => VideoCodec::Vp9,
        }
    }

    fn open_error(self, problem: String) -> CodecError {
        CodecError::Open {
            codec: self.codec(),
            problem,
        }
    }

    fn encode_error(self, problem: String) -> CodecError {
        CodecError::Encode {
            codec: self.codec(),
            problem,
        }
    }

    /// Whether decoding can start at the frame. VP8: the inverse of the first bit, RFC
    /// 6386 section 9.1.
    fn starts_decoding(self, frame: &[u8]) -> bool {
        match self {
            Self::Vp8 => frame.first().is_some_and(|first| first & 1 == 0),
            Self::Vp9 => vp9::is_key(frame),
        }
    }
}

/// Encodes with one thread, no lag and a constant bit rate.
pub struct VpxEncoder {
    kind: Kind,
    library: ffi::Encoder,
    config: EncoderConfig,
    scalability: Scalability,
    turns: Turns,
    pace: Pace,
}

impl VpxEncoder {
    /// Opens an encoder for pictures of the size in `config`.
    ///
    /// # Errors
    /// When libvpx refuses the size or the rate.
    pub fn new(kind: Kind, config: EncoderConfig) -> Result<Self, CodecError> {
        Self::open(kind, config, Scalability::L1T1)
    }

    /// Opens a VP8 encoder that makes temporal layers.
    ///
    /// # Errors
    /// As [`VpxEncoder::new`].
    pub fn layered(config: EncoderConfig, scalability: Scalability) -> Result<Self, CodecError> {
        Self::open(Kind::Vp8, config, scalability)
    }

    fn open(
        kind: Kind,
        config: EncoderConfig,
        scalability: Scalability,
    ) -> Result<Self, CodecError> {
        Ok(Self {
            kind,
            library: open(kind, &config, scalability)?,
            config,
            scalability,
            turns: Turns::new(scalability),
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
        self.library = open(self.kind, &config, self.scalability)?;
        self.turns = Turns::new(self.scalability);
        self.config = config;
        Ok(())
    }
}

impl VideoEncoder for VpxEncoder {
    fn encode(
        &mut self,
        picture: &Picture,
        key: bool,
    ) -> Result<Option<EncodedPicture>, CodecError> {
        self.follow_size(picture)?;
        let duration = self.pace.next(picture.at);
        let slot = self.turns.next(key);
        let layered = self.scalability != Scalability::L1T1;
        let frame = self
            .library
            .encode(picture, duration, key, layered.then_some(slot))
            .map_err(|problem| self.kind.encode_error(problem))?;
        Ok(frame.map(|data| {
            let key = self.kind.starts_decoding(&data);
            EncodedPicture {
                codec: self.kind.codec(),
                key,
                data: Bytes::from(data),
                at: picture.at,
                layer: self.turns.done(slot, key),
            }
        }))
    }

    fn set_bitrate(&mut self, bits_per_second: u32) -> Result<(), CodecError> {
        if bits_per_second == self.config.bitrate {
            return Ok(());
        }
        self.library
            .set_kilobits(kilobits(bits_per_second))
            .map_err(|problem| {
                let problem = format!("{bits_per_second} bit/s refused: {problem}");
                self.kind.encode_error(problem)
            })?;
        self.config.bitrate = bits_per_second;
        Ok(())
    }
}

/// Decodes. After a broken frame it gives nothing but errors until a key frame, for
/// what refers to a broken picture is broken too.
pub struct VpxDecoder {
    kind: Kind,
    library: ffi::Decoder,
    waits_for_key: bool,
}

impl VpxDecoder {
    /// Opens a decoder.
    ///
    /// # Errors
    /// When libvpx refuses to start.
    pub fn new(kind: Kind) -> Result<Self, CodecError> {
        Ok(Self {
            kind,
            library: ffi::Decoder::new(kind).map_err(|problem| kind.open_error(problem))?,
            waits_for_key: true,
        })
    }

    /// The frame as libvpx is given it.
    fn check<'a>(&self, frame: &'a [u8]) -> Result<Cow<'a, [u8]>, String> {
        if frame.is_empty() {
            return Err("the frame is empty".into());
        }
        if self.waits_for_key && !self.kind.starts_decoding(frame) {
            return Err(
                "it refers to a picture that was never decoded; a key frame is needed".into(),
            );
        }
        match self.kind {
            Kind::Vp8 => check_vp8(frame).map(|()| Cow::Borrowed(frame)),
            Kind::Vp9 => check_vp9(frame),
        }
    }
}

impl VideoDecoder for VpxDecoder {
    fn decode(&mut self, frame: &[u8]) -> Result<Option<Picture>, CodecError> {
        let picture = self
            .check(frame)
            .and_then(|frame| self.library.decode(&frame, Timestamp::now()));
        self.waits_for_key = picture.is_err();
        picture.map_err(|problem| CodecError::Decode {
            codec: self.kind.codec(),
            size: frame.len(),
            problem,
        })
    }

    fn knows_colours(&self) -> bool {
        self.library.knows_colours
    }
}

fn check_vp8(frame: &[u8]) -> Result<(), String> {
    if !Kind::Vp8.starts_decoding(frame) {
        return Ok(());
    }
    let size = vp8::size(frame)
        .ok_or_else(|| "the key frame's header is cut off or lacks its start code".to_owned())?;
    check_size(size)
}

/// Every frame of a superframe is looked at. What has no index is given one of one frame:
/// libvpx would take what stands behind the first frame for another one, unchecked.
fn check_vp9(data: &[u8]) -> Result<Cow<'_, [u8]>, String> {
    let frames = vp9::frames(data).ok_or("its index does not fit its frames")?;
    for frame in &frames {
        let header = vp9::header(frame).ok_or("it has no header of a VP9 frame")?;
        if header.profile != 0 {
            return Err(format!("it is of profile {}, not 0", header.profile));
        }
        header.size.map_or(Ok(()), check_size)?;
    }
    Ok(if vp9::has_index(data) {
        Cow::Borrowed(data)
    } else {
        Cow::Owned([data, &vp9::index(&[data.len()])].concat())
    })
}

fn check_size((width, height): (u32, u32)) -> Result<(), String> {
    let pixels = u64::from(width) * u64::from(height);
    if (1..=MAX_PIXELS).contains(&pixels) {
        return Ok(());
    }
    Err(format!(
        "a picture of {width}x{height} is outside 1..{MAX_PIXELS} pixels"
    ))
}

fn open(
    kind: Kind,
    config: &EncoderConfig,
    scalability: Scalability,
) -> Result<ffi::Encoder, CodecError> {
    let settings = ffi::Settings {
        scalability,
        ..settings(kind, config)
    };
    ffi::Encoder::new(&settings).map_err(|problem| kind.open_error(problem))
}

/// Chooses libvpx's settings: those that libwebrtc is known to use, and for the
/// speed what a bench of this repository (`cargo run --release --example codec_bench`)
/// showed to cost the least time for the least loss of picture.
fn settings(kind: Kind, config: &EncoderConfig) -> ffi::Settings {
    let pixels = config.width.saturating_mul(config.height);
    ffi::Settings {
        kind,
        width: config.width,
        height: config.height,
        kilobits: kilobits(config.bitrate),
        speed: match kind {
            Kind::Vp8 if pixels >= 960 * 540 => 10,
            Kind::Vp8 | Kind::Vp9 => 8,
        },
        // Half of the optimal buffer may be spent on one key frame.
        max_key_percent: (600 * config.fps / 20).max(300),
        scalability: Scalability::L1T1,
    }
}

fn kilobits(bits_per_second: u32) -> u32 {
    (bits_per_second / 1000).max(1)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::measure::quality::psnr_luma;
    use crate::media::capture::test_picture::render;

    fn key_frame(width: u16, height: u16) -> Vec<u8> {
        let mut frame = vec![0x10, 0, 0, 0x9d, 0x01, 0x2a];
        frame.extend(width.to_le_bytes());
        frame.extend(height.to_le_bytes());
        frame.extend([0; 60]);
        frame
    }

    fn encoded(size: (u32, u32), numbers: std::ops::Range<u32>) -> Vec<Bytes> {
        let config = EncoderConfig {
            width: size.0,
            height: size.1,
            fps: 30,
            bitrate: 800_000,
        };
        let mut encoder = VpxEncoder::new(Kind::Vp9, config).unwrap();
        numbers
            .map(|n| encoder.encode(&render(n, size.0, size.1), false))
            .map(|frame| frame.unwrap().expect("a frame").data)
            .collect()
    }

    #[test]
    fn a_gigantic_vp8_picture_is_refused_before_it_is_allocated() {
        let mut decoder = VpxDecoder::new(Kind::Vp8).unwrap();
        let error = decoder.decode(&key_frame(16_383, 16_383)).unwrap_err();
        assert!(error.to_string().contains("16383x16383"), "{error}");
        assert!(decoder.decode(&key_frame(0, 10)).is_err());
    }

    #[test]
    fn a_gigantic_vp9_picture_is_refused_wherever_it_hides() {
        let whole = encoded((320, 180), 0..1).remove(0);
        let mut huge = whole.to_vec();
        // Behind marker, sync code and colours: sixteen bits of columns from bit 36 on.
        huge[4] |= 0x0f;
        huge[5..9].fill(0xff);
        let huge_is = vp9::header(&huge).unwrap().size;
        assert!(
            huge_is.is_some_and(|(width, _)| width > 60_000),
            "{huge_is:?}"
        );
        let behind = [&whole[..], &huge].concat();
        let indexed = [&behind[..], &vp9::index(&[whole.len(), huge.len()])].concat();
        for (data, what) in [(&huge, "alone"), (&indexed, "in a superframe")] {
            let mut decoder = VpxDecoder::new(Kind::Vp9).unwrap();
            let error = decoder.decode(data).unwrap_err();
            assert!(error.to_string().contains("outside"), "{what}: {error}");
        }
        // Not listed in any index, it is no frame at all.
        let mut decoder = VpxDecoder::new(Kind::Vp9).unwrap();
        let seen = decoder.decode(&behind);
        assert!(seen.is_err() || seen.is_ok_and(|p| p.is_none_or(|p| p.width == 320)));
    }

    #[test]
    fn of_two_layers_in_a_superframe_the_higher_is_seen() {
        let low = encoded((320, 180), 0..1).remove(0);
        let high = encoded((640, 360), 0..1).remove(0);
        let both = [&low[..], &high, &vp9::index(&[low.len(), high.len()])].concat();
        let mut decoder = VpxDecoder::new(Kind::Vp9).unwrap();
        let seen = decoder.decode(&both).unwrap().expect("a picture");
        let db = psnr_luma(&render(0, 640, 360), &seen, 0).expect("the larger one");
        assert!(db > 25.0, "{db} dB");
    }
}

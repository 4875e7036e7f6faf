//! Encoders and decoders behind one small trait each, one folder or file per codec.

use super::frame::{EncodedPicture, Picture, VideoCodec};

#[cfg(feature = "av1")]
pub mod av1;
pub mod h264;
pub mod opus;
mod pace;
#[cfg(test)]
mod tests;
pub mod vpx;

/// The codecs that this build has, in the order in which they are offered unless told
/// otherwise.
pub const AVAILABLE: &[VideoCodec] = &[
    VideoCodec::Vp8,
    VideoCodec::H264,
    VideoCodec::Vp9,
    #[cfg(feature = "av1")]
    VideoCodec::Av1,
];

/// Opens an encoder of `codec`.
///
/// # Errors
/// When the codec library refuses the size or the rate, and for AV1 in a build without it.
pub fn video_encoder(
    codec: VideoCodec,
    config: EncoderConfig,
) -> Result<Box<dyn VideoEncoder>, CodecError> {
    Ok(match codec {
        VideoCodec::Vp8 => Box::new(vpx::VpxEncoder::new(vpx::Kind::Vp8, config)?),
        VideoCodec::Vp9 => Box::new(vpx::VpxEncoder::new(vpx::Kind::Vp9, config)?),
        VideoCodec::H264 => Box::new(h264::H264Encoder::new(config, h264::Slices::One)?),
        #[cfg(feature = "av1")]
        VideoCodec::Av1 => Box::new(av1::Av1Encoder::new(config)?),
        #[cfg(not(feature = "av1"))]
        VideoCodec::Av1 => return Err(left_out(codec)),
    })
}

/// Opens a decoder of `codec`.
///
/// # Errors
/// When the codec library refuses to start, and for AV1 in a build without it.
pub fn video_decoder(codec: VideoCodec) -> Result<Box<dyn VideoDecoder>, CodecError> {
    Ok(match codec {
        VideoCodec::Vp8 => Box::new(vpx::VpxDecoder::new(vpx::Kind::Vp8)?),
        VideoCodec::Vp9 => Box::new(vpx::VpxDecoder::new(vpx::Kind::Vp9)?),
        VideoCodec::H264 => Box::new(h264::H264Decoder::new()?),
        #[cfg(feature = "av1")]
        VideoCodec::Av1 => Box::new(av1::Av1Decoder::new()?),
        #[cfg(not(feature = "av1"))]
        VideoCodec::Av1 => return Err(left_out(codec)),
    })
}

#[cfg(not(feature = "av1"))]
fn left_out(codec: VideoCodec) -> CodecError {
    CodecError::Open {
        codec,
        problem: "this build is without it; build with --features av1".into(),
    }
}

/// Encodes pictures in real time.
pub trait VideoEncoder: Send {
    /// Encodes one picture; `key` asks for a key frame now. `None` where the rate
    /// control dropped it. A change of size between pictures is followed with a key frame.
    ///
    /// # Errors
    /// When the codec library fails.
    fn encode(
        &mut self,
        picture: &Picture,
        key: bool,
    ) -> Result<Option<EncodedPicture>, CodecError>;

    /// Sets the target in bits a second, from the next picture on.
    ///
    /// # Errors
    /// When the codec library refuses it.
    fn set_bitrate(&mut self, bits_per_second: u32) -> Result<(), CodecError>;
}

/// Decodes pictures.
pub trait VideoDecoder: Send {
    /// Decodes one frame; `None` where it gives no picture (yet).
    ///
    /// # Errors
    /// When the frame is broken: ask the far side for a key frame.
    fn decode(&mut self, frame: &[u8]) -> Result<Option<Picture>, CodecError>;

    /// Whether the frames say what their colours mean, so that pictures are converted by that.
    fn knows_colours(&self) -> bool {
        false
    }
}

/// What an encoder is opened with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncoderConfig {
    /// Columns of the first picture.
    pub width: u32,
    /// Rows of the first picture.
    pub height: u32,
    /// Expected pictures a second.
    pub fps: u32,
    /// Target in bits a second.
    pub bitrate: u32,
}

/// Why a codec failed.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// The library would not start.
    #[error("{codec:?} could not start: {problem}")]
    Open {
        /// Which codec.
        codec: VideoCodec,
        /// The library's word.
        problem: String,
    },
    /// A picture could not be encoded.
    #[error("{codec:?} could not encode a picture: {problem}")]
    Encode {
        /// Which codec.
        codec: VideoCodec,
        /// The library's word.
        problem: String,
    },
    /// A frame could not be decoded.
    #[error("{codec:?} could not decode a frame of {size} bytes: {problem}")]
    Decode {
        /// Which codec.
        codec: VideoCodec,
        /// Size of the frame.
        size: usize,
        /// The library's word.
        problem: String,
    },
    /// Opus failed.
    #[error("Opus: {0}")]
    Opus(String),
}

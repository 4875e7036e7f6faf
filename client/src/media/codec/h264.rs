//! H.264 constrained baseline by OpenH264, in real time on one core.

use bytes::Bytes;
use openh264::OpenH264API;
use openh264::decoder::{Decoder, DecoderConfig};
use openh264::encoder::{
    BitRate, Complexity, Encoder, EncoderConfig as Options, FrameRate, FrameType, IntraFramePeriod,
    Profile, QpRange, RateControlMode, SpsPpsStrategy, UsageType,
};
use openh264::formats::YUVSource;

use super::{CodecError, EncoderConfig, VideoDecoder, VideoEncoder};
use crate::media::clock::Timestamp;
use crate::media::convert::{Colours, to_ours};
use crate::media::file::h264;
use crate::media::frame::{EncodedPicture, Picture, VideoCodec};

mod ffi;
#[cfg(test)]
mod tests;

/// How a picture is cut into slices, each of which becomes one NAL unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slices {
    /// One a picture: the packetizer cuts it into FU-A (RFC 6184 packetization mode 1).
    One,
    /// As many as it takes to keep each below this many bytes, for packetization mode
    /// 0, where a NAL unit must fit one packet.
    Below(u32),
}

/// Encodes H.264 with one thread, no lag and a constant bit rate.
pub struct H264Encoder {
    library: Encoder,
    config: EncoderConfig,
    slices: Slices,
    start: Option<Timestamp>,
    /// A rate that OpenH264 does not know yet: it takes one only after its first picture.
    wanted_rate: Option<u32>,
}

impl H264Encoder {
    /// Opens an encoder for pictures of the size in `config`.
    ///
    /// # Errors
    /// When OpenH264 would not start.
    pub fn new(config: EncoderConfig, slices: Slices) -> Result<Self, CodecError> {
        Ok(Self {
            library: open(&config, slices)?,
            config,
            slices,
            start: None,
            wanted_rate: None,
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
        self.library = open(&config, self.slices)?;
        self.config = config;
        self.start = None;
        self.wanted_rate = None;
        Ok(())
    }

    fn follow_rate(&mut self) -> Result<(), CodecError> {
        match self.wanted_rate.take() {
            Some(rate) if self.start.is_some() => {
                ffi::set_bitrate(&mut self.library, rate).map_err(encode_error)
            }
            Some(_) => {
                self.library = open(&self.config, self.slices)?;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl VideoEncoder for H264Encoder {
    fn encode(
        &mut self,
        picture: &Picture,
        key: bool,
    ) -> Result<Option<EncodedPicture>, CodecError> {
        let source = Even::new(picture).map_err(encode_error)?;
        self.follow_size(picture)?;
        self.follow_rate()?;
        if key && self.start.is_some() {
            self.library.force_intra_frame();
        }
        let start = *self.start.get_or_insert(picture.at);
        let millis = picture.at.since(start).as_millis() as u64;
        let frame = self
            .library
            .encode_at(&source, openh264::Timestamp::from_millis(millis))
            .map_err(|e| encode_error(e.to_string()))?;
        if matches!(frame.frame_type(), FrameType::Skip | FrameType::Invalid) {
            return Ok(None);
        }
        let data = frame.to_vec();
        if data.is_empty() {
            return Ok(None);
        }
        Ok(Some(EncodedPicture {
            codec: VideoCodec::H264,
            key: frame.frame_type() == FrameType::IDR,
            data: Bytes::from(data),
            at: picture.at,
            layer: None,
        }))
    }

    fn set_bitrate(&mut self, bits_per_second: u32) -> Result<(), CodecError> {
        if bits_per_second != self.config.bitrate {
            self.config.bitrate = bits_per_second;
            self.wanted_rate = Some(bits_per_second);
        }
        Ok(())
    }
}

/// No picture is skipped to keep the rate: OpenH264 skips several in a row after every key
/// frame, however much room there is later, and a call on a good network would stutter. A
/// hard scene overruns its rate for a moment instead.
fn open(config: &EncoderConfig, slices: Slices) -> Result<Encoder, CodecError> {
    let options = Options::new()
        .bitrate(BitRate::from_bps(config.bitrate.clamp(1_000, 1 << 30)))
        .max_frame_rate(FrameRate::from_hz(config.fps.clamp(1, 60) as f32))
        .rate_control_mode(RateControlMode::Bitrate)
        .skip_frames(false)
        .usage_type(UsageType::CameraVideoRealTime)
        .profile(Profile::Baseline)
        .complexity(Complexity::Low)
        .qp(QpRange::new(10, 51))
        .sps_pps_strategy(SpsPpsStrategy::ConstantId)
        .intra_frame_period(IntraFramePeriod::from_num_frames(0))
        .scene_change_detect(false)
        .adaptive_quantization(false)
        .background_detection(false)
        .num_threads(1);
    let options = match slices {
        Slices::One => options,
        Slices::Below(bytes) => options.max_slice_len(bytes),
    };
    Encoder::with_api_config(OpenH264API::from_source(), options).map_err(open_error)
}

/// A picture as OpenH264 wants it: even sides. An odd last row or column is left out.
struct Even<'a> {
    picture: &'a Picture,
    width: usize,
    height: usize,
}

impl<'a> Even<'a> {
    fn new(picture: &'a Picture) -> Result<Self, String> {
        let (width, height) = (picture.width as usize, picture.height as usize);
        if width < 16 || height < 16 {
            return Err(format!(
                "a picture of {width}x{height} is smaller than 16x16"
            ));
        }
        let chroma = picture.chroma_stride() * picture.chroma_rows();
        if picture.y.len() < width * height || picture.u.len() < chroma || picture.v.len() < chroma
        {
            return Err(format!("a picture of {width}x{height} lacks rows"));
        }
        Ok(Self {
            picture,
            width: width & !1,
            height: height & !1,
        })
    }
}

impl YUVSource for Even<'_> {
    fn dimensions(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    fn strides(&self) -> (usize, usize, usize) {
        let chroma = self.picture.chroma_stride();
        (self.picture.width as usize, chroma, chroma)
    }

    fn y(&self) -> &[u8] {
        &self.picture.y
    }

    fn u(&self) -> &[u8] {
        &self.picture.u
    }

    fn v(&self) -> &[u8] {
        &self.picture.v
    }
}

/// Decodes H.264; parameter sets may come before any frame, with a new size too.
pub struct H264Decoder {
    library: Decoder,
    /// What the last parameter set says.
    colours: Option<Colours>,
    waits_for_key: bool,
}

impl H264Decoder {
    /// Opens a decoder.
    ///
    /// # Errors
    /// When OpenH264 would not start.
    pub fn new() -> Result<Self, CodecError> {
        Ok(Self {
            library: open_decoder()?,
            colours: None,
            waits_for_key: true,
        })
    }

    fn try_decode(&mut self, frame: &[u8]) -> Result<Option<Picture>, String> {
        if nal_types(frame).next().is_none() {
            return Err("it has no NAL unit behind a start code (Annex B)".into());
        }
        let decodes_alone = nal_types(frame).any(|kind| kind == NAL_IDR);
        let has_picture = nal_types(frame).any(|kind| (1..=NAL_IDR).contains(&kind));
        if self.waits_for_key && has_picture && !decodes_alone {
            return Err(
                "it refers to a picture that was never decoded; a key frame is needed".into(),
            );
        }
        if let Some(set) = parameter_set(frame) {
            self.colours = h264::colours(set);
        }
        let decoded = self.library.decode(frame).map_err(|e| e.to_string())?;
        let mut picture = decoded.map(|yuv| copy(&yuv)).transpose()?;
        if let Some(picture) = &mut picture {
            to_ours(picture, self.colours.unwrap_or_default());
        }
        if decodes_alone {
            self.waits_for_key = false;
        }
        Ok(picture)
    }
}

impl VideoDecoder for H264Decoder {
    fn decode(&mut self, frame: &[u8]) -> Result<Option<Picture>, CodecError> {
        self.try_decode(frame).map_err(|problem| {
            self.waits_for_key = true;
            CodecError::Decode {
                codec: VideoCodec::H264,
                size: frame.len(),
                problem,
            }
        })
    }

    fn knows_colours(&self) -> bool {
        self.colours.is_some()
    }
}

fn open_decoder() -> Result<Decoder, CodecError> {
    Decoder::with_api_config(OpenH264API::from_source(), DecoderConfig::new()).map_err(open_error)
}

fn copy(yuv: &impl YUVSource) -> Result<Picture, String> {
    let (width, height) = yuv.dimensions();
    let (y_stride, u_stride, v_stride) = yuv.strides();
    let (chroma_width, chroma_height) = (width.div_ceil(2), height.div_ceil(2));
    Ok(Picture {
        width: width as u32,
        height: height as u32,
        y: rows(yuv.y(), y_stride, width, height)?,
        u: rows(yuv.u(), u_stride, chroma_width, chroma_height)?,
        v: rows(yuv.v(), v_stride, chroma_width, chroma_height)?,
        at: Timestamp::now(),
    })
}

fn rows(plane: &[u8], stride: usize, width: usize, height: usize) -> Result<Vec<u8>, String> {
    let mut packed = Vec::with_capacity(width * height);
    for row in 0..height {
        let row = plane
            .get(row * stride..row * stride + width)
            .ok_or_else(|| format!("the decoded plane lacks row {row} of {height}"))?;
        packed.extend_from_slice(row);
    }
    Ok(packed)
}

/// A coded slice of an IDR picture, H.264 table 7-1.
const NAL_IDR: u8 = 5;

const NAL_SPS: u8 = 7;

/// The last sequence parameter set of a frame, and whatever stands behind it.
fn parameter_set(stream: &[u8]) -> Option<&[u8]> {
    let at = stream
        .windows(4)
        .rposition(|window| window[..3] == [0, 0, 1] && window[3] & 0x1f == NAL_SPS)?;
    stream.get(at + 3..)
}

/// The types of the NAL units behind Annex B start codes.
fn nal_types(stream: &[u8]) -> impl Iterator<Item = u8> {
    stream
        .windows(4)
        .filter(|window| window[..3] == [0, 0, 1])
        .map(|window| window[3] & 0x1f)
}

fn open_error(error: openh264::Error) -> CodecError {
    CodecError::Open {
        codec: VideoCodec::H264,
        problem: error.to_string(),
    }
}

fn encode_error(problem: String) -> CodecError {
    CodecError::Encode {
        codec: VideoCodec::H264,
        problem,
    }
}

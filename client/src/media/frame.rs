//! What flows between capture, codecs and sinks: pictures, sound, encoded frames.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::clock::Timestamp;
use super::layers::TemporalLayer;

/// A codec of pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VideoCodec {
    /// VP8, RFC 6386; RTP payload by RFC 7741.
    Vp8,
    /// H.264 constrained baseline; RTP payload by RFC 6184.
    H264,
    /// VP9 of profile 0; RTP payload by RFC 9628.
    Vp9,
    /// AV1 of profile 0; RTP payload by the Alliance for Open Media.
    Av1,
}

impl VideoCodec {
    /// The name in SDP and in `RTCRtpCodec.mimeType`.
    #[must_use]
    pub const fn mime_type(self) -> &'static str {
        match self {
            Self::Vp8 => "video/VP8",
            Self::H264 => "video/H264",
            Self::Vp9 => "video/VP9",
            Self::Av1 => "video/AV1",
        }
    }
}

/// One raw picture, planar YUV 4:2:0, BT.601 limited range, planes without padding.
///
/// Chroma planes are `(width + 1) / 2` by `(height + 1) / 2`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Luma columns.
    pub width: u32,
    /// Luma rows.
    pub height: u32,
    /// `width * height` luma samples.
    pub y: Vec<u8>,
    /// Blue difference.
    pub u: Vec<u8>,
    /// Red difference.
    pub v: Vec<u8>,
    /// When the source took it (sender) or when it was decoded (receiver).
    pub at: Timestamp,
}

impl Picture {
    /// A black picture.
    #[must_use]
    pub fn black(width: u32, height: u32, at: Timestamp) -> Self {
        let (cw, ch) = (chroma(width), chroma(height));
        Self {
            width,
            height,
            y: vec![16; width as usize * height as usize],
            u: vec![128; cw * ch],
            v: vec![128; cw * ch],
            at,
        }
    }

    /// Bytes per row of `u` and of `v`.
    #[must_use]
    pub const fn chroma_stride(&self) -> usize {
        chroma(self.width)
    }

    /// Rows of `u` and of `v`.
    #[must_use]
    pub const fn chroma_rows(&self) -> usize {
        chroma(self.height)
    }
}

const fn chroma(luma: u32) -> usize {
    luma.div_ceil(2) as usize
}

/// Samples a second everywhere inside the client; devices and files are converted at the edge.
pub const SAMPLE_RATE: u32 = 48_000;

/// A stretch of sound at [`SAMPLE_RATE`], interleaved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sound {
    /// Interleaved samples, `channels` at a time.
    pub samples: Vec<i16>,
    /// 1 or 2.
    pub channels: u16,
    /// When the first sample was taken (sender) or decoded (receiver).
    pub at: Timestamp,
}

impl Sound {
    /// How long it lasts.
    #[must_use]
    pub fn duration(&self) -> Duration {
        let frames = self.samples.len() as u64 / u64::from(self.channels.max(1));
        Duration::from_micros(frames * 1_000_000 / u64::from(SAMPLE_RATE))
    }
}

/// One encoded picture: a VP8 frame, a VP9 frame or superframe, an AV1 temporal unit, or an H.264
/// access unit in Annex B form with its parameter sets in front of every key frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedPicture {
    /// What it is encoded in.
    pub codec: VideoCodec,
    /// The bitstream.
    pub data: Bytes,
    /// Whether decoding can start here.
    pub key: bool,
    /// When the source took the picture.
    pub at: Timestamp,
    /// Its place among temporal layers, where our encoder made such.
    pub layer: Option<TemporalLayer>,
}

/// One Opus packet (RFC 6716).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedSound {
    /// The packet.
    pub data: Bytes,
    /// How long it sounds.
    pub duration: Duration,
    /// When its first sample was taken.
    pub at: Timestamp,
    /// How loud it is, where that is known.
    pub level: Option<SoundLevel>,
}

/// How loud a packet of sound is (RFC 6464, section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SoundLevel {
    /// In -dBov: 0 is the loudest, 127 silence.
    pub dbov: u8,
    /// Whether somebody speaks.
    pub voice: bool,
}

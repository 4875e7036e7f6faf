//! What a pipe brings, and the source that takes it.

use super::h264::AnnexB;
use super::input::{Input, Problem};
use super::ivf::Ivf;
use super::live::Live;
use super::matroska;
use super::ogg::OggOpus;
use super::pipe::PipeFrom;
use super::raw::{RawPictures, RawSamples};
use super::sniff::{self, Kind};
use super::source::Demux;
use super::wav::Wav;
use super::y4m::Y4m;
use crate::media::capture::{AudioItem, AudioSource, SourceError, VideoItem, VideoSource};
use crate::media::convert::PixelFormat;

/// How pictures are written into a pipe; by the names that ffmpeg has for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum PictureFormat {
    /// Planar, 4:2:0, without any header.
    Yuv420p,
    /// Luma, then both colours by turns, 4:2:0.
    Nv12,
    /// Packed, 4:2:2.
    Yuyv422,
    /// Packed red, green, blue.
    Rgb24,
    /// H.264 with start codes (Annex B).
    H264,
    /// IVF with VP8, VP9 or H.264.
    Ivf,
    /// Y4M.
    Y4m,
    /// MKV or WebM.
    Matroska,
}

impl PictureFormat {
    /// How its pixels lie, where it is without any header.
    #[must_use]
    pub const fn pixels(self) -> Option<PixelFormat> {
        match self {
            Self::Yuv420p => Some(PixelFormat::I420),
            Self::Nv12 => Some(PixelFormat::Nv12),
            Self::Yuyv422 => Some(PixelFormat::Yuyv),
            Self::Rgb24 => Some(PixelFormat::Rgb),
            Self::H264 | Self::Ivf | Self::Y4m | Self::Matroska => None,
        }
    }
}

/// How sound is written into a pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum SoundFormat {
    /// Samples of 16 bits at 48 kHz, without any header.
    S16le,
    /// Ogg with Opus.
    Ogg,
    /// WAV.
    Wav,
    /// MKV or WebM.
    Matroska,
}

/// A pipe with pictures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PicturePipe {
    /// Which.
    pub from: PipeFrom,
    /// What it brings; none leaves it to what comes.
    pub format: Option<PictureFormat>,
    /// Columns and rows of pictures without a header.
    pub size: (u32, u32),
    /// Pictures a second where they carry no times.
    pub fps: u32,
}

impl PicturePipe {
    /// Opens it, without waiting for somebody to write.
    ///
    /// # Errors
    /// When it cannot be opened. What is wrong with its content is told when it comes.
    pub fn open(&self) -> Result<Box<dyn VideoSource>, SourceError> {
        let pipe = self.clone();
        let source = Live::open(&self.from, move |input, head| pipe.demux(input, head))?;
        Ok(Box::new(source))
    }

    fn demux(&self, input: Input, head: &[u8]) -> Result<Box<dyn Demux<VideoItem>>, Problem> {
        if let Some(pixels) = self.format.and_then(PictureFormat::pixels) {
            let pictures = RawPictures::open(input, pixels, self.size, self.fps);
            return Ok(Box::new(pictures));
        }
        let bare = [&[0, 0, 0, 1][..], &[0, 0, 1]];
        let found = match sniff::of(head) {
            Some(Kind::Ivf) => Some(PictureFormat::Ivf),
            Some(Kind::Y4m) => Some(PictureFormat::Y4m),
            Some(Kind::Matroska) => Some(PictureFormat::Matroska),
            None if bare.iter().any(|code| head.starts_with(code)) => Some(PictureFormat::H264),
            _ => None,
        };
        if found.is_none() || self.format.is_some_and(|told| Some(told) != found) {
            let formats = "IVF, Y4M, Matroska or H.264 with start codes";
            return Err(unlike(head, self.format, formats, "--format"));
        }
        Ok(match found {
            Some(PictureFormat::Ivf) => Box::new(Ivf::open(input)?),
            Some(PictureFormat::Y4m) => Box::new(Y4m::open(input)?),
            Some(PictureFormat::Matroska) => Box::new(matroska::Pictures::open(input)?),
            _ => Box::new(AnnexB::open(input, self.fps)),
        })
    }
}

/// A pipe with sound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SoundPipe {
    /// Which.
    pub from: PipeFrom,
    /// What it brings; none leaves it to what comes.
    pub format: Option<SoundFormat>,
    /// Channels of samples without a header.
    pub channels: u16,
}

impl SoundPipe {
    /// Opens it, without waiting for somebody to write.
    ///
    /// # Errors
    /// When it cannot be opened. What is wrong with its content is told when it comes.
    pub fn open(&self) -> Result<Box<dyn AudioSource>, SourceError> {
        let pipe = self.clone();
        let source = Live::open(&self.from, move |input, head| pipe.demux(input, head))?;
        Ok(Box::new(source))
    }

    fn demux(&self, input: Input, head: &[u8]) -> Result<Box<dyn Demux<AudioItem>>, Problem> {
        if self.format == Some(SoundFormat::S16le) {
            return Ok(Box::new(RawSamples::open(input, self.channels)?));
        }
        let found = match sniff::of(head) {
            Some(Kind::Ogg) => Some(SoundFormat::Ogg),
            Some(Kind::Wav) => Some(SoundFormat::Wav),
            Some(Kind::Matroska) => Some(SoundFormat::Matroska),
            _ => None,
        };
        if found.is_none() || self.format.is_some_and(|told| Some(told) != found) {
            let formats = "Ogg Opus, WAV or Matroska";
            return Err(unlike(head, self.format, formats, "--audio-format"));
        }
        Ok(match found {
            Some(SoundFormat::Ogg) => Box::new(OggOpus::open(input)?),
            Some(SoundFormat::Wav) => Box::new(Wav::open(input, false)?),
            _ => Box::new(matroska::Sounds::open(input, false)?),
        })
    }
}

/// What came is not what was said, or nothing that is read.
fn unlike(head: &[u8], told: Option<impl clap::ValueEnum>, formats: &str, flag: &str) -> Problem {
    let what =
        sniff::of(head).map_or_else(|| sniff::guess(head).to_owned(), |kind| kind.to_string());
    let told = told.and_then(|told| Some(told.to_possible_value()?.get_name().to_owned()));
    Problem::unsupported(told.map_or_else(
        || format!("brings what is {what}, not {formats}; what has no header is named by {flag}"),
        |told| format!("brings what is {what}, not {told} as {flag} says"),
    ))
}

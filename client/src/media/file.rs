//! Files that are read as sources: one file per container.
//!
//! The kind is told by content, never by name. Every source paces itself by the
//! time stamps in the file; sources that share an [`Anchor`] stay in step, so a
//! clip opened once for its pictures and once for its sound plays in sync.

use std::fs::File;
use std::path::Path;

use super::capture::{AudioItem, AudioSource, SourceError, VideoItem, VideoSource};

mod av1;
pub(crate) mod ebml;
pub(crate) mod h264;
mod input;
mod ivf;
mod live;
mod matroska;
mod mp4;
mod ogg;
pub(crate) mod opus;
mod pace;
mod pcm;
mod pipe;
mod piped;
mod raw;
mod resample;
mod smooth;
mod sniff;
mod source;

pub(crate) mod vp8;
mod vp9;
mod wav;
mod y4m;

#[cfg(test)]
pub(crate) mod tests;

pub use pace::Anchor;
pub use pipe::PipeFrom;
pub use piped::{PictureFormat, PicturePipe, SoundFormat, SoundPipe};

use input::{Input, Problem};
use sniff::Kind;
use source::{Demux, Paced};

/// How a file is played.
#[derive(Clone, Debug, Default)]
pub struct FileOptions {
    /// Starts again at the end, with time stamps that go on.
    pub looped: bool,
    /// The moment the file's beginning is played; clone it for every source that
    /// must stay in step with this one.
    pub anchor: Anchor,
}

/// Opens the pictures of a file.
///
/// # Errors
/// When the file cannot be read, is of no known kind, or holds no picture that can be sent.
pub fn open_video(path: &Path, options: FileOptions) -> Result<Box<dyn VideoSource>, SourceError> {
    let looped = options.looped;
    video_demux(path, looped)
        .and_then(|demux| Paced::open(path, demux, options))
        .map(|source| Box::new(source) as Box<dyn VideoSource>)
        .map_err(|problem| problem.of(path))
}

/// Opens the sound of a file.
///
/// # Errors
/// When the file cannot be read, is of no known kind, or holds no sound that can be sent.
pub fn open_audio(path: &Path, options: FileOptions) -> Result<Box<dyn AudioSource>, SourceError> {
    let looped = options.looped;
    audio_demux(path, looped)
        .and_then(|demux| Paced::open(path, demux, options))
        .map(|source| Box::new(source) as Box<dyn AudioSource>)
        .map_err(|problem| problem.of(path))
}

fn video_demux(path: &Path, _looped: bool) -> Result<Box<dyn Demux<VideoItem>>, Problem> {
    video_from(Input::new(File::open(path)?)?)
}

fn audio_demux(path: &Path, looped: bool) -> Result<Box<dyn Demux<AudioItem>>, Problem> {
    audio_from(Input::new(File::open(path)?)?, looped)
}

fn video_from(mut input: Input) -> Result<Box<dyn Demux<VideoItem>>, Problem> {
    Ok(match sniff::kind(&mut input)? {
        Kind::Matroska => Box::new(matroska::Pictures::open(input)?),
        Kind::Ivf => Box::new(ivf::Ivf::open(input)?),
        Kind::Y4m => Box::new(y4m::Y4m::open(input)?),
        Kind::Mp4 => Box::new(mp4::Pictures::open(input)?),
        kind @ (Kind::Ogg | Kind::Wav) => {
            return Err(Problem::unsupported(format!(
                "is {kind}, which holds sound only; name it as the audio source, \
                 or give a WebM, MKV, MP4, IVF or Y4M file for pictures"
            )));
        }
    })
}

fn audio_from(mut input: Input, looped: bool) -> Result<Box<dyn Demux<AudioItem>>, Problem> {
    Ok(match sniff::kind(&mut input)? {
        Kind::Matroska => Box::new(matroska::Sounds::open(input, looped)?),
        Kind::Ogg => Box::new(ogg::OggOpus::open(input)?),
        Kind::Wav => Box::new(wav::Wav::open(input, looped)?),
        Kind::Mp4 => Box::new(mp4::Sounds::open(input)?),
        kind @ (Kind::Ivf | Kind::Y4m) => {
            return Err(Problem::unsupported(format!(
                "is {kind}, which holds pictures only; name it as the video source, \
                 or give a WebM, MKV, MP4, Ogg Opus or WAV file for sound"
            )));
        }
    })
}

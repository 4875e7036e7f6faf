//! Our own sources, opened as asked; a device that nobody insisted on may be missing.

use std::path::Path;

use crate::event::Kind;
use crate::media::capture::camera::{Camera, CameraWish};
use crate::media::capture::microphone::Microphone;
use crate::media::capture::returning::{Returning, ReturningPictures};
use crate::media::capture::screen::{Screen, ScreenWish};
use crate::media::capture::test_picture::TestPicture;
use crate::media::capture::tone::Tone;
use crate::media::capture::{AudioSource, SourceError, VideoSource};
use crate::media::file::{self, FileOptions};
use crate::options::{AudioFrom, CallOptions, SourceOptions, VideoFrom};

/// What a call sends.
pub(crate) struct Sources {
    /// Our picture, if any.
    pub(crate) video: Option<Box<dyn VideoSource>>,
    /// Our sound, if any.
    pub(crate) audio: Option<Box<dyn AudioSource>>,
    /// What is missing, and what to do about it.
    pub(crate) notices: Vec<String>,
}

/// Opens what was asked for. Blocks: devices take their time.
///
/// # Errors
/// When a source that was asked for by name cannot be opened. A default device that is
/// missing is told as a notice, and the call goes on without it.
pub(crate) fn open(options: &SourceOptions) -> Result<Sources, SourceError> {
    let mut notices = Vec::new();
    let video = match open_video(options) {
        Ok(source) => source,
        Err(error) if !options.video_asked => {
            notices.push(format!(
                "{error}. The call goes on without a picture of yours (--video test sends a test picture)"
            ));
            None
        }
        Err(error) => return Err(error),
    };
    let audio = match open_audio(options) {
        Ok(source) => source,
        Err(error) if !options.audio_asked => {
            notices.push(format!(
                "{error}. The call goes on without your sound (--audio tone sends a tone)"
            ));
            None
        }
        Err(error) => return Err(error),
    };
    Ok(Sources {
        video,
        audio,
        notices,
    })
}

/// What is told when a source has come to its end.
pub(super) fn ended(options: &CallOptions, kind: Kind) -> String {
    let pipe = match kind {
        Kind::Video => options.video.pipe(),
        Kind::Audio => options.audio.pipe(),
    };
    let (whose, what) = match kind {
        Kind::Audio => ("the sound's file", "sound"),
        Kind::Video => ("the picture's file", "a picture"),
    };
    match pipe {
        Some(pipe) => {
            format!(
                "{pipe}: was closed by who wrote into it. The call goes on without {what} of yours"
            )
        }
        None => format!("{whose} has come to its end (--loop starts it over)"),
    }
}

fn files(options: &SourceOptions) -> FileOptions {
    FileOptions {
        looped: options.looped,
        ..FileOptions::default()
    }
}

/// Opens our picture's source. Blocks.
///
/// # Errors
/// When it cannot be opened.
pub(super) fn open_video(
    options: &SourceOptions,
) -> Result<Option<Box<dyn VideoSource>>, SourceError> {
    let (width, height) = options.size;
    Ok(Some(match &options.video {
        VideoFrom::None => return Ok(None),
        VideoFrom::Test => Box::new(TestPicture::new(width, height, options.fps)),
        VideoFrom::Camera(which) => {
            let (which, fps) = (which.clone(), options.fps);
            let open = move || {
                let wish = CameraWish { width, height, fps };
                let camera = Camera::open(which.as_deref(), wish)?;
                Ok(Box::new(camera) as Box<dyn VideoSource>)
            };
            Box::new(ReturningPictures::open(Box::new(open))?)
        }
        VideoFrom::Screen(which) => Box::new(Screen::open(
            which.as_deref(),
            ScreenWish {
                size: options.size,
                fps: options.fps,
            },
        )?),
        VideoFrom::File(path) => file::open_video(Path::new(path), files(options))?,
        VideoFrom::Pipe(pipe) => pipe.open()?,
    }))
}

/// Opens our sound's source. Blocks.
///
/// # Errors
/// When it cannot be opened.
pub(super) fn open_audio(
    options: &SourceOptions,
) -> Result<Option<Box<dyn AudioSource>>, SourceError> {
    Ok(Some(match &options.audio {
        AudioFrom::None => return Ok(None),
        AudioFrom::Tone(hz) => Box::new(Tone::new(*hz)),
        AudioFrom::Microphone(which) => {
            let which = which.clone();
            let open = move || {
                let microphone = Microphone::open(which.as_deref())?;
                Ok(Box::new(microphone) as Box<dyn AudioSource>)
            };
            Box::new(Returning::open(Box::new(open))?)
        }
        AudioFrom::File(path) => file::open_audio(Path::new(path), files(options))?,
        AudioFrom::Pipe(pipe) => pipe.open()?,
    }))
}

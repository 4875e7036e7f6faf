//! `--video -`, `--audio pipe:FD` and what says how it is written.

use clap::Args;

use super::OptionError;
use crate::media::file::{PictureFormat, PicturePipe, PipeFrom, SoundFormat, SoundPipe};

/// How pipes are written.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Sources")]
pub(crate) struct PipeFlags {
    /// What the picture's pipe brings. Without it the first bytes tell; what has no header needs it, and --size
    /// (h264, and what has no header: also --fps, where it is not 30).
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub(crate) format: Option<PictureFormat>,

    /// What the sound's pipe brings. Without it the first bytes tell; s16le is at 48 kHz.
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub(crate) audio_format: Option<SoundFormat>,

    /// Channels of --audio-format s16le.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=2))]
    pub(crate) audio_channels: u16,
}

/// Which pipe `-` or `pipe:WHICH` is; none where it is none.
fn from(text: &str) -> Option<PipeFrom> {
    if text == "-" {
        return Some(PipeFrom::Standard);
    }
    let which = text.strip_prefix("pipe:").filter(|rest| !rest.is_empty())?;
    Some(match which.parse() {
        Ok(0) => PipeFrom::Standard,
        Ok(number) => PipeFrom::Descriptor(number),
        Err(_) => PipeFrom::Path(which.into()),
    })
}

/// The pipe that `--video` names, if it names one.
pub(super) fn picture(
    text: &str,
    flags: &PipeFlags,
    size: Option<(u32, u32)>,
    fps: u32,
) -> Result<Option<PicturePipe>, OptionError> {
    let Some(from) = from(text) else {
        return Ok(None);
    };
    let raw = flags.format.filter(|format| format.pixels().is_some());
    if raw.is_some() && size.is_none() {
        return Err(OptionError::new(
            "--video",
            text,
            "what has no header needs --size WxH, and --fps where it is not 30",
        ));
    }
    Ok(Some(PicturePipe {
        from,
        format: flags.format,
        size: size.unwrap_or_default(),
        fps,
    }))
}

/// The pipe that `--audio` names, if it names one.
pub(super) fn sound(text: &str, flags: &PipeFlags) -> Option<SoundPipe> {
    Some(SoundPipe {
        from: from(text)?,
        format: flags.audio_format,
        channels: flags.audio_channels,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::{AudioFrom, VideoFrom, one_reader_each};
    use super::*;

    const FLAGS: PipeFlags = PipeFlags {
        format: None,
        audio_format: None,
        audio_channels: 2,
    };

    #[test]
    fn pipes_are_standard_input_descriptors_and_paths() {
        assert_eq!(from("-"), Some(PipeFrom::Standard));
        assert_eq!(from("pipe:0"), Some(PipeFrom::Standard));
        assert_eq!(from("pipe:7"), Some(PipeFrom::Descriptor(7)));
        assert_eq!(from("pipe:/tmp/x"), Some(PipeFrom::Path("/tmp/x".into())));
        assert_eq!(from("pipe:-1"), Some(PipeFrom::Path("-1".into())));
        assert_eq!((from("pipe:"), from("test")), (None, None));
    }

    #[test]
    fn what_has_no_header_needs_its_size() {
        let raw = PipeFlags {
            format: Some(PictureFormat::Yuv420p),
            ..FLAGS
        };
        let error = picture("-", &raw, None, 30).unwrap_err().to_string();
        assert!(error.contains("--size"), "{error}");
        let pipe = picture("-", &raw, Some((640, 360)), 25).unwrap().unwrap();
        assert_eq!((pipe.size, pipe.fps), ((640, 360), 25));
        assert!(picture("pipe:x", &FLAGS, None, 30).unwrap().is_some());
    }

    #[test]
    fn one_pipe_is_not_read_by_two() {
        let check = |a, b| {
            let picture = picture(a, &FLAGS, None, 30).unwrap().unwrap();
            let sound = sound(b, &FLAGS).unwrap();
            one_reader_each(&VideoFrom::Pipe(picture), &AudioFrom::Pipe(sound))
        };
        assert!(check("-", "pipe:0").is_err());
        assert!(check("-", "pipe:3").is_ok());
        assert!(check("pipe:x", "pipe:x").is_err());
    }
}

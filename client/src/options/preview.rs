//! What `rtc-client preview` means.

use std::io::IsTerminal;
use std::time::Duration;

use super::{AudioFrom, OptionError, SCREEN_SIZE, SIZE, SourceOptions, VideoFrom, View};
use super::{audio, one_reader_each, pipes, size, video};
use crate::cli::{Display, Graphics};
use crate::preview::args::Preview;

/// Everything about one preview.
#[derive(Clone, Debug)]
pub struct PreviewOptions {
    /// What is looked at.
    pub sources: SourceOptions,
    /// Where the picture is shown.
    pub display: Display,
    /// Drawn how.
    pub graphics: Graphics,
    /// The window fills the screen.
    pub fullscreen: bool,
    /// The terminal.
    pub view: View,
    /// Ends after.
    pub duration: Option<Duration>,
}

impl PreviewOptions {
    /// Checks what was typed.
    pub(crate) fn new(typed: Preview) -> Result<Self, OptionError> {
        let on_terminal = std::io::stdout().is_terminal() && std::io::stdin().is_terminal();
        let view = if typed.json {
            View::Json
        } else if typed.plain || !on_terminal {
            View::Lines
        } else {
            View::Screen
        };
        let wished = typed.size.as_deref().map(size).transpose()?;
        let picture = match &typed.video {
            None => VideoFrom::Camera(None),
            Some(text) => match pipes::picture(text, &typed.pipes, wished, typed.fps)? {
                Some(pipe) => VideoFrom::Pipe(pipe),
                None => video(text)?,
            },
        };
        let sound = match &typed.audio {
            None => AudioFrom::Microphone(None),
            Some(text) => match pipes::sound(text, &typed.pipes) {
                Some(pipe) => AudioFrom::Pipe(pipe),
                None => audio(text)?,
            },
        };
        one_reader_each(&picture, &sound)?;
        if (&picture, &sound) == (&VideoFrom::None, &AudioFrom::None) {
            return Err(OptionError::new(
                "--video, --audio",
                "none",
                "there is nothing to look at; leave one of them out",
            ));
        }
        let display = match (typed.display, view) {
            (Some(Display::Terminal), View::Lines | View::Json) => {
                return Err(OptionError::new(
                    "--display",
                    "terminal",
                    "the picture in the terminal needs the screen: run it on a terminal, without --plain and --json",
                ));
            }
            (Some(display), _) => display,
            (None, View::Screen) => Display::Terminal,
            (None, _) => Display::None,
        };
        Ok(Self {
            display,
            view,
            graphics: typed.graphics,
            fullscreen: typed.fullscreen,
            duration: typed.duration,
            sources: SourceOptions {
                video_asked: typed.video.is_some(),
                audio_asked: typed.audio.is_some(),
                size: match wished {
                    Some(size) => size,
                    None if matches!(picture, VideoFrom::Screen(_)) => SCREEN_SIZE,
                    None => SIZE,
                },
                video: picture,
                audio: sound,
                looped: typed.looped,
                fps: typed.fps,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use clap::Parser;

    use super::*;

    fn parse(args: &[&str]) -> Result<PreviewOptions, OptionError> {
        let line = ["rtc-client", "preview"].iter().chain(args);
        match crate::cli::Cli::try_parse_from(line).unwrap().command {
            crate::cli::Command::Preview(typed) => PreviewOptions::new(*typed),
            _ => unreachable!("preview was typed"),
        }
    }

    #[test]
    fn camera_and_microphone_are_looked_at_unless_told() {
        let options = parse(&["--json"]).unwrap();
        assert_eq!(options.sources.video, VideoFrom::Camera(None));
        assert_eq!(options.sources.audio, AudioFrom::Microphone(None));
        assert!(!options.sources.video_asked);
        assert_eq!(options.display, Display::None);
        let told = parse(&["--json", "--video", "screen", "--audio", "none"]).unwrap();
        assert_eq!(told.sources.size, SCREEN_SIZE);
        assert!(told.sources.video_asked);
    }

    #[test]
    fn nothing_to_look_at_is_refused() {
        assert!(parse(&["--video", "none", "--audio", "none"]).is_err());
        assert!(parse(&["--json", "--display", "terminal"]).is_err());
        assert!(parse(&["--video", "-", "--audio", "-"]).is_err());
    }
}

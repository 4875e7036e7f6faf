//! What `rtc-client preview` takes.

use std::time::Duration;

use clap::Args;

use crate::cli::{Display, Graphics, duration};
use crate::options::pipes::PipeFlags;

const EXAMPLES: &str = "\
Examples:
  rtc-client preview                              the first camera and the default microphone, in this terminal
  rtc-client preview --display window --size 1280x720
  rtc-client preview --video camera:1 --audio none --duration 3s --json
  rtc-client preview --video file:clip.webm --audio file:clip.webm

Exit codes:
  0 done   1 a source cannot be opened   2 usage   7 a source gave nothing";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Preview {
    /// As of join: camera, screen, test, file:PATH, -, pipe:FD, pipe:PATH or none. Default: camera.
    #[arg(long, value_name = "SOURCE", help_heading = "Sources")]
    pub(crate) video: Option<String>,

    /// As of join: mic, tone, file:PATH, -, pipe:FD, pipe:PATH or none. Default: mic.
    #[arg(long, value_name = "SOURCE", help_heading = "Sources")]
    pub(crate) audio: Option<String>,

    /// Start files over at their end.
    #[arg(long = "loop", help_heading = "Sources")]
    pub(crate) looped: bool,

    #[command(flatten)]
    pub(crate) pipes: PipeFlags,

    /// Size of the picture that is asked of the camera, and the most that is taken of a screen.
    #[arg(long, value_name = "WxH", help_heading = "Sources")]
    pub(crate) size: Option<String>,

    /// Pictures a second that are asked of the camera.
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=120), help_heading = "Sources")]
    pub(crate) fps: u32,

    /// Where the picture is shown. Default: terminal on a terminal, else none.
    #[arg(long, value_enum, help_heading = "Sinks")]
    pub(crate) display: Option<Display>,

    /// How pictures are drawn in the terminal.
    #[arg(long, value_enum, default_value_t, help_heading = "Sinks")]
    pub(crate) graphics: Graphics,

    /// The window fills the screen.
    #[arg(long, help_heading = "Sinks")]
    pub(crate) fullscreen: bool,

    /// Print lines instead of the screen.
    #[arg(long, conflicts_with = "json", help_heading = "Output")]
    pub(crate) plain: bool,

    /// Print one JSON event a line.
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,

    /// End after this long: 10s, 2m, 1h.
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = "Ending")]
    pub(crate) duration: Option<Duration>,
}

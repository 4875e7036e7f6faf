//! `--record` and `--record-layout`.

use std::fmt;
use std::path::PathBuf;

use super::{OptionError, View};
pub use crate::cli::RecordLayout;
use crate::media::frame::VideoCodec;
use crate::media::sink::record::FileKind;

/// Where a recording goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordTo {
    /// Into a file; or, where each peer has its own, into files named after it.
    File(PathBuf),
    /// To standard output, as Matroska.
    Stdout,
}

/// What is recorded, and where to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordOption {
    /// Where to.
    pub to: RecordTo,
    /// What.
    pub layout: RecordLayout,
}

impl fmt::Display for RecordOption {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.to {
            RecordTo::File(path) => write!(out, "{}", path.display()),
            RecordTo::Stdout => write!(out, "-"),
        }
    }
}

impl RecordOption {
    /// Reads what was typed.
    ///
    /// # Errors
    /// When it cannot be recorded so.
    pub(super) fn parse(
        path: PathBuf,
        layout: RecordLayout,
        view: View,
        codecs: &[VideoCodec],
    ) -> Result<Self, OptionError> {
        if path.as_os_str() == "-" {
            return Self::stdout(layout, view);
        }
        let Some(kind) = FileKind::of(&path) else {
            return Err(OptionError::new(
                "--record",
                &path.display().to_string(),
                "the file's name ends in .mkv, .webm or .mp4; - is standard output",
            ));
        };
        let transcoded = layout == RecordLayout::Mixed;
        if !transcoded && kind == FileKind::Webm && codecs == [VideoCodec::H264] {
            return Err(OptionError::new(
                "--record",
                "*.webm",
                "WebM holds no H.264; add vp8 to --codec, or record into .mkv or .mp4",
            ));
        }
        let to = RecordTo::File(path);
        Ok(Self { to, layout })
    }

    fn stdout(layout: RecordLayout, view: View) -> Result<Self, OptionError> {
        if layout == RecordLayout::Files {
            return Err(OptionError::new(
                "--record-layout",
                "files",
                "several files do not fit into standard output; write tracks or mixed, or a name after --record",
            ));
        }
        let problem = match view {
            View::Json => {
                "standard output has the events of --json; leave that out, or record into a file"
            }
            View::Screen => {
                "standard output is the terminal; pipe it into a program, or record into a file"
            }
            View::Lines => {
                let to = RecordTo::Stdout;
                return Ok(Self { to, layout });
            }
        };
        Err(OptionError::new("--record", "-", problem))
    }
}

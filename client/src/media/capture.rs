//! Where pictures and sound come from: one small trait each, one file per kind of source.
//!
//! A source is driven by a thread of its own that calls `next` in a loop, so `next`
//! may block; it blocks for a second at most, so that a hang-up never waits for a
//! device. Sources pace themselves: `next` returns when the item is due.

use std::path::PathBuf;

use super::frame::{EncodedPicture, EncodedSound, Picture, Sound};
pub use latest::CaptureStats;

pub mod camera;
mod latest;
pub mod microphone;
pub mod returning;
pub mod screen;
pub mod test_picture;
pub mod tone;

/// A picture from a source.
#[derive(Clone, Debug)]
pub enum VideoItem {
    /// Needs encoding.
    Raw(Picture),
    /// Already encoded, by a file or a device.
    Encoded(EncodedPicture),
    /// Nothing came within the time a source may block; ask again.
    Nothing,
    /// The device is gone or hangs, and why; what it gives goes on when it is back.
    Interrupted(String),
    /// The device is back; which it is.
    Resumed(String),
}

/// Sound from a source.
#[derive(Clone, Debug)]
pub enum AudioItem {
    /// Needs encoding: 10 or 20 ms.
    Raw(Sound),
    /// An Opus packet from a file.
    Encoded(EncodedSound),
    /// Nothing came within the time a source may block; ask again.
    Nothing,
    /// The device is gone, and why; what it gives goes on when it is back.
    Interrupted(String),
    /// The device is back; which it is.
    Resumed(String),
}

/// Gives pictures, one after the other, when they are due.
pub trait VideoSource: Send {
    /// The next picture; `None` at the end of the source.
    ///
    /// # Errors
    /// When the device or file fails; the source is then over.
    fn next(&mut self) -> Result<Option<VideoItem>, SourceError>;

    /// What it is, for people: `camera "Integrated Camera" 1280x720 at 30 fps NV12`.
    fn describe(&self) -> String;

    /// What became of a device's pictures; nothing is lost of other sources'.
    fn stats(&self) -> CaptureStats {
        CaptureStats::default()
    }
}

/// Gives sound, one stretch after the other, when it is due.
pub trait AudioSource: Send {
    /// The next stretch; `None` at the end of the source.
    ///
    /// # Errors
    /// When the device or file fails; the source is then over.
    fn next(&mut self) -> Result<Option<AudioItem>, SourceError>;

    /// What it is, for people.
    fn describe(&self) -> String;
}

/// Why a source cannot be opened, or stopped giving. Each says what to do next.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// No such device on this machine.
    #[error("no {kind} found{which}; {hint}")]
    NoDevice {
        /// `camera`, `microphone`, `loudspeaker`.
        kind: &'static str,
        /// ` matching "x"`, or nothing.
        which: String,
        /// What to do next.
        hint: String,
    },
    /// The device is there and does not work: busy, denied, vanished.
    #[error("{device}: {problem}; {hint}")]
    Device {
        /// Which device.
        device: String,
        /// What went wrong.
        problem: String,
        /// What to do next.
        hint: String,
    },
    /// The file cannot be opened, is of another kind, or broken.
    #[error("{}: {problem}", .path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What went wrong and what to do next.
        problem: String,
    },
}

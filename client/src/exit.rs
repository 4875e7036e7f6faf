//! How a call can end, and the exit code of each ending.

use std::process::ExitCode;

/// The documented endings; the number is the process's exit code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Ending {
    /// Everything asked for was done.
    #[default]
    Done = 0,
    /// Something outside the other kinds: a file that cannot be read, a window that cannot open.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// No server answered, or what answered is none of ours.
    NoServer = 3,
    /// The room has no place left.
    RoomFull = 4,
    /// The server or the callee said no: a call was declined.
    Refused = 5,
    /// No media connection ever stood.
    NeverConnected = 6,
    /// A connection stood and no picture or sound came through it.
    NoMedia = 7,
    /// A call that stood was lost.
    Lost = 8,
    /// Who was called is in another call.
    Busy = 9,
    /// Who was called did not answer.
    NoAnswer = 10,
    /// Nobody goes by the name that was called.
    NoSuchPeer = 11,
    /// The call came to a good end, and was not what `--expect` says.
    Unexpected = 12,
    /// `pipe`, `send`, `receive`: not everything was taken by the far side, or here.
    Incomplete = 13,
}

impl Ending {
    /// All of them, in the order of their codes.
    pub const ALL: [Self; 14] = [
        Self::Done,
        Self::Failed,
        Self::Usage,
        Self::NoServer,
        Self::RoomFull,
        Self::Refused,
        Self::NeverConnected,
        Self::NoMedia,
        Self::Lost,
        Self::Busy,
        Self::NoAnswer,
        Self::NoSuchPeer,
        Self::Unexpected,
        Self::Incomplete,
    ];

    /// The ending of an exit code; a code of nobody's is a failure.
    #[must_use]
    pub fn from_code(code: u8) -> Self {
        let known = Self::ALL.into_iter().find(|ending| ending.code() == code);
        known.unwrap_or(Self::Failed)
    }

    /// The exit code.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }
}

impl From<Ending> for ExitCode {
    fn from(ending: Ending) -> Self {
        Self::from(ending.code())
    }
}

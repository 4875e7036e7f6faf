//! Bytes and files over data channels, exactly once: what was taken is acknowledged, and what was not is said again on the next
//! channel, should one be lost.
//!
//! Nothing here has a socket, a file, a thread or a clock: the machines are fed with what came, and give what is to be done.
//!
//! - [`frame`]: the messages, as they stand in a channel (docs/data.md)
//! - [`pipe`]: a stream of bytes each way
//! - [`send`], [`receive`]: files, one after the other
//! - [`name`]: what a file may be called here that somebody else has named

pub mod frame;
pub mod name;
pub mod pipe;
pub mod receive;
pub mod send;
#[cfg(test)]
mod tests;

/// Bytes of each stream or file that may be on their way: said, and not yet known to be taken.
pub const WINDOW: usize = 2 * 1024 * 1024;

/// Bytes of one message's data. With what stands before them they fit into what every peer takes at once, 64 KiB.
pub const BLOCK: usize = 60 * 1024;

/// What is taken is acknowledged after so many bytes.
pub const ACKNOWLEDGE: u64 = 256 * 1024;

/// Who somebody is, for as long as its program runs.
pub type Id = [u8; 16];

/// A SHA-256.
pub type Sum = [u8; 32];

/// How the sending or receiving of files ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Something became of every file.
    Done,
    /// The far side gave up.
    Stopped(frame::Status, String),
    /// It breaks the rules.
    Broken(Broken),
}

/// The far side breaks the rules; nothing can be made of what it says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// A message that is none.
    #[error("the far side sent a message that is none: {0}")]
    Frame(#[from] frame::FrameError),
    /// One at the wrong time.
    #[error(
        "the far side sent {0}, which makes no sense here; both sides need the same command and version"
    )]
    OutOfTurn(&'static str),
    /// Bytes are missing, or more came than may be on their way.
    #[error("the far side sent bytes at {at} where {wanted} was next")]
    Offset {
        /// Of what came.
        at: u64,
        /// Of what should have.
        wanted: u64,
    },
}

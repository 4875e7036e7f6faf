//! What a kind of file has to do for a recording.

use std::fs::File;
use std::io::{self, Seek, Write};

use super::Block;
use super::track::Entry;

/// Where a recording goes: a file, or a small disk in a test.
pub(super) trait Output: Write + Seek + Send {
    /// Cuts the end off.
    fn cut(&mut self, len: u64) -> io::Result<()>;
}

impl Output for File {
    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }
}

/// A recording being written. Whatever stops it, it is readable up to the last piece that was written whole.
pub(super) trait Container: Send {
    /// Whether a list of these tracks can still be written.
    fn fits(&self, tracks: &[&Entry]) -> bool;

    /// Writes the list of tracks.
    fn list(&mut self, tracks: &[&Entry]) -> io::Result<()>;

    /// Appends frames, sorted by time; the recording ends at `end` then, in milliseconds.
    fn append(&mut self, blocks: &[Block], end: u64) -> io::Result<()>;

    /// Completes it.
    fn finish(self: Box<Self>, end: u64) -> io::Result<()>;

    /// Leaves it as it was after its last whole piece.
    fn abandon(self: Box<Self>);
}

//! A recording as Matroska into something that only takes what is appended: a pipe.

use std::io::{self, Write};

use super::Block;
use super::container::Container;
use super::layout;
use super::track::Entry;

/// Matroska without an index, a duration or a size. Its tracks are written with its first cluster, and stay.
pub(super) struct MatroskaStream {
    output: Box<dyn Write + Send>,
    tracks: Vec<u8>,
    begun: bool,
}

impl MatroskaStream {
    pub(super) fn new(output: Box<dyn Write + Send>) -> Self {
        Self {
            output,
            tracks: Vec::new(),
            begun: false,
        }
    }
}

impl Container for MatroskaStream {
    fn fits(&self, _: &[&Entry]) -> bool {
        !self.begun
    }

    fn list(&mut self, tracks: &[&Entry]) -> io::Result<()> {
        self.tracks = layout::tracks(tracks);
        Ok(())
    }

    fn append(&mut self, blocks: &[Block], _end: u64) -> io::Result<()> {
        if blocks.is_empty() {
            return Ok(());
        }
        if !std::mem::replace(&mut self.begun, true) {
            self.output.write_all(&layout::stream_head(&self.tracks))?;
        }
        let (bytes, _) = layout::cluster(blocks, 0);
        self.output.write_all(&bytes)?;
        self.output.flush()
    }

    fn finish(mut self: Box<Self>, _end: u64) -> io::Result<()> {
        self.output.flush()
    }

    fn abandon(self: Box<Self>) {}
}

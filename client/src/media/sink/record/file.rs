//! The Matroska file under a recording: what is appended, and what is written again in place.

use std::io::{self, SeekFrom};

use super::Block;
use super::container::{Container, Output};
use super::layout::{self, Cue, Head};
use super::track::Entry;
use crate::media::file::ebml;

/// A Matroska file being written. Whatever stops it, the file is readable up to
/// its last whole cluster.
pub(super) struct MatroskaFile {
    output: Box<dyn Output>,
    head: Head,
    /// Where the next cluster goes.
    end: u64,
    cues: Vec<Cue>,
}

impl MatroskaFile {
    pub(super) fn create(mut output: Box<dyn Output>, webm: bool) -> io::Result<Self> {
        // Pipes fail here: tracks that come later are written in place.
        output.seek(SeekFrom::Start(0))?;
        let head = layout::head(webm);
        output.write_all(&head.bytes)?;
        output.flush()?;
        Ok(Self {
            output,
            end: head.bytes.len() as u64,
            head,
            cues: Vec::new(),
        })
    }

    fn complete(&mut self, end: u64) -> io::Result<()> {
        let mut cues = None;
        if !self.cues.is_empty() {
            cues = Some(self.end - self.head.segment);
            let bytes = layout::cues(&self.cues);
            self.write_end(&bytes)?;
        }
        let info = self.head.info - self.head.segment;
        let tracks = self.head.tracks - self.head.segment;
        self.patch(self.head.segment, &layout::seek_head(info, tracks, cues))?;
        self.write_duration(end)?;
        let size = ebml::size_field(self.end - self.head.segment, 8);
        self.patch(self.head.segment_size, &size)
    }

    fn write_end(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.output.seek(SeekFrom::Start(self.end))?;
        self.output.write_all(bytes)?;
        self.output.flush()?;
        self.end += bytes.len() as u64;
        Ok(())
    }

    fn write_duration(&mut self, end: u64) -> io::Result<()> {
        // Milliseconds of any call are exact in a double.
        #[allow(clippy::cast_precision_loss)]
        let duration = end as f64;
        self.patch(self.head.duration, &duration.to_be_bytes())
    }

    fn patch(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.output.seek(SeekFrom::Start(at))?;
        self.output.write_all(bytes)?;
        self.output.flush()
    }
}

impl Container for MatroskaFile {
    fn fits(&self, tracks: &[&Entry]) -> bool {
        layout::fits(&layout::tracks(tracks))
    }

    fn list(&mut self, tracks: &[&Entry]) -> io::Result<()> {
        let list = layout::tracks(tracks);
        self.patch(self.head.tracks, &layout::in_room(&list))
    }

    /// Appends a cluster, and notes how long the recording is now.
    fn append(&mut self, blocks: &[Block], end: u64) -> io::Result<()> {
        if blocks.is_empty() {
            return Ok(());
        }
        let (bytes, cues) = layout::cluster(blocks, self.end - self.head.segment);
        self.write_end(&bytes)?;
        self.cues.extend(cues);
        self.write_duration(end)
    }

    /// Completes the file: index, places, duration, size.
    fn finish(mut self: Box<Self>, end: u64) -> io::Result<()> {
        let result = self.complete(end);
        if result.is_err() {
            self.abandon();
        }
        result
    }

    /// Leaves the file as it was after its last whole cluster.
    fn abandon(mut self: Box<Self>) {
        // Where even that fails, readers stop at the unfinished cluster by themselves.
        let _ = self.output.cut(self.end);
        let _ = self.output.flush();
    }
}

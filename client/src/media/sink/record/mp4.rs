//! A recording as fragmented MP4 (ISO/IEC 14496-12, section 8.8).
//!
//! ```text
//! ftyp | moov + free | moof mdat | moof mdat | … | mfra
//! ```
//!
//! As in Matroska, room is kept behind the list of tracks, and the list is written again in place when a track gets
//! its first frame. All frames are in fragments of a second, each written whole, so a file that was cut off anywhere
//! is readable up to its last fragment.

use std::io::{self, SeekFrom};

use super::Block;
use super::container::{Container, Output};
use super::track::Entry;

mod boxes;

use boxes::{Sample, Track};

/// Bytes kept for the list of tracks: about fifty.
const MOOV_ROOM: usize = 32 * 1024;

/// An MP4 file being written.
pub(super) struct Mp4File {
    output: Box<dyn Output>,
    tracks: Vec<Track>,
    /// Where the list of tracks is.
    moov: u64,
    /// Where the next fragment goes.
    end: u64,
    fragments: u32,
    /// How long it is, milliseconds.
    lasts: u64,
    index: Vec<boxes::Cue>,
}

impl Mp4File {
    pub(super) fn create(mut output: Box<dyn Output>) -> io::Result<Self> {
        output.seek(SeekFrom::Start(0))?;
        let mut head = boxes::file_type();
        let moov = head.len() as u64;
        head.extend(in_room(&boxes::movie(&[], 0)));
        output.write_all(&head)?;
        output.flush()?;
        Ok(Self {
            output,
            tracks: Vec::new(),
            moov,
            end: head.len() as u64,
            fragments: 0,
            lasts: 0,
            index: Vec::new(),
        })
    }

    fn write_list(&mut self) -> io::Result<()> {
        let list = in_room(&boxes::movie(&self.tracks, self.lasts));
        self.output.seek(SeekFrom::Start(self.moov))?;
        self.output.write_all(&list)?;
        self.output.flush()
    }

    fn write_end(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.output.seek(SeekFrom::Start(self.end))?;
        self.output.write_all(bytes)?;
        self.output.flush()?;
        self.end += bytes.len() as u64;
        Ok(())
    }

    fn complete(&mut self) -> io::Result<()> {
        self.write_list()?;
        let index = boxes::index(&self.index);
        self.write_end(&index)
    }
}

impl Container for Mp4File {
    fn fits(&self, tracks: &[&Entry]) -> bool {
        let tracks: Vec<Track> = tracks.iter().map(|entry| Track::of(entry)).collect();
        boxes::movie(&tracks, 0).len() + boxes::HEADER <= MOOV_ROOM
    }

    fn list(&mut self, tracks: &[&Entry]) -> io::Result<()> {
        let ends: Vec<(u8, u32)> = self.tracks.iter().map(|t| (t.number, t.lasts)).collect();
        self.tracks = tracks.iter().map(|entry| Track::of(entry)).collect();
        for track in &mut self.tracks {
            let known = ends.iter().find(|(number, _)| *number == track.number);
            track.lasts = known.map_or(track.lasts, |(_, lasts)| *lasts);
        }
        self.write_list()
    }

    fn append(&mut self, blocks: &[Block], end: u64) -> io::Result<()> {
        if blocks.is_empty() {
            return Ok(());
        }
        let mut all = Vec::new();
        for track in &mut self.tracks {
            let own: Vec<&Block> = blocks.iter().filter(|b| b.number == track.number).collect();
            let samples = own.iter().enumerate().map(|(n, block)| {
                // The last one's successor is in the next fragment, which tells its own time.
                if let Some(next) = own.get(n + 1) {
                    track.lasts = u32::try_from(next.time - block.time).unwrap_or(u32::MAX);
                }
                Sample {
                    time: block.time,
                    lasts: track.lasts,
                    key: block.key,
                    data: &block.data,
                }
            });
            all.push(samples.collect::<Vec<_>>());
        }
        let runs = self.tracks.iter().zip(all);
        let runs: Vec<_> = runs.filter(|(_, samples)| !samples.is_empty()).collect();
        self.fragments += 1;
        let (bytes, cues) = boxes::fragment(self.fragments, &runs, self.end);
        self.index.extend(cues);
        self.write_end(&bytes)?;
        self.lasts = end;
        self.write_list()
    }

    fn finish(mut self: Box<Self>, end: u64) -> io::Result<()> {
        self.lasts = end;
        let result = self.complete();
        if result.is_err() {
            self.abandon();
        }
        result
    }

    fn abandon(mut self: Box<Self>) {
        // Where even that fails, readers stop at the unfinished fragment by themselves.
        let _ = self.output.cut(self.end);
        let _ = self.output.flush();
    }
}

/// The list of tracks with what fills its room.
fn in_room(movie: &[u8]) -> Vec<u8> {
    let mut out = movie.to_vec();
    let rest = MOOV_ROOM.saturating_sub(out.len() + boxes::HEADER);
    boxes::free(&mut out, rest);
    out
}

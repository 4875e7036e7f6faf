//! H.264 as a bare stream of bytes (ITU-T H.264, annex B): without sizes and without times.
//!
//! A picture is known to be whole when the next one begins, so the last one of a live stream
//! always waits for its successor.

use std::time::Duration;

use super::{ParameterSets, kind};
use crate::media::capture::VideoItem;
use crate::media::clock::Timestamp;
use crate::media::file::input::{Input, Problem};
use crate::media::file::source::{Demux, Unit};
use crate::media::frame::{EncodedPicture, VideoCodec};

/// Bytes that are read at a time, at most.
const CHUNK: usize = 64 * 1024;

/// A picture is not larger than this.
const LARGEST: usize = 16 << 20;

/// Pictures of a bare stream, so many a second.
pub(in crate::media::file) struct AnnexB {
    input: Input,
    splitter: Splitter,
    sets: ParameterSets,
    fps: u32,
    frames: u64,
    over: bool,
}

impl AnnexB {
    pub(in crate::media::file) fn open(input: Input, fps: u32) -> Self {
        Self {
            input,
            splitter: Splitter::default(),
            sets: ParameterSets::default(),
            fps: fps.max(1),
            frames: 0,
            over: false,
        }
    }
}

impl Demux<VideoItem> for AnnexB {
    fn next(&mut self) -> Result<Option<Unit<VideoItem>>, Problem> {
        loop {
            while let Some(units) = self.splitter.pop() {
                let units: Vec<&[u8]> = units.iter().map(Vec::as_slice).collect();
                let (data, key) = self.sets.access_unit(&units);
                if data.is_empty() {
                    continue;
                }
                let time = self.length();
                self.frames += 1;
                return Ok(Some(Unit {
                    time,
                    item: VideoItem::Encoded(EncodedPicture {
                        codec: VideoCodec::H264,
                        data: data.into(),
                        key,
                        at: Timestamp::default(),
                        layer: None,
                    }),
                }));
            }
            if self.over {
                return Ok(None);
            }
            let bytes = self.input.some(CHUNK)?;
            self.over = bytes.is_empty();
            let taken = if self.over {
                self.splitter.finish();
                Ok(())
            } else {
                self.splitter.push(&bytes)
            };
            taken.map_err(|what| self.input.broken(what))?;
        }
    }

    fn rewind(&mut self) -> Result<(), Problem> {
        self.splitter = Splitter::default();
        self.frames = 0;
        self.over = false;
        self.input.go_to(0)
    }

    fn length(&self) -> Duration {
        Duration::from_micros(self.frames.saturating_mul(1_000_000) / u64::from(self.fps))
    }

    fn describe(&self) -> String {
        format!("H.264 at {} fps", self.fps)
    }
}

/// Cuts a stream into access units, however it is cut into pieces.
#[derive(Debug, Default)]
struct Splitter {
    /// From the first byte of the unit that is not yet whole.
    buffer: Vec<u8>,
    /// Where to look for the next start code.
    looked: usize,
    /// Whether a start code was met.
    begun: bool,
    /// The units of the picture that is not yet whole.
    units: Vec<Vec<u8>>,
    bytes: usize,
    /// Whether they show something.
    shows: bool,
    whole: std::collections::VecDeque<Vec<Vec<u8>>>,
}

impl Splitter {
    fn pop(&mut self) -> Option<Vec<Vec<u8>>> {
        self.whole.pop_front()
    }

    fn push(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.buffer.extend_from_slice(bytes);
        while let Some(at) = self.start_code() {
            let unit: Vec<u8> = self.buffer.drain(..at + 3).take(at).collect();
            self.looked = 0;
            if std::mem::replace(&mut self.begun, true) {
                self.unit(unit);
            } else if unit.iter().any(|byte| *byte != 0) {
                return Err(no_stream());
            }
            if self.bytes > LARGEST {
                return Err("a picture of more than 16 MiB".into());
            }
        }
        // The end may be the first bytes of a start code.
        self.looked = self.buffer.len().saturating_sub(2);
        if !self.begun && self.buffer.iter().take(self.looked).any(|byte| *byte != 0) {
            return Err(no_stream());
        }
        if self.buffer.len() > LARGEST {
            return Err("a unit of more than 16 MiB".into());
        }
        // The next picture's first bytes tell that this one is whole.
        if self.begun && self.shows && begins_picture(&self.buffer) {
            self.flush();
        }
        Ok(())
    }

    fn finish(&mut self) {
        if std::mem::take(&mut self.begun) {
            let unit = std::mem::take(&mut self.buffer);
            self.unit(unit);
        }
        self.looked = 0;
        if self.shows {
            self.flush();
        }
    }

    fn start_code(&self) -> Option<usize> {
        let rest = self.buffer.get(self.looked..)?;
        let found = rest.windows(3).position(|bytes| *bytes == [0, 0, 1])?;
        Some(self.looked + found)
    }

    fn unit(&mut self, mut unit: Vec<u8>) {
        // Zeros belong to the start code behind.
        while unit.last() == Some(&0) {
            unit.pop();
        }
        if unit.is_empty() {
            return;
        }
        if self.shows && begins_picture(&unit) {
            self.flush();
        }
        self.shows |= matches!(kind(&unit), 1..=5);
        self.bytes += unit.len();
        self.units.push(unit);
    }

    fn flush(&mut self) {
        self.shows = false;
        self.bytes = 0;
        self.whole.push_back(std::mem::take(&mut self.units));
    }
}

/// Whether a unit that begins so, behind one that shows something, belongs to the next picture (ITU-T H.264, 7.4.1.2.3;
/// a slice that begins at the first macroblock is the first one of its picture).
fn begins_picture(unit: &[u8]) -> bool {
    let [_, second, ..] = *unit else {
        return false;
    };
    match kind(unit) {
        1 | 5 => second & 0x80 != 0,
        6..=9 | 14..=18 => true,
        _ => false,
    }
}

fn no_stream() -> String {
    "this is no H.264 with start codes (Annex B): no start code at its beginning".into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    /// Three pictures: one of two slices with its sets, one behind a delimiter, one bare.
    const STREAM: &[u8] = &[
        0, 0, 0, 1, 0x67, 1, 2, 0, 0, 0, 1, 0x68, 3, 4, 0, 0, 1, 0x65, 0x88, 5, 0, 0, 1, 0x65,
        0x11, 6, 0, 0, 0, 1, 9, 0x10, 0, 0, 1, 0x41, 0x9a, 7, 0, 0, 1, 0x41, 0x9b, 8,
    ];

    fn split(pieces: &[&[u8]]) -> Vec<Vec<Vec<u8>>> {
        let mut splitter = Splitter::default();
        for piece in pieces {
            splitter.push(piece).unwrap();
        }
        splitter.finish();
        std::iter::from_fn(|| splitter.pop()).collect()
    }

    #[test]
    fn a_stream_is_cut_where_pictures_begin() {
        let pictures = split(&[STREAM]);
        let kinds = |units: &Vec<Vec<u8>>| units.iter().map(|u| kind(u)).collect::<Vec<_>>();
        let kinds: Vec<_> = pictures.iter().map(kinds).collect();
        assert_eq!(kinds, [vec![7, 8, 5, 5], vec![9, 1], vec![1]]);
    }

    #[test]
    fn a_picture_is_given_as_soon_as_the_next_one_begins() {
        let mut splitter = Splitter::default();
        splitter.push(&STREAM[..STREAM.len() - 1]).unwrap();
        assert_eq!(std::iter::from_fn(|| splitter.pop()).count(), 2);
    }

    #[test]
    fn what_is_no_stream_is_told_at_once() {
        let mut splitter = Splitter::default();
        assert!(splitter.push(b"RIFF....").is_err());
        assert!(Splitter::default().push(&[7; 4]).is_err());
        assert!(Splitter::default().push(&[0; 4]).is_ok());
    }

    proptest! {
        #[test]
        fn pieces_of_any_size_give_the_same(cuts in prop::collection::vec(0..STREAM.len(), 0..12)) {
            let mut cuts = cuts;
            cuts.extend([0, STREAM.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|w| &STREAM[w[0]..w[1]]).collect();
            prop_assert_eq!(split(&pieces), split(&[STREAM]));
        }

        #[test]
        fn any_bytes_are_taken_or_refused(pieces in prop::collection::vec(
            prop::collection::vec(0_u8..10, 0..60), 0..8))
        {
            let mut splitter = Splitter::default();
            for piece in &pieces {
                if splitter.push(piece).is_err() {
                    break;
                }
            }
            splitter.finish();
            let out: usize = std::iter::from_fn(|| splitter.pop()).flatten().map(|u| u.len()).sum();
            prop_assert!(out <= pieces.iter().map(Vec::len).sum());
        }
    }
}

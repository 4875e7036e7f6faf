//! Recording of a call into one WebM, MKV or MP4 file, without transcoding.
//!
//! All of them list their tracks in front, and peers come later. So room is kept behind
//! the list of tracks, and the list is written again, in place, whenever a track gets
//! its first frame. The result is one plain segment in which every track has content:
//! ffplay and Chromium play it like any other file. Segments one behind the other are
//! not played by Chromium, several files are not one recording, and tracks reserved
//! for peers that never come make players search for their content.
//!
//! Blocks are gathered into clusters (fragments, in MP4) of at most a second, each written whole. So a
//! killed recorder leaves a file that is read to its last second; at a proper end
//! it gets its index, duration and size.

mod container;
mod file;
mod layout;
pub mod mixed;
mod mp4;
mod queue;
mod stream;
mod track;

#[cfg(test)]
mod tests;

use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::media::clock::Timestamp;
use crate::media::frame::{EncodedPicture, EncodedSound, VideoCodec};
use container::{Container, Output};
use file::MatroskaFile;
use mp4::Mp4File;
pub use queue::{RecordCounts, RecordHandle, RecordSink};
use track::Entry;

/// A cluster holds no more milliseconds than this.
const LONGEST_CLUSTER: u64 = 1_000;
/// And waits no longer than this to be written, as far as [`Recorder::tick`] is called.
const LONGEST_WAIT: Duration = Duration::from_millis(700);
/// Nor more bytes than this.
const LARGEST_CLUSTER: usize = 4 << 20;
/// Track numbers take one byte in a block.
const MOST_TRACKS: usize = 126;

/// What is in a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TrackKind {
    /// Pictures in this codec.
    Video(VideoCodec),
    /// Opus with so many channels.
    Audio {
        /// 1 or 2.
        channels: u8,
    },
}

/// A track of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackInfo {
    /// Whose it is: becomes the track's name.
    pub name: String,
    /// What is in it.
    pub kind: TrackKind,
}

/// Names a track of one recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrackId(usize);

/// Why a recording cannot be made, or stopped. Each is told once; the call goes on.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The name ends in something else.
    #[error("{}: a recording's name ends in .mkv, .webm or .mp4; choose one of them", .0.display())]
    Name(PathBuf),
    /// The file cannot be made.
    #[error("{}: cannot be created for recording: {source}; choose another place with --record", .path.display())]
    Create {
        /// Which file.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// WebM has no such codec.
    #[error("{}: WebM does not hold H.264; record into a name ending in .mkv, or use VP8", .0.display())]
    NotInWebm(PathBuf),
    /// No room for more tracks.
    #[error("{}: the recording has no room for the track of {name}; what comes from it is not recorded", .path.display())]
    TooManyTracks {
        /// Which file.
        path: PathBuf,
        /// Whose track.
        name: String,
    },
    /// The file cannot be written any more.
    #[error("{}: recording stopped: {source}; what was recorded until then is kept, the call goes on", .path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
}

/// A kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// Matroska, which holds everything.
    Mkv,
    /// Matroska without H.264.
    Webm,
    /// MP4 in fragments.
    Mp4,
}

impl FileKind {
    /// The kind that a name's ending tells.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        let ending = path.extension()?.to_str()?.to_ascii_lowercase();
        match ending.as_str() {
            "mkv" => Some(Self::Mkv),
            "webm" => Some(Self::Webm),
            "mp4" => Some(Self::Mp4),
            _ => None,
        }
    }
}

/// Writes a recording. Not for the thread that receives: see [`RecordSink`].
pub struct Recorder {
    path: PathBuf,
    kind: FileKind,
    /// Gone after a write error.
    file: Option<Box<dyn Container>>,
    tracks: Vec<Entry>,
    /// Time zero of the file: the first frame of all.
    origin: Option<Timestamp>,
    pending: Vec<Block>,
    pending_bytes: usize,
    /// When a tick first saw the present cluster.
    pending_since: Option<Timestamp>,
    /// The end of the latest frame, in milliseconds.
    end: u64,
}

/// A frame on its way into a cluster.
struct Block {
    number: u8,
    time: u64,
    key: bool,
    video: bool,
    data: Vec<u8>,
}

impl Recorder {
    /// Makes the file at once, so that what cannot be recorded fails at the start.
    ///
    /// # Errors
    /// When the name does not end in `.mkv`, `.webm` or `.mp4`, or the file cannot be made.
    pub fn create(path: &Path) -> Result<Self, RecordError> {
        let kind = FileKind::of(path).ok_or_else(|| RecordError::Name(path.to_path_buf()))?;
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(path)
            .map_err(|source| create_error(path, source))?;
        Self::with_output(path, kind, Box::new(file))
    }

    /// Writes Matroska to something that only takes what is appended, as a pipe. Its tracks are those that have a frame within
    /// the first second; what comes later has no place there, and is told.
    #[must_use]
    pub fn stream(output: Box<dyn io::Write + Send>) -> Self {
        let file = Box::new(stream::MatroskaStream::new(output));
        Self::with_container(Path::new("-"), FileKind::Mkv, file)
    }

    fn with_output(
        path: &Path,
        kind: FileKind,
        output: Box<dyn Output>,
    ) -> Result<Self, RecordError> {
        let failed = |source| create_error(path, source);
        let file: Box<dyn Container> = match kind {
            FileKind::Mkv => Box::new(MatroskaFile::create(output, false).map_err(failed)?),
            FileKind::Webm => Box::new(MatroskaFile::create(output, true).map_err(failed)?),
            FileKind::Mp4 => Box::new(Mp4File::create(output).map_err(failed)?),
        };
        Ok(Self::with_container(path, kind, file))
    }

    fn with_container(path: &Path, kind: FileKind, file: Box<dyn Container>) -> Self {
        Self {
            path: path.to_path_buf(),
            kind,
            file: Some(file),
            tracks: Vec::new(),
            origin: None,
            pending: Vec::new(),
            pending_bytes: 0,
            pending_since: None,
            end: 0,
        }
    }

    /// Adds a track, at any time. It appears in the file with its first frame; a
    /// peer that comes back gets its track again, which goes on at a key frame.
    ///
    /// # Errors
    /// When the file does not take this codec, or no more tracks.
    pub fn add_track(&mut self, info: TrackInfo) -> Result<TrackId, RecordError> {
        if self.kind == FileKind::Webm && info.kind == TrackKind::Video(VideoCodec::H264) {
            return Err(RecordError::NotInWebm(self.path.clone()));
        }
        if let Some(known) = self.tracks.iter().position(|track| track.info == info) {
            self.tracks[known].interrupt();
            return Ok(TrackId(known));
        }
        if self.tracks.len() == MOST_TRACKS {
            return Err(self.too_many(info.name));
        }
        self.tracks.push(Entry::new(info));
        Ok(TrackId(self.tracks.len() - 1))
    }

    /// Records a picture. Pictures before the first key frame are left out, since
    /// nothing can be seen in them.
    ///
    /// # Errors
    /// Once, when the file cannot be written any more; then everything is ignored.
    pub fn video(&mut self, track: TrackId, picture: &EncodedPicture) -> Result<(), RecordError> {
        let Some(entry) = self.tracks.get_mut(track.0) else {
            return Ok(());
        };
        let Some(data) = entry.picture(picture) else {
            return Ok(());
        };
        self.write(track, picture.at, Duration::ZERO, picture.key, data)
    }

    /// Records a packet of sound.
    ///
    /// # Errors
    /// Once, when the file cannot be written any more; then everything is ignored.
    pub fn audio(&mut self, track: TrackId, sound: &EncodedSound) -> Result<(), RecordError> {
        let usable = self.tracks.get_mut(track.0).is_some_and(Entry::sound);
        if !usable || sound.data.is_empty() {
            return Ok(());
        }
        self.write(track, sound.at, sound.duration, true, sound.data.to_vec())
    }

    /// The next picture of this track that is recorded will be a key frame: something was lost.
    pub fn interrupt(&mut self, track: TrackId) {
        if let Some(entry) = self.tracks.get_mut(track.0) {
            entry.interrupt();
        }
    }

    /// Writes what has waited long enough. To be called every quarter of a second, so
    /// that nothing waits for frames that do not come.
    ///
    /// # Errors
    /// Once, when the file cannot be written any more.
    pub fn tick(&mut self, now: Timestamp) -> Result<(), RecordError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let since = *self.pending_since.get_or_insert(now);
        if now.since(since) >= LONGEST_WAIT {
            return self.flush();
        }
        Ok(())
    }

    /// Writes the rest, the index, the duration and the size.
    ///
    /// # Errors
    /// When that cannot be written; what was recorded is kept.
    pub fn finish(mut self) -> Result<(), RecordError> {
        self.flush()?;
        let end = self.end;
        let Some(file) = self.file.take() else {
            return Ok(());
        };
        file.finish(end).map_err(|source| self.write_error(source))
    }

    fn write(
        &mut self,
        track: TrackId,
        at: Timestamp,
        lasts: Duration,
        key: bool,
        data: Vec<u8>,
    ) -> Result<(), RecordError> {
        if self.file.is_none() {
            return Ok(());
        }
        if !self.tracks[track.0].listed {
            self.list(track)?;
        }
        let origin = *self.origin.get_or_insert(at);
        let told = at.since(origin).as_millis();
        let entry = &mut self.tracks[track.0];
        let time = entry.place(u64::try_from(told).unwrap_or(u64::MAX / 2));
        let block = Block {
            number: entry.number,
            time,
            key,
            video: matches!(entry.info.kind, TrackKind::Video(_)),
            data,
        };
        let lasts = u64::try_from(lasts.as_millis()).unwrap_or(0);
        // A new cluster where this one is long enough, and at a picture to which one can jump.
        let (first, last) = self.span().unwrap_or((time, time));
        let spread = last.max(time) - first.min(time);
        let jump = block.video && key && spread >= LONGEST_CLUSTER / 2;
        if spread >= LONGEST_CLUSTER
            || jump
            || self.pending_bytes + block.data.len() > LARGEST_CLUSTER
        {
            self.flush()?;
        }
        self.end = self.end.max(time + lasts);
        self.pending_bytes += block.data.len();
        self.pending.push(block);
        Ok(())
    }

    /// The earliest and the latest time in the present cluster.
    fn span(&self) -> Option<(u64, u64)> {
        let times = || self.pending.iter().map(|block| block.time);
        Some((times().min()?, times().max()?))
    }

    /// Puts a track that has its first frame into the list.
    fn list(&mut self, track: TrackId) -> Result<(), RecordError> {
        let number = self.tracks.iter().filter(|track| track.listed).count() + 1;
        let entry = &mut self.tracks[track.0];
        entry.number = u8::try_from(number).unwrap_or(u8::MAX);
        entry.listed = true;
        let mut listed: Vec<&Entry> = self.tracks.iter().filter(|track| track.listed).collect();
        listed.sort_by_key(|track| track.number);
        if !self.file.as_ref().is_none_or(|file| file.fits(&listed)) {
            let entry = &mut self.tracks[track.0];
            entry.listed = false;
            entry.refused = true;
            let name = entry.info.name.clone();
            return Err(self.too_many(name));
        }
        match self.file.as_mut().map(|file| file.list(&listed)) {
            Some(Err(source)) => Err(self.stop(source)),
            _ => Ok(()),
        }
    }

    fn flush(&mut self) -> Result<(), RecordError> {
        self.pending_since = None;
        self.pending_bytes = 0;
        let mut blocks = std::mem::take(&mut self.pending);
        // Stable: the frames of one track stay in their order.
        blocks.sort_by_key(|block| block.time);
        match self
            .file
            .as_mut()
            .map(|file| file.append(&blocks, self.end))
        {
            Some(Err(source)) => Err(self.stop(source)),
            _ => Ok(()),
        }
    }

    fn stop(&mut self, source: io::Error) -> RecordError {
        if let Some(file) = self.file.take() {
            file.abandon();
        }
        self.pending = Vec::new();
        self.write_error(source)
    }

    fn write_error(&self, source: io::Error) -> RecordError {
        RecordError::Write {
            path: self.path.clone(),
            source,
        }
    }

    fn too_many(&self, name: String) -> RecordError {
        RecordError::TooManyTracks {
            path: self.path.clone(),
            name,
        }
    }
}

fn create_error(path: &Path, source: io::Error) -> RecordError {
    RecordError::Create {
        path: path.to_path_buf(),
        source,
    }
}

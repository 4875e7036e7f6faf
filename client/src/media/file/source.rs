//! A container's items, paced and looped, as a source.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::FileOptions;
use super::input::Problem;
use super::pace::{RealTime, Sleeper, Step, step};
use crate::media::capture::{AudioItem, AudioSource, SourceError, VideoItem, VideoSource};
use crate::media::clock::Timestamp;

/// One item and how long after the file's beginning it is.
pub(super) struct Unit<T> {
    pub(super) time: Duration,
    pub(super) item: T,
}

/// One track of a container, item by item.
pub(super) trait Demux<T>: Send {
    /// The next whole item; `None` at the end, also where the file was cut off.
    fn next(&mut self) -> Result<Option<Unit<T>>, Problem>;

    /// Goes back to the beginning.
    fn rewind(&mut self) -> Result<(), Problem>;

    /// How long one pass lasts, counting every track of the file, so that the
    /// tracks of one clip stay in step when looped. Asked at the end of a pass.
    fn length(&self) -> Duration;

    /// What is in it, for people.
    fn describe(&self) -> String;
}

/// What a source gives.
pub(super) trait Item: Send {
    /// Sets the time stamp.
    fn stamp(&mut self, at: Timestamp);
    /// Whether a pass may begin with it.
    fn starts(&self) -> bool;
    /// For the call that had nothing to give in time.
    fn nothing() -> Self;
}

impl Item for VideoItem {
    fn stamp(&mut self, to: Timestamp) {
        match self {
            Self::Raw(picture) => picture.at = to,
            Self::Encoded(picture) => picture.at = to,
            Self::Nothing | Self::Interrupted(_) | Self::Resumed(_) => {}
        }
    }

    fn starts(&self) -> bool {
        !matches!(self, Self::Encoded(picture) if !picture.key)
    }

    fn nothing() -> Self {
        Self::Nothing
    }
}

impl Item for AudioItem {
    fn stamp(&mut self, to: Timestamp) {
        match self {
            Self::Raw(sound) => sound.at = to,
            Self::Encoded(sound) => sound.at = to,
            Self::Nothing | Self::Interrupted(_) | Self::Resumed(_) => {}
        }
    }

    fn starts(&self) -> bool {
        true
    }

    fn nothing() -> Self {
        Self::Nothing
    }
}

/// A file as a source.
pub(super) struct Paced<T, S = RealTime> {
    path: PathBuf,
    demux: Box<dyn Demux<T>>,
    options: FileOptions,
    sleeper: S,
    /// Read and not yet due; `None` at the end.
    pending: Option<Unit<T>>,
    /// Where the present pass begins.
    offset: Duration,
    /// Where the last item was, to keep passes from overlapping.
    last: Duration,
    begun: bool,
    /// Met while reading ahead; told after what came before it has been given.
    failure: Option<Problem>,
}

impl<T: Item> Paced<T> {
    pub(super) fn open(
        path: &Path,
        demux: Box<dyn Demux<T>>,
        options: FileOptions,
    ) -> Result<Self, Problem> {
        Self::with_sleeper(path, demux, options, RealTime)
    }
}

impl<T: Item, S: Sleeper> Paced<T, S> {
    /// Reads the first item at once, so that a file without any fails here.
    pub(super) fn with_sleeper(
        path: &Path,
        demux: Box<dyn Demux<T>>,
        options: FileOptions,
        sleeper: S,
    ) -> Result<Self, Problem> {
        let mut source = Self {
            path: path.to_path_buf(),
            demux,
            options,
            sleeper,
            pending: None,
            offset: Duration::ZERO,
            last: Duration::ZERO,
            begun: false,
            failure: None,
        };
        source.pending = source.pass_item()?;
        if source.pending.is_none() {
            return Err(Problem::NoFrame);
        }
        Ok(source)
    }

    /// The next item of this pass; what a pass may not begin with is left out.
    fn pass_item(&mut self) -> Result<Option<Unit<T>>, Problem> {
        while let Some(mut unit) = self.demux.next()? {
            if !self.begun && !unit.item.starts() {
                continue;
            }
            self.begun = true;
            unit.time = self.offset.saturating_add(unit.time);
            self.last = self.last.max(unit.time);
            return Ok(Some(unit));
        }
        Ok(None)
    }

    fn refill(&mut self) -> Result<Option<Unit<T>>, Problem> {
        let unit = self.pass_item()?;
        if unit.is_some() || !self.options.looped {
            return Ok(unit);
        }
        let shortest = self.last.saturating_add(Duration::from_millis(1));
        self.offset = self
            .offset
            .saturating_add(self.demux.length())
            .max(shortest);
        self.begun = false;
        self.demux.rewind()?;
        self.pass_item()
    }

    pub(super) fn give(&mut self) -> Result<Option<T>, SourceError> {
        let Some(unit) = &self.pending else {
            return self
                .failure
                .take()
                .map_or(Ok(None), |problem| Err(problem.of(&self.path)));
        };
        let time = unit.time;
        let mut decision = step(&self.options.anchor, time, self.sleeper.now());
        if let Step::Sleep(pause) = decision {
            self.sleeper.sleep(pause);
            decision = step(&self.options.anchor, time, self.sleeper.now());
        }
        let Step::Give(at) = decision else {
            return Ok(Some(T::nothing()));
        };
        let next = self.refill().unwrap_or_else(|problem| {
            self.failure = Some(problem);
            None
        });
        Ok(std::mem::replace(&mut self.pending, next).map(|mut unit| {
            unit.item.stamp(at);
            unit.item
        }))
    }

    fn words(&self) -> String {
        let looped = if self.options.looped { ", looped" } else { "" };
        format!(
            "file {}: {}{looped}",
            self.path.display(),
            self.demux.describe()
        )
    }
}

impl<S: Sleeper> VideoSource for Paced<VideoItem, S> {
    fn next(&mut self) -> Result<Option<VideoItem>, SourceError> {
        self.give()
    }

    fn describe(&self) -> String {
        self.words()
    }
}

impl<S: Sleeper> AudioSource for Paced<AudioItem, S> {
    fn next(&mut self) -> Result<Option<AudioItem>, SourceError> {
        self.give()
    }

    fn describe(&self) -> String {
        self.words()
    }
}

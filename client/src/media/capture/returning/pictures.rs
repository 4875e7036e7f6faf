//! A camera that may be unplugged, or hang, and that is taken again when it is back.

use super::PATIENCE;
use super::watchdog::{Order, Watchdog};
use crate::media::capture::{CaptureStats, SourceError, VideoItem, VideoSource};
use crate::media::clock::Timestamp;

/// Opens the device.
type Open = Box<dyn FnMut() -> Result<Box<dyn VideoSource>, SourceError> + Send>;

/// See the module.
pub struct ReturningPictures {
    source: Option<Box<dyn VideoSource>>,
    open: Open,
    watchdog: Watchdog,
    /// Opened again, and nothing has come yet: it is told of with its first picture.
    unproved: bool,
    description: String,
    /// Of those that were closed.
    before: CaptureStats,
    clock: fn() -> Timestamp,
}

impl ReturningPictures {
    /// Opens it for the first time.
    ///
    /// # Errors
    /// When it cannot be opened now.
    pub fn open(open: Open) -> Result<Self, SourceError> {
        Self::with_clock(open, Timestamp::now)
    }

    fn with_clock(mut open: Open, clock: fn() -> Timestamp) -> Result<Self, SourceError> {
        let source = open()?;
        Ok(Self {
            description: source.describe(),
            source: Some(source),
            open,
            watchdog: Watchdog::new(clock()),
            unproved: false,
            before: CaptureStats::default(),
            clock,
        })
    }

    /// It gives no more; whether anybody thought that it did.
    fn close(&mut self) -> bool {
        if let Some(source) = self.source.take() {
            self.before = self.before.and(source.stats());
        }
        self.watchdog.failed((self.clock)());
        !std::mem::take(&mut self.unproved)
    }

    fn ask(&mut self) -> Option<VideoItem> {
        let item = match self.source.as_mut()?.next() {
            Ok(item) => item,
            Err(error) => {
                let known = self.close();
                let told = known.then(|| VideoItem::Interrupted(error.to_string()));
                return Some(told.unwrap_or(VideoItem::Nothing));
            }
        };
        match item {
            Some(VideoItem::Raw(_) | VideoItem::Encoded(_)) => {
                self.watchdog.gave((self.clock)());
                if std::mem::take(&mut self.unproved) {
                    // This picture is left out: the next one is there in a moment.
                    return Some(VideoItem::Resumed(self.description.clone()));
                }
                item
            }
            item => item,
        }
    }
}

impl VideoSource for ReturningPictures {
    fn next(&mut self) -> Result<Option<VideoItem>, SourceError> {
        Ok(match self.watchdog.order((self.clock)()) {
            Order::Ask => self.ask(),
            Order::Close(silent) => {
                let words = format!(
                    "{}: gave no picture for {:.0} s, and is opened anew",
                    self.description,
                    silent.as_secs_f64()
                );
                let known = self.close();
                let told = known.then_some(VideoItem::Interrupted(words));
                Some(told.unwrap_or(VideoItem::Nothing))
            }
            Order::Wait(left) => {
                std::thread::sleep(left.min(PATIENCE));
                Some(VideoItem::Nothing)
            }
            Order::Open => {
                match (self.open)() {
                    Ok(source) => {
                        self.description = source.describe();
                        self.source = Some(source);
                        self.unproved = true;
                        self.watchdog.opened((self.clock)());
                    }
                    Err(error) => {
                        tracing::debug!("not yet back: {error}");
                        self.watchdog.failed((self.clock)());
                    }
                }
                Some(VideoItem::Nothing)
            }
        })
    }

    fn describe(&self) -> String {
        self.description.clone()
    }

    fn stats(&self) -> CaptureStats {
        let now = self.source.as_ref().map(|source| source.stats());
        self.before.and(now.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests;

//! A microphone that may be unplugged, or whose sound server may end, and that is taken again when it is back.

mod pictures;
mod watchdog;

use std::time::{Duration, Instant};

pub use pictures::ReturningPictures;

use super::{AudioItem, AudioSource, SourceError};

/// How long one call of `next` waits while there is nothing.
const PATIENCE: Duration = Duration::from_millis(200);

/// How often it is looked whether the device is back.
const RETRY: Duration = Duration::from_secs(1);

/// Opens the device.
type Open = Box<dyn FnMut() -> Result<Box<dyn AudioSource>, SourceError> + Send>;

/// See the module.
pub struct Returning {
    source: Option<Box<dyn AudioSource>>,
    open: Open,
    retry_at: Instant,
    description: String,
}

impl Returning {
    /// Opens it for the first time.
    ///
    /// # Errors
    /// When it cannot be opened now.
    pub fn open(mut open: Open) -> Result<Self, SourceError> {
        let source = open()?;
        Ok(Self {
            description: source.describe(),
            source: Some(source),
            open,
            retry_at: Instant::now(),
        })
    }
}

impl AudioSource for Returning {
    fn next(&mut self) -> Result<Option<AudioItem>, SourceError> {
        if let Some(source) = &mut self.source {
            return match source.next() {
                Err(error) => {
                    self.source = None;
                    self.retry_at = Instant::now() + RETRY;
                    Ok(Some(AudioItem::Interrupted(error.to_string())))
                }
                item => item,
            };
        }
        let left = self.retry_at.saturating_duration_since(Instant::now());
        if !left.is_zero() {
            std::thread::sleep(left.min(PATIENCE));
            return Ok(Some(AudioItem::Nothing));
        }
        let item = match (self.open)() {
            Ok(source) => {
                self.description = source.describe();
                self.source = Some(source);
                AudioItem::Resumed(self.description.clone())
            }
            Err(error) => {
                tracing::debug!("not yet back: {error}");
                AudioItem::Nothing
            }
        };
        // From here: opening may have taken long.
        self.retry_at = Instant::now() + RETRY;
        Ok(Some(item))
    }

    fn describe(&self) -> String {
        self.description.clone()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Gives nothing twice, then fails.
    struct Failing(u32);

    impl AudioSource for Failing {
        fn next(&mut self) -> Result<Option<AudioItem>, SourceError> {
            self.0 += 1;
            if self.0 > 2 {
                return Err(gone());
            }
            Ok(Some(AudioItem::Nothing))
        }
        fn describe(&self) -> String {
            "a microphone".into()
        }
    }

    fn gone() -> SourceError {
        SourceError::Device {
            device: "a microphone".into(),
            problem: "unplugged".into(),
            hint: "plug it in".into(),
        }
    }

    #[test]
    fn a_device_that_goes_and_comes_is_told_of_both_times_and_taken_again() {
        let mut opened = 0;
        let mut source = Returning::open(Box::new(move || {
            opened += 1;
            // The first try after it went is too early.
            if opened == 2 {
                Err(gone())
            } else {
                Ok(Box::new(Failing(0)) as Box<dyn AudioSource>)
            }
        }))
        .unwrap();
        let mut told = Vec::new();
        let started = Instant::now();
        while told.len() < 3 && started.elapsed() < Duration::from_secs(60) {
            match source.next().unwrap().unwrap() {
                AudioItem::Interrupted(why) => told.push(why),
                AudioItem::Resumed(what) => told.push(what),
                _ => {}
            }
        }
        let why = "a microphone: unplugged; plug it in";
        assert_eq!(told, [why, "a microphone", why]);
    }

    #[test]
    fn one_that_is_not_there_at_first_is_an_error() {
        assert!(Returning::open(Box::new(|| Err(gone()))).is_err());
    }
}

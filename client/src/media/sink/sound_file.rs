//! Everybody's sound, mixed in real time into one WAV file.
//!
//! A thread plays the part of a loudspeaker: every 20 ms it takes 20 ms out of the mix.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::speaker::mixer::{InputId, Mixer};
use super::wav::{WavError, WavSink};
use crate::media::clock::Timestamp;
use crate::media::convert::with_channels;
use crate::media::frame::{SAMPLE_RATE, Sound};

/// What is taken out of the mix at once.
const PERIOD: Duration = Duration::from_millis(20);
/// What is mixed is stereo.
const CHANNELS: u16 = 2;

/// A file that is being written; complete when finished or dropped.
pub struct SoundFile {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    mixer: Mutex<Mixer>,
    problem: Mutex<Option<WavError>>,
    stop: AtomicBool,
}

impl Shared {
    fn mixer(&self) -> MutexGuard<'_, Mixer> {
        self.mixer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fail(&self, error: WavError) {
        *self.problem.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }
}

impl SoundFile {
    /// Makes the file and starts to write.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn create(path: &Path) -> Result<Self, WavError> {
        let wav = WavSink::create(path, CHANNELS)?;
        let shared = Arc::new(Shared {
            mixer: Mutex::new(Mixer::new(SAMPLE_RATE)),
            problem: Mutex::new(None),
            stop: AtomicBool::new(false),
        });
        let writer = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("sound-file".into())
            .spawn(move || write(&writer, wav))
            .map_err(|source| WavError::Create {
                path: path.to_path_buf(),
                source: source.into(),
            })?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// A place in the mix; it is given up by dropping it.
    #[must_use]
    pub fn input(&self) -> SoundFileInput {
        SoundFileInput {
            id: self.shared.mixer().add(),
            shared: Arc::clone(&self.shared),
        }
    }

    /// Why nothing is written any more; told once.
    #[must_use]
    pub fn problem(&self) -> Option<WavError> {
        let mut problem = self
            .shared
            .problem
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        problem.take()
    }

    /// Completes the file.
    ///
    /// # Errors
    /// When it could not be written.
    pub fn finish(mut self) -> Result<(), WavError> {
        self.end();
        self.problem().map_or(Ok(()), Err)
    }

    fn end(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the sound file's thread ended by a panic");
        }
    }
}

impl Drop for SoundFile {
    fn drop(&mut self) {
        self.end();
    }
}

/// One peer's place in the mix.
pub struct SoundFileInput {
    id: InputId,
    shared: Arc<Shared>,
}

impl SoundFileInput {
    /// Adds sound; never waits for the disk.
    pub fn push(&mut self, sound: &Sound) {
        let stereo = with_channels(sound, CHANNELS);
        self.shared.mixer().push(self.id, &stereo);
    }
}

impl Drop for SoundFileInput {
    fn drop(&mut self) {
        self.shared.mixer().remove(self.id);
    }
}

fn write(shared: &Shared, mut wav: WavSink) {
    let frames = SAMPLE_RATE as usize * PERIOD.as_millis() as usize / 1000;
    let mut next = Instant::now() + PERIOD;
    while !shared.stop.load(Ordering::Relaxed) {
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
        next += PERIOD;
        let mut sound = Sound {
            samples: vec![0; frames * usize::from(CHANNELS)],
            channels: CHANNELS,
            at: Timestamp::now(),
        };
        shared.mixer().fill(&mut sound.samples);
        if let Err(error) = wav.write(&sound) {
            shared.fail(error);
        }
    }
    if let Err(error) = wav.finish() {
        shared.fail(error);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn two_voices_are_heard_together_in_one_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("call.wav");
        let file = SoundFile::create(&path).unwrap();
        let (mut one, mut two) = (file.input(), file.input());
        let sound = |value| Sound {
            samples: vec![value; 9_600],
            channels: 1,
            at: Timestamp::default(),
        };
        one.push(&sound(1_000));
        two.push(&sound(500));
        let done = || file.shared.mixer().stats(one.id).played > 4_800;
        while !done() {
            std::thread::yield_now();
        }
        file.finish().unwrap();
        let reader = hound::WavReader::open(&path).unwrap();
        assert_eq!(reader.spec().channels, 2);
        let samples: Vec<i16> = reader.into_samples().map(Result::unwrap).collect();
        assert!(
            samples
                .iter()
                .filter(|s| (1_400..=1_500).contains(*s))
                .count()
                > 4_000
        );
    }

    #[test]
    fn a_folder_that_is_not_there_is_told_at_the_start() {
        assert!(SoundFile::create(Path::new("/nowhere/at/all.wav")).is_err());
    }
}

//! The recorder on a thread of its own, behind a bounded queue.
//!
//! A full queue (a slow disk) makes the giver wait a little; then the frame is left
//! out and counted, and pictures of that track go on with the next key frame.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{RecordError, Recorder, TrackId, TrackInfo};
use crate::media::clock::Timestamp;
use crate::media::frame::{EncodedPicture, EncodedSound};

/// Frames that wait: two seconds of six peers.
const MOST_FRAMES: usize = 1_024;
/// Bytes that wait.
const MOST_BYTES: usize = 32 << 20;
/// How long a giver waits for room.
const PATIENCE: Duration = Duration::from_millis(250);
/// How often the recorder is asked to write what has waited.
const TICK: Duration = Duration::from_millis(250);

/// What became of the frames given to a recording.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordCounts {
    /// Frames given.
    pub given: u64,
    /// Of those, the ones whose giver had to wait for room.
    pub waited: u64,
    /// Of those, the ones left out, since there was no room or a key frame was missing after that.
    pub dropped: u64,
}

/// A running recording; ends, completing its file, when finished or dropped.
pub struct RecordSink {
    handle: RecordHandle,
    thread: Option<JoinHandle<Result<(), RecordError>>>,
}

/// Gives frames to a recording. Cheap to clone. Pictures may wait up to a quarter of a
/// second, so they are for threads, not for tasks; sound never waits.
#[derive(Clone)]
pub struct RecordHandle(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    /// Gone once finished.
    recorder: Mutex<Option<Recorder>>,
    most_frames: usize,
    patience: Duration,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Job>,
    bytes: usize,
    closed: bool,
    /// Tracks of which a picture was left out.
    lost: BTreeSet<TrackId>,
    counts: RecordCounts,
}

enum Job {
    Video(TrackId, EncodedPicture),
    Audio(TrackId, EncodedSound),
}

impl Job {
    fn bytes(&self) -> usize {
        match self {
            Self::Video(_, picture) => picture.data.len(),
            Self::Audio(_, sound) => sound.data.len(),
        }
    }

    /// The track of a picture, and whether decoding can start at it.
    const fn picture(&self) -> Option<(TrackId, bool)> {
        match self {
            Self::Video(track, picture) => Some((*track, picture.key)),
            Self::Audio(..) => None,
        }
    }
}

impl RecordSink {
    /// Starts the thread. `on_error` is told each error once, from that thread.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(
        recorder: Recorder,
        on_error: impl FnMut(RecordError) + Send + 'static,
    ) -> std::io::Result<Self> {
        Self::with_bounds(recorder, on_error, MOST_FRAMES, PATIENCE)
    }

    pub(super) fn with_bounds(
        recorder: Recorder,
        on_error: impl FnMut(RecordError) + Send + 'static,
        most_frames: usize,
        patience: Duration,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            changed: Condvar::new(),
            recorder: Mutex::new(Some(recorder)),
            most_frames,
            patience,
        });
        let writer = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("recorder".into())
            .spawn(move || writer.write_all(on_error))?;
        Ok(Self {
            handle: RecordHandle(shared),
            thread: Some(thread),
        })
    }

    /// For giving frames.
    #[must_use]
    pub fn handle(&self) -> RecordHandle {
        self.handle.clone()
    }

    /// Writes everything that waits, completes the file, and ends the thread.
    ///
    /// # Errors
    /// When the file could not be completed; what was recorded is kept.
    pub fn finish(mut self) -> Result<RecordCounts, RecordError> {
        self.end()?;
        Ok(self.handle.counts())
    }

    fn end(&mut self) -> Result<(), RecordError> {
        let shared = &self.handle.0;
        lock(&shared.state).closed = true;
        shared.changed.notify_all();
        // A thread that panicked has told so itself.
        self.thread
            .take()
            .and_then(|thread| thread.join().ok())
            .unwrap_or(Ok(()))
    }
}

impl Drop for RecordSink {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            tracing::warn!("{error}");
        }
    }
}

impl RecordHandle {
    /// Adds a track; see [`Recorder::add_track`]. Waits for a write in progress.
    ///
    /// # Errors
    /// When the file does not take it. Nothing is recorded after the end.
    pub fn add_track(&self, info: TrackInfo) -> Result<TrackId, RecordError> {
        match lock(&self.0.recorder).as_mut() {
            Some(recorder) => recorder.add_track(info),
            None => Ok(TrackId(usize::MAX)),
        }
    }

    /// Gives a picture; false where it is left out.
    pub fn video(&self, track: TrackId, picture: EncodedPicture) -> bool {
        self.0.push(Job::Video(track, picture))
    }

    /// Gives a packet of sound, without ever waiting; false where it is left out.
    pub fn audio(&self, track: TrackId, sound: EncodedSound) -> bool {
        self.0.push(Job::Audio(track, sound))
    }

    /// What became of the frames so far.
    #[must_use]
    pub fn counts(&self) -> RecordCounts {
        lock(&self.0.state).counts
    }
}

/// A poisoned lock only means that another thread panicked; the data is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn push(&self, job: Job) -> bool {
        // Sound comes from a task, which must not be held up; it is small and many.
        let patience = if job.picture().is_some() {
            self.patience
        } else {
            Duration::ZERO
        };
        let until = Instant::now() + patience;
        let mut state = lock(&self.state);
        state.counts.given += 1;
        let useless = |state: &State| {
            let lost = job
                .picture()
                .is_some_and(|(track, key)| !key && state.lost.contains(&track));
            lost || state.closed
        };
        let full = |state: &State| {
            state.queue.len() >= self.most_frames || state.bytes + job.bytes() > MOST_BYTES
        };
        let mut waited = false;
        while !useless(&state) && full(&state) {
            let left = until.saturating_duration_since(Instant::now());
            state.counts.waited += u64::from(!waited);
            waited = true;
            if left.is_zero() {
                break;
            }
            state = self
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        if useless(&state) || full(&state) {
            state.counts.dropped += 1;
            if let Some((track, _)) = job.picture() {
                state.lost.insert(track);
            }
            return false;
        }
        if let Some((track, _)) = job.picture() {
            state.lost.remove(&track);
        }
        state.bytes += job.bytes();
        state.queue.push_back(job);
        drop(state);
        self.changed.notify_all();
        true
    }

    /// The thread: writes until closed and empty, then completes the file.
    fn write_all(&self, mut on_error: impl FnMut(RecordError)) -> Result<(), RecordError> {
        let mut ticked = Instant::now();
        loop {
            let (job, closed) = self.pop();
            let empty = job.is_none();
            let mut recorder = lock(&self.recorder);
            let Some(open) = recorder.as_mut() else {
                return Ok(());
            };
            let mut result = match job {
                Some(Job::Video(track, picture)) => open.video(track, &picture),
                Some(Job::Audio(track, sound)) => open.audio(track, &sound),
                None => Ok(()),
            };
            if result.is_ok() && ticked.elapsed() >= TICK {
                ticked = Instant::now();
                result = open.tick(Timestamp::now());
            }
            if closed && empty {
                return recorder.take().map_or(Ok(()), Recorder::finish);
            }
            drop(recorder);
            if let Err(error) = result {
                on_error(error);
            }
        }
    }

    /// The next job, or none after a tick without any; and whether none will follow.
    fn pop(&self) -> (Option<Job>, bool) {
        let mut state = lock(&self.state);
        if state.queue.is_empty() && !state.closed {
            state = self
                .changed
                .wait_timeout(state, TICK)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        let closed = state.closed;
        let job = state.queue.pop_front();
        if let Some(job) = &job {
            state.bytes -= job.bytes();
            self.changed.notify_all();
        }
        (job, closed)
    }
}

//! A pipe as a source: what is written is given when it comes, and no faster than it says.
//!
//! A thread reads and takes apart; a queue of eight items lies between it and the call. Where
//! the queue is full the thread waits, and with it, by the pipe, who writes. Where it is empty
//! the call waits for nobody: it sends no picture, or no sound, until there is one again.

mod pace;

use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use super::input::{Input, Problem};
use super::pace::{LONGEST_SLEEP, RealTime, Sleeper};
use super::pipe::{PipeFrom, Reading};
use super::source::{Demux, Item, Unit};
use crate::media::capture::{AudioItem, AudioSource, SourceError, VideoItem, VideoSource};
use crate::media::clock::Timestamp;
use crate::media::devices::{Held, OPEN_LIMIT};
use pace::{Due, Pace};

/// Items between the reader and the call.
const QUEUE: usize = 8;

/// Enough to tell every kind of content.
const HEAD: u64 = 16;

/// One item and when it was there.
struct Come<T> {
    unit: Unit<T>,
    at: Timestamp,
}

type News<T> = Result<Come<T>, Problem>;

/// See the module.
pub(super) struct Live<T, S = RealTime> {
    name: String,
    described: Arc<Mutex<String>>,
    /// Dropped before the thread is waited for, which may wait for room in it.
    items: Receiver<News<T>>,
    /// Whether the reader has had to wait since this was last asked.
    full: Arc<AtomicBool>,
    pending: Option<Come<T>>,
    begun: bool,
    over: bool,
    pace: Pace,
    sleeper: S,
    _held: Option<Held>,
}

impl<T: Item + 'static> Live<T> {
    /// Opens the pipe; `demux` takes apart what comes, given its first bytes, on a thread of its own.
    pub(super) fn open(
        from: &PipeFrom,
        demux: impl FnOnce(Input, &[u8]) -> Result<Box<dyn Demux<T>>, Problem> + Send + 'static,
    ) -> Result<Self, SourceError> {
        let name = from.to_string();
        let trouble = |problem: String| SourceError::Device {
            device: name.clone(),
            problem,
            hint: from.hint(),
        };
        let file = from
            .open()
            .map_err(|error| trouble(format!("cannot be opened: {error}")))?;
        let (sender, items) = sync_channel(QUEUE);
        let full = Arc::new(AtomicBool::new(false));
        let described = Arc::new(Mutex::new("nothing yet".to_owned()));
        let reader = Reader {
            sender,
            full: Arc::clone(&full),
            described: Arc::clone(&described),
        };
        let held = Held::open("pipe", OPEN_LIMIT, move |opened, stop| {
            if opened.tell(()) {
                reader.run(Reading::new(file, stop), demux);
            }
        });
        let (held, ()) = held.ok_or_else(|| trouble("the system gives no thread".into()))?;
        Ok(Self {
            _held: Some(held),
            ..Self::with_sleeper(name, described, items, full, RealTime)
        })
    }
}

impl<T: Item, S: Sleeper> Live<T, S> {
    fn with_sleeper(
        name: String,
        described: Arc<Mutex<String>>,
        items: Receiver<News<T>>,
        full: Arc<AtomicBool>,
        sleeper: S,
    ) -> Self {
        Self {
            name,
            described,
            items,
            full,
            pending: None,
            begun: false,
            over: false,
            pace: Pace::default(),
            sleeper,
            _held: None,
        }
    }

    fn give(&mut self) -> Result<Option<T>, SourceError> {
        if self.over {
            return Ok(None);
        }
        if self.pending.is_none() {
            match self.items.recv_timeout(LONGEST_SLEEP) {
                Ok(Ok(come)) if !self.begun && !come.unit.item.starts() => {
                    return Ok(Some(T::nothing()));
                }
                Ok(Ok(come)) => self.pending = Some(come),
                Ok(Err(problem)) => {
                    self.over = true;
                    return Err(problem.of(self.name.as_ref()));
                }
                Err(RecvTimeoutError::Timeout) => return Ok(Some(T::nothing())),
                Err(RecvTimeoutError::Disconnected) => {
                    self.over = true;
                    return Ok(None);
                }
            }
        }
        let Some(come) = &self.pending else {
            return Ok(Some(T::nothing()));
        };
        let (time, came) = (come.unit.time, come.at);
        let mut due = self.pace.due(time, self.sleeper.now());
        if let Due::In(pause) = due {
            self.sleeper.sleep(pause.min(LONGEST_SLEEP));
            due = self.pace.due(time, self.sleeper.now());
        }
        let Due::Now(at) = due else {
            return Ok(Some(T::nothing()));
        };
        let full = self.full.swap(false, Ordering::Relaxed);
        self.pace.gave(at.since(came), full, self.sleeper.now());
        self.begun = true;
        Ok(self.pending.take().map(|mut come| {
            come.unit.item.stamp(at);
            come.unit.item
        }))
    }

    fn words(&self) -> String {
        let described = self.described.lock();
        let described = described.unwrap_or_else(PoisonError::into_inner);
        format!("{}: {described}", self.name)
    }
}

impl<S: Sleeper> VideoSource for Live<VideoItem, S> {
    fn next(&mut self) -> Result<Option<VideoItem>, SourceError> {
        self.give()
    }

    fn describe(&self) -> String {
        self.words()
    }
}

impl<S: Sleeper> AudioSource for Live<AudioItem, S> {
    fn next(&mut self) -> Result<Option<AudioItem>, SourceError> {
        self.give()
    }

    fn describe(&self) -> String {
        self.words()
    }
}

/// The thread's things.
struct Reader<T> {
    sender: SyncSender<News<T>>,
    full: Arc<AtomicBool>,
    described: Arc<Mutex<String>>,
}

impl<T> Reader<T> {
    fn run(
        self,
        mut bytes: impl Read + Send + 'static,
        demux: impl FnOnce(Input, &[u8]) -> Result<Box<dyn Demux<T>>, Problem>,
    ) {
        let mut given = false;
        let mut head = Vec::new();
        let read = (&mut bytes).take(HEAD).read_to_end(&mut head);
        let told = match read {
            Err(error) => Err(error.into()),
            Ok(0) => Err(Problem::Closed("and nothing was written".into())),
            Ok(_) => {
                let whole = std::io::Cursor::new(head.clone()).chain(bytes);
                demux(Input::once(whole), &head).and_then(|demux| self.pump(demux, &mut given))
            }
        };
        let told = match told {
            Ok(()) | Err(Problem::NoFrame | Problem::Empty) if !given => Err(Problem::Closed(
                "before the first whole picture or packet had come".into(),
            )),
            told => told,
        };
        if let Err(problem) = told {
            // Nobody may be left to hear it.
            let _ = self.sender.send(Err(problem));
        }
    }

    fn pump(&self, mut demux: Box<dyn Demux<T>>, given: &mut bool) -> Result<(), Problem> {
        *self
            .described
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = demux.describe();
        while let Some(unit) = demux.next()? {
            *given = true;
            let come = Come {
                unit,
                at: Timestamp::now(),
            };
            let sent = match self.sender.try_send(Ok(come)) {
                Err(TrySendError::Full(come)) => {
                    self.full.store(true, Ordering::Relaxed);
                    self.sender.send(come).is_ok()
                }
                sent => sent.is_ok(),
            };
            if !sent {
                return Ok(());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

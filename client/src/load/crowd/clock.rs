//! Hands frames to all peers when they are due: one task for each of a few phases, whatever the number of peers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::peer::Shared;
use crate::measure::histogram::Histogram;
use crate::media::clock::Timestamp;
use crate::media::frame::{EncodedPicture, EncodedSound, VideoCodec};
use crate::peer::{LocalAudio, LocalVideo};

/// Peers are spread over so many phases of a frame, so that not all send at one moment.
pub(super) const PHASES: usize = 10;

/// Who is sent to, and as whom.
#[derive(Clone)]
enum Target {
    Picture(LocalVideo),
    Sound(LocalAudio),
}

/// One connection that is fed.
struct Fed {
    /// The connection, of all that there ever were.
    link: u64,
    target: Target,
}

#[derive(Default)]
struct Phase {
    pictures: Vec<Fed>,
    sounds: Vec<Fed>,
}

/// The handle; all clones are one.
#[derive(Clone)]
pub(super) struct Clock {
    phases: Arc<Vec<Mutex<Phase>>>,
    stopped: Arc<AtomicBool>,
    /// How long after their time frames were handed out: what this program itself is behind.
    late: Arc<Mutex<Histogram>>,
}

impl Clock {
    /// Starts the tasks; they end when they are told to.
    pub(super) fn start(shared: &Arc<Shared>) -> Self {
        let clock = Self {
            phases: Arc::new((0..PHASES).map(|_| Mutex::default()).collect()),
            stopped: Arc::default(),
            late: Arc::default(),
        };
        let start = Instant::now();
        for phase in 0..PHASES {
            for pictures in [true, false] {
                let row = match pictures {
                    true => &shared.prepared.pictures,
                    false => &shared.prepared.sounds,
                };
                if row.len() > 0 {
                    let clock = clock.clone();
                    tokio::spawn(clock.tick(Arc::clone(shared), phase, pictures, start));
                }
            }
        }
        clock
    }

    /// How late frames were handed out.
    pub(super) fn late(&self) -> Histogram {
        self.late
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// No more frames.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Feeds a connection.
    pub(super) fn feed(
        &self,
        from: usize,
        link: u64,
        video: Option<LocalVideo>,
        audio: Option<LocalAudio>,
    ) {
        self.with(from, |phase| {
            if let Some(video) = video {
                let target = Target::Picture(video);
                phase.pictures.push(Fed { link, target });
            }
            if let Some(audio) = audio {
                let target = Target::Sound(audio);
                phase.sounds.push(Fed { link, target });
            }
        });
    }

    /// Feeds it no more.
    pub(super) fn forget(&self, from: usize, link: u64) {
        self.with(from, |phase| {
            phase.pictures.retain(|fed| fed.link != link);
            phase.sounds.retain(|fed| fed.link != link);
        });
    }

    fn with(&self, from: usize, change: impl FnOnce(&mut Phase)) {
        if let Some(phase) = self.phases.get(from % PHASES) {
            change(&mut phase.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }

    async fn tick(self, shared: Arc<Shared>, phase: usize, pictures: bool, start: Instant) {
        let prepared = &shared.prepared;
        let (row, rate) = match pictures {
            true => (&prepared.pictures, prepared.fps),
            false => (&prepared.sounds, super::prepared::PACKETS),
        };
        let every = Duration::from_secs(1) / rate;
        let first = start + every * u32::try_from(phase).unwrap_or(0) / PHASES as u32;
        let mut number = 0_usize;
        for count in 0_u32.. {
            // From the count, so that nothing adds up.
            let due = first + Duration::from_secs(u64::from(count)) / rate;
            sleep_until(due).await;
            if self.stopped.load(Ordering::Relaxed) {
                return;
            }
            let Some((data, key)) = row.get(number) else {
                return;
            };
            let at = Timestamp::now();
            shared.sent(phase, pictures).note(at);
            self.late
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .add(due.elapsed());
            self.with(phase, |phase| {
                let all = if pictures {
                    &phase.pictures
                } else {
                    &phase.sounds
                };
                for fed in all {
                    match &fed.target {
                        Target::Picture(to) => {
                            to.send(EncodedPicture {
                                codec: VideoCodec::Vp8,
                                data: data.clone(),
                                key,
                                at,
                                layer: None,
                            });
                        }
                        Target::Sound(to) => {
                            to.send(EncodedSound {
                                data: data.clone(),
                                duration: every,
                                at,
                                level: None,
                            });
                        }
                    }
                }
            });
            number = (number + 1) % row.len();
        }
    }
}

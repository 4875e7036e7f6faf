//! The thread behind our sound: source, level, mute, Opus, one hand-over per peer.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::activity::Activity;
use super::wishes::OpusWishes;
use super::{SoundTarget, SourceEvent};
use crate::media::capture::{AudioItem, AudioSource};
use crate::media::clock::Timestamp;
use crate::media::codec::opus::{Content, NOT_SENT, OpusEncoder};
use crate::media::frame::{EncodedSound, SAMPLE_RATE, Sound, SoundLevel};

/// What is put into one packet (RFC 7587 recommends 20 ms).
const PACKET: Duration = Duration::from_millis(20);

/// How our sound is encoded.
#[derive(Clone, Copy, Debug)]
pub struct AudioSettings {
    /// What is going to be heard.
    pub content: Content,
    /// Silence is not sent, whether the others ask for that or not.
    pub dtx: bool,
}

impl AudioSettings {
    /// What browsers spend: 32 kbit/s for speech, 64 a channel for music.
    fn bitrate(self, channels: u16) -> u32 {
        match self.content {
            Content::Voice => 32_000,
            Content::Music => 64_000 * u32::from(channels),
        }
    }
}

/// What is done while no receiver said what it wants: as before there were wishes.
const NOTHING_SAID: OpusWishes = OpusWishes {
    stereo: true,
    max_average_bitrate: None,
    dtx: false,
    fec: true,
};

type Hook<T> = Box<dyn FnMut(T) + Send>;

struct Shared {
    targets: Mutex<HashMap<String, Arc<dyn SoundTarget>>>,
    /// What each peer asks for, from its description on.
    wishes: Mutex<HashMap<String, OpusWishes>>,
    /// What each peer's path takes, in bits a second.
    limits: Mutex<HashMap<String, u32>>,
    stop: AtomicBool,
    muted: AtomicBool,
    expected_loss: AtomicU32,
}

/// Our sound on its way to every peer; ends with its thread when dropped.
pub struct AudioSend {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl AudioSend {
    /// Starts the thread.
    ///
    /// `level` is given the level of every packet in dB of full scale, `tell` what the
    /// source has to say; both run on the thread and must not block.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(
        source: Box<dyn AudioSource>,
        settings: AudioSettings,
        level: Hook<f32>,
        tell: Hook<SourceEvent>,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            targets: Mutex::default(),
            wishes: Mutex::default(),
            limits: Mutex::default(),
            stop: AtomicBool::new(false),
            muted: AtomicBool::new(false),
            expected_loss: AtomicU32::new(0),
        });
        let worker = Worker {
            shared: Arc::clone(&shared),
            settings,
            level,
            tell,
            encoder: None,
            pending: Vec::new(),
            channels: 1,
            next_at: Timestamp::default(),
            activity: Activity::default(),
            wished: None,
            limit: u32::MAX,
            told: false,
        };
        let thread = std::thread::Builder::new()
            .name("audio-send".into())
            .spawn(move || worker.run(source))?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// A peer is connected and takes sound.
    pub fn add(&self, peer: &str, target: Arc<dyn SoundTarget>) {
        self.shared.lock().insert(peer.to_owned(), target);
    }

    /// A peer is gone.
    pub fn remove(&self, peer: &str) {
        self.shared.lock().remove(peer);
        self.shared.wishes().remove(peer);
        self.shared.limits().remove(peer);
    }

    /// What a peer's path takes of our sound, in bits a second.
    pub fn limit(&self, peer: &str, bitrate: u32) {
        self.shared.limits().insert(peer.to_owned(), bitrate);
    }

    /// What a peer asks of our sound.
    pub fn wish(&self, peer: &str, wishes: OpusWishes) {
        self.shared.wishes().insert(peer.to_owned(), wishes);
    }

    /// Mutes or unmutes: muted sends real silence (W3C mediacapture-main, section 4.3.1).
    pub fn set_muted(&self, muted: bool) {
        self.shared.muted.store(muted, Ordering::Relaxed);
    }

    /// The share of packets that the far side misses, in percent, for the in-band FEC.
    pub fn set_expected_loss(&self, percent: u32) {
        self.shared
            .expected_loss
            .store(percent.min(100), Ordering::Relaxed);
    }
}

impl Drop for AudioSend {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the audio thread ended by a panic");
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<dyn SoundTarget>>> {
        self.targets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn wishes(&self) -> MutexGuard<'_, HashMap<String, OpusWishes>> {
        self.wishes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn limits(&self) -> MutexGuard<'_, HashMap<String, u32>> {
        self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the poorest path takes: one encoder feeds all.
    fn limit(&self) -> u32 {
        self.limits().values().copied().min().unwrap_or(u32::MAX)
    }

    /// What all of them ask for; `None` where nobody said anything.
    fn wished(&self) -> Option<OpusWishes> {
        self.wishes().values().copied().reduce(OpusWishes::and)
    }
}

struct Worker {
    shared: Arc<Shared>,
    settings: AudioSettings,
    level: Hook<f32>,
    tell: Hook<SourceEvent>,
    encoder: Option<(u16, OpusEncoder)>,
    pending: Vec<i16>,
    channels: u16,
    next_at: Timestamp,
    activity: Activity,
    /// What the encoder was last told of the receivers' wishes, if it was.
    wished: Option<OpusWishes>,
    /// And of their paths.
    limit: u32,
    told: bool,
}

impl Worker {
    fn run(mut self, mut source: Box<dyn AudioSource>) {
        while !self.shared.stop.load(Ordering::Relaxed) {
            match source.next() {
                Ok(Some(AudioItem::Raw(sound))) => self.raw(sound),
                Ok(Some(AudioItem::Encoded(packet))) => self.encoded(&packet),
                Ok(Some(AudioItem::Nothing)) => {}
                Ok(Some(AudioItem::Interrupted(why))) => {
                    // What was half heard has nothing to do with what comes.
                    self.pending.clear();
                    (self.tell)(SourceEvent::Interrupted(why));
                }
                Ok(Some(AudioItem::Resumed(what))) => (self.tell)(SourceEvent::Resumed(what)),
                Ok(None) => return (self.tell)(SourceEvent::Ended),
                Err(error) => return (self.tell)(SourceEvent::Failed(error.to_string())),
            }
        }
    }

    fn encoded(&mut self, packet: &EncodedSound) {
        if self.shared.muted.load(Ordering::Relaxed) {
            let frames = packet.duration.as_micros() as usize * SAMPLE_RATE as usize / 1_000_000;
            self.raw(Sound {
                samples: vec![0; frames],
                channels: 1,
                at: packet.at,
            });
        } else {
            self.hand_out(packet);
        }
    }

    fn raw(&mut self, mut sound: Sound) {
        if sound.channels != self.channels {
            self.pending.clear();
            self.channels = sound.channels.max(1);
        }
        if self.shared.muted.load(Ordering::Relaxed) {
            sound.samples.fill(0);
        }
        if self.pending.is_empty() {
            self.next_at = sound.at;
        }
        self.pending.extend_from_slice(&sound.samples);
        let size =
            usize::from(self.channels) * SAMPLE_RATE as usize * PACKET.as_millis() as usize / 1000;
        while self.pending.len() >= size {
            let rest = self.pending.split_off(size);
            let block = std::mem::replace(&mut self.pending, rest);
            let level = level_dbfs(&block);
            (self.level)(level);
            let level = self.activity.hear(level);
            self.encode(block, level);
            self.next_at = self.next_at + PACKET;
        }
    }

    fn encode(&mut self, block: Vec<i16>, level: SoundLevel) {
        if self.shared.lock().is_empty() {
            return;
        }
        let wished = self.shared.wished();
        // A voice is one; music is sent as the user wants it, which every receiver takes.
        let mono = self.settings.content == Content::Voice && wished.is_some_and(|w| !w.stereo);
        let channels = if mono { 1 } else { self.channels };
        if self.encoder.as_ref().is_none_or(|(c, _)| *c != channels) {
            match OpusEncoder::new(
                channels,
                self.settings.content,
                self.settings.bitrate(channels),
            ) {
                Ok(encoder) => {
                    self.encoder = Some((channels, encoder));
                    // A new one has yet to be told.
                    self.wished = None;
                    self.told = false;
                }
                Err(error) => return tracing::error!("{error}"),
            }
        }
        let Some((_, encoder)) = &mut self.encoder else {
            return;
        };
        let path = self.shared.limit();
        if (self.wished, self.limit) != (wished, path) || !std::mem::replace(&mut self.told, true) {
            self.wished = wished;
            self.limit = path;
            let rate = self.settings.bitrate(channels);
            let wishes = wished.unwrap_or(NOTHING_SAID);
            let limit = wishes.max_average_bitrate.unwrap_or(u32::MAX).min(path);
            let dtx = self.settings.dtx || wishes.dtx;
            let set = encoder
                .set_bitrate(rate.min(limit))
                .and_then(|()| encoder.set_fec(wishes.fec))
                .and_then(|()| encoder.set_dtx(dtx));
            if let Err(error) = set {
                tracing::warn!("{error}");
            }
        }
        let loss = self.shared.expected_loss.load(Ordering::Relaxed);
        if let Err(error) = encoder.set_expected_loss(loss as u8) {
            tracing::warn!("{error}");
        }
        let sound = Sound {
            samples: block,
            // The encoder makes one of two.
            channels: self.channels,
            at: self.next_at,
        };
        match encoder.encode(&sound) {
            Ok(packet) if packet.data.len() <= NOT_SENT => {}
            Ok(packet) => self.hand_out(&EncodedSound {
                level: Some(level),
                ..packet
            }),
            Err(error) => tracing::warn!("{error}"),
        }
    }

    fn hand_out(&self, packet: &EncodedSound) {
        for target in self.shared.lock().values() {
            target.send(packet);
        }
    }
}

/// Root mean square of a block in dB of full scale, -127 for silence (RFC 6464's range).
#[must_use]
pub fn level_dbfs(samples: &[i16]) -> f32 {
    if samples.is_empty() {
        return -127.0;
    }
    let square: f64 = samples.iter().map(|s| f64::from(*s).powi(2)).sum();
    let rms = (square / samples.len() as f64).sqrt() / 32768.0;
    (20.0 * rms.max(1e-9).log10()).max(-127.0) as f32
}

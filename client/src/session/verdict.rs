//! What is measured for a verdict, where one was asked for: gathered from the threads that see and hear.

mod pictures;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rtc_verdict::Record;
use rtc_verdict::figures::Totals;
use rtc_verdict::record::PeerRecord;
use rtc_verdict::report::SamplePicture;
use serde_json::Value;

use crate::event::{Kind, PeerRef};
use crate::measure::audio::Listened;
use crate::measure::marks::Mark;
use crate::measure::video::Look;
use crate::media::clock::Timestamp;
use crate::media::convert::to_rgb;
use crate::media::frame::{Picture, SAMPLE_RATE, Sound};
use crate::options::AudioFrom;
pub(super) use pictures::KeptPictures;

/// The record of a call, shared by who measures; nothing where nobody asked for a verdict. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Measured(Option<Arc<Shared>>);

struct Shared {
    began: Timestamp,
    /// The tone that we send, in Hz; 0 where it is none.
    own_tone: AtomicU32,
    kept: Mutex<Kept>,
    /// For what is judged at the end, where that was asked for.
    pictures: Mutex<Option<KeptPictures>>,
}

#[derive(Default)]
struct Kept {
    record: Record,
    peers: HashMap<String, Beside>,
    /// When it was over: what comes later is no part of it.
    over: Option<Duration>,
}

/// What is known of a peer beside its record.
#[derive(Default)]
struct Beside {
    totals: Totals,
    /// Since when its connection does not stand.
    troubled: Option<Duration>,
    audio_latency: Option<f64>,
    pictures: Pictures,
}

impl Beside {
    /// Adds that its connection does not stand as if it stood again now.
    fn disconnected(&self, peer: &mut PeerRecord, at: Duration) {
        if let Some(since) = self.troubled {
            peer.add(
                "network.disconnected",
                since,
                millis(at.saturating_sub(since)),
            );
        }
    }
}

/// For how long something of a peer stands still that may go on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Standing {
    /// Its picture, where that is a freeze by now.
    pub(super) picture: Option<Duration>,
    /// Its tone is missing.
    pub(super) tone: Option<Duration>,
}

impl Standing {
    /// Adds it as if it ended now.
    fn end(self, peer: &mut PeerRecord, at: Duration) {
        for (name, since) in [("video.freeze", self.picture), ("audio.silence", self.tone)] {
            if let Some(since) = since {
                peer.add(name, at.saturating_sub(since), millis(since));
            }
        }
    }
}

/// A few of its pictures, to be looked at.
#[derive(Default)]
struct Pictures {
    first: Option<(Duration, Arc<Picture>)>,
    last: Option<(Duration, Arc<Picture>)>,
    worst: Option<(f64, Duration, Arc<Picture>)>,
}

impl Measured {
    /// Begins now; with `pictures`, keeps some for the end.
    pub(super) fn begin(pictures: Option<KeptPictures>) -> Self {
        Self(Some(Arc::new(Shared {
            pictures: Mutex::new(pictures),
            began: Timestamp::now(),
            own_tone: AtomicU32::new(0),
            kept: Mutex::default(),
        })))
    }

    /// From now on this is what we send.
    pub(super) fn sends(&self, audio: &AudioFrom) {
        let hz = match audio {
            AudioFrom::Tone(hz) => *hz,
            _ => 0,
        };
        if let Some(shared) = &self.0 {
            shared.own_tone.store(hz, Ordering::Relaxed);
        }
    }

    /// The tone that we send, whose echo is looked for.
    pub(super) fn own_tone(&self) -> Option<u32> {
        let shared = self.0.as_ref()?;
        Some(shared.own_tone.load(Ordering::Relaxed)).filter(|hz| *hz > 0)
    }

    fn with(
        &self,
        at: Timestamp,
        who: &PeerRef,
        add: impl FnOnce(&mut PeerRecord, &mut Beside, Duration),
    ) {
        let Some(shared) = &self.0 else { return };
        let at = at.since(shared.began);
        let mut kept = lock(&shared.kept);
        if kept.over.is_some() {
            return;
        }
        let Kept { record, peers, .. } = &mut *kept;
        let beside = peers.entry(who.id.clone()).or_default();
        add(record.peer(&who.id, &who.name, at), beside, at);
    }

    fn now(&self, who: &PeerRef, add: impl FnOnce(&mut PeerRecord, &mut Beside, Duration)) {
        self.with(Timestamp::now(), who, add);
    }

    /// Somebody is there, perhaps again.
    pub(super) fn came(&self, who: &PeerRef) {
        self.now(who, |peer, _, _| peer.back());
    }

    pub(super) fn left(&self, who: &PeerRef, reason: &str) {
        self.now(who, |peer, beside, at| {
            peer.left(at);
            peer.note(at, format!("gone: {reason}"));
            // From its leaving on it is not missed.
            if let Some(since) = beside.troubled.take() {
                peer.add("network.disconnected", since, millis(at - since));
            }
        });
    }

    pub(super) fn connected(&self, who: &PeerRef, after: Duration) {
        self.now(who, |peer, beside, at| {
            peer.once("connect", at, after);
            peer.connected(at);
            if let Some(since) = beside.troubled.take() {
                peer.add("network.disconnected", since, millis(at - since));
                peer.note(at, "the connection is back");
            }
        });
    }

    pub(super) fn troubled(&self, who: &PeerRef, state: &str) {
        self.now(who, |peer, beside, at| {
            beside.troubled.get_or_insert(at);
            peer.note(at, format!("the connection is {state}"));
        });
    }

    pub(super) fn first(&self, who: &PeerRef, kind: Kind, after: Duration) {
        let name = match kind {
            Kind::Audio => "audio.first",
            Kind::Video => "video.first",
        };
        self.now(who, |peer, _, at| peer.once(name, at, after));
    }

    /// A picture is shown; `moved` is how far it is from the last one that was another, and whether that was a freeze.
    pub(super) fn picture(
        &self,
        now: Timestamp,
        who: &PeerRef,
        picture: &Arc<Picture>,
        look: &Look,
        moved: Option<(Duration, bool)>,
    ) {
        self.with(now, who, |peer, beside, at| {
            peer.add("video.frames", at, 1.0);
            peer.add("video.width", at, f64::from(picture.width));
            peer.add("video.height", at, f64::from(picture.height));
            match look.taken {
                None => peer.add("video.unreadable", at, 1.0),
                Some(taken) => {
                    peer.add("video.marked", at, 1.0);
                    peer.add("video.latency", at, millis(now.since(taken)));
                    add_if(peer, "video.missing", at, look.missing as f64);
                    add_if(
                        peer,
                        "video.repeated",
                        at,
                        f64::from(u8::from(!look.is_new && !look.late)),
                    );
                    add_if(peer, "video.late", at, f64::from(u8::from(look.late)));
                }
            }
            if let Some((distance, frozen)) = moved {
                peer.add("video.interval", at, millis(distance));
                if frozen {
                    // It stood still from when it began.
                    peer.add(
                        "video.freeze",
                        at.saturating_sub(distance),
                        millis(distance),
                    );
                }
            }
            if let Some((psnr, ssim)) = look.quality {
                peer.add("video.psnr", at, psnr);
                peer.add("video.ssim", at, ssim);
                beside.pictures.compared(psnr, at, picture);
            }
            beside.pictures.shown(at, picture);
        });
        self.keep(now, who, picture, look);
    }

    fn keep(&self, now: Timestamp, who: &PeerRef, picture: &Arc<Picture>, look: &Look) {
        let Some(shared) = &self.0 else { return };
        let mark = look.number.zip(look.taken).filter(|_| look.is_new);
        let mut kept = shared
            .pictures
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let (Some((number, at)), Some(kept)) = (mark, &mut *kept) {
            kept.show(
                &who.id,
                now.since(shared.began),
                Mark { number, at },
                picture,
            );
        }
    }

    /// Judges the pictures that were kept, which takes a while; the record has it then.
    ///
    /// # Errors
    /// When they could not be kept, or not judged.
    pub(super) async fn judge_pictures(&self) -> Result<(), String> {
        let Some(shared) = &self.0 else { return Ok(()) };
        let pictures = shared
            .pictures
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(pictures) = pictures else {
            return Ok(());
        };
        let scores = pictures.scores().await?;
        let mut kept = lock(&shared.kept);
        for (peer, scores) in scores {
            for (at, score) in scores {
                kept.record.peer(&peer, "", at).add("video.vmaf", at, score);
            }
        }
        Ok(())
    }

    /// Sound was heard whose first sample came at `at`.
    pub(super) fn sound(&self, at: Timestamp, who: &PeerRef, sound: &Sound, told: &Listened) {
        self.with(at, who, |peer, beside, at| {
            let samples = sound.samples.len() / usize::from(sound.channels.max(1));
            let seconds = samples as f64 / f64::from(SAMPLE_RATE);
            peer.add("audio.seconds", at, seconds);
            if told.tone {
                peer.add("audio.tone", at, seconds);
            }
            add_if(peer, "audio.gaps", at, told.gaps as f64);
            add_if(peer, "audio.clicks", at, told.clicks as f64);
            for silence in &told.silences {
                peer.add(
                    "audio.silence",
                    at.saturating_sub(*silence),
                    millis(*silence),
                );
            }
            for late in &told.late {
                peer.add("audio.latency", at, millis(*late));
                beside.audio_latency = Some(millis(*late));
            }
            for second in &told.seconds {
                peer.add("audio.frequency", at, second.hz);
                peer.add("audio.purity", at, second.purity);
                peer.add("audio.level", at, second.level_dbfs);
                if let Some(echo) = second.echo_db {
                    peer.add("audio.echo", at, echo);
                }
            }
        });
    }

    /// How far sound was behind its picture, milliseconds.
    pub(super) fn lips(&self, at: Timestamp, who: &PeerRef, apart: f64) {
        self.with(at, who, |peer, _, at| peer.add("lipsync", at, apart.abs()));
    }

    /// What the connection tells of itself.
    pub(super) fn report(&self, who: &PeerRef, report: &Value) {
        self.now(who, |peer, beside, at| {
            beside.totals.take(peer, at, report, beside.audio_latency);
        });
    }

    /// The picture of a peer stands still at the end of the call, or its tone is missing.
    pub(super) fn still(&self, who: &PeerRef, standing: Standing) {
        self.now(who, |peer, _, at| standing.end(peer, at));
    }

    /// Something happened that explains figures.
    pub(super) fn note(&self, who: &PeerRef, text: &str) {
        self.now(who, |peer, _, at| peer.note(at, text));
    }

    /// The record as if the call were over now, where this stands still of those who are there.
    pub(super) fn so_far<'a>(
        &self,
        now: Timestamp,
        standing: impl IntoIterator<Item = (&'a PeerRef, Standing)>,
    ) -> Record {
        let Some(shared) = &self.0 else {
            return Record::default();
        };
        let at = now.since(shared.began);
        let kept = lock(&shared.kept);
        let mut record = kept.record.clone();
        for (id, beside) in &kept.peers {
            beside.disconnected(record.peer(id, "", at), at);
        }
        drop(kept);
        for (who, standing) in standing {
            standing.end(record.peer(&who.id, &who.name, at), at);
        }
        record.begin_at(Duration::from_micros(shared.began.as_micros()));
        record.end(at);
        record
    }

    /// The call is over now.
    pub(super) fn over(&self) {
        if let Some(shared) = &self.0 {
            let now = Timestamp::now().since(shared.began);
            lock(&shared.kept).over.get_or_insert(now);
        }
    }

    /// The record of a call that is over, and some of its pictures.
    pub(super) fn end(self) -> Option<(Record, Vec<SamplePicture>)> {
        let shared = self.0?;
        let mut kept = lock(&shared.kept);
        let Kept {
            mut record,
            peers,
            over,
        } = std::mem::take(&mut *kept);
        drop(kept);
        let at = over.unwrap_or_else(|| Timestamp::now().since(shared.began));
        record.begin_at(Duration::from_micros(shared.began.as_micros()));
        record.end(at);
        let mut pictures = Vec::new();
        for (id, beside) in peers {
            let peer = record.peer(&id, "", at);
            beside.disconnected(peer, at);
            pictures.extend(beside.pictures.samples(&peer.name));
        }
        Some((record, pictures))
    }
}

impl Pictures {
    fn shown(&mut self, at: Duration, picture: &Arc<Picture>) {
        let shown = (at, Arc::clone(picture));
        self.first.get_or_insert_with(|| shown.clone());
        self.last = Some(shown);
    }

    fn compared(&mut self, psnr: f64, at: Duration, picture: &Arc<Picture>) {
        if self.worst.as_ref().is_none_or(|(worst, ..)| psnr < *worst) {
            self.worst = Some((psnr, at, Arc::clone(picture)));
        }
    }

    fn samples(self, peer: &str) -> impl Iterator<Item = SamplePicture> {
        let worst = self.worst.map(|(psnr, at, picture)| {
            (
                at,
                format!("the least like the known one, PSNR {psnr:.1} dB"),
                picture,
            )
        });
        let first = self.first.map(|(at, p)| (at, "the first".to_owned(), p));
        let last = self.last.map(|(at, p)| (at, "the last".to_owned(), p));
        [first, worst, last]
            .into_iter()
            .flatten()
            .filter_map(move |(at, caption, picture)| {
                Some(SamplePicture {
                    peer: peer.to_owned(),
                    at,
                    caption,
                    png: png(&picture)?,
                })
            })
    }
}

/// Nothing where it cannot be drawn.
fn png(picture: &Picture) -> Option<Vec<u8>> {
    let rgb = to_rgb(picture).ok()?;
    let image = image::RgbImage::from_raw(picture.width, picture.height, rgb)?;
    let mut file = std::io::Cursor::new(Vec::new());
    image.write_to(&mut file, image::ImageFormat::Png).ok()?;
    Some(file.into_inner())
}

/// That nothing happened is not worth a line.
fn add_if(peer: &mut PeerRecord, name: &str, at: Duration, value: f64) {
    if value != 0.0 {
        peer.add(name, at, value);
    }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn lock(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use rtc_verdict::judge::judge;

    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn holds(record: &Record, text: &str) -> bool {
        judge(record, &[text.parse().unwrap()])[0].held
    }

    #[test]
    fn what_still_goes_on_is_in_the_record_so_far() {
        let bob = PeerRef {
            id: "1".into(),
            name: "bob".into(),
        };
        let measured = Measured::begin(None);
        measured.connected(&bob, MS(20));
        for name in ["video.frames", "audio.tone"] {
            measured.now(&bob, |peer, _, at| peer.add(name, at, 1.0));
        }
        measured.troubled(&bob, "disconnected");
        let now = Timestamp::now() + MS(10_000);
        let standing = Standing {
            picture: Some(MS(9_000)),
            tone: Some(MS(8_000)),
        };
        let before = measured.so_far(now, []);
        assert!(holds(&before, "video.freeze==0"));
        let record = measured.so_far(now, [(&bob, standing)]);
        assert!(holds(&record, "video.freeze==9s"));
        assert!(holds(&record, "audio.silence==8s"));
        assert!(holds(&record, "network.disconnected>=10s"));
        // It was only looked at.
        measured.connected(&bob, MS(20));
        let record = measured.so_far(now, []);
        assert!(holds(&record, "video.freeze==0"));
        assert!(holds(&record, "network.disconnected<5s"));
    }
}

//! One far peer: its connection, its media, and what is known of it.

use std::net::IpAddr;
use std::time::Duration;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::far::FarMedia;
use super::figures::{self, ExpectedLoss};
use super::outcome::PeerFacts;
use super::promise::Promise;
use crate::e2ee::Incoming;
use crate::event::{Kind, PeerRef, PeerSummary, Undecryptable};
use crate::media::clock::Timestamp;
use crate::media::receive::audio::AudioReceive;
use crate::media::receive::sync::PeerSync;
use crate::media::receive::video::{VideoCounts, VideoReceive};
use crate::media::send::wishes::OpusWishes;
use crate::peer::{ConnectionState, Peer, PeerConfig, PeerError, PeerEvent, VideoFormat};

/// News of one connection that wait for the session; the connection waits when they are more.
const NEWS: usize = 256;

/// News of a connection, with the link it belongs to: a replaced link's late news are told apart.
#[derive(Debug)]
pub(super) struct News {
    pub(super) peer: String,
    pub(super) link: u64,
    pub(super) event: PeerEvent,
}

/// A picture that waits longer than this for a key frame is not merely slow.
const STUCK: Duration = Duration::from_secs(5);

pub(super) struct Link {
    /// Tells this link from an earlier one to the same peer.
    pub(super) number: u64,
    pub(super) peer: std::sync::Arc<Peer>,
    pub(super) state: ConnectionState,
    /// What the far side takes, once negotiated.
    pub(super) format: Option<VideoFormat>,
    /// What its path takes of our pictures and of our sound, bits a second.
    pub(super) bitrates: Option<(u32, u32)>,
    /// What it asks of our sound.
    pub(super) wishes: Option<OpusWishes>,
    /// We have made the first offer, or are about to.
    pub(super) offers: bool,
    /// When we make it after all: whose turn it is may know nothing of that.
    pub(super) offer_at: Option<Instant>,
    /// The far side's session that this link took the place of; what is said of that is late.
    pub(super) not_from: Option<String>,
    pub(super) promise: Promise,
    pub(super) video: Vec<VideoReceive>,
    pub(super) audio: Vec<AudioReceive>,
    /// Keeps its picture and sound together.
    pub(super) sync: PeerSync,
    pub(super) chat_open: bool,
    /// The address of this machine that it goes by.
    pub(super) local: Option<IpAddr>,
    /// That its pictures wait for a key frame was told.
    stuck: bool,
    /// When an unwell connection turned so.
    pub(super) unwell_since: Option<Instant>,
    /// When frames were last counted, and how many there were.
    rated: Option<(Instant, u64)>,
    _forward: AbortOnDropHandle<()>,
}

impl Link {
    pub(super) async fn open(
        id: &str,
        number: u64,
        config: PeerConfig,
        news: mpsc::Sender<News>,
    ) -> Result<Self, PeerError> {
        let (sender, mut receiver) = mpsc::channel(NEWS);
        let peer = Peer::start(config, sender).await?;
        let id = id.to_owned();
        let forward = tokio::spawn(async move {
            while let Some(event) = receiver.recv().await {
                let peer = id.clone();
                let link = number;
                if news.send(News { peer, link, event }).await.is_err() {
                    return;
                }
            }
        });
        Ok(Self {
            number,
            peer: std::sync::Arc::new(peer),
            state: ConnectionState::New,
            format: None,
            bitrates: None,
            wishes: None,
            offers: false,
            offer_at: None,
            not_from: None,
            promise: Promise::default(),
            video: Vec::new(),
            audio: Vec::new(),
            sync: PeerSync::default(),
            chat_open: false,
            local: None,
            stuck: false,
            unwell_since: None,
            rated: None,
            _forward: AbortOnDropHandle::new(forward),
        })
    }

    /// Whether its pictures have waited for a key frame for so long that a person should know; told once for each time.
    pub(super) fn is_newly_stuck(&mut self) -> bool {
        let longest = self.video.iter().map(|video| {
            let counts = video.counts();
            counts.stuck_ms.load(Ordering::Relaxed)
        });
        let stuck = longest.max().unwrap_or(0) > STUCK.as_millis() as u64;
        !std::mem::replace(&mut self.stuck, stuck) && stuck
    }

    /// Ends the connection and waits until nothing of it is left.
    pub(super) async fn close(self) {
        drop((self.video, self.audio));
        if let Some(peer) = std::sync::Arc::into_inner(self.peer) {
            peer.close().await;
        }
    }

    /// Adds what only we know to a report of the engine: what became of frames and packets.
    pub(super) fn add_to(&mut self, report: &mut Value, incoming: Option<&Incoming>) {
        let Some(all) = report.as_object_mut() else {
            return;
        };
        let decoded = self.sum(|counts| &counts.decoded);
        let now = Instant::now();
        let (then, before) = self.rated.replace((now, decoded)).unwrap_or((now, decoded));
        let seconds = now.saturating_duration_since(then).as_secs_f64();
        let inbound = all.values_mut().filter(|s| s["type"] == "inbound-rtp");
        for stream in inbound.filter_map(Value::as_object_mut) {
            match stream.get("kind").and_then(Value::as_str) {
                Some("video") => {
                    stream.insert("framesDecoded".into(), decoded.into());
                    let dropped = self.sum(|counts| &counts.dropped);
                    stream.insert("framesDropped".into(), dropped.into());
                    if let Some(incoming) = incoming {
                        let failed = incoming.failed(Kind::Video);
                        stream.insert("framesUndecryptable".into(), failed.into());
                    }
                    let playout = self.sync.playout(Timestamp::now(), Kind::Video);
                    figures::put_playout(stream, playout);
                    figures::put_buffer(stream, self.video.iter().map(VideoReceive::buffer));
                    figures::put_freezes(stream, self.video.iter().map(VideoReceive::freezes));
                    if seconds > 0.0 {
                        let fps = decoded.saturating_sub(before) as f64 / seconds;
                        stream.insert("framesPerSecond".into(), fps.into());
                    }
                    if let Some(newest) = self.video.last().map(VideoReceive::counts) {
                        let width = newest.width.load(Ordering::Relaxed);
                        let height = newest.height.load(Ordering::Relaxed);
                        stream.insert("frameWidth".into(), width.into());
                        stream.insert("frameHeight".into(), height.into());
                    }
                }
                Some("audio") => {
                    if let Some(incoming) = incoming {
                        let failed = incoming.failed(Kind::Audio);
                        stream.insert("framesUndecryptable".into(), failed.into());
                    }
                    let playout = self.sync.playout(Timestamp::now(), Kind::Audio);
                    figures::put_playout(stream, playout);
                    let each = self.audio.iter().map(AudioReceive::counts);
                    figures::put_audio(stream, each);
                }
                _ => {}
            }
        }
    }

    fn sum(&self, count: fn(&VideoCounts) -> &AtomicU64) -> u64 {
        let each = self.video.iter().map(|v| count(v.counts()));
        each.map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// Whether nothing was said over it from either side.
    pub(super) fn silent(&self) -> bool {
        !self.offers && self.promise.origin.is_empty()
    }

    pub(super) fn connected(&self) -> bool {
        self.state == ConnectionState::Connected
    }

    /// Whether media flows or may flow again by itself.
    pub(super) fn alive(&self) -> bool {
        matches!(
            self.state,
            ConnectionState::Connected | ConnectionState::Disconnected
        )
    }
}

/// Everything about one far peer, beyond any single connection to it.
pub(super) struct Far {
    pub(super) who: PeerRef,
    /// It came by HTTP (WHIP, WHEP): it offers once to one member, and takes no offer of ours.
    pub(super) by_http: bool,
    /// It negotiates once, or the server translates for it: what we send to it is not renegotiated.
    pub(super) fixed: bool,
    /// It ever took anything of ours, and holds the call now.
    pub(super) took: bool,
    pub(super) held: bool,
    /// In the room, as the server sees it.
    pub(super) present: bool,
    /// When it came, or we did if later.
    pub(super) since: Instant,
    /// When it went.
    pub(super) until: Option<Instant>,
    pub(super) connected_after: Option<Duration>,
    pub(super) first_picture_after: Option<Duration>,
    pub(super) first_sound_after: Option<Duration>,
    /// When media stood first.
    pub(super) connected_at: Option<Instant>,
    pub(super) lost: bool,
    pub(super) promised: Promise,
    pub(super) media: FarMedia,
    /// What decrypts its streams, over all connections to it: what it sent before must not be taken again.
    pub(super) incoming: Option<Arc<Incoming>>,
    pub(super) undecryptable: Option<Undecryptable>,
    pub(super) link: Option<Link>,
    /// ICE restarts since it was last well.
    pub(super) restarts: u32,
    /// Of our sound, on the way to it.
    pub(super) expected_loss: ExpectedLoss,
}

impl Far {
    pub(super) fn new(who: PeerRef, media: FarMedia) -> Self {
        Self {
            who,
            by_http: false,
            fixed: false,
            took: false,
            held: false,
            present: true,
            since: Instant::now(),
            until: None,
            connected_after: None,
            first_picture_after: None,
            first_sound_after: None,
            connected_at: None,
            lost: false,
            promised: Promise::default(),
            media,
            incoming: None,
            undecryptable: None,
            link: None,
            restarts: 0,
            expected_loss: ExpectedLoss::default(),
        }
    }

    pub(super) fn first(&mut self, kind: Kind, after: Duration) {
        let slot = match kind {
            Kind::Video => &mut self.first_picture_after,
            Kind::Audio => &mut self.first_sound_after,
        };
        slot.get_or_insert(after);
    }

    /// Whether there is to be a connection to it: one that came by HTTP may have another member for partner.
    pub(super) fn expected(&self) -> bool {
        !self.by_http || !self.promised.origin.is_empty()
    }

    pub(super) fn facts(&self, now: Instant) -> PeerFacts {
        let end = self.until.unwrap_or(now);
        PeerFacts {
            name: self.who.name.clone(),
            present: end.saturating_duration_since(self.since),
            connected: self
                .connected_at
                .map(|at| end.saturating_duration_since(at)),
            promised_video: self.promised.video,
            promised_audio: self.promised.audio,
            had_video: self.first_picture_after.is_some(),
            had_audio: self.first_sound_after.is_some(),
            undecryptable: self.undecryptable,
            lost: self.lost,
        }
    }

    pub(super) fn summary(&self) -> PeerSummary {
        let ms = |d: Option<Duration>| d.map(|d| d.as_secs_f64() * 1000.0);
        let seen = self.media.seen();
        PeerSummary {
            id: self.who.id.clone(),
            name: self.who.name.clone(),
            connected: self.connected_at.is_some(),
            connect_ms: ms(self.connected_after),
            first_picture_ms: ms(self.first_picture_after),
            frames_decoded: seen.frames_decoded,
            frame_width: seen.frame_width,
            frame_height: seen.frame_height,
            marks: seen.marks,
            tone: seen.tone,
            lip_sync: seen.lip_sync,
        }
    }
}

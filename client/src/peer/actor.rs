//! The one task that owns the engine's connection.

mod exchange;
mod flows;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use webrtc::data_channel::{DataChannel, DataChannelEvent};
use webrtc::peer_connection::StatsSelector;
use webrtc::rtp_transceiver::RtpSender;

use super::config::PeerConfig;
use super::engine::{Callback, Engine};
use super::event::{ConnectionState, PeerEvent, VideoFormat};
use super::local::{LocalAudio, LocalVideo};
use super::negotiation::Negotiation;
use super::send::{AudioSending, VideoSending};
use super::{CHAT_LABEL as CHAT, Command, PeerError, channel, receive, send, stats};
use crate::media::send::wishes::OpusWishes;
use rtc_protocol::{Description, Signal};

/// News of the actor's own tasks; they wait.
const NEWS: usize = 64;

/// Events that wait for the owner. From here on chat and new tracks wait in the engine.
const OUTBOX: usize = 256;

/// Chat channels that one far side may open; more are not listened to.
const CHAT_CHANNELS: usize = 4;

/// Whoever asked for a channel waits for this.
type OpenReply = tokio::sync::oneshot::Sender<Result<(), PeerError>>;

/// Where the far side has no chat, the transport is taken to stand so long after the connection.
const TRANSPORT: Duration = Duration::from_secs(1);
/// More channels than these do not wait for that.
const CHANNELS_AT_ONCE: usize = 64;

/// Channels beside chat that a connection may have open at a time; more are not listened to.
const CHANNELS: usize = 1024;

/// Remote tracks that one far side may send; more are not listened to.
const TRACKS: usize = 32;

/// Handshakes that take longer have worse problems than the engine's naps.
const HURRY: Duration = Duration::from_secs(5);

/// Key frames are large: a far side that asks more often gets them no faster.
const KEY_FRAME_INTERVAL: Duration = Duration::from_millis(100);

/// What tasks of the actor have to say.
pub(super) enum News {
    ChatOpen,
    Chat(String),
    Channel(super::Channel),
    Track(super::RemoteTrack),
    KeyFrameWanted,
    Trouble(String),
}

/// A sender of the engine, and its ids.
struct Sender {
    engine: Arc<dyn RtpSender>,
    ids: send::TrackIds,
    /// What feeds it.
    task: AbortHandle,
}

/// The state of one connection.
pub(super) struct Actor {
    engine: Engine,
    config: PeerConfig,
    negotiation: Negotiation,
    outbox: VecDeque<PeerEvent>,
    events: mpsc::Sender<PeerEvent>,
    news: (mpsc::Sender<News>, mpsc::Receiver<News>),
    /// When the engine need not hurry any more, should its handshakes not end before.
    hurry_until: Option<Instant>,
    /// When the next key frame may be asked of our encoder, and whether one is.
    key_frame_after: Instant,
    key_frame_due: bool,
    tasks: JoinSet<()>,
    video: LocalVideo,
    audio: LocalAudio,
    video_sender: Option<Sender>,
    audio_sender: Option<Sender>,
    video_sending: watch::Sender<Option<VideoSending>>,
    audio_sending: watch::Sender<Option<AudioSending>>,
    /// What the owner was last told about our pictures.
    told: Option<Option<VideoFormat>>,
    /// And of what is asked of our sound.
    wishes: Option<OpusWishes>,
    offered: receive::Offered,
    /// Who we are in DTLS, once that is agreed on: `active` or `passive`.
    role: Option<&'static str>,
    chat: Vec<Arc<dyn DataChannel>>,
    chat_open: bool,
    /// Channels that are opened once chat shows that the transport stands, or after [`TRANSPORT`].
    to_open: Vec<(channel::ChannelInit, OpenReply)>,
    open_at: tokio::time::Instant,
    /// For channels beside chat; one is free again when its channel is closed.
    places: Arc<Semaphore>,
    tracks: usize,
    prepared: bool,
    /// What the far side's description in force says, as it came, and ours, as it went.
    heard: String,
    said: String,
    /// Which senses we want to send, and whether the call is held.
    sends: [bool; 2],
    held: bool,
    /// What the owner was last told of the far side's.
    remote_flow: flows::RemoteFlow,
    /// The name of the stream that our tracks are of.
    stream: String,
    /// Our answer to the last offer.
    last_answer: Option<Description>,
    /// Descriptions that we made.
    descriptions: u64,
}

impl Actor {
    /// Opens the engine and puts our tracks into it.
    pub(super) async fn open(
        config: PeerConfig,
        events: mpsc::Sender<PeerEvent>,
        video: LocalVideo,
        audio: LocalAudio,
    ) -> Result<Self, PeerError> {
        let engine = Engine::open(&config).await?;
        let sends = [config.send_audio, config.send_video];
        let remote_flow = flows::RemoteFlow::after(config.took);
        let mut actor = Self {
            engine,
            negotiation: Negotiation::new(config.polite),
            config,
            outbox: VecDeque::new(),
            events,
            news: mpsc::channel(NEWS),
            hurry_until: None,
            key_frame_after: Instant::now(),
            key_frame_due: false,
            tasks: JoinSet::new(),
            video,
            audio,
            video_sender: None,
            audio_sender: None,
            video_sending: watch::Sender::new(None),
            audio_sending: watch::Sender::new(None),
            told: None,
            wishes: None,
            offered: receive::Offered::default(),
            role: None,
            chat: Vec::new(),
            chat_open: false,
            to_open: Vec::new(),
            open_at: tokio::time::Instant::now(),
            places: Arc::new(Semaphore::new(CHANNELS)),
            tracks: 0,
            prepared: false,
            heard: String::new(),
            said: String::new(),
            sends,
            held: false,
            remote_flow,
            stream: send::random_id(),
            last_answer: None,
            descriptions: 0,
        };
        if let Err(error) = actor.add_tracks().await {
            actor.end().await;
            return Err(PeerError::Open(error.to_string()));
        }
        Ok(actor)
    }

    /// Works until the handle closes or is dropped, or nobody hears the events any more.
    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let events = self.events.clone();
        loop {
            let room = self.outbox.len() < OUTBOX;
            tokio::select! {
                permit = events.reserve(), if !self.outbox.is_empty() => match permit {
                    Ok(permit) => if let Some(event) = self.outbox.pop_front() {
                        permit.send(event);
                    },
                    Err(_) => break,
                },
                command = commands.recv() => match command {
                    Some(Command::Close) | None => break,
                    Some(command) => self.command(command).await,
                },
                Ok(()) = self.engine.state.changed() => self.state_changed(),
                Ok(()) = self.engine.key_frames.changed() => self.want_key_frame(),
                () = tokio::time::sleep_until(self.key_frame_after.into()), if self.key_frame_due => {
                    self.want_key_frame();
                }
                () = tokio::time::sleep_until(self.open_at), if !self.to_open.is_empty() => {
                    for (init, reply) in std::mem::take(&mut self.to_open) {
                        self.open_channel(init, reply).await;
                    }
                }
                () = sleep_until(self.hurry_until), if self.hurry_until.is_some() => self.relax(),
                Ok(()) = self.engine.bitrate.changed(), if room => self.tell_bitrates(),
                Ok(()) = self.engine.shares.changed(), if room => self.tell_bitrates(),
                Some(callback) = self.engine.callbacks.recv(), if room => self.callback(callback).await,
                Some(news) = self.news.1.recv(), if room => self.news(news),
                Some(text) = self.engine.troubles.recv(), if room => {
                    self.tell(PeerEvent::ServerTrouble(text));
                }
                Some(ended) = self.tasks.join_next(), if !self.tasks.is_empty() => {
                    if let Err(error) = ended {
                        tracing::error!("a media task failed: {error}");
                    }
                }
            }
            self.negotiate().await;
        }
        self.end().await;
    }

    async fn end(mut self) {
        self.video.set_open(false);
        self.audio.set_open(false);
        self.tasks.shutdown().await;
        self.chat.clear();
        self.engine.close().await;
        // Best effort: an owner that still listens learns that it is over.
        let _ = self
            .events
            .try_send(PeerEvent::State(ConnectionState::Closed));
    }

    fn tell(&mut self, event: PeerEvent) {
        self.outbox.push_back(event);
    }

    /// By what we find out ourselves, bounded by what the far side wants (REMB; zero is nothing said).
    fn tell_bitrates(&mut self) {
        let asked = *self.engine.bitrate.borrow_and_update();
        let asked = if asked == 0 { u32::MAX } else { asked };
        let shares = *self.engine.shares.borrow_and_update();
        self.tell(PeerEvent::TargetBitrates {
            picture: shares.map_or(asked, |shares| shares.picture.min(asked)),
            sound: shares.map_or(u32::MAX, |shares| shares.sound),
        });
    }

    fn trouble(&mut self, text: String) {
        if self.outbox.len() < OUTBOX {
            self.tell(PeerEvent::Trouble(text));
        }
    }

    async fn command(&mut self, command: Command) {
        match command {
            Command::Negotiate { restart } => self.negotiation.want(restart),
            Command::MetAgain => self.negotiation.met_again(),
            Command::OfferInItsPlace => self.negotiation.offer_in_its_place(),
            Command::Signal(signal) => {
                if !self.negotiation.signal(signal) {
                    self.trouble("the far side signals too much; some of it was not heard".into());
                }
            }
            Command::Send(kind, on) => self.set_sending(kind, on).await,
            Command::Hold(on) => self.hold(on),
            Command::Chat(text, reply) => {
                let _ = reply.send(self.send_chat(&text).await);
            }
            Command::OpenChannel(init, reply) => {
                let connected = *self.engine.state.borrow() == ConnectionState::Connected;
                // The engine forgets channels that are opened while the transport under them is being set up.
                if connected && !self.chat_open && self.to_open.len() < CHANNELS_AT_ONCE {
                    if self.to_open.is_empty() {
                        self.open_at = tokio::time::Instant::now() + TRANSPORT;
                    }
                    self.to_open.push((init, reply));
                } else {
                    self.open_channel(init, reply).await;
                }
            }
            Command::Stats(reply) => {
                let _ = reply.send(self.stats().await);
            }
            Command::Close => {}
        }
    }

    async fn open_channel(&mut self, init: channel::ChannelInit, reply: OpenReply) {
        let opened = channel::open(&self.engine.connection, &init).await;
        let opened = opened.map(|channel| self.add_channel(channel));
        let _ = reply.send(opened.map_err(|error| PeerError::Channel(error.to_string())));
    }

    fn state_changed(&mut self) {
        let state = *self.engine.state.borrow_and_update();
        match state {
            ConnectionState::Connected => {
                self.video.set_open(true);
                self.audio.set_open(true);
                self.tell(PeerEvent::State(state));
                self.want_key_frame();
            }
            ConnectionState::Failed | ConnectionState::Closed => {
                self.video.set_open(false);
                self.audio.set_open(false);
                self.tell(PeerEvent::State(state));
            }
            _ => self.tell(PeerEvent::State(state)),
        }
    }

    /// Lets the engine's handshakes go fast, for a while.
    fn hurry(&mut self) {
        if !self.chat_open {
            self.engine.hurry.set(true);
            self.hurry_until = Some(Instant::now() + HURRY);
        }
    }

    fn relax(&mut self) {
        self.engine.hurry.set(false);
        self.hurry_until = None;
    }

    /// Passes on that a key frame is wanted, at most once in a while: what is asked in
    /// between is asked at its end.
    fn want_key_frame(&mut self) {
        self.engine.key_frames.mark_unchanged();
        // A key frame that is made because the path carries less is to be as small as that.
        if self.outbox.len() < OUTBOX && self.engine.shares.has_changed().unwrap_or_default() {
            self.tell_bitrates();
        }
        if self.video_sender.is_none() || self.outbox.len() >= OUTBOX {
            return;
        }
        let now = Instant::now();
        self.key_frame_due = now < self.key_frame_after;
        if !self.key_frame_due {
            self.key_frame_after = now + KEY_FRAME_INTERVAL;
            self.tell(PeerEvent::KeyFrameWanted);
        }
    }

    async fn callback(&mut self, callback: Callback) {
        match callback {
            Callback::Candidate(mut candidate) => {
                if let Some(shared) = &self.engine.shared {
                    candidate.candidate = shared.candidate(&candidate.candidate);
                }
                if let Some(hidden) = &self.config.hidden {
                    match hidden.candidate(&candidate.candidate) {
                        Some(seen) => candidate.candidate = seen,
                        None => return,
                    }
                }
                self.tell(PeerEvent::Signal(Signal::Candidate(candidate)));
            }
            Callback::EndOfCandidates => self.tell(PeerEvent::Signal(Signal::EndOfCandidates)),
            Callback::Channel(channel) => {
                if channel.label().await.is_ok_and(|label| label == CHAT) {
                    self.add_chat(channel);
                } else {
                    self.add_channel(channel);
                }
            }
            Callback::Track(track) => {
                if self.tracks >= TRACKS {
                    self.trouble(format!("the far side sends more than {TRACKS} tracks"));
                    return;
                }
                self.tracks += 1;
                self.tasks.spawn(receive::drain(
                    track,
                    self.offered.clone(),
                    self.engine.feedback.clone(),
                    self.news.0.clone(),
                ));
            }
        }
    }

    fn news(&mut self, news: News) {
        match news {
            News::ChatOpen => self.chat_opened(),
            News::Chat(text) => {
                // What comes on it may be told before its opening.
                if !self.chat_open {
                    self.chat_opened();
                }
                self.tell(PeerEvent::Chat(text));
            }
            News::Channel(channel) => self.tell(PeerEvent::Channel(channel)),
            News::Track(track) => self.tell(PeerEvent::Track(track)),
            News::KeyFrameWanted => self.want_key_frame(),
            News::Trouble(text) => self.trouble(text),
        }
    }

    fn chat_opened(&mut self) {
        self.relax();
        self.open_at = tokio::time::Instant::now();
        if !std::mem::replace(&mut self.chat_open, true) {
            self.tell(PeerEvent::ChatOpen);
        }
    }

    fn add_chat(&mut self, channel: Arc<dyn DataChannel>) {
        if self.chat.len() >= CHAT_CHANNELS {
            self.trouble(format!(
                "the far side opened more than {CHAT_CHANNELS} chat channels"
            ));
            return;
        }
        self.chat.push(channel.clone());
        let news = self.news.0.clone();
        self.tasks.spawn(async move {
            while let Some(event) = channel.poll().await {
                let news = match event {
                    DataChannelEvent::OnOpen => news.send(News::ChatOpen).await,
                    DataChannelEvent::OnMessage(message) if message.is_string => {
                        let text = String::from_utf8_lossy(&message.data).into_owned();
                        news.send(News::Chat(text)).await
                    }
                    DataChannelEvent::OnClose => break,
                    _ => Ok(()),
                };
                if news.is_err() {
                    break;
                }
            }
        });
    }

    pub(super) fn add_channel(&mut self, channel: Arc<dyn DataChannel>) {
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            self.trouble(format!("more than {CHANNELS} data channels are open"));
            return;
        };
        channel::carry(channel, place, &mut self.tasks, self.news.0.clone());
    }

    async fn send_chat(&self, text: &str) -> Result<(), PeerError> {
        let mut problem = PeerError::ChatNotOpen;
        if self.chat_open {
            for channel in &self.chat {
                // Chat waits for nobody: a channel that is full belongs to somebody who is gone.
                match channel.try_send_text(text).await {
                    Ok(()) => return Ok(()),
                    Err(error) => problem = PeerError::Chat(error.to_string()),
                }
            }
        }
        Err(problem)
    }

    async fn stats(&self) -> serde_json::Value {
        let report = self
            .engine
            .connection
            .get_stats(Instant::now(), StatsSelector::None)
            .await;
        stats::report(
            &report,
            &self.engine.feedback.ledger(),
            &self.engine.stand_ins,
            self.engine.shared.as_ref().map(|shared| shared.port()),
        )
    }
}

/// Sleeps for ever without a moment to sleep to.
async fn sleep_until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment.into()).await,
        None => std::future::pending().await,
    }
}

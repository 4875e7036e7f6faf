//! The one task that owns a call.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::far::{FarMedia, MediaNews};
use super::link::{Far, Link, News};
use super::local::{self};
use super::outcome::{How, judge};
use super::promise::Promise;
use super::sending;
use super::signals;
use super::sinks::{Sinks, recordable};
use super::{Action, StartError};
use crate::event::{Event, Kind, PeerRef, Summary};
use crate::exit::Ending;
use crate::media::receive::audio::AudioReceive;
use crate::media::receive::video::VideoReceive;
use crate::media::send::SourceEvent;
use crate::media::send::audio::AudioSend;
use crate::media::send::video::VideoSend;
use crate::net::Impairment;
use crate::options::CallOptions;
use crate::output::PictureBoard;
use crate::peer::{ConnectionState, IceServer, Peer, PeerConfig, PeerEvent, RemoteTrack, Signal};
use crate::signaling::{Signaling, SignalingError, SignalingEvent};
use rtc_protocol::dialect::whip::PartnerNotice;
use rtc_protocol::{LeaveReason, Member, PeerId};

/// News from the connections, from threads, from the server: each waits or is told apart
/// below; none of them can grow.
const QUEUE: usize = 256;

/// Figures are told this often.
const STATS_EVERY: Duration = Duration::from_secs(1);

/// A connection that stays unwell is helped by an ICE restart after this long.
const RESTART_AFTER: Duration = Duration::from_secs(3);

/// And given up after this long.
const LOST_AFTER: Duration = Duration::from_secs(20);

/// Without a server and without a call, this long.
const ABANDON_AFTER: Duration = Duration::from_secs(30);

/// A hang-up waits this long for the server and each connection to hear of it.
const GOODBYE: Duration = Duration::from_secs(1);

/// Six are a mesh's reasonable end: each peer sends its picture five times.
const LINKS: usize = 16;

pub(super) struct Call {
    options: CallOptions,
    board: PictureBoard,
    events: mpsc::Sender<Event>,
    signaling: Signaling,
    /// Since when the server is away, and why.
    signaling_lost: Option<(Instant, String)>,
    server_news: mpsc::Receiver<SignalingEvent>,
    ice_servers: Vec<IceServer>,
    /// One path for all connections: they share its rate.
    impairment: Option<Impairment>,
    room: String,
    /// What a browser opens to join us.
    page: String,
    me: PeerRef,
    joined_at: Option<Instant>,
    far: BTreeMap<String, Far>,
    links_opened: u64,
    news: (mpsc::Sender<News>, mpsc::Receiver<News>),
    media: (mpsc::Sender<MediaNews>, mpsc::Receiver<MediaNews>),
    sinks: Sinks,
    video: Option<VideoSend>,
    audio: Option<AudioSend>,
    /// What we have muted ourselves.
    muted: [bool; 2],
    /// What a moderator has muted; ours to obey.
    held: [bool; 2],
    stats: JoinSet<(String, Value)>,
    closing: JoinSet<()>,
}

impl Call {
    pub(super) async fn open(
        options: CallOptions,
        board: PictureBoard,
        events: mpsc::Sender<Event>,
    ) -> Result<Self, StartError> {
        let media = mpsc::channel(QUEUE);
        let asked = options.clone();
        // Devices block while they open.
        let opened = tokio::task::spawn_blocking(move || {
            let sources = local::open(&asked)?;
            let sinks = Sinks::open(&asked)?;
            Ok::<_, StartError>((sources, sinks))
        })
        .await
        .map_err(std::io::Error::other)??;
        let (sources, (sinks, sink_notices)) = opened;
        let (video, audio) =
            sending::start(&options, &board, &media.0, sources.video, sources.audio)?;
        for text in sources.notices.into_iter().chain(sink_notices) {
            let _ = events.try_send(Event::Notice { text });
        }
        let (server_sender, server_news) = mpsc::channel(QUEUE);
        let connect = signals::options(&options).map_err(SignalingError::from)?;
        let page = connect.target.page_url();
        let signaling = Signaling::connect(connect, server_sender).await?;
        Ok(Self {
            me: PeerRef {
                id: signaling.id().to_string(),
                name: options.name.clone(),
            },
            room: signaling.room().to_string(),
            page,
            impairment: options
                .impairment
                .as_ref()
                .map(|spec| Impairment::new(spec, std::time::Instant::now())),
            options,
            board,
            events,
            signaling,
            signaling_lost: None,
            server_news,
            ice_servers: Vec::new(),
            joined_at: None,
            far: BTreeMap::new(),
            links_opened: 0,
            news: mpsc::channel(QUEUE),
            media,
            sinks,
            video,
            audio,
            muted: [false; 2],
            held: [false; 2],
            stats: JoinSet::new(),
            closing: JoinSet::new(),
        })
    }

    pub(super) async fn run(mut self, mut actions: mpsc::Receiver<Action>) -> Summary {
        let started = Instant::now();
        let deadline = self.options.duration.map(|d| started + d);
        let mut every = interval(STATS_EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let how = loop {
            let time_up = async {
                match deadline {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = time_up => break How::TimeUp,
                action = actions.recv() => match action {
                    Some(Action::HangUp) | None => break How::HungUp,
                    Some(action) => self.act(action).await,
                },
                Some(event) = self.server_news.recv() => {
                    if let Some(how) = self.server(event).await {
                        break how;
                    }
                }
                Some(news) = self.news.1.recv() => self.peer(news).await,
                Some(news) = self.media.1.recv() => self.media(news),
                Some(report) = self.stats.join_next() => self.report(report.ok()),
                Some(_) = self.closing.join_next() => {}
                _ = every.tick() => self.each_second().await,
            }
            if let Some(how) = self.abandoned() {
                break how;
            }
            if self.options.until_alone
                && !self.far.is_empty()
                && self.far.values().all(|far| far.until.is_some())
            {
                break How::Alone;
            }
        };
        self.end(how, started).await
    }

    fn tell(&self, event: Event) {
        // Statistics may be lost to a view that sleeps; anything else fits by the queue's size.
        if self.events.try_send(event).is_err() {
            tracing::debug!("an event was dropped: the view does not keep up");
        }
    }

    fn notice(&self, text: impl Into<String>) {
        self.tell(Event::Notice { text: text.into() });
    }

    /// Without a server and without anybody connected, there is nothing left to wait for.
    fn abandoned(&self) -> Option<How> {
        let (since, reason) = self.signaling_lost.as_ref()?;
        let alive = |far: &Far| far.link.as_ref().is_some_and(Link::alive);
        if since.elapsed() < ABANDON_AFTER || self.far.values().any(alive) {
            return None;
        }
        Some(How::SignalingLost(reason.clone()))
    }

    // --- from the driver ---

    async fn act(&mut self, action: Action) {
        match action {
            Action::Chat(text) => self.chat(text).await,
            Action::SetMuted(kind, muted) => self.mute(kind, muted).await,
            Action::ToggleMuted(kind) => self.mute(kind, !self.silent(kind)).await,
            Action::HangUp => {}
        }
    }

    async fn chat(&mut self, text: String) {
        let text = text.trim().to_owned();
        if text.is_empty() {
            return;
        }
        for far in self.far.values() {
            let Some(link) = far.link.as_ref().filter(|link| link.chat_open) else {
                continue;
            };
            if let Err(error) = link.peer.send_chat(&text).await {
                self.notice(format!("{} did not get the line: {error}", far.who.name));
            }
        }
        self.tell(Event::Chat {
            from: self.me.clone(),
            text,
            own: true,
        });
    }

    async fn mute(&mut self, kind: Kind, muted: bool) {
        if self.held[kind as usize] && !muted {
            let what = signals::sense(kind);
            return self.notice(format!(
                "a moderator has muted your {what}; only a moderator can unmute it"
            ));
        }
        self.muted[kind as usize] = muted;
        self.apply_mute(kind);
        self.say_mute(kind).await;
    }

    /// Whether nothing of this goes out, by our own will or a moderator's.
    const fn silent(&self, kind: Kind) -> bool {
        self.muted[kind as usize] || self.held[kind as usize]
    }

    fn apply_mute(&self, kind: Kind) {
        let muted = self.silent(kind);
        match kind {
            Kind::Audio => self.audio.iter().for_each(|a| a.set_muted(muted)),
            Kind::Video => self.video.iter().for_each(|v| v.set_muted(muted)),
        }
        self.tell(Event::PeerMuted {
            peer: self.me.clone(),
            kind,
            muted,
        });
    }

    async fn say_mute(&mut self, kind: Kind) {
        let muted = self.muted[kind as usize];
        let told = self.signaling.mute(signals::media_kind(kind), muted).await;
        if let Err(error) = told {
            tracing::debug!("the others are not told of the mute: {error}");
        }
    }

    // --- from the server ---

    async fn server(&mut self, event: SignalingEvent) -> Option<How> {
        match event {
            SignalingEvent::ServerStarted { url } => self.tell(Event::ServerStarted { url }),
            SignalingEvent::Welcome { ice_servers, .. } => {
                self.ice_servers = signals::ice_servers(ice_servers, &self.options.ice_servers);
            }
            SignalingEvent::Joined { members, .. } => self.joined(members).await,
            SignalingEvent::PeerJoined { member } => self.came(member, false).await,
            SignalingEvent::PeerLeft { peer, reason } => self.went(peer.as_str(), reason),
            SignalingEvent::Signal { from, signal } => self.signal(from.as_str(), signal).await,
            SignalingEvent::Muted {
                peer,
                kind,
                muted,
                by,
            } if peer.as_str() == self.me.id => {
                self.held_by(by.as_str(), signals::kind(kind), muted).await;
            }
            SignalingEvent::Muted {
                peer, kind, muted, ..
            } => self.muted_by(peer.as_str(), kind, muted),
            SignalingEvent::Broadcast { data } => self.tell(Event::Broadcast {
                data: data.to().unwrap_or_default(),
            }),
            SignalingEvent::Kicked { reason, .. } => {
                return Some(How::Kicked(reason.unwrap_or_default()));
            }
            SignalingEvent::Lost { reason } => {
                self.signaling_lost
                    .get_or_insert((Instant::now(), reason.clone()));
                self.tell(Event::SignalingLost { reason });
            }
            SignalingEvent::Back { resumed } => {
                self.signaling_lost = None;
                self.tell(Event::SignalingBack { resumed });
            }
            SignalingEvent::Fatal(error) => return Some(How::SignalingLost(error.to_string())),
            SignalingEvent::BadSignal { from, why } => {
                let name = self.name(from.as_str());
                self.notice(format!("{name} sent a signal that makes no sense: {why}"));
            }
            SignalingEvent::Refused { message, .. } => self.notice(message),
            SignalingEvent::Dropped { messages } => self.notice(format!(
                "the server was away for so long that {messages} messages were given up"
            )),
            SignalingEvent::GoAway { reason } => {
                tracing::info!("the server is about to close: {reason}");
            }
            SignalingEvent::Granted { .. } | SignalingEvent::Message { .. } => {}
        }
        None
    }

    async fn joined(&mut self, members: Vec<Member>) {
        for kind in [Kind::Audio, Kind::Video] {
            // A room that remembers says so next.
            if std::mem::take(&mut self.held[kind as usize]) {
                self.apply_mute(kind);
            }
        }
        let first = self.joined_at.is_none();
        self.joined_at.get_or_insert_with(Instant::now);
        if first {
            let peers = members.iter().map(signals::peer_ref).collect();
            self.tell(Event::Joined {
                room: self.room.clone(),
                me: self.me.clone(),
                peers,
                url: self.page.clone(),
            });
        }
        // After a new start of the server the others may come back later: a connection
        // that stands is kept until it fails by itself.
        for far in self.far.values_mut() {
            far.present = members.iter().any(|m| m.peer.as_str() == far.who.id);
        }
        for member in members {
            self.came(member, true).await;
        }
    }

    /// Somebody is in the room with us; `newcomer` tells that we are the later one, who
    /// makes the offer and gives way.
    async fn came(&mut self, member: Member, newcomer: bool) {
        let who = signals::peer_ref(&member);
        let known = self.far.get_mut(&who.id);
        let kept = known.is_some_and(|far| {
            far.present = true;
            far.link.as_ref().is_some_and(Link::alive)
        });
        if !kept {
            if !newcomer || self.far.contains_key(&who.id) {
                self.tell(Event::PeerJoined { peer: who.clone() });
            }
            let media = match self.far.remove(&who.id) {
                Some(far) => {
                    self.close_link(&who.id, far.link);
                    far.media
                }
                None => FarMedia::new(
                    who.clone(),
                    self.board.clone(),
                    &self.sinks,
                    self.media.0.clone(),
                ),
            };
            let mut far = Far::new(who.clone(), media);
            far.by_http = signals::is_by_http(member.dialect);
            self.far.insert(who.id.clone(), far);
            // A member that the server translates for offers by itself, or has us asked for an offer; we give way.
            let foreign = member.dialect.is_some();
            self.open_link(&who.id, newcomer || foreign, newcomer && !foreign)
                .await;
        }
        for kind in member.muted {
            self.muted_by(&who.id, kind, true);
        }
    }

    fn went(&mut self, id: &str, reason: LeaveReason) {
        let Some(far) = self.far.get_mut(id) else {
            return;
        };
        far.present = false;
        if reason == LeaveReason::Lost && far.link.as_ref().is_some_and(Link::alive) {
            // Its signaling is gone, its media is not: the connection itself will tell.
            return;
        }
        self.gone(id, signals::reason(reason));
    }

    /// A peer is gone for good, as far as anybody knows.
    fn gone(&mut self, id: &str, reason: &str) {
        let Some(far) = self.far.get_mut(id) else {
            return;
        };
        if far.until.is_some() {
            return;
        }
        far.until = Some(Instant::now());
        far.lost = reason == "lost";
        let peer = far.who.clone();
        let link = far.link.take();
        self.board.remove(id);
        self.close_link(id, link);
        self.tell(Event::PeerLeft {
            peer,
            reason: reason.to_owned(),
        });
    }

    /// A moderator muted us, or lifted it; what we muted ourselves stays so, and the room is told again.
    async fn held_by(&mut self, by: &str, kind: Kind, held: bool) {
        self.held[kind as usize] = held;
        self.apply_mute(kind);
        let (who, what) = (self.name(by), signals::sense(kind));
        if held && by == self.me.id {
            return self.notice(format!("your token does not let you send {what}"));
        }
        if held {
            return self.notice(format!("{who} has muted your {what}, as moderator"));
        }
        if self.muted[kind as usize] {
            self.notice(format!("{who} lets you unmute your {what} again"));
            self.say_mute(kind).await;
        } else {
            self.notice(format!("{who} has unmuted your {what}"));
        }
    }

    fn muted_by(&self, id: &str, kind: rtc_protocol::Kind, muted: bool) {
        let kind = signals::kind(kind);
        if let Some(far) = self.far.get(id) {
            self.tell(Event::PeerMuted {
                peer: far.who.clone(),
                kind,
                muted,
            });
        }
    }

    async fn signal(&mut self, from: &str, signal: Signal) {
        let promise = match &signal {
            Signal::Description(description) => Some(Promise::read(&description.sdp)),
            _ => None,
        };
        let Some(far) = self.far.get(from).filter(|far| far.until.is_none()) else {
            return tracing::debug!("a signal from {from}, who is not in the room, is ignored");
        };
        if let Some(promise) = &promise {
            let known = far.link.as_ref().map(|link| link.promise.origin.as_str());
            let reloaded = known.is_some_and(|o| !o.is_empty() && o != promise.origin);
            if reloaded || known.is_none() {
                // The same peer with another session: its page was loaded again.
                let old = self.far.get_mut(from).and_then(|far| far.link.take());
                self.close_link(from, old);
                self.open_link(from, false, false).await;
            }
        }
        let Some(far) = self.far.get_mut(from) else {
            return;
        };
        let Some(link) = &mut far.link else { return };
        if let Some(promise) = promise {
            link.promise = promise.clone();
            far.promised = promise;
        }
        let peer = Arc::clone(&link.peer);
        peer.handle_signal(signal).await;
    }

    // --- connections ---

    async fn open_link(&mut self, id: &str, polite: bool, offers: bool) {
        if self.far.values().filter(|far| far.link.is_some()).count() >= LINKS {
            return self.notice(format!(
                "the room has more than {LINKS} others; no connection is opened to the rest"
            ));
        }
        let config = PeerConfig {
            ice_servers: self.ice_servers.clone(),
            video_codecs: recordable(&self.options),
            polite,
            send_audio: self.audio.is_some(),
            send_video: self.video.is_some(),
            impairment: self.impairment.clone(),
            ..PeerConfig::default()
        };
        self.links_opened += 1;
        let news = self.news.0.clone();
        match Link::open(id, self.links_opened, config, news).await {
            Ok(link) => {
                let peer = Arc::clone(&link.peer);
                if let Some(far) = self.far.get_mut(id) {
                    far.link = Some(link);
                }
                if offers {
                    peer.negotiate().await;
                }
            }
            Err(error) => self.notice(error.to_string()),
        }
    }

    fn close_link(&mut self, id: &str, link: Option<Link>) {
        if let Some(video) = &self.video {
            video.remove(id);
        }
        if let Some(audio) = &self.audio {
            audio.remove(id);
        }
        if let Some(link) = link {
            self.closing.spawn(async move { link.close().await });
        }
    }

    async fn peer(&mut self, news: News) {
        let News {
            peer: id,
            link,
            event,
        } = news;
        let current = self
            .far
            .get(&id)
            .and_then(|far| far.link.as_ref())
            .is_some_and(|l| l.number == link);
        if !current {
            return;
        }
        match event {
            PeerEvent::Signal(signal) => {
                let Ok(to) = PeerId::new(&id) else { return };
                if let Err(error) = self.signaling.signal(to, signal).await {
                    tracing::debug!("a signal stays here: {error}");
                }
            }
            PeerEvent::State(state) => self.state(&id, state),
            PeerEvent::LocalVideoReady(format) => {
                if let Some(link) = self.link(&id) {
                    link.format = Some(format);
                }
                self.feed(&id);
            }
            PeerEvent::LocalVideoRefused => {
                let name = self.name(&id);
                self.notice(format!("{name} takes no picture in any of our codecs"));
            }
            PeerEvent::KeyFrameWanted => {
                if let Some(video) = &self.video {
                    video.want_key(&id);
                }
            }
            PeerEvent::TargetBitrate(bits) => {
                if let Some(video) = &self.video {
                    video.limit(&id, bits);
                }
            }
            PeerEvent::Track(track) => self.track(&id, track),
            PeerEvent::ChatOpen => {
                if let Some(link) = self.link(&id) {
                    link.chat_open = true;
                }
            }
            PeerEvent::Chat(text) => {
                if let Some(far) = self.far.get(&id) {
                    self.tell(Event::Chat {
                        from: far.who.clone(),
                        text,
                        own: false,
                    });
                }
            }
            PeerEvent::Trouble(text) => {
                let name = self.name(&id);
                self.notice(format!("{name}: {text}"));
            }
        }
    }

    fn link(&mut self, id: &str) -> Option<&mut Link> {
        self.far.get_mut(id)?.link.as_mut()
    }

    fn name(&self, id: &str) -> String {
        self.far
            .get(id)
            .map_or_else(|| id.to_owned(), |far| far.who.name.clone())
    }

    fn state(&mut self, id: &str, state: ConnectionState) {
        let Some(far) = self.far.get_mut(id) else {
            return;
        };
        let Some(link) = &mut far.link else { return };
        let before = std::mem::replace(&mut link.state, state);
        let now = Instant::now();
        match state {
            ConnectionState::Connected => {
                link.unwell_since = None;
                far.restarts = 0;
                let first = far.connected_at.is_none();
                far.connected_at.get_or_insert(now);
                let after = now.saturating_duration_since(far.since);
                far.connected_after.get_or_insert(after);
                let peer = far.who.clone();
                if first || before != ConnectionState::Connected {
                    self.tell(Event::Connected {
                        peer,
                        after_ms: after.as_secs_f64() * 1000.0,
                    });
                }
                self.feed(id);
            }
            ConnectionState::Disconnected | ConnectionState::Failed => {
                link.unwell_since.get_or_insert(now);
                let peer = far.who.clone();
                self.tell(Event::ConnectionTroubled {
                    peer,
                    state: state.name().to_owned(),
                });
                if state == ConnectionState::Failed && self.absent(id) {
                    self.gone(id, "lost");
                }
            }
            _ => {}
        }
    }

    fn absent(&self, id: &str) -> bool {
        self.far.get(id).is_some_and(|far| !far.present)
    }

    /// Begins to send to a peer that is connected and said what it takes.
    fn feed(&mut self, id: &str) {
        let Some(link) = self.far.get(id).and_then(|far| far.link.as_ref()) else {
            return;
        };
        if !link.connected() {
            return;
        }
        if let (Some(video), Some(format)) = (&self.video, link.format) {
            video.add(id, format, Arc::new(link.peer.video().clone()));
        }
        if let Some(audio) = &self.audio {
            audio.add(id, Arc::new(link.peer.audio().clone()));
        }
    }

    fn track(&mut self, id: &str, track: RemoteTrack) {
        let Some(far) = self.far.get_mut(id) else {
            return;
        };
        let Some(link) = &mut far.link else { return };
        let started = match track.kind {
            Kind::Video => VideoReceive::start(track, far.media.pictures())
                .map(|receive| link.video.push(receive))
                .map_err(|e| e.to_string()),
            Kind::Audio => AudioReceive::start(track, far.media.sounds())
                .map(|receive| link.audio.push(receive))
                .map_err(|e| e.to_string()),
        };
        if let Err(error) = started {
            self.notice(error);
        }
    }

    // --- from threads ---

    fn media(&mut self, news: MediaNews) {
        match news {
            MediaNews::First { peer, kind, codec } => {
                let Some(far) = self.far.get_mut(&peer) else {
                    return;
                };
                let after = far.since.elapsed();
                far.first(kind, after);
                let peer = far.who.clone();
                self.tell(Event::FirstFrame {
                    peer,
                    kind,
                    codec: codec.to_owned(),
                    after_ms: after.as_secs_f64() * 1000.0,
                });
            }
            MediaNews::Source(kind, SourceEvent::Ended) => {
                let what = match kind {
                    Kind::Audio => "the sound's file",
                    Kind::Video => "the picture's file",
                };
                self.notice(format!(
                    "{what} has come to its end (--loop starts it over)"
                ));
            }
            MediaNews::Source(_, SourceEvent::Failed(text)) => {
                self.notice(format!("{text}. The call goes on without it"));
            }
        }
    }

    // --- by the clock ---

    async fn each_second(&mut self) {
        self.look_after_connections().await;
        for notice in self.sinks.notices() {
            self.notice(notice);
        }
        // A report that is still out is not asked for again.
        if self.stats.is_empty() {
            for (id, far) in &self.far {
                if let Some(link) = far.link.as_ref().filter(|link| link.connected()) {
                    let peer: Arc<Peer> = Arc::clone(&link.peer);
                    let id = id.clone();
                    self.stats.spawn(async move { (id, peer.stats().await) });
                }
            }
        }
    }

    fn report(&mut self, report: Option<(String, Value)>) {
        let Some((id, mut report)) = report else {
            return;
        };
        let Some(far) = self.far.get_mut(&id) else {
            return;
        };
        if let Some(link) = &mut far.link {
            link.add_to(&mut report);
        }
        let peer = far.who.clone();
        self.tell(Event::Stats { peer, report });
    }

    async fn look_after_connections(&mut self) {
        let now = Instant::now();
        let mut restart = Vec::new();
        let mut lost = Vec::new();
        for (id, far) in &mut self.far {
            let Some(link) = &far.link else { continue };
            let Some(since) = link.unwell_since else {
                continue;
            };
            let unwell = now.saturating_duration_since(since);
            if unwell >= LOST_AFTER {
                lost.push(id.clone());
            } else if far.present && !far.by_http && unwell >= RESTART_AFTER * (far.restarts + 1) {
                far.restarts += 1;
                restart.push(Arc::clone(&link.peer));
            }
        }
        for peer in restart {
            peer.restart_ice().await;
        }
        for id in lost {
            self.give_up(&id).await;
            self.gone(&id, "lost");
        }
    }

    /// HTTP tells the server nothing of a publisher or player that has vanished: its partner does.
    async fn give_up(&mut self, id: &str) {
        let by_http = self
            .far
            .get(id)
            .is_some_and(|far| far.by_http && far.present);
        let (true, Ok(to), Ok(notice)) = (by_http, PeerId::new(id), PartnerNotice::LOST.try_into())
        else {
            return;
        };
        if let Err(error) = self.signaling.message(Some(to), notice).await {
            tracing::debug!("the server is not told that {id} is lost: {error}");
        }
    }

    // --- the end ---

    async fn end(mut self, how: How, started: Instant) -> Summary {
        let now = Instant::now();
        let strict = self.options.headless || self.options.duration.is_some();
        let expected = self.far.values().filter(|far| far.expected());
        let facts: Vec<_> = expected.map(|far| far.facts(now)).collect();
        let (ending, outcome) = judge(&how, strict, &facts);
        let summary = Summary {
            exit_code: ending.code(),
            outcome: outcome.clone(),
            seconds: self
                .joined_at
                .map_or(0.0, |at| now.saturating_duration_since(at).as_secs_f64()),
            peers: self.far.values().map(Far::summary).collect(),
            recording: self
                .options
                .record
                .as_ref()
                .map(|path| path.display().to_string()),
        };
        tracing::debug!(seconds = started.elapsed().as_secs_f64(), "hanging up");
        let _ = timeout(GOODBYE, self.signaling.leave()).await;
        // Sources first: nothing is sent into a connection that closes.
        let (video, audio) = (self.video.take(), self.audio.take());
        let _ = tokio::task::spawn_blocking(move || drop((video, audio))).await;
        for far in self.far.values_mut() {
            if let Some(link) = far.link.take() {
                self.closing.spawn(async move { link.close().await });
            }
        }
        let all = async { while self.closing.join_next().await.is_some() {} };
        let _ = timeout(GOODBYE * 2, all).await;
        self.far.clear();
        let sinks = self.sinks;
        let finished = tokio::task::spawn_blocking(move || sinks.finish()).await;
        for notice in finished.unwrap_or_default() {
            let _ = self.events.try_send(Event::Notice { text: notice });
        }
        if ending != Ending::NoServer {
            let _ = self.events.try_send(Event::Left { reason: outcome });
        }
        let _ = self.events.try_send(Event::Summary(summary.clone()));
        summary
    }
}

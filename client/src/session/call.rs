//! The one task that owns a call: what it has, its loop, its end.

mod channels;
mod control;
mod links;
mod phone;
mod roaming;
mod sealed;
mod server;
mod source;
mod tones;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::far::MediaNews;
use super::link::{Far, Link, News};
use super::local::{self};
use super::outcome::{How, judge};
use super::protection::Protection;
use super::reports::{self, Reports};
use super::sending;
use super::signals;
use super::sinks::Sinks;
use super::verdict::{KeptPictures, Measured};
use super::{Action, StartError};
use crate::event::{Event, Kind, PeerRef, Summary};
use crate::exit::Ending;
use crate::measure::vmaf::Vmaf;
use crate::media::send::SourceEvent;
use crate::media::send::audio::AudioSend;
use crate::media::send::video::VideoSend;
use crate::net::Impairment;
use crate::net::change::Networks;
use crate::net::hidden::Hidden;
use crate::net::impair::Spec;
use crate::net::interfaces;
use crate::net::shared::SharedUdp;
use crate::options::{CallOptions, Purpose};
use crate::output::PictureBoard;
use crate::peer::{IceServer, Peer};
use crate::signaling::{Signaling, SignalingEvent};
use phone::Phone;
use rtc_protocol::CallId;
use source::Switched;

/// News from the connections, from threads, from the server: each waits or is told apart
/// below; none of them can grow.
const QUEUE: usize = 256;

/// Figures are told this often.
const STATS_EVERY: Duration = Duration::from_secs(1);

/// A connection that stays unwell is helped by an ICE restart after this long.
const RESTART_AFTER: Duration = Duration::from_secs(3);

/// And given up after this long.
const LOST_AFTER: Duration = Duration::from_secs(20);

/// A connection that was made anew waits this long for the offer of the side that is to make it.
const OFFER_AFTER: Duration = Duration::from_secs(3);

/// And this long once that side is known to think of the connection before.
const OFFER_SOON: Duration = Duration::from_millis(500);

/// Without a server and without a call, this long.
const ABANDON_AFTER: Duration = Duration::from_secs(30);

/// A hang-up waits this long for the server and each connection to hear of it.
const GOODBYE: Duration = Duration::from_secs(1);

/// Six are a mesh's reasonable end: each peer sends its picture five times.
const LINKS: usize = 16;

/// Different troubles with servers that are told of in one call.
const TOLD: usize = 32;

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
    networks: Networks,
    hidden: Option<Hidden>,
    udp_port: Option<SharedUdp>,
    /// Troubles with servers that were told of.
    told: BTreeSet<String>,
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
    /// Where media are encrypted end to end: the room's key, once we are in one.
    protection: Option<Protection>,
    video: Option<VideoSend>,
    audio: Option<AudioSend>,
    /// What we have muted ourselves.
    muted: [bool; 2],
    /// What a moderator has muted; ours to obey.
    held: [bool; 2],
    /// Sources that are being opened, of which kinds, and what was shown before a screen.
    switching: JoinSet<Switched>,
    opening: [bool; 2],
    shown: String,
    before_share: Option<String>,
    /// We hold the call.
    on_hold: bool,
    phone: Phone,
    /// The call that we took.
    taken: Option<CallId>,
    stats: JoinSet<(String, Value)>,
    closing: JoinSet<()>,
    channels: channels::Channels,
    /// What a verdict is made of, where one was asked for.
    pub(super) measured: Measured,
    /// And where it goes.
    pub(super) reports: Reports,
}

impl Call {
    pub(super) async fn open(
        options: CallOptions,
        board: PictureBoard,
        events: mpsc::Sender<Event>,
    ) -> Result<Self, StartError> {
        let media = mpsc::channel(QUEUE);
        let (asked, captured) = (options.clone(), options.sources());
        // Devices block while they open.
        let opened = tokio::task::spawn_blocking(move || {
            let sources = local::open(&captured)?;
            let sinks = Sinks::open(&asked)?;
            Ok::<_, StartError>((sources, sinks))
        })
        .await
        .map_err(std::io::Error::other)??;
        let (sources, (sinks, sink_notices)) = opened;
        let video = sending::video(&options, &board, &media.0, sources.video)?;
        let reference = sinks.reference();
        let audio = sending::audio(&options, &board, &media.0, sources.audio, reference)?;
        for text in sources.notices.into_iter().chain(sink_notices) {
            let _ = events.try_send(Event::Notice { text });
        }
        let hidden = match options.hide_addresses {
            // Who wants to be hidden is not shown.
            true => Some(Hidden::start().map_err(StartError::Hide)?),
            false => None,
        };
        let udp_port = options.udp_port.map(SharedUdp::new);
        if let (Some(shared), Ok(present)) = (&udp_port, interfaces::present()) {
            shared.open(&options.network.of(&present))?;
        }
        let measured = if options.verdict.is_asked() || options.control {
            Measured::begin(kept_pictures(&options).await?)
        } else {
            Measured::default()
        };
        measured.sends(&options.audio);
        let (server_sender, server_news) = mpsc::channel(QUEUE);
        let via = signals::via(&options)?;
        let shown = options.video.to_string();
        let phone = Phone::new(&options.purpose);
        let signaling = Signaling::open(via, server_sender).await?;
        Ok(Self {
            me: PeerRef {
                id: signaling.id().to_string(),
                name: options.name.clone(),
            },
            room: signaling.room().to_string(),
            page: String::new(),
            // A path that may be impaired later has to be ours from the beginning.
            impairment: options
                .impairment
                .clone()
                .or_else(|| options.control.then(Spec::default))
                .map(|spec| Impairment::new(&spec, std::time::Instant::now())),
            networks: Networks::default(),
            hidden,
            udp_port,
            told: BTreeSet::new(),
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
            protection: None,
            video,
            audio,
            muted: [false; 2],
            held: [false; 2],
            switching: JoinSet::new(),
            opening: [false; 2],
            shown,
            before_share: None,
            on_hold: false,
            phone,
            taken: None,
            stats: JoinSet::new(),
            closing: JoinSet::new(),
            channels: channels::Channels::default(),
            measured,
            reports: Reports::default(),
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
                    Some(action) => {
                        let over = match &action {
                            Action::Control(line) => How::of_command(&line.command),
                            _ => None,
                        };
                        self.act(action).await;
                        if let Some(how) = over {
                            break how;
                        }
                    }
                },
                Some(event) = self.server_news.recv() => {
                    if let Some(how) = self.server(event).await {
                        break how;
                    }
                }
                Some(news) = self.news.1.recv() => self.peer(news).await,
                Some(news) = self.media.1.recv() => self.media(news),
                Some(report) = self.stats.join_next() => self.report(report.ok()),
                Some(Ok(switched)) = self.switching.join_next() => self.switched(switched).await,
                Some(_) = self.closing.join_next() => {}
                Some(number) = Self::closed_channel(&mut self.channels) => self.channel_closed(number),
                _ = every.tick() => self.each_second().await,
            }
            if let Some(how) = self.abandoned() {
                break how;
            }
            if self.until_alone()
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

    /// A person is told why something was not done; a program has an answer.
    fn explain(&self, begun: Result<(), String>) {
        if let Err(problem) = begun {
            self.notice(problem);
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
            Action::Chat(text) => {
                self.chat(text).await;
            }
            Action::Dial(keys) => self.dial(&keys),
            Action::Source(kind, text) => {
                let begun = self.switch(kind, &text);
                self.explain(begun);
            }
            Action::Share(which) => {
                let begun = self.share(which.as_deref());
                self.explain(begun);
            }
            Action::Unshare => {
                let begun = self.unshare();
                self.explain(begun);
            }
            Action::Hold(on) => self.hold(on).await,
            Action::SetMuted(kind, muted) => self.mute(kind, muted).await,
            Action::ToggleMuted(kind) => self.mute(kind, !self.silent(kind)).await,
            Action::Paste(text) => self.paste(text).await,
            Action::Answer => self.answer().await,
            Action::Decline => self.decline().await,
            Action::Control(line) => self.control(line).await,
            Action::Refuse { id, error } => self.tell(Event::Answer {
                id,
                result: None,
                error: Some(error),
            }),
            Action::HangUp => {}
        }
    }

    /// Whether the call is over when the others have left: always, where it is one between two.
    const fn until_alone(&self) -> bool {
        self.options.until_alone
            || self.signaling.terms().pair
            || !matches!(self.options.purpose, Purpose::Room(_))
    }

    /// Gives how many get it.
    async fn chat(&mut self, text: String) -> usize {
        let text = text.trim().to_owned();
        if text.is_empty() {
            return 0;
        }
        let mut told = 0;
        for far in self.far.values() {
            let Some(link) = far.link.as_ref().filter(|link| link.chat_open) else {
                continue;
            };
            match link.peer.send_chat(&text).await {
                Ok(()) => told += 1,
                Err(error) => {
                    self.notice(format!("{} did not get the line: {error}", far.who.name));
                }
            }
        }
        self.tell(Event::Chat {
            from: self.me.clone(),
            text,
            own: true,
        });
        told
    }

    async fn paste(&mut self, text: String) {
        if let Err(error) = self.signaling.paste(text).await {
            self.notice(error.to_string());
        }
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
                self.measured.first(&peer, kind, after);
                self.tell(Event::FirstFrame {
                    peer,
                    kind,
                    codec: codec.to_owned(),
                    after_ms: after.as_secs_f64() * 1000.0,
                });
            }
            MediaNews::Undecryptable { peer, kind } => self.undecryptable(&peer, kind),
            MediaNews::Tone { peer, heard } => self.tone(&peer, heard),
            MediaNews::Source(kind, SourceEvent::Ended) => {
                self.notice(local::ended(&self.options, kind));
            }
            MediaNews::Source(_, SourceEvent::Failed(text)) => {
                self.notice(format!("{text}. The call goes on without it"));
            }
            MediaNews::Source(_, SourceEvent::Interrupted(text)) => {
                self.notice(format!(
                    "{text}. The call goes on, and takes it again when it is back"
                ));
            }
            MediaNews::Source(_, SourceEvent::Resumed(what)) => {
                self.notice(format!("{what} is back"));
            }
        }
    }

    // --- by the clock ---

    async fn each_second(&mut self) {
        self.watch_network().await;
        self.look_after_connections().await;
        for notice in self.sinks.notices() {
            self.notice(notice);
        }
        let stuck = self.far.values_mut().filter_map(|far| {
            let stuck = far.link.as_mut()?.is_newly_stuck();
            stuck.then(|| far.who.name.clone())
        });
        for name in stuck.collect::<Vec<_>>() {
            self.notice(format!(
                "the picture of {name} cannot be shown: it sends no key frame that can be decoded, though it is asked for one; it is shown as soon as one comes"
            ));
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
            link.add_to(&mut report, far.incoming.as_deref());
            link.local = roaming::local_address(&report).or(link.local);
        }
        if let Some(video) = &self.video {
            let (limitation, layers) = (video.limitation(&id), video.scalability(&id));
            sending::add_limitation(&mut report, limitation, layers);
        }
        far.expected_loss.observe(&report);
        if let Some(link) = &far.link {
            let redundant = self.options.audio_red.wanted(far.expected_loss.percent());
            link.peer.audio().set_redundant(redundant);
        }
        let peer = far.who.clone();
        let lip_sync = far.media.seen().lip_sync;
        if let Some(audio) = &self.audio {
            let losses = self.far.values().filter(|far| far.link.is_some());
            let worst = losses.map(|far| far.expected_loss.percent()).max();
            audio.set_expected_loss(worst.unwrap_or(0));
        }
        self.measured.report(&peer, &report);
        self.tell(Event::Stats {
            peer,
            report,
            lip_sync,
        });
    }

    // --- the end ---

    async fn end(mut self, how: How, started: Instant) -> Summary {
        let now = Instant::now();
        let strict = self.options.headless
            || self.options.duration.is_some()
            || self.options.verdict.is_asked();
        let expected = self.far.values().filter(|far| far.expected());
        let facts: Vec<_> = expected.map(|far| far.facts(now)).collect();
        let (ending, outcome) = judge(&how, strict, &facts);
        for far in self.far.values().filter(|far| far.until.is_none()) {
            far.media.still();
        }
        let measured = std::mem::take(&mut self.measured);
        measured.over();
        let seconds = self
            .joined_at
            .map_or(0.0, |at| now.saturating_duration_since(at).as_secs_f64());
        let peers = self.far.values().map(Far::summary).collect();
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
        // Nobody waits for this: the others see us gone already.
        if let Err(text) = measured.judge_pictures().await {
            let _ = self.events.try_send(Event::Notice { text });
        }
        let (record, pictures) = measured.end().unwrap_or_default();
        let outcomes = rtc_verdict::judge::judge(&record, &self.options.verdict.expectations);
        let call = (ending == Ending::Done, outcome.clone());
        let (ending, outcome) = held_to(ending, outcome, &outcomes);
        let mut summary = Summary {
            exit_code: ending.code(),
            outcome: outcome.clone(),
            expectations: reports::summaries(&outcomes),
            seconds,
            peers,
            recording: self.options.record.as_ref().map(ToString::to_string),
        };
        let (options, reports) = (self.options, self.reports);
        let written = tokio::task::spawn_blocking(move || {
            let mut report = reports::report(&options, &record, &outcomes, call);
            report.pictures = pictures;
            reports.write(&report).map_err(|error| error.to_string())
        });
        if let Err(text) = written.await.unwrap_or_else(|error| Err(error.to_string())) {
            // A verdict that nobody can read is none.
            if ending == Ending::Done {
                summary.exit_code = Ending::Failed.code();
                summary.outcome.clone_from(&text);
            }
            let _ = self.events.try_send(Event::Notice { text });
        }
        if ending != Ending::NoServer {
            let _ = self.events.try_send(Event::Left { reason: outcome });
        }
        let _ = self.events.try_send(Event::Summary(summary.clone()));
        summary
    }
}

/// Where pictures are kept for what is told of them at the end.
async fn kept_pictures(options: &CallOptions) -> Result<Option<KeptPictures>, StartError> {
    if !options.verdict.needs_vmaf() {
        return Ok(None);
    }
    let vmaf = Vmaf::find(&options.verdict.ffmpeg).await?;
    Ok(Some(KeptPictures::begin(vmaf)?))
}

/// A call that came to a good end is no good one if it was not as expected.
fn held_to(ending: Ending, words: String, outcomes: &[rtc_verdict::Outcome]) -> (Ending, String) {
    let broken: Vec<&str> = outcomes
        .iter()
        .filter(|outcome| !outcome.held)
        .map(|outcome| outcome.words.as_str())
        .collect();
    match (ending, broken.first()) {
        (Ending::Done, Some(first)) => {
            let (count, all) = (broken.len(), outcomes.len());
            let words = format!("{count} of {all} expectations did not hold: {first}");
            (Ending::Unexpected, words)
        }
        _ => (ending, words),
    }
}

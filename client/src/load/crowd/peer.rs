//! One light peer: a place in a room, a connection to each of the others, and what comes through them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use rtc_fec::protect::When;
use rtc_protocol::{Name, PeerId};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::args::Plan;
use super::check::{Check, Counts, Packet, Sent};
use super::clock::{Clock, PHASES};
use super::pairs::Sense;
use super::prepared::Prepared;
use super::sample::{Collect, Stretch};
use crate::event::Kind;
use crate::media::frame::VideoCodec;
use crate::net::Impairment;
use crate::net::interfaces::Choice;
use crate::peer::{ConnectionState, IceServer, Peer, PeerConfig, PeerEvent, RemoteTrack};
use crate::signaling::{Member, Signaling, SignalingEvent, SignalingOptions, Target};

/// News of the server and of connections that wait for a peer; then they do.
const QUEUE: usize = 64;

/// How soon a peer sees that all are to leave.
const GLANCE: Duration = Duration::from_millis(250);

/// What all peers share.
pub(super) struct Shared {
    pub(super) plan: Plan,
    pub(super) prepared: Arc<Prepared>,
    pub(super) counts: Vec<Counts>,
    /// When the frames of each phase were handed out: pictures, and sounds.
    pub(super) pictures_sent: [Sent; PHASES],
    pub(super) sounds_sent: [Sent; PHASES],
    /// Whose pictures are looked at next.
    pub(super) sample: AtomicUsize,
    pub(super) judged: mpsc::Sender<Stretch>,
    pub(super) impairment: Option<Impairment>,
    pub(super) going: AtomicBool,
    pub(super) patience: Duration,
    /// In the names of this run's rooms.
    pub(super) mark: u32,
    /// Connections so far, to tell them apart.
    pub(super) links: AtomicU64,
}

impl Shared {
    /// When what a peer sends was handed out; each belongs to a phase by its number.
    pub(super) const fn sent(&self, number: usize, pictures: bool) -> &Sent {
        match pictures {
            true => &self.pictures_sent[number % PHASES],
            false => &self.sounds_sent[number % PHASES],
        }
    }
}

/// What a peer tells.
#[derive(Debug)]
pub(super) enum Told {
    /// A peer's connection to another stands, after so long.
    Connected(usize, usize, Duration),
    /// The first frame of another came as it was sent: to whom, from whom, a picture (0) or a sound (1).
    Came(usize, usize, Sense),
    /// One that stood does not.
    Lost(usize, &'static str),
    /// It is not where it should be.
    Failed(usize, String),
}

/// One peer, before it is begun.
pub(super) struct Light {
    number: usize,
    room: u32,
    shared: Arc<Shared>,
    tell: mpsc::Sender<Told>,
}

/// A connection to one of the others.
struct Link {
    number: u64,
    /// The other's number.
    far: usize,
    peer: Peer,
    since: Instant,
    stood: bool,
}

/// The news of one connection.
type News = (String, u64, PeerEvent);

/// What a peer has.
struct Stay {
    links: HashMap<String, Link>,
    ice_servers: Vec<IceServer>,
    news: mpsc::Sender<News>,
    tasks: JoinSet<()>,
}

impl Light {
    pub(super) const fn new(
        number: usize,
        room: u32,
        shared: Arc<Shared>,
        tell: mpsc::Sender<Told>,
    ) -> Self {
        Self {
            number,
            room,
            shared,
            tell,
        }
    }

    /// Joins, connects, listens, and leaves when all do.
    pub(super) async fn run(self, clock: Clock) {
        if let Err(words) = self.stay(&clock).await {
            self.tell(Told::Failed(self.number, words)).await;
        }
    }

    async fn tell(&self, told: Told) {
        // Nobody listens any more once all leave.
        let _ = self.tell.send(told).await;
    }

    async fn join(&self, events: mpsc::Sender<SignalingEvent>) -> Result<Signaling, String> {
        let plan = &self.shared.plan;
        let room = format!("crowd-{:08x}-{}", self.shared.mark, self.room);
        let target = Target::parse(&room, Some(&plan.server)).map_err(|error| error.to_string())?;
        let mut options = SignalingOptions::new(target);
        options.trust.clone_from(&plan.trust);
        options.auth.clone_from(&plan.token);
        options.patience = self.shared.patience;
        options.name = Name::new(&format!("p{}", self.number)).ok();
        let joined = timeout(self.shared.patience, Signaling::connect(options, events)).await;
        joined
            .map_err(|_| "the server did not let it in within --patience".to_owned())?
            .map_err(|error| error.to_string())
    }

    async fn stay(&self, clock: &Clock) -> Result<(), String> {
        let (events, mut server) = mpsc::channel(QUEUE);
        let signaling = self.join(events).await?;
        let (news, mut told) = mpsc::channel::<News>(QUEUE);
        let mut stay = Stay {
            links: HashMap::new(),
            ice_servers: Vec::new(),
            news,
            tasks: JoinSet::new(),
        };
        let mut ended = Ok(());
        while ended.is_ok() && self.shared.going.load(Ordering::Relaxed) {
            tokio::select! {
                event = server.recv() => ended = self.server(event, &mut stay, clock).await,
                Some(news) = told.recv() => self.link(news, &mut stay, &signaling, clock).await,
                () = sleep(GLANCE) => {}
            }
        }
        for (_, link) in stay.links {
            clock.forget(self.number, link.number);
            link.peer.close().await;
        }
        signaling.leave().await;
        stay.tasks.shutdown().await;
        ended
    }

    async fn server(
        &self,
        event: Option<SignalingEvent>,
        stay: &mut Stay,
        clock: &Clock,
    ) -> Result<(), String> {
        match event {
            Some(SignalingEvent::Welcome { ice_servers, .. }) => {
                let server = |server: rtc_protocol::IceServer| IceServer {
                    urls: server.urls,
                    username: server.username.unwrap_or_default(),
                    credential: server.credential.unwrap_or_default(),
                };
                stay.ice_servers = ice_servers.into_iter().map(server).collect();
            }
            Some(SignalingEvent::Joined { members, .. }) => {
                for member in members {
                    self.open(&member, true, stay).await?;
                }
            }
            Some(SignalingEvent::PeerJoined { member }) => self.open(&member, false, stay).await?,
            Some(SignalingEvent::Signal { from, signal }) => {
                if let Some(link) = stay.links.get(from.as_str()) {
                    link.peer.handle_signal(signal).await;
                }
            }
            Some(SignalingEvent::PeerLeft { peer, .. }) => {
                if let Some(link) = stay.links.remove(peer.as_str()) {
                    clock.forget(self.number, link.number);
                    link.peer.close().await;
                }
            }
            Some(SignalingEvent::Fatal(error)) => return Err(error.to_string()),
            Some(_) => {}
            None => return Err("the server's link has ended".to_owned()),
        }
        Ok(())
    }

    async fn open(&self, member: &Member, newcomer: bool, stay: &mut Stay) -> Result<(), String> {
        let id = member.peer.to_string();
        // Somebody of another run, or who was there before.
        let name = member.name.to_string();
        let far = name.strip_prefix('p');
        let Some(far) = far.and_then(|number| number.parse().ok()) else {
            return Ok(());
        };
        if stay.links.contains_key(&id) {
            return Ok(());
        }
        let plan = &self.shared.plan;
        let config = PeerConfig {
            ice_servers: stay.ice_servers.clone(),
            trust: plan.trust.clone(),
            video_codecs: match plan.media.senses.video() {
                true => vec![VideoCodec::Vp8],
                false => Vec::new(),
            },
            polite: newcomer,
            send_audio: plan.media.senses.audio(),
            send_video: plan.media.senses.video(),
            fec: When::Off,
            network: network(&plan.server),
            mdns: false,
            bitrate: plan.media.bitrate,
            impairment: self.shared.impairment.clone(),
            ..PeerConfig::default()
        };
        let (events, mut happened) = mpsc::channel(QUEUE);
        let peer = Peer::start(config, events)
            .await
            .map_err(|error| error.to_string())?;
        let number = self.shared.links.fetch_add(1, Ordering::Relaxed);
        let (news, from) = (stay.news.clone(), id.clone());
        stay.tasks.spawn(async move {
            while let Some(event) = happened.recv().await {
                if news.send((from.clone(), number, event)).await.is_err() {
                    return;
                }
            }
        });
        if newcomer {
            peer.negotiate().await;
        }
        let link = Link {
            number,
            far,
            peer,
            since: Instant::now(),
            stood: false,
        };
        stay.links.insert(id, link);
        Ok(())
    }

    async fn link(&self, news: News, stay: &mut Stay, signaling: &Signaling, clock: &Clock) {
        let (from, number, event) = news;
        let Some(link) = stay
            .links
            .get_mut(&from)
            .filter(|link| link.number == number)
        else {
            return;
        };
        match event {
            PeerEvent::Signal(signal) => {
                let Ok(to) = PeerId::new(&from) else { return };
                if let Err(error) = signaling.signal(to, signal).await {
                    tracing::debug!("a signal stays here: {error}");
                }
            }
            PeerEvent::State(ConnectionState::Connected) if !link.stood => {
                link.stood = true;
                let media = &self.shared.plan.media.senses;
                let video = media.video().then(|| link.peer.video().clone());
                let audio = media.audio().then(|| link.peer.audio().clone());
                clock.feed(self.number, number, video, audio);
                let after = link.since.elapsed();
                let far = link.far;
                self.tell(Told::Connected(self.number, far, after)).await;
            }
            PeerEvent::State(state @ (ConnectionState::Disconnected | ConnectionState::Failed)) => {
                self.tell(Told::Lost(self.number, state.name())).await;
            }
            PeerEvent::Track(track) => {
                let shared = Arc::clone(&self.shared);
                let tell = self.tell.clone();
                stay.tasks
                    .spawn(listen(track, link.far, self.number, shared, tell));
            }
            _ => {}
        }
    }
}

/// Where the server is on this machine, so are all peers: they need no other address, and each would be a socket for each.
fn network(server: &str) -> Choice {
    let here = ["localhost", "127.0.0.1"]
        .iter()
        .any(|name| server.contains(&format!("://{name}")));
    Choice {
        bind: match here {
            true => vec![[127, 0, 0, 1].into()],
            false => Vec::new(),
        },
        ..Choice::default()
    }
}

/// Compares what comes with what was sent.
async fn listen(
    mut track: RemoteTrack,
    far: usize,
    own: usize,
    shared: Arc<Shared>,
    tell: mpsc::Sender<Told>,
) {
    let video = track.kind == Kind::Video;
    let Some(counts) = shared.counts.get(own) else {
        return;
    };
    let (row, heard) = match video {
        true => (&shared.prepared.pictures, &counts.video),
        false => (&shared.prepared.sounds, &counts.audio),
    };
    let sent = shared.sent(far, video);
    let mut check = Check::new(video);
    let mut collect = Collect::default();
    let mut came = false;
    while let Some(packet) = track.rtp.recv().await {
        let packet = Packet {
            sequence: packet.sequence,
            timestamp: packet.timestamp,
            marker: packet.marker,
            payload: packet.payload,
            arrived: packet.arrived,
        };
        let frame = {
            let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
            check.take(packet, row, sent, &mut heard)
        };
        if !came && frame.as_ref().is_some_and(|frame| frame.number.is_some()) {
            came = true;
            let _ = tell.send(Told::Came(own, far, usize::from(!video))).await;
        }
        if let Some(frame) = frame
            && shared.sample.load(Ordering::Relaxed) % shared.counts.len() == own
        {
            collect.take(video, own, frame, row.len(), &shared);
        }
    }
}

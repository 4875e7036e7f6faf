//! The connections to the others: opened, fed, watched, closed.

use std::sync::Arc;

use rtc_protocol::PeerId;
use rtc_protocol::dialect::whip::PartnerNotice;
use tokio::time::Instant;

use super::super::link::{Link, News};
use super::super::sinks::recordable;
use super::{Call, LINKS, LOST_AFTER, RESTART_AFTER, TOLD};
use crate::event::{Event, Kind};
use crate::media::receive::audio::AudioReceive;
use crate::media::receive::video::VideoReceive;
use crate::peer::{ConnectionState, PeerConfig, PeerEvent, RemoteTrack, SoundOffer};

impl Call {
    pub(super) async fn open_link(&mut self, id: &str, polite: bool, offers: bool) {
        if self.far.values().filter(|far| far.link.is_some()).count() >= LINKS {
            return self.notice(format!(
                "the room has more than {LINKS} others; no connection is opened to the rest"
            ));
        }
        let took = self.far.get(id).is_some_and(|far| far.took);
        let terms = self.signaling.terms();
        let config = PeerConfig {
            ice_servers: self.ice_servers.clone(),
            trust: self.options.trust.clone(),
            relay_only: self.options.relay_only,
            network: self.options.network.clone(),
            ice_tcp: self.options.ice_tcp,
            udp_port: self.udp_port.clone(),
            hidden: self.hidden.clone(),
            video_codecs: recordable(&self.options),
            polite,
            took,
            send_audio: self.audio.is_some(),
            send_video: self.video.is_some(),
            receive: terms.receives,
            chat: terms.channels,
            sound: SoundOffer {
                stereo: self.options.stereo,
                dtx: self.options.dtx,
                opus_alone: self.options.e2ee.is_some(),
            },
            fec: self.options.fec,
            bitrate: self.options.bitrate,
            channels: self
                .options
                .data
                .iter()
                .map(|data| data.channel.clone())
                .collect(),
            impairment: self.impairment.clone(),
            ..PeerConfig::default()
        };
        self.links_opened += 1;
        let news = self.news.0.clone();
        match Link::open(id, self.links_opened, config, news).await {
            Ok(mut link) => {
                link.offers = offers;
                let peer = Arc::clone(&link.peer);
                if self.on_hold && self.far.get(id).is_some_and(|far| !far.fixed) {
                    peer.hold(true).await;
                }
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

    pub(super) fn close_link(&mut self, id: &str, link: Option<Link>) {
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

    pub(super) async fn peer(&mut self, news: News) {
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
                let signal = self.marked(signal);
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
            PeerEvent::LocalAudioWishes(wishes) => {
                if let Some(link) = self.link(&id) {
                    link.wishes = Some(wishes);
                }
                if let Some(audio) = &self.audio {
                    audio.wish(&id, wishes);
                }
            }
            PeerEvent::LocalVideoPaused => {
                if let Some(link) = self.link(&id) {
                    link.format = None;
                }
                if let Some(video) = &self.video {
                    video.remove(&id);
                }
            }
            PeerEvent::RemoteFlow { sends, took, held } => {
                self.remote_flow(&id, sends, took, held);
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
            PeerEvent::TargetBitrates { picture, sound } => {
                if let Some(link) = self.link(&id) {
                    link.bitrates = Some((picture, sound));
                }
                self.limit(&id);
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
            PeerEvent::Channel(channel) => self.channel(&id, channel).await,
            PeerEvent::Trouble(text) => {
                let name = self.name(&id);
                self.notice(format!("{name}: {text}"));
            }
            // Each connection meets it, and it is the same one.
            PeerEvent::ServerTrouble(text) => {
                if self.told.len() < TOLD && self.told.insert(text.clone()) {
                    self.notice(text);
                }
            }
        }
    }

    pub(super) fn link(&mut self, id: &str) -> Option<&mut Link> {
        self.far.get_mut(id)?.link.as_mut()
    }

    pub(super) fn name(&self, id: &str) -> String {
        self.far
            .get(id)
            .map_or_else(|| id.to_owned(), |far| far.who.name.clone())
    }

    pub(super) fn state(&mut self, id: &str, state: ConnectionState) {
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
                if first {
                    self.dial_first(id);
                }
                self.measured.connected(&peer, after);
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
                self.measured.troubled(&peer, state.name());
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

    pub(super) fn absent(&self, id: &str) -> bool {
        self.far.get(id).is_some_and(|far| !far.present)
    }

    /// Begins to send to a peer that is connected and said what it takes.
    pub(super) fn feed(&mut self, id: &str) {
        let Some(link) = self.far.get(id).and_then(|far| far.link.as_ref()) else {
            return;
        };
        if !link.connected() || self.on_hold {
            return;
        }
        if let (Some(video), Some(format)) = (&self.video, link.format)
            && let Some(target) = self.picture_target(link.peer.video().clone())
        {
            video.add(id, format, target);
        }
        if let Some(audio) = &self.audio
            && let Some(target) = self.sound_target(link.peer.audio().clone())
        {
            audio.add(id, target);
            if let Some(wishes) = link.wishes {
                audio.wish(id, wishes);
            }
        }
        self.limit(id);
    }

    /// Our encoders make no more than the path to this peer carries.
    fn limit(&mut self, id: &str) {
        let link = self.far.get(id).and_then(|far| far.link.as_ref());
        let Some((picture, sound)) = link.and_then(|link| link.bitrates) else {
            return;
        };
        if let Some(video) = &self.video {
            video.limit(id, picture);
        }
        if let Some(audio) = &self.audio {
            audio.limit(id, sound);
        }
    }

    pub(super) fn track(&mut self, id: &str, track: RemoteTrack) {
        let opened = self.opener_of(id);
        let Some(far) = self.far.get_mut(id) else {
            return;
        };
        let Some(link) = &mut far.link else { return };
        let side = link.sync.side(track.kind);
        let started = match track.kind {
            Kind::Video => VideoReceive::start(track, opened, side, far.media.pictures())
                .map(|receive| link.video.push(receive))
                .map_err(|e| e.to_string()),
            Kind::Audio => AudioReceive::start(track, opened, side, far.media.sounds())
                .map(|receive| link.audio.push(receive))
                .map_err(|e| e.to_string()),
        };
        if let Err(error) = started {
            self.notice(error);
        }
    }

    pub(super) async fn look_after_connections(&mut self) {
        let now = Instant::now();
        // Without a network a restart would find no address to offer, and without a server nobody to tell: it gives the
        // way up that both sides know, which may come back by itself.
        let may_restart = self.signaling.terms().restarts
            && !self.networks.is_away()
            && self.signaling_lost.is_none();
        let mut restart = Vec::new();
        let mut lost = Vec::new();
        let patience = self
            .options
            .data
            .as_ref()
            .map_or(LOST_AFTER, |data| data.patience);
        let mut overdue = Vec::new();
        for (id, far) in &mut self.far {
            let Some(link) = &far.link else { continue };
            if link.offer_at.is_some_and(|at| now >= at) {
                overdue.push(id.clone());
            }
            let Some(since) = link.unwell_since else {
                continue;
            };
            let unwell = now.saturating_duration_since(since);
            if unwell >= patience {
                lost.push(id.clone());
            } else if far.present
                && !far.by_http
                && may_restart
                && unwell >= RESTART_AFTER * (far.restarts + 1)
            {
                far.restarts += 1;
                restart.push(Arc::clone(&link.peer));
            }
        }
        for peer in restart {
            peer.restart_ice().await;
        }
        for id in overdue {
            self.offer_after_all(&id).await;
        }
        for id in lost {
            self.give_up(&id).await;
            self.gone(&id, "lost");
        }
    }

    /// Offers over a connection that nothing was said over, though it was the other side's turn.
    pub(super) async fn offer_after_all(&mut self, id: &str) {
        let Some(link) = self.link(id) else { return };
        link.offer_at = None;
        if link.silent() {
            link.offers = true;
            Arc::clone(&link.peer).offer_in_its_place().await;
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
}

//! What the server tells: who is in the room, and what they say to connect.

use std::sync::Arc;

use rtc_protocol::{LeaveReason, Member, SdpType};
use tokio::time::Instant;

use super::super::far::FarMedia;
use super::super::link::{Far, Link};
use super::super::outcome::How;
use super::super::promise::Promise;
use super::super::signals;
use super::{Call, OFFER_AFTER, OFFER_SOON};
use crate::event::{Event, Kind};
use crate::peer::Signal;
use crate::signaling::SignalingEvent;

impl Call {
    pub(super) async fn server(&mut self, event: SignalingEvent) -> Option<How> {
        match event {
            SignalingEvent::ServerStarted { url } => self.tell(Event::ServerStarted { url }),
            SignalingEvent::Welcome { ice_servers, .. } => {
                self.ice_servers = signals::ice_servers(ice_servers, &self.options.ice_servers);
            }
            SignalingEvent::Joined {
                room, members, url, ..
            } => {
                self.room = room.to_string();
                self.page = url;
                if let Err(error) = self.protect().await {
                    return Some(How::Unprotected(error.to_string()));
                }
                self.joined(members).await;
            }
            SignalingEvent::Waiting { name } => {
                let name = name.to_string();
                self.tell(Event::Waiting { name });
            }
            SignalingEvent::Rung { call, from, name } => self.rung(call, from, &name).await,
            SignalingEvent::Ringing => self.rings(),
            SignalingEvent::Accepted => self.accepted(),
            SignalingEvent::NotTaken { code, reason } => return self.not_taken(code, reason),
            SignalingEvent::HungUp { call } => return self.hung_up(&call),
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
            SignalingEvent::Fatal(error) if error.is_of_a_first_exchange() => {
                return Some(How::NotSignaled(signals::ending(&error), error.to_string()));
            }
            SignalingEvent::Fatal(error) => return Some(How::SignalingLost(error.to_string())),
            SignalingEvent::Copy { kind, text } => {
                let kind = signals::description(kind).to_owned();
                self.tell(Event::Copy { kind, text });
            }
            SignalingEvent::Notice { text } => self.notice(text),
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

    pub(super) async fn joined(&mut self, members: Vec<Member>) {
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
            // Who came while we were away is news; who was there at first is in `joined`.
            if !first && !self.far.contains_key(member.peer.as_str()) {
                let peer = signals::peer_ref(&member);
                self.tell(Event::PeerJoined { peer });
            }
            self.came(member, true).await;
        }
    }

    /// Somebody is in the room with us; `newcomer` tells that we are the later one, who
    /// makes the offer and gives way.
    pub(super) async fn came(&mut self, member: Member, newcomer: bool) {
        let who = signals::peer_ref(&member);
        // A member that the server translates for offers by itself, or has us asked for an offer; we give way.
        let foreign = member.dialect.is_some();
        let known = self.far.get_mut(&who.id);
        let kept = known.and_then(|far| {
            far.present = true;
            let link = far.link.as_ref().filter(|link| link.alive())?;
            Some((Arc::clone(&link.peer), far.fixed))
        });
        if let Some((peer, fixed)) = kept {
            if !fixed {
                peer.met_again().await;
            }
        } else {
            if !newcomer || self.far.contains_key(&who.id) {
                self.tell(Event::PeerJoined { peer: who.clone() });
            }
            let (mut took, mut before) = (false, None);
            let media = match self.far.remove(&who.id) {
                Some(far) => {
                    took = far.took;
                    before = far.link.as_ref().map(|link| link.promise.origin.clone());
                    self.close_link(&who.id, far.link);
                    far.media
                }
                None => FarMedia::new(
                    who.clone(),
                    self.board.clone(),
                    &self.sinks,
                    self.media.0.clone(),
                    self.measured.clone(),
                ),
            };
            self.measured.came(&who);
            let mut far = Far::new(who.clone(), media);
            far.by_http = signals::is_by_http(member.dialect);
            far.fixed = foreign || !self.signaling.terms().renegotiates;
            far.took = took;
            let again = before.filter(|_| !far.fixed);
            self.far.insert(who.id.clone(), far);
            self.open_link(&who.id, newcomer || foreign, newcomer && !foreign)
                .await;
            if let (Some(origin), Some(link)) = (again, self.link(&who.id)) {
                // It may think that the connection before still stands: what it says of that is late, and then the offer,
                // which is the newcomer's, never comes.
                link.not_from = Some(origin).filter(|origin| !origin.is_empty());
                link.offer_at = (!newcomer).then(|| Instant::now() + OFFER_AFTER);
            }
        }
        for kind in member.muted {
            self.muted_by(&who.id, kind, true);
        }
    }

    pub(super) fn went(&mut self, id: &str, reason: LeaveReason) {
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
    pub(super) fn gone(&mut self, id: &str, reason: &str) {
        let Some(far) = self.far.get_mut(id) else {
            return;
        };
        if far.until.is_some() {
            return;
        }
        far.until = Some(Instant::now());
        far.lost = reason == "lost";
        let peer = far.who.clone();
        far.media.still();
        self.measured.left(&peer, reason);
        let link = far.link.take();
        self.board.remove(id);
        self.close_link(id, link);
        self.tell(Event::PeerLeft {
            peer,
            reason: reason.to_owned(),
        });
    }

    /// A moderator muted us, or lifted it; what we muted ourselves stays so, and the room is told again.
    pub(super) async fn held_by(&mut self, by: &str, kind: Kind, held: bool) {
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

    pub(super) fn muted_by(&self, id: &str, kind: rtc_protocol::Kind, muted: bool) {
        let kind = signals::kind(kind);
        if let Some(far) = self.far.get(id) {
            self.tell(Event::PeerMuted {
                peer: far.who.clone(),
                kind,
                muted,
            });
        }
    }

    /// Whether its connection was given up, though it never left the room.
    fn is_given_up(&self, id: &str) -> bool {
        let far = self.far.get(id);
        far.is_some_and(|far| far.until.is_some() && far.lost && far.present && !far.fixed)
    }

    /// Takes somebody back whose connection was given up. Tells whether what it said is answered by an offer of ours: it
    /// spoke of the old connection, which nothing can bring back here.
    async fn revive(&mut self, id: &str, promise: &Promise, answers: bool) -> bool {
        let Some(far) = self.far.get_mut(id) else {
            return false;
        };
        far.until = None;
        far.held = false;
        far.lost = false;
        far.restarts = 0;
        let peer = far.who.clone();
        let old = answers || far.promised.origin == promise.origin;
        self.tell(Event::PeerJoined { peer });
        self.open_anew(id, promise, old).await
    }

    /// Opens a connection in place of one that is gone. Where what was said is about that one, there is an offer instead
    /// of an answer; tells whether.
    async fn open_anew(&mut self, id: &str, promise: &Promise, old: bool) -> bool {
        // Who is offered a new session takes it as one that is not polite.
        self.open_link(id, old, old).await;
        if old && let Some(link) = self.link(id) {
            link.not_from = Some(promise.origin.clone());
        }
        old
    }

    pub(super) async fn signal(&mut self, from: &str, signal: Signal) {
        let promise = match &signal {
            Signal::Description(description) => Some(Promise::read(&description.sdp)),
            _ => None,
        };
        let answers = matches!(&signal, Signal::Description(said) if said.kind == SdpType::Answer);
        if let Some(promise) = &promise
            && self.is_given_up(from)
        {
            // It slept, or the path to it was away for too long, and it has not given us up.
            if self.revive(from, promise, answers).await {
                return;
            }
        }
        let Some(far) = self.far.get(from).filter(|far| far.until.is_none()) else {
            return tracing::debug!("a signal from {from}, who is not in the room, is ignored");
        };
        let stale = far.link.as_ref().and_then(|link| link.not_from.as_ref());
        if let (Some(stale), Some(promise)) = (stale, &promise)
            && *stale == promise.origin
        {
            tracing::debug!("{from} still speaks of the connection before");
            if let Some(at) = self.link(from).and_then(|link| link.offer_at.as_mut()) {
                // Its next word may be the new offer all the same.
                *at = (*at).min(Instant::now() + OFFER_SOON);
            }
            return;
        }
        if let Some(promise) = &promise {
            let known = far.link.as_ref().map(|link| link.promise.origin.as_str());
            let reloaded = known.is_some_and(|o| !o.is_empty() && o != promise.origin);
            if reloaded || known.is_none() {
                // The same peer with another session: its page was loaded again, or made its connection anew.
                let answers = answers && !far.fixed;
                let old = self.far.get_mut(from).and_then(|far| far.link.take());
                self.close_link(from, old);
                // Nothing waits for an answer any more where the connection that offered is gone.
                if self.open_anew(from, promise, answers).await {
                    return;
                }
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
}

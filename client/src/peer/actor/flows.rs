//! What we send, what is held, and what the far side makes of it.

use std::sync::Arc;

use rtc::rtp_transceiver::RTCRtpTransceiverId;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;

use super::super::directions::{self, Flow};
use super::super::event::PeerEvent;
use super::super::{send, setup};
use super::{Actor, Sender};
use crate::event::Kind;

/// What the owner knows of the far side's directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RemoteFlow {
    sends: Option<[bool; 2]>,
    /// Whether it ever took anything.
    took: bool,
    held: bool,
}

impl RemoteFlow {
    /// Before anything was said over this connection; it may have taken something over one before.
    pub(super) fn after(took: bool) -> Self {
        Self {
            took,
            ..Self::default()
        }
    }
}

impl Actor {
    /// Which way a sense shall go.
    pub(super) fn wanted(&self, kind: Kind) -> Flow {
        Flow {
            send: self.sends[kind as usize] && !self.held,
            receive: !self.held && self.config.receive,
        }
    }

    /// Puts a track of ours for each sense that we send into the engine.
    pub(super) async fn add_tracks(&mut self) -> webrtc::error::Result<()> {
        for kind in [Kind::Audio, Kind::Video] {
            if self.sends[kind as usize] {
                self.add_track(kind).await?;
            }
        }
        Ok(())
    }

    async fn add_track(&mut self, kind: Kind) -> webrtc::error::Result<()> {
        match kind {
            Kind::Audio => self.add_audio().await,
            Kind::Video if self.config.video_codecs.is_empty() => Ok(()),
            Kind::Video => self.add_video().await,
        }
    }

    async fn add_audio(&mut self) -> webrtc::error::Result<()> {
        let ids = send::TrackIds::new(Kind::Audio, &self.stream);
        let track = Arc::new(TrackLocalStaticRTP::new(
            ids.track(setup::opus_codec(self.config.sound)),
        ));
        let engine = self.engine.connection.add_track(track.clone()).await?;
        // Without a word the engine offers what the track is in, and nothing beside it.
        for transceiver in self.engine.connection.get_transceivers().await {
            if transceiver.id() == RTCRtpTransceiverId::from(engine.id()) {
                let codecs = setup::audio_codecs(self.config.sound);
                transceiver.set_codec_preferences(codecs).await?;
            }
        }
        let task = self.tasks.spawn(send::audio(
            self.audio.clone(),
            track,
            self.audio_sending.subscribe(),
            self.news.0.clone(),
            self.engine.feedback.clone(),
        ));
        self.audio_sender = Some(Sender { engine, ids, task });
        Ok(())
    }

    async fn add_video(&mut self) -> webrtc::error::Result<()> {
        let ids = send::TrackIds::new(Kind::Video, &self.stream);
        // Which codec it will be is not known before the far side's description.
        let track = Arc::new(TrackLocalStaticRTP::new(ids.track(Default::default())));
        let engine = self.engine.connection.add_track(track.clone()).await?;
        let task = self.tasks.spawn(send::video(
            self.video.clone(),
            track,
            self.video_sending.subscribe(),
            self.news.0.clone(),
            self.engine.feedback.clone(),
        ));
        self.video_sender = Some(Sender { engine, ids, task });
        Ok(())
    }

    pub(super) const fn sender(&self, kind: Kind) -> Option<&Sender> {
        match kind {
            Kind::Audio => self.audio_sender.as_ref(),
            Kind::Video => self.video_sender.as_ref(),
        }
    }

    /// The name of the section that our track is in, once it is in one.
    pub(super) async fn own_mid(&self, kind: Kind) -> Option<String> {
        let id = RTCRtpTransceiverId::from(self.sender(kind)?.engine.id());
        let all = self.engine.connection.get_transceivers().await;
        let own = all.iter().find(|transceiver| transceiver.id() == id)?;
        own.mid().await.ok().flatten()
    }

    /// The part of a description that is about our track; all of it where that is in no section.
    pub(super) async fn about_our(&self, kind: Kind, sdp: &str) -> String {
        match self.own_mid(kind).await {
            Some(mid) => directions::only(sdp, &mid),
            None => sdp.to_owned(),
        }
    }

    /// The kinds of which we have a track that is in no section.
    pub(super) async fn free_tracks(&self) -> Vec<Kind> {
        let mut free = Vec::new();
        for kind in [Kind::Audio, Kind::Video] {
            if self.sender(kind).is_some() && self.own_mid(kind).await.is_none() {
                free.push(kind);
            }
        }
        free
    }

    /// Sends a sense, or sends it no more. The track stays in its place, so that the next one finds it.
    pub(super) async fn set_sending(&mut self, kind: Kind, on: bool) {
        if std::mem::replace(&mut self.sends[kind as usize], on) == on {
            return;
        }
        if on {
            self.forget_ended(kind).await;
            if self.sender(kind).is_none()
                && let Err(error) = self.add_track(kind).await
            {
                self.trouble(format!("a track could not be added: {error}"));
            }
        }
        self.renegotiate();
    }

    pub(super) fn hold(&mut self, on: bool) {
        if std::mem::replace(&mut self.held, on) != on {
            self.renegotiate();
        }
    }

    /// Before the first description it says everything by itself.
    fn renegotiate(&mut self) {
        if !self.said.is_empty() || !self.heard.is_empty() {
            self.negotiation.want(false);
        }
    }

    /// A track whose section was ended by the far side has no place any more; another one finds a new place.
    async fn forget_ended(&mut self, kind: Kind) {
        let Some(mid) = self.own_mid(kind).await else {
            return;
        };
        let ended = [&self.heard, &self.said]
            .into_iter()
            .any(|sdp| directions::is_ended(sdp, &mid));
        if !ended {
            return;
        }
        let sender = match kind {
            Kind::Audio => self.audio_sender.take(),
            Kind::Video => self.video_sender.take(),
        };
        if let Some(sender) = sender {
            sender.task.abort();
        }
    }

    /// Whether a sense of ours is to go out by what both sides said last.
    pub(super) async fn goes(&self, kind: Kind) -> bool {
        let mid = self.own_mid(kind).await;
        let ours = directions::flow(&self.said, kind, mid.as_deref());
        let theirs = directions::flow(&self.heard, kind, mid.as_deref());
        ours.send && theirs.receive
    }

    /// Tells what the far side sends and takes, if that is news.
    pub(super) fn tell_remote_flow(&mut self) {
        let theirs =
            [Kind::Audio, Kind::Video].map(|kind| directions::flow(&self.heard, kind, None));
        let sends = theirs.map(|flow| flow.send && !self.held);
        let takes = theirs.iter().any(|flow| flow.receive);
        let before = self.remote_flow;
        let took = before.took || takes;
        // While we hold the call, it takes nothing because we send nothing.
        let held = took && !takes && !self.held;
        self.remote_flow = RemoteFlow {
            sends: Some(sends),
            took,
            held,
        };
        if self.remote_flow != before {
            self.tell(PeerEvent::RemoteFlow { sends, took, held });
        }
    }
}

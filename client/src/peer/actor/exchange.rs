//! The actor's half that performs what the negotiation says.

use std::sync::Arc;

use rtc::peer_connection::configuration::RTCOfferOptions;
use rtc::rtp_transceiver::rtp_sender::RtpCodecKind;
use rtc::rtp_transceiver::{RTCRtpTransceiverDirection, RTCRtpTransceiverInit};
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::peer_connection::{RTCIceCandidateInit, RTCSessionDescription};
use webrtc::rtp_transceiver::RtpSender;

use super::super::engine::Engine;
use super::super::event::{PeerEvent, RemoteCodec};
use super::super::negotiation::Step;
use super::super::send::{AudioSending, Tones, VideoSending};
use super::super::{CHAT_LABEL, PeerError, channel, directions, receive, sdp, setup, tone_names};
use super::Actor;
use crate::event::Kind;
use crate::media::frame::{SAMPLE_RATE, VideoCodec};
use crate::media::send::wishes::OpusWishes;
use rtc_protocol::{Description, SdpType, Signal};

impl Actor {
    /// Performs what the negotiation says until it says no more.
    pub(super) async fn negotiate(&mut self) {
        while let Some(step) = self.negotiation.next() {
            let outcome = self.perform(step.clone()).await;
            tracing::debug!(ok = outcome.is_ok(), "negotiation: {}", name(&step));
            self.negotiation.done(outcome.is_ok());
            if let Err(problem) = outcome {
                self.trouble(format!("{}: {problem}", describe(&step)));
            }
        }
    }

    async fn perform(&mut self, step: Step) -> Result<(), String> {
        match step {
            Step::Offer { restart: true } if !self.engine.can_restart() => {
                Err("the network is not ready for a restart; it is tried again".to_owned())
            }
            Step::Offer { restart } => self.offer(restart).await.map_err(|e| e.to_string()),
            Step::OfferAgain => {
                self.tell(PeerEvent::Signal(Signal::Description(Description {
                    kind: SdpType::Offer,
                    sdp: self.said.clone(),
                })));
                Ok(())
            }
            Step::Rollback => {
                let rollback = RTCSessionDescription::rollback(None).map_err(|e| e.to_string())?;
                self.engine
                    .connection
                    .set_local_description(rollback)
                    .await
                    .map_err(|e| e.to_string())
            }
            Step::ApplyOffer(text) => {
                self.check(&text).await?;
                let known = directions::mids(&self.heard);
                let told = directions::for_the_engine(&text, &known, self.free_tracks().await);
                let offer = RTCSessionDescription::offer(tone_names::for_the_engine(&told))
                    .map_err(|e| e.to_string())?;
                if let Err(error) = self.engine.connection.set_remote_description(offer).await {
                    self.forget_offer().await;
                    return Err(error.to_string());
                }
                self.heard.clone_from(&text);
                self.agree(&text).await;
                Ok(())
            }
            Step::Answer => {
                self.hurry();
                if let Err(error) = self.answer().await {
                    self.forget_offer().await;
                    return Err(error.to_string());
                }
                Ok(())
            }
            Step::AnswerAgain => {
                if let Some(answer) = self.last_answer.clone() {
                    self.tell(PeerEvent::Signal(Signal::Description(answer)));
                }
                Ok(())
            }
            Step::ApplyAnswer(text) => {
                self.check(&text).await?;
                let answer = RTCSessionDescription::answer(tone_names::for_the_engine(&text))
                    .map_err(|e| e.to_string())?;
                self.agree(&text).await;
                self.hurry();
                self.engine
                    .connection
                    .set_remote_description(answer)
                    .await
                    .map_err(|e| e.to_string())?;
                self.heard.clone_from(&text);
                self.role = self.role.or(match sdp::role(&text) {
                    Some("active") => Some("passive"),
                    Some(_) => Some("active"),
                    None => None,
                });
                self.begin().await;
                Ok(())
            }
            Step::AddCandidate(candidate) => self
                .engine
                .connection
                .add_ice_candidate(RTCIceCandidateInit {
                    candidate: candidate.candidate,
                    sdp_mid: candidate.sdp_mid,
                    sdp_mline_index: candidate.sdp_m_line_index,
                    username_fragment: candidate.username_fragment,
                    url: None,
                })
                .await
                .map_err(|e| e.to_string()),
        }
    }

    async fn offer(&mut self, restart: bool) -> webrtc::error::Result<()> {
        if !std::mem::replace(&mut self.prepared, true) {
            self.prepare().await?;
        }
        self.receive_again().await?;
        // Not by `restart_ice`, which begins to gather before there are new credentials to gather for.
        let options = restart.then_some(RTCOfferOptions { ice_restart: true });
        let offer = self.engine.connection.create_offer(options).await?;
        let text = offer.sdp.clone();
        self.engine.connection.set_local_description(offer).await?;
        let sdp = self.shown(sdp::mend(&text));
        let before = directions::mids(&self.heard).len();
        let sdp = directions::offer(&sdp, |kind| self.wanted(kind), before);
        let sdp = self.numbered(&sdp);
        self.negotiation.offered(&sdp);
        self.said.clone_from(&sdp);
        self.tell(PeerEvent::Signal(Signal::Description(Description {
            kind: SdpType::Offer,
            sdp,
        })));
        Ok(())
    }

    /// The engine drops what comes with an answer to a transceiver that it takes for one that only sends, as it does since
    /// an offer that wished nothing but our track. What we wish of it, [`directions::offer`] says.
    async fn receive_again(&self) -> webrtc::error::Result<()> {
        for transceiver in self.engine.connection.get_transceivers().await {
            if transceiver.direction().await? == RTCRtpTransceiverDirection::Sendonly {
                transceiver
                    .set_direction(RTCRtpTransceiverDirection::Sendrecv)
                    .await?;
            }
        }
        Ok(())
    }

    /// Our description as the far side may see it.
    fn shown(&self, mut text: String) -> String {
        if let Some(shared) = &self.engine.shared {
            let fragments = sdp::username_fragments(&text);
            shared.claim(fragments.iter().map(String::as_str));
            text = shared.description(&text);
        }
        match &self.config.hidden {
            Some(hidden) => hidden.description(&text),
            None => text,
        }
    }

    async fn answer(&mut self) -> webrtc::error::Result<()> {
        let answer = self.engine.connection.create_answer(None).await?;
        let text = sdp::mend(&answer.sdp);
        self.engine.connection.set_local_description(answer).await?;
        // Who is who in DTLS stays for as long as its association does (RFC 8842, section 5.5), and the engine would always
        // be the active one.
        let text = match self.role {
            Some(role) => sdp::with_role(&text, role),
            None => {
                self.role = sdp::role(&text);
                text
            }
        };
        let text = self.shown(text);
        let text = directions::answer(&text, &self.heard, |kind| self.wanted(kind));
        let sdp = sdp::answering(&self.numbered(&text), &self.heard);
        self.said.clone_from(&sdp);
        let answer = Description {
            kind: SdpType::Answer,
            sdp,
        };
        self.last_answer = Some(answer.clone());
        self.tell(PeerEvent::Signal(Signal::Description(answer)));
        self.begin().await;
        Ok(())
    }

    /// The next description of ours.
    fn numbered(&mut self, sdp: &str) -> String {
        self.descriptions += 1;
        sdp::with_version(sdp, self.descriptions)
    }

    /// Refuses a description that the engine should not see.
    async fn check(&self, text: &str) -> Result<(), String> {
        let before = match self.engine.connection.current_remote_description().await {
            Some(before) => {
                let mut kinds = sdp::section_kinds(&before.sdp);
                for text in [&self.heard, &self.said] {
                    let ended = directions::ended(text);
                    let pairs = kinds.iter_mut().zip(ended).filter(|(_, ended)| *ended);
                    pairs.for_each(|(kind, _)| kind.clear());
                }
                kinds
            }
            None => Vec::new(),
        };
        sdp::check(text, &before).map_err(|refused| refused.to_string())
    }

    /// Undoes an offer that failed half-way. What it has set in the engine stays there and
    /// breaks later offers, so an engine that was never of use is replaced.
    async fn forget_offer(&mut self) {
        if self
            .engine
            .connection
            .current_remote_description()
            .await
            .is_none()
        {
            if let Err(error) = self.begin_anew().await {
                self.trouble(error.to_string());
            }
            return;
        }
        let forgotten = match RTCSessionDescription::rollback(None) {
            Ok(rollback) => {
                self.engine
                    .connection
                    .set_remote_description(rollback)
                    .await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = forgotten {
            tracing::debug!("no offer to forget: {error}");
        }
    }

    async fn begin_anew(&mut self) -> Result<(), PeerError> {
        let engine = Engine::open(&self.config).await?;
        self.tasks.shutdown().await;
        self.chat.clear();
        self.engine.close().await;
        self.engine = engine;
        self.prepared = false;
        self.role = None;
        (self.audio_sender, self.video_sender) = (None, None);
        self.heard.clear();
        self.said.clear();
        self.add_tracks()
            .await
            .map_err(|error| PeerError::Open(error.to_string()))
    }

    /// Puts chat, and places for media that we only receive, into our first offer.
    async fn prepare(&mut self) -> webrtc::error::Result<()> {
        if self.engine.connection.remote_description().await.is_some() {
            return Ok(());
        }
        let receive = |kind| {
            let init = RTCRtpTransceiverInit {
                direction: RTCRtpTransceiverDirection::Recvonly,
                streams: Vec::new(),
                send_encodings: Vec::new(),
            };
            self.engine
                .connection
                .add_transceiver_from_kind(kind, Some(init))
        };
        if self.audio_sender.is_none() && self.config.receive {
            receive(RtpCodecKind::Audio).await?;
        }
        let pictures = self.config.receive && !self.config.video_codecs.is_empty();
        if self.video_sender.is_none() && pictures {
            receive(RtpCodecKind::Video).await?;
        }
        if self.config.chat {
            let channel = self
                .engine
                .connection
                .create_data_channel(CHAT_LABEL, None)
                .await?;
            self.add_chat(channel);
        }
        for init in self.config.channels.clone() {
            let channel = channel::open(&self.engine.connection, &init).await?;
            self.add_channel(channel);
        }
        Ok(())
    }

    /// Reads from the far side's description what we will send, and tells the engine
    /// before it starts media: it binds a sender to the codec that its track names.
    async fn agree(&mut self, remote: &str) {
        let remote = self.about_our(Kind::Video, remote).await;
        let choice = sdp::choose_video(&sdp::formats(&remote, "video"), &self.config.video_codecs);
        if let (Some(sender), Some((codec, single_nal))) = (&self.video_sender, choice) {
            let track = sender.ids.track(setup::video_codec(codec, single_nal));
            let track = Arc::new(TrackLocalStaticRTP::new(track));
            if let Err(error) = sender.engine.replace_track(track).await {
                tracing::warn!("choosing the codec of our pictures: {error}");
            }
        }
    }

    /// Begins to send what was negotiated.
    async fn begin(&mut self) {
        let audio_goes = self.goes(Kind::Audio).await;
        let video_goes = self.goes(Kind::Video).await;
        self.tell_remote_flow();
        let mut level = None;
        let mut beside_opus = Vec::new();
        let mut repairs = [None; 2];
        let mut again = Vec::new();
        // The far side sends by the payload types that our description names (RFC 3264 section 5.1).
        if let Some(local) = self.engine.connection.local_description().await {
            self.offered = receive::Offered {
                codecs: remote_codecs(&local.sdp),
                audio_level: sdp::extension(&local.sdp, "audio", setup::AUDIO_LEVEL_URI),
                orientation: sdp::extension(&local.sdp, "video", setup::ORIENTATION_URI),
                colours: sdp::extension(&local.sdp, "video", setup::COLOURS_URI),
            };
            repairs[0] = sdp::repairs(&local.sdp);
            again = sdp::retransmissions(&local.sdp);
            beside_opus = sdp::formats(&local.sdp, "audio");
        }
        if let Some(remote) = self.engine.connection.remote_description().await {
            self.listen_to_wishes(&remote.sdp);
            level = sdp::extension(&remote.sdp, "audio", setup::AUDIO_LEVEL_URI);
            // By the payload types that the far side names, what both do.
            let ours = std::mem::take(&mut beside_opus);
            beside_opus = sdp::formats(&remote.sdp, "audio");
            beside_opus.retain(|f| ours.iter().any(|o| o.is_same(f)));
            repairs[1] = sdp::repairs(&remote.sdp).filter(|_| repairs[0].is_some());
        }
        let fec = self.engine.feedback.fec.clone();
        fec.agree(repairs[0], None, again.clone());
        // The engine's senders know codecs, and nothing of directions.
        if let Some(sender) = &self.audio_sender {
            let formats = negotiated(&sender.engine).await;
            let red = beside_opus
                .iter()
                .find(|f| f.name.eq_ignore_ascii_case("red"))
                .map(|f| f.payload_type);
            // Those at the clock of Opus, if there are any: then one clock counts everything.
            let tones = beside_opus
                .iter()
                .filter(|f| f.is_tones())
                .max_by_key(|f| f.clock == SAMPLE_RATE)
                .map(|f| Tones {
                    payload_type: f.payload_type,
                    clock: f.clock,
                });
            let opus = formats.iter().filter(|_| audio_goes).find_map(|f| {
                f.name.eq_ignore_ascii_case("opus").then_some(AudioSending {
                    payload_type: f.payload_type,
                    ssrc: sender.ids.ssrc,
                    level,
                    red,
                    tones,
                })
            });
            self.audio_sending.send_replace(opus);
        }
        let Some(sender) = &self.video_sender else {
            return;
        };
        if !video_goes {
            // Nobody asks for our pictures, so nobody refuses them.
            self.video_sending.send_replace(None);
            if self.told.take().flatten().is_some() {
                self.tell(PeerEvent::LocalVideoPaused);
            }
            return;
        }
        let formats = negotiated(&sender.engine).await;
        let sending = sdp::choose_video(&formats, &self.config.video_codecs).and_then(
            |(codec, single_nal)| {
                let format = formats
                    .iter()
                    .find(|f| sdp::is_video(f, codec, single_nal))?;
                Some(VideoSending {
                    codec,
                    single_nal,
                    payload_type: format.payload_type,
                    ssrc: sender.ids.ssrc,
                })
            },
        );
        // Of other codecs nobody can tell a repair packet that was lost from a picture that was.
        let [receiving, sent] = repairs;
        let skips = |s: VideoSending| matches!(s.codec, VideoCodec::Vp8 | VideoCodec::Vp9);
        let sent = sent.filter(|_| sending.is_some_and(skips));
        fec.agree(receiving, sent, again);
        let format = sending.map(VideoSending::format);
        self.video_sending.send_replace(sending);
        if self.told != Some(format) {
            self.told = Some(format);
            self.tell(match format {
                Some(format) => PeerEvent::LocalVideoReady(format),
                None => PeerEvent::LocalVideoRefused,
            });
        }
    }
}

impl Actor {
    /// Tells what the far side asks of our sound, if it is news.
    fn listen_to_wishes(&mut self, remote: &str) {
        let wishes = sdp::formats(remote, "audio")
            .iter()
            .find(|format| format.name.eq_ignore_ascii_case("opus"))
            .map(|format| OpusWishes::parse(&format.parameters));
        if let Some(wishes) = wishes
            && self.wishes != Some(wishes)
        {
            self.wishes = Some(wishes);
            self.tell(PeerEvent::LocalAudioWishes(wishes));
        }
    }
}

/// The codecs that the engine negotiated for a sender.
async fn negotiated(sender: &Arc<dyn RtpSender>) -> Vec<sdp::Format> {
    let Ok(parameters) = sender.get_parameters().await else {
        return Vec::new();
    };
    parameters
        .rtp_parameters
        .codecs
        .into_iter()
        .map(|codec| sdp::Format {
            payload_type: codec.payload_type,
            name: codec
                .rtp_codec
                .mime_type
                .split('/')
                .next_back()
                .unwrap_or_default()
                .to_owned(),
            clock: codec.rtp_codec.clock_rate,
            parameters: codec.rtp_codec.sdp_fmtp_line,
        })
        .collect()
}

fn remote_codecs(description: &str) -> Vec<(Kind, u8, RemoteCodec)> {
    let video = sdp::formats(description, "video")
        .into_iter()
        .filter_map(|format| {
            let codec = format.video_codec()?;
            Some((Kind::Video, format.payload_type, RemoteCodec::Video(codec)))
        });
    let audio = sdp::formats(description, "audio")
        .into_iter()
        .filter_map(|format| {
            let codec = if format.name.eq_ignore_ascii_case("opus") {
                RemoteCodec::Opus {
                    parameters: format.parameters,
                }
            } else if format.name.eq_ignore_ascii_case("red") {
                RemoteCodec::Red
            } else if format.is_tones() {
                RemoteCodec::Tones {
                    clock: format.clock,
                }
            } else {
                return None;
            };
            Some((Kind::Audio, format.payload_type, codec))
        });
    video.chain(audio).collect()
}

fn name(step: &Step) -> &'static str {
    match step {
        Step::Offer { restart: false } => "our offer",
        Step::Offer { restart: true } => "our offer with a restart of ICE",
        Step::OfferAgain => "our offer again",
        Step::Rollback => "our offer taken back",
        Step::ApplyOffer(_) => "the far side's offer",
        Step::Answer => "our answer",
        Step::AnswerAgain => "our answer again",
        Step::ApplyAnswer(_) => "the far side's answer",
        Step::AddCandidate(_) => "a candidate of the far side",
    }
}

fn describe(step: &Step) -> &'static str {
    match step {
        Step::Offer { .. } | Step::OfferAgain => "our offer failed",
        Step::Rollback => "our offer could not be taken back",
        Step::ApplyOffer(_) => "the far side's offer was refused",
        Step::Answer | Step::AnswerAgain => "the far side's offer could not be answered",
        Step::ApplyAnswer(_) => "the far side's answer was refused",
        Step::AddCandidate(_) => "a candidate of the far side was refused",
    }
}

//! From the engine's tracks to their readers: one fast task for each, because the
//! engine's own queue is short and drops without counting.

use std::sync::Arc;

use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc::rtp_transceiver::rtp_sender::RtpCodecKind;
use tokio::sync::mpsc;
use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};

use super::actor::News;
use super::event::{Counter, KeyFrameRequest, RemoteCodec, RemoteTrack, RtpPacket, SenderReports};
use super::rtcp::Feedback;
use crate::event::Kind;
use crate::media::clock::Timestamp;
use crate::media::convert::{Colours, Rotation};

/// Packets that wait for their reader: more than a second of high-rate video. The newest is dropped.
const PACKETS: usize = 2048;

/// What our description lets the far side send.
#[derive(Clone, Debug, Default)]
pub(super) struct Offered {
    /// What each payload type means.
    pub(super) codecs: Vec<(Kind, u8, RemoteCodec)>,
    /// The id of the header extension that tells loudness.
    pub(super) audio_level: Option<u8>,
    /// The id of the one that tells which way up a picture is.
    pub(super) orientation: Option<u8>,
    /// The id of the one that tells what its colours mean.
    pub(super) colours: Option<u8>,
}

/// Announces a track with its first packet and forwards its packets until it ends.
pub(super) async fn drain(
    track: Arc<dyn TrackRemote>,
    offered: Offered,
    feedback: Feedback,
    news: mpsc::Sender<News>,
) {
    let kind = match track.kind().await {
        RtpCodecKind::Audio => Kind::Audio,
        RtpCodecKind::Video => Kind::Video,
        _ => return,
    };
    let codecs: Vec<_> = offered
        .codecs
        .into_iter()
        .filter(|(of, _, _)| *of == kind)
        .map(|(_, payload_type, codec)| (payload_type, codec))
        .collect();
    let ids = match kind {
        Kind::Audio => [offered.audio_level, None, None],
        Kind::Video => [None, offered.orientation, offered.colours],
    };
    let (packets, rtp) = mpsc::channel(PACKETS);
    let dropped = Counter::default();
    let (ask, mut asked) = mpsc::channel(1);
    let mut unannounced = Some((rtp, ask));
    let mut ssrc = 0;
    loop {
        let event = tokio::select! {
            event = track.poll() => event,
            Some(()) = asked.recv() => {
                request_key_frame(&track, ssrc).await;
                continue;
            }
        };
        let packet = match event {
            Some(TrackRemoteEvent::OnRtpPacket(packet)) => packet,
            Some(TrackRemoteEvent::OnEnded) | None => return,
            Some(_) => continue,
        };
        // A codec that was not negotiated is noise.
        if !codecs
            .iter()
            .any(|(known, _)| *known == packet.header.payload_type)
        {
            continue;
        }
        ssrc = packet.header.ssrc;
        if let Some((rtp, ask)) = unannounced.take() {
            let track = RemoteTrack {
                kind,
                codecs: codecs.clone(),
                ssrc,
                stream_id: track.stream_id().await,
                rtp,
                dropped: dropped.clone(),
                key_frame: KeyFrameRequest(ask),
                reports: SenderReports::new(feedback.clone(), ssrc),
            };
            if news.send(News::Track(track)).await.is_err() {
                return;
            }
        }
        match packets.try_send(received(packet, ids)) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => dropped.increment(),
            Err(mpsc::error::TrySendError::Closed(_)) => return,
        }
    }
}

fn received(
    packet: rtc::rtp::Packet,
    [audio_level, orientation, colours]: [Option<u8>; 3],
) -> RtpPacket {
    let told = |id: Option<u8>| {
        let extension = packet.header.get_extension(id?)?;
        extension.first().copied()
    };
    RtpPacket {
        payload_type: packet.header.payload_type,
        sequence: packet.header.sequence_number,
        timestamp: packet.header.timestamp,
        marker: packet.header.marker,
        arrived: Timestamp::now(),
        // The highest bit tells voice (RFC 6464 section 3).
        audio_level: told(audio_level).map(|byte| byte & 0x7f),
        rotation: told(orientation).map(Rotation::told),
        colours: colours
            .and_then(|id| packet.header.get_extension(id))
            .and_then(|extension| Colours::told(&extension)),
        payload: packet.payload,
    }
}

async fn request_key_frame(track: &Arc<dyn TrackRemote>, media_ssrc: u32) {
    let question = PictureLossIndication {
        sender_ssrc: 0,
        media_ssrc,
    };
    if let Err(error) = track.write_rtcp(vec![Box::new(question)]).await {
        tracing::debug!("a key frame was not asked for: {error}");
    }
}

//! From the queues of encoded media to the engine's tracks.

use std::sync::Arc;

use bytes::Bytes;
use rtc::media_stream::MediaStreamTrack;
use rtc::rtp;
use rtc::rtp_transceiver::rtp_sender::{
    RTCRtpCodec, RTCRtpCodingParameters, RTCRtpEncodingParameters, RTCRtpRtxParameters,
    RtpCodecKind,
};
use tokio::sync::{mpsc, watch};
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;

use super::actor::News;
use super::event::VideoFormat;
use super::local::LocalVideo;
use super::packetize::{self, MAX_PAYLOAD};
use super::rtcp::Feedback;
use super::rtp_clock::RtpClock;
use crate::event::Kind;
use crate::media::clock::Timestamp;
use crate::media::frame::VideoCodec;

mod sound;
pub(super) use sound::{AudioSending, Tones, audio};

/// A name nobody else has.
pub(super) fn random_id() -> String {
    format!("{:016x}", rand::random::<u64>())
}

/// The ids of one track of ours; the same for the life of the connection.
#[derive(Clone, Debug)]
pub(super) struct TrackIds {
    kind: Kind,
    stream: String,
    track: String,
    pub(super) ssrc: u32,
    rtx_ssrc: u32,
}

impl TrackIds {
    pub(super) fn new(kind: Kind, stream: &str) -> Self {
        let ssrc = rand::random_range(1..u32::MAX - 1);
        Self {
            kind,
            stream: stream.to_owned(),
            track: random_id(),
            ssrc,
            rtx_ssrc: ssrc + 1,
        }
    }

    /// The engine's description of it, in one codec.
    pub(super) fn track(&self, codec: RTCRtpCodec) -> MediaStreamTrack {
        let (label, kind, rtx) = match self.kind {
            Kind::Audio => ("audio", RtpCodecKind::Audio, None),
            Kind::Video => {
                let ssrc = self.rtx_ssrc;
                (
                    "video",
                    RtpCodecKind::Video,
                    Some(RTCRtpRtxParameters { ssrc }),
                )
            }
        };
        let coding = RTCRtpEncodingParameters {
            rtp_coding_parameters: RTCRtpCodingParameters {
                ssrc: Some(self.ssrc),
                rtx,
                ..Default::default()
            },
            codec,
            ..Default::default()
        };
        MediaStreamTrack::new(
            self.stream.clone(),
            self.track.clone(),
            label.to_owned(),
            kind,
            vec![coding],
        )
    }
}

/// How pictures are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct VideoSending {
    pub(super) codec: VideoCodec,
    pub(super) single_nal: bool,
    pub(super) payload_type: u8,
    pub(super) ssrc: u32,
}

impl VideoSending {
    pub(super) fn format(self) -> VideoFormat {
        VideoFormat {
            codec: self.codec,
            max_nal_bytes: self.single_nal.then_some(MAX_PAYLOAD),
        }
    }
}

/// Numbers the packets of one stream.
struct Stream {
    clock: RtpClock,
    sequence: u16,
}

impl Stream {
    fn new(hz: u64) -> Self {
        Self {
            clock: RtpClock::new(hz),
            // Below half, so that the first wrap is seen as one (RFC 3711 section 3.3.1).
            sequence: rand::random::<u16>() >> 1,
        }
    }

    fn packet(
        &mut self,
        payload_type: u8,
        ssrc: u32,
        at: Timestamp,
        marker: bool,
        payload: Bytes,
    ) -> rtp::Packet {
        let sequence_number = self.sequence;
        self.sequence = sequence_number.wrapping_add(1);
        rtp::Packet {
            header: rtp::header::Header {
                version: 2,
                marker,
                payload_type,
                sequence_number,
                timestamp: self.clock.at(at),
                ssrc,
                ..Default::default()
            },
            payload,
        }
    }
}

/// Sends pictures until the connection ends.
pub(super) async fn video(
    queue: LocalVideo,
    track: Arc<TrackLocalStaticRTP>,
    sending: watch::Receiver<Option<VideoSending>>,
    news: mpsc::Sender<News>,
    feedback: Feedback,
) {
    let mut stream = Stream::new(90_000);
    let mut vp8 = packetize::Vp8::new(rand::random());
    let mut vp9 = packetize::Vp9::new(rand::random());
    let mut warned = false;
    loop {
        let Some(picture) = queue.next().await else {
            if news.send(News::KeyFrameWanted).await.is_err() {
                return;
            }
            continue;
        };
        let Some(sending) = *sending.borrow() else {
            continue;
        };
        feedback.keeps_time(sending.ssrc, stream.clock);
        if picture.codec != sending.codec {
            // An encoder of the format before this one; the next picture will fit.
            continue;
        }
        let (payloads, unsendable) = match sending.codec {
            VideoCodec::Vp8 => (vp8.packetize(&picture.data, picture.key, picture.layer), 0),
            VideoCodec::Vp9 => (vp9.packetize(&picture.data), 0),
            VideoCodec::Av1 => (packetize::av1(&picture.data), 0),
            VideoCodec::H264 => packetize::h264(&picture.data, sending.single_nal),
        };
        if unsendable > 0 && !std::mem::replace(&mut warned, true) {
            let text = format!(
                "pictures are not sent whole: the far side takes NAL units of {MAX_PAYLOAD} bytes at most; encode in smaller slices or in VP8"
            );
            if news.send(News::Trouble(text)).await.is_err() {
                return;
            }
        }
        let last = payloads.len().saturating_sub(1);
        for (index, payload) in payloads.into_iter().enumerate() {
            let packet = stream.packet(
                sending.payload_type,
                sending.ssrc,
                picture.at,
                index == last,
                payload,
            );
            if let Err(error) = track.write_rtp(packet).await {
                tracing::debug!("a packet of a picture was not sent: {error}");
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_numbered_without_gaps_across_the_wrap() {
        let mut stream = Stream::new(48_000);
        stream.sequence = u16::MAX;
        let mut number = || {
            stream
                .packet(111, 1, Timestamp::now(), false, Bytes::new())
                .header
                .sequence_number
        };
        assert_eq!([number(), number(), number()], [u16::MAX, 0, 1]);
    }
}

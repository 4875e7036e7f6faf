//! What a peer connection tells its owner.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::channel::Channel;
use super::rtcp::Feedback;
use crate::event::Kind;
use crate::media::clock::Timestamp;
use crate::media::convert::{Colours, Rotation};
use crate::media::frame::VideoCodec;
use crate::media::send::wishes::OpusWishes;
use rtc_protocol::Signal;

/// `RTCPeerConnectionState` of W3C webrtc-pc.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionState {
    /// Nothing was negotiated yet.
    New,
    /// Addresses are being tried.
    Connecting,
    /// Media flows.
    Connected,
    /// The far side went silent; it may come back by itself.
    Disconnected,
    /// Given up; an ICE restart may help.
    Failed,
    /// Over.
    Closed,
}

impl ConnectionState {
    /// The W3C name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Connecting => "connecting",
            Self::Connected => "connected",
            Self::Disconnected => "disconnected",
            Self::Failed => "failed",
            Self::Closed => "closed",
        }
    }
}

/// What the far side accepted to receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VideoFormat {
    /// The codec to encode in.
    pub codec: VideoCodec,
    /// The largest NAL unit that can be sent, where the far side reassembles none
    /// (H.264 packetization mode 0, RFC 6184 section 6.2): slices must fit.
    pub max_nal_bytes: Option<usize>,
}

/// What a peer connection tells its owner.
#[derive(Debug)]
#[non_exhaustive]
pub enum PeerEvent {
    /// To be sent to the far side.
    Signal(Signal),
    /// The connection's state changed.
    State(ConnectionState),
    /// Pictures may be encoded; told again when the format changes.
    LocalVideoReady(VideoFormat),
    /// No pictures are to be sent for now: one side or the other holds them.
    LocalVideoPaused,
    /// Which way the far side's media go now; told when that changes.
    RemoteFlow {
        /// Whether it sends sound, and pictures.
        sends: [bool; 2],
        /// Whether it ever took anything of ours.
        took: bool,
        /// It takes nothing of ours any more, though it did.
        held: bool,
    },
    /// The far side takes no pictures that we can make.
    LocalVideoRefused,
    /// What the far side asks of our sound; told again when it asks for something else.
    LocalAudioWishes(OpusWishes),
    /// The next picture must be a key frame.
    KeyFrameWanted,
    /// What our encoders may make for the far side, bits a second.
    TargetBitrates {
        /// Pictures.
        picture: u32,
        /// Sound.
        sound: u32,
    },
    /// Media of the far side begins.
    Track(RemoteTrack),
    /// Chat can be sent.
    ChatOpen,
    /// A line of chat.
    Chat(String),
    /// A channel is open, ours or one of the far side.
    Channel(Channel),
    /// Something went wrong that ends nothing.
    Trouble(String),
    /// A server that all connections use is of no use to this one.
    ServerTrouble(String),
}

/// A codec of received media.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RemoteCodec {
    /// Pictures.
    Video(VideoCodec),
    /// Opus (RFC 7587) with the far side's format parameters.
    Opus {
        /// `minptime=10;useinbandfec=1`
        parameters: String,
    },
    /// Several packets of Opus in one (RFC 2198).
    Red,
    /// The keys of a telephone (RFC 4733).
    Tones {
        /// Ticks a second that durations count in.
        clock: u32,
    },
}

impl RemoteCodec {
    /// The name in SDP and in `RTCRtpCodec.mimeType`.
    #[must_use]
    pub const fn mime_type(&self) -> &'static str {
        match self {
            Self::Video(codec) => codec.mime_type(),
            Self::Opus { .. } => "audio/opus",
            Self::Red => "audio/red",
            Self::Tones { .. } => "audio/telephone-event",
        }
    }
}

/// One stream of received media.
#[derive(Debug)]
pub struct RemoteTrack {
    /// Which sense.
    pub kind: Kind,
    /// Which codec each payload type means; a sender may change between them at any packet.
    pub codecs: Vec<(u8, RemoteCodec)>,
    /// Synchronization source, RFC 3550.
    pub ssrc: u32,
    /// Tracks with equal stream ids belong together.
    pub stream_id: String,
    /// The packets as they came: 2048 wait at most, then the newest are dropped and counted.
    /// Ends with the connection.
    pub rtp: mpsc::Receiver<RtpPacket>,
    /// Packets dropped because nobody took them.
    pub dropped: Counter,
    /// Asks the far side for a key frame.
    pub key_frame: KeyFrameRequest,
    /// What its sender says about its clock.
    pub reports: SenderReports,
}

impl RemoteTrack {
    /// What a payload type means.
    #[must_use]
    pub fn codec(&self, payload_type: u8) -> Option<&RemoteCodec> {
        self.codecs
            .iter()
            .find(|(known, _)| *known == payload_type)
            .map(|(_, codec)| codec)
    }
}

/// One received packet, retransmissions already put back into the stream they repair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RtpPacket {
    /// What it carries; see [`RemoteTrack::codec`].
    pub payload_type: u8,
    /// Wraps.
    pub sequence: u16,
    /// Wraps; 90 kHz for pictures, 48 kHz for sound.
    pub timestamp: u32,
    /// Last packet of a picture; first of a talk spurt.
    pub marker: bool,
    /// The payload without padding; empty where the packet only probes the path. It takes a
    /// place in the sequence all the same.
    pub payload: Bytes,
    /// When it came.
    pub arrived: Timestamp,
    /// Loudness in -dBov, 0 the loudest and 127 silence (RFC 6464), where the sender tells it.
    pub audio_level: Option<u8>,
    /// How its picture is to be turned (RFC 7742, section 5), where the sender tells it.
    pub rotation: Option<Rotation>,
    /// What the colours of its picture mean, where the sender tells it.
    pub colours: Option<Colours>,
}

/// A count that several hands share.
#[derive(Clone, Debug, Default)]
pub struct Counter(Arc<AtomicU64>);

impl Counter {
    /// Counts one more.
    pub fn increment(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// The count so far.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Asks the far side for a key frame; cheap to clone, usable from any thread.
#[derive(Clone, Debug)]
pub struct KeyFrameRequest(pub(super) mpsc::Sender<()>);

impl KeyFrameRequest {
    /// Asks now. Asking again before the first question has left asks once.
    pub fn ask(&self) {
        let _ = self.0.try_send(());
    }
}

/// What a sender report says about the clock behind a stream (RFC 3550, section 6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderReport {
    /// Its sender's wall clock, microseconds since 1970.
    pub wall: i64,
    /// The RTP time of that moment.
    pub timestamp: u32,
    /// How many reports there were with this one.
    pub number: u64,
}

/// Looks up the newest sender report about a stream; cheap to clone.
#[derive(Clone, Debug)]
pub struct SenderReports {
    feedback: Feedback,
    ssrc: u32,
}

impl SenderReports {
    pub(super) const fn new(feedback: Feedback, ssrc: u32) -> Self {
        Self { feedback, ssrc }
    }

    /// The newest one; `None` before the first.
    #[must_use]
    pub fn newest(&self) -> Option<SenderReport> {
        self.feedback.newest_report(self.ssrc)
    }

    /// How long something takes to its sender and back, where that is known.
    #[must_use]
    pub fn round_trip(&self) -> Option<std::time::Duration> {
        self.feedback.round_trip()
    }
}

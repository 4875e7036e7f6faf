//! What happens in a call, as one stream that every view, test and program reads.

pub mod doctor;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Version of the JSON form of [`Event`]; raised when a field changes its meaning or goes.
pub const VERSION: u32 = 1;

/// A far peer, as people and programs name it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct PeerRef {
    /// The id that the server gave.
    pub id: String,
    /// The name it goes by.
    pub name: String,
}

/// Which sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Sound.
    Audio,
    /// Picture.
    Video,
}

/// Something that happened. JSON: one object a line, told apart by `event`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(
    tag = "event",
    rename_all = "kebab-case",
    rename_all_fields = "camelCase"
)]
#[non_exhaustive]
pub enum Event {
    /// A server is being run inside this client.
    ServerStarted {
        /// Where it listens, as a page's URL.
        url: String,
    },
    /// Something a person should know, and that ends nothing (a missing camera, a full disk).
    Notice {
        /// What and what to do.
        text: String,
    },
    /// We are in the room.
    Joined {
        /// Its name.
        room: String,
        /// Us.
        me: PeerRef,
        /// Who was there.
        peers: Vec<PeerRef>,
        /// What a browser opens to join it.
        url: String,
    },
    /// We can be called by name.
    Waiting {
        /// Which.
        name: String,
    },
    /// Somebody calls us.
    Rung {
        /// Who.
        peer: PeerRef,
    },
    /// Who called us has hung up, or is gone; or it rang for too long.
    RingEnded {
        /// Who.
        peer: PeerRef,
    },
    /// It rings at whom we call.
    Ringing {
        /// The name that we call.
        name: String,
    },
    /// Whom we call takes the call.
    Accepted {
        /// The name that we call.
        name: String,
    },
    /// An offer or an answer that somebody has to carry to the far side: `--signaling stdio`.
    Copy {
        /// `offer` or `answer`.
        kind: String,
        /// One line, whose form is that of `RTCSessionDescriptionInit` in JSON.
        text: String,
    },
    /// The signaling link was lost; calls in progress go on.
    SignalingLost {
        /// Why.
        reason: String,
    },
    /// The signaling link is back.
    SignalingBack {
        /// Whether the server still had us in the room.
        resumed: bool,
    },
    /// Somebody came.
    PeerJoined {
        /// Who.
        peer: PeerRef,
    },
    /// A media connection stands (`RTCPeerConnectionState` `connected`).
    Connected {
        /// To whom.
        peer: PeerRef,
        /// Milliseconds since our join was answered or the peer came, whichever is later.
        after_ms: f64,
    },
    /// `RTCPeerConnectionState` turned `disconnected` or `failed`.
    ConnectionTroubled {
        /// To whom.
        peer: PeerRef,
        /// The state's W3C name.
        state: String,
    },
    /// First decoded picture or sound of a peer.
    FirstFrame {
        /// Whose.
        peer: PeerRef,
        /// Which sense.
        kind: Kind,
        /// Its codec, as a MIME type.
        codec: String,
        /// Milliseconds since our join was answered or the peer came, whichever is later.
        after_ms: f64,
    },
    /// What a peer sends cannot be decrypted: none of it is shown or played.
    Undecryptable {
        /// Who.
        peer: PeerRef,
        /// Which sense.
        kind: Kind,
        /// Why.
        reason: Undecryptable,
    },
    /// A peer pressed a key of a telephone (DTMF), and let it go.
    ToneReceived {
        /// Who.
        peer: PeerRef,
        /// Which: `0` to `9`, `*`, `#`, `A` to `D`.
        tone: String,
        /// For how long, milliseconds.
        duration_ms: f64,
    },
    /// A peer muted or unmuted.
    PeerMuted {
        /// Who.
        peer: PeerRef,
        /// Which sense.
        kind: Kind,
        /// Now muted?
        muted: bool,
    },
    /// A peer holds the call: it takes nothing and sends nothing, until it takes it up again.
    PeerHeld {
        /// Who; our own peer where we hold it.
        peer: PeerRef,
        /// Now held?
        held: bool,
    },
    /// Our picture or sound comes from another source now, or could not be taken from there.
    SourceChanged {
        /// Which sense.
        kind: Kind,
        /// Where from, as `--video` and `--audio` name it; `none` where nothing is sent.
        source: String,
    },
    /// A line of chat.
    Chat {
        /// From whom.
        from: PeerRef,
        /// What.
        text: String,
        /// Whether we wrote it.
        own: bool,
    },
    /// A data channel is open, ours or one that a peer opened.
    ChannelOpened {
        /// To whom.
        peer: PeerRef,
        /// What commands call it.
        channel: u64,
        /// Its name.
        label: String,
        /// What is spoken on it.
        protocol: String,
    },
    /// A message came on a data channel.
    ChannelMessage {
        /// From whom.
        peer: PeerRef,
        /// On which.
        channel: u64,
        /// Its text, where it is text.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
        /// Its bytes in base64, where it is none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        data: Option<String>,
    },
    /// A data channel is closed.
    ChannelClosed {
        /// To whom.
        peer: PeerRef,
        /// Which.
        channel: u64,
        /// Its name.
        label: String,
    },
    /// The server's administrator says something to everybody.
    Broadcast {
        /// Any JSON.
        data: serde_json::Value,
    },
    /// Figures of one peer connection, every second or as asked; W3C webrtc-stats names inside.
    Stats {
        /// Of the connection to whom.
        peer: PeerRef,
        /// `RTCStatsReport`: id to dictionary.
        report: serde_json::Value,
        /// How far apart the peer's picture and sound are here, where both are the test source's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lip_sync: Option<LipSyncSummary>,
    },
    /// A peer is gone.
    PeerLeft {
        /// Who.
        peer: PeerRef,
        /// `left`, `lost`, `kicked`.
        reason: String,
    },
    /// A command of the control interface was done, or could not be.
    Answer {
        /// As the command had it.
        id: serde_json::Value,
        /// What it gave, if anything.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        result: Option<serde_json::Value>,
        /// Why it was not done.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    /// What our sources give, every second: of `rtc-client preview`.
    Preview(Preview),
    /// What works between here and a server: of `rtc-client doctor`.
    Doctor(doctor::Diagnosis),
    /// We left the room.
    Left {
        /// Why.
        reason: String,
    },
    /// The last line: what came of it.
    Summary(Summary),
}

/// What our sources give.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Preview {
    /// Seconds since they were opened.
    pub seconds: f64,
    /// The picture's source, if there is one.
    pub video: Option<PreviewVideo>,
    /// The sound's source, if there is one.
    pub audio: Option<PreviewAudio>,
}

/// What a source of pictures gives.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PreviewVideo {
    /// What it is, for people.
    pub source: String,
    /// Pictures so far.
    pub frames: u64,
    /// Pictures a second since the last report.
    pub fps: f64,
    /// Columns of the last picture.
    pub width: u32,
    /// Rows of the last picture.
    pub height: u32,
    /// Pictures that a newer one replaced before anybody looked.
    pub dropped: u64,
    /// Pictures that could not be read, such as half a JPEG.
    pub broken: u64,
}

/// What a source of sound gives.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PreviewAudio {
    /// What it is, for people.
    pub source: String,
    /// Packets so far.
    pub packets: u64,
    /// Root mean square level of the last packet, dB of full scale.
    pub level_dbfs: f64,
    /// The loudest packet's since the last report.
    pub peak_dbfs: f64,
}

/// Why a peer's picture or sound is neither shown nor played.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Undecryptable {
    /// It is encrypted with another key than ours.
    OtherKey,
    /// It comes without end-to-end encryption, and we take none such.
    NotEncrypted,
    /// It is encrypted end to end, and we have no key.
    NoKey,
}

impl Undecryptable {
    /// In words, after a colon.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::OtherKey => "the key is another one; use the same --e2ee at everybody",
            Self::NotEncrypted => {
                "it is not encrypted end to end; use the same --e2ee there, or none here"
            }
            Self::NoKey => "it is encrypted end to end and there is no key here; join with --e2ee",
        }
    }
}

/// What came of a call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// The exit code.
    pub exit_code: u8,
    /// Why, in words.
    pub outcome: String,
    /// Seconds in the room.
    pub seconds: f64,
    /// One for each peer ever met.
    pub peers: Vec<PeerSummary>,
    /// Recorded file, if any.
    pub recording: Option<String>,
    /// What came of each expectation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expectations: Vec<ExpectationSummary>,
}

/// What came of one expectation (`--expect`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExpectationSummary {
    /// As it was written.
    pub expected: String,
    /// Whether it held, of everybody.
    pub held: bool,
    /// What was measured of each peer, in the quantity's unit: milliseconds, dB, bit/s, a share of 1.
    pub measured: Vec<(String, Option<f64>)>,
    /// In words: if it did not hold, when, and what the network did then.
    pub words: String,
}

/// What came of one peer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PeerSummary {
    /// Id that the server gave.
    pub id: String,
    /// Name.
    pub name: String,
    /// Whether media ever connected.
    pub connected: bool,
    /// Milliseconds to connect.
    pub connect_ms: Option<f64>,
    /// Milliseconds to the first decoded picture.
    pub first_picture_ms: Option<f64>,
    /// `framesDecoded`.
    pub frames_decoded: u64,
    /// Columns of the last picture.
    pub frame_width: u32,
    /// Rows of the last picture.
    pub frame_height: u32,
    /// What the marks in a test picture told, if it was one.
    pub marks: Option<MarksSummary>,
    /// What the tone told, if sound came.
    pub tone: Option<ToneSummary>,
    /// How far apart picture and sound were, where both were the test source's.
    pub lip_sync: Option<LipSyncSummary>,
}

/// What the numbers in a received test picture told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MarksSummary {
    /// Pictures whose mark was read.
    pub read: u64,
    /// Pictures without a readable mark.
    pub unreadable: u64,
    /// Numbers never seen between the first and the last.
    pub missing: u64,
    /// Numbers seen again.
    pub repeated: u64,
    /// Numbers that came after a higher one.
    pub out_of_order: u64,
    /// Capture to sink, median, milliseconds.
    pub latency_ms_p50: f64,
    /// Capture to sink, 95th percentile, milliseconds.
    pub latency_ms_p95: f64,
    /// Capture to sink, 99th percentile, milliseconds.
    pub latency_ms_p99: f64,
    /// PSNR of luma against the known picture, mean, dB.
    pub psnr_db: f64,
    /// The worst picture's, dB.
    pub psnr_db_min: f64,
}

/// What received sound told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ToneSummary {
    /// The strongest frequency, Hz; 0 where there was silence.
    pub frequency_hz: f64,
    /// Share of the sound's power at it, 0 to 1.
    pub purity: f64,
    /// Stretches of at least 5 ms without the tone after it began.
    pub gaps: u64,
    /// Root mean square level, dB of full scale.
    pub level_dbfs: f64,
    /// Capture to hearing, median, milliseconds, where the tone is one that tells time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms_p50: Option<f64>,
    /// Capture to hearing, 99th percentile, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms_p99: Option<f64>,
}

/// How far apart a peer's picture and sound are where they are seen and heard, as the marks in the test picture and the beats
/// of the tone tell. Above zero the sound is late.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LipSyncSummary {
    /// How often it was measured: once for each second of an unbroken tone.
    pub measured: u64,
    /// The last one, milliseconds.
    pub latest_ms: f64,
    /// Of all, the median, whole milliseconds.
    pub median_ms: f64,
    /// The furthest from zero, milliseconds. The first seconds count: until the sender's first reports nothing is known.
    pub worst_ms: f64,
}

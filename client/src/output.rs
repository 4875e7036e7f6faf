//! One stream of events, several views: screen, lines, JSON.
//!
//! Every view takes the same [`Event`]s. Names, chat and reasons were written by far
//! peers, so every view makes their control characters harmless before anything
//! reaches a terminal ([`text`]).

use std::io;

use crate::control::Line;
use crate::event::{Event, Kind};

pub mod board;
pub mod command;
pub mod json;
pub mod lines;
pub mod paste;
pub(crate) mod progress;
pub mod prompt;
pub mod quality;
pub mod scale;
pub mod screen;
pub mod text;
pub mod viewing;

pub use board::PictureBoard;
pub use screen::{Screen, ScreenOptions};

/// Shows a call to somebody.
pub trait View: Send {
    /// Shows one event.
    ///
    /// # Errors
    /// When the view can show nothing any more; the call may go on without it.
    fn event(&mut self, event: &Event) -> Result<(), OutputError>;
}

/// What a person asked for at a screen or window, or a program by `--control`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Action {
    /// Send a line of chat to everybody.
    Chat(String),
    /// Mute or unmute the own sound; the views show it once a `peer-muted` of our own peer says so.
    ToggleMute,
    /// Stop or show the own picture; the views show it once a `peer-muted` of our own peer says so.
    ToggleCamera,
    /// Press keys of a telephone.
    Dial(String),
    /// Take the picture or the sound from another source, as `--video` and `--audio` name it.
    Source(Kind, String),
    /// Show a screen: the primary one, or which.
    Share(Option<String>),
    /// Show again what was shown before the screen.
    Unshare,
    /// Hold the call, or take it up again; without a word, the other way round.
    Hold(Option<bool>),
    /// Take a line that the far side gave out.
    Paste(String),
    /// Take the call that rings.
    Answer,
    /// Do not take it.
    Decline,
    /// What a program asks.
    Control(Line),
    /// What a program asks that cannot be done.
    Refuse {
        /// As the command had it.
        id: serde_json::Value,
        /// Why.
        error: String,
    },
    /// Leave. It may come again while leaving takes long.
    HangUp,
}

/// Standard output for something that is not text: a recording.
#[must_use]
pub fn raw_stdout() -> Box<dyn io::Write + Send> {
    Box::new(io::stdout())
}

/// Why nothing can be shown any more.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The reader went away (`rtc-client … | head`): an ordinary end, nothing to report.
    #[error("nobody reads the output any more")]
    Closed,
    /// The write failed otherwise.
    #[error("cannot write the output: {0}; free the disk or send it elsewhere")]
    Io(#[source] io::Error),
    /// An event has no form in this view.
    #[error("cannot put an event into words: {0}")]
    Encode(#[source] serde_json::Error),
}

impl From<io::Error> for OutputError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::Closed
        } else {
            Self::Io(error)
        }
    }
}

#[cfg(test)]
pub(crate) mod testing {
    //! Events to try views on.

    use crate::event::doctor::{Diagnosis, Finding, Health};
    use crate::event::{
        Event, Kind, MarksSummary, PeerRef, PeerSummary, Preview, PreviewAudio, PreviewVideo,
        Summary, ToneSummary, Undecryptable,
    };
    use crate::event::{ExpectationSummary, LipSyncSummary};

    pub(crate) fn peer(id: &str, name: &str) -> PeerRef {
        PeerRef {
            id: id.into(),
            name: name.into(),
        }
    }

    /// One of each kind of event, with `text` wherever somebody else's words stand.
    pub(crate) fn every_event(text: &str) -> Vec<Event> {
        let text = text.to_owned();
        let who = peer("abcdefghij", &text);
        vec![
            Event::ServerStarted { url: text.clone() },
            Event::Notice { text: text.clone() },
            Event::Joined {
                room: text.clone(),
                me: peer("me", &text),
                peers: vec![who.clone(), peer("other", &text)],
                url: text.clone(),
            },
            Event::Copy {
                kind: "offer".into(),
                text: format!("{{{text}}}"),
            },
            Event::Waiting { name: text.clone() },
            Event::Rung { peer: who.clone() },
            Event::RingEnded { peer: who.clone() },
            Event::Ringing { name: text.clone() },
            Event::Accepted { name: text.clone() },
            Event::SignalingLost {
                reason: text.clone(),
            },
            Event::SignalingBack { resumed: true },
            Event::PeerJoined { peer: who.clone() },
            Event::Connected {
                peer: who.clone(),
                after_ms: 42.5,
            },
            Event::ConnectionTroubled {
                peer: who.clone(),
                state: text.clone(),
            },
            Event::FirstFrame {
                peer: who.clone(),
                kind: Kind::Video,
                codec: text.clone(),
                after_ms: 61.25,
            },
            Event::Undecryptable {
                peer: who.clone(),
                kind: Kind::Video,
                reason: Undecryptable::OtherKey,
            },
            Event::ToneReceived {
                peer: who.clone(),
                tone: "5".into(),
                duration_ms: 100.0,
            },
            Event::PeerMuted {
                peer: who.clone(),
                kind: Kind::Audio,
                muted: true,
            },
            Event::PeerHeld {
                peer: who.clone(),
                held: true,
            },
            Event::SourceChanged {
                kind: Kind::Video,
                source: text.clone(),
            },
            Event::Chat {
                from: who.clone(),
                text: text.clone(),
                own: false,
            },
            Event::ChannelOpened {
                peer: who.clone(),
                channel: 1,
                label: text.clone(),
                protocol: text.clone(),
            },
            Event::ChannelMessage {
                peer: who.clone(),
                channel: 1,
                text: Some(text.clone()),
                data: None,
            },
            Event::ChannelClosed {
                peer: who.clone(),
                channel: 1,
                label: text.clone(),
            },
            Event::Broadcast {
                data: serde_json::json!({ "text": text }),
            },
            Event::Stats {
                peer: who.clone(),
                report: report(&text),
                lip_sync: None,
            },
            Event::Answer {
                id: text.clone().into(),
                result: None,
                error: Some(text.clone()),
            },
            Event::PeerLeft {
                peer: who,
                reason: text.clone(),
            },
            Event::Preview(Preview {
                seconds: 3.0,
                video: Some(PreviewVideo {
                    source: text.clone(),
                    frames: 88,
                    fps: 29.5,
                    width: 640,
                    height: 360,
                    dropped: 2,
                    broken: 1,
                }),
                audio: Some(PreviewAudio {
                    source: text.clone(),
                    packets: 150,
                    level_dbfs: -18.0,
                    peak_dbfs: -12.0,
                }),
            }),
            Event::Doctor(Diagnosis {
                findings: vec![Finding {
                    check: "stun".into(),
                    target: Some(text.clone()),
                    health: Health::Ok,
                    text: text.clone(),
                    figures: [("roundTripMs".to_owned(), 1.5)].into(),
                }],
                advice: vec![text.clone()],
                seconds: 1.5,
                exit_code: 0,
            }),
            Event::Left {
                reason: text.clone(),
            },
            Event::Summary(Summary {
                exit_code: 0,
                outcome: text.clone(),
                seconds: 10.0,
                peers: vec![PeerSummary {
                    id: "abcdefghij".into(),
                    name: text.clone(),
                    connected: true,
                    connect_ms: Some(42.5),
                    first_picture_ms: Some(61.25),
                    frames_decoded: 300,
                    frame_width: 640,
                    frame_height: 360,
                    marks: Some(MarksSummary {
                        read: 300,
                        psnr_db: 38.5,
                        ..MarksSummary::default()
                    }),
                    tone: Some(ToneSummary {
                        frequency_hz: 440.0,
                        ..ToneSummary::default()
                    }),
                    lip_sync: Some(LipSyncSummary {
                        measured: 9,
                        latest_ms: 11.5,
                        median_ms: 12.0,
                        worst_ms: -30.0,
                    }),
                }],
                recording: Some(text.clone()),
                expectations: vec![ExpectationSummary {
                    expected: text.clone(),
                    held: false,
                    measured: vec![(text.clone(), Some(24.5))],
                    words: text,
                }],
            }),
        ]
    }

    /// A statistics report of W3C shape; `text` stands in a member and in an id.
    pub(crate) fn report(text: &str) -> serde_json::Value {
        let mut report = serde_json::json!({
            "IT1": {"type": "inbound-rtp", "id": "IT1", "kind": "video", "timestamp": 1000.0, "bytesReceived": 125_000,
                "framesPerSecond": 30.0, "frameWidth": 640, "frameHeight": 360, "framesDecoded": 300, "packetsLost": 2,
                "jitter": 0.0035, "decoderImplementation": text},
            "IT2": {"type": "inbound-rtp", "id": "IT2", "kind": "audio", "timestamp": 1000.0, "bytesReceived": 25_000,
                "packetsLost": 1, "jitter": 0.001},
            "OT1": {"type": "outbound-rtp", "id": "OT1", "kind": "video", "timestamp": 1000.0, "bytesSent": 250_000,
                "framesPerSecond": 29.5, "frameWidth": 1280, "frameHeight": 720, "nackCount": 3, "pliCount": 1},
            "CP1": {"type": "candidate-pair", "id": "CP1", "nominated": true, "currentRoundTripTime": 0.012},
        });
        if let Some(all) = report.as_object_mut() {
            all.insert(
                text.to_owned(),
                serde_json::json!({"type": "codec", "id": text, "mimeType": text}),
            );
        }
        report
    }
}

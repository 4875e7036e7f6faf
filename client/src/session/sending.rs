//! Our sources on their way: the threads that capture and encode, wired to the call.

use serde_json::Value;
use tokio::sync::mpsc;

use super::StartError;
use super::far::MediaNews;
use crate::event::Kind;
use crate::media::capture::{AudioSource, VideoSource};
use crate::media::codec::opus::Content;
use crate::media::layers::Scalability;
use crate::media::send::adapt::Limitation;
use crate::media::send::audio::{AudioSend, AudioSettings};
use crate::media::send::video::{VideoSend, VideoSettings};
use crate::media::voice::Processed;
use crate::media::voice::echo::EchoReference;
use crate::options::{AudioFrom, CallOptions};
use crate::output::PictureBoard;
use crate::output::board::SELF;

/// Starts what sends our picture and sound; our own picture and level go to the board. `reference` is what the
/// loudspeaker plays: it is taken out of what a live microphone hears.
///
/// # Errors
/// When the system gives no thread.
pub(super) fn start(
    options: &CallOptions,
    board: &PictureBoard,
    news: &mpsc::Sender<MediaNews>,
    video: Option<Box<dyn VideoSource>>,
    audio: Option<Box<dyn AudioSource>>,
    reference: Option<EchoReference>,
) -> Result<(Option<VideoSend>, Option<AudioSend>), StartError> {
    let tell = |kind: Kind| {
        let news = news.clone();
        Box::new(move |event| {
            let _ = news.try_send(MediaNews::Source(kind, event));
        })
    };
    let video = video
        .map(|source| {
            let board = board.clone();
            VideoSend::start(
                source,
                VideoSettings {
                    fps: options.fps,
                    bitrate: options.bitrate,
                    degradation: options.degradation,
                    rotation: options.rotation,
                    scalability: options.scalability,
                },
                Box::new(move |picture| board.put(SELF, picture)),
                tell(Kind::Video),
            )
        })
        .transpose()?;
    let live = matches!(options.audio, AudioFrom::Microphone(_));
    let audio = audio
        .map(|source| -> Box<dyn AudioSource> {
            if live && options.voice.any() {
                Box::new(Processed::new(source, options.voice, reference))
            } else {
                source
            }
        })
        .map(|source| {
            let board = board.clone();
            AudioSend::start(
                source,
                AudioSettings {
                    content: if options.stereo {
                        Content::Music
                    } else {
                        Content::Voice
                    },
                    dtx: options.dtx,
                },
                Box::new(move |level| board.level(SELF, level)),
                tell(Kind::Audio),
            )
        })
        .transpose()?;
    Ok((video, audio))
}

/// Puts what our encoder suffers from, and how it layers pictures, into a report (W3C webrtc-stats,
/// `qualityLimitationReason`, `scalabilityMode`), of which the engine knows nothing.
pub(super) fn add_limitation(
    report: &mut Value,
    limitation: Limitation,
    scalability: Option<Scalability>,
) {
    let dictionaries = report.as_object_mut().into_iter().flatten();
    for (_, dictionary) in dictionaries {
        if dictionary["type"] == "outbound-rtp" && dictionary["kind"] == "video" {
            dictionary["qualityLimitationReason"] = Value::from(limitation.name());
            if let Some(mode) = scalability {
                dictionary["scalabilityMode"] = Value::from(mode.name());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_reason_is_told_of_the_picture_that_is_sent_alone() {
        let mut report = json!({
            "V": {"type": "outbound-rtp", "kind": "video", "qualityLimitationReason": "none"},
            "A": {"type": "outbound-rtp", "kind": "audio"},
            "I": {"type": "inbound-rtp", "kind": "video"},
        });
        add_limitation(&mut report, Limitation::Cpu, Some(Scalability::L1T2));
        assert_eq!(report["V"]["scalabilityMode"], "L1T2");
        assert!(report["A"].get("scalabilityMode").is_none());
        assert_eq!(report["V"]["qualityLimitationReason"], "cpu");
        assert!(report["A"].get("qualityLimitationReason").is_none());
        assert!(report["I"].get("qualityLimitationReason").is_none());
    }
}

//! Our sources on their way: the threads that capture and encode, wired to the call.

use serde_json::Value;
use tokio::sync::mpsc;

use super::StartError;
use super::far::MediaNews;
use crate::event::Kind;
use crate::media::capture::{AudioSource, VideoSource};
use crate::media::codec::opus::Content;
use crate::media::layers::Scalability;
use crate::media::send::SourceEvent;
use crate::media::send::adapt::Limitation;
use crate::media::send::audio::{AudioSend, AudioSettings};
use crate::media::send::video::{VideoSend, VideoSettings};
use crate::media::voice::Processed;
use crate::media::voice::echo::EchoReference;
use crate::options::{AudioFrom, CallOptions};
use crate::output::PictureBoard;
use crate::output::board::SELF;

fn teller(kind: Kind, news: &mpsc::Sender<MediaNews>) -> Box<dyn FnMut(SourceEvent) + Send> {
    let news = news.clone();
    Box::new(move |event| {
        let _ = news.try_send(MediaNews::Source(kind, event));
    })
}

/// Starts what sends our picture, if there is one; it goes to the board, too.
///
/// # Errors
/// When the system gives no thread.
pub(super) fn video(
    options: &CallOptions,
    board: &PictureBoard,
    news: &mpsc::Sender<MediaNews>,
    source: Option<Box<dyn VideoSource>>,
) -> Result<Option<VideoSend>, StartError> {
    let Some(source) = source else {
        return Ok(None);
    };
    let board = board.clone();
    let settings = VideoSettings {
        fps: options.fps,
        bitrate: options.bitrate,
        degradation: options.degradation,
        rotation: options.rotation,
        scalability: options.scalability,
    };
    let preview = Box::new(move |picture| board.put(SELF, picture));
    let send = VideoSend::start(source, settings, preview, teller(Kind::Video, news))?;
    Ok(Some(send))
}

/// Starts what sends our sound, if there is any; its level goes to the board. `reference` is what the loudspeaker plays:
/// it is taken out of what a live microphone hears.
///
/// # Errors
/// When the system gives no thread.
pub(super) fn audio(
    options: &CallOptions,
    board: &PictureBoard,
    news: &mpsc::Sender<MediaNews>,
    source: Option<Box<dyn AudioSource>>,
    reference: Option<EchoReference>,
) -> Result<Option<AudioSend>, StartError> {
    let Some(source) = source else {
        return Ok(None);
    };
    let live = matches!(options.audio, AudioFrom::Microphone(_));
    let source: Box<dyn AudioSource> = if live && options.voice.any() {
        Box::new(Processed::new(source, options.voice, reference))
    } else {
        source
    };
    let board = board.clone();
    let settings = AudioSettings {
        content: if options.stereo {
            Content::Music
        } else {
            Content::Voice
        },
        dtx: options.dtx,
    };
    let level = Box::new(move |level| board.level(SELF, level));
    let send = AudioSend::start(source, settings, level, teller(Kind::Audio, news))?;
    Ok(Some(send))
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

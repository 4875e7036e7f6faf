//! The whole media path in one process: source, encoder, engine, assembler, decoder, meter.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rtc_client::event::{Kind, MarksSummary};
use rtc_client::measure::video::VideoMeter;
use rtc_client::media::capture::test_picture::TestPicture;
use rtc_client::media::capture::tone::Tone;
use rtc_client::media::clock::Timestamp;
use rtc_client::media::codec::opus::Content;
use rtc_client::media::convert::Rotation;
use rtc_client::media::frame::{EncodedPicture, EncodedSound, Picture, Sound, VideoCodec};
use rtc_client::media::layers::Scalability;
use rtc_client::media::receive::audio::{AudioReceive, SoundSink};
use rtc_client::media::receive::sync::PeerSync;
use rtc_client::media::receive::video::{PictureSink, VideoReceive};
use rtc_client::media::send::adapt::Degradation;
use rtc_client::media::send::audio::{AudioSend, AudioSettings};
use rtc_client::media::send::video::{VideoSend, VideoSettings};
use rtc_client::media::tones::receive::Heard;
use rtc_client::net::interfaces::Choice;
use rtc_client::peer::{ConnectionState, Peer, PeerConfig, PeerEvent};
use tokio::sync::mpsc;

#[derive(Clone, Default)]
struct Seen(Arc<Mutex<(VideoMeter, u64)>>);

impl PictureSink for Seen {
    fn encoded(&mut self, _: &EncodedPicture) {}
    fn picture(&mut self, picture: &Arc<Picture>, _: VideoCodec) {
        let _taken = self.0.lock().unwrap().0.see(Timestamp::now(), picture);
    }
}

impl SoundSink for Seen {
    fn encoded(&mut self, _: &EncodedSound) {}
    fn sound(&mut self, sound: &Sound) {
        self.0.lock().unwrap().1 += sound.samples.len() as u64;
    }
    fn tone(&mut self, _: Heard) {}
}

/// What came of a call: pictures, samples of sound, and how many pictures the sender left out.
async fn call(codec: VideoCodec, frames: u64) -> (MarksSummary, u64, u64) {
    let config = |polite| PeerConfig {
        video_codecs: vec![codec],
        network: Choice {
            bind: vec![[127, 0, 0, 1].into()],
            ..Choice::default()
        },
        mdns: false,
        polite,
        ..PeerConfig::default()
    };
    let (tell_a, mut a_events) = mpsc::channel(64);
    let (tell_b, mut b_events) = mpsc::channel(64);
    let a = Peer::start(config(true), tell_a).await.unwrap();
    let b = Peer::start(config(false), tell_b).await.unwrap();
    let video = VideoSend::start(
        Box::new(TestPicture::new(640, 360, 30)),
        VideoSettings {
            rotation: Rotation::None,
            scalability: Scalability::L1T1,
            fps: 30,
            bitrate: 1_500_000,
            degradation: Degradation::Balanced,
        },
        Box::new(|_| {}),
        Box::new(|_| {}),
    )
    .unwrap();
    let audio = AudioSend::start(
        Box::new(Tone::new(440)),
        AudioSettings {
            content: Content::Voice,
            dtx: false,
        },
        Box::new(|_| {}),
        Box::new(|_| {}),
    )
    .unwrap();
    let seen = Seen::default();
    let sync = PeerSync::default();
    let mut receivers = (Vec::new(), Vec::new());
    let (mut format, mut connected) = (None, false);
    a.negotiate().await;
    tokio::time::timeout(Duration::from_secs(60), async {
        let mut tick = tokio::time::interval(Duration::from_millis(100));
        loop {
            tokio::select! {
                Some(event) = a_events.recv() => match event {
                    PeerEvent::Signal(signal) => b.handle_signal(signal).await,
                    PeerEvent::State(ConnectionState::Connected) => connected = true,
                    PeerEvent::LocalVideoReady(ready) => format = Some(ready),
                    PeerEvent::KeyFrameWanted => video.want_key("b"),
                    _ => {}
                },
                Some(event) = b_events.recv() => match event {
                    PeerEvent::Signal(signal) => a.handle_signal(signal).await,
                    PeerEvent::Track(track) if track.kind == Kind::Video =>
                        receivers.0.push(VideoReceive::start(track, None, sync.side(Kind::Video), Box::new(seen.clone())).unwrap()),
                    PeerEvent::Track(track) =>
                        receivers.1.push(AudioReceive::start(track, None, sync.side(Kind::Audio), Box::new(seen.clone())).unwrap()),
                    _ => {}
                },
                _ = tick.tick() => {
                    if seen.0.lock().unwrap().0.summary().is_some_and(|m| m.read >= frames) {
                        return;
                    }
                }
            }
            if connected && let Some(format) = format.take() {
                video.add("b", format, Arc::new(a.video().clone()));
                audio.add("b", Arc::new(a.audio().clone()));
            }
        }
    })
    .await
    .unwrap_or_else(|_| panic!("{:?} {:?}", seen.0.lock().unwrap(), video.counts()));
    let skipped = video.counts().skipped;
    drop((video, audio));
    a.close().await;
    b.close().await;
    let seen = seen.0.lock().unwrap();
    (seen.0.summary().unwrap(), seen.1, skipped)
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_and_sound_arrive_whole_in_each_codec() {
    for codec in [VideoCodec::Vp8, VideoCodec::H264] {
        let (marks, samples, skipped) = call(codec, 90).await;
        println!("{codec:?}: {marks:?}, {samples} samples, {skipped} skipped");
        assert_eq!(marks.unreadable, 0, "{codec:?} {marks:?}");
        // What the encoder had no time for never went out; all else arrived.
        assert!(marks.missing <= skipped, "{skipped}: {codec:?} {marks:?}");
        assert_eq!(marks.repeated, 0, "{codec:?} {marks:?}");
        assert_eq!(marks.out_of_order, 0, "{codec:?} {marks:?}");
        assert!(marks.psnr_db > 30.0, "{codec:?} {marks:?}");
        assert!(samples > 48_000, "{samples}");
    }
}

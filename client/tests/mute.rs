//! What goes out while a sense is switched off: black pictures, rarely, and silence.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use rtc_client::media::capture::test_picture::TestPicture;
use rtc_client::media::capture::tone::Tone;
use rtc_client::media::clock::Timestamp;
use rtc_client::media::codec::opus::{Content, OpusDecoder};
use rtc_client::media::codec::{VideoDecoder, video_decoder};
use rtc_client::media::convert::Rotation;
use rtc_client::media::frame::{EncodedPicture, EncodedSound, Picture, VideoCodec};
use rtc_client::media::layers::Scalability;
use rtc_client::media::send::adapt::Degradation;
use rtc_client::media::send::audio::{AudioSend, AudioSettings};
use rtc_client::media::send::video::{VideoSend, VideoSettings};
use rtc_client::media::send::{PictureTarget, SoundTarget};
use rtc_client::peer::VideoFormat;

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// More than a test waits for; what does not fit is left out.
const QUEUE: usize = 4096;

struct Pictures(SyncSender<EncodedPicture>);

impl PictureTarget for Pictures {
    fn send(&self, picture: &EncodedPicture) {
        let _ = self.0.try_send(picture.clone());
    }
}

struct Sounds(SyncSender<EncodedSound>);

impl SoundTarget for Sounds {
    fn send(&self, sound: &EncodedSound) {
        let _ = self.0.try_send(sound.clone());
    }
}

/// The next picture, decoded.
fn next(queue: &Receiver<EncodedPicture>, decoder: &mut dyn VideoDecoder) -> Picture {
    let frame = queue.recv_timeout(PATIENCE).expect("a picture");
    let picture = decoder.decode(&frame.data).unwrap().expect("a picture");
    Picture {
        at: frame.at,
        ..picture
    }
}

fn is_black(picture: &Picture) -> bool {
    let near = |plane: &[u8], wanted: u8| plane.iter().all(|s| s.abs_diff(wanted) <= 2);
    near(&picture.y, 16) && near(&picture.u, 128) && near(&picture.v, 128)
}

#[test]
fn a_camera_that_is_off_sends_black_once_a_second_until_it_is_on_again() {
    let video = VideoSend::start(
        Box::new(TestPicture::new(320, 180, 30)),
        VideoSettings {
            fps: 30,
            bitrate: 500_000,
            degradation: Degradation::Balanced,
            rotation: Rotation::None,
            scalability: Scalability::L1T1,
        },
        Box::new(|_| {}),
        Box::new(|_| {}),
    )
    .unwrap();
    let (sender, queue) = sync_channel(QUEUE);
    let format = VideoFormat {
        codec: VideoCodec::Vp8,
        max_nal_bytes: None,
    };
    video.add("far", format, Arc::new(Pictures(sender)));
    let mut decoder = video_decoder(VideoCodec::Vp8).unwrap();
    assert!(!is_black(&next(&queue, &mut *decoder)));
    video.set_muted(true);
    let first = loop {
        let picture = next(&queue, &mut *decoder);
        if is_black(&picture) {
            break picture;
        }
    };
    let second = next(&queue, &mut *decoder);
    assert!(is_black(&second), "and nothing else");
    assert!(second.at.since(first.at) >= Duration::from_secs(1));
    assert_eq!((second.width, second.height), (320, 180));
    video.set_muted(false);
    while is_black(&next(&queue, &mut *decoder)) {}
}

#[test]
fn a_muted_microphone_sends_silence_and_says_so() {
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
    let (sender, queue) = sync_channel(QUEUE);
    audio.add("far", Arc::new(Sounds(sender)));
    let mut decoder = OpusDecoder::new(1).unwrap();
    let mut next = || {
        let packet = queue.recv_timeout(PATIENCE).expect("a packet");
        let sound = decoder.decode(&packet.data, Timestamp::default()).unwrap();
        let loudest = sound.samples.iter().map(|s| s.unsigned_abs()).max();
        (packet.level.unwrap().dbov, loudest.unwrap_or(0), packet.at)
    };
    while next().1 < 1_000 {}
    audio.set_muted(true);
    while next().0 < 127 {}
    // The last sound rings out in the decoder.
    for _ in 0..10 {
        next();
    }
    let mut before = next().2;
    for _ in 0..25 {
        let (level, loudest, at) = next();
        assert_eq!(level, 127);
        assert!(loudest < 10, "{loudest}");
        // A tone that got no time of the processor for more than 200 ms leaves blocks out, as a microphone does; nothing else
        // makes a gap.
        let gap = at.since(before).as_millis();
        assert!(gap <= 40 || gap > 200, "a gap of {gap} ms");
        before = at;
    }
    audio.set_muted(false);
    while next().1 < 1_000 {}
}

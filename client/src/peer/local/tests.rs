use std::time::Duration;

use bytes::Bytes;

use super::{LocalAudio, LocalVideo, PICTURES, SOUNDS};
use crate::media::clock::Timestamp;
use crate::media::frame::{EncodedPicture, EncodedSound, VideoCodec};

fn picture(number: u8, key: bool) -> EncodedPicture {
    EncodedPicture {
        codec: VideoCodec::Vp8,
        data: Bytes::copy_from_slice(&[number]),
        key,
        at: Timestamp::from_micros(0),
        layer: None,
    }
}

fn sound(number: u8) -> EncodedSound {
    EncodedSound {
        level: None,
        data: Bytes::copy_from_slice(&[number]),
        duration: Duration::from_millis(20),
        at: Timestamp::from_micros(0),
    }
}

#[tokio::test]
async fn pictures_begin_with_a_key_frame_once_the_connection_stands() {
    let video = LocalVideo::default();
    video.send(picture(1, true));
    video.set_open(true);
    video.send(picture(2, false));
    video.send(picture(3, true));
    video.send(picture(4, false));
    assert_eq!(video.next().await, Some(picture(3, true)));
    assert_eq!(video.next().await, Some(picture(4, false)));
    assert_eq!(video.dropped(), 1);
}

#[tokio::test]
async fn a_full_queue_drops_the_whole_group_and_wants_a_key_frame() {
    let video = LocalVideo::default();
    video.set_open(true);
    video.send(picture(0, true));
    for number in 1..=PICTURES {
        video.send(picture(number as u8, false));
    }
    assert_eq!(video.dropped(), PICTURES as u64 + 1);
    video.send(picture(100, false));
    video.send(picture(101, true));
    assert_eq!(video.next().await, None, "a key frame is wanted");
    assert_eq!(video.next().await, Some(picture(101, true)));
    assert_eq!(video.dropped(), PICTURES as u64 + 2);
}

#[tokio::test]
async fn a_key_frame_that_finds_the_queue_full_is_kept() {
    let video = LocalVideo::default();
    video.set_open(true);
    for number in 0..PICTURES {
        video.send(picture(number as u8, number == 0));
    }
    video.send(picture(100, true));
    assert_eq!(video.next().await, Some(picture(100, true)));
    assert_eq!(video.dropped(), PICTURES as u64);
}

#[tokio::test]
async fn the_oldest_sound_is_dropped() {
    let audio = LocalAudio::default();
    audio.send(sound(200));
    audio.set_open(true);
    for number in 0..=SOUNDS {
        audio.send(sound(number as u8));
    }
    assert_eq!(audio.dropped(), 1);
    assert_eq!(audio.next().await, sound(1));
}

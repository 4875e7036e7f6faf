//! What every picture codec has to do, tried on each of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::measure::quality::psnr_luma;
use crate::media::capture::test_picture::render;
use crate::media::clock::Timestamp;

const CODECS: &[VideoCodec] = AVAILABLE;

fn config(width: u32, height: u32, bitrate: u32) -> EncoderConfig {
    EncoderConfig {
        width,
        height,
        fps: 30,
        bitrate,
    }
}

fn picture(number: u32, width: u32, height: u32) -> Picture {
    let mut picture = render(number, width, height);
    picture.at = Timestamp::from_micros(5_000_000 + u64::from(number) * 33_333);
    picture
}

/// Frames of the numbers `from..to`, those dropped left out.
fn encode(
    encoder: &mut dyn VideoEncoder,
    numbers: std::ops::Range<u32>,
    size: (u32, u32),
) -> Vec<EncodedPicture> {
    numbers
        .filter_map(|n| encoder.encode(&picture(n, size.0, size.1), false).unwrap())
        .collect()
}

fn bits_per_second(frames: &[EncodedPicture], pictures: u32) -> f64 {
    let bytes: usize = frames.iter().map(|frame| frame.data.len()).sum();
    bytes as f64 * 8.0 * 30.0 / f64::from(pictures)
}

#[test]
fn pictures_survive_with_the_quality_that_the_rate_affords() {
    for &codec in CODECS {
        let mut encoder = video_encoder(codec, config(640, 360, 1_500_000)).unwrap();
        let mut decoder = video_decoder(codec).unwrap();
        for number in 0..60 {
            let given = picture(number, 640, 360);
            let frame = encoder.encode(&given, false).unwrap().expect("a frame");
            assert_eq!(
                (frame.codec, frame.key, frame.at),
                (codec, number == 0, given.at)
            );
            let seen = decoder.decode(&frame.data).unwrap().expect("a picture");
            let db = psnr_luma(&given, &seen, 0).expect("the same size");
            assert!(db > 30.0, "{codec:?} picture {number}: {db} dB");
            assert_eq!((seen.u.len(), seen.v.len()), (320 * 180, 320 * 180));
            let off: u64 = given
                .u
                .iter()
                .zip(&seen.u)
                .map(|(a, b)| u64::from(a.abs_diff(*b)))
                .sum();
            assert!(
                off / 57_600 < 8,
                "{codec:?} chroma is off by {} of 57,600",
                off
            );
        }
    }
}

#[test]
fn a_key_frame_comes_on_the_very_picture_it_is_asked_for() {
    for &codec in CODECS {
        let mut encoder = video_encoder(codec, config(320, 180, 500_000)).unwrap();
        encode(&mut *encoder, 0..20, (320, 180));
        for number in [20, 21, 30] {
            let frame = encoder
                .encode(&picture(number, 320, 180), true)
                .unwrap()
                .expect("a frame");
            assert!(frame.key, "{codec:?} picture {number}");
            // It needs nothing of what came before.
            let mut fresh = video_decoder(codec).unwrap();
            let seen = fresh.decode(&frame.data).unwrap().expect("a picture");
            let db = psnr_luma(&picture(number, 320, 180), &seen, 0).unwrap();
            assert!(db > 25.0, "{codec:?} {db} dB");
        }
        let next = encoder.encode(&picture(31, 320, 180), false).unwrap();
        assert!(next.is_none_or(|frame| !frame.key), "{codec:?}");
    }
}

#[test]
fn a_change_of_rate_holds_from_the_next_picture_without_a_key_frame() {
    for &codec in CODECS {
        let size = (640, 360);
        let mut encoder = video_encoder(codec, config(640, 360, 1_500_000)).unwrap();
        encode(&mut *encoder, 0..30, size);
        let high = bits_per_second(&encode(&mut *encoder, 30..150, size), 120);
        encoder.set_bitrate(400_000).unwrap();
        encode(&mut *encoder, 150..180, size);
        let frames = encode(&mut *encoder, 180..300, size);
        let low = bits_per_second(&frames, 120);
        assert!(frames.iter().all(|frame| !frame.key), "{codec:?}");
        encoder.set_bitrate(1_500_000).unwrap();
        encode(&mut *encoder, 300..330, size);
        let again = bits_per_second(&encode(&mut *encoder, 330..450, size), 120);
        assert!(
            (250_000.0..480_000.0).contains(&low),
            "{codec:?} {low} of 400,000"
        );
        for rate in [high, again] {
            assert!(
                (900_000.0..1_750_000.0).contains(&rate),
                "{codec:?} {rate} of 1,500,000"
            );
        }
    }
}

#[test]
fn a_rate_may_climb_from_little_and_fall_again_by_any_steps() {
    for &codec in CODECS {
        let size = (320, 180);
        let mut encoder = video_encoder(codec, config(320, 180, 218_549)).unwrap();
        let first = encode(&mut *encoder, 0..5, size);
        assert_eq!(first.len(), 5, "{codec:?}");
        let rates = [
            455_001, 470_377, 1_291_066, 1_500_000, 99_999, 50_001, 870_372,
        ];
        for (step, rate) in rates.into_iter().enumerate() {
            encoder.set_bitrate(rate).unwrap();
            let from = 5 + step as u32 * 5;
            let frames = encode(&mut *encoder, from..from + 5, size);
            assert!(frames.iter().all(|frame| !frame.key), "{codec:?} {rate}");
            assert_eq!(frames.len(), 5, "{codec:?} {rate}");
        }
    }
}

#[test]
fn a_rate_set_before_the_first_picture_counts() {
    for &codec in CODECS {
        let mut encoder = video_encoder(codec, config(640, 360, 3_000_000)).unwrap();
        encoder.set_bitrate(300_000).unwrap();
        encode(&mut *encoder, 0..60, (640, 360));
        let rate = bits_per_second(&encode(&mut *encoder, 60..180, (640, 360)), 120);
        assert!(rate < 400_000.0, "{codec:?} {rate}");
    }
}

#[test]
fn a_change_of_size_is_followed_with_a_key_frame() {
    for &codec in CODECS {
        let mut encoder = video_encoder(codec, config(320, 180, 800_000)).unwrap();
        let mut decoder = video_decoder(codec).unwrap();
        let sizes = [(320, 180), (640, 360), (160, 90), (642, 358), (320, 180)];
        for (index, (width, height)) in sizes.into_iter().enumerate() {
            for step in 0..4 {
                let given = picture(index as u32 * 4 + step, width, height);
                let frame = encoder.encode(&given, false).unwrap().expect("a frame");
                assert_eq!(frame.key, step == 0, "{codec:?} {width}x{height}");
                let seen = decoder.decode(&frame.data).unwrap().expect("a picture");
                let db = psnr_luma(&given, &seen, 0).expect("the new size");
                assert!(db > 25.0, "{codec:?} {width}x{height} {db} dB");
            }
        }
    }
}

#[test]
fn odd_sizes_are_encoded() {
    for &codec in CODECS {
        let mut encoder = video_encoder(codec, config(161, 91, 500_000)).unwrap();
        let frame = encoder
            .encode(&picture(3, 161, 91), false)
            .unwrap()
            .expect("a frame");
        let seen = video_decoder(codec)
            .unwrap()
            .decode(&frame.data)
            .unwrap()
            .expect("a picture");
        let size = if codec == VideoCodec::H264 {
            (160, 90)
        } else {
            (161, 91)
        };
        assert_eq!((seen.width, seen.height), size);
        assert_eq!(seen.u.len(), seen.chroma_stride() * seen.chroma_rows());
    }
}

#[test]
fn a_picture_that_lacks_rows_is_an_error() {
    for &codec in CODECS {
        let mut encoder = video_encoder(codec, config(64, 64, 500_000)).unwrap();
        let whole = picture(0, 64, 64);
        for cut in 0..3 {
            let mut broken = whole.clone();
            [&mut broken.y, &mut broken.u, &mut broken.v][cut].pop();
            assert!(
                encoder.encode(&broken, false).is_err(),
                "{codec:?} plane {cut}"
            );
        }
        assert!(
            encoder
                .encode(&Picture::black(0, 0, whole.at), false)
                .is_err(),
            "{codec:?}"
        );
        assert!(
            encoder.encode(&whole, false).unwrap().is_some(),
            "{codec:?}"
        );
    }
}

#[test]
fn a_delta_frame_without_its_key_frame_is_an_error() {
    for &codec in CODECS {
        let mut encoder = video_encoder(codec, config(320, 180, 800_000)).unwrap();
        let frames = encode(&mut *encoder, 0..10, (320, 180));
        let mut decoder = video_decoder(codec).unwrap();
        for frame in frames.iter().filter(|frame| !frame.key) {
            assert!(decoder.decode(&frame.data).is_err(), "{codec:?}");
        }
        assert!(
            decoder.decode(&frames[0].data).unwrap().is_some(),
            "{codec:?}"
        );
        assert!(
            decoder.decode(&frames[1].data).unwrap().is_some(),
            "{codec:?}"
        );
    }
}

#[test]
fn random_bytes_never_break_a_decoder() {
    let mut random = StdRng::seed_from_u64(1);
    for &codec in CODECS {
        let mut encoder = video_encoder(codec, config(64, 64, 200_000)).unwrap();
        let key = encode(&mut *encoder, 0..1, (64, 64)).remove(0);
        let mut decoder = video_decoder(codec).unwrap();
        for _ in 0..2_000 {
            let mut frame = vec![0u8; random.random_range(0..400)];
            random.fill(&mut frame[..]);
            if codec == VideoCodec::H264 && random.random() {
                frame.splice(0..0, [0, 0, 0, 1]);
            }
            let _ = decoder.decode(&frame);
        }
        assert!(decoder.decode(&key.data).unwrap().is_some(), "{codec:?}");
    }
}

#[test]
fn damaged_frames_never_break_a_decoder() {
    let mut random = StdRng::seed_from_u64(2);
    for &codec in CODECS {
        let mut encoder = video_encoder(codec, config(96, 64, 300_000)).unwrap();
        let frames = encode(&mut *encoder, 0..20, (96, 64));
        let mut decoder = video_decoder(codec).unwrap();
        let mut shown = 0;
        for _ in 0..2_000 {
            let frame = &frames[random.random_range(0..frames.len())];
            let mut data = frame.data.to_vec();
            for _ in 0..random.random_range(0..6) {
                let at = random.random_range(0..data.len());
                data[at] = random.random();
            }
            data.truncate(random.random_range(1..=data.len() * 4).min(data.len()));
            shown += usize::from(matches!(decoder.decode(&data), Ok(Some(_))));
        }
        assert!(shown > 0, "{codec:?}: some of them are whole");
        let seen = decoder.decode(&frames[0].data).unwrap().expect("a picture");
        let db = psnr_luma(&picture(0, 96, 64), &seen, 0).unwrap();
        assert!(db > 25.0, "{codec:?} {db} dB");
    }
}

#[test]
fn frames_of_another_codec_are_errors_and_a_key_frame_mends_it() {
    let given = picture(7, 160, 90);
    let frames = |codec| {
        let mut encoder = video_encoder(codec, config(160, 90, 500_000)).unwrap();
        encode(&mut *encoder, 0..12, (160, 90))
    };
    for &ours in CODECS {
        let mut decoder = video_decoder(ours).unwrap();
        for &theirs in CODECS.iter().filter(|codec| **codec != ours) {
            for frame in frames(theirs) {
                let seen = decoder.decode(&frame.data);
                assert!(!matches!(seen, Ok(Some(_))), "{ours:?} shows {theirs:?}");
            }
        }
        let mut encoder = video_encoder(ours, config(160, 90, 500_000)).unwrap();
        let key = encoder.encode(&given, true).unwrap().expect("a frame");
        let seen = decoder.decode(&key.data).unwrap().expect("a picture");
        assert!(psnr_luma(&given, &seen, 0).unwrap() > 25.0, "{ours:?}");
    }
}

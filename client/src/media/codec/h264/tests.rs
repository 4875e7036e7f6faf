#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use crate::media::capture::test_picture::render;

fn config() -> EncoderConfig {
    EncoderConfig {
        width: 640,
        height: 360,
        fps: 30,
        bitrate: 1_500_000,
    }
}

/// The NAL units of an Annex B stream, without their start codes.
fn units(stream: &[u8]) -> Vec<&[u8]> {
    let starts: Vec<usize> = (0..stream.len().saturating_sub(2))
        .filter(|&i| stream[i..i + 3] == [0, 0, 1])
        .map(|i| i + 3)
        .collect();
    let ends = starts.iter().skip(1).map(|start| start - 3);
    starts
        .iter()
        .zip(ends.chain([stream.len()]))
        .map(|(&start, end)| &stream[start..end])
        .collect()
}

#[test]
fn key_frames_begin_with_parameter_sets_of_constrained_baseline() {
    let mut encoder = H264Encoder::new(config(), Slices::One).unwrap();
    for number in 0..3 {
        let frame = encoder
            .encode(&render(number, 640, 360), number == 2)
            .unwrap()
            .expect("a frame");
        let kinds: Vec<u8> = nal_types(&frame.data).collect();
        if number == 1 {
            assert_eq!(kinds, [1]);
            continue;
        }
        assert_eq!(kinds, [7, 8, 5]);
        let sps = units(&frame.data)[0];
        assert_eq!(sps[1], 66, "profile_idc");
        assert_eq!(sps[2] & 0b0100_0000, 0b0100_0000, "constraint_set1_flag");
    }
}

#[test]
fn slices_stay_below_the_size_that_a_packet_holds() {
    let mut encoder = H264Encoder::new(config(), Slices::Below(1_100)).unwrap();
    let mut decoder = H264Decoder::new().unwrap();
    for number in 0..20 {
        let picture = render(number, 640, 360);
        let Some(frame) = encoder.encode(&picture, false).unwrap() else {
            continue;
        };
        for unit in units(&frame.data) {
            assert!(
                unit.len() <= 1_100,
                "{} bytes in picture {number}",
                unit.len()
            );
        }
        assert!(decoder.decode(&frame.data).unwrap().is_some());
    }
}

#[test]
fn parameter_sets_may_come_on_their_own() {
    let mut encoder = H264Encoder::new(config(), Slices::One).unwrap();
    let frame = encoder
        .encode(&render(0, 640, 360), false)
        .unwrap()
        .expect("a frame");
    let mut decoder = H264Decoder::new().unwrap();
    let mut shown = 0;
    for unit in units(&frame.data) {
        let mut alone = vec![0, 0, 0, 1];
        alone.extend_from_slice(unit);
        shown += usize::from(decoder.decode(&alone).unwrap().is_some());
    }
    assert_eq!(shown, 1);
}

#[test]
fn after_a_lost_frame_only_errors_come_until_a_key_frame() {
    let mut encoder = H264Encoder::new(config(), Slices::One).unwrap();
    let mut decoder = H264Decoder::new().unwrap();
    for number in 0..12 {
        let frame = encoder
            .encode(&render(number, 640, 360), number == 9)
            .unwrap()
            .expect("a frame");
        if number == 5 {
            continue;
        }
        let seen = decoder.decode(&frame.data);
        assert_eq!(
            seen.is_ok(),
            !(6..9).contains(&number),
            "picture {number}: {:?}",
            seen.err()
        );
    }
}

#![allow(clippy::unwrap_used, clippy::expect_used)]

use bytes::Bytes;
use proptest::prelude::*;

use super::{MAX_PAYLOAD, Vp8, h264, nal_units};
use crate::measure::quality::psnr_luma;
use crate::media::capture::test_picture::render;
use crate::media::codec::vpx::VpxEncoder;
use crate::media::codec::{self, EncoderConfig, VideoEncoder};
use crate::media::frame::VideoCodec;
use crate::media::layers::{Scalability, TemporalLayer};
use crate::media::receive::depacketize::Pieces;

fn annex_b(nals: &[&[u8]]) -> Bytes {
    nals.iter()
        .flat_map(|nal| [&[0, 0, 0, 1], *nal].concat())
        .collect()
}

fn nal(header: u8, size: usize) -> Vec<u8> {
    let mut nal = vec![0xa5; size];
    nal[0] = header;
    nal
}

#[test]
fn a_small_vp8_frame_is_one_payload_with_a_picture_id_of_15_bits() {
    let mut vp8 = Vp8::new(5);
    let payloads = vp8.packetize(&Bytes::from_static(&[1, 2, 3]), false, None);
    assert_eq!(payloads, [&[0x90, 0x80, 0x80, 5, 1, 2, 3][..]]);
    let payloads = vp8.packetize(&Bytes::from_static(&[4]), false, None);
    assert_eq!(payloads, [&[0x90, 0x80, 0x80, 6, 4][..]]);
}

#[test]
fn picture_ids_wrap_at_15_bits() {
    let mut vp8 = Vp8::new(u16::MAX);
    assert_eq!(
        vp8.packetize(&Bytes::from_static(&[1]), false, None)[0][2..4],
        [0xff, 0xff]
    );
    assert_eq!(
        vp8.packetize(&Bytes::from_static(&[1]), false, None)[0][2..4],
        [0x80, 0]
    );
}

#[test]
fn a_large_vp8_frame_is_cut_evenly_and_starts_once() {
    let frame: Bytes = (0..3000u32).map(|n| (n % 251) as u8).collect();
    let payloads = Vp8::new(0).packetize(&frame, false, None);
    let sizes: Vec<_> = payloads.iter().map(Bytes::len).collect();
    assert_eq!(sizes, [1004, 1004, 1004]);
    let starts: Vec<_> = payloads.iter().map(|payload| payload[0]).collect();
    assert_eq!(starts, [0x90, 0x80, 0x80]);
    let whole: Vec<u8> = payloads.iter().flat_map(|p| p[4..].to_vec()).collect();
    assert_eq!(whole, frame);
}

#[test]
fn nal_units_are_found_behind_both_start_codes() {
    let stream = [
        0, 0, 0, 1, 0x67, 1, 0, 0, 1, 0x68, 2, 0, 0, 0, 0, 0, 1, 0x65, 3, 0,
    ];
    let found: Vec<_> = nal_units(&stream).collect();
    assert_eq!(found, [&[0x67, 1][..], &[0x68, 2], &[0x65, 3]]);
    assert_eq!(nal_units(&[1, 2, 3]).count(), 0);
    assert_eq!(nal_units(&[0, 0, 1]).count(), 0);
}

#[test]
fn small_nal_units_go_out_as_they_are_without_delimiters() {
    let unit = annex_b(&[&[0x09, 0xf0], &[0x67, 1], &[0x68, 2], &[0x65, 3]]);
    let (payloads, unsendable) = h264(&unit, true);
    assert_eq!(payloads, [&[0x67, 1][..], &[0x68, 2], &[0x65, 3]]);
    assert_eq!(unsendable, 0);
}

#[test]
fn a_large_nal_unit_is_fragmented() {
    let large = nal(0x65, 2500);
    let (payloads, unsendable) = h264(&annex_b(&[&large]), false);
    assert_eq!(unsendable, 0);
    let headers: Vec<_> = payloads.iter().map(|p| [p[0], p[1]]).collect();
    assert_eq!(headers, [[0x7c, 0x85], [0x7c, 0x05], [0x7c, 0x45]]);
    let sizes: Vec<_> = payloads.iter().map(Bytes::len).collect();
    assert_eq!(sizes, [835, 835, 835]);
    let whole: Vec<u8> = payloads.iter().flat_map(|p| p[2..].to_vec()).collect();
    assert_eq!(whole, large[1..]);
}

#[test]
fn mode_0_leaves_out_what_does_not_fit_and_says_so() {
    let fits = nal(0x67, MAX_PAYLOAD);
    let large = nal(0x65, MAX_PAYLOAD + 1);
    let (payloads, unsendable) = h264(&annex_b(&[&fits, &large]), true);
    assert_eq!(payloads, [fits]);
    assert_eq!(unsendable, 1);
}

proptest! {
    #[test]
    fn no_bytes_break_the_packetizers(bytes in prop::collection::vec(prop_oneof![Just(0u8), Just(1), any::<u8>()], 0..4000)) {
        let bytes = Bytes::from(bytes);
        for single_nal in [false, true] {
            for payload in h264(&bytes, single_nal).0 {
                prop_assert!(!payload.is_empty() && payload.len() <= MAX_PAYLOAD);
            }
        }
        let payloads = Vp8::new(0).packetize(&bytes, false, None);
        let whole: Vec<u8> = payloads.iter().flat_map(|p| p[4..].to_vec()).collect();
        prop_assert_eq!(whole, bytes);
        prop_assert!(payloads.iter().all(|p| p.len() <= MAX_PAYLOAD));
    }
}

#[test]
fn layers_are_told_in_every_payload_of_a_frame() {
    let place = |id, sync| Some(TemporalLayer { id, sync });
    let mut vp8 = Vp8::new(5);
    let mut heads = |bytes: usize, key, layer| -> Vec<[u8; 6]> {
        let payloads = vp8.packetize(&vec![0; bytes].into(), key, layer);
        payloads
            .iter()
            .map(|p| p[..6].try_into().unwrap())
            .collect()
    };
    assert_eq!(
        heads(1_500, true, place(0, false)),
        [
            [0x90, 0xf0, 0x80, 5, 1, 0x01],
            [0x80, 0xf0, 0x80, 5, 1, 0x01]
        ]
    );
    assert_eq!(
        heads(9, false, place(2, true)),
        [[0x90, 0xf0, 0x80, 6, 1, 0xa1]]
    );
    assert_eq!(
        heads(9, false, place(1, true)),
        [[0x90, 0xf0, 0x80, 7, 1, 0x61]]
    );
    assert_eq!(
        heads(9, false, place(2, false)),
        [[0x90, 0xf0, 0x80, 8, 1, 0x81]]
    );
    assert_eq!(
        heads(9, false, place(0, false)),
        [[0x90, 0xf0, 0x80, 9, 2, 0x01]]
    );
    // A file's frames have none, and nothing is said of any.
    assert_eq!(heads(9, false, None), [[0x90, 0x80, 0x80, 10, 0, 0]]);
}

/// What a server does that leaves out layers: the rest decodes to the right pictures.
#[test]
fn what_is_left_of_the_layers_decodes_to_the_right_pictures() {
    let config = EncoderConfig {
        width: 320,
        height: 180,
        fps: 30,
        bitrate: 600_000,
    };
    for (mode, most, pictures) in [
        (Scalability::L1T2, 1, 40),
        (Scalability::L1T2, 0, 20),
        (Scalability::L1T3, 2, 40),
        (Scalability::L1T3, 1, 20),
        (Scalability::L1T3, 0, 10),
    ] {
        let mut encoder = VpxEncoder::layered(config, mode).unwrap();
        let mut decoder = codec::video_decoder(VideoCodec::Vp8).unwrap();
        let mut vp8 = Vp8::new(0);
        let mut seen = 0;
        for number in 0..40 {
            let picture = render(number, 320, 180);
            let frame = encoder.encode(&picture, false).unwrap().unwrap();
            let mut pieces = Pieces::new(VideoCodec::Vp8);
            for payload in vp8.packetize(&frame.data, frame.key, frame.layer) {
                // As a server reads it: TID is the two highest bits of the sixth byte.
                if payload[5] >> 6 <= most {
                    pieces.push(&payload).unwrap();
                }
            }
            let data = pieces.finish().unwrap();
            if data.is_empty() {
                continue;
            }
            let shown = decoder.decode(&data).unwrap().expect("a picture");
            let db = psnr_luma(&picture, &shown, 0).expect("the same size");
            assert!(db > 25.0, "{mode:?} up to {most}, {number}: {db} dB");
            seen += 1;
        }
        assert_eq!(seen, pictures, "{mode:?} up to {most}");
    }
}

use bytes::Bytes;
use proptest::prelude::*;

use super::{MAX_PAYLOAD, Vp8, h264, nal_units};

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
    let payloads = vp8.packetize(&Bytes::from_static(&[1, 2, 3]));
    assert_eq!(payloads, [&[0x90, 0x80, 0x80, 5, 1, 2, 3][..]]);
    let payloads = vp8.packetize(&Bytes::from_static(&[4]));
    assert_eq!(payloads, [&[0x90, 0x80, 0x80, 6, 4][..]]);
}

#[test]
fn picture_ids_wrap_at_15_bits() {
    let mut vp8 = Vp8::new(u16::MAX);
    assert_eq!(
        vp8.packetize(&Bytes::from_static(&[1]))[0][2..4],
        [0xff, 0xff]
    );
    assert_eq!(vp8.packetize(&Bytes::from_static(&[1]))[0][2..4], [0x80, 0]);
}

#[test]
fn a_large_vp8_frame_is_cut_evenly_and_starts_once() {
    let frame: Bytes = (0..3000u32).map(|n| (n % 251) as u8).collect();
    let payloads = Vp8::new(0).packetize(&frame);
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
        let payloads = Vp8::new(0).packetize(&bytes);
        let whole: Vec<u8> = payloads.iter().flat_map(|p| p[4..].to_vec()).collect();
        prop_assert_eq!(whole, bytes);
        prop_assert!(payloads.iter().all(|p| p.len() <= MAX_PAYLOAD));
    }
}

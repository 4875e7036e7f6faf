//! Sealing and opening: what one side makes the other takes, and nothing else.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use sframe::CipherSuite;
use sframe::frame::{EncryptedFrameView, MediaFrameView, SingleUseCounter};
use sframe::header::SframeHeader;
use sframe::key::{DecryptionKey, EncryptionKey};

use super::*;
use crate::event::Kind;
use crate::media::frame::VideoCodec;

const VP8: Medium = Medium::Picture(VideoCodec::Vp8);
const VP9: Medium = Medium::Picture(VideoCodec::Vp9);

fn room(byte: u8) -> RoomKey {
    let digits = format!("key:{}", format!("{byte:02x}").repeat(32));
    RoomSecret::parse(&digits).unwrap().key("foo")
}

fn pair() -> (Sealer, Opener) {
    let key = room(7);
    (Sealer::new(&key).unwrap(), Opener::new(Some(key)))
}

fn key_frame(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|n| n as u8 & 0xfe).collect()
}

#[test]
fn a_frame_comes_out_as_it_went_in_with_its_beginning_in_clear() {
    let (sealer, mut opener) = pair();
    let delta: Vec<u8> = (1..200).collect();
    for (medium, frame, clear) in [
        (VP8, key_frame(500), 10),
        (VP8, delta.clone(), 3),
        (VP9, [&[0x82], &delta[..]].concat(), 10),
        (VP9, [&[0x86], &delta[..]].concat(), 1),
        (Medium::Opus, delta, 1),
    ] {
        let sealed = sealer.seal(medium, &frame).unwrap();
        assert_eq!(sealed[..clear], frame[..clear]);
        assert!(!sealed.windows(8).any(|w| w == &frame[clear..clear + 8]));
        assert_eq!(opener.open(medium, &sealed).unwrap(), frame);
    }
}

#[test]
fn another_key_and_no_key_open_nothing() {
    let (sealer, _) = pair();
    let sealed = sealer.seal(Medium::Opus, b"sound").unwrap();
    let mut other = Opener::new(Some(room(8)));
    assert_eq!(other.open(Medium::Opus, &sealed), Err(OpenError::Refused));
    let mut none = Opener::new(None);
    assert_eq!(none.open(Medium::Opus, &sealed), Err(OpenError::NoKey));
}

#[test]
fn a_frame_in_clear_is_never_taken_for_an_encrypted_one() {
    let (_, mut opener) = pair();
    for bytes in 0..100 {
        let frame = key_frame(bytes);
        assert!(opener.open(VP8, &frame).is_err());
        assert!(opener.open(Medium::Opus, &frame).is_err());
    }
}

#[test]
fn a_frame_that_comes_again_is_refused_and_one_that_comes_late_is_not() {
    let (sealer, mut opener) = pair();
    let frames: Vec<_> = (0..30)
        .map(|_| sealer.seal(Medium::Opus, b"sound").unwrap())
        .collect();
    for frame in frames.iter().rev() {
        assert!(opener.open(Medium::Opus, frame).is_ok());
    }
    for frame in &frames {
        assert_eq!(opener.open(Medium::Opus, frame), Err(OpenError::Replayed));
    }
}

#[test]
fn two_senders_of_one_key_never_make_the_same_of_the_same_frame() {
    let key = room(7);
    let (a, b) = (Sealer::new(&key).unwrap(), Sealer::new(&key).unwrap());
    let sealed = |sealer: &Sealer| sealer.seal(Medium::Opus, &[0; 40]).unwrap();
    let all = [sealed(&a), sealed(&a), sealed(&b), sealed(&b)];
    let tails: std::collections::BTreeSet<&[u8]> = all.iter().map(|s| &s[s.len() - 40..]).collect();
    assert_eq!(tails.len(), 4, "neither key nor number is used twice");
}

#[test]
fn a_sender_that_began_anew_is_understood_and_few_are_remembered() {
    let key = room(7);
    let mut opener = Opener::new(Some(key.clone()));
    for id in 0..40 {
        let sealer = Sealer::with_id(&key, id << 40).unwrap();
        for _ in 0..3 {
            let sealed = sealer.seal(Medium::Opus, b"sound").unwrap();
            assert!(opener.open(Medium::Opus, &sealed).is_ok());
        }
    }
    assert_eq!(opener.remembered(), 8);
}

#[test]
fn frames_without_a_rule_do_not_go_out() {
    let (sealer, _) = pair();
    for (medium, frame) in [
        (Medium::Picture(VideoCodec::H264), key_frame(100)),
        (VP8, key_frame(9)),
        (VP8, vec![1, 2]),
        (Medium::Opus, Vec::new()),
    ] {
        assert!(matches!(
            sealer.seal(medium, &frame),
            Err(SealError::Frame { .. })
        ));
    }
}

#[test]
fn a_stream_for_somebody_else_is_counted_and_told_once() {
    let (sealer, _) = pair();
    let (told, heard) = std::sync::mpsc::channel();
    let incoming = Incoming::new(
        Opener::new(Some(room(8))),
        Box::new(move |kind| told.send(kind).unwrap()),
    );
    for _ in 0..100 {
        let sealed = sealer.seal(Medium::Opus, b"sound").unwrap();
        assert_eq!(incoming.open(Medium::Opus, &sealed), None);
    }
    assert_eq!(heard.try_iter().collect::<Vec<_>>(), [Kind::Audio]);
    assert_eq!(
        (incoming.failed(Kind::Audio), incoming.failed(Kind::Video)),
        (100, 0)
    );
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
    let pair = |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap();
    digits.chunks(2).map(pair).collect()
}

/// RFC 9605, appendix C.1.
#[test]
fn headers_are_those_of_the_rfc() {
    for (id, number, encoded) in [
        (0, 0, "00"),
        (0, 7, "07"),
        (0, 8, "0808"),
        (0, 0x100, "090100"),
        (7, 7, "77"),
        (8, 0, "8008"),
        (0xff, 0xff, "88ffff"),
        (0x100, 0x100, "9901000100"),
        (u64::MAX, u64::MAX, "ffffffffffffffffffffffffffffffffff"),
    ] {
        let header = SframeHeader::new(id, number);
        assert_eq!(Vec::from(&header), unhex(encoded), "{id} {number}");
        let read = SframeHeader::deserialize(unhex(encoded)).unwrap();
        assert_eq!((read.key_id(), read.counter()), (id, number));
    }
}

/// RFC 9605, appendix C.3, the vector of cipher suite 5.
#[test]
fn a_ciphertext_is_that_of_the_rfc() {
    let base_key = unhex("000102030405060708090a0b0c0d0e0f");
    let (metadata, plain) = (b"IETF SFrame WG", b"draft-ietf-sframe-enc");
    let expected = unhex(
        "9901234567 94f509d36e9beacb0e261d99c7d1e972f1fed787d4 049f17ca21353c1cc24d56ceabced279",
    );
    let suite: CipherSuite = seal::SUITE;
    let key = EncryptionKey::derive_from(suite, 0x123_u64, &base_key).unwrap();
    let mut sealed = Vec::new();
    MediaFrameView::try_with_meta_data(&mut SingleUseCounter::new(0x4567), plain, metadata)
        .unwrap()
        .encrypt_into(&key, &mut sealed)
        .unwrap();
    assert_eq!(sealed, [&metadata[..], &expected].concat());
    let key = DecryptionKey::derive_from(suite, 0x123_u64, &base_key).unwrap();
    let opened = EncryptedFrameView::try_with_meta_data(&expected, metadata)
        .unwrap()
        .decrypt(&key)
        .unwrap();
    assert_eq!(opened.payload(), plain);
}

proptest! {
    #[test]
    fn any_frame_comes_out_as_it_went_in(frame in proptest::collection::vec(any::<u8>(), 0..3000), id in any::<u64>()) {
        let key = room(7);
        let sealer = Sealer::with_id(&key, id).unwrap();
        let mut opener = Opener::new(Some(key));
        for medium in [VP8, VP9, Medium::Opus] {
            if let Ok(sealed) = sealer.seal(medium, &frame) {
                prop_assert!(sealed.len() <= frame.len() + 33);
                prop_assert_eq!(opener.open(medium, &sealed).unwrap(), &frame);
            } else {
                prop_assert!(frame.len() < 10);
            }
        }
    }

    #[test]
    fn a_frame_with_any_bit_changed_is_refused(
        frame in proptest::collection::vec(any::<u8>(), 10..300), at in any::<prop::sample::Index>(), bit in 0_u32..8,
    ) {
        for medium in [VP8, VP9, Medium::Opus] {
            let (sealer, mut opener) = pair();
            let mut sealed = sealer.seal(medium, &frame).unwrap().to_vec();
            let at = at.index(sealed.len());
            sealed[at] ^= 1_u8 << bit;
            prop_assert!(opener.open(medium, &sealed).is_err(), "also in the clear bytes");
        }
    }

    #[test]
    fn any_bytes_are_refused_and_nothing_of_them_is_remembered(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let (_, mut opener) = pair();
        for medium in [VP8, VP9, Medium::Opus, Medium::Picture(VideoCodec::H264)] {
            prop_assert!(opener.open(medium, &bytes).is_err());
        }
        prop_assert_eq!(opener.remembered(), 0);
    }
}

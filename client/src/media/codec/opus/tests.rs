#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::f64::consts::TAU;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;

const BLOCK: usize = 960;
const LOST: Duration = Duration::from_millis(20);

fn block(index: usize, channels: u16) -> Sound {
    let samples = (0..BLOCK)
        .flat_map(|i| {
            let t = (index * BLOCK + i) as f64 / 48_000.0;
            // Voice-like: syllables of unlike pitch, with overtones.
            let pitch = [120.0, 210.0, 165.0, 280.0, 140.0][index / 4 % 5];
            let base = TAU * pitch * t;
            let value =
                (base.sin() + 0.5 * (2.0 * base).sin() + 0.25 * (5.0 * base).sin()) * 6_000.0;
            std::iter::repeat_n(value as i16, usize::from(channels))
        })
        .collect();
    Sound {
        samples,
        channels,
        at: Timestamp::from_micros(index as u64 * 20_000),
    }
}

/// Signal to noise in dB, at the best of the shifts that the codec's delay may have.
fn snr(given: &[i16], seen: &[i16]) -> f64 {
    (0..700)
        .map(|shift| {
            let (mut signal, mut noise) = (0.0, 1.0);
            for (a, b) in given.iter().zip(&seen[shift..]) {
                signal += f64::from(*a).powi(2);
                noise += (f64::from(*a) - f64::from(*b)).powi(2);
            }
            10.0 * (signal / noise).log10()
        })
        .fold(f64::MIN, f64::max)
}

#[test]
fn sound_survives_in_mono_and_stereo() {
    for channels in [1, 2] {
        let mut encoder = OpusEncoder::new(channels, Content::Music, 96_000).unwrap();
        let mut decoder = OpusDecoder::new(1).unwrap();
        let (mut given, mut seen) = (Vec::new(), Vec::new());
        for index in 0..50 {
            let sound = block(index, channels);
            let packet = encoder.encode(&sound).unwrap();
            assert_eq!((packet.duration, packet.at), (LOST, sound.at));
            given.extend_from_slice(&block(index, 1).samples);
            let back = decoder.decode(&packet.data, sound.at).unwrap();
            assert_eq!(
                (back.duration(), back.channels, back.at),
                (LOST, 1, sound.at)
            );
            seen.extend(back.samples);
        }
        let db = snr(&given[4_800..40_000], &seen[4_800..]);
        assert!(db > 20.0, "{channels} channels: {db} dB");
    }
}

/// What fills in for a lost packet.
#[derive(Clone, Copy, PartialEq)]
enum Fill {
    NothingLost,
    Correction,
    Concealment,
}

fn decode_with(fill: Fill) -> Vec<i16> {
    let mut encoder = OpusEncoder::new(1, Content::Voice, 32_000).unwrap();
    encoder.set_expected_loss(20).unwrap();
    let mut decoder = OpusDecoder::new(1).unwrap();
    let packets: Vec<_> = (0..100)
        .map(|index| encoder.encode(&block(index, 1)).unwrap())
        .collect();
    let decode = |(index, packet): (usize, &EncodedSound)| {
        let fill = if index % 7 == 6 {
            fill
        } else {
            Fill::NothingLost
        };
        let sound = match fill {
            Fill::NothingLost => decoder.decode(&packet.data, packet.at),
            Fill::Correction => decoder.decode_fec(&packets[index + 1].data, LOST, packet.at),
            Fill::Concealment => decoder.conceal(LOST, packet.at),
        }
        .unwrap();
        assert_eq!(sound.duration(), LOST);
        sound.samples
    };
    packets.iter().enumerate().flat_map(decode).collect()
}

#[test]
fn error_correction_beats_concealment() {
    let whole = decode_with(Fill::NothingLost);
    let corrected = snr(
        &whole[9_600..90_000],
        &decode_with(Fill::Correction)[9_600..],
    );
    let concealed = snr(
        &whole[9_600..90_000],
        &decode_with(Fill::Concealment)[9_600..],
    );
    assert!(
        corrected > concealed + 3.0,
        "{corrected} dB against {concealed} dB"
    );
}

#[test]
fn silence_is_sent_as_well() {
    let mut encoder = OpusEncoder::new(1, Content::Voice, 32_000).unwrap();
    for index in 0..100 {
        let silence = Sound {
            samples: vec![0; BLOCK],
            channels: 1,
            at: Timestamp::from_micros(index * 20_000),
        };
        assert!(
            encoder.encode(&silence).unwrap().data.len() > 2,
            "block {index}"
        );
    }
}

#[test]
fn the_rate_follows() {
    let mut encoder = OpusEncoder::new(2, Content::Music, 128_000).unwrap();
    let bits = |encoder: &mut OpusEncoder| {
        let bytes: usize = (0..100)
            .map(|i| encoder.encode(&block(i, 2)).unwrap().data.len())
            .sum();
        bytes * 8 / 2
    };
    let high = bits(&mut encoder);
    encoder.set_bitrate(16_000).unwrap();
    let low = bits(&mut encoder);
    assert!(high > 60_000 && low < 24_000, "{high} then {low}");
}

#[test]
fn what_opus_has_not_is_an_error() {
    assert!(OpusEncoder::new(3, Content::Voice, 32_000).is_err());
    assert!(OpusDecoder::new(0).is_err());
    let mut encoder = OpusEncoder::new(1, Content::Voice, 0).unwrap();
    let mut odd = block(0, 1);
    odd.samples.pop();
    assert!(encoder.encode(&odd).is_err());
    let mut decoder = OpusDecoder::new(1).unwrap();
    for lost in [
        Duration::ZERO,
        Duration::from_millis(7),
        Duration::from_secs(1),
        Duration::MAX,
    ] {
        assert!(
            decoder.conceal(lost, Timestamp::default()).is_err(),
            "{lost:?}"
        );
    }
    assert!(decoder.decode(&[], Timestamp::default()).is_err());
}

#[test]
fn random_bytes_never_break_the_decoder() {
    let mut random = StdRng::seed_from_u64(3);
    let mut encoder = OpusEncoder::new(2, Content::Voice, 32_000).unwrap();
    for channels in [1, 2] {
        let mut decoder = OpusDecoder::new(channels).unwrap();
        for _ in 0..2_000 {
            let mut packet = vec![0u8; random.random_range(0..200)];
            random.fill(&mut packet[..]);
            let _ = decoder.decode(&packet, Timestamp::default());
            let _ = decoder.decode_fec(&packet, LOST, Timestamp::default());
        }
        let packet = encoder.encode(&block(0, 2)).unwrap();
        assert!(decoder.decode(&packet.data, packet.at).is_ok());
    }
}

#[test]
fn silence_is_not_sent_where_that_is_wished_but_for_a_packet_every_400_ms() {
    let mut encoder = OpusEncoder::new(1, Content::Voice, 32_000).unwrap();
    encoder.set_dtx(true).unwrap();
    let silence = |index: u64| Sound {
        samples: vec![0; BLOCK],
        channels: 1,
        at: Timestamp::from_micros(index * 20_000),
    };
    let sent = (0..200)
        .filter(|index| encoder.encode(&silence(*index)).unwrap().data.len() > NOT_SENT)
        .count();
    assert!((8..40).contains(&sent), "{sent} of 200");
    let voice = encoder.encode(&block(0, 1)).unwrap();
    assert!(voice.data.len() > NOT_SENT);
}

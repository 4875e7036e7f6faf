#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::measure::quality::psnr_luma;
use crate::media::bitstream::av1;
use crate::media::capture::test_picture::render;
use crate::media::codec::{EncoderConfig, VideoDecoder, VideoEncoder};
use crate::media::file::tests::{folder, run};
use crate::media::frame::Picture;

/// Our test pictures in AV1, the first a key frame.
fn units(count: u32) -> Vec<Vec<u8>> {
    let config = EncoderConfig {
        width: 160,
        height: 90,
        fps: 30,
        bitrate: 600_000,
    };
    let mut encoder = Av1Encoder::new(config).unwrap();
    (0..count)
        .filter_map(|number| encoder.encode(&render(number, 160, 90), false).unwrap())
        .map(|picture| picture.data.to_vec())
        .collect()
}

fn is_like(seen: &Picture, number: u32) {
    let db = psnr_luma(&render(number, 160, 90), seen, 0).expect("the same size");
    assert!(db > 25.0, "picture {number}: {db} dB");
}

#[test]
fn a_temporal_unit_has_no_delimiter_and_a_key_frame_tells_what_it_is() {
    let units = units(4);
    for (number, unit) in units.iter().enumerate() {
        assert_eq!(av1::is_key(unit), number == 0);
        let kinds: Vec<_> = av1::obus(unit).map(|obu| obu.kind).collect();
        assert!(!kinds.contains(&av1::TEMPORAL_DELIMITER), "{kinds:?}");
    }
    let (_, told) = av1::sequence_of(&units[0]).unwrap();
    assert_eq!((told.profile, told.size), (0, (160, 90)));
    assert!(!told.high_bit_depth && !told.monochrome && !told.still);
}

#[test]
fn what_another_decoder_makes_of_it_is_the_same_to_the_last_bit() {
    let dir = folder();
    let (obus, raw) = (dir.path().join("in.obu"), dir.path().join("out.yuv"));
    let units = units(30);
    let stream: Vec<u8> = units
        .iter()
        .flat_map(|unit| [&[0x12, 0], &unit[..]].concat())
        .collect();
    std::fs::write(&obus, stream).unwrap();
    let words = format!(
        "-v error -c:v libaom-av1 -i {} -f rawvideo -pix_fmt yuv420p {}",
        obus.display(),
        raw.display()
    );
    run(
        "ffmpeg",
        &words.split_ascii_whitespace().collect::<Vec<_>>(),
    );
    let theirs = std::fs::read(&raw).unwrap();
    let mut decoder = Av1Decoder::new().unwrap();
    let ours: Vec<u8> = units
        .iter()
        .map(|unit| decoder.decode(unit).unwrap().expect("a picture"))
        .flat_map(|seen| [seen.y, seen.u, seen.v].concat())
        .collect();
    assert!(ours == theirs, "{} and {} bytes", ours.len(), theirs.len());
}

#[test]
fn a_broken_unit_ends_at_a_key_frame() {
    let units = units(4);
    let mut decoder = Av1Decoder::new().unwrap();
    assert!(decoder.decode(&units[1]).is_err());
    assert!(decoder.decode(&[]).is_err());
    is_like(&decoder.decode(&units[0]).unwrap().unwrap(), 0);
    let cut = &units[1][..units[1].len() / 2];
    assert!(decoder.decode(cut).is_err());
    assert!(
        decoder.decode(&units[2]).is_err(),
        "it refers to the one cut off"
    );
    is_like(&decoder.decode(&units[0]).unwrap().unwrap(), 0);
    is_like(&decoder.decode(&units[1]).unwrap().unwrap(), 1);
}

#[test]
fn a_gigantic_picture_is_refused_before_it_is_allocated() {
    // A sequence header of 65536x65536 and a key frame.
    let mut bits = String::new();
    bits += "000";
    bits += "0";
    bits += "0";
    bits += "00";
    bits += "00000";
    bits += &format!("{:012b}{:05b}", 0, 4);
    bits += &format!("{:04b}{:04b}{:016b}{:016b}", 15, 15, 65_535, 65_535);
    bits += "0000000000000000000000000000000000000000";
    let payload: Vec<u8> = bits
        .as_bytes()
        .chunks_exact(8)
        .map(|byte| byte.iter().fold(0, |all, bit| all << 1 | (bit - b'0')))
        .collect();
    let told = av1::sequence(&payload).unwrap();
    assert_eq!(told.size, (65_536, 65_536));
    let mut unit = vec![0x0a, payload.len() as u8];
    unit.extend(&payload);
    unit.extend([0x32, 40, 0x10]);
    unit.extend([0; 39]);
    assert!(av1::is_key(&unit));
    assert!(Av1Decoder::new().unwrap().decode(&unit).is_err());
}

/// How many damaged units are tried: many more by hand, with `AV1_DAMAGED=100000`.
fn rounds() -> u32 {
    let asked = std::env::var("AV1_DAMAGED").ok();
    asked.and_then(|n| n.parse().ok()).unwrap_or(1_000)
}

#[test]
fn damaged_units_and_random_bytes_never_break_a_decoder() {
    let units = units(12);
    let mut random = StdRng::seed_from_u64(3);
    let mut decoder = Av1Decoder::new().unwrap();
    let mut shown = 0;
    for _ in 0..rounds() {
        let mut data = units[random.random_range(0..units.len())].clone();
        for _ in 0..random.random_range(0..6) {
            let at = random.random_range(0..data.len());
            data[at] = random.random();
        }
        if random.random_ratio(1, 4) {
            let from = random.random_range(0..data.len());
            let other = &units[random.random_range(0..units.len())];
            data.truncate(from);
            data.extend_from_slice(&other[from.min(other.len())..]);
        }
        data.truncate(
            random
                .random_range(1..=data.len().max(1) * 4)
                .min(data.len()),
        );
        shown += usize::from(matches!(decoder.decode(&data), Ok(Some(_))));
        // Past the check that a key frame is needed, whatever came before.
        if random.random_ratio(1, 3) {
            let _ = decoder.decode(&units[0]);
        }
        let mut noise = vec![0u8; random.random_range(0..200)];
        random.fill(&mut noise[..]);
        let _ = decoder.decode(&noise);
    }
    assert!(shown > 0, "some of them are whole");
    let _ = decoder.decode(&units[0]);
    is_like(&decoder.decode(&units[0]).unwrap().unwrap(), 0);
}

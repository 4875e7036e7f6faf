#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::media::capture::test_picture::render;
use crate::media::codec::{EncoderConfig, video_decoder, video_encoder};
use crate::media::frame::VideoCodec;

fn mark(number: u32) -> Mark {
    Mark {
        number,
        at: Timestamp::from_micros(1_790_000_000_123_456 + u64::from(number) * 33_333),
    }
}

#[test]
fn the_layout_is_the_one_that_is_documented() {
    // CRC-32 of the text "12345678912", as other implementations give it.
    assert_eq!(crc(0x3132_3334, 0x0035_3637_3839_3132), 0xd388_8415);
    let mut picture = Picture::black(320, 180, Timestamp::default());
    let mark = Mark {
        number: 0x8000_0001,
        at: Timestamp::from_micros(1),
    };
    stamp(&mut picture, mark);
    assert_eq!(band_height(180), 24);
    let cell = |column: usize, row: usize| picture.y[(row * 8 + 4) * 320 + column * 8 + 4] == WHITE;
    assert!(
        cell(0, 0) && !cell(39, 0) && !cell(0, 2) && cell(39, 2),
        "corners"
    );
    // Cells 1 to 32 hold the number.
    assert!(cell(1, 0) && (2..32).all(|c| !cell(c, 0)) && cell(32, 0));
    // The 52 bits of time end in cell 86, for two corners lie before it; then the checksum.
    assert!(cell(6, 2) && cell(7, 2) == (crc(mark.number, 1) >> 31 == 1));
    let time = &cells(mark)[33..=86];
    assert_eq!(time.iter().filter(|white| **white).count(), 1);
}

#[test]
fn marks_survive_both_codecs_at_a_low_rate() {
    for codec in [VideoCodec::Vp8, VideoCodec::H264] {
        for (width, height, bitrate) in [
            (320, 180, 300_000),
            (640, 360, 400_000),
            (1280, 720, 800_000),
        ] {
            let config = EncoderConfig {
                width,
                height,
                fps: 30,
                bitrate,
            };
            let mut encoder = video_encoder(codec, config).unwrap();
            let mut decoder = video_decoder(codec).unwrap();
            let mut given = 0;
            for number in 0..90 {
                let mut picture = render(number, width, height);
                picture.at = mark(number).at;
                stamp(&mut picture, mark(number));
                let Some(frame) = encoder.encode(&picture, false).unwrap() else {
                    continue;
                };
                let seen = decoder.decode(&frame.data).unwrap().expect("a picture");
                given += 1;
                assert_eq!(
                    read(&seen),
                    Some(mark(number)),
                    "{codec:?} {width}x{height}"
                );
            }
            assert!(given > 60, "{codec:?} {width}x{height} gave {given} of 90");
        }
    }
}

/// Bilinear, as crude as a scaler may be.
fn scaled(picture: &Picture, width: u32, height: u32) -> Picture {
    let mut out = Picture::black(width, height, picture.at);
    let (from_w, from_h) = (picture.width as f32, picture.height as f32);
    for row in 0..height {
        for column in 0..width {
            let x = ((column as f32 + 0.5) * from_w / width as f32 - 0.5).clamp(0.0, from_w - 1.0);
            let y = ((row as f32 + 0.5) * from_h / height as f32 - 0.5).clamp(0.0, from_h - 1.0);
            let luma = |x: f32, y: f32| {
                let (x, y) = (
                    (x as u32).min(picture.width - 1),
                    (y as u32).min(picture.height - 1),
                );
                f32::from(picture.y[(y * picture.width + x) as usize])
            };
            let top = luma(x, y) * (1.0 - x.fract()) + luma(x + 1.0, y) * x.fract();
            let low = luma(x, y + 1.0) * (1.0 - x.fract()) + luma(x + 1.0, y + 1.0) * x.fract();
            out.y[(row * width + column) as usize] =
                (top * (1.0 - y.fract()) + low * y.fract()) as u8;
        }
    }
    out
}

#[test]
fn marks_survive_scaling() {
    for from in [(320, 180), (640, 360), (1280, 720), (640, 480)] {
        let mut picture = render(5, from.0, from.1);
        stamp(&mut picture, mark(5));
        for to in [
            (320, 180),
            (480, 270),
            (640, 360),
            (960, 540),
            (1280, 720),
            (426, 240),
            (212, 120),
        ] {
            assert_eq!(
                read(&scaled(&picture, to.0, to.1)),
                Some(mark(5)),
                "{from:?} to {to:?}"
            );
        }
    }
}

#[test]
fn noise_and_pictures_without_a_mark_are_never_read() {
    let mut random = StdRng::seed_from_u64(4);
    let mut picture = Picture::black(80, 45, Timestamp::default());
    for round in 0..20_000 {
        if round % 2 == 0 {
            random.fill(&mut picture.y[..]);
        } else {
            // Cells that are as clear as can be, with right corners and random bits.
            stamp(&mut picture, mark(round));
            for cell in (0..CELLS).filter(|cell| CORNERS.iter().all(|(corner, _)| corner != cell)) {
                let (columns, rows) = area(cell, 80, 45);
                let luma = if random.random() { WHITE } else { BLACK };
                for row in rows {
                    picture.y[row * 80..][columns.clone()].fill(luma);
                }
            }
        }
        assert_eq!(read(&picture), None, "round {round}");
    }
    for number in 0..50 {
        assert_eq!(read(&render(number, 320, 180)), None);
    }
}

#[test]
fn one_wrong_cell_is_noticed() {
    let mut picture = Picture::black(320, 180, Timestamp::default());
    for cell in 0..CELLS {
        stamp(&mut picture, mark(77));
        let (columns, rows) = area(cell, 320, 180);
        for row in rows {
            for luma in &mut picture.y[row * 320..][columns.clone()] {
                *luma = if *luma == WHITE { BLACK } else { WHITE };
            }
        }
        assert_eq!(read(&picture), None, "cell {cell}");
    }
}

#[test]
fn a_picture_too_small_stays_as_it_is() {
    let mut picture = Picture::black(79, 45, Timestamp::default());
    let before = picture.clone();
    stamp(&mut picture, mark(1));
    assert_eq!(picture, before);
    assert_eq!(read(&picture), None);
}

proptest! {
    #[test]
    fn what_is_stamped_is_read(number: u32, micros in 0u64..1 << 52, width in 80u32..400, height in 45u32..300) {
        let mut picture = Picture::black(width, height, Timestamp::default());
        let mark = Mark { number, at: Timestamp::from_micros(micros) };
        stamp(&mut picture, mark);
        prop_assert_eq!(read(&picture), Some(mark));
    }
}

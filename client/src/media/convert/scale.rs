//! Pictures made larger and smaller.

use crate::media::frame::Picture;

/// Parts of one in a weight.
const ONE: u32 = 1 << 12;

/// Scales to exactly `width` by `height`, at least 1 by 1: linear between pixels, and
/// widened by the ratio when shrinking, so that nothing aliases.
#[must_use]
pub fn scale(picture: &Picture, width: u32, height: u32) -> Picture {
    let (width, height) = (width.max(1), height.max(1));
    if (width, height) == (picture.width, picture.height) {
        return picture.clone();
    }
    let mut out = Picture::black(width, height, picture.at);
    if picture.width == 0 || picture.height == 0 {
        return out;
    }
    let from = (picture.width as usize, picture.height as usize);
    let to = (width as usize, height as usize);
    plane(&picture.y, from, &mut out.y, to);
    let from = (picture.chroma_stride(), picture.chroma_rows());
    let to = (out.chroma_stride(), out.chroma_rows());
    plane(&picture.u, from, &mut out.u, to);
    plane(&picture.v, from, &mut out.v, to);
    out
}

/// The largest even size of the picture's shape inside `width` by `height`; pictures
/// that fit are not made larger.
#[must_use]
pub fn fit(picture: (u32, u32), width: u32, height: u32) -> (u32, u32) {
    let (w, h) = (u64::from(picture.0.max(1)), u64::from(picture.1.max(1)));
    let (width, height) = (u64::from(width).min(w), u64::from(height).min(h));
    let (wide, high) = if width * h <= height * w {
        (width, width * h / w)
    } else {
        (height * w / h, height)
    };
    let even = |side: u64| u32::try_from((side & !1).max(2)).unwrap_or(u32::MAX);
    (even(wide), even(high))
}

/// The source samples that make up one sample of the result, and their shares.
struct Tap {
    start: usize,
    weights: Vec<u32>,
}

fn taps(from: usize, to: usize) -> Vec<Tap> {
    let ratio = from as f64 / to as f64;
    let reach = ratio.max(1.0);
    (0..to)
        .map(|index| {
            let centre = (index as f64 + 0.5) * ratio - 0.5;
            let first = (centre - reach).ceil().max(0.0) as usize;
            let last = ((centre + reach).floor().max(0.0) as usize).min(from - 1);
            let first = first.min(last);
            let shares: Vec<f64> = (first..=last)
                .map(|source| (1.0 - (source as f64 - centre).abs() / reach).max(0.0))
                .collect();
            let sum: f64 = shares.iter().sum();
            let mut weights: Vec<u32> = shares
                .iter()
                .map(|share| (share / sum.max(1e-9) * f64::from(ONE)).round() as u32)
                .collect();
            settle(&mut weights);
            Tap {
                start: first,
                weights,
            }
        })
        .collect()
}

/// Makes rounded weights add up to one, at the cost of the largest.
fn settle(weights: &mut [u32]) {
    let sum: u32 = weights.iter().sum();
    if let Some(largest) = weights.iter_mut().max() {
        *largest = (*largest + ONE).saturating_sub(sum);
    }
}

fn plane(source: &[u8], from: (usize, usize), out: &mut [u8], to: (usize, usize)) {
    if source.len() < from.0 * from.1 {
        return;
    }
    let across = taps(from.0, to.0);
    let mut line = vec![0u32; from.0];
    for (down, row) in taps(from.1, to.1).iter().zip(out.chunks_exact_mut(to.0)) {
        line.fill(ONE / 2);
        for (index, &weight) in down.weights.iter().enumerate() {
            let start = (down.start + index) * from.0;
            for (sum, &sample) in line.iter_mut().zip(&source[start..start + from.0]) {
                *sum += u32::from(sample) * weight;
            }
        }
        for sum in &mut line {
            *sum >>= 12;
        }
        for (sample, tap) in row.iter_mut().zip(&across) {
            let sum: u32 = tap
                .weights
                .iter()
                .zip(&line[tap.start..])
                .map(|(weight, value)| weight * value)
                .sum();
            *sample = ((sum + ONE / 2) >> 12).min(255) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use proptest::prelude::*;

    use super::*;
    use crate::measure::quality::psnr_luma;
    use crate::media::capture::test_picture::render;
    use crate::media::clock::Timestamp;

    fn row(samples: &[u8]) -> Picture {
        let mut picture = Picture::black(samples.len() as u32, 1, Timestamp::from_micros(3));
        picture.y.copy_from_slice(samples);
        picture
    }

    #[test]
    fn known_rows_give_known_rows() {
        // Doubling: three quarters of the nearer, one of the farther.
        assert_eq!(scale(&row(&[0, 100]), 4, 1).y, [0, 25, 75, 100]);
        // Halving: the triangle of reach 2 around the seam, cut off at the border.
        assert_eq!(
            scale(&row(&[80, 80, 80, 80, 160, 160, 160, 160]), 4, 1).y,
            [80, 90, 150, 160]
        );
        assert_eq!(scale(&row(&[7, 9]), 1, 1).y, [8]);
        assert_eq!(scale(&row(&[7, 9]), 1, 1).at, Timestamp::from_micros(3));
    }

    #[test]
    fn down_and_up_again_keeps_what_is_smooth() {
        let picture = render(3, 640, 360);
        let small = scale(&picture, 320, 180);
        assert_eq!((small.y.len(), small.u.len()), (320 * 180, 160 * 90));
        let db = psnr_luma(&picture, &scale(&small, 640, 360), 0).unwrap();
        assert!(db > 25.0, "{db} dB");
    }

    #[test]
    fn the_shape_is_kept_inside_the_frame() {
        assert_eq!(fit((1920, 1080), 640, 640), (640, 360));
        assert_eq!(fit((1080, 1920), 640, 640), (360, 640));
        assert_eq!(fit((320, 240), 640, 640), (320, 240));
        assert_eq!(fit((1, 4000), 100, 100), (2, 100));
        assert_eq!(fit((0, 0), 0, 0), (2, 2));
    }

    proptest! {
        #[test]
        fn a_flat_picture_stays_flat(luma: u8, from in (1u32..40, 1u32..40), to in (1u32..80, 1u32..80)) {
            let mut picture = Picture::black(from.0, from.1, Timestamp::default());
            picture.y.fill(luma);
            picture.u.fill(luma);
            let out = scale(&picture, to.0, to.1);
            prop_assert_eq!(out.y.len(), (to.0 * to.1) as usize);
            prop_assert!(out.y.iter().all(|&y| y == luma));
            prop_assert!(out.u.iter().all(|&u| u == luma));
            prop_assert!(out.v.iter().all(|&v| v == 128));
        }
    }
}

//! How far a decoded picture is from what was encoded.

use crate::media::frame::Picture;

/// What identical pictures are said to have; real ones stay far below.
pub const IDENTICAL_DB: f64 = 100.0;

/// Peak signal-to-noise ratio of luma in dB, leaving out `skip` rows at the top;
/// `None` where the pictures differ in size or nothing is left to compare.
#[must_use]
pub fn psnr_luma(a: &Picture, b: &Picture, skip: u32) -> Option<f64> {
    if (a.width, a.height) != (b.width, b.height) {
        return None;
    }
    let from = a.width as usize * skip as usize;
    let (a, b) = (a.y.get(from..)?, b.y.get(from..)?);
    if a.is_empty() || a.len() != b.len() {
        return None;
    }
    let error = squared_error(a, b) as f64 / a.len() as f64;
    if error == 0.0 {
        return Some(IDENTICAL_DB);
    }
    Some((10.0 * (255.0 * 255.0 / error).log10()).min(IDENTICAL_DB))
}

/// Summed in blocks that fit 32 bits, which compilers turn into vector code.
fn squared_error(a: &[u8], b: &[u8]) -> u64 {
    const BLOCK: usize = 4096;
    a.chunks(BLOCK)
        .zip(b.chunks(BLOCK))
        .map(|(a, b)| {
            let sum: u32 = a
                .iter()
                .zip(b)
                .map(|(&a, &b)| {
                    let d = i32::from(a) - i32::from(b);
                    (d * d) as u32
                })
                .sum();
            u64::from(sum)
        })
        .sum()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::media::clock::Timestamp;

    fn flat(width: u32, height: u32, luma: u8) -> Picture {
        let mut picture = Picture::black(width, height, Timestamp::default());
        picture.y.fill(luma);
        picture
    }

    #[test]
    fn known_errors_give_known_ratios() {
        let close = |got: Option<f64>, want: f64| (got.unwrap() - want).abs() < 1e-9;
        // Off by one everywhere: 20 log10(255).
        assert!(close(
            psnr_luma(&flat(32, 32, 100), &flat(32, 32, 101), 0),
            48.130_803_608_679_11
        ));
        // Off by 255 everywhere: 0 dB.
        assert!(close(
            psnr_luma(&flat(100, 100, 0), &flat(100, 100, 255), 0),
            0.0
        ));
        // Off by 16 in a quarter of the rows: mean square error 64.
        let mut part = flat(64, 64, 50);
        part.y[..64 * 16].fill(66);
        let want = 10.0 * (65_025.0f64 / 64.0).log10();
        assert!(close(psnr_luma(&flat(64, 64, 50), &part, 0), want));
        // And none of it where those rows are left out.
        assert!(close(psnr_luma(&flat(64, 64, 50), &part, 16), IDENTICAL_DB));
    }

    #[test]
    fn what_cannot_be_compared_gives_nothing() {
        assert_eq!(psnr_luma(&flat(8, 8, 1), &flat(8, 9, 1), 0), None);
        assert_eq!(psnr_luma(&flat(8, 8, 1), &flat(8, 8, 1), 8), None);
        assert_eq!(psnr_luma(&flat(8, 8, 1), &flat(8, 8, 1), 9), None);
    }
}

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

/// Structural similarity of luma, at most 1, by the windows that ffmpeg's filter `ssim` and x264 take: 8x8 pixels, each four
/// beyond the one before. Leaves out `skip` rows at the top; `None` where the pictures differ in size or are too small.
#[must_use]
pub fn ssim_luma(a: &Picture, b: &Picture, skip: u32) -> Option<f64> {
    if (a.width, a.height) != (b.width, b.height) {
        return None;
    }
    let width = a.width as usize;
    let from = width * skip as usize;
    let (a, b) = (a.y.get(from..)?, b.y.get(from..)?);
    let (columns, rows) = (width / 4, a.len() / width.max(1) / 4);
    if columns < 2 || rows < 2 || a.len() != b.len() {
        return None;
    }
    let row = |row: usize| -> Vec<Sums> {
        let block = |column: usize| Sums::of_block(a, b, width, column * 4, row * 4);
        (0..columns).map(block).collect()
    };
    let mut above = row(0);
    let mut sum = 0.0;
    for number in 1..rows {
        let below = row(number);
        for (above, below) in above.windows(2).zip(below.windows(2)) {
            let window = above.iter().chain(below).fold(Sums::default(), Sums::plus);
            sum += window.similarity();
        }
        above = below;
    }
    Some(sum / ((columns - 1) * (rows - 1)) as f64)
}

/// What the similarity of two patches is made of.
#[derive(Clone, Copy, Default)]
struct Sums {
    a: i32,
    b: i32,
    squares: i32,
    products: i32,
}

impl Sums {
    fn of_block(a: &[u8], b: &[u8], width: usize, x: usize, y: usize) -> Self {
        let mut sums = Self::default();
        for line in 0..4 {
            let from = (y + line) * width + x;
            for (&a, &b) in a[from..from + 4].iter().zip(&b[from..from + 4]) {
                let (a, b) = (i32::from(a), i32::from(b));
                sums.a += a;
                sums.b += b;
                sums.squares += a * a + b * b;
                sums.products += a * b;
            }
        }
        sums
    }

    fn plus(self, other: &Self) -> Self {
        Self {
            a: self.a + other.a,
            b: self.b + other.b,
            squares: self.squares + other.squares,
            products: self.products + other.products,
        }
    }

    /// Of 64 pixels, with the usual constants (0.01 and 0.03 of the range).
    fn similarity(self) -> f64 {
        const PIXELS: f64 = 64.0;
        let means = (0.01_f64 * 255.0).powi(2) * PIXELS;
        let spread = (0.03_f64 * 255.0).powi(2) * PIXELS * (PIXELS - 1.0);
        let [a, b, squares, products] =
            [self.a, self.b, self.squares, self.products].map(f64::from);
        let variances = squares * PIXELS - a * a - b * b;
        let covariance = products * PIXELS - a * b;
        (2.0 * a * b + means) * (2.0 * covariance + spread)
            / ((a * a + b * b + means) * (variances + spread))
    }
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
    fn likeness_falls_from_one_with_each_difference() {
        let mut pattern = flat(64, 64, 0);
        for (index, luma) in pattern.y.iter_mut().enumerate() {
            *luma = (index * 7 % 251) as u8;
        }
        let mut noisy = pattern.clone();
        for luma in noisy.y.iter_mut().step_by(5) {
            *luma = luma.saturating_add(40);
        }
        let same = ssim_luma(&pattern, &pattern, 0).unwrap();
        let near = ssim_luma(&pattern, &noisy, 0).unwrap();
        let far = ssim_luma(&pattern, &flat(64, 64, 128), 0).unwrap();
        assert!((same - 1.0).abs() < 1e-9, "{same}");
        assert!(near < 0.99 && near > 0.5, "{near}");
        assert!(far < 0.1, "{far}");
        assert_eq!(ssim_luma(&pattern, &flat(32, 64, 0), 0), None);
    }

    #[test]
    fn what_cannot_be_compared_gives_nothing() {
        assert_eq!(psnr_luma(&flat(8, 8, 1), &flat(8, 9, 1), 0), None);
        assert_eq!(psnr_luma(&flat(8, 8, 1), &flat(8, 8, 1), 8), None);
        assert_eq!(psnr_luma(&flat(8, 8, 1), &flat(8, 8, 1), 9), None);
    }
}

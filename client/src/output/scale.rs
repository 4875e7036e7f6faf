//! Scales pictures straight to the RGB pixels of a screen.

use crate::media::frame::Picture;

/// Most samples averaged along one side of a target pixel; more change nothing that an eye sees.
const SAMPLES: usize = 4;

/// A picture's scaling to a target size, worked out once and used for every picture of that size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scaler {
    source: (usize, usize),
    target: (usize, usize),
    /// For each target column, the luma columns to average; all lists are of one length.
    columns: Vec<usize>,
    rows: Vec<usize>,
    column_samples: usize,
    row_samples: usize,
}

impl Scaler {
    /// Makes a scaler that has seen no picture yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Scales to `width` x `height` and hands every pixel, row by row, to `pixel(index, [r, g, b])`.
    ///
    /// A picture whose planes are shorter than its size says is not drawn.
    pub fn scale(
        &mut self,
        picture: &Picture,
        width: usize,
        height: usize,
        mut pixel: impl FnMut(usize, [u8; 3]),
    ) {
        let source = (picture.width as usize, picture.height as usize);
        if !is_whole(picture) || width == 0 || height == 0 {
            return;
        }
        if self.source != source || self.target != (width, height) {
            self.prepare(source, (width, height));
        }
        let stride = source.0;
        let chroma_stride = picture.chroma_stride();
        let samples = (self.column_samples * self.row_samples) as u32;
        for (row, ys) in self.rows.chunks_exact(self.row_samples).enumerate() {
            let chroma_row = ys[ys.len() / 2] / 2 * chroma_stride;
            for (column, xs) in self.columns.chunks_exact(self.column_samples).enumerate() {
                let mut luma = 0;
                for y in ys {
                    let line = &picture.y[y * stride..(y + 1) * stride];
                    for x in xs {
                        luma += u32::from(line[*x]);
                    }
                }
                let chroma = chroma_row + xs[xs.len() / 2] / 2;
                let y = ((luma + samples / 2) / samples) as u8;
                pixel(
                    row * width + column,
                    rgb(y, picture.u[chroma], picture.v[chroma]),
                );
            }
        }
    }

    fn prepare(&mut self, source: (usize, usize), target: (usize, usize)) {
        (self.columns, self.column_samples) = taps(source.0, target.0);
        (self.rows, self.row_samples) = taps(source.1, target.1);
        self.source = source;
        self.target = target;
    }
}

/// For each of `target` pixels the source samples that make it up, and how many each has.
fn taps(source: usize, target: usize) -> (Vec<usize>, usize) {
    let each = (source / target).clamp(1, SAMPLES);
    let mut taps = Vec::with_capacity(target * each);
    for t in 0..target {
        for s in 0..each {
            // The middle of each of `each` equal parts of the pixel's stretch.
            let at = (2 * (t * each + s) + 1) * source / (2 * target * each);
            taps.push(at.min(source - 1));
        }
    }
    (taps, each)
}

fn is_whole(picture: &Picture) -> bool {
    let chroma = picture.chroma_stride() * picture.chroma_rows();
    picture.width > 0
        && picture.height > 0
        && picture.y.len() >= picture.width as usize * picture.height as usize
        && picture.u.len() >= chroma
        && picture.v.len() >= chroma
}

/// Converts one sample, BT.601 limited range (ITU-R BT.601-7 2.5), in 8 bit fixed point.
#[must_use]
pub fn rgb(y: u8, u: u8, v: u8) -> [u8; 3] {
    let c = 298 * (i32::from(y) - 16);
    let d = i32::from(u) - 128;
    let e = i32::from(v) - 128;
    let byte = |value: i32| ((value + 128) >> 8).clamp(0, 255) as u8;
    [
        byte(c + 409 * e),
        byte(c - 100 * d - 208 * e),
        byte(c + 516 * d),
    ]
}

/// The largest size with a picture's shape inside a space, both in pixels; at least 1x1 where there is space.
#[must_use]
pub fn fit_inside(picture: (u32, u32), space: (u32, u32)) -> (u32, u32) {
    let (pw, ph) = (u64::from(picture.0.max(1)), u64::from(picture.1.max(1)));
    let (sw, sh) = (u64::from(space.0), u64::from(space.1));
    let (w, h) = if pw * sh > ph * sw {
        (sw, sw * ph / pw)
    } else {
        (sh * pw / ph, sh)
    };
    let side = |wanted: u64, most: u32| u32::try_from(wanted).unwrap_or(most).max(1).min(most);
    (side(w, space.0), side(h, space.1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::clock::Timestamp;

    fn scaled(picture: &Picture, width: usize, height: usize) -> Vec<[u8; 3]> {
        let mut out = vec![[1; 3]; width * height];
        Scaler::new().scale(picture, width, height, |at, rgb| out[at] = rgb);
        out
    }

    #[test]
    fn the_primaries_of_bt_601_come_out() {
        for (yuv, want) in [
            ([16, 128, 128], [0, 0, 0]),
            ([235, 128, 128], [255, 255, 255]),
            ([81, 90, 240], [255, 0, 0]),
            ([145, 54, 34], [0, 255, 1]),
            ([41, 240, 110], [0, 0, 255]),
        ] {
            let got = rgb(yuv[0], yuv[1], yuv[2]);
            for (g, w) in got.iter().zip(want) {
                assert!(g.abs_diff(w) <= 1, "{yuv:?} gave {got:?}, not {want:?}");
            }
        }
    }

    #[test]
    fn shrinking_averages() {
        let mut picture = Picture::black(4, 2, Timestamp::default());
        picture.y = vec![16, 235, 235, 235, 235, 16, 235, 235];
        let out = scaled(&picture, 2, 1);
        assert_eq!(out, [rgb(126, 128, 128), [255; 3]]);
    }

    #[test]
    fn enlarging_repeats() {
        let mut picture = Picture::black(2, 2, Timestamp::default());
        picture.y = vec![16, 235, 16, 235];
        let white = [255; 3];
        assert_eq!(scaled(&picture, 4, 1), [[0; 3], [0; 3], white, white]);
    }

    #[test]
    fn odd_sizes_and_wild_targets_stay_inside_the_planes() {
        for (w, h) in [(1, 1), (1, 7), (7, 1), (3, 5), (641, 361)] {
            let picture = Picture::black(w, h, Timestamp::default());
            for (tw, th) in [(1, 1), (2, 1), (5, 3), (700, 2), (3, 400)] {
                assert!(scaled(&picture, tw, th).iter().all(|p| *p == [0; 3]));
            }
        }
    }

    #[test]
    fn a_broken_picture_is_not_drawn() {
        let mut picture = Picture::black(8, 8, Timestamp::default());
        picture.u.pop();
        assert_eq!(scaled(&picture, 1, 1), [[1; 3]]);
        let empty = Picture::black(0, 0, Timestamp::default());
        assert_eq!(scaled(&empty, 1, 1), [[1; 3]]);
    }

    #[test]
    fn a_picture_keeps_its_shape() {
        assert_eq!(fit_inside((640, 360), (1920, 1080)), (1920, 1080));
        assert_eq!(fit_inside((640, 360), (100, 100)), (100, 56));
        assert_eq!(fit_inside((360, 640), (100, 100)), (56, 100));
        assert_eq!(fit_inside((10_000, 1), (5, 5)), (5, 1));
        assert_eq!(fit_inside((0, 0), (0, 0)), (0, 0));
    }
}

//! Other colours into those that pictures have inside: BT.601 in limited range.

use crate::media::frame::Picture;

/// What the samples of a picture mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Colours {
    /// How luma and chroma are made of red, green and blue.
    pub matrix: Matrix,
    /// Whether samples go from 0 to 255; else luma goes from 16 to 235 and chroma from 16 to 240.
    pub full_range: bool,
}

/// How luma and chroma are made of red, green and blue (ITU-T H.273, matrix coefficients).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Matrix {
    /// ITU-R BT.601, and what tells nothing: so it is in calls.
    #[default]
    Bt601,
    /// ITU-R BT.709.
    Bt709,
    /// ITU-R BT.2020, without constant luminance.
    Bt2020,
}

impl Colours {
    /// What a header extension says, as browsers send it with key frames
    /// (<http://www.webrtc.org/experiments/rtp-hdrext/color-space>): primaries, transfer and matrix by the numbers of ITU-T
    /// H.273, then the range in the bits 4 and 5 and where chroma sits. `None` where it says nothing of use.
    #[must_use]
    pub fn told(extension: &[u8]) -> Option<Self> {
        const LIMITED: u8 = 1;
        const FULL: u8 = 2;
        let [_, _, matrix, more, ..] = *extension else {
            return None;
        };
        let full_range = match more >> 4 & 3 {
            LIMITED => false,
            FULL => true,
            _ => return None,
        };
        Some(Self {
            matrix: Matrix::numbered(matrix.into()),
            full_range,
        })
    }
}

impl Matrix {
    /// By the number of ITU-T H.273, table 4.
    #[must_use]
    pub const fn numbered(code: u32) -> Self {
        match code {
            1 => Self::Bt709,
            9 | 10 => Self::Bt2020,
            _ => Self::Bt601,
        }
    }

    /// The shares of red and blue in luma.
    const fn shares(self) -> (f64, f64) {
        match self {
            Self::Bt601 => (0.299, 0.114),
            Self::Bt709 => (0.2126, 0.0722),
            Self::Bt2020 => (0.2627, 0.0593),
        }
    }
}

/// Bits behind the point.
const POINT: u32 = 14;

/// Grey stays grey, so chroma does not depend on luma.
struct Factors {
    black: i32,
    luma: i32,
    luma_of: [i32; 2],
    u_of: [i32; 2],
    v_of: [i32; 2],
}

impl Factors {
    fn new(colours: Colours) -> Self {
        let (red, blue) = colours.matrix.shares();
        let green = 1.0 - red - blue;
        let (to_red, to_blue) = Matrix::Bt601.shares();
        // What becomes of one unit of each, in units from 0 to 1.
        let through = |y: f64, u: f64, v: f64| {
            let r = y + 2.0 * (1.0 - red) * v;
            let b = y + 2.0 * (1.0 - blue) * u;
            let g = (y - red * r - blue * b) / green;
            let luma = to_red * r + (1.0 - to_red - to_blue) * g + to_blue * b;
            let u = (b - luma) / (2.0 * (1.0 - to_blue));
            let v = (r - luma) / (2.0 * (1.0 - to_red));
            [luma * 219.0, u * 224.0, v * 224.0]
        };
        let (luma, chroma) = if colours.full_range {
            (255.0, 255.0)
        } else {
            (219.0, 224.0)
        };
        let fixed = |value: f64| (value * f64::from(1_u32 << POINT)).round() as i32;
        let of_y = through(1.0 / luma, 0.0, 0.0);
        let of_u = through(0.0, 1.0 / chroma, 0.0).map(fixed);
        let of_v = through(0.0, 0.0, 1.0 / chroma).map(fixed);
        Self {
            black: if colours.full_range { 0 } else { 16 },
            luma: fixed(of_y[0]),
            luma_of: [of_u[0], of_v[0]],
            u_of: [of_u[1], of_v[1]],
            v_of: [of_u[2], of_v[2]],
        }
    }
}

fn rounded(value: i32, zero: i32) -> u8 {
    let value = zero + ((value + (1 << (POINT - 1))) >> POINT);
    value.clamp(0, 255) as u8
}

/// Makes the colours of a picture those that all pictures have inside.
pub fn to_ours(picture: &mut Picture, colours: Colours) {
    if colours == Colours::default() {
        return;
    }
    let factors = Factors::new(colours);
    let (width, chroma) = (picture.width as usize, picture.chroma_stride());
    let rows = picture.y.chunks_mut(width.max(1)).enumerate();
    for (row, luma) in rows {
        let from = row / 2 * chroma;
        for (column, y) in luma.iter_mut().enumerate() {
            let at = from + column / 2;
            let (Some(u), Some(v)) = (picture.u.get(at), picture.v.get(at)) else {
                return;
            };
            let [u, v] = [*u, *v].map(|sample| i32::from(sample) - 128);
            let own = (i32::from(*y) - factors.black) * factors.luma;
            *y = rounded(own + u * factors.luma_of[0] + v * factors.luma_of[1], 16);
        }
    }
    for (u, v) in picture.u.iter_mut().zip(&mut picture.v) {
        let [old_u, old_v] = [*u, *v].map(|sample| i32::from(sample) - 128);
        let of = |factors: [i32; 2]| rounded(old_u * factors[0] + old_v * factors[1], 128);
        (*u, *v) = (of(factors.u_of), of(factors.v_of));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::media::clock::Timestamp;

    fn flat([y, u, v]: [u8; 3]) -> Picture {
        let mut picture = Picture::black(5, 3, Timestamp::default());
        picture.y.fill(y);
        picture.u.fill(u);
        picture.v.fill(v);
        picture
    }

    fn ours(sample: [u8; 3], matrix: Matrix, full_range: bool) -> [u8; 3] {
        let mut picture = flat(sample);
        to_ours(&mut picture, Colours { matrix, full_range });
        for plane in [&picture.y, &picture.u, &picture.v] {
            assert!(plane.iter().all(|s| *s == plane[0]));
        }
        [picture.y[0], picture.u[0], picture.v[0]]
    }

    fn near(a: [u8; 3], b: [u8; 3]) -> bool {
        a.iter().zip(b).all(|(a, b)| a.abs_diff(b) <= 1)
    }

    #[test]
    fn red_green_and_blue_of_other_standards_are_those_of_bt601() {
        let red = [81, 90, 240];
        let green = [145, 54, 34];
        let blue = [41, 240, 110];
        for (other, matrix, full, is) in [
            // The primaries as the standards have them.
            ([63, 102, 240], Matrix::Bt709, false, red),
            ([173, 42, 26], Matrix::Bt709, false, green),
            ([32, 240, 118], Matrix::Bt709, false, blue),
            ([76, 85, 255], Matrix::Bt601, true, red),
            ([150, 44, 21], Matrix::Bt601, true, green),
            ([29, 255, 107], Matrix::Bt601, true, blue),
            ([54, 99, 255], Matrix::Bt709, true, red),
            ([74, 97, 240], Matrix::Bt2020, false, red),
        ] {
            let made = ours(other, matrix, full);
            assert!(near(made, is), "{other:?} {matrix:?} {full}: {made:?}");
        }
    }

    #[test]
    fn what_a_header_extension_tells_is_read() {
        let is = |matrix, full_range| Some(Colours { matrix, full_range });
        // As libwebrtc writes them: chroma is not sited.
        assert_eq!(Colours::told(&[1, 1, 1, 0x20]), is(Matrix::Bt709, true));
        assert_eq!(Colours::told(&[6, 6, 6, 0x15]), is(Matrix::Bt601, false));
        let with_more = [9, 16, 9, 0x10, 0, 0, 0, 0];
        assert_eq!(Colours::told(&with_more), is(Matrix::Bt2020, false));
        assert_eq!(Colours::told(&[1, 1, 1, 0x30]), None, "derived from what?");
        assert_eq!(Colours::told(&[1, 1, 1]), None);
    }

    #[test]
    fn numbers_of_the_standard_are_known_and_the_rest_is_bt601() {
        let known = [1, 9, 6, 5, 2, 0, 255].map(Matrix::numbered);
        use Matrix::{Bt601, Bt709, Bt2020};
        assert_eq!(known, [Bt709, Bt2020, Bt601, Bt601, Bt601, Bt601, Bt601]);
    }

    proptest! {
        #[test]
        fn grey_stays_grey_and_our_own_colours_stay(y in 16_u8..=235, u: u8, v: u8) {
            prop_assert_eq!(ours([y, 128, 128], Matrix::Bt709, false), [y, 128, 128]);
            prop_assert_eq!(ours([y, u, v], Matrix::Bt601, false), [y, u, v]);
        }

        #[test]
        fn any_samples_are_taken(y: u8, u: u8, v: u8, full: bool) {
            for matrix in [Matrix::Bt601, Matrix::Bt709, Matrix::Bt2020] {
                let _ = ours([y, u, v], matrix, full);
            }
        }
    }
}

//! Pictures turned upright.

use crate::media::frame::Picture;

/// How far a picture is to be turned clockwise to stand upright.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rotation {
    /// It stands upright.
    #[default]
    None,
    /// 90 degrees.
    Quarter,
    /// 180 degrees.
    Half,
    /// 270 degrees.
    ThreeQuarters,
}

impl Rotation {
    /// The turn by so many degrees clockwise.
    #[must_use]
    pub const fn degrees(degrees: u32) -> Option<Self> {
        match degrees {
            0 => Some(Self::None),
            90 => Some(Self::Quarter),
            180 => Some(Self::Half),
            270 => Some(Self::ThreeQuarters),
            _ => None,
        }
    }

    /// What the byte of a header extension says (RFC 7742, section 5; 3GPP TS 26.114, section 7.4.5). Which camera it is
    /// and whether that mirrors is not looked at, as in browsers.
    #[must_use]
    pub const fn told(byte: u8) -> Self {
        match byte & 3 {
            1 => Self::Quarter,
            2 => Self::Half,
            3 => Self::ThreeQuarters,
            _ => Self::None,
        }
    }
}

/// Turns a picture.
#[must_use]
pub fn rotate(picture: Picture, rotation: Rotation) -> Picture {
    if rotation == Rotation::None {
        return picture;
    }
    let (width, height) = match rotation {
        Rotation::Quarter | Rotation::ThreeQuarters => (picture.height, picture.width),
        Rotation::None | Rotation::Half => (picture.width, picture.height),
    };
    let luma = (picture.width as usize, picture.height as usize);
    let chroma = (picture.chroma_stride(), picture.chroma_rows());
    Picture {
        width,
        height,
        y: plane(&picture.y, luma, rotation),
        u: plane(&picture.u, chroma, rotation),
        v: plane(&picture.v, chroma, rotation),
        at: picture.at,
    }
}

fn plane(from: &[u8], (columns, rows): (usize, usize), rotation: Rotation) -> Vec<u8> {
    // A plane that lacks rows is left as it is: whoever looks at it says so.
    let Some(from) = from.get(..columns * rows) else {
        return from.to_vec();
    };
    let column = |x: usize| from.iter().skip(x).step_by(columns.max(1)).copied();
    match rotation {
        Rotation::None => from.to_vec(),
        Rotation::Half => from.iter().rev().copied().collect(),
        // Each row of the result is a column, from below.
        Rotation::Quarter => (0..columns).flat_map(|x| column(x).rev()).collect(),
        Rotation::ThreeQuarters => (0..columns).rev().flat_map(column).collect(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::media::clock::Timestamp;

    /// 3 by 2: luma 1 2 3 / 4 5 6.
    fn picture() -> Picture {
        Picture {
            width: 3,
            height: 2,
            y: vec![1, 2, 3, 4, 5, 6],
            u: vec![10, 11],
            v: vec![20, 21],
            at: Timestamp::from_micros(7),
        }
    }

    #[test]
    fn a_quarter_turns_clockwise() {
        let turned = rotate(picture(), Rotation::Quarter);
        assert_eq!((turned.width, turned.height), (2, 3));
        assert_eq!(turned.y, [4, 1, 5, 2, 6, 3]);
        assert_eq!((turned.u, turned.v), (vec![10, 11], vec![20, 21]));
        let back = rotate(picture(), Rotation::ThreeQuarters);
        assert_eq!(back.y, [3, 6, 2, 5, 1, 4]);
        assert_eq!((back.u, back.v), (vec![11, 10], vec![21, 20]));
        assert_eq!(rotate(picture(), Rotation::Half).y, [6, 5, 4, 3, 2, 1]);
    }

    #[test]
    fn the_two_lowest_bits_tell_the_turn() {
        let told = [0x00, 0x01, 0x0e, 0xff].map(Rotation::told);
        let turns = [0, 90, 180, 270].map(|d| Rotation::degrees(d).unwrap_or_default());
        assert_eq!(told, turns);
        assert_eq!(Rotation::degrees(45), None);
    }

    proptest! {
        #[test]
        fn four_quarters_are_a_whole(width in 1_u32..20, height in 1_u32..20, seed: u8) {
            let mut whole = Picture::black(width, height, Timestamp::default());
            for (at, sample) in whole.y.iter_mut().chain(&mut whole.u).chain(&mut whole.v).enumerate() {
                *sample = (at as u8).wrapping_mul(31).wrapping_add(seed);
            }
            let quarter = |picture| rotate(picture, Rotation::Quarter);
            let half = quarter(quarter(whole.clone()));
            prop_assert_eq!(&half, &rotate(whole.clone(), Rotation::Half));
            prop_assert_eq!(&quarter(half.clone()), &rotate(whole.clone(), Rotation::ThreeQuarters));
            prop_assert_eq!(quarter(quarter(half)), whole);
        }
    }
}

//! Numbers and times written into a picture, so that whoever receives it knows which
//! picture it is and how old.
//!
//! # Layout
//!
//! A band over the whole width at the top, [`BAND_ROWS`] rows of [`COLUMNS`] cells. The
//! band is 2/15 of the picture's height; cell (`column`, `row`) covers the pixels
//! `column * width / 40 .. (column + 1) * width / 40` by
//! `row * 2 * height / 45 .. (row + 1) * 2 * height / 45`, integer division. A cell is
//! black (luma 16) for 0 and white (luma 235) for 1; chroma is neutral in the band.
//!
//! Cells are counted row by row from the top left, 0 to 119:
//!
//! | cells | content |
//! | --- | --- |
//! | 0, 39, 80, 119 (the corners) | white, black, black, white |
//! | the other 116, in order | 32 bits picture number, 52 bits capture time, 32 bits checksum |
//!
//! Every field has its highest bit first. The time is microseconds since the Unix
//! epoch, enough until the year 2112. The checksum is CRC-32 (IEEE 802.3, reflected,
//! start and final xor `0xffffffff`) over 11 bytes: the number as 4 bytes big endian,
//! then the time as 7 bytes big endian.
//!
//! # Reading
//!
//! A cell's value is the mean of its middle half in both directions, or the whole cell
//! where it is below 4 pixels. Black is the mean of the two black corners, white of
//! the white ones. A reading is refused if white is not at least 64 above black, if a
//! cell lies in the middle fifth between the two, or if the checksum is wrong.

use crate::media::clock::Timestamp;
use crate::media::frame::Picture;

/// Cells in a row.
pub const COLUMNS: usize = 40;
/// Rows of cells.
pub const BAND_ROWS: usize = 3;
/// The smallest picture that can hold a mark, columns and rows.
pub const SMALLEST: (u32, u32) = (80, 45);

const BLACK: u8 = 16;
const WHITE: u8 = 235;
const CELLS: usize = COLUMNS * BAND_ROWS;
const TIME_BITS: u32 = 52;
const CORNERS: [(usize, bool); 4] = [
    (0, true),
    (COLUMNS - 1, false),
    (CELLS - COLUMNS, false),
    (CELLS - 1, true),
];

/// What a mark tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Which picture.
    pub number: u32,
    /// When it was taken.
    pub at: Timestamp,
}

/// How many rows of luma a mark covers, from the top.
#[must_use]
pub const fn band_height(height: u32) -> u32 {
    (BAND_ROWS as u32) * 2 * height / 45
}

/// Writes a mark over the top of the picture; one below [`SMALLEST`] stays as it is.
pub fn stamp(picture: &mut Picture, mark: Mark) {
    if !fits(picture) {
        return;
    }
    let width = picture.width as usize;
    for (cell, white) in cells(mark).into_iter().enumerate() {
        let (columns, rows) = area(cell, picture.width, picture.height);
        for row in rows {
            picture.y[row * width..][columns.clone()].fill(if white { WHITE } else { BLACK });
        }
    }
    let stride = picture.chroma_stride();
    let chroma = (band_height(picture.height) as usize).div_ceil(2) * stride;
    picture.u[..chroma].fill(128);
    picture.v[..chroma].fill(128);
}

/// Reads a mark; `None` where there is none, or it is not beyond doubt.
#[must_use]
pub fn read(picture: &Picture) -> Option<Mark> {
    if !fits(picture) {
        return None;
    }
    let values: Vec<u32> = (0..CELLS).map(|cell| value(picture, cell)).collect();
    let corner = |white| -> u32 {
        let known = CORNERS.iter().filter(|(_, is)| *is == white);
        known.map(|(cell, _)| values[*cell]).sum::<u32>() / 2
    };
    let (black, white) = (corner(false), corner(true));
    let span = white.checked_sub(black).filter(|span| *span >= 64 * FINE)?;
    let mut bits = 0u128;
    for (cell, &value) in values.iter().enumerate() {
        let above = value.saturating_sub(black).min(span);
        let bit = above * 2 > span;
        if above * 5 > span * 2 && above * 5 < span * 3 {
            return None;
        }
        match CORNERS.iter().find(|(corner, _)| *corner == cell) {
            Some((_, white)) if *white != bit => return None,
            Some(_) => {}
            None => bits = bits << 1 | u128::from(bit),
        }
    }
    let checksum = bits as u32;
    let time = (bits >> 32) as u64 & ((1 << TIME_BITS) - 1);
    let number = (bits >> (32 + TIME_BITS)) as u32;
    (crc(number, time) == checksum).then(|| Mark {
        number,
        at: Timestamp::from_micros(time),
    })
}

fn fits(picture: &Picture) -> bool {
    let chroma = picture.chroma_stride() * picture.chroma_rows();
    picture.width >= SMALLEST.0
        && picture.height >= SMALLEST.1
        && picture.y.len() >= picture.width as usize * picture.height as usize
        && picture.u.len() >= chroma
        && picture.v.len() >= chroma
}

fn cells(mark: Mark) -> [bool; CELLS] {
    let time = mark.at.as_micros() & ((1 << TIME_BITS) - 1);
    let bits = u128::from(mark.number) << (32 + TIME_BITS)
        | u128::from(time) << 32
        | u128::from(crc(mark.number, time));
    let mut left = CELLS - CORNERS.len();
    std::array::from_fn(
        |cell| match CORNERS.iter().find(|(corner, _)| *corner == cell) {
            Some((_, white)) => *white,
            None => {
                left -= 1;
                bits >> left & 1 == 1
            }
        },
    )
}

type Span = std::ops::Range<usize>;

fn area(cell: usize, width: u32, height: u32) -> (Span, Span) {
    let (column, row) = (cell % COLUMNS, cell / COLUMNS);
    let (width, height) = (width as usize, height as usize);
    (
        column * width / COLUMNS..(column + 1) * width / COLUMNS,
        row * 2 * height / 45..(row + 1) * 2 * height / 45,
    )
}

/// Parts of one luma step that a cell's mean is kept in.
const FINE: u32 = 16;

fn value(picture: &Picture, cell: usize) -> u32 {
    let (columns, rows) = area(cell, picture.width, picture.height);
    let (columns, rows) = (middle(columns), middle(rows));
    let count = (columns.len() * rows.len()) as u32;
    let width = picture.width as usize;
    let sum: u32 = rows
        .flat_map(|row| &picture.y[row * width..][columns.clone()])
        .map(|&luma| u32::from(luma))
        .sum();
    sum * FINE / count.max(1)
}

/// The middle half, where filters and neighbours reach least.
fn middle(span: Span) -> Span {
    let quarter = if span.len() < 4 { 0 } else { span.len() / 4 };
    span.start + quarter..span.end - quarter
}

fn crc(number: u32, time: u64) -> u32 {
    let bytes = number
        .to_be_bytes()
        .into_iter()
        .chain(time.to_be_bytes().into_iter().skip(1));
    !bytes.fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            crc >> 1 ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    })
}

#[cfg(test)]
mod tests;

//! Words in pixels.

use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster, get_raster_width};

/// Rows of a line of text.
pub(super) const LINE: usize = 16;

const WEIGHT: FontWeight = FontWeight::Regular;
const HEIGHT: RasterHeight = RasterHeight::Size16;

/// Columns of one letter; all are equally wide.
pub(super) const fn letter_width() -> usize {
    get_raster_width(WEIGHT, HEIGHT)
}

/// How many letters there is room for.
pub(super) const fn letters_in(width: usize) -> usize {
    width / letter_width()
}

/// Writes in white over whatever is there; what lies outside is left out. `pixels` are rows of `stride`.
pub(super) fn write(text: &str, x: usize, y: usize, pixels: &mut [u32], stride: usize) {
    for (place, letter) in text.chars().enumerate() {
        // The font has Latin letters; a sign that it does not have is there all the same.
        let letter = if letter == '…' { '.' } else { letter };
        let raster = get_raster(letter, WEIGHT, HEIGHT).or_else(|| get_raster('?', WEIGHT, HEIGHT));
        let Some(raster) = raster else { continue };
        let left = x + place * letter_width();
        for (row, line) in raster.rows().enumerate() {
            for (column, light) in line.iter().enumerate() {
                let at = left + column;
                if *light == 0 || at >= stride {
                    continue;
                }
                if let Some(pixel) = pixels.get_mut((y + row) * stride + at) {
                    *pixel = lighten(*pixel, *light);
                }
            }
        }
    }
}

/// A pixel on the way to white.
fn lighten(pixel: u32, light: u8) -> u32 {
    let [_, red, green, blue] = pixel.to_be_bytes();
    let channel = |value: u8| {
        let way = u32::from(255 - value) * u32::from(light) / 255;
        value.saturating_add(u8::try_from(way).unwrap_or(u8::MAX))
    };
    u32::from_be_bytes([0, channel(red), channel(green), channel(blue)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lit(text: &str) -> usize {
        let mut pixels = vec![0; 64 * LINE];
        write(text, 0, 0, &mut pixels, 64);
        pixels.iter().filter(|pixel| **pixel > 0x0080_8080).count()
    }

    #[test]
    fn letters_are_seen_and_spaces_are_not() {
        assert_eq!(lit("   "), 0);
        assert!(lit("Zoë") > 20);
        assert_eq!(lit("李"), lit("?"));
    }

    #[test]
    fn what_has_no_room_is_left_out() {
        for (x, y) in [(0, 0), (60, 0), (1_000, 3), (0, 1_000), (usize::MAX / 2, 0)] {
            let mut pixels = vec![0; 64 * 8];
            write("a long word", x, y, &mut pixels, 64);
        }
    }
}

//! Pictures as half-block characters: two pixels a cell, in any terminal with colour.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Color;

use crate::media::frame::Picture;
use crate::output::scale::{Scaler, fit_inside};

/// The foreground colour is the upper pixel, the background the lower one.
const UPPER_HALF: &str = "▀";

/// How many colours a terminal has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colours {
    /// 24 bits.
    True,
    /// The 256 of xterm: a cube of six steps a side and 24 greys.
    Indexed,
}

impl Colours {
    /// Finds out from what the terminal says of itself in the environment.
    #[must_use]
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Self {
        let colorterm = variable("COLORTERM").unwrap_or_default();
        let term = variable("TERM").unwrap_or_default();
        if matches!(colorterm.as_str(), "truecolor" | "24bit") || term.ends_with("-direct") {
            Self::True
        } else {
            Self::Indexed
        }
    }

    /// The nearest colour it has; low bits, which flicker with a codec's noise and cost redrawing, are dropped.
    #[must_use]
    pub fn nearest(self, [r, g, b]: [u8; 3]) -> Color {
        let steady = |value: u8| (value & 0xf8) | (value >> 5);
        match self {
            Self::True => Color::Rgb(steady(r), steady(g), steady(b)),
            Self::Indexed => Color::Indexed(indexed([r, g, b])),
        }
    }
}

/// The nearest of xterm's 256 colours: 16 to 231 are a cube, 232 to 255 greys.
fn indexed(rgb: [u8; 3]) -> u8 {
    const STEPS: [u8; 6] = [0, 95, 135, 175, 215, 255];
    let step = |value: u8| match value {
        0..48 => 0_u8,
        48..115 => 1,
        _ => (value - 35) / 40,
    };
    let distance = |to: [u8; 3]| -> u32 {
        rgb.iter()
            .zip(to)
            .map(|(a, b)| u32::from(a.abs_diff(b)).pow(2))
            .sum()
    };
    let [r, g, b] = rgb.map(step);
    let cube = [r, g, b].map(|s| STEPS[usize::from(s)]);
    let mean = (u16::from(rgb[0]) + u16::from(rgb[1]) + u16::from(rgb[2])) / 3;
    let grey_step = u8::try_from((mean.saturating_sub(3) / 10).min(23)).unwrap_or(23);
    let grey = 8 + 10 * grey_step;
    if distance([grey; 3]) < distance(cube) {
        232 + grey_step
    } else {
        16 + 36 * r + 6 * g + b
    }
}

/// Draws pictures of one tile after the other; keeps what scaling needs between them.
#[derive(Debug, Default)]
pub struct Blocks {
    scaler: Scaler,
    upper: Vec<[u8; 3]>,
}

impl Blocks {
    /// Draws a picture in the middle of an area, keeping its shape (a cell is two square pixels).
    pub fn draw(&mut self, picture: &Picture, area: Rect, colours: Colours, buffer: &mut Buffer) {
        let area = area.intersection(buffer.area);
        if area.is_empty() {
            return;
        }
        let space = (u32::from(area.width), u32::from(area.height) * 2);
        let (width, height) = fit_inside((picture.width, picture.height), space);
        let rows = u16::try_from(height.div_ceil(2)).unwrap_or(area.height);
        let columns = u16::try_from(width).unwrap_or(area.width);
        let left = area.x + (area.width - columns) / 2;
        let top = area.y + (area.height - rows) / 2;
        let width = usize::from(columns);
        let height = usize::from(rows) * 2;
        self.upper.resize(width, [0; 3]);
        let upper = &mut self.upper;
        self.scaler.scale(picture, width, height, |at, rgb| {
            let (row, column) = (at / width, at % width);
            if row % 2 == 0 {
                upper[column] = rgb;
                return;
            }
            let x = left.saturating_add(u16::try_from(column).unwrap_or(u16::MAX));
            let y = top.saturating_add(u16::try_from(row / 2).unwrap_or(u16::MAX));
            if let Some(cell) = buffer.cell_mut((x, y)) {
                let (fg, bg) = (colours.nearest(upper[column]), colours.nearest(rgb));
                // One colour needs no glyph: fewer bytes.
                cell.set_symbol(if fg == bg { " " } else { UPPER_HALF });
                cell.fg = fg;
                cell.bg = bg;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::clock::Timestamp;

    #[test]
    fn a_cell_is_two_pixels() {
        let mut picture = Picture::black(2, 2, Timestamp::default());
        picture.y = vec![235, 16, 16, 16];
        let mut buffer = Buffer::empty(Rect::new(0, 0, 2, 1));
        Blocks::default().draw(&picture, buffer.area, Colours::True, &mut buffer);
        let left = &buffer[(0, 0)];
        assert_eq!(
            (left.symbol(), left.fg, left.bg),
            ("▀", Color::Rgb(255, 255, 255), Color::Rgb(0, 0, 0))
        );
        let right = &buffer[(1, 0)];
        assert_eq!((right.symbol(), right.bg), (" ", Color::Rgb(0, 0, 0)));
    }

    #[test]
    fn a_wide_picture_lies_in_the_middle() {
        let mut picture = Picture::black(16, 8, Timestamp::default());
        picture.y.fill(235);
        let mut buffer = Buffer::empty(Rect::new(0, 0, 8, 6));
        Blocks::default().draw(&picture, buffer.area, Colours::True, &mut buffer);
        let lit: Vec<bool> = (0..6).map(|y| buffer[(0, y)].bg != Color::Reset).collect();
        assert_eq!(lit, [false, false, true, true, false, false]);
    }

    #[test]
    fn any_area_is_survived() {
        let picture = Picture::black(640, 360, Timestamp::default());
        let mut buffer = Buffer::empty(Rect::new(0, 0, 3, 2));
        for (w, h) in [(0, 0), (1, 0), (1, 1), (2, 2), (500, 500)] {
            Blocks::default().draw(
                &picture,
                Rect::new(1, 1, w, h),
                Colours::Indexed,
                &mut buffer,
            );
        }
    }

    #[test]
    fn greys_and_cube_corners_have_their_xterm_numbers() {
        for (rgb, index) in [
            ([0, 0, 0], 16),
            ([255, 255, 255], 231),
            ([255, 0, 0], 196),
            ([0, 255, 0], 46),
            ([128, 128, 128], 244),
            ([8, 8, 8], 232),
            ([95, 135, 175], 67),
        ] {
            assert_eq!(indexed(rgb), index, "{rgb:?}");
        }
    }

    #[test]
    fn colours_follow_the_environment() {
        let of = |colorterm: &'static str, term: &'static str| {
            Colours::from_environment(move |key| {
                Some(if key == "TERM" { term } else { colorterm }.to_owned())
            })
        };
        assert_eq!(of("truecolor", "screen"), Colours::True);
        assert_eq!(of("", "xterm-direct"), Colours::True);
        assert_eq!(of("", "xterm-256color"), Colours::Indexed);
    }
}

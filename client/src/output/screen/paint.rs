//! Puts pictures into cells, by the best means the terminal has.

use std::collections::HashMap;
use std::sync::Arc;

use image::{DynamicImage, RgbaImage};
use ratatui::buffer::Buffer;
use ratatui::layout::{Rect, Size};
use ratatui::widgets::Widget;
use ratatui_image::Image;
use ratatui_image::protocol::Protocol;
use ratatui_image::protocol::kitty::Kitty;
use ratatui_image::protocol::sixel::Sixel;

use super::blocks::{Blocks, Colours};
use crate::media::frame::Picture;
use crate::output::scale::{Scaler, fit_inside};

/// How pictures get onto the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    /// Half-block characters.
    Blocks,
    /// Sixel graphics.
    Sixel(Pixels),
    /// The kitty graphics protocol, with Unicode placeholders.
    Kitty(Pixels),
}

/// What drawing real pixels needs to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pixels {
    /// Pixel columns and rows of a cell.
    pub cell: (u16, u16),
    /// Whether to wrap for tmux to pass it through.
    pub tmux: bool,
}

/// Draws the pictures of all tiles and keeps what the next frame can use again.
#[derive(Debug)]
pub struct Painter {
    means: Means,
    colours: Colours,
    tiles: HashMap<String, Tile>,
    /// Kitty's image ids; one a tile, so that a new picture replaces the old one in the terminal's memory.
    next_id: u32,
    /// Pixels were drawn at another place than before.
    moved: bool,
}

#[derive(Default)]
struct Tile {
    blocks: Blocks,
    encoded: Option<Encoded>,
    id: u32,
    used: bool,
}

impl std::fmt::Debug for Tile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tile")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

struct Encoded {
    picture: Arc<Picture>,
    area: Rect,
    /// Where inside the area it is drawn.
    place: Rect,
    protocol: Protocol,
}

impl Painter {
    /// Makes a painter for a terminal.
    #[must_use]
    pub fn new(means: Means, colours: Colours) -> Self {
        Self {
            means,
            colours,
            tiles: HashMap::new(),
            next_id: std::process::id() << 8,
            moved: false,
        }
    }

    /// Whether one picture may lie on another: only characters can.
    #[must_use]
    pub fn may_overlap(&self) -> bool {
        self.means == Means::Blocks
    }

    /// Draws a picture in the middle of an area.
    pub fn picture(&mut self, key: &str, picture: &Arc<Picture>, area: Rect, buffer: &mut Buffer) {
        if area.is_empty() {
            return;
        }
        if !self.tiles.contains_key(key) {
            self.next_id = self.next_id.wrapping_add(1);
            let tile = Tile {
                id: self.next_id,
                ..Tile::default()
            };
            self.tiles.insert(key.to_owned(), tile);
        }
        let Some(tile) = self.tiles.get_mut(key) else {
            return;
        };
        tile.used = true;
        match self.means {
            Means::Blocks => tile.blocks.draw(picture, area, self.colours, buffer),
            Means::Sixel(pixels) | Means::Kitty(pixels) => {
                self.moved |= tile.encoded.as_ref().is_some_and(|e| e.area != area);
                let kitty = matches!(self.means, Means::Kitty(_));
                if !tile.draw_pixels(picture, area, pixels, kitty, buffer) {
                    tile.blocks.draw(picture, area, self.colours, buffer);
                }
            }
        }
    }

    /// Forgets the tiles not drawn since the last call; gives whether pixels of one that went or moved must be wiped.
    pub fn sweep(&mut self) -> bool {
        let before = self.tiles.len();
        self.tiles.retain(|_, tile| std::mem::take(&mut tile.used));
        let gone = self.tiles.len() != before;
        std::mem::take(&mut self.moved) || (gone && self.means != Means::Blocks)
    }
}

impl Tile {
    fn draw_pixels(
        &mut self,
        picture: &Arc<Picture>,
        area: Rect,
        pixels: Pixels,
        kitty: bool,
        buffer: &mut Buffer,
    ) -> bool {
        let fresh = self
            .encoded
            .as_ref()
            .is_some_and(|e| Arc::ptr_eq(&e.picture, picture) && e.area == area);
        if !fresh {
            self.encoded = encode(picture, area, pixels, kitty.then_some(self.id));
        }
        let Some(encoded) = &self.encoded else {
            return false;
        };
        Image::new(&encoded.protocol).render(encoded.place, buffer);
        true
    }
}

fn encode(
    picture: &Arc<Picture>,
    area: Rect,
    pixels: Pixels,
    kitty: Option<u32>,
) -> Option<Encoded> {
    let (cell_width, cell_height) = (u32::from(pixels.cell.0), u32::from(pixels.cell.1));
    let space = (
        u32::from(area.width) * cell_width,
        u32::from(area.height) * cell_height,
    );
    let (width, height) = fit_inside((picture.width, picture.height), space);
    let mut image = RgbaImage::new(width, height);
    let (columns, rows) = (usize::try_from(width).ok()?, usize::try_from(height).ok()?);
    let samples = image.as_flat_samples_mut().samples;
    Scaler::new().scale(picture, columns, rows, |at, [r, g, b]| {
        samples[at * 4..at * 4 + 4].copy_from_slice(&[r, g, b, 255]);
    });
    let size = Size {
        width: u16::try_from(width.div_ceil(cell_width))
            .ok()?
            .min(area.width),
        height: u16::try_from(height.div_ceil(cell_height))
            .ok()?
            .min(area.height),
    };
    let image = DynamicImage::ImageRgba8(image);
    let protocol = match kitty {
        Some(id) => Protocol::Kitty(Kitty::new(image, size, id, pixels.tmux, false).ok()?),
        None => Protocol::Sixel(Sixel::new(image, size, pixels.tmux).ok()?),
    };
    Some(Encoded {
        picture: Arc::clone(picture),
        area,
        place: Rect {
            x: area.x + (area.width - size.width) / 2,
            y: area.y + (area.height - size.height) / 2,
            width: size.width,
            height: size.height,
        },
        protocol,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::media::clock::Timestamp;

    const PIXELS: Pixels = Pixels {
        cell: (10, 20),
        tmux: false,
    };

    fn drawn(means: Means, pictures: usize) -> Vec<Buffer> {
        let mut painter = Painter::new(means, Colours::True);
        (0..pictures)
            .map(|_| {
                let mut buffer = Buffer::empty(Rect::new(0, 0, 16, 6));
                let picture = Arc::new(Picture::black(64, 36, Timestamp::default()));
                painter.picture("bob", &picture, Rect::new(2, 0, 8, 4), &mut buffer);
                assert!(!painter.sweep());
                buffer
            })
            .collect()
    }

    #[test]
    fn sixel_is_one_sequence_in_the_first_cell() {
        let buffer = &drawn(Means::Sixel(PIXELS), 1)[0];
        let symbol = buffer.cell((2, 0)).unwrap().symbol();
        assert!(
            symbol.contains("\x1bP") && symbol.ends_with("\x1b\\"),
            "{symbol:?}"
        );
    }

    #[test]
    fn kitty_uses_one_image_id_again_and_again() {
        let ids: Vec<String> = drawn(Means::Kitty(PIXELS), 2)
            .iter()
            .map(|buffer| {
                let symbol = buffer.cell((2, 0)).unwrap().symbol().to_owned();
                assert!(symbol.starts_with("\x1b_G"), "{symbol:?}");
                let id = symbol.split("i=").nth(1).unwrap();
                id.split(',').next().unwrap().to_owned()
            })
            .collect();
        assert_eq!(ids[0], ids[1]);
    }

    #[test]
    fn a_tile_no_longer_drawn_is_forgotten() {
        let mut painter = Painter::new(Means::Sixel(PIXELS), Colours::True);
        let mut buffer = Buffer::empty(Rect::new(0, 0, 8, 4));
        let picture = Arc::new(Picture::black(64, 36, Timestamp::default()));
        painter.picture("bob", &picture, buffer.area, &mut buffer);
        assert!(!painter.sweep());
        assert!(painter.sweep());
        assert!(!painter.sweep());
    }
}

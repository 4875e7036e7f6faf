//! Paints the call into the pixels of a window: tiles, levels, our own picture in the corner.

use std::collections::HashMap;
use std::sync::Arc;

use crate::media::frame::Picture;
use crate::output::board::{SELF, Snapshot};
use crate::output::scale::{Scaler, fit_inside};
use crate::output::screen::model::ScreenModel;

const BACKGROUND: u32 = 0x0018_1818;
const LOUD: u32 = 0x0030_c050;
const MUTED: u32 = 0x00c0_3030;

/// Height of the level bar under a picture.
const BAR: usize = 6;

/// Keeps what scaling needs from one picture to the next.
#[derive(Debug, Default)]
pub(super) struct Canvas {
    scalers: HashMap<String, Scaler>,
}

/// A rectangle of pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tile {
    x: usize,
    y: usize,
    width: usize,
    height: usize,
}

impl Canvas {
    /// Paints everything; `pixels` are rows of `stride`, 0x00RRGGBB each.
    pub(super) fn draw(
        &mut self,
        model: &ScreenModel,
        board: &Snapshot,
        pixels: &mut [u32],
        stride: usize,
    ) {
        pixels.fill(BACKGROUND);
        let Some(height) = pixels.len().checked_div(stride) else {
            return;
        };
        let whole = Tile {
            x: 0,
            y: 0,
            width: stride,
            height,
        };
        self.scalers
            .retain(|key, _| key == SELF || model.members.iter().any(|m| m.id == *key));
        for (member, tile) in model.members.iter().zip(grid(whole, model.members.len())) {
            let bar = BAR.min(tile.height);
            let inside = Tile {
                height: tile.height - bar,
                ..tile
            };
            if let Some(picture) = board.picture(&member.id).filter(|_| !member.camera_off) {
                self.picture(&member.id, picture, inside, pixels, stride);
            }
            let level = board.level(&member.id).unwrap_or(-60.0);
            let share = ((level + 60.0) / 60.0).clamp(0.0, 1.0);
            let line = Tile {
                y: tile.y + tile.height - bar,
                height: bar,
                width: if member.muted {
                    tile.width
                } else {
                    (tile.width as f32 * share) as usize
                },
                ..tile
            };
            fill(
                line,
                if member.muted { MUTED } else { LOUD },
                pixels,
                stride,
            );
        }
        if let Some(picture) = board.picture(SELF).filter(|_| !model.camera_off) {
            let tile = if model.members.is_empty() {
                whole
            } else {
                corner(whole)
            };
            self.picture(SELF, picture, tile, pixels, stride);
        }
    }

    fn picture(
        &mut self,
        key: &str,
        picture: &Arc<Picture>,
        tile: Tile,
        pixels: &mut [u32],
        stride: usize,
    ) {
        let space = (side(tile.width), side(tile.height));
        let (width, height) = fit_inside((picture.width, picture.height), space);
        let (width, height) = (width as usize, height as usize);
        let start =
            (tile.y + (tile.height - height) / 2) * stride + tile.x + (tile.width - width) / 2;
        let scaler = self.scalers.entry(key.to_owned()).or_default();
        scaler.scale(picture, width, height, |at, [r, g, b]| {
            if let Some(pixel) = pixels.get_mut(start + at / width * stride + at % width) {
                *pixel = u32::from_be_bytes([0, r, g, b]);
            }
        });
    }
}

fn side(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

fn fill(tile: Tile, colour: u32, pixels: &mut [u32], stride: usize) {
    for y in tile.y..tile.y + tile.height {
        let start = y * stride + tile.x;
        if let Some(row) = pixels.get_mut(start..start + tile.width) {
            row.fill(colour);
        }
    }
}

fn corner(whole: Tile) -> Tile {
    let (width, height) = (whole.width / 5, whole.height / 5);
    Tile {
        x: whole.width - width,
        y: (whole.height - height).saturating_sub(BAR),
        width,
        height,
    }
}

/// Shares a space among so many pictures of 16:9, as large as they can be.
fn grid(whole: Tile, count: usize) -> Vec<Tile> {
    let size = |columns: usize| {
        let rows = count.div_ceil(columns);
        (whole.width / columns).min(whole.height / rows * 16 / 9)
    };
    let columns = (1..=count)
        .max_by_key(|columns| (size(*columns), usize::MAX - columns))
        .unwrap_or(1);
    let rows = count.div_ceil(columns).max(1);
    (0..count)
        .map(|at| Tile {
            x: at % columns * (whole.width / columns),
            y: at / columns * (whole.height / rows),
            width: whole.width / columns,
            height: whole.height / rows,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;
    use crate::media::clock::Timestamp;
    use crate::output::PictureBoard;
    use crate::output::testing::peer;

    fn call() -> (ScreenModel, PictureBoard) {
        let mut model = ScreenModel::default();
        for id in ["b", "c"] {
            model.event(
                Timestamp::default(),
                &Event::PeerJoined { peer: peer(id, id) },
            );
        }
        let board = PictureBoard::new();
        let mut white = Picture::black(16, 9, Timestamp::default());
        white.y.fill(235);
        board.put("b", Arc::new(white));
        board.level("b", -30.0);
        (model, board)
    }

    #[test]
    fn pictures_stand_in_their_tiles_over_their_levels() {
        let (model, board) = call();
        let mut pixels = vec![0; 64 * 24];
        Canvas::default().draw(&model, &board.snapshot(), &mut pixels, 64);
        let at = |x: usize, y: usize| pixels[y * 64 + x];
        assert_eq!(at(16, 9), 0x00ff_ffff);
        assert_eq!(at(48, 9), BACKGROUND);
        assert_eq!((at(15, 20), at(16, 20)), (LOUD, BACKGROUND));
    }

    #[test]
    fn any_size_is_painted() {
        let (model, board) = call();
        board.put(SELF, Arc::new(Picture::black(7, 5, Timestamp::default())));
        for (width, height) in [(0, 0), (1, 1), (1, 9), (3, 2), (200, 1), (33, 77)] {
            let mut pixels = vec![0; width * height];
            Canvas::default().draw(&model, &board.snapshot(), &mut pixels, width);
        }
    }
}

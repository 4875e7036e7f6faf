//! Paints the call into the pixels of a window: tiles, levels, our own picture in the corner.

use std::collections::HashMap;
use std::sync::Arc;

use crate::media::frame::Picture;
use crate::output::board::{SELF, Snapshot};
use crate::output::scale::{Scaler, fit_inside};
use crate::output::screen::model::{Member, ScreenModel};
use crate::output::text::fit;

use super::text;

const BACKGROUND: u32 = 0x0018_1818;
const LOUD: u32 = 0x0030_c050;
const MUTED: u32 = 0x00c0_3030;

/// The strip under a picture that the name stands on.
const PLATE: u32 = 0x0028_2828;

/// Height of the level bar under a picture.
const BAR: usize = 6;

/// Height of the name's strip over the bar.
const STRIP: usize = text::LINE + 4;

/// A tile lower than this has no room for a name.
const NAMED: usize = 3 * (STRIP + BAR);

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
            let inside = under(tile, &plate(member), pixels, stride);
            let level = board.level(&member.id);
            bar(level, member.muted, tile, pixels, stride);
            match board.picture(&member.id).filter(|_| !member.camera_off) {
                Some(picture) => self.picture(&member.id, picture, inside, pixels, stride),
                None => middle(&absence(member), inside, pixels, stride),
            }
        }
        let own = board.picture(SELF).filter(|_| !model.camera_off);
        if model.members.is_empty() {
            let words = if model.caption.is_empty() {
                model.title()
            } else {
                model.caption.join("; ")
            };
            let inside = under(whole, &words, pixels, stride);
            bar(board.level(SELF), model.muted, whole, pixels, stride);
            if let Some(picture) = own {
                self.picture(SELF, picture, inside, pixels, stride);
            }
        } else if let Some(picture) = own.filter(|_| !model.own_hidden) {
            let tile = corner(whole);
            fill(tile, BACKGROUND, pixels, stride);
            self.picture(SELF, picture, tile, pixels, stride);
            bar(board.level(SELF), model.muted, tile, pixels, stride);
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

/// What stands under a member's picture.
fn plate(member: &Member) -> String {
    let mut words = member.name.clone();
    let troubled = !matches!(member.state.as_str(), "connected" | "connecting");
    for (on, word) in [
        (member.muted, " [mic off]"),
        (member.camera_off, " [cam off]"),
        (troubled, " [!]"),
    ] {
        if on {
            words.push_str(word);
        }
    }
    words
}

/// What stands in place of a picture.
fn absence(member: &Member) -> String {
    if member.camera_off {
        "camera off".into()
    } else if member.state == "connected" {
        "no picture yet".into()
    } else {
        format!("{}...", member.state)
    }
}

/// Writes the words on a strip over the level's bar, where there is room; gives the room above.
fn under(tile: Tile, words: &str, pixels: &mut [u32], stride: usize) -> Tile {
    let bar = BAR.min(tile.height);
    if tile.height < NAMED {
        return Tile {
            height: tile.height - bar,
            ..tile
        };
    }
    let strip = Tile {
        y: tile.y + tile.height - bar - STRIP,
        height: STRIP,
        ..tile
    };
    fill(strip, PLATE, pixels, stride);
    let room = text::letters_in(tile.width.saturating_sub(8));
    text::write(&fit(words, room), strip.x + 4, strip.y + 2, pixels, stride);
    Tile {
        height: tile.height - bar - STRIP,
        ..tile
    }
}

/// The level, from -60 dB to full scale; all of it in red where the sound is muted.
fn bar(level: Option<f32>, muted: bool, tile: Tile, pixels: &mut [u32], stride: usize) {
    let share = level.map_or(0.0, |level| ((level + 60.0) / 60.0).clamp(0.0, 1.0));
    let height = BAR.min(tile.height);
    let line = Tile {
        y: tile.y + tile.height - height,
        height,
        width: if muted {
            tile.width
        } else {
            (tile.width as f32 * share) as usize
        },
        ..tile
    };
    fill(line, if muted { MUTED } else { LOUD }, pixels, stride);
}

fn middle(words: &str, tile: Tile, pixels: &mut [u32], stride: usize) {
    if tile.height < text::LINE {
        return;
    }
    let words = fit(words, text::letters_in(tile.width));
    let width = words.chars().count() * text::letter_width();
    let x = tile.x + tile.width.saturating_sub(width) / 2;
    text::write(
        &words,
        x,
        tile.y + (tile.height - text::LINE) / 2,
        pixels,
        stride,
    );
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
    // Above the strip and the bar of the tile that it covers.
    let below = if whole.height < NAMED {
        BAR
    } else {
        STRIP + BAR
    };
    Tile {
        x: whole.width - width,
        y: (whole.height - height).saturating_sub(below),
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
        assert_eq!(at(48, 0), BACKGROUND);
        assert_eq!((at(15, 20), at(16, 20)), (LOUD, BACKGROUND));
    }

    #[test]
    fn names_stand_under_pictures_where_there_is_room() {
        let (model, board) = call();
        // Two tiles of 160 by 120, side by side.
        let mut pixels = vec![0; 320 * 120];
        Canvas::default().draw(&model, &board.snapshot(), &mut pixels, 320);
        let strip = |x: usize| {
            let rows = 120 - BAR - STRIP..120 - BAR;
            let lit = rows.flat_map(|y| &pixels[y * 320 + x..][..160]);
            lit.filter(|pixel| **pixel > 0x0080_8080).count()
        };
        assert!(
            strip(0) > 2 && strip(160) > 2,
            "{} {}",
            strip(0),
            strip(160)
        );
    }

    #[test]
    fn our_own_picture_lies_in_the_corner_until_it_is_hidden() {
        let (mut model, board) = call();
        let mut own = Picture::black(16, 9, Timestamp::default());
        own.y.fill(235);
        board.put(SELF, Arc::new(own));
        let mut pixels = vec![0; 320 * 180];
        let seen = |model: &ScreenModel, pixels: &mut Vec<u32>| {
            Canvas::default().draw(model, &board.snapshot(), pixels, 320);
            pixels[130 * 320 + 290]
        };
        assert_eq!(seen(&model, &mut pixels), 0x00ff_ffff);
        model.own_hidden = true;
        assert_eq!(seen(&model, &mut pixels), BACKGROUND);
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

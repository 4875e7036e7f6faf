//! Pictures in a grid. Pure.

use std::sync::Arc;

use crate::media::clock::Timestamp;
use crate::media::convert::scale;
use crate::media::frame::Picture;

/// Draws pictures into cells of one size; what has not changed is not drawn again.
pub(super) struct Grid {
    canvas: Picture,
    /// What each cell shows.
    drawn: Vec<Option<Arc<Picture>>>,
}

/// A rectangle; all its numbers are even.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Area {
    x: u32,
    y: u32,
    width: u32,
    height: u32,
}

impl Grid {
    pub(super) fn new(size: (u32, u32)) -> Self {
        Self {
            canvas: Picture::black(size.0, size.1, Timestamp::default()),
            drawn: Vec::new(),
        }
    }

    /// The grid of these pictures; who has none has a black cell.
    pub(super) fn draw(&mut self, pictures: &[Option<Arc<Picture>>], at: Timestamp) -> &Picture {
        if pictures.len() != self.drawn.len() {
            self.drawn = vec![None; pictures.len()];
            self.canvas = Picture::black(self.canvas.width, self.canvas.height, at);
        }
        for (cell, picture) in pictures.iter().enumerate() {
            let same = match (picture, &self.drawn[cell]) {
                (Some(new), Some(old)) => Arc::ptr_eq(new, old),
                (None, None) => true,
                _ => false,
            };
            if same {
                continue;
            }
            let area = self.cell(cell, pictures.len());
            let reshaped = match (picture, &self.drawn[cell]) {
                (Some(new), Some(old)) => (new.width, new.height) != (old.width, old.height),
                _ => true,
            };
            if reshaped {
                let black = Picture::black(area.width, area.height, at);
                blit(&black, &mut self.canvas, area);
            }
            if let Some(picture) = picture {
                let inside = inside(picture, area);
                let scaled = scale(picture, inside.width, inside.height);
                blit(&scaled, &mut self.canvas, inside);
            }
            self.drawn[cell].clone_from(picture);
        }
        self.canvas.at = at;
        &self.canvas
    }

    /// Cells are in as many columns as rows, or one more.
    fn cell(&self, cell: usize, of: usize) -> Area {
        let columns = (1..).find(|n| n * n >= of).unwrap_or(1).max(1);
        let rows = of.div_ceil(columns).max(1);
        let (columns, rows) = (columns as u32, rows as u32);
        let (width, height) = (
            (self.canvas.width / columns) & !1,
            (self.canvas.height / rows) & !1,
        );
        Area {
            x: cell as u32 % columns * width,
            y: cell as u32 / columns * height,
            width,
            height,
        }
    }
}

/// The largest place of the picture's shape in the middle of an area.
fn inside(picture: &Picture, area: Area) -> Area {
    let (w, h) = (
        u64::from(picture.width.max(1)),
        u64::from(picture.height.max(1)),
    );
    let (width, height) = (u64::from(area.width), u64::from(area.height));
    let (wide, high) = if width * h <= height * w {
        (width, width * h / w)
    } else {
        (height * w / h, height)
    };
    let even = |side: u64| u32::try_from((side & !1).max(2)).unwrap_or(2);
    let (wide, high) = (even(wide).min(area.width), even(high).min(area.height));
    Area {
        x: area.x + (((area.width - wide) / 2) & !1),
        y: area.y + (((area.height - high) / 2) & !1),
        width: wide,
        height: high,
    }
}

/// Copies a picture of the area's size into it.
fn blit(picture: &Picture, canvas: &mut Picture, area: Area) {
    let (stride, chroma) = (canvas.width as usize, canvas.chroma_stride());
    let (x, y) = (area.x as usize, area.y as usize);
    rows(
        &picture.y,
        picture.width as usize,
        &mut canvas.y,
        stride,
        (x, y),
    );
    let from = picture.chroma_stride();
    rows(&picture.u, from, &mut canvas.u, chroma, (x / 2, y / 2));
    rows(&picture.v, from, &mut canvas.v, chroma, (x / 2, y / 2));
}

fn rows(from: &[u8], width: usize, to: &mut [u8], stride: usize, (x, y): (usize, usize)) {
    if width == 0 {
        return;
    }
    for (row, samples) in from.chunks_exact(width).enumerate() {
        let start = (y + row) * stride + x;
        if let Some(place) = to.get_mut(start..start + width) {
            place.copy_from_slice(samples);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn grey(width: u32, height: u32, luma: u8) -> Option<Arc<Picture>> {
        let mut picture = Picture::black(width, height, Timestamp::default());
        picture.y.fill(luma);
        Some(Arc::new(picture))
    }

    fn luma(canvas: &Picture, x: u32, y: u32) -> u8 {
        canvas.y[(y * canvas.width + x) as usize]
    }

    #[test]
    fn everybody_has_a_cell_and_keeps_its_shape() {
        let mut grid = Grid::new((320, 180));
        let canvas = grid.draw(&[grey(160, 90, 200)], Timestamp::default());
        assert_eq!((luma(canvas, 0, 0), luma(canvas, 319, 179)), (200, 200));
        let three = [grey(160, 90, 100), grey(90, 90, 150), None];
        let canvas = grid.draw(&three, Timestamp::default());
        assert_eq!(luma(canvas, 80, 45), 100);
        // A square in the middle of its cell.
        assert_eq!(luma(canvas, 240, 45), 150);
        assert_eq!(luma(canvas, 162, 45), 16);
        assert_eq!(luma(canvas, 80, 135), 16);
    }

    #[test]
    fn who_turns_its_picture_leaves_nothing_behind() {
        let mut grid = Grid::new((320, 180));
        grid.draw(&[grey(320, 180, 200)], Timestamp::default());
        let canvas = grid.draw(&[grey(90, 160, 120)], Timestamp::default());
        assert_eq!((luma(canvas, 160, 90), luma(canvas, 2, 90)), (120, 16));
        let canvas = grid.draw(&[None], Timestamp::default());
        assert!(canvas.y.iter().all(|luma| *luma == 16));
    }

    proptest! {
        #[test]
        fn any_sizes_in_any_number_are_drawn(
            sizes in proptest::collection::vec((1_u32..200, 1_u32..200), 0..17),
        ) {
            let mut grid = Grid::new((128, 72));
            let pictures: Vec<_> = sizes.iter().map(|(w, h)| grey(*w, *h, 180)).collect();
            let canvas = grid.draw(&pictures, Timestamp::default());
            prop_assert_eq!(canvas.y.len(), 128 * 72);
            prop_assert_eq!(canvas.y.contains(&180), !sizes.is_empty());
        }
    }
}

//! Who gets which part of the screen. Any size is shared out, also 1x1.

use ratatui::layout::Rect;

/// From this width on, members and chat stand beside the pictures.
const WIDE: u16 = 72;

/// The parts; any may be empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Pictures, details or help.
    pub main: Rect,
    /// Beside them, where the screen is wide.
    pub side: Option<Side>,
    /// Lines of chat.
    pub chat: Rect,
    /// The line being typed.
    pub input: Rect,
    /// The last row.
    pub status: Rect,
}

/// The parts beside the pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Side {
    /// Our own picture.
    pub own: Rect,
    /// Who is here.
    pub members: Rect,
}

/// Shares out a screen.
#[must_use]
pub fn of(area: Rect) -> Layout {
    let (rest, status) = split_bottom(area, u16::from(area.height >= 2));
    if area.width >= WIDE && rest.height >= 8 {
        let width = (area.width / 4).clamp(24, 40);
        let column = Rect {
            x: rest.right() - width + 1,
            width: width - 1,
            ..rest
        };
        let main = Rect {
            width: rest.width - width,
            ..rest
        };
        let (column, input) = split_bottom(column, 1);
        let own_rows = if column.height >= 20 { width / 4 } else { 0 };
        let (own, column) = split_top(column, own_rows);
        let (members, chat) = split_top(column, (column.height / 3).clamp(1, 7));
        let (_, chat) = split_top(chat, 1);
        return Layout {
            main,
            side: Some(Side { own, members }),
            chat,
            input,
            status,
        };
    }
    let (rest, input) = split_bottom(rest, u16::from(rest.height >= 4));
    let chat_rows = if rest.height >= 10 {
        rest.height / 4
    } else {
        0
    };
    let (main, chat) = split_bottom(rest, chat_rows);
    Layout {
        main,
        side: None,
        chat,
        input,
        status,
    }
}

/// Cuts rows off the bottom.
#[must_use]
pub fn split_bottom(area: Rect, rows: u16) -> (Rect, Rect) {
    let rows = rows.min(area.height);
    split_top(area, area.height - rows)
}

/// Cuts rows off the top.
#[must_use]
pub fn split_top(area: Rect, rows: u16) -> (Rect, Rect) {
    let rows = rows.min(area.height);
    let top = Rect {
        height: rows,
        ..area
    };
    let bottom = Rect {
        y: area.y + rows,
        height: area.height - rows,
        ..area
    };
    (top, bottom)
}

/// The lower right corner, for our own picture where nothing stands beside the others; empty where it would cover too much.
#[must_use]
pub fn corner(area: Rect) -> Rect {
    if area.width < 30 || area.height < 9 {
        return Rect::default();
    }
    let (width, height) = (area.width / 4, area.height / 4);
    Rect {
        x: area.right() - width,
        y: area.bottom() - 1 - height,
        width,
        height,
    }
}

/// Shares an area among so many pictures of 16:9, as large as they can be (a cell is twice as high as wide).
#[must_use]
pub fn grid(area: Rect, count: usize) -> Vec<Rect> {
    let count = u16::try_from(count).unwrap_or(u16::MAX).max(1);
    let picture_cells = |columns: u16| {
        let rows = count.div_ceil(columns);
        let width = u32::from(area.width / columns);
        let height = u32::from((area.height / rows).saturating_sub(1));
        // 16 wide and 9 high are 32 columns to 9 rows.
        width.min(height * 32 / 9)
    };
    let columns = (1..=count.min(area.width.max(1)))
        .max_by_key(|columns| (picture_cells(*columns), u16::MAX - columns))
        .unwrap_or(1);
    let rows = count.div_ceil(columns);
    let part = |length: u16, parts: u16, at: u16| {
        (u32::from(length) * u32::from(at) / u32::from(parts)) as u16
    };
    (0..count)
        .map(|at| {
            let (row, column) = (at / columns, at % columns);
            let (left, right) = (
                part(area.width, columns, column),
                part(area.width, columns, column + 1),
            );
            let (top, bottom) = (
                part(area.height, rows, row),
                part(area.height, rows, row + 1),
            );
            Rect {
                x: area.x + left,
                y: area.y + top,
                width: right - left,
                height: bottom - top,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn two_on_a_wide_screen_stand_side_by_side() {
        let tiles = grid(Rect::new(0, 0, 100, 30), 2);
        assert_eq!(tiles, [Rect::new(0, 0, 50, 30), Rect::new(50, 0, 50, 30)]);
    }

    #[test]
    fn two_on_a_tall_screen_stand_above_each_other() {
        let tiles = grid(Rect::new(0, 0, 40, 40), 2);
        assert_eq!(tiles, [Rect::new(0, 0, 40, 20), Rect::new(0, 20, 40, 20)]);
    }

    proptest! {
        #[test]
        fn all_parts_lie_inside_and_apart(width in 0_u16..300, height in 0_u16..120, count in 1_usize..12) {
            let area = Rect::new(0, 0, width, height);
            let layout = of(area);
            let mut parts = vec![layout.chat, layout.input, layout.status];
            parts.extend(layout.side.map(|side| side.own));
            parts.extend(layout.side.map(|side| side.members));
            parts.extend(grid(layout.main, count));
            parts.retain(|part| !part.is_empty());
            for (at, part) in parts.iter().enumerate() {
                prop_assert_eq!(part.intersection(area), *part);
                for other in &parts[at + 1..] {
                    prop_assert!(!part.intersects(*other), "{part} and {other}");
                }
            }
            let corner = corner(layout.main);
            prop_assert_eq!(corner.intersection(layout.main), corner);
        }
    }
}

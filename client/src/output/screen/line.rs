//! The line of chat being typed, edited letter by letter as people see letters.

use crossterm::event::KeyCode;
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

use crate::output::text::clean;

/// Longest line, in bytes: well inside one data-channel message.
const LONGEST: usize = 4_000;

/// A line and a cursor in it. Its text is always clean.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LineInput {
    text: String,
    /// Byte offset, always at a grapheme's border.
    cursor: usize,
}

impl LineInput {
    /// Inserts at the cursor, line ends as spaces; what does not fit is not taken.
    pub fn insert(&mut self, text: &str) {
        let text = clean(text);
        if self.text.len() + text.len() > LONGEST {
            return;
        }
        self.text.insert_str(self.cursor, &text);
        self.cursor = self.border_at_or_after(self.cursor + text.len());
    }

    /// Acts on a key.
    pub fn key(&mut self, code: KeyCode, control: bool) {
        match (code, control) {
            (KeyCode::Char('a'), true) | (KeyCode::Home, _) => self.cursor = 0,
            (KeyCode::Char('e'), true) | (KeyCode::End, _) => self.cursor = self.text.len(),
            (KeyCode::Char('u'), true) => self.cut(0),
            (KeyCode::Char('w'), true) => self.cut(self.word_start()),
            (KeyCode::Char(c), false) => self.insert(c.encode_utf8(&mut [0; 4])),
            (KeyCode::Backspace, _) => self.cut(self.before()),
            (KeyCode::Delete, _) => {
                self.text.replace_range(self.cursor..self.after(), "");
            }
            (KeyCode::Left, _) => self.cursor = self.before(),
            (KeyCode::Right, _) => self.cursor = self.after(),
            _ => {}
        }
    }

    /// Gives the line and empties it.
    pub fn take(&mut self) -> String {
        self.cursor = 0;
        std::mem::take(&mut self.text)
    }

    /// Gives the part that fits into so many columns with the cursor inside it, and the cursor's column.
    #[must_use]
    pub fn visible(&self, columns: usize) -> (&str, usize) {
        // One column stays free for a cursor at the end.
        let columns = columns.saturating_sub(1);
        let mut start = 0;
        let before = &self.text[..self.cursor];
        let mut used = before.width();
        for grapheme in before.graphemes(true) {
            if used <= columns {
                break;
            }
            used -= grapheme.width().min(used);
            start += grapheme.len();
        }
        let mut end = start;
        let mut width = 0;
        for grapheme in self.text[start..].graphemes(true) {
            width += grapheme.width();
            if width > columns {
                break;
            }
            end += grapheme.len();
        }
        (&self.text[start..end], used.min(columns))
    }

    fn cut(&mut self, from: usize) {
        self.text.replace_range(from..self.cursor, "");
        self.cursor = self.border_at_or_after(from);
    }

    fn before(&self) -> usize {
        self.text[..self.cursor]
            .grapheme_indices(true)
            .next_back()
            .map_or(0, |(at, _)| at)
    }

    fn after(&self) -> usize {
        let next = self.text[self.cursor..].graphemes(true).next();
        self.cursor + next.map_or(0, str::len)
    }

    fn word_start(&self) -> usize {
        let before = self.text[..self.cursor].trim_end();
        before.rfind(' ').map_or(0, |at| at + 1)
    }

    /// An inserted accent may join the letter after it; the cursor then goes behind both.
    fn border_at_or_after(&self, at: usize) -> usize {
        self.text
            .grapheme_indices(true)
            .map(|(start, _)| start)
            .find(|start| *start >= at)
            .unwrap_or(self.text.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(text: &str) -> LineInput {
        let mut line = LineInput::default();
        line.insert(text);
        line
    }

    #[test]
    fn backspace_takes_a_whole_letter() {
        let mut line = line("ae\u{301}👩‍👩‍👧");
        line.key(KeyCode::Backspace, false);
        assert_eq!(line.text, "ae\u{301}");
        line.key(KeyCode::Backspace, false);
        assert_eq!(line.text, "a");
    }

    #[test]
    fn control_w_takes_a_word_and_control_u_the_rest() {
        let mut line = line("one two  ");
        line.key(KeyCode::Char('w'), true);
        assert_eq!(line.text, "one ");
        line.key(KeyCode::Char('u'), true);
        assert_eq!(line.text, "");
    }

    #[test]
    fn a_long_line_shows_the_part_around_the_cursor() {
        let mut line = line("abcdefghij");
        assert_eq!(line.visible(5), ("ghij", 4));
        line.key(KeyCode::Home, false);
        assert_eq!(line.visible(5), ("abcd", 0));
        assert_eq!(line.visible(0), ("", 0));
    }

    #[test]
    fn what_would_be_too_long_is_not_taken() {
        let mut line = line(&"x".repeat(1_900));
        for _ in 0..5 {
            line.insert(&"y".repeat(1_900));
        }
        assert_eq!(line.text.len(), 3_800);
    }

    proptest! {
        #[test]
        fn no_keys_break_it(keys in proptest::collection::vec((0..9_u8, any::<char>(), any::<bool>()), 0..60), columns in 0_usize..30) {
            let mut line = LineInput::default();
            for (key, c, control) in keys {
                let code = match key {
                    0 => KeyCode::Backspace,
                    1 => KeyCode::Delete,
                    2 => KeyCode::Left,
                    3 => KeyCode::Right,
                    4 => KeyCode::Home,
                    5 => KeyCode::End,
                    6 => KeyCode::Char('w'),
                    _ => KeyCode::Char(c),
                };
                line.key(code, control);
                prop_assert!(line.text.is_char_boundary(line.cursor));
                let (shown, at) = line.visible(columns);
                prop_assert!(shown.width() < columns.max(1) && at < columns.max(1));
            }
        }
    }
}

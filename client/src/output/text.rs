//! Makes other people's words harmless for a terminal.

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// What stands in place of a character that could steer a terminal or reorder a line.
pub const REPLACEMENT: char = '\u{fffd}';

/// Longest stretch of somebody else's words that a view shows, in characters.
pub const LONGEST: usize = 2_000;

/// Most characters kept of one grapheme; a letter under a tower of accents slows terminals and covers its neighbours.
const LONGEST_GRAPHEME: usize = 16;

/// Whether a character may steer a terminal or make a line read otherwise than it is stored.
///
/// These are the C0 and C1 controls and DEL (escape sequences begin with ESC or with C1 CSI, ECMA-48 5.3),
/// the line and paragraph separators, and the explicit directional marks of UAX #9.
#[must_use]
pub fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{061c}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2066}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// Gives a text on one line, without control characters, at most [`LONGEST`] characters.
///
/// Line ends and tabs become spaces, other controls [`REPLACEMENT`].
#[must_use]
pub fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(LONGEST * 4));
    let mut left = LONGEST;
    for grapheme in text.graphemes(true) {
        if grapheme == "\r\n" {
            push(&mut out, ' ', &mut left);
            continue;
        }
        for c in grapheme.chars().take(LONGEST_GRAPHEME) {
            if left == 0 {
                out.push('…');
                return out;
            }
            push(&mut out, harmless(c), &mut left);
        }
    }
    out
}

/// Gives a text on one line, without control characters, however long it is: for what is to be copied.
#[must_use]
pub fn whole(text: &str) -> String {
    text.chars().map(harmless).collect()
}

fn push(out: &mut String, c: char, left: &mut usize) {
    out.push(c);
    *left = left.saturating_sub(1);
}

fn harmless(c: char) -> char {
    match c {
        '\t' | '\n' | '\r' => ' ',
        c if is_unsafe(c) => REPLACEMENT,
        c => c,
    }
}

/// Gives a name fit to show: clean, and something even when it is empty.
#[must_use]
pub fn name(text: &str, id: &str) -> String {
    let cleaned = clean(text);
    if cleaned.trim().is_empty() {
        clean(id)
    } else {
        cleaned
    }
}

/// Cuts a text to a number of terminal columns, with an ellipsis where something is missing.
#[must_use]
pub fn fit(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = 0;
    for grapheme in text.graphemes(true) {
        let width = grapheme.width();
        if used + width + 1 > columns {
            break;
        }
        out.push_str(grapheme);
        used += width;
    }
    if columns > 0 {
        out.push('…');
    }
    out
}

/// Breaks a text into lines of at most so many terminal columns, at spaces where it can.
#[must_use]
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(2);
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split_word_bounds() {
        let width = word.width();
        if used + width <= columns {
            push_str(&mut lines, word);
            used += width;
            continue;
        }
        if word.chars().all(|c| c == ' ') {
            lines.push(String::new());
            used = 0;
            continue;
        }
        if width <= columns {
            lines.push(word.to_owned());
            used = width;
            continue;
        }
        for grapheme in word.graphemes(true) {
            let width = grapheme.width();
            if used + width > columns {
                lines.push(String::new());
                used = 0;
            }
            push_str(&mut lines, grapheme);
            used += width;
        }
    }
    lines
}

fn push_str(lines: &mut [String], text: &str) {
    if let Some(last) = lines.last_mut() {
        last.push_str(text);
    }
}

/// Columns of a character; zero where it has none.
#[must_use]
pub fn columns(c: char) -> usize {
    c.width().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn escape_sequences_lose_their_escape() {
        assert_eq!(
            clean("\x1b]0;owned\x07a\u{9b}2Jb"),
            "\u{fffd}]0;owned\u{fffd}a\u{fffd}2Jb"
        );
    }

    #[test]
    fn line_ends_and_tabs_become_spaces() {
        assert_eq!(clean("a\r\nb\tc\nd"), "a b c d");
    }

    #[test]
    fn letters_of_all_scripts_and_joined_emoji_stay() {
        let text = "Žofie 李 עברית 👩‍👩‍👧 é";
        assert_eq!(clean(text), text);
    }

    #[test]
    fn a_reordering_mark_is_replaced() {
        assert_eq!(clean("gnp.\u{202e}exe"), "gnp.\u{fffd}exe");
    }

    #[test]
    fn a_tower_of_accents_is_cut() {
        let tower = format!("a{}", "\u{301}".repeat(500));
        assert_eq!(clean(&tower).chars().count(), LONGEST_GRAPHEME);
    }

    #[test]
    fn fit_counts_columns_not_letters() {
        assert_eq!(fit("李李李", 6), "李李李");
        assert_eq!(fit("李李李", 5), "李李…");
        assert_eq!(fit("李李李", 0), "");
    }

    #[test]
    fn wrap_breaks_at_spaces_and_inside_long_words() {
        assert_eq!(wrap("one two three", 8), ["one two ", "three"]);
        assert_eq!(wrap("abcdefgh", 3), ["abc", "def", "gh"]);
    }

    proptest! {
        #[test]
        fn no_control_gets_through(text in any::<String>()) {
            let cleaned = clean(&text);
            prop_assert!(!cleaned.chars().any(is_unsafe), "{cleaned:?}");
            prop_assert!(cleaned.chars().count() <= LONGEST + 1);
        }

        #[test]
        fn fit_never_exceeds_its_columns(text in any::<String>(), columns in 0_usize..40) {
            prop_assert!(fit(&clean(&text), columns).width() <= columns.max(1));
        }

        #[test]
        fn wrap_keeps_every_letter(text in "[a-zé李 ]{0,80}", columns in 2_usize..20) {
            let lines = wrap(&text, columns);
            prop_assert!(lines.iter().all(|line| line.width() <= columns));
            let strip = |s: &str| s.chars().filter(|c| *c != ' ').collect::<String>();
            prop_assert_eq!(strip(&lines.concat()), strip(&text));
        }
    }
}

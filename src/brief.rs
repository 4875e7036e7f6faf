//! Words about what cannot be read. A parser repeats what it found, which may be as long as a message.

use std::fmt::Display;

/// Characters of one explanation.
const CHARS: usize = 240;

/// What is wrong, in few words.
pub(crate) fn brief(error: &impl Display) -> String {
    let words = error.to_string();
    match words.char_indices().nth(CHARS) {
        None => words,
        Some((end, _)) => format!("{}…", &words[..end]),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_was_found_is_not_repeated_at_length() {
        let long = format!("\"{}\"", "é".repeat(60_000));
        let error = serde_json::from_str::<u64>(&long).unwrap_err();
        let words = brief(&error);
        assert!(words.starts_with("invalid type: string \"éé") && words.ends_with('…'));
        assert_eq!(words.chars().count(), CHARS + 1);
        let error = serde_json::from_str::<u64>("[]").unwrap_err();
        assert_eq!(brief(&error), error.to_string());
    }
}

//! What a file may be called here that somebody else has named.

/// What is behind the name of a file that is not all there.
pub const PART: &str = ".part";

/// The longest name, in bytes, so that it has room for [`PART`] where a file system takes 255.
const LONGEST: usize = 245;
/// And what longer ones are cut to, so that a letter or two can be added.
const SHORTENED: usize = 240;

/// Names that Windows keeps for devices, whatever stands behind their first dot.
const DEVICES: [&str; 6] = ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"];

/// A name for the file that is one here, of no folder and no device, and never that of a partial file. What cannot stand in
/// a name becomes `_`. It is the same for the same name, so that a partial file is found again.
#[must_use]
pub fn clean(told: &str) -> String {
    // What stands before a slash was a folder of the sender's.
    let last = told.rsplit(['/', '\\']).next().unwrap_or_default();
    let mut name: String = last
        .chars()
        .map(|letter| match letter {
            '<' | '>' | ':' | '"' | '|' | '?' | '*' => '_',
            letter if letter.is_control() || is_direction(letter) => '_',
            letter => letter,
        })
        .collect();
    if name.len() > LONGEST {
        name.truncate(name.floor_char_boundary(SHORTENED));
    }
    // A first dot hides a file, and both dots are folders; last dots and spaces go away on Windows.
    if name.starts_with('.') {
        name.replace_range(..1, "_");
    }
    if name.starts_with(['-', '~']) {
        name.insert(0, '_');
    }
    if name.ends_with(['.', ' ']) {
        name.pop();
        name.push('_');
    }
    let stem = name.split('.').next().unwrap_or_default().trim_end();
    if is_device(stem) {
        name.insert(0, '_');
    }
    if name.to_ascii_lowercase().ends_with(PART) {
        name.push('_');
    }
    if name.is_empty() {
        name.push_str("file");
    }
    name
}

/// Letters that turn the order of what follows, so that a name looks like another.
const fn is_direction(letter: char) -> bool {
    matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn is_device(stem: &str) -> bool {
    let stem = stem.to_ascii_uppercase();
    let numbered = ["COM", "LPT"].iter().any(|port| {
        stem.strip_prefix(port)
            .is_some_and(|number| number.chars().count() == 1)
    });
    numbered || DEVICES.contains(&stem.as_str())
}

#[cfg(test)]
mod tests {
    use std::path::{Component, Path};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn good_names_stay_as_they_are() {
        for name in [
            "a.txt",
            "Räksmörgås.tar.gz",
            "a b",
            "é",
            "日本語.pdf",
            "console.log",
        ] {
            assert_eq!(clean(name), name);
        }
    }

    #[test]
    fn no_name_leads_anywhere_else() {
        for (told, name) in [
            ("../../etc/passwd", "passwd"),
            ("..", "__"),
            (".", "_"),
            ("", "file"),
            ("a/", "file"),
            ("/etc/", "file"),
            ("C:\\x\\y.exe", "y.exe"),
            ("C:", "C_"),
            ("a\0b\n", "a_b_"),
            (".bashrc", "_bashrc"),
            ("-rf", "_-rf"),
            ("nul.txt", "_nul.txt"),
            ("COM1", "_COM1"),
            ("x.part", "x.part_"),
            ("x. ", "x._"),
            ("gpj\u{202e}.exe", "gpj_.exe"),
        ] {
            assert_eq!(clean(told), name, "{told:?}");
        }
    }

    proptest! {
        #[test]
        fn a_name_is_one_plain_name(told in "(\\.|/|\\\\|:|-|~|\\PC|[\\x00-\\x1f]){0,300}") {
            let name = clean(&told);
            let parts: Vec<_> = Path::new(&name).components().collect();
            prop_assert!(matches!(parts[..], [Component::Normal(_)]), "{name:?}");
            prop_assert!(!name.contains(['/', '\\', '\0', ':']));
            prop_assert!(!name.starts_with('.') && !name.starts_with('-'));
            prop_assert!(name.len() + PART.len() <= 255);
            prop_assert!(!name.to_ascii_lowercase().ends_with(PART));
            // Clean names stay.
            prop_assert_eq!(clean(&name), name.clone());
        }
    }
}

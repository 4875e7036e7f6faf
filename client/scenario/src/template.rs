//! Texts with holes: `ci-{run}`, `{server}/{room}?name={peer}`.

use std::collections::BTreeMap;

/// The names that can stand in a text, and what they stand for.
pub type Words = BTreeMap<String, String>;

/// What a text may name, beside `env.NAME`.
pub const NAMES: [&str; 6] = ["run", "seed", "name", "room", "server", "peer"];

/// Why a text has a hole that nothing fills.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A brace that nothing closes.
    #[error("{text:?}: a brace is open; write {{{{ for one that is meant")]
    Open {
        /// The text.
        text: String,
    },
    /// A name of nothing.
    #[error(
        "{{{name}}} stands for nothing: there are {{run}}, {{seed}}, {{name}}, {{room}}, {{server}}, {{peer}} and {{env.NAME}}"
    )]
    Unknown {
        /// The name.
        name: String,
    },
    /// A variable that the environment has not.
    #[error("{{env.{name}}}: the variable {name} is not set")]
    NotSet {
        /// The variable.
        name: String,
    },
    /// A name that stands for nothing yet, such as the room in the room's own name.
    #[error("{{{name}}} is not known here")]
    NotHere {
        /// The name.
        name: String,
    },
}

/// Fills the holes.
///
/// # Errors
/// When there is one that nothing fills.
pub fn fill(
    text: &str,
    words: &Words,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<String, TemplateError> {
    let open = || TemplateError::Open {
        text: text.to_owned(),
    };
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, brace) = rest.split_at(at);
        filled.push_str(before);
        if let Some(after) = brace.strip_prefix("{{") {
            filled.push('{');
            rest = after;
        } else if let Some(after) = brace.strip_prefix("}}") {
            filled.push('}');
            rest = after;
        } else if let Some(after) = brace.strip_prefix('{') {
            let (name, after) = after.split_once('}').ok_or_else(open)?;
            filled.push_str(&word(name, words, env)?);
            rest = after;
        } else {
            return Err(open());
        }
    }
    filled.push_str(rest);
    Ok(filled)
}

fn word(
    name: &str,
    words: &Words,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<String, TemplateError> {
    if let Some(variable) = name.strip_prefix("env.") {
        return env(variable).ok_or_else(|| TemplateError::NotSet {
            name: variable.to_owned(),
        });
    }
    if let Some(word) = words.get(name) {
        return Ok(word.clone());
    }
    let name = name.to_owned();
    Err(if NAMES.contains(&name.as_str()) {
        TemplateError::NotHere { name }
    } else {
        TemplateError::Unknown { name }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filled(text: &str) -> Result<String, String> {
        let words = [("run", "k3"), ("seed", "7")];
        let words = words.map(|(name, word)| (name.to_owned(), word.to_owned()));
        let env = |name: &str| (name == "CI").then(|| "yes".to_owned());
        fill(text, &words.into(), &env).map_err(|error| error.to_string())
    }

    #[test]
    fn holes_are_filled_and_doubled_braces_are_braces() {
        assert_eq!(filled("ci-{run}-{seed}-{env.CI}"), Ok("ci-k3-7-yes".into()));
        assert_eq!(filled("f({{a: 1}})"), Ok("f({a: 1})".into()));
        assert_eq!(filled(""), Ok(String::new()));
    }

    #[test]
    fn what_nothing_fills_is_told() {
        for (text, told) in [
            ("{rum}", "{rum} stands for nothing"),
            ("{env.NO}", "the variable NO is not set"),
            ("{room}", "{room} is not known here"),
            ("a{run", "a brace is open"),
            ("a}b", "a brace is open"),
        ] {
            let error = filled(text).err().unwrap_or_default();
            assert!(error.contains(told), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in "\\PC{0,60}") {
            let _ = filled(&text);
        }
    }
}

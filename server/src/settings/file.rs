//! The file of settings: TOML, one key for each flag, at its top level.

use std::ffi::OsString;
use std::ops::Range;
use std::path::Path;

use clap::{Arg, ArgAction, CommandFactory};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{FILE, Value, is_secret, key, nearest, settable, tried, words};
use crate::cli::Cli;

/// One key that can be used.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) line: usize,
    /// What it means on the command line.
    pub(super) words: Vec<OsString>,
}

/// What is wrong in a file, and where.
#[derive(Debug)]
pub(super) struct Fault {
    span: Range<usize>,
    why: String,
    /// What stands there is not to be shown.
    secret: bool,
}

/// Reads all of it, or tells all that is wrong.
pub(super) fn read(text: &str) -> Result<Vec<Entry>, Vec<Fault>> {
    let table = DeTable::parse(text).map_err(|error| {
        vec![Fault {
            span: error.span().unwrap_or_default(),
            why: error.message().to_owned(),
            // What is not read yet may be anything.
            secret: error.span().is_some_and(|span| {
                let line = Place::of(text, &span).text;
                is_secret(line.split('=').next().unwrap_or_default().trim())
            }),
        }]
    })?;
    let known = settable(&Cli::command());
    let mut entries = Vec::new();
    let mut faults = Vec::new();
    for (name, value) in table.get_ref() {
        let line = Place::of(text, &name.span()).line;
        match entry(&known, name.get_ref(), value) {
            Ok(words) => entries.push(Entry {
                key: name.get_ref().to_string(),
                line,
                words,
            }),
            Err((at_name, why)) => {
                let span = if at_name { name.span() } else { value.span() };
                let secret = is_secret(name.get_ref());
                faults.push(Fault { span, why, secret });
            }
        }
    }
    // The table is sorted by name; people read from the top.
    faults.sort_by_key(|fault| fault.span.start);
    if faults.is_empty() {
        Ok(entries)
    } else {
        Err(faults)
    }
}

/// The words of one key, or what is wrong: with its name (true) or its value.
fn entry(
    known: &[Arg],
    name: &str,
    value: &Spanned<DeValue<'_>>,
) -> Result<Vec<OsString>, (bool, String)> {
    let Some(arg) = known.iter().find(|arg| key(arg) == name) else {
        let names: Vec<String> = known.iter().map(key).collect();
        let hint = match nearest(name, names.iter().map(String::as_str)) {
            _ if name == FILE => "; a file cannot name another".to_owned(),
            Some(near) => format!("; is it {near}?"),
            None => "; docs/configuration.md has them all".to_owned(),
        };
        return Err((true, format!("there is no setting {name}{hint}")));
    };
    let words = meaning(arg, value.get_ref()).map_err(|why| (false, format!("{name}: {why}")))?;
    tried(words).map_err(|why| (false, why))
}

fn meaning(arg: &Arg, value: &DeValue<'_>) -> Result<Vec<OsString>, String> {
    let value = match (arg.get_action(), value) {
        (ArgAction::SetTrue, DeValue::Boolean(on)) => Value::Flag(*on),
        (ArgAction::SetTrue, other) => {
            return Err(format!("{} where true or false was due", kind(other)));
        }
        (ArgAction::Count, DeValue::Integer(_)) => {
            let times = scalar(value)?;
            Value::Times(
                times
                    .parse()
                    .map_err(|_| format!("{times} is no number from 0 to 255"))?,
            )
        }
        (ArgAction::Append, DeValue::Array(values)) => {
            if values.is_empty() && !arg.get_default_values().is_empty() {
                return Err("the list is empty; give a value or leave the key out".into());
            }
            let each = values.iter().map(|one| scalar(one.get_ref()));
            Value::Each(each.collect::<Result<_, _>>()?)
        }
        (_, value) => Value::Each(vec![scalar(value)?]),
    };
    Ok(words(arg, value))
}

fn scalar(value: &DeValue<'_>) -> Result<String, String> {
    match value {
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Ok(number.as_str().to_owned()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map(|number| number.to_string())
            .map_err(|_| "the number is too large".to_owned()),
        DeValue::Float(number) => Ok(number.as_str().to_owned()),
        DeValue::Boolean(value) => Ok(value.to_string()),
        other => Err(format!("{} where one value was due", kind(other))),
    }
}

fn kind(value: &DeValue<'_>) -> String {
    match value {
        DeValue::Table(_) => "there is a table; settings stand at the top level,".to_owned(),
        other => format!("there is a value of the kind {}", other.type_str()),
    }
}

/// A place in a text, counted as editors do.
struct Place<'a> {
    line: usize,
    column: usize,
    text: &'a str,
    width: usize,
}

impl<'a> Place<'a> {
    fn of(text: &'a str, span: &Range<usize>) -> Self {
        let start = floor(text, span.start);
        let before = text.get(..start).unwrap_or(text);
        let begin = before.rfind('\n').map_or(0, |at| at + 1);
        let line = text.get(begin..).unwrap_or_default();
        let line = line.lines().next().unwrap_or_default();
        let column = before.get(begin..).unwrap_or_default().chars().count();
        let marked = text.get(start..floor(text, span.end)).unwrap_or_default();
        let marked = marked.lines().next().unwrap_or_default();
        Self {
            line: before.matches('\n').count() + 1,
            column: column + 1,
            text: line,
            width: marked.chars().count().max(1),
        }
    }
}

/// The character at or before this byte.
fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

impl Fault {
    /// The fault for people: where, what, and the line itself.
    pub(super) fn show(&self, path: &Path, text: &str) -> String {
        let Place {
            line,
            column,
            text,
            width,
        } = Place::of(text, &self.span);
        if self.secret {
            return format!("{}:{line}:{column}: {}", path.display(), self.why);
        }
        let number = line.to_string();
        let gap = " ".repeat(number.len());
        format!(
            "{}:{line}:{column}: {}\n {number} | {text}\n {gap} | {}{}",
            path.display(),
            self.why,
            " ".repeat(column - 1),
            "^".repeat(width)
        )
    }
}

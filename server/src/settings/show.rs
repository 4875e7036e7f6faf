//! The effective settings, as a file that would give the same ones, but for secrets.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use clap::{Arg, ArgAction, ArgMatches, CommandFactory};

use super::{Source, key, settable};
use crate::cli::Cli;
use crate::redact::without_login;

/// Lists of addresses, in which only a user and a password are secret.
const ADDRESSES: [&str; 2] = ["cluster", "regions"];

pub(super) fn show(matches: &ArgMatches, sources: &BTreeMap<String, Source>) -> String {
    let mut text = String::new();
    for arg in settable(&Cli::command()) {
        let key = key(&arg);
        let source = sources.get(&key).unwrap_or(&Source::Default);
        let addresses = ADDRESSES.contains(&key.as_str());
        let shown = |text: &str| match addresses {
            true => without_login(text),
            false => text.to_owned(),
        };
        let line = match value(&arg, matches, shown) {
            Some(value) if addresses => format!("{key} = {value}"),
            Some(_) if arg.is_hide_env_values_set() => format!("# {key} is set, and a secret"),
            Some(value) => format!("{key} = {value}"),
            None => format!("# {key} is not set"),
        };
        let note = if addresses && sources.contains_key(&key) {
            ", without user and password"
        } else {
            ""
        };
        let _ = writeln!(text, "{line:<48}  # {source}{note}");
    }
    text
}

fn value(arg: &Arg, matches: &ArgMatches, shown: impl Fn(&str) -> String) -> Option<String> {
    let id = arg.get_id().as_str();
    match arg.get_action() {
        ArgAction::SetTrue => Some(matches.get_flag(id).to_string()),
        ArgAction::Count => Some(matches.get_count(id).to_string()),
        action => {
            let raw = matches.get_raw(id)?;
            let mut each: Vec<String> = raw
                .map(|one| literal(&shown(&one.to_string_lossy())))
                .collect();
            if matches!(action, ArgAction::Append) {
                return Some(format!("[{}]", each.join(", ")));
            }
            each.pop()
        }
    }
}

/// A value as TOML has it.
pub(super) fn literal(text: &str) -> String {
    if text
        .parse::<u32>()
        .is_ok_and(|number| number.to_string() == text)
    {
        return text.to_owned();
    }
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(c);
            }
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

//! Where settings come from: the command line, over the environment, over a file, over defaults.
//!
//! The definitions of [`Cli`] are all there is: a flag `--max-connections` added there is the variable
//! `RTC_SERVER_MAX_CONNECTIONS` and the key `max-connections` of the file by itself, is checked by the same code, and
//! stands in `docs/configuration.md`. A flag with `hide_env = true` is of the command line alone; one with
//! `hide_env_values = true` is a secret, or holds one, and its value is never shown, also where it is wrong.
//!
//! It works in two steps: each value of the environment and the file is tried alone, so that a wrong one can be told by
//! its place; then all that win are put before the command line's own words and read at once.

mod file;
#[cfg(test)]
mod page;
mod show;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, CommandFactory, FromArgMatches};

use crate::cli::Cli;

/// How all variables begin.
const PREFIX: &str = "RTC_SERVER_";

/// The flag that names the file.
const FILE: &str = "config";

/// Variables beginning so that are no flags and yet known.
const OTHER_VARIABLES: [&str; 1] = ["RTC_SERVER_LOG"];

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Nobody said anything.
    Default,
    /// The file of `--config`, at this line.
    File(PathBuf, usize),
    /// This variable of the environment.
    Variable(String),
    /// The command line.
    CommandLine,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Variable(name) => f.write_str(name),
            Self::CommandLine => f.write_str("command line"),
        }
    }
}

/// Why settings are refused.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The command line is wrong, or asks for help.
    #[error(transparent)]
    CommandLine(clap::Error),
    /// Values of the environment or the file are wrong, or do not fit together: a line or more for each.
    #[error("{}", .0.join("\n"))]
    Wrong(Vec<String>),
    /// The file cannot be read.
    #[error("cannot read the settings in {}: {source}; check --config", .path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// What a server is to be started with, and where each value came from.
#[derive(Debug)]
pub struct Settings {
    /// All flags.
    pub cli: Cli,
    /// What there is to say about it, a line each.
    pub remarks: Vec<String>,
    matches: ArgMatches,
    sources: BTreeMap<String, Source>,
}

impl Settings {
    /// Reads the process's own command line, environment and file.
    ///
    /// # Errors
    /// When something in them is wrong, or help is asked for.
    pub fn load() -> Result<Self, SettingsError> {
        Self::of(std::env::args_os(), std::env::vars_os(), |path| {
            std::fs::read_to_string(path)
        })
    }

    /// Reads these.
    ///
    /// # Errors
    /// When something in them is wrong, or help is asked for.
    pub fn of(
        words: impl IntoIterator<Item = OsString>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        read: impl Fn(&Path) -> io::Result<String>,
    ) -> Result<Self, SettingsError> {
        let words: Vec<OsString> = words.into_iter().collect();
        let on_command_line = |error| SettingsError::CommandLine(discreet(error));
        let said = said(&words).map_err(on_command_line)?;
        let mut sources = BTreeMap::new();
        let mut more: Vec<OsString> = Vec::new();
        let mut wrong = Vec::new();
        let (variables, remarks) = variables(environment);
        for arg in settable(&Cli::command()) {
            let key = key(&arg);
            let here = said.value_source(arg.get_id().as_str());
            let overridden = here == Some(ValueSource::CommandLine);
            if overridden {
                sources.insert(key.clone(), Source::CommandLine);
            }
            let name = variable(&key);
            let Some(value) = variables.get(&name) else {
                continue;
            };
            match words_of_variable(&arg, value).and_then(tried) {
                // What is overridden is checked all the same: it would fail on another day.
                Ok(_) if overridden => {}
                Ok(words) => {
                    more.extend(words);
                    sources.insert(key, Source::Variable(name));
                }
                Err(why) => wrong.push(format!("the environment variable {name}: {why}")),
            }
        }
        let path = said.get_one::<PathBuf>(FILE).cloned();
        let path = path.or_else(|| variables.get(&variable(FILE)).map(PathBuf::from));
        if let Some(path) = path {
            let text = read(&path).map_err(|source| SettingsError::Unreadable {
                path: path.clone(),
                source,
            })?;
            match file::read(&text) {
                Ok(entries) => {
                    for entry in entries {
                        if let Entry::Vacant(place) = sources.entry(entry.key) {
                            more.extend(entry.words);
                            place.insert(Source::File(path.clone(), entry.line));
                        }
                    }
                }
                Err(faults) => {
                    wrong.extend(faults.iter().map(|one| one.show(&path, &text)));
                }
            }
        }
        if !wrong.is_empty() {
            return Err(SettingsError::Wrong(wrong));
        }
        let mut all = words.into_iter();
        let program = all.next();
        let all = program.into_iter().chain(more).chain(all);
        let matches = Cli::command()
            .try_get_matches_from(all)
            .map_err(on_command_line)?;
        let cli = Cli::from_arg_matches(&matches).map_err(on_command_line)?;
        let cluster = cli.cluster();
        cluster.map_err(|error| SettingsError::Wrong(vec![error.to_string()]))?;
        Ok(Self {
            cli,
            remarks,
            matches,
            sources,
        })
    }

    /// The effective settings as a file of them, each with where it came from; secrets are not shown.
    #[must_use]
    pub fn show(&self) -> String {
        show::show(&self.matches, &self.sources)
    }
}

/// What the command line says by itself. What is still missing there may stand elsewhere.
fn said(words: &[OsString]) -> Result<ArgMatches, clap::Error> {
    let alone = Cli::command().try_get_matches_from(words);
    match alone {
        Err(error) if error.kind() == ErrorKind::MissingRequiredArgument => Cli::command()
            .ignore_errors(true)
            .try_get_matches_from(words),
        alone => alone,
    }
}

/// All flags that are settings.
fn settable(command: &Command) -> Vec<Arg> {
    let all = command.get_arguments().filter(|arg| {
        let kind = arg.get_action();
        arg.get_long().is_some()
            && !arg.is_hide_env_set()
            && !matches!(
                kind,
                ArgAction::Help | ArgAction::HelpShort | ArgAction::HelpLong | ArgAction::Version
            )
    });
    all.cloned().collect()
}

/// A flag's key in the file: its own name.
fn key(arg: &Arg) -> String {
    arg.get_long().unwrap_or_default().to_owned()
}

/// The variable of a key.
fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.to_uppercase().replace('-', "_"))
}

/// The variables that are ours, and remarks on those that look so. An empty one counts as not set.
fn variables(
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> (BTreeMap<String, OsString>, Vec<String>) {
    let known: Vec<String> = settable(&Cli::command())
        .iter()
        .map(|arg| variable(&key(arg)))
        .chain([variable(FILE)])
        .collect();
    let mut ours = BTreeMap::new();
    let mut remarks = Vec::new();
    for (name, value) in environment {
        let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else {
            continue;
        };
        if known.iter().any(|one| one == name) {
            if !value.is_empty() {
                ours.insert(name.to_owned(), value);
            }
        } else if !OTHER_VARIABLES.contains(&name)
            && let Some(near) = nearest(name, known.iter().map(String::as_str))
        {
            // No error: Kubernetes, for one, makes RTC_SERVER_PORT and more for a service of that name.
            remarks.push(format!(
                "the environment variable {name} means nothing here; is it {near}?"
            ));
        }
    }
    remarks.sort();
    (ours, remarks)
}

/// The known name that was most likely meant.
fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |name: &str| {
        let name = name.strip_prefix(PREFIX).unwrap_or(name);
        name.replace('_', "-").to_lowercase()
    };
    let name = plain(name);
    let likeness = |one: &str| strsim::normalized_damerau_levenshtein(&name, &plain(one));
    let likely = known
        .map(|one| (likeness(one), one))
        .filter(|(likeness, _)| *likeness > 0.7);
    likely
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, one)| one)
}

/// What a variable means as words of the command line.
fn words_of_variable(arg: &Arg, value: &OsStr) -> Result<Vec<OsString>, String> {
    let text = value
        .to_str()
        .ok_or_else(|| format!("{value:?} is not UTF-8; write it anew"))?;
    match arg.get_action() {
        ArgAction::SetTrue => {
            let on = match text.to_ascii_lowercase().as_str() {
                "true" | "1" | "yes" | "on" => true,
                "false" | "0" | "no" | "off" => false,
                _ => return Err(format!("{text:?} is neither true nor false")),
            };
            Ok(words(arg, Value::Flag(on)))
        }
        ArgAction::Count => text
            .parse()
            .map(|times| words(arg, Value::Times(times)))
            .map_err(|_| format!("{text:?} is no number from 0 to 255")),
        ArgAction::Append => {
            let each = text.split_whitespace().map(str::to_owned).collect();
            Ok(words(arg, Value::Each(each)))
        }
        _ => Ok(words(arg, Value::Each(vec![text.to_owned()]))),
    }
}

/// A value in the form of its flag.
enum Value {
    Flag(bool),
    Times(u8),
    Each(Vec<String>),
}

fn words(arg: &Arg, value: Value) -> Vec<OsString> {
    let flag = format!("--{}", key(arg));
    match value {
        Value::Flag(on) => vec![flag; usize::from(on)],
        Value::Times(times) => vec![flag; times.into()],
        Value::Each(values) => values.iter().map(|one| format!("{flag}={one}")).collect(),
    }
    .into_iter()
    .map(OsString::from)
    .collect()
}

/// Has the command line's own checks look at these words alone.
fn tried(words: Vec<OsString>) -> Result<Vec<OsString>, String> {
    let program = OsString::from("rtc-server");
    let alone = std::iter::once(&program).chain(&words);
    match Cli::command().try_get_matches_from(alone) {
        // Needing or excluding another one is looked at where all are there.
        Err(error)
            if !matches!(
                error.kind(),
                ErrorKind::MissingRequiredArgument | ErrorKind::ArgumentConflict
            ) =>
        {
            Err(plainly(&discreet(error)))
        }
        _ => Ok(words),
    }
}

/// An error of the command line without the value of a secret.
fn discreet(mut error: clap::Error) -> clap::Error {
    let arg = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(arg)) => arg.clone(),
        _ => return error,
    };
    let named = arg.trim_start_matches('-').split([' ', '=']).next();
    if named.is_some_and(is_secret) && error.get(ContextKind::InvalidValue).is_some() {
        let hidden = ContextValue::String("…".to_owned());
        error.insert(ContextKind::InvalidValue, hidden);
    }
    error
}

/// Whether the value of this key is never shown.
fn is_secret(name: &str) -> bool {
    let all = settable(&Cli::command());
    let mut secret = all.iter().filter(|arg| arg.is_hide_env_values_set());
    secret.any(|arg| key(arg) == name)
}

/// What an error of the command line says, without what is only true there.
fn plainly(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let lines = text
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("For more information") && !line.starts_with("Usage"))
        .filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;

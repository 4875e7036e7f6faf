//! `docs/configuration.md`, made from the definitions of the flags. A test holds the two together.

use std::fmt::Write as _;

use clap::{Arg, ArgAction, CommandFactory};

use super::show::literal;
use super::{key, settable, variable};
use crate::cli::Cli;

/// The page is about the program as it is built by default.
const NOT_IN_EVERY_PROGRAM: &str = "otlp-endpoint";

const HEAD: &str = include_str!("page.md");

pub(super) fn page() -> String {
    let mut page = HEAD.to_owned();
    let mut heading = None;
    let mut all = settable(&Cli::command());
    all.retain(|arg| key(arg) != NOT_IN_EVERY_PROGRAM);
    // Flags without a heading come first, as in --help; the others keep the order of their first one.
    let order: Vec<Option<String>> = all.iter().map(heading_of).collect();
    all.sort_by_key(|arg| order.iter().position(|one| *one == heading_of(arg)));
    all.sort_by_key(|arg| heading_of(arg).is_some());
    for arg in all {
        let own = heading_of(&arg);
        if heading != Some(own.clone()) {
            let title = own.as_deref().unwrap_or("Serving");
            let _ = write!(
                page,
                "\n## {title}\n\n| key, flag | variable | default | meaning |\n| --- | --- | --- | --- |\n"
            );
            heading = Some(own);
        }
        let key = key(&arg);
        let names = arg.get_value_names().unwrap_or_default();
        let value = match (arg.get_action(), names.first()) {
            (ArgAction::SetTrue | ArgAction::Count, _) | (_, None) => String::new(),
            (_, Some(name)) => format!(" {name}"),
        };
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(
            page,
            "| `--{key}{value}` | `{}` | {} | {} |",
            variable(&key),
            default(&arg),
            help.replace('|', "\\|")
        );
    }
    page
}

fn heading_of(arg: &Arg) -> Option<String> {
    arg.get_help_heading().map(str::to_owned)
}

fn default(arg: &Arg) -> String {
    match arg.get_action() {
        ArgAction::SetTrue => "`false`".into(),
        ArgAction::Count => "`0`".into(),
        _ => {
            let values = arg.get_default_values().iter();
            let values = values.map(|one| format!("`{}`", literal(&one.to_string_lossy())));
            values.collect::<Vec<_>>().join(", ")
        }
    }
}

#[test]
fn the_page_says_what_the_code_says() {
    crate::published::same_as_the_file("docs/configuration.md", &page());
}

//! What `rtc-client test` takes.

use std::path::PathBuf;

use clap::Args;

use super::Wanted;
use crate::options::verdict::ReportForm;

const EXAMPLES: &str = "\
Examples:
  rtc-client test call.toml
  rtc-client test call.toml --junit out.xml --report out.html --keep artefacts
  rtc-client test a.toml b.toml --parallel 2 --seed 7 --server http://localhost:8080
  rtc-client test call.toml --browser chromium=/opt/chrome/chrome

What a file says: docs/scenarios.md

Exit codes:
  0 all is as expected   12 something is not   2 a file is wrong   1 a scenario could not be run
  others as of join: those of the first peer whose call came to a bad end";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Test {
    /// Scenarios: TOML.
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,

    /// Run so many scenarios at a time.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=32))]
    pub(crate) parallel: u8,

    /// Of the luck, in place of the file's.
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,

    /// The server, in place of the file's (http, https).
    #[arg(long, value_name = "URL")]
    pub(crate) server: Option<String>,

    /// Where a browser is: chromium=PATH, firefox=PATH; repeatable.
    #[arg(long, value_name = "NAME=PATH")]
    pub(crate) browser: Vec<String>,

    /// Keep what each peer said, measured and looked like in this folder.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) keep: Option<PathBuf>,

    /// Write what came of it as JUnit's XML.
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,

    /// Write what came of it in the Test Anything Protocol.
    #[arg(long, value_name = "FILE")]
    pub(crate) tap: Option<PathBuf>,

    /// Write all figures as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// Write a report: a page with time lines and pictures (.html), or .json, .xml, .tap; repeatable.
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Vec<PathBuf>,
}

/// What was asked for.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) files: Vec<PathBuf>,
    pub(super) parallel: usize,
    pub(super) seed: Option<u64>,
    pub(super) server: Option<String>,
    pub(super) browsers: Vec<(rtc_scenario::Engine, PathBuf)>,
    pub(super) keep: Option<PathBuf>,
    pub(super) reports: Wanted,
}

impl Plan {
    pub(super) fn new(typed: Test) -> Result<Self, String> {
        let report = |path: PathBuf| match ReportForm::of(&path) {
            Some(ReportForm::Record) | None => Err(format!(
                "--report {}: the file's name ends in .html, .json, .xml (JUnit) or .tap",
                path.display()
            )),
            Some(form) => Ok((form, path)),
        };
        let named = [
            (ReportForm::Junit, typed.junit),
            (ReportForm::Tap, typed.tap),
            (ReportForm::Json, typed.json),
        ];
        let named = named
            .into_iter()
            .filter_map(|(form, path)| Some(Ok((form, path?))));
        let all = named.chain(typed.report.into_iter().map(report));
        Ok(Self {
            reports: all.collect::<Result<_, _>>()?,
            files: typed.files,
            parallel: usize::from(typed.parallel),
            seed: typed.seed,
            server: typed.server,
            browsers: typed
                .browser
                .iter()
                .map(|text| browser(text))
                .collect::<Result<_, _>>()?,
            keep: typed.keep,
        })
    }
}

fn browser(text: &str) -> Result<(rtc_scenario::Engine, PathBuf), String> {
    use rtc_scenario::Engine;
    let engine = |name: &str| {
        [Engine::Chromium, Engine::Firefox]
            .into_iter()
            .find(|engine| engine.name() == name)
    };
    let read = text
        .split_once('=')
        .and_then(|(name, path)| Some((engine(name)?, path)));
    match read {
        Some((engine, path)) if std::path::Path::new(path).is_file() => Ok((engine, path.into())),
        Some((_, path)) => Err(format!("--browser {text}: there is no file {path}")),
        None => Err(format!(
            "--browser {text}: write chromium=PATH or firefox=PATH"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_are_named_with_their_paths() {
        assert!(browser("chrome=/bin/sh").is_err_and(|told| told.contains("chromium=PATH")));
        assert!(browser("firefox=/no/such").is_err_and(|told| told.contains("no file /no/such")));
        assert!(browser("chromium").is_err());
    }
}

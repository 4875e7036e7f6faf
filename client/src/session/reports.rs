//! The files that a verdict goes into: made at the beginning, so that a wrong path is told before the call, filled at the
//! end, and never seen half.

use std::io::Write;
use std::path::{Path, PathBuf};

use rtc_protocol::dialect::whip::Flow;
use rtc_verdict::report::Report;
use rtc_verdict::{Outcome, Record};
use tempfile::NamedTempFile;

use crate::event::ExpectationSummary;
use crate::options::verdict::ReportForm;
use crate::options::{CallOptions, Purpose, SignalingOption};

/// Why a report cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("the report {path} cannot be written: {reason}")]
pub struct ReportError {
    path: String,
    reason: String,
}

impl ReportError {
    fn new(path: &Path, reason: impl ToString) -> Self {
        Self {
            path: path.display().to_string(),
            reason: reason.to_string(),
        }
    }
}

/// Files that wait for what goes into them. Dropped, they leave nothing behind.
#[derive(Debug, Default)]
pub(crate) struct Reports(Vec<(ReportForm, PathBuf, NamedTempFile)>);

impl Reports {
    /// Makes the files beside where they will be. Blocks.
    ///
    /// # Errors
    /// When there can be none.
    pub(crate) fn open(asked: &[(ReportForm, PathBuf)]) -> Result<Self, ReportError> {
        let open = |(form, path): &(ReportForm, PathBuf)| {
            if path.is_dir() {
                return Err(ReportError::new(path, "it is a folder; name a file in it"));
            }
            let folder = path
                .parent()
                .filter(|folder| !folder.as_os_str().is_empty());
            let file = temporary(folder.unwrap_or(Path::new(".")));
            let file = file.map_err(|error| ReportError::new(path, error))?;
            Ok((*form, path.clone(), file))
        };
        asked.iter().map(open).collect::<Result<_, _>>().map(Self)
    }

    /// Fills the files. Blocks.
    ///
    /// # Errors
    /// The first thing that went wrong; the other files are written none the less.
    pub(crate) fn write(self, report: &Report<'_>) -> Result<(), ReportError> {
        self.write_by(|form| {
            let text = match form {
                ReportForm::Html => Ok(report.html()),
                ReportForm::Tap => Ok(report.tap()),
                ReportForm::Json => report.json(),
                ReportForm::Record => report.values(),
                ReportForm::Junit => report.junit(),
            };
            text.map_err(|error| error.to_string())
        })
    }

    /// Fills the files with what there is of each form. Blocks.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub(crate) fn write_by(
        self,
        text_of: impl Fn(ReportForm) -> Result<String, String>,
    ) -> Result<(), ReportError> {
        let mut first = Ok(());
        for (form, path, mut file) in self.0 {
            let written = text_of(form)
                .map_err(|error| ReportError::new(&path, error))
                .and_then(|text| {
                    file.write_all(text.as_bytes())
                        .and_then(|()| file.persist(&path).map_err(|e| e.error))
                        .map_err(|error| ReportError::new(&path, error))
                });
            if first.is_ok() {
                first = written.map(drop);
            }
        }
        first
    }
}

/// As any file is made: what the process's mask leaves of reading and writing.
fn temporary(folder: &Path) -> std::io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".rtc-client-report-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder)
}

/// The report of a call.
pub(super) fn report<'a>(
    options: &CallOptions,
    record: &'a Record,
    outcomes: &'a [Outcome],
    call: (bool, String),
) -> Report<'a> {
    let what = match (&options.purpose, &options.signaling) {
        (Purpose::Room(url), SignalingOption::Whip(Flow::Publish, _)) => {
            format!("rtc-client publish {url}")
        }
        (Purpose::Room(url), SignalingOption::Whip(Flow::Play, _)) => {
            format!("rtc-client play {url}")
        }
        (Purpose::Room(room), _) => format!("rtc-client join {room}"),
        (Purpose::Call(name), _) => format!("rtc-client call {name}"),
        (Purpose::Wait { name, .. }, _) => format!("rtc-client join --as {name}"),
    };
    let mut facts = vec![
        ("version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        ("name".to_owned(), options.name.clone()),
    ];
    if !options.verdict.impairment.is_empty() {
        facts.push(("impairment".to_owned(), options.verdict.impairment.clone()));
    }
    let (call_held, call_words) = call;
    Report {
        title: what,
        facts,
        call_held,
        call_words,
        outcomes,
        record,
        pictures: Vec::new(),
    }
}

/// What came of each expectation, for the last event.
pub(crate) fn summaries(outcomes: &[Outcome]) -> Vec<ExpectationSummary> {
    let summary = |outcome: &Outcome| ExpectationSummary {
        expected: outcome.expectation.text.clone(),
        held: outcome.held,
        measured: outcome
            .findings
            .iter()
            .map(|f| (f.peer.clone(), f.measured))
            .collect(),
        words: outcome.words.clone(),
    };
    outcomes.iter().map(summary).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn asked(path: &Path) -> Vec<(ReportForm, PathBuf)> {
        vec![(ReportForm::Tap, path.to_owned())]
    }

    fn empty(record: &Record) -> Report<'_> {
        Report {
            title: "a call".into(),
            facts: Vec::new(),
            call_held: true,
            call_words: String::new(),
            outcomes: &[],
            record,
            pictures: Vec::new(),
        }
    }

    #[test]
    fn a_report_is_seen_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.tap");
        let reports = Reports::open(&asked(&path)).unwrap();
        assert!(!path.exists());
        reports.write(&empty(&Record::default())).unwrap();
        assert!(std::fs::read_to_string(&path).unwrap().contains("1..1"));
        drop(Reports::open(&asked(&folder.path().join("b.tap"))).unwrap());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_path_that_cannot_be_is_told_before_the_call() {
        let folder = tempfile::tempdir().unwrap();
        for path in [
            folder.path().join("no/such/a.tap"),
            folder.path().to_owned(),
        ] {
            let told = Reports::open(&asked(&path)).unwrap_err().to_string();
            assert!(told.contains(&path.display().to_string()), "{told}");
        }
    }
}

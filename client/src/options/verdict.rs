//! `--expect`, `--junit`, `--report`.

use std::path::PathBuf;

use clap::Args;
use rtc_verdict::Expectation;

use super::OptionError;

const VMAF: &str = "video.vmaf";

/// What the call is held to, and where that is told.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Verdict")]
pub(crate) struct VerdictFlags {
    /// What is expected of the call, such as 'video.fps>=25 after 2s', 'latency.p95<250ms', 'audio.gaps==0'; repeatable. Exit
    /// code 12 if one does not hold. `rtc-client expectations` lists what is measured.
    #[arg(long, value_name = "EXPECTATION")]
    pub(crate) expect: Vec<String>,

    /// Write what came of it as JUnit's XML.
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,

    /// Write a report: a page with time lines and pictures (.html), all figures (.json), every value with its time (.record),
    /// JUnit (.xml) or TAP (.tap); repeatable.
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Vec<PathBuf>,

    /// The ffmpeg that tells video.vmaf, where that is expected: one with libvmaf.
    #[arg(
        long,
        value_name = "PATH",
        env = "RTC_CLIENT_FFMPEG",
        default_value = "ffmpeg"
    )]
    pub(crate) ffmpeg: PathBuf,
}

/// In which form something is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportForm {
    /// A page.
    Html,
    /// All figures.
    Json,
    /// Every value with its time.
    Record,
    /// JUnit's XML.
    Junit,
    /// The Test Anything Protocol.
    Tap,
}

impl ReportForm {
    pub(crate) fn of(path: &std::path::Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        Some(match extension.as_str() {
            "html" | "htm" => Self::Html,
            "json" => Self::Json,
            "record" => Self::Record,
            "xml" => Self::Junit,
            "tap" => Self::Tap,
            _ => return None,
        })
    }
}

/// What the call is held to, and where that is told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VerdictOption {
    /// Each must hold.
    pub expectations: Vec<Expectation>,
    /// Files, and what goes into them.
    pub reports: Vec<(ReportForm, PathBuf)>,
    /// `--impair` as it was typed, for the reports.
    pub impairment: String,
    /// `--ffmpeg`.
    pub ffmpeg: PathBuf,
}

impl VerdictOption {
    /// Reads what was typed.
    ///
    /// # Errors
    /// When an expectation is none, or a file's name does not say what is to be in it.
    pub(crate) fn parse(typed: VerdictFlags, impairment: &[String]) -> Result<Self, OptionError> {
        let expectations = typed.expect.iter().map(|text| {
            let read = text.parse::<Expectation>();
            read.map_err(|error| OptionError::new("--expect", text, error.to_string()))
        });
        let named = typed
            .report
            .into_iter()
            .map(|path| match ReportForm::of(&path) {
                Some(form) => Ok((form, path)),
                None => Err(OptionError::new(
                    "--report",
                    &path.display().to_string(),
                    "the file's name ends in .html, .json, .record, .xml (JUnit) or .tap",
                )),
            });
        let junit = typed.junit.map(|path| Ok((ReportForm::Junit, path)));
        Ok(Self {
            expectations: expectations.collect::<Result<_, _>>()?,
            impairment: impairment.join(" "),
            ffmpeg: typed.ffmpeg,
            reports: junit.into_iter().chain(named).collect::<Result<_, _>>()?,
        })
    }

    /// Whether pictures have to be kept for their VMAF.
    #[must_use]
    pub fn needs_vmaf(&self) -> bool {
        let mut all = self.expectations.iter();
        all.any(|one| one.quantity.name == VMAF)
    }

    /// Whether anything of a verdict is asked for.
    #[must_use]
    pub const fn is_asked(&self) -> bool {
        !self.expectations.is_empty() || !self.reports.is_empty()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn forms_are_told_by_the_names_of_files() {
        let read = VerdictOption::parse(
            VerdictFlags {
                expect: vec!["connect<2s".into()],
                junit: Some("a".into()),
                report: ["b.html", "c.JSON", "d.xml", "e.tap", "f.record"]
                    .map(PathBuf::from)
                    .to_vec(),
                ..VerdictFlags::default()
            },
            &[],
        )
        .unwrap();
        let forms: Vec<ReportForm> = read.reports.iter().map(|(form, _)| *form).collect();
        assert_eq!(
            forms,
            [
                ReportForm::Junit,
                ReportForm::Html,
                ReportForm::Json,
                ReportForm::Junit,
                ReportForm::Tap,
                ReportForm::Record
            ]
        );
        assert!(read.is_asked() && !VerdictOption::default().is_asked());
    }

    #[test]
    fn what_is_none_is_refused_by_its_flag() {
        let refused = |typed| VerdictOption::parse(typed, &[]).unwrap_err().to_string();
        let told = refused(VerdictFlags {
            expect: vec!["video.fsp>=25".into()],
            ..VerdictFlags::default()
        });
        assert!(
            told.contains("--expect") && told.contains("video.fps"),
            "{told}"
        );
        let told = refused(VerdictFlags {
            report: vec!["x.pdf".into()],
            ..VerdictFlags::default()
        });
        assert!(
            told.contains("--report") && told.contains("x.pdf"),
            "{told}"
        );
    }
}

//! What can go wrong with a browser, and what to do then.

use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use serde_json::Value;

/// Why a browser or its page did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum BrowserError {
    /// It is not there.
    #[error(
        "{name} is not installed at {}: run `apt-get install {package}`, or name another with {variable}=PATH",
        program.display()
    )]
    NotInstalled {
        /// Which.
        name: &'static str,
        /// Where it was looked for.
        program: PathBuf,
        /// What has it on Debian.
        package: &'static str,
        /// Which variable names another.
        variable: &'static str,
    },
    /// It has no place for its profile.
    #[error(
        "no folder can be made for the profile of {name}: {source}; make room, or name another place with TMPDIR=PATH"
    )]
    Profile {
        /// Which.
        name: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// The system does not run it.
    #[error("{name} could not be started: {source}; see whether it runs by itself")]
    Start {
        /// Which.
        name: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// It ended before it could be spoken to.
    #[error(
        "{name} ended at once with {status}; see what it says when it is started by hand with --headless"
    )]
    Ended {
        /// Which.
        name: &'static str,
        /// How.
        status: ExitStatus,
    },
    /// It cannot be spoken to.
    #[error(
        "{name} did not open its remote control within {patience:?}; the machine may be too busy, try again"
    )]
    Silent {
        /// Which.
        name: &'static str,
        /// How long it was waited for.
        patience: Duration,
    },
    /// Its remote control does not answer.
    #[error(
        "the browser's remote control at {url} cannot be reached: {why}; does something keep programs from this machine's own addresses?"
    )]
    Unreachable {
        /// Where.
        url: String,
        /// Why.
        why: String,
    },
    /// It is no more.
    #[error("the browser is gone, and has not done {method}; it may have crashed: start another")]
    Gone {
        /// What it should have done.
        method: String,
    },
    /// It does not answer.
    #[error(
        "the browser did not answer {method} within {patience:?}; its page may hang: start another"
    )]
    Unanswered {
        /// What it was asked.
        method: String,
        /// How long it was waited for.
        patience: Duration,
    },
    /// It refused.
    #[error("the browser refused {method}: {why}")]
    Refused {
        /// What it was asked.
        method: String,
        /// In its words.
        why: String,
    },
    /// It answered something that its protocol has not.
    #[error(
        "the browser answered {method} without {what}; it may be older or newer than this program knows"
    )]
    Unlike {
        /// What it was asked.
        method: &'static str,
        /// What is missing.
        what: &'static str,
    },
    /// An address was not loaded.
    #[error("{url} could not be loaded: {why}; is something served there?")]
    NotLoaded {
        /// Which.
        url: String,
        /// In the browser's words.
        why: String,
    },
    /// JavaScript of ours, or of the page's, threw something.
    #[error("{what}, thrown by {script}")]
    Thrown {
        /// What.
        what: String,
        /// What was evaluated.
        script: String,
    },
    /// A condition did not come true.
    #[error("not within {patience:?}: {condition}\nlast seen: {last}\n{page}")]
    NotYet {
        /// How long it was looked at.
        patience: Duration,
        /// Which.
        condition: String,
        /// What it gave at last.
        last: String,
        /// What the page is and said.
        page: String,
    },
    /// A picture of the page was not kept.
    #[error("{} cannot be written: {why}", file.display())]
    Screenshot {
        /// Where to.
        file: PathBuf,
        /// Why.
        why: String,
    },
}

/// What of an answer has to be there.
pub(crate) fn text_of<'a>(
    answer: &'a Value,
    what: &'static str,
    method: &'static str,
) -> Result<&'a str, BrowserError> {
    let text = answer[what].as_str();
    text.ok_or(BrowserError::Unlike { method, what })
}

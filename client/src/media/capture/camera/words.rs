//! What went wrong with a camera, and what to do next.

use crate::media::capture::SourceError;
use crate::media::devices::OPEN_LIMIT;

const WITHOUT: &str = "go without by --video none, or with --video test";

/// A camera that is there and does not work; drivers tell why in free text only.
pub(super) fn trouble(label: &str, problem: &str) -> SourceError {
    let said = problem.to_lowercase();
    let advice = if said.contains("permission denied") || said.contains("os error 13") {
        "allow this program to use it (on Linux: add yourself to the group `video` and log in again)"
    } else if said.contains("busy") || said.contains("os error 16") {
        "another program holds it: close that"
    } else if said.contains("no such device") || said.contains("os error 19") {
        "plug it in again"
    } else {
        "choose another"
    };
    SourceError::Device {
        device: label.to_owned(),
        problem: problem.to_owned(),
        hint: format!("{advice}, or {WITHOUT}"),
    }
}

/// A camera that did not open in time.
pub(super) fn silent() -> SourceError {
    SourceError::Device {
        device: "camera".to_owned(),
        problem: format!("no answer within {} s", OPEN_LIMIT.as_secs()),
        hint: format!("unplug it and plug it in again, or {WITHOUT}"),
    }
}

/// The hint where none matches; `choices` is empty where there is none at all.
pub(super) fn none_found(choices: &str) -> String {
    if choices.is_empty() {
        format!("plug one in, or {WITHOUT}")
    } else {
        format!("there is {choices}; or {WITHOUT}")
    }
}

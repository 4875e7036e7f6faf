//! A diagnosis for people. Pure.

use std::fmt::Write as _;

use super::checks::finding;
use crate::event::doctor::{Diagnosis, Finding, Health};
use crate::media::devices::inventory::Inventory;
use crate::output::text::clean;

/// One line for each finding, then the advice.
pub(super) fn text(diagnosis: &Diagnosis, colours: bool) -> String {
    let mut text = String::new();
    let paint = |code: &str, word: &str| {
        if colours {
            format!("\x1b[{code}m{word}\x1b[0m")
        } else {
            word.to_owned()
        }
    };
    for finding in &diagnosis.findings {
        let mark = match finding.health {
            Health::Ok => paint("32", "ok     "),
            Health::Warning => paint("33", "warning"),
            Health::Failed => paint("31", "failed "),
            Health::Unknown => paint("2", "unknown"),
        };
        let target = finding.target.as_ref();
        let target = target.map(|target| format!("{}: ", clean(target)));
        let _ = writeln!(
            text,
            "{mark} {:<10} {}{}",
            finding.check,
            target.unwrap_or_default(),
            clean(&finding.text)
        );
    }
    for advice in &diagnosis.advice {
        let _ = writeln!(text, "{} {}", paint("1", "->"), clean(advice));
    }
    let _ = writeln!(
        text,
        "{} in {:.1} s",
        match diagnosis.exit_code {
            0 => "all that a call needs works;",
            3 => "no call is possible without the signaling server; looked",
            _ => "media find no way; looked",
        },
        diagnosis.seconds
    );
    text
}

/// What there is to see, hear and show with. A call can do without any of it.
pub(super) fn devices(inventory: Option<&Inventory>) -> Vec<Finding> {
    let Some(inventory) = inventory else {
        let text = "the system did not list them in time".to_owned();
        return vec![finding("devices", None, Health::Unknown, text)];
    };
    let one = |what: &str, names: Vec<&str>, without: &str| {
        let (health, text) = match names.first() {
            Some(first) if names.len() == 1 => (Health::Ok, format!("{what}: {first}")),
            Some(first) => (
                Health::Ok,
                format!("{what}: {first}, and {} more", names.len() - 1),
            ),
            None => (Health::Warning, format!("no {what}: {without}")),
        };
        finding("devices", None, health, text)
    };
    let cameras = inventory.cameras.iter().map(|c| c.device.name.as_str());
    let microphones = inventory.microphones.iter().map(|m| m.device.name.as_str());
    let speakers = inventory.speakers.iter().map(|s| s.device.name.as_str());
    vec![
        one(
            "camera",
            cameras.collect(),
            "--video test or file:PATH send something else",
        ),
        one(
            "microphone",
            microphones.collect(),
            "--audio tone or file:PATH send something else",
        ),
        one(
            "loudspeaker",
            speakers.collect(),
            "the others are not heard",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diagnosis() -> Diagnosis {
        Diagnosis {
            findings: vec![finding(
                "stun",
                None,
                Health::Failed,
                "no\x1b[2Janswer".to_owned(),
            )],
            advice: vec!["check it".to_owned()],
            seconds: 1.25,
            exit_code: 6,
        }
    }

    #[test]
    fn without_a_terminal_there_are_no_colours_and_never_foreign_escapes() {
        let plain = text(&diagnosis(), false);
        assert!(!plain.contains('\x1b'), "{plain}");
        assert!(plain.starts_with("failed  stun"), "{plain}");
        assert!(plain.contains("\n-> check it\n"), "{plain}");
        let coloured = text(&diagnosis(), true);
        assert!(coloured.contains("\x1b[31m") && !coloured.contains("[2J\n"));
    }

    #[test]
    fn missing_devices_are_told_with_what_to_do() {
        let found = devices(Some(&Inventory::default()));
        assert_eq!(found.len(), 3);
        assert!(found.iter().all(|f| f.health == Health::Warning));
        assert_eq!(devices(None)[0].health, Health::Unknown);
    }
}

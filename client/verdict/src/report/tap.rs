//! The Test Anything Protocol, version 14.

use std::fmt::Write;

use super::Report;

pub(super) fn write(report: &Report<'_>) -> String {
    let (all, _) = report.counts();
    let mut text = format!("TAP version 14\n# {}\n1..{all}\n", one_line(&report.title));
    line(
        &mut text,
        1,
        report.call_held,
        "the call",
        &report.call_words,
    );
    for (number, outcome) in (2..).zip(report.outcomes) {
        let name = &outcome.expectation.text;
        line(&mut text, number, outcome.held, name, &outcome.words);
    }
    text
}

fn line(text: &mut String, number: usize, held: bool, name: &str, words: &str) {
    let ok = if held { "ok" } else { "not ok" };
    // A number sign begins a directive, unless it is escaped.
    let name = one_line(name).replace('\\', "\\\\").replace('#', "\\#");
    // JSON is YAML.
    let words = serde_json::Value::from(words);
    let _ = writeln!(
        text,
        "{ok} {number} - {name}\n  ---\n  message: {words}\n  ..."
    );
}

fn one_line(text: &str) -> String {
    text.split(char::is_control).collect::<Vec<_>>().join(" ")
}

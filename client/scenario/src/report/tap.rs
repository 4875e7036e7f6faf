//! The Test Anything Protocol, version 14: each scenario a test with tests of its own.

use std::fmt::Write;

use super::Run;

pub(super) fn write(run: &Run) -> String {
    let mut text = format!("TAP version 14\n1..{}\n", run.scenes.len());
    for (number, scene) in (1..).zip(&run.scenes) {
        let name = one_line(&scene.name);
        let _ = writeln!(text, "# Subtest: {name}");
        let all = scene.tests.len() + usize::from(scene.trouble.is_some());
        let _ = writeln!(text, "    1..{all}");
        let trouble = scene
            .trouble
            .iter()
            .map(|words| (false, "the scenario", words.as_str()));
        let tests = scene
            .tests
            .iter()
            .map(|test| (test.held, test.name.as_str(), test.words.as_str()));
        for (number, (held, name, words)) in (1..).zip(trouble.chain(tests)) {
            line(&mut text, "    ", number, held, name);
            // JSON is YAML.
            let words = serde_json::Value::from(words);
            let _ = writeln!(text, "      ---\n      message: {words}\n      ...");
        }
        line(&mut text, "", number, scene.held(), &scene.name);
    }
    text
}

fn line(text: &mut String, indent: &str, number: usize, held: bool, name: &str) {
    let ok = if held { "ok" } else { "not ok" };
    // A number sign begins a directive, unless it is escaped.
    let name = one_line(name).replace('\\', "\\\\").replace('#', "\\#");
    let _ = writeln!(text, "{indent}{ok} {number} - {name}");
}

fn one_line(text: &str) -> String {
    text.split(char::is_control).collect::<Vec<_>>().join(" ")
}

//! The run as one page: no script, no font, no picture from elsewhere.

use std::fmt::Write;

use rtc_verdict::report::Mark;
use rtc_verdict::report::html::{STYLE, escape, facts, pictures, shades, timelines};

use super::{Run, Scene, ShownPeer, ShownStep};
use crate::judge::Test;

const MORE: &str = include_str!("scenario.css");

pub(super) fn write(run: &Run) -> String {
    let mut page = String::with_capacity(128 * 1024);
    let verdict = word(run.held());
    let title = match run.scenes.as_slice() {
        [one] => escape(&one.name),
        all => format!("{} scenarios", all.len()),
    };
    let _ = write!(
        page,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">\
         <title>{verdict}: {title}</title><style>{STYLE}{MORE}</style></head><body><main>"
    );
    if run.scenes.len() > 1 {
        overview(&mut page, run);
    }
    for (number, one) in run.scenes.iter().enumerate() {
        scene(&mut page, number, one);
    }
    page.push_str("</main></body></html>\n");
    page
}

const fn word(held: bool) -> &'static str {
    if held { "passed" } else { "failed" }
}

fn overview(page: &mut String, run: &Run) {
    let held = run.scenes.iter().filter(|scene| scene.held()).count();
    let verdict = word(run.held());
    let _ = write!(
        page,
        "<header class=\"{verdict}\"><h1>{} scenarios</h1><p class=\"verdict\">{verdict}</p><p>{held} of {} passed</p><ul class=\"scenes\">",
        run.scenes.len(),
        run.scenes.len()
    );
    for (number, scene) in run.scenes.iter().enumerate() {
        let mark = if scene.held() { "✓" } else { "✗" };
        let _ = write!(
            page,
            "<li class=\"{}\"><a href=\"#s{number}\">{mark} {}</a></li>",
            if scene.held() { "held" } else { "not" },
            escape(&scene.name)
        );
    }
    page.push_str("</ul></header>");
}

fn scene(page: &mut String, number: usize, scene: &Scene) {
    let verdict = word(scene.held());
    let all = scene.tests.len();
    let held = all - scene.failed().count();
    let _ = write!(
        page,
        "<header id=\"s{number}\" class=\"{verdict}\"><h1>{}</h1><p class=\"verdict\">{verdict}</p><p>{held} of {all} as expected, {:.1} s</p>",
        escape(&scene.name),
        scene.lasted.as_secs_f64()
    );
    if let Some(trouble) = &scene.trouble {
        let _ = write!(page, "<p class=\"trouble\">{}</p>", escape(trouble));
    }
    page.push_str("</header>");
    tests(page, "Not as expected", scene.failed());
    steps(page, scene);
    tests(
        page,
        "As expected",
        scene.tests.iter().filter(|test| test.held),
    );
    let marks: Vec<Mark> = scene.steps.iter().map(mark).collect();
    for peer in &scene.peers {
        charts(page, scene, peer, &marks);
    }
    page.push_str("<section><h2>Who took part</h2><table><thead><tr><th>peer</th><th>kind</th><th>processor</th><th>its call</th></tr></thead><tbody>");
    for peer in &scene.peers {
        let processor = peer.seen.processor.map_or_else(
            || "not known".into(),
            |share| format!("{:.0} % of a core", share * 100.0),
        );
        let _ = write!(
            page,
            "<tr><td>{}</td><td>{}</td><td>{processor}</td><td>{}</td></tr>",
            escape(&peer.name),
            escape(&peer.kind),
            escape(&peer.seen.words)
        );
    }
    page.push_str("</tbody></table></section>");
    facts(page, &scene.facts);
}

fn tests<'a>(page: &mut String, title: &str, tests: impl Iterator<Item = &'a Test>) {
    let mut tests = tests.peekable();
    if tests.peek().is_none() {
        return;
    }
    let _ = write!(page, "<section><h2>{title}</h2><table><tbody>");
    for test in tests {
        let (class, mark) = if test.held {
            ("held", "✓ yes")
        } else {
            ("not", "✗ no")
        };
        let _ = write!(
            page,
            "<tr class=\"{class}\"><td>{mark}</td><td><code>{}</code></td><td>",
            escape(&test.name)
        );
        let findings = test.outcome.as_ref().map(|outcome| &outcome.findings);
        match findings.filter(|findings| findings.len() > 1) {
            Some(findings) => {
                for finding in findings {
                    let _ = write!(page, "<p>{}</p>", escape(&finding.words));
                }
            }
            None => {
                let _ = write!(page, "<p>{}</p>", escape(&test.words));
            }
        }
        page.push_str("</td></tr>");
    }
    page.push_str("</tbody></table></section>");
}

fn steps(page: &mut String, scene: &Scene) {
    if scene.steps.is_empty() {
        return;
    }
    page.push_str("<section><h2>Steps</h2><ol class=\"steps\">");
    for step in &scene.steps {
        let class = if step.trouble.is_some() {
            "not"
        } else {
            "held"
        };
        let _ = write!(
            page,
            "<li class=\"{class}\"><span class=\"label\">{}</span><b>{:.1} s</b> {}: <code>{}</code>{}{}</li>",
            label(step),
            step.at.as_secs_f64(),
            escape(&step.peer),
            escape(if step.text.is_empty() {
                "(nothing is done)"
            } else {
                &step.text
            }),
            if step.ends { ", its end" } else { "" },
            step.trouble
                .as_ref()
                .map(|why| format!(" — {}", escape(why)))
                .unwrap_or_default()
        );
    }
    page.push_str("</ol></section>");
}

fn label(step: &ShownStep) -> String {
    format!("{}{}", step.number, if step.ends { "'" } else { "" })
}

fn mark(step: &ShownStep) -> Mark {
    Mark {
        at: step.at.as_secs_f64(),
        label: label(step),
        text: format!(
            "{}: {}{}",
            step.peer,
            step.text,
            if step.ends { ", its end" } else { "" }
        ),
    }
}

fn charts(page: &mut String, scene: &Scene, shown: &ShownPeer, marks: &[Mark]) {
    let own = |test: &&Test| test.peer == shown.name;
    for far in shown.seen.record.peers() {
        let outcomes = scene
            .failed()
            .filter(own)
            .filter_map(|test| test.outcome.as_ref());
        let shades = shades(outcomes, &far.name);
        let _ = write!(
            page,
            "<section><h2>What {} received of {}</h2>",
            escape(&shown.name),
            escape(&far.name)
        );
        page.push_str(&timelines(far, scene.lasted, &shades, marks));
        page.push_str("</section>");
    }
    pictures(page, &shown.seen.pictures);
    if !shown.seen.complaints.is_empty() {
        let _ = write!(
            page,
            "<section><h2>What the page of {} complained of</h2><ul class=\"notes\">",
            escape(&shown.name)
        );
        for complaint in &shown.seen.complaints {
            let _ = write!(page, "<li>{}</li>", escape(complaint));
        }
        page.push_str("</ul></section>");
    }
}

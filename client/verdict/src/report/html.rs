//! The report as one page: no script, no font, no picture from elsewhere.

use std::fmt::Write;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::chart::{Chart, Line, Mark};
use super::json::by_second;
use super::{Report, SamplePicture};
use crate::judge::Outcome;
use crate::quantity::{self, Kind};
use crate::record::PeerRecord;
use crate::unit::Unit;

/// How pages look: light or dark, as the reader's system is.
pub const STYLE: &str = include_str!("report.css");

/// What is drawn of each peer: a chart's title, and its lines by quantity.
const CHARTS: &[(&str, &[(&str, &str)])] = &[
    ("Pictures a second", &[("video.frames", "shown")]),
    (
        "Bitrate",
        &[
            ("network.received", "received"),
            ("network.sent", "sent"),
            ("video.bitrate", "picture"),
        ],
    ),
    (
        "Delay",
        &[
            ("video.latency", "picture"),
            ("audio.latency", "sound"),
            ("network.rtt", "round trip"),
        ],
    ),
    (
        "Lost",
        &[
            ("network.loss", "packets"),
            ("audio.concealed", "sound that was invented"),
        ],
    ),
    ("Pictures stood still", &[("video.freeze", "freeze")]),
    ("Likeness of the picture (PSNR)", &[("video.psnr", "luma")]),
    ("Sound (MOS)", &[("audio.mos", "G.107")]),
    ("Picture and sound apart", &[("lipsync", "lip sync")]),
];

pub(super) fn write(report: &Report<'_>) -> String {
    let mut page = String::with_capacity(64 * 1024);
    let (all, failed) = report.counts();
    let verdict = if report.held() { "passed" } else { "failed" };
    let title = escape(&report.title);
    let _ = write!(
        page,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">\
         <title>{verdict}: {title}</title><style>{STYLE}</style></head><body><main>\
         <header class=\"{verdict}\"><h1>{title}</h1><p class=\"verdict\">{verdict}</p><p>{} of {all} as expected, {:.1} s of call: {}</p></header>",
        all - failed,
        report.record.duration().as_secs_f64(),
        escape(&report.call_words)
    );
    expectations(&mut page, report.outcomes);
    for peer in report.record.peers() {
        charts(&mut page, report, peer);
    }
    pictures(&mut page, &report.pictures);
    facts(&mut page, &report.facts);
    page.push_str("</main></body></html>\n");
    page
}

fn expectations(page: &mut String, outcomes: &[Outcome]) {
    if outcomes.is_empty() {
        return;
    }
    page.push_str(
        "<section><h2>Expectations</h2><table><thead><tr><th>held</th><th>expected</th><th>measured</th></tr></thead><tbody>",
    );
    for outcome in outcomes {
        let (class, mark) = if outcome.held {
            ("held", "✓ yes")
        } else {
            ("not", "✗ no")
        };
        let _ = write!(
            page,
            "<tr class=\"{class}\"><td>{mark}</td><td><code>{}</code></td><td>",
            escape(&outcome.expectation.text)
        );
        if outcome.findings.is_empty() {
            let _ = write!(page, "<p>{}</p>", escape(&outcome.words));
        }
        for finding in &outcome.findings {
            let _ = write!(page, "<p>{}</p>", escape(&finding.words));
        }
        page.push_str("</td></tr>");
    }
    page.push_str("</tbody></table></section>");
}

fn charts(page: &mut String, report: &Report<'_>, peer: &PeerRecord) {
    let shades = shades(report.outcomes, &peer.name);
    let _ = write!(page, "<section><h2>{}</h2>", escape(&peer.name));
    page.push_str(&timelines(peer, report.record.duration(), &shades, &[]));
    page.push_str("</section>");
}

/// The time lines of one peer over the whole of a call, with bad stretches shaded, what was done marked, and what happened below.
#[must_use]
pub fn timelines(
    peer: &PeerRecord,
    end: Duration,
    shades: &[(f64, f64)],
    marks: &[Mark],
) -> String {
    let mut page = String::new();
    let notes = peer.notes().iter();
    let notes: Vec<(f64, String)> = notes
        .map(|(at, text)| (at.as_secs_f64(), text.clone()))
        .collect();
    for (title, lines) in CHARTS {
        let chart = Chart {
            title,
            unit: lines
                .first()
                .and_then(|(name, _)| quantity::find(name))
                .map_or(Unit::Count, |q| q.unit),
            lines: lines
                .iter()
                .filter_map(|(name, told)| line(peer, name, told, end))
                .collect(),
            seconds: end.as_secs_f64(),
            shades,
            notes: &notes,
            marks,
        };
        page.push_str(&chart.draw());
    }
    if !notes.is_empty() {
        page.push_str("<h3>What happened</h3><ol class=\"notes\">");
        for (at, text) in &notes {
            let _ = write!(page, "<li><b>{at:.1} s</b> {}</li>", escape(text));
        }
        page.push_str("</ol>");
    }
    page
}

/// A line with a point in the middle of each second.
fn line(peer: &PeerRecord, name: &str, told: &str, end: Duration) -> Option<Line> {
    let sums = matches!(quantity::find(name)?.kind, Kind::Tally | Kind::Counter);
    let values = by_second(peer.get(name)?, sums, end);
    let whole = end.as_secs() as usize;
    let points = values.into_iter().enumerate().map(|(second, value)| {
        // What adds up in a part of a second is no more than a part.
        let value = value.filter(|_| !sums || second < whole)?;
        Some((second as f64 + 0.5, value))
    });
    Some(Line {
        name: told.to_owned(),
        points: points.collect(),
    })
}

/// When it was not as expected of a peer, stretches that touch as one.
#[must_use]
pub fn shades<'a>(outcomes: impl IntoIterator<Item = &'a Outcome>, peer: &str) -> Vec<(f64, f64)> {
    let findings = outcomes.into_iter().flat_map(|outcome| &outcome.findings);
    let mut all: Vec<(f64, f64)> = findings
        .filter(|finding| finding.peer == peer)
        .flat_map(|finding| {
            finding
                .when
                .iter()
                .map(|stretch| (stretch.from, stretch.to))
        })
        .collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    // Shades of several expectations would add up to a darker one.
    all.into_iter()
        .fold(Vec::new(), |mut merged: Vec<(f64, f64)>, (from, to)| {
            match merged.last_mut() {
                Some(last) if from <= last.1 => last.1 = last.1.max(to),
                _ => merged.push((from, to)),
            }
            merged
        })
}

/// Pictures side by side, each inside the page itself.
pub fn pictures(page: &mut String, pictures: &[SamplePicture]) {
    if pictures.is_empty() {
        return;
    }
    page.push_str("<section><h2>Pictures received</h2><div class=\"pictures\">");
    for picture in pictures {
        let _ = write!(
            page,
            "<figure><img alt=\"{0}\" src=\"data:image/png;base64,{1}\"><figcaption>{2}, {3:.1} s: {0}</figcaption></figure>",
            escape(&picture.caption),
            BASE64_STANDARD.encode(&picture.png),
            escape(&picture.peer),
            picture.at.as_secs_f64(),
        );
    }
    page.push_str("</div></section>");
}

/// What else should be known, by name.
pub fn facts(page: &mut String, facts: &[(String, String)]) {
    if facts.is_empty() {
        return;
    }
    page.push_str("<section><h2>How it was run</h2><dl>");
    for (name, value) in facts {
        let _ = write!(page, "<dt>{}</dt><dd>{}</dd>", escape(name), escape(value));
    }
    page.push_str("</dl></section>");
}

/// Names and texts are a far peer's to choose.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            control if control.is_control() && control != '\n' => safe.push('\u{fffd}'),
            other => safe.push(other),
        }
    }
    safe
}

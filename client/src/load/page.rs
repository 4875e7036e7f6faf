//! The figures as one page: no script, no font, no picture from elsewhere.

use std::fmt::Write;

use rtc_verdict::report::html::{STYLE, escape, facts};

use super::report::{COLUMNS, Report};

/// The whole page.
pub(super) fn page(report: &Report) -> String {
    let complaint = report.complaint();
    let verdict = if complaint.is_none() {
        "passed"
    } else {
        "failed"
    };
    let title = escape(&report.title());
    let words = complaint.unwrap_or_else(|| "all of it worked".to_owned());
    let mut page = String::with_capacity(16 * 1024);
    let _ = write!(
        page,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <title>{verdict}: {title}</title><style>{STYLE}</style></head><body><main>\
         <header class=\"{verdict}\"><h1>{title}</h1><p class=\"verdict\">{verdict}</p><p>{}</p></header>",
        escape(&words)
    );
    proofs(&mut page, report);
    latencies(&mut page, report);
    failures(&mut page, report);
    facts(&mut page, &report.facts());
    page.push_str("</main></body></html>\n");
    page
}

fn proofs(page: &mut String, report: &Report) {
    let proofs = report.proofs();
    if proofs.is_empty() {
        return;
    }
    page.push_str("<section><h2>What was to be proved</h2><table>");
    for (held, words) in proofs {
        let (class, word) = if held {
            ("held", "holds")
        } else {
            ("not", "does not hold")
        };
        let words = escape(&words);
        let _ = write!(
            page,
            "<tr class=\"{class}\"><td>{word}</td><td>{words}</td></tr>"
        );
    }
    page.push_str("</table></section>");
}

fn latencies(page: &mut String, report: &Report) {
    let rows = report.latencies();
    if rows.is_empty() {
        return;
    }
    page.push_str(
        "<section><h2>How long it took</h2><p>Milliseconds from when each was due.</p><table><thead><tr><th></th>",
    );
    for column in COLUMNS {
        let _ = write!(page, "<th>{column}</th>");
    }
    page.push_str("</tr></thead>");
    for (name, values) in rows {
        let _ = write!(page, "<tr><td>{name}</td>");
        for value in values {
            let _ = write!(page, "<td>{value:.2}</td>");
        }
        page.push_str("</tr>");
    }
    page.push_str("</table></section>");
}

fn failures(page: &mut String, report: &Report) {
    let failures = report.failures();
    if failures.is_empty() {
        return;
    }
    page.push_str("<section><h2>What failed</h2><table>");
    for (why, count) in failures {
        let why = escape(why);
        let _ = write!(
            page,
            "<tr class=\"not\"><td>{count}</td><td>{why}</td></tr>"
        );
    }
    page.push_str("</table></section>");
}

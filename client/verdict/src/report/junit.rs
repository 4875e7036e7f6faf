//! JUnit's XML, as CI systems read it.

use quick_junit::{NonSuccessKind, Property, TestCase, TestCaseStatus, TestSuite};

use super::{Report, ReportError};

/// What the tests are grouped by.
const CLASS: &str = "rtc-client";

pub(super) fn write(report: &Report<'_>) -> Result<String, ReportError> {
    let time = report.record.duration();
    let mut suite = TestSuite::new(report.title.clone());
    suite.set_time(time);
    for (name, value) in &report.facts {
        suite.add_property(Property::new(name.clone(), value.clone()));
    }
    let mut call = case("the call", report.call_held, "call", &report.call_words, "");
    call.set_time(time);
    suite.add_test_case(call);
    for outcome in report.outcomes {
        let each: Vec<String> = outcome.findings.iter().map(|f| f.words.clone()).collect();
        let text = &outcome.expectation.text;
        let case = case(
            text,
            outcome.held,
            "expectation",
            &outcome.words,
            &each.join("\n"),
        );
        suite.add_test_case(case);
    }
    let mut all = quick_junit::Report::new(CLASS);
    all.set_time(time);
    all.add_test_suite(suite);
    Ok(all.to_string()?)
}

fn case(name: &str, held: bool, kind: &str, words: &str, details: &str) -> TestCase {
    let status = if held {
        TestCaseStatus::success()
    } else {
        let mut failure = TestCaseStatus::non_success(NonSuccessKind::Failure);
        failure.set_message(words).set_type(kind);
        failure.set_description(if details.is_empty() { words } else { details });
        failure
    };
    let mut case = TestCase::new(name, status);
    case.set_classname(CLASS);
    if held {
        case.set_system_out(words);
    }
    case
}

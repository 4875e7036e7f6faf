//! JUnit's XML, as CI systems read it: a suite for each scenario.

use quick_junit::{NonSuccessKind, Property, TestCase, TestCaseStatus, TestSuite};

use super::{ReportError, Run, Scene};

/// What names of classes begin with.
const CLASS: &str = "rtc-client";

pub(super) fn write(run: &Run) -> Result<String, ReportError> {
    let mut all = quick_junit::Report::new(CLASS);
    all.set_time(run.scenes.iter().map(|scene| scene.lasted).sum());
    for scene in &run.scenes {
        all.add_test_suite(suite(scene));
    }
    Ok(all.to_string()?)
}

fn suite(scene: &Scene) -> TestSuite {
    let mut suite = TestSuite::new(scene.name.clone());
    suite.set_time(scene.lasted);
    for (name, value) in &scene.facts {
        suite.add_property(Property::new(name.clone(), value.clone()));
    }
    if let Some(trouble) = &scene.trouble {
        let mut error = TestCaseStatus::non_success(NonSuccessKind::Error);
        error.set_message(trouble).set_type("scenario");
        let mut case = TestCase::new("the scenario", error);
        case.set_classname(format!("{CLASS}.{}", scene.name));
        suite.add_test_case(case);
    }
    for test in &scene.tests {
        let status = if test.held {
            TestCaseStatus::success()
        } else {
            let mut failure = TestCaseStatus::non_success(NonSuccessKind::Failure);
            failure.set_message(&test.words).set_type(test.kind);
            let findings = test.outcome.iter().flat_map(|outcome| &outcome.findings);
            let each: Vec<&str> = findings.map(|finding| finding.words.as_str()).collect();
            let details = each.join("\n");
            failure.set_description(if details.is_empty() {
                &test.words
            } else {
                &details
            });
            failure
        };
        let mut case = TestCase::new(test.name.clone(), status);
        case.set_classname(format!("{CLASS}.{}", scene.name));
        if test.kind == "call" {
            case.set_time(scene.lasted);
        }
        if test.held {
            case.set_system_out(&test.words);
        }
        suite.add_test_case(case);
    }
    suite
}

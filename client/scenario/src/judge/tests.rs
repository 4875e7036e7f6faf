#![allow(clippy::unwrap_used, clippy::panic)]
use super::*;

const TEXT: &str = r#"
duration = "20s"
[[peer]]
name = "ann"
expect = ["connect<2s", "video.fps>=29"]
[[peer]]
name = "bob"
[[step]]
at = "5s"
peer = "ann"
do = "network lost"
for = "2s"
expect = ["video.fps<=1 until 2s", "video.fps>=25 within 6s", "bob: video.fps>=25 within 1s", "video.freeze<1s"]
[[step]]
at = "12s"
peer = "bob"
do = "chat hello"
"#;

const S: fn(u64) -> Duration = Duration::from_secs;

/// Thirty pictures a second but from the fifth to the eighth.
fn seen(of: &str) -> Seen {
    let mut record = Record::default();
    let peer = record.peer("1", of, S(0));
    peer.once(
        "connect",
        Duration::from_millis(90),
        Duration::from_millis(90),
    );
    peer.connected(Duration::from_millis(90));
    for picture in (3..600).filter(|picture| !(150..240).contains(picture)) {
        peer.add("video.frames", S(picture) / 30, 1.0);
    }
    peer.add("video.freeze", S(5), 3_000.0);
    record.end(S(20));
    Seen {
        record,
        held: true,
        ..Seen::default()
    }
}

fn tests(trouble: Option<&str>) -> Vec<Test> {
    let scenario = crate::read(TEXT, "x").unwrap();
    let plan = scenario.plan(1);
    let done: Vec<Done> = plan
        .deeds
        .iter()
        .enumerate()
        .map(|(deed, planned)| Done {
            deed,
            at: planned.at,
            trouble: trouble
                .filter(|_| planned.step == Some(1))
                .map(str::to_owned),
        })
        .collect();
    judge(&scenario, &plan, &[seen("bob"), seen("ann")], &done)
}

fn held(tests: &[Test], name: &str) -> bool {
    let found = tests.iter().find(|test| test.name == name);
    found.unwrap_or_else(|| panic!("{name}: {tests:#?}")).held
}

#[test]
fn each_is_judged_in_its_own_part_of_the_call() {
    let tests = tests(None);
    assert!(held(&tests, "ann: the call"));
    assert!(held(&tests, "ann: connect<2s"));
    assert!(!held(&tests, "ann: video.fps>=29"));
    assert!(held(&tests, "step 1: ann: network lost"));
    assert!(held(&tests, "step 1: ann: video.fps<=1 until 2s"));
    assert!(held(&tests, "step 1: ann: video.fps>=25 within 6s"));
    assert!(!held(&tests, "step 1: bob: video.fps>=25 within 1s"));
    assert!(!held(&tests, "step 1: ann: video.freeze<1s"));
}

#[test]
fn how_soon_it_came_true_is_told() {
    let tests = tests(None);
    let soon = tests
        .iter()
        .find(|test| test.name.contains("within 6s"))
        .unwrap();
    assert!(
        soon.words.starts_with("after 4.0 s: bob: "),
        "{}",
        soon.words
    );
}

#[test]
fn a_step_that_could_not_be_done_fails() {
    let tests = tests(Some("nobody has an open channel"));
    assert!(!held(&tests, "step 2: bob: chat hello"));
    let told = tests.iter().find(|test| test.step == Some(2)).unwrap();
    assert_eq!(told.words, "nobody has an open channel");
}

#[test]
fn what_was_never_done_or_seen_never_holds() {
    let scenario = crate::read(TEXT, "x").unwrap();
    let plan = scenario.plan(1);
    let tests = judge(&scenario, &plan, &[Seen::default(), Seen::default()], &[]);
    assert!(tests.iter().all(|test| !test.held), "{tests:#?}");
}

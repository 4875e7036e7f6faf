#![allow(clippy::unwrap_used)]
use std::time::Duration;

use super::*;

const MS: fn(u64) -> Duration = Duration::from_millis;

/// Twenty seconds with bob: connected after 500 ms, thirty pictures a second from then on, but none from 8 s to 10 s.
fn call() -> Record {
    let mut record = Record::default();
    let peer = record.peer("1", "bob", MS(100));
    peer.once("connect", MS(500), MS(400));
    peer.connected(MS(500));
    let mut last = None;
    for picture in 0..585 {
        let at = MS(500) + Duration::from_secs(1) * picture / 30;
        if (MS(8_000)..MS(10_000)).contains(&at) {
            continue;
        }
        peer.add("video.frames", at, 1.0);
        peer.add("video.marked", at, 1.0);
        peer.add(
            "video.latency",
            at,
            if picture % 100 == 0 { 300.0 } else { 40.0 },
        );
        if let Some(last) = last.replace(at)
            && at - last > MS(300)
        {
            peer.add("video.freeze", last, (at - last).as_secs_f64() * 1e3);
        }
    }
    peer.add("network.loss", MS(9_000), 0.31);
    peer.add("network.rtt", MS(9_000), 80.0);
    peer.note(MS(8_000), "the impairment lets nothing through");
    record.end(MS(20_000));
    record
}

fn outcome(text: &str) -> Outcome {
    let expectation: Expectation = text.parse().unwrap();
    judge(&call(), &[expectation]).remove(0)
}

#[test]
fn what_was_is_compared_with_what_was_expected() {
    for (text, held) in [
        ("connect<2s", true),
        ("connect<400ms", false),
        ("connect<=400ms", true),
        ("video.fps>=26", true),
        ("video.fps>=28", false),
        ("video.fps.min>=1", false),
        ("video.fps.max<=31", true),
        ("video.fps>=29 until 7s", true),
        ("video.fps>=29 after 10s", true),
        ("video.fps>=29 for 80%", true),
        ("video.fps>=29 for 95%", false),
        ("video.freeze<200ms", false),
        ("video.freeze<200ms after 10s", true),
        ("video.freeze.count==1", true),
        ("video.latency.p95<250ms", true),
        ("video.latency.p99<250ms", false),
        ("video.latency.max<=300ms", true),
        ("video.frames>500", true),
        ("video.missing==0", true),
        ("audio.gaps==0", false),
        ("video.psnr>=1dB", false),
        ("network.disconnected==0", true),
        ("video.missing.max==0", true),
        ("video.fps>=26 of bob", true),
        ("video.fps>=26 of ann", false),
    ] {
        let outcome = outcome(text);
        assert_eq!(outcome.held, held, "{text}: {}", outcome.words);
    }
}

#[test]
fn what_failed_says_measured_and_expected_and_when_and_what_the_network_did() {
    let outcome = outcome("video.fps>=28");
    assert_eq!(
        outcome.words,
        "bob: 26.8/s, expected video.fps>=28; worst from 7.5 s to 10.5 s of the call (0/s), when up to 31 % of packets \
         were lost, the round trip was up to 80 ms, at 8.0 s: the impairment lets nothing through"
    );
}

#[test]
fn what_could_not_be_measured_never_holds() {
    for text in [
        "audio.gaps==0",
        "audio.gaps!=1",
        "video.psnr<=100dB",
        "video.fps>=0 after 30s",
    ] {
        let outcome = outcome(text);
        assert!(!outcome.held, "{text}");
        assert!(outcome.words.contains("is not known"), "{}", outcome.words);
    }
}

#[test]
fn no_freeze_is_one_of_no_length_where_pictures_came() {
    let mut record = Record::default();
    let peer = record.peer("1", "bob", MS(0));
    peer.connected(MS(0));
    record.end(MS(3_000));
    let freeze: Expectation = "video.freeze<200ms".parse().unwrap();
    assert!(!judge(&record, std::slice::from_ref(&freeze))[0].held);
    record
        .peer("1", "bob", MS(0))
        .add("video.frames", MS(1_000), 1.0);
    assert!(judge(&record, &[freeze])[0].held);
}

#[test]
fn nobody_fulfils_nothing() {
    let expectation: Expectation = "video.missing==0".parse().unwrap();
    let outcome = judge(&Record::default(), &[expectation]).remove(0);
    assert!(!outcome.held);
    assert_eq!(outcome.words, "nobody else came");
}

#[test]
fn a_peer_that_never_connected_fulfils_nothing() {
    let mut record = Record::default();
    record.peer("1", "bob", MS(0));
    record.end(MS(5_000));
    for text in [
        "connect<2s",
        "video.fps>=0",
        "video.frames==0",
        "network.disconnected==0",
    ] {
        let outcome = judge(&record, &[text.parse().unwrap()]).remove(0);
        assert!(!outcome.held, "{text}");
        assert!(
            outcome.words.contains("no connection ever stood"),
            "{}",
            outcome.words
        );
    }
}

#[test]
fn each_peer_is_held_to_it() {
    let mut record = call();
    let ann = record.peer("2", "ann", MS(0));
    ann.connected(MS(500));
    ann.add("video.frames", MS(600), 1.0);
    record.end(MS(20_000));
    let expectation: Expectation = "video.fps>=20".parse().unwrap();
    let outcome = judge(&record, &[expectation]).remove(0);
    assert!(!outcome.held);
    assert!(
        outcome.words.starts_with("ann: 0.0526/s"),
        "{}",
        outcome.words
    );
    assert_eq!(outcome.findings.len(), 2);
}

#[test]
fn a_tally_tells_the_seconds_in_which_it_grew() {
    let mut record = call();
    let bob = record.peer("1", "bob", MS(0));
    bob.add("video.missing", MS(9_600), 3.0);
    bob.add("video.missing", MS(12_700), 1.0);
    let expectation: Expectation = "video.missing==0".parse().unwrap();
    let outcome = judge(&record, &[expectation]).remove(0);
    let finding = &outcome.findings[0];
    assert_eq!(finding.measured, Some(4.0));
    let when: Vec<_> = finding.when.iter().map(|s| (s.from, s.worst)).collect();
    assert_eq!(when, [(9.5, 3.0), (12.5, 1.0)]);
}

#[test]
fn what_began_before_the_part_that_counts_and_lasts_into_it_counts_in_it() {
    let mut record = Record::default();
    let bob = record.peer("1", "bob", MS(0));
    bob.connected(MS(0));
    for second in 0..30 {
        // Repeated pictures come all the same.
        bob.add("video.frames", MS(1_000 * second), 1.0);
        bob.add("audio.tone", MS(1_000 * second), 1.0);
    }
    for name in ["video.freeze", "audio.silence", "network.disconnected"] {
        bob.add(name, MS(1_900), 23_100.0);
    }
    record.end(MS(30_000));
    for (text, held) in [
        ("video.freeze<200ms after 2s", false),
        ("video.freeze==23s after 2s", true),
        ("video.freeze.count==1 after 2s", true),
        ("video.freeze<200ms after 24900ms", true),
        ("video.freeze==0 after 25s", true),
        ("audio.silence<200ms after 2s", false),
        ("audio.silence==0 after 25s", true),
        ("network.disconnected==0 after 2s", false),
        ("network.disconnected==23s after 2s", true),
        ("network.disconnected==0 after 25s", true),
    ] {
        let outcome = judge(&record, &[text.parse().unwrap()]).remove(0);
        assert_eq!(outcome.held, held, "{text}: {}", outcome.words);
    }
    let outcome = judge(&record, &["video.freeze<1s after 2s".parse().unwrap()]).remove(0);
    let when: Vec<_> = outcome.findings[0].when.iter().collect();
    assert_eq!((when[0].from, when[0].to, when.len()), (2.0, 25.0, 1));
}

#[test]
fn that_nothing_happened_needs_evidence_from_the_part_that_counts() {
    let mut record = Record::default();
    let bob = record.peer("1", "bob", MS(0));
    bob.connected(MS(0));
    for picture in 0..100 {
        let at = MS(40 * picture);
        bob.add("video.frames", at, 1.0);
        bob.add("video.marked", at, 1.0);
        bob.add("audio.tone", at, 0.04);
    }
    bob.add("video.missing", MS(1_000), 1.0);
    bob.add("audio.silence", MS(1_000), 20.0);
    bob.add("inbound-rtp.video.packetsLost", MS(1_000), 1.0);
    record.end(MS(10_000));
    for (text, held) in [
        ("video.missing==1", true),
        ("video.missing==0 after 2s", true),
        ("video.missing.max==0 after 2s", true),
        ("audio.silence.count==0 after 2s", true),
        // Nothing comes from the fourth second on.
        ("video.missing==0 after 5s", false),
        ("video.missing.max==0 after 5s", false),
        ("audio.silence.count==0 after 5s", false),
        // A counter that stands still tells just that.
        ("inbound-rtp.video.packetsLost==0 after 5s", true),
        ("video.frames==0 after 5s", true),
    ] {
        let outcome = judge(&record, &[text.parse().unwrap()]).remove(0);
        assert_eq!(outcome.held, held, "{text}: {}", outcome.words);
    }
}

#[test]
fn a_share_counts_the_seconds_in_which_nothing_happened() {
    let mut record = Record::default();
    let bob = record.peer("1", "bob", MS(0));
    bob.connected(MS(0));
    for second in 0..60 {
        bob.add("video.frames", MS(1_000 * second), 30.0);
    }
    record.end(MS(60_000));
    let share = |record: &Record, text: &str| {
        let outcome = judge(record, &[text.parse().unwrap()]).remove(0);
        (outcome.held, outcome.findings[0].share)
    };
    let never = share(&record, "video.freeze<200ms for 95%");
    assert_eq!(never, (true, Some(1.0)));
    // One of sixty seconds, and then thirty.
    let bob = record.peer("1", "bob", MS(0));
    bob.add("video.freeze", MS(5_100), 250.0);
    let once = share(&record, "video.freeze<200ms for 95%");
    assert_eq!(once, (true, Some(59.0 / 60.0)));
    let bob = record.peer("1", "bob", MS(0));
    bob.add("video.freeze", MS(20_100), 29_500.0);
    let long = share(&record, "video.freeze<200ms for 95%");
    assert_eq!(long, (false, Some(29.0 / 60.0)));
    // What could not be seen has no seconds.
    assert_eq!(share(&record, "audio.gaps==0 for 95%"), (false, None));
}

#![allow(clippy::unwrap_used)]
use proptest::prelude::*;

use super::*;

fn read(text: &str) -> Expectation {
    text.parse().unwrap()
}

fn refusal(text: &str) -> String {
    text.parse::<Expectation>().unwrap_err().to_string()
}

#[test]
fn all_parts_are_read() {
    let read = read("video.latency.p95 < 250 ms after 2s until 20s for 95% of bob");
    assert_eq!(read.name, "video.latency");
    assert_eq!(read.statistic, Statistic::Percentile(95.0));
    assert_eq!((read.comparison, read.asked), (Comparison::Less, 250.0));
    assert_eq!(read.after, Duration::from_secs(2));
    assert_eq!(read.until, Some(Duration::from_secs(20)));
    assert_eq!(read.share, Some(0.95));
    assert_eq!(read.peer.as_deref(), Some("bob"));
}

#[test]
fn without_a_statistic_the_usual_one_is_meant() {
    for (text, name, statistic) in [
        ("connect<2s", "connect", Statistic::Value),
        ("video.fps>=25", "video.fps", Statistic::Mean),
        ("video.psnr>=32dB", "video.psnr", Statistic::Mean),
        ("video.freeze<200ms", "video.freeze", Statistic::Max),
        ("audio.gaps==0", "audio.gaps", Statistic::Total),
        (
            "latency.p95<250ms",
            "video.latency",
            Statistic::Percentile(95.0),
        ),
        (
            "latency.p99.9<250ms",
            "video.latency",
            Statistic::Percentile(99.9),
        ),
        (
            "inbound-rtp.video.packetsLost<=3",
            "inbound-rtp.video.packetsLost",
            Statistic::Total,
        ),
    ] {
        let read = read(text);
        assert_eq!(
            (read.name.as_str(), read.statistic),
            (name, statistic),
            "{text}"
        );
    }
}

#[test]
fn what_cannot_be_meant_is_refused_in_words_that_help() {
    for (text, told) in [
        (
            "video.fps",
            "\"video.fps\" compares nothing: write, for example, video.fps>=25",
        ),
        (
            "video.fsp>=25",
            "\"video.fsp\" is not measured. Did you mean video.fps? (rtc-client expectations lists what is)",
        ),
        (
            "zzzz>1",
            "\"zzzz\" is not measured: rtc-client expectations lists what is",
        ),
        (
            "connect.p95<2s",
            "connect has no p95: it has none: it happens once",
        ),
        (
            "audio.gaps.mean<2",
            "audio.gaps has no mean: it has total, and min and max of a second",
        ),
        (
            "connect<2",
            "\"connect<2\": \"2\" has no unit: write 200ms or 1.5s",
        ),
        (
            "connect<2dB",
            "\"connect<2dB\": \"dB\" is no unit of this: write 200ms or 1.5s",
        ),
        (
            "connect<2s since 3s",
            "\"since\" is no qualifier: there are after 2s, until 10s, for 95% and of NAME",
        ),
        (
            "connect<2s after",
            "\"after\" is no qualifier: there are after 2s, until 10s, for 95% and of NAME",
        ),
        (
            "video.fps>2 for 120%",
            "for 120%: a share is more than 0 % and at most 100 %",
        ),
        (
            "video.fps>2 for 0%",
            "for 0%: a share is more than 0 % and at most 100 %",
        ),
        (
            "connect<2s for 95%",
            "for 95%: connect happens once, and not in each second; leave \"for 95%\" out",
        ),
        (
            "video.fps>2 after 3s until 2s",
            "after 3000 ms until 2000 ms: nothing lies between",
        ),
        (
            "video.latency.p101<1s",
            "video.latency has no p101: it has min, max, mean, median, p0 to p100, total, count and last",
        ),
    ] {
        assert_eq!(refusal(text), told, "{text}");
    }
}

#[test]
fn comparisons_hold_at_their_edges() {
    for (text, below, at, above) in [
        ("video.fps<25", true, false, false),
        ("video.fps<=25", true, true, false),
        ("video.fps>25", false, false, true),
        ("video.fps>=25", false, true, true),
        ("video.fps==25", false, true, false),
        ("video.fps=25", false, true, false),
        ("video.fps!=25", true, false, true),
    ] {
        let read = read(text);
        let holds = |measured| read.comparison.holds(measured, read.asked);
        assert_eq!(
            [holds(24.9), holds(25.0), holds(25.1)],
            [below, at, above],
            "{text}"
        );
    }
    // A mean of tenths is not what it is on paper.
    assert!(Comparison::AtLeast.holds(0.1 + 0.2 - 0.3 + 25.0, 25.0));
}

proptest! {
    #[test]
    fn no_text_is_too_strange(text in "\\PC{0,60}") {
        let _ = text.parse::<Expectation>();
    }

    #[test]
    fn whatever_is_near_the_language_is_read_or_refused(
        name in prop::sample::select(vec!["video.fps", "latency", "connect", "x", "audio.gaps", ""]),
        statistic in prop::sample::select(vec!["", ".p95", ".max", ".pé", ".p", ".total"]),
        op in prop::sample::select(vec!["<", ">=", "=", "!", "=>", ""]),
        value in "[-+]?[0-9.]{0,4}(ms|s|%|dB|é| )?",
        rest in "( after| for| of| until| x| 3s| 5%| é){0,4}",
    ) {
        if let Ok(read) = format!("{name}{statistic}{op}{value}{rest}").parse::<Expectation>() {
            prop_assert!(read.asked.is_finite());
            prop_assert!(read.quantity.has(read.statistic));
        }
    }
}

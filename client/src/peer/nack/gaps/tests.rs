#![allow(clippy::unwrap_used)]
use proptest::prelude::*;

use super::*;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const FAST: Option<Duration> = Some(ms(40));

/// A stream that has begun with packet 9.
fn begun(now: Instant) -> Gaps {
    let mut gaps = Gaps::default();
    gaps.arrived(now, 9, false, FAST);
    gaps
}

#[test]
fn a_hole_is_asked_for_at_once_and_again_after_a_round_trip() {
    let start = Instant::now();
    let mut gaps = begun(start);
    gaps.arrived(start + ms(1), 12, false, FAST);
    assert_eq!(gaps.due(), Some(start + ms(1)));
    assert_eq!(gaps.questions(start + ms(1), FAST), [10, 11]);
    assert_eq!(gaps.due(), Some(start + ms(51)));
    assert!(gaps.questions(start + ms(50), FAST).is_empty());
    assert_eq!(gaps.arrived(start + ms(45), 10, true, FAST), Some(ms(44)));
    assert_eq!(gaps.questions(start + ms(51), FAST), [11]);
    // An answer that comes too soon after the second question answers the first.
    assert_eq!(gaps.arrived(start + ms(61), 11, true, FAST), Some(ms(60)));
    assert_eq!(gaps.due(), None);
}

#[test]
fn a_long_round_trip_is_waited_for() {
    let start = Instant::now();
    let slow = Some(ms(600));
    let mut gaps = begun(start);
    gaps.arrived(start, 11, false, slow);
    let mut asked = Vec::new();
    for at in 0..4_000 {
        if !gaps.questions(start + ms(at), slow).is_empty() {
            asked.push(at);
        }
    }
    assert_eq!(asked, [0, 680, 1_360]);
    assert_eq!(gaps.due(), None, "given up");
}

#[test]
fn what_never_comes_is_given_up() {
    let start = Instant::now();
    let mut gaps = begun(start);
    gaps.arrived(start, 11, false, FAST);
    let count = (0..1_000)
        .filter(|at| !gaps.questions(start + ms(*at), FAST).is_empty())
        .count();
    assert_eq!(count, 8, "every 50 ms for 400 ms");
}

#[test]
fn disorder_is_learned_and_then_not_asked_for() {
    let start = Instant::now();
    let mut gaps = begun(start);
    gaps.arrived(start, 11, false, FAST);
    assert_eq!(gaps.questions(start, FAST), [10]);
    gaps.arrived(start + ms(20), 10, false, FAST);
    // From now on a packet has 25 ms to come by itself.
    gaps.arrived(start + ms(30), 13, false, FAST);
    assert!(gaps.questions(start + ms(54), FAST).is_empty());
    assert_eq!(gaps.questions(start + ms(55), FAST), [12]);
    // Real losses make it impatient again.
    let mut at = start + ms(100);
    for sequence in (15_u16..).step_by(2).take(200) {
        gaps.arrived(at, sequence, false, FAST);
        gaps.arrived(at, sequence - 1, true, FAST);
        at += ms(10);
    }
    gaps.arrived(at, 500, false, FAST);
    assert!(gaps.due().unwrap() < at + ms(1));
}

#[test]
fn before_a_key_frame_nothing_is_asked_for() {
    let start = Instant::now();
    let mut gaps = begun(start);
    gaps.arrived(start, 20, false, FAST);
    gaps.forget();
    assert_eq!((gaps.due(), gaps.questions(start, FAST)), (None, vec![]));
}

#[test]
fn what_was_lost_in_an_outage_is_not_asked_for() {
    let start = Instant::now();
    let mut gaps = begun(start);
    gaps.arrived(start + ms(2_000), 300, false, FAST);
    assert_eq!(gaps.due(), None);
    // The stream goes on as ever.
    gaps.arrived(start + ms(2_010), 302, false, FAST);
    assert_eq!(gaps.questions(start + ms(2_010), FAST), [301]);
}

#[test]
fn numbers_wrap() {
    let start = Instant::now();
    let mut gaps = Gaps::default();
    gaps.arrived(start, u16::MAX - 1, false, FAST);
    gaps.arrived(start, 1, false, FAST);
    assert_eq!(gaps.questions(start, FAST), [u16::MAX, 0]);
}

/// A path on virtual time: 20 % of everything is lost both ways; every packet is repaired, and asked for little more often
/// than the luck of the path demands.
#[test]
fn one_in_five_lost_both_ways_is_repaired_with_few_questions() {
    let start = Instant::now();
    let mut luck = 1_u32;
    let mut lost = move || {
        luck = luck.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (luck >> 16).is_multiple_of(5)
    };
    let mut gaps = Gaps::default();
    let mut answers: Vec<(Instant, u16)> = Vec::new();
    let (mut losses, mut questions, mut repaired) = (0, 0, 0);
    for at in 0..20_000_u64 {
        let now = start + ms(at);
        answers.retain(|(when, sequence)| {
            let here = *when <= now;
            if here && gaps.arrived(now, *sequence, true, FAST).is_some() {
                repaired += 1;
            }
            !here
        });
        if at % 4 == 0 {
            if lost() {
                losses += 1;
            } else {
                gaps.arrived(now, (at / 4) as u16, false, FAST);
            }
        }
        for sequence in gaps.questions(now, FAST) {
            questions += 1;
            // The question and the answer must both get through.
            if !lost() && !lost() {
                answers.push((now + ms(40), sequence));
            }
        }
    }
    assert!(losses > 900, "{losses}");
    assert!(repaired + 20 >= losses, "{repaired} of {losses}");
    assert!(questions < losses * 2, "{questions} for {losses}");
}

proptest! {
    #[test]
    fn whatever_comes_the_memory_is_bounded_and_questions_are_of_what_is_missing(
        packets in prop::collection::vec((any::<u16>(), 0u64..300, any::<bool>()), 1..300)
    ) {
        let mut now = Instant::now();
        let mut gaps = Gaps::default();
        for (sequence, wait, repaired) in packets {
            now += ms(wait);
            gaps.arrived(now, sequence, repaired, FAST);
            prop_assert!(gaps.missing.len() <= MISSING);
            let asked = gaps.questions(now, FAST);
            prop_assert!(!asked.contains(&sequence));
            prop_assert!(gaps.due().is_none_or(|due| due > now));
        }
    }
}

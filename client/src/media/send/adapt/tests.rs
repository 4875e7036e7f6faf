use proptest::prelude::*;

use super::*;

/// 640x360 at 30 pictures a second on virtual time.
struct Run {
    adaptation: Adaptation,
    now: Timestamp,
}

const SIZE: (u32, u32) = (640, 360);
const PLENTY: u32 = 1_500_000;

impl Run {
    fn new(preference: Degradation) -> Self {
        Self {
            adaptation: Adaptation::new(preference),
            now: Timestamp::from_micros(1_000_000),
        }
    }

    /// Seconds of pictures that take as many milliseconds as their size makes them.
    fn go(&mut self, seconds: u32, bitrate: u32, whole_takes_ms: f64) -> Plan {
        for _ in 0..seconds * 30 {
            self.now = self.now + Duration::from_micros(33_333);
            let plan = self.adaptation.plan();
            let share = f64::from(plan.scale.0) / f64::from(plan.scale.1);
            let took = Duration::from_secs_f64(whole_takes_ms / 1000.0 * share * share);
            let seen = Seen {
                took,
                bitrate,
                size: SIZE,
                fps: 30,
                dropped: 0,
            };
            self.adaptation.see(self.now, seen);
        }
        self.adaptation.plan()
    }
}

#[test]
fn where_all_is_well_the_whole_picture_is_sent() {
    let mut run = Run::new(Degradation::Balanced);
    let plan = run.go(60, PLENTY, 5.0);
    assert_eq!((plan.scale, plan.rate), ((1, 1), (1, 1)));
    assert_eq!(run.adaptation.limitation(), Limitation::None);
}

#[test]
fn a_hiccup_changes_nothing() {
    let mut run = Run::new(Degradation::Balanced);
    run.go(10, PLENTY, 5.0);
    run.go(2, 50_000, 5.0);
    assert_eq!(run.go(1, PLENTY, 5.0).scale, (1, 1));
    run.go(2, PLENTY, 100.0);
    assert_eq!(run.go(5, PLENTY, 5.0).scale, (1, 1));
}

#[test]
fn a_narrow_path_makes_the_picture_smaller_and_a_wide_one_whole_again() {
    let mut run = Run::new(Degradation::MaintainFramerate);
    let small = run.go(30, 60_000, 5.0);
    assert_eq!((small.scale, small.rate), ((1, 2), (1, 1)));
    assert_eq!(run.adaptation.limitation(), Limitation::Bandwidth);
    let whole = run.go(60, PLENTY, 5.0);
    assert_eq!(whole.scale, (1, 1));
    assert_eq!(run.adaptation.limitation(), Limitation::None);
}

#[test]
fn each_preference_gives_up_what_it_says() {
    for (preference, smaller, rarer) in [
        (Degradation::MaintainFramerate, true, false),
        (Degradation::MaintainResolution, false, true),
        (Degradation::Balanced, true, true),
    ] {
        let mut run = Run::new(preference);
        let plan = run.go(120, 20_000, 5.0);
        assert_eq!(plan.scale != (1, 1), smaller, "{preference:?} {plan:?}");
        assert_eq!(plan.rate != (1, 1), rarer, "{preference:?} {plan:?}");
    }
}

#[test]
fn a_slow_processor_is_given_less_until_it_keeps_up() {
    for preference in [
        Degradation::Balanced,
        Degradation::MaintainFramerate,
        Degradation::MaintainResolution,
    ] {
        let mut run = Run::new(preference);
        let plan = run.go(60, PLENTY, 60.0);
        assert_eq!(run.adaptation.limitation(), Limitation::Cpu);
        let load = 0.060 * 30.0 * plan.cost();
        assert!(load < BUSY, "{preference:?} {plan:?}: {load}");
    }
}

#[test]
fn a_step_up_that_is_regretted_is_tried_ever_more_rarely() {
    let mut run = Run::new(Degradation::MaintainFramerate);
    let mut changes = Vec::new();
    let mut last = run.adaptation.plan();
    // Room for the next step by what is measured, too much once it is taken.
    for second in 0..600 {
        let whole = last.scale == (1, 1);
        let plan = run.go(1, PLENTY, if whole { 40.0 } else { 10.0 });
        if plan != last {
            changes.push(second);
            last = plan;
        }
    }
    assert!((4..30).contains(&changes.len()), "{changes:?}");
    let waits: Vec<_> = changes.windows(2).map(|w| w[1] - w[0]).collect();
    assert!(waits.iter().max() > Some(&60), "{changes:?}");
}

#[test]
fn sizes_are_even_and_not_made_tiny() {
    let half = Plan {
        scale: (1, 2),
        rate: (1, 1),
    };
    assert_eq!(half.size((642, 358)), (320, 178));
    assert_eq!(half.size((160, 90)), (160, 90));
    let whole = Degradation::Balanced.ladder()[0];
    assert_eq!(whole.size((641, 359)), (641, 359));
}

#[test]
fn every_ladder_asks_less_at_each_step() {
    for preference in ["balanced", "maintain-framerate", "maintain-resolution"] {
        let ladder = Degradation::named(preference).unwrap_or_default().ladder();
        assert!(ladder.windows(2).all(|w| w[1].cost() < w[0].cost()));
    }
    assert_eq!(Degradation::named("none"), None);
}

proptest! {
    #[test]
    fn thinning_keeps_its_share_evenly(part in 1u32..6, of in 1u32..6, count in 1usize..200) {
        let mut thinning = Thinning::default();
        let taken = (0..count).filter(|_| thinning.takes((part, of))).count();
        let wanted = count * part.min(of) as usize / of as usize;
        prop_assert!(taken.abs_diff(wanted) <= 1, "{taken} of {count}, {wanted} wanted");
    }

    #[test]
    fn any_course_of_events_moves_by_single_steps(
        events in prop::collection::vec((0u64..5_000, 0u64..200, 0u32..3_000_000, 0u64..9), 1..300),
        preference in 0usize..3,
    ) {
        let names = ["balanced", "maintain-framerate", "maintain-resolution"];
        let mut run = Run::new(Degradation::named(names[preference]).unwrap_or_default());
        for (later, took, bitrate, dropped) in events {
            run.now = run.now + Duration::from_millis(later);
            let before = (run.adaptation.bandwidth.at, run.adaptation.cpu.at);
            run.adaptation.see(run.now, Seen {
                took: Duration::from_millis(took), bitrate, size: SIZE, fps: 30, dropped,
            });
            let after = (run.adaptation.bandwidth.at, run.adaptation.cpu.at);
            prop_assert!(before.0.abs_diff(after.0) <= 1 && before.1.abs_diff(after.1) <= 1);
            prop_assert!(after.0.max(after.1) < run.adaptation.ladder.len());
            prop_assert_eq!(after == (0, 0), run.adaptation.limitation() == Limitation::None);
        }
    }
}

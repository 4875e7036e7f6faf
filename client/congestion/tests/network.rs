//! What the rules make of a network, on virtual time: figures in bits a second at the bottleneck.

use std::time::Duration;

mod simulated;
use simulated::{Flow, Path, Tcp, run};

const MEGABIT: f64 = 1_000_000.0;

fn seconds(of: f64) -> Duration {
    Duration::from_secs_f64(of)
}

/// One sender alone.
fn alone(path: Path, lasts: u64) -> Flow {
    let mut flows = [Flow::new(8.0 * MEGABIT)];
    run(path, 7, lasts, &mut flows, None);
    let [flow] = flows;
    flow
}

#[test]
fn nine_tenths_of_a_path_are_used_within_three_seconds() {
    for rate in [0.5, 1.0, 2.5, 5.0] {
        let flow = alone(Path::of(rate * MEGABIT), 30);
        let after = flow.reaches(0.9 * rate * MEGABIT, 0.0);
        assert!(after <= 3.0, "{rate}: {after} {}", flow.story());
        let later = flow.carried(5.0, 30.0);
        assert!(
            later >= 0.85 * rate * MEGABIT,
            "{rate}: {later} {}",
            flow.story()
        );
        let slowest = flow.slowest(3.0, 30.0);
        assert!(
            slowest <= seconds(0.3),
            "{rate}: {slowest:?} {}",
            flow.story()
        );
    }
}

#[test]
fn a_path_that_shrinks_is_followed_within_a_second_and_used_again_when_it_grows() {
    let mut path = Path::of(2.5 * MEGABIT);
    path.rates.push((seconds(10.0), 0.5 * MEGABIT));
    path.rates.push((seconds(20.0), 2.5 * MEGABIT));
    let flow = alone(path, 40);
    let after = flow.falls(0.5 * MEGABIT, 10.0);
    assert!(after <= 1.0, "{after} {}", flow.story());
    let slowest = flow.slowest(11.5, 20.0);
    assert!(slowest <= seconds(0.33), "{slowest:?} {}", flow.story());
    let frozen = flow.frozen(5.0, 19.0);
    assert!(frozen <= seconds(0.4), "{frozen:?} {}", flow.story());
    let carried = flow.carried(12.0, 20.0);
    assert!(carried >= 0.8 * 0.5 * MEGABIT, "{carried} {}", flow.story());
    let back = flow.reaches(2.0 * MEGABIT, 20.0);
    assert!(back <= 8.0, "{back} {}", flow.story());
}

#[test]
fn however_seldom_a_receiver_tells_a_shrinking_path_freezes_pictures_for_a_moment_only() {
    for (feedback, longest) in [(0.05, 0.4), (0.1, 0.5), (0.2, 0.7)] {
        for at in [10.0, 10.02, 10.04, 10.06, 10.08] {
            let mut path = Path::of(2.5 * MEGABIT);
            path.feedback = seconds(feedback);
            path.rates.push((seconds(at), 0.5 * MEGABIT));
            let flow = alone(path, 20);
            let frozen = flow.frozen(5.0, 19.0);
            assert!(frozen <= seconds(longest), "{frozen:?} {}", flow.story());
        }
    }
}

#[test]
fn random_loss_is_no_reason_to_send_less() {
    for loss in [0.01, 0.05, 0.1, 0.2] {
        let mut path = Path::of(2.5 * MEGABIT);
        path.loss = loss;
        let flow = alone(path, 40);
        // What the loss takes never comes to the bottleneck.
        let carried = flow.carried(8.0, 40.0);
        assert!(
            carried >= 0.8 * 2.5 * MEGABIT,
            "{loss}: {carried} {}",
            flow.story()
        );
        let slowest = flow.slowest(5.0, 40.0);
        assert!(
            slowest <= seconds(0.35),
            "{loss}: {slowest:?} {}",
            flow.story()
        );
    }
}

#[test]
fn a_queue_too_short_to_be_seen_is_found_by_its_losses() {
    let mut path = Path::of(MEGABIT);
    path.queue = seconds(0.02);
    let flow = alone(path, 40);
    let carried = flow.carried(10.0, 40.0);
    assert!(carried >= 0.75 * MEGABIT, "{carried} {}", flow.story());
    let sent: usize = flow.seen[100..].iter().map(|seen| seen.sent).sum();
    let arrived: usize = flow.seen[100..].iter().map(|seen| seen.arrived).sum();
    let lost = 1.0 - arrived as f64 / sent as f64;
    assert!(lost < 0.06, "{lost} {}", flow.story());
}

#[test]
fn jitter_starves_nobody() {
    let mut path = Path::of(2.5 * MEGABIT);
    path.jitter = seconds(0.04);
    let flow = alone(path, 40);
    let carried = flow.carried(10.0, 40.0);
    assert!(carried >= 0.7 * 2.5 * MEGABIT, "{carried} {}", flow.story());
}

#[test]
fn a_cut_of_two_seconds_is_over_two_seconds_after_it() {
    let mut path = Path::of(2.5 * MEGABIT);
    path.cuts.push((seconds(10.0), seconds(12.0)));
    let flow = alone(path, 20);
    let saved = flow.seen[118].target;
    assert!(saved < 0.5 * MEGABIT, "{saved} {}", flow.story());
    let frozen = flow.frozen(5.0, 19.0);
    assert!(frozen <= seconds(2.15), "{frozen:?} {}", flow.story());
    let carried = flow.carried(13.0, 16.0);
    assert!(carried >= 0.8 * 2.5 * MEGABIT, "{carried} {}", flow.story());
}

#[test]
fn two_senders_share() {
    let mut flows = [
        Flow::new(8.0 * MEGABIT),
        Flow::new(8.0 * MEGABIT).from(seconds(10.0)),
    ];
    run(Path::of(2.5 * MEGABIT), 7, 90, &mut flows, None);
    for flow in &flows {
        let carried = flow.carried(40.0, 90.0);
        assert!(carried >= 2.5 * MEGABIT / 3.0, "{carried} {}", flow.story());
    }
}

#[test]
fn beside_tcp_neither_starves() {
    // Who of the two is dropped first is luck: what counts is the mean of some calls.
    const CALLS: u64 = 6;
    let (mut ours, mut theirs) = (0.0, 0.0);
    for seed in 1..=CALLS {
        let mut tcp = Tcp::default();
        let mut flows = [Flow::new(8.0 * MEGABIT)];
        run(
            Path::of(2.5 * MEGABIT),
            seed,
            90,
            &mut flows,
            Some(&mut tcp),
        );
        let (one, other) = (flows[0].carried(30.0, 90.0), tcp.carried(30.0, 90.0));
        assert!(one.min(other) >= 2.5 * MEGABIT / 4.0, "{one} {other}");
        ours += one / CALLS as f64;
        theirs += other / CALLS as f64;
    }
    assert!(ours.min(theirs) >= 2.5 * MEGABIT / 3.0, "{ours} {theirs}");
}

#[test]
fn a_sender_that_needs_little_keeps_what_probes_have_found() {
    let mut flows = [Flow::new(8.0 * MEGABIT).appetite(0.2)];
    run(Path::of(2.5 * MEGABIT), 7, 30, &mut flows, None);
    let target = flows[0].seen[290].target;
    assert!(target >= 1.5 * MEGABIT, "{target} {}", flows[0].story());
}

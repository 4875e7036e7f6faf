use proptest::prelude::*;

use super::*;

/// A 20 ms CELT packet that carries a number.
fn packet(n: u8) -> Bytes {
    Bytes::copy_from_slice(&[31 << 3, n])
}

/// A 20 ms SILK packet with the likeness of the one before it.
fn redundant(n: u8) -> Bytes {
    Bytes::copy_from_slice(&[9 << 3, 0x40, n])
}

fn at(ms: u64) -> Timestamp {
    Timestamp::from_micros(10_000_000 + ms * 1000)
}

const TEN: Duration = Duration::from_millis(10);
const TWENTY: Duration = Duration::from_millis(20);

fn played(play: &Play) -> Option<&Bytes> {
    match play {
        Play::Packet { payload, .. } => Some(payload),
        _ => None,
    }
}

#[test]
fn a_late_packet_holds_the_sound_up_and_is_played_when_it_comes() {
    let mut jitter = AudioJitter::default();
    jitter.push(at(0), 0, packet(0));
    assert_eq!(played(&jitter.pull()), Some(&packet(0)));
    assert_eq!(jitter.pull(), Play::Starved(TEN));
    assert_eq!(jitter.pull(), Play::Starved(TEN));
    assert_eq!(jitter.pull(), Play::Starved(TEN));
    jitter.push(at(50), 960, packet(1));
    assert_eq!(played(&jitter.pull()), Some(&packet(1)));
    assert_eq!(jitter.counts().late, 0);
}

#[test]
fn a_lost_packet_is_recovered_from_the_next() {
    let mut jitter = AudioJitter::default();
    jitter.push(at(0), 0, packet(0));
    jitter.push(at(40), 1_920, redundant(2));
    jitter.pull();
    let recovered = Play::Recover {
        next: redundant(2),
        duration: TWENTY,
    };
    assert_eq!(jitter.pull(), recovered);
    assert_eq!(played(&jitter.pull()), Some(&redundant(2)));
    assert_eq!(jitter.counts().recovered, 1);
}

#[test]
fn what_was_concealed_before_a_loss_was_known_counts_as_part_of_it() {
    let mut jitter = AudioJitter::default();
    jitter.push(at(0), 0, packet(0));
    jitter.pull();
    assert_eq!(jitter.pull(), Play::Starved(TEN));
    jitter.push(at(40), 1_920, packet(2));
    assert_eq!(jitter.pull(), Play::Conceal(TEN));
    assert_eq!(played(&jitter.pull()), Some(&packet(2)));
}

#[test]
fn of_a_burst_of_losses_the_last_is_recovered() {
    let mut jitter = AudioJitter::default();
    jitter.push(at(0), 0, packet(0));
    jitter.push(at(80), 4 * 960, redundant(4));
    jitter.pull();
    assert_eq!(jitter.pull(), Play::Conceal(TWENTY));
    assert_eq!(jitter.pull(), Play::Conceal(TWENTY));
    assert!(matches!(jitter.pull(), Play::Recover { .. }));
    assert!(played(&jitter.pull()).is_some());
}

#[test]
fn a_packet_that_comes_after_it_was_given_up_counts_as_late() {
    let mut jitter = AudioJitter::default();
    jitter.push(at(0), 0, packet(0));
    jitter.push(at(40), 1_920, packet(2));
    for _ in 0..3 {
        jitter.pull();
    }
    jitter.push(at(60), 960, packet(1));
    assert_eq!(jitter.counts().late, 1);
}

#[test]
fn a_packet_wholly_within_the_one_before_it_counts_as_late() {
    let mut jitter = AudioJitter::default();
    // Sixty milliseconds in one packet, and one whose twenty lie within them.
    jitter.push(at(0), 0, Bytes::from_static(&[31 << 3 | 3, 3]));
    jitter.push(at(0), 960, packet(1));
    jitter.push(at(20), 2_880, packet(2));
    assert!(played(&jitter.pull()).is_some());
    assert_eq!(played(&jitter.pull()), Some(&packet(2)));
    assert_eq!(jitter.counts().late, 1);
}

#[test]
fn a_stream_that_ends_is_concealed_for_a_while_and_then_paused() {
    let mut jitter = AudioJitter::default();
    jitter.push(at(0), 0, packet(0));
    jitter.pull();
    let starved =
        std::iter::repeat_with(|| jitter.pull()).take_while(|play| *play == Play::Starved(TEN));
    assert_eq!(starved.count(), 200);
    assert_eq!(jitter.pull(), Play::Paused);
    // And one that comes back is played from where it is.
    jitter.push(at(5_000), 250 * 960, packet(9));
    assert_eq!(played(&jitter.pull()), Some(&packet(9)));
}

#[test]
fn after_a_silence_that_was_not_sent_nothing_more_is_concealed() {
    let mut jitter = AudioJitter::default();
    jitter.push(at(0), 0, packet(0));
    jitter.pull();
    // 400 ms from packet to packet, of which 380 were concealed.
    for _ in 0..38 {
        assert_eq!(jitter.pull(), Play::Starved(TEN));
    }
    jitter.push(at(400), 400 * 48, packet(1));
    assert_eq!(played(&jitter.pull()), Some(&packet(1)));
}

#[test]
fn what_is_long_overdue_is_left_out() {
    let mut jitter = AudioJitter::default();
    for n in 0..50 {
        jitter.push(at(1_000), n * 960, packet(n as u8));
    }
    let moment = jitter.position().unwrap_or(0) + 800_000;
    jitter.skip_to(moment);
    assert_eq!(played(&jitter.pull()), Some(&packet(40)));
    assert_eq!(jitter.counts().late, 40);
}

#[test]
fn durations_come_from_the_toc_byte() {
    assert_eq!(opus_duration(&[31 << 3]), Some(960));
    assert_eq!(opus_duration(&[0]), Some(480));
    assert_eq!(opus_duration(&[(3 << 3) | 3, 2]), Some(5760));
    assert_eq!(
        opus_duration(&[(3 << 3) | 3, 3]),
        None,
        "longer than 120 ms"
    );
    assert_eq!(opus_duration(&[]), None);
}

#[test]
fn the_flag_for_redundancy_is_where_silk_puts_it() {
    for (name, packet, expected) in [
        ("mono, 20 ms", [9 << 3, 0b0100_0000], true),
        ("mono, 20 ms, active only", [9 << 3, 0b1000_0000], false),
        ("mono, 40 ms", [10 << 3, 0b0010_0000], true),
        ("mono, 60 ms", [11 << 3, 0b0001_0000], true),
        ("stereo, side only", [9 << 3 | 4, 0b0001_0000], true),
        ("hybrid", [15 << 3, 0b0100_0000], true),
        ("CELT", [31 << 3, 0xff], false),
    ] {
        assert_eq!(recovers(&packet), expected, "{name}");
    }
    assert!(!recovers(&[9 << 3]));
}

#[test]
fn a_first_packet_whose_run_in_is_not_counted_is_played_whole_as_those_after_it() {
    let mut jitter = AudioJitter::default();
    let run_in = 312;
    let mut heard = Vec::new();
    for n in 0..50_u32 {
        let time = (n * 960).saturating_sub(run_in);
        jitter.push(at(u64::from(n) * 20), time, packet(n as u8));
        heard.push(jitter.pull());
    }
    let whole: Vec<_> = (0..50).map(packet).collect();
    let heard: Vec<_> = heard.iter().filter_map(played).cloned().collect();
    assert_eq!(heard, whole);
    assert_eq!(jitter.counts().late, 0);
}

#[test]
fn a_packet_that_comes_again_fills_the_gap_it_left_and_nothing_else() {
    let mut jitter = AudioJitter::default();
    jitter.push(at(0), 0, packet(0));
    assert_eq!(played(&jitter.pull()), Some(&packet(0)));
    // The first came; the second is lost and comes with the third.
    assert!(!jitter.push_again(at(40), 0, packet(9)));
    assert!(jitter.push_again(at(40), 960, packet(1)));
    assert!(!jitter.push_again(at(40), 960, packet(9)), "once");
    jitter.push(at(40), 1_920, packet(2));
    assert_eq!(played(&jitter.pull()), Some(&packet(1)));
    assert_eq!(played(&jitter.pull()), Some(&packet(2)));
    assert_eq!(jitter.counts().late, 0);
}

#[test]
fn a_packet_that_comes_again_from_another_life_of_the_sender_changes_nothing() {
    let mut jitter = AudioJitter::default();
    assert!(!jitter.push_again(at(0), 0, packet(9)), "before the first");
    jitter.push(at(0), 0, packet(0));
    assert_eq!(played(&jitter.pull()), Some(&packet(0)));
    assert!(!jitter.push_again(at(20), 1 << 30, packet(9)));
    jitter.push(at(20), 1 << 30, packet(1));
    assert_eq!(played(&jitter.pull()), Some(&packet(1)));
}

/// Mostly a stream as senders make it, with times that overlap, leave gaps, come again or leap.
fn timestamp_steps() -> impl Strategy<Value = u32> {
    prop_oneof![
        8 => Just(960),
        4 => (-6_000_i32..6_000).prop_map(|step| step as u32),
        1 => any::<u32>(),
    ]
}

proptest! {
    #[test]
    fn any_arrivals_are_survived_and_every_packet_is_counted_once(
        input in proptest::collection::vec((0u64..60_000, timestamp_steps(), proptest::collection::vec(any::<u8>(), 0..4)), 0..300),
    ) {
        let mut jitter = AudioJitter::default();
        let mut now = 0;
        let mut timestamp = 0_u32;
        let mut valid = 0;
        for (wait, step, payload) in input {
            now += wait;
            timestamp = timestamp.wrapping_add(step);
            let now = Timestamp::from_micros(1_000_000_000_000 + now);
            valid += u64::from(opus_duration(&payload).is_some());
            jitter.push(now, timestamp, payload.into());
            let mut pulls = 0;
            loop {
                match jitter.pull() {
                    Play::Starved(_) | Play::Paused => break,
                    // What libopus takes.
                    Play::Conceal(lost) | Play::Recover { duration: lost, .. } => {
                        prop_assert!(lost.as_micros() % 2_500 == 0 && !lost.is_zero());
                        prop_assert!(lost <= Duration::from_millis(120));
                    }
                    Play::Packet { .. } => {}
                }
                pulls += 1;
                prop_assert!(pulls < 10_000);
            }
            prop_assert!(jitter.held.len() <= CAPACITY);
            let counts = jitter.counts();
            prop_assert!(counts.played + counts.late <= valid);
        }
    }
}

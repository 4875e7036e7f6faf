use proptest::prelude::*;

use super::*;

/// At 1 kHz a frame is a millisecond.
fn mixer() -> Mixer {
    Mixer::new(1_000)
}

fn frames(count: usize, value: i16) -> Vec<i16> {
    vec![value; count * 2]
}

fn fill(mixer: &mut Mixer, frames: usize) -> Vec<i16> {
    let mut out = vec![99; frames * 2];
    mixer.fill(&mut out);
    out
}

#[test]
fn nobody_is_silence() {
    assert_eq!(fill(&mut mixer(), 3), frames(3, 0));
}

#[test]
fn a_voice_sounds_once_it_has_gathered_its_target() {
    let mut mixer = mixer();
    let id = mixer.add();
    mixer.push(id, &frames(39, 7));
    assert_eq!(fill(&mut mixer, 10), frames(10, 0));
    mixer.push(id, &frames(1, 7));
    assert_eq!(fill(&mut mixer, 40), frames(40, 7));
    let stats = mixer.stats(id);
    assert_eq!((stats.pushed, stats.played), (40, 40));
    assert_eq!((stats.dropped, stats.underflows), (0, 0));
}

#[test]
fn a_dry_voice_is_silent_and_gathers_again() {
    let mut mixer = mixer();
    let id = mixer.add();
    mixer.push(id, &frames(40, 7));
    let heard = fill(&mut mixer, 50);
    assert_eq!(heard, [frames(40, 7), frames(10, 0)].concat());
    assert_eq!(mixer.stats(id).underflows, 1);
    mixer.push(id, &frames(20, 8));
    assert_eq!(fill(&mut mixer, 10), frames(10, 0));
    // Silence while it gathers is no further underflow.
    assert_eq!(mixer.stats(id).underflows, 1);
    mixer.push(id, &frames(20, 8));
    assert_eq!(fill(&mut mixer, 10), frames(10, 8));
}

#[test]
fn an_overfull_voice_is_cut_to_its_newest_and_counted() {
    let mut mixer = mixer();
    let id = mixer.add();
    mixer.push(id, &frames(190, 1));
    mixer.push(id, &frames(11, 2));
    let stats = mixer.stats(id);
    assert_eq!(
        (stats.pushed, stats.dropped, stats.buffered),
        (201, 161, 40)
    );
    let heard = fill(&mut mixer, 40);
    assert_eq!(heard, [frames(29, 1), frames(11, 2)].concat());
}

#[test]
fn a_push_longer_than_the_buffer_leaves_its_end() {
    let mut mixer = mixer();
    let id = mixer.add();
    mixer.push(id, &frames(10, 1));
    mixer.push(id, &[frames(300, 2), frames(40, 3)].concat());
    let stats = mixer.stats(id);
    assert_eq!(
        (stats.pushed, stats.dropped, stats.buffered),
        (350, 310, 40)
    );
    assert_eq!(fill(&mut mixer, 40), frames(40, 3));
}

#[test]
fn what_is_never_needed_is_cut_after_two_seconds() {
    let mut mixer = mixer();
    let id = mixer.add();
    mixer.push(id, &frames(150, 1));
    for _ in 0..200 {
        mixer.push(id, &frames(10, 1));
        fill(&mut mixer, 10);
    }
    let stats = mixer.stats(id);
    assert_eq!((stats.dropped, stats.buffered), (110, 40));
    // And a voice that keeps to its target is left alone.
    for _ in 0..600 {
        mixer.push(id, &frames(10, 1));
        fill(&mut mixer, 10);
    }
    assert_eq!(mixer.stats(id).dropped, 110);
    assert_eq!(mixer.stats(id).underflows, 0);
}

#[test]
fn voices_add_up_and_one_alone_is_left_exactly_as_it_was() {
    let mut mixer = mixer();
    let (a, b) = (mixer.add(), mixer.add());
    mixer.push(a, &frames(60, i16::MAX));
    assert_eq!(fill(&mut mixer, 10), frames(10, i16::MAX));
    mixer.push(b, &frames(50, -32_000));
    assert_eq!(fill(&mut mixer, 10), frames(10, 767));
    mixer.remove(a);
    assert_eq!(fill(&mut mixer, 10), frames(10, -32_000));
}

#[test]
fn loud_sums_bend_and_never_wrap() {
    assert_eq!(soft(24_576), 24_576);
    assert_eq!(soft(-24_576), -24_576);
    // Half of the room for a sum that is over by as much as the room.
    assert_eq!(soft(32_767), 28_671);
    assert_eq!(soft(-32_767), -28_671);
    assert_eq!(soft(6 * 32_767), 32_394);
    assert_eq!(soft(-6 * 32_768), -32_394);
}

#[test]
fn sound_for_a_voice_that_left_goes_nowhere() {
    let mut mixer = mixer();
    let id = mixer.add();
    mixer.remove(id);
    mixer.push(id, &frames(50, 1));
    assert_eq!(mixer.stats(id), InputStats::default());
    assert_eq!(fill(&mut mixer, 2), frames(2, 0));
}

proptest! {
    #[test]
    fn every_frame_is_accounted_for(steps in proptest::collection::vec((0_usize..300, 0_usize..100), 1..60)) {
        let mut mixer = mixer();
        let id = mixer.add();
        for (push, play) in steps {
            mixer.push(id, &frames(push, 5));
            let out = fill(&mut mixer, play);
            prop_assert!(out.iter().all(|&s| s == 0 || s == 5));
            let stats = mixer.stats(id);
            prop_assert_eq!(stats.pushed, stats.played + stats.dropped + stats.buffered);
            prop_assert!(stats.buffered <= 200);
        }
    }

    #[test]
    fn louder_sums_are_never_quieter(sum in 0_i32..6 * 32_768) {
        prop_assert!(soft(sum) <= soft(sum + 1));
        prop_assert_eq!(soft(-sum), -soft(sum));
    }
}

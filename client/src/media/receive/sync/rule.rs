//! Who waits for whom, and for how long. Pure.
//!
//! Each stream tells how late it is shown without waiting, so nothing that is decided here comes back as an input,
//! and nothing can swing: the wait follows the difference of the two, in slow steps.

use crate::event::Kind;

/// The most that one waits for the other, microseconds.
pub(super) const LIMIT: i64 = 1_000_000;

/// A difference beyond this is nonsense of a sender, whose clocks have nothing to do with each other.
const ABSURD: i64 = 10_000_000;

/// What was told longer ago is not known any more.
const FRESH: i64 = 5_000_000;

/// The wait changes by one in so many: a tenth of a second each second. Stretched sound and late pictures are not noticed at that.
const SLOWNESS: i64 = 10;
/// And as if no more time than this had passed.
const LONGEST_STEP: i64 = 200_000;

/// Sound may be so much later than its picture without anybody noticing, and so much earlier: far below the 125 and 45 ms of
/// ITU-R BT.1359, within which every wait would be a delay for nothing.
const LATE_SOUND: i64 = 20_000;
const EARLY_SOUND: i64 = 10_000;

/// A wait that is wrong by more than this is changed ...
const NOTICED: i64 = 5_000;
/// ... until it is right but for this.
const DONE: i64 = 1_000;

/// See the module. Times are microseconds.
#[derive(Debug, Default)]
pub struct LipSync {
    /// When each kind told how late it is, and how late: sound, pictures.
    told: [Option<(i64, i64)>; 2],
    /// How long sound waits; below nothing: how long pictures do.
    sound_waits: i64,
    stepped: Option<i64>,
    moving: bool,
}

impl LipSync {
    /// A stream is shown or played `delay` after it was taken by the sender's clock, waiting not counted; gives
    /// how long it is to wait.
    pub fn tell(&mut self, now: i64, kind: Kind, delay: i64) -> i64 {
        self.told[super::index(kind)] = Some((now, delay));
        self.step(now);
        match kind {
            Kind::Audio => self.sound_waits.max(0),
            Kind::Video => (-self.sound_waits).max(0),
        }
    }

    /// Whether sound has told something lately.
    pub(super) fn hears(&self, now: i64) -> bool {
        self.fresh(now, Kind::Audio).is_some()
    }

    fn fresh(&self, now: i64, kind: Kind) -> Option<i64> {
        let (at, delay) = self.told[super::index(kind)]?;
        ((now - at).abs() <= FRESH).then_some(delay)
    }

    /// How long sound should wait. Where that is not known nobody waits.
    fn wanted(&self, now: i64) -> i64 {
        let both = self
            .fresh(now, Kind::Audio)
            .zip(self.fresh(now, Kind::Video));
        let apart = both.map_or(0, |(sound, pictures)| pictures.saturating_sub(sound));
        if apart.saturating_abs() > ABSURD {
            return 0;
        }
        // What nobody notices is not waited for.
        let early = (apart - EARLY_SOUND).max(0);
        let late = (apart + LATE_SOUND).min(0);
        (early + late).clamp(-LIMIT, LIMIT)
    }

    fn step(&mut self, now: i64) {
        let passed = now - self.stepped.replace(now).unwrap_or(now);
        let most = passed.clamp(0, LONGEST_STEP) / SLOWNESS;
        let missing = self.wanted(now) - self.sound_waits;
        self.moving = missing.abs() > if self.moving { DONE } else { NOTICED };
        if self.moving {
            self.sound_waits += missing.clamp(-most, most);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Both tell for so many seconds; gives what they wait at the end, and how often the wait turned round.
    fn run(
        sync: &mut LipSync,
        from: i64,
        seconds: i64,
        sound: impl Fn(i64) -> Option<i64>,
        pictures: impl Fn(i64) -> Option<i64>,
    ) -> (i64, i64, usize) {
        let (mut waits, mut turns, mut way) = ((0, 0), 0, 0);
        for n in 0..seconds * 50 {
            let now = from * 1_000_000 + n * 20_000;
            let before = sync.sound_waits;
            if let Some(delay) = sound(n) {
                waits.0 = sync.tell(now, Kind::Audio, delay);
            }
            if let Some(delay) = pictures(n) {
                waits.1 = sync.tell(now, Kind::Video, delay);
            }
            let went = (sync.sound_waits - before).signum();
            if went != 0 && went == -way {
                turns += 1;
            }
            if went != 0 {
                way = went;
            }
            assert!((sync.sound_waits - before).abs() <= 2_000, "slowly");
        }
        (waits.0, waits.1, turns)
    }

    #[test]
    fn the_earlier_one_waits_for_the_other() {
        let mut sync = LipSync::default();
        let (sound, pictures, turns) = run(&mut sync, 0, 5, |_| Some(30_000), |_| Some(150_000));
        assert!((109_000..=110_000).contains(&sound), "{sound}");
        assert_eq!((pictures, turns), (0, 0));
        // Now the sound is late.
        let (sound, pictures, turns) = run(&mut sync, 5, 5, |_| Some(130_000), |_| Some(50_000));
        assert!((59_000..=60_000).contains(&pictures), "{pictures}");
        assert_eq!((sound, turns), (0, 0));
    }

    #[test]
    fn what_nobody_notices_is_left_alone() {
        let mut sync = LipSync::default();
        let waits = run(
            &mut sync,
            0,
            20,
            |n| Some(n % 3 * 4_000),
            |n| Some(n % 7 * 1_000),
        );
        assert_eq!(waits, (0, 0, 0));
    }

    #[test]
    fn delays_that_shake_do_not_make_it_swing() {
        let mut sync = LipSync::default();
        run(&mut sync, 0, 5, |_| Some(20_000), |_| Some(120_000));
        let shaking = |n: i64| Some(120_000 + (n * 7_919 % 9 - 4) * 1_000);
        let (.., turns) = run(&mut sync, 5, 60, |_| Some(20_000), shaking);
        assert_eq!(turns, 0);
    }

    #[test]
    fn nobody_waits_for_who_is_gone_and_nobody_for_nonsense() {
        let mut sync = LipSync::default();
        run(&mut sync, 0, 5, |_| Some(20_000), |_| Some(320_000));
        let (sound, ..) = run(&mut sync, 5, 10, |_| Some(20_000), |_| None);
        assert!(sound <= DONE, "{sound}");
        let (sound, ..) = run(&mut sync, 15, 10, |_| Some(20_000), |_| Some(3_600_000_000));
        assert!(sound <= DONE, "{sound}");
        let (sound, ..) = run(&mut sync, 25, 30, |_| Some(20_000), |_| Some(5_000_000));
        assert!((LIMIT - 2_000..=LIMIT).contains(&sound), "{sound}");
    }

    proptest! {
        #[test]
        fn the_wait_is_bounded_whatever_is_told(
            told in proptest::collection::vec((any::<i32>(), any::<bool>(), any::<i64>()), 0..200),
        ) {
            let mut sync = LipSync::default();
            let mut now = 0_i64;
            for (later, sound, delay) in told {
                now += i64::from(later);
                let kind = if sound { Kind::Audio } else { Kind::Video };
                let waits = sync.tell(now, kind, delay / 4);
                prop_assert!((0..=LIMIT).contains(&waits));
            }
        }
    }
}

//! Which keys a far side pressed (RFC 4733, section 2.5.2): each once, when it is let go. Pure: time is given.

use std::time::Duration;

use super::{Report, Tone};
use crate::media::clock::Timestamp;

/// When nothing more is said of a key for so long, its end was lost.
const LOST: Duration = Duration::from_millis(500);

/// After so long nothing that is said of a key is late: its RTP time may be any.
const FORGOTTEN: Duration = Duration::from_secs(10);

/// A key that was pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Which.
    pub tone: Tone,
    /// For how long, as far as it was told.
    pub duration: Duration,
}

/// See the module.
#[derive(Debug, Default)]
pub struct ToneReceiver {
    pressed: Option<Pressed>,
    /// RTP time of the last key that was let go, and when it was: its end is told more than once.
    done: Option<(u32, Timestamp)>,
}

#[derive(Clone, Copy, Debug)]
struct Pressed {
    tone: Tone,
    timestamp: u32,
    clock: u32,
    /// Ticks of earlier segments, and of this one.
    before: u64,
    duration: u16,
    last_told: Timestamp,
}

impl Pressed {
    fn heard(self) -> Heard {
        let ticks = self.before + u64::from(self.duration);
        Heard {
            tone: self.tone,
            duration: Duration::from_micros(ticks * 1_000_000 / u64::from(self.clock.max(1))),
        }
    }
}

impl ToneReceiver {
    /// Takes a packet; `clock` is the ticks a second of its payload. Gives the keys that are known to be let go now: the
    /// one before may be, whose end was lost.
    pub fn push(
        &mut self,
        now: Timestamp,
        timestamp: u32,
        marker: bool,
        payload: &[u8],
        clock: u32,
    ) -> Vec<Heard> {
        let mut heard = Vec::new();
        let Some(report) = Report::parse(payload) else {
            return heard;
        };
        let done = self.done.filter(|(_, at)| now.since(*at) < FORGOTTEN);
        let done = done.map(|(timestamp, _)| timestamp);
        let newest = self.pressed.map(|p| p.timestamp).or(done);
        let ahead = newest.map(|newest| timestamp.wrapping_sub(newest).cast_signed());
        if ahead.is_some_and(|ahead| ahead < 0) || done == Some(timestamp) {
            return heard;
        }
        let pressed = match self.pressed.take() {
            Some(mut same) if same.timestamp == timestamp => {
                same.duration = same.duration.max(report.duration);
                same.last_told = now;
                same
            }
            // A segment that was full goes on in another (section 2.5.1.3).
            Some(full) if full.goes_on(report.tone, timestamp, marker) => Pressed {
                timestamp,
                before: full.before + u64::from(full.duration),
                duration: report.duration,
                last_told: now,
                ..full
            },
            before => {
                heard.extend(before.map(Pressed::heard));
                Pressed {
                    tone: report.tone,
                    timestamp,
                    clock,
                    before: 0,
                    duration: report.duration,
                    last_told: now,
                }
            }
        };
        if report.end {
            self.done = Some((timestamp, now));
            heard.push(pressed.heard());
        } else {
            self.pressed = Some(pressed);
        }
        heard
    }

    /// When to look again although nothing comes.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        self.pressed.map(|pressed| pressed.last_told + LOST)
    }

    /// The key of which nothing is said any more.
    pub fn tick(&mut self, now: Timestamp) -> Option<Heard> {
        let pressed = self.pressed.filter(|p| now >= p.last_told + LOST)?;
        self.pressed = None;
        self.done = Some((pressed.timestamp, now));
        Some(pressed.heard())
    }
}

impl Pressed {
    fn goes_on(self, tone: Tone, timestamp: u32, marker: bool) -> bool {
        // RTP time may count by another clock than the payload's.
        let passed = timestamp.wrapping_sub(self.timestamp);
        let segment = u32::from(u16::MAX);
        tone == self.tone
            && !marker
            && self.duration == u16::MAX
            && (segment..=segment * 6).contains(&passed)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_micros(1_000_000_000 + millis * 1000)
    }

    fn told(key: char, end: bool, duration: u16) -> [u8; 4] {
        Report {
            tone: Tone::named(key).unwrap(),
            end,
            volume: 10,
            duration,
        }
        .pack()
    }

    fn names(heard: &[Heard]) -> Vec<(char, u128)> {
        heard
            .iter()
            .map(|h| (h.tone.name(), h.duration.as_millis()))
            .collect()
    }

    #[test]
    fn a_key_is_heard_once_however_often_its_end_is_told() {
        let mut receiver = ToneReceiver::default();
        let mut push = |now, timestamp, end, duration| {
            let payload = told('5', end, duration);
            names(&receiver.push(at(now), timestamp, false, &payload, 8_000))
        };
        assert_eq!(push(20, 1_000, false, 160), []);
        assert_eq!(push(100, 1_000, true, 800), [('5', 100)]);
        assert_eq!(push(110, 1_000, true, 800), []);
        assert_eq!(push(111, 1_000, false, 160), [], "late");
        assert_eq!(push(200, 1_700, true, 400), [('5', 50)], "pressed again");
        assert_eq!(push(201, 1_000, true, 800), [], "very late");
    }

    #[test]
    fn a_key_whose_end_is_lost_is_heard_when_the_next_comes_or_none_does() {
        let mut receiver = ToneReceiver::default();
        assert!(
            receiver
                .push(at(0), 0, true, &told('1', false, 960), 48_000)
                .is_empty()
        );
        let heard = receiver.push(at(200), 9_600, true, &told('2', false, 1_920), 48_000);
        assert_eq!(names(&heard), [('1', 20)]);
        assert_eq!(receiver.due(), Some(at(700)));
        assert_eq!(receiver.tick(at(699)), None);
        assert_eq!(receiver.tick(at(700)).map(|h| h.tone.name()), Some('2'));
        assert_eq!(receiver.due(), None);
        let late = receiver.push(at(701), 9_600, false, &told('2', true, 4_800), 48_000);
        assert!(late.is_empty());
    }

    #[test]
    fn a_key_half_a_day_later_is_heard_whatever_its_time() {
        let mut receiver = ToneReceiver::default();
        let key = told('1', true, 4_800);
        assert_eq!(receiver.push(at(0), 1 << 31, true, &key, 48_000).len(), 1);
        assert_eq!(receiver.push(at(9_000), 0, true, &key, 48_000).len(), 0);
        assert_eq!(
            receiver.push(at(40_000_000), 0, true, &key, 48_000).len(),
            1
        );
    }

    #[test]
    fn a_long_key_is_one_over_all_its_segments() {
        let mut receiver = ToneReceiver::default();
        let mut push = |now, timestamp, marker, end, duration| {
            let payload = told('8', end, duration);
            names(&receiver.push(at(now), timestamp, marker, &payload, 48_000))
        };
        assert_eq!(push(20, 0, true, false, 960), []);
        assert_eq!(push(1_380, 0, false, false, u16::MAX), []);
        assert_eq!(push(1_380, 65_535, false, false, 705), []);
        assert_eq!(push(2_000, 65_535, false, true, 30_465), [('8', 2_000)]);
    }

    proptest! {
        #[test]
        fn any_packets_are_survived_and_make_no_more_keys_than_they_are(
            packets in proptest::collection::vec(
                (0_u64..700, any::<u32>(), any::<bool>(), proptest::collection::vec(any::<u8>(), 0..6), any::<u32>()),
                0..60,
            )
        ) {
            let mut receiver = ToneReceiver::default();
            let (mut now, mut heard) = (0, 0);
            for (wait, timestamp, marker, payload, clock) in &packets {
                now += wait;
                heard += usize::from(receiver.tick(at(now)).is_some());
                heard += receiver.push(at(now), *timestamp, *marker, payload, *clock).len();
            }
            prop_assert!(heard <= packets.len());
        }
    }
}

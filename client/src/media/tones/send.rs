//! When which packet of a key goes out (RFC 4733, section 2.5.1). Pure: time is given.

use std::collections::VecDeque;
use std::time::Duration;

use super::{MOST, Report, Step, Tone};
use crate::media::clock::Timestamp;

/// How long a key is pressed, and how long none is before the next (W3C webrtc-pc, `insertDTMF`: its defaults).
const PRESSED: Duration = Duration::from_millis(100);
const GAP: Duration = Duration::from_millis(70);

/// A comma.
const PAUSE: Duration = Duration::from_secs(2);

/// A pressed key is told of as often as sound would be.
const EVERY: Duration = Duration::from_millis(20);

/// Its end is told three times (RFC 4733, section 2.5.1.4), close together: a gap may be 30 ms short.
const ENDS: u8 = 3;
const ENDS_EVERY: Duration = Duration::from_millis(10);

/// 10 dB below the loudest, as libwebrtc does.
const VOLUME: u8 = 10;

/// The longest that one report can tell.
const SEGMENT: u64 = u16::MAX as u64;

/// One packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// When the key was pressed: the RTP time of all its packets.
    pub pressed: Timestamp,
    /// Ticks of the payload's clock to add, where it is pressed for longer than one report can tell.
    pub later: u32,
    /// The first of this key.
    pub marker: bool,
    /// The payload.
    pub report: Report,
}

/// See the module.
#[derive(Debug, Default)]
pub struct ToneSender {
    steps: VecDeque<Step>,
    now: Doing,
    /// Sound before this is not sent.
    silent_until: Timestamp,
}

#[derive(Clone, Copy, Debug, Default)]
enum Doing {
    #[default]
    Nothing,
    Pressing(Pressing),
    Waiting(Timestamp),
}

#[derive(Clone, Copy, Debug)]
struct Pressing {
    tone: Tone,
    began: Timestamp,
    /// When the next packet is due, after `began`.
    next: Duration,
    /// Ticks in earlier segments.
    told: u64,
    first: bool,
    ends: u8,
}

impl ToneSender {
    /// Adds to what is to be dialled; tells whether all of it found place.
    pub fn dial(&mut self, steps: &[Step]) -> bool {
        let fits = self.steps.len() + steps.len() <= MOST;
        if fits {
            self.steps.extend(steps);
        }
        fits
    }

    /// Leaves off.
    pub fn stop(&mut self) {
        self.steps.clear();
        self.now = Doing::Nothing;
    }

    /// When to ask for packets again.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        match self.now {
            Doing::Nothing if self.steps.is_empty() => None,
            Doing::Nothing => Some(Timestamp::default()),
            Doing::Pressing(key) => Some(key.began + key.next),
            Doing::Waiting(until) => Some(until),
        }
    }

    /// Whether sound of this moment gives way: one stream carries either.
    #[must_use]
    pub fn holds_back(&self, at: Timestamp) -> bool {
        matches!(self.now, Doing::Pressing(_)) || at < self.silent_until
    }

    /// The next packet that is due, of a payload with so many ticks a second.
    pub fn poll(&mut self, now: Timestamp, clock: u32) -> Option<Packet> {
        loop {
            match &mut self.now {
                Doing::Waiting(until) if now < *until => return None,
                Doing::Nothing | Doing::Waiting(_) => match self.steps.pop_front() {
                    None => {
                        self.now = Doing::Nothing;
                        return None;
                    }
                    Some(Step::Pause) => self.now = Doing::Waiting(now + PAUSE),
                    Some(Step::Tone(tone)) => {
                        self.silent_until = now + PRESSED;
                        self.now = Doing::Pressing(Pressing::new(tone, now));
                    }
                },
                Doing::Pressing(key) if now < key.began + key.next => return None,
                Doing::Pressing(key) => {
                    let packet = key.packet(PRESSED, clock);
                    if key.ends == ENDS {
                        self.now = Doing::Waiting(key.began + PRESSED + GAP);
                    }
                    return Some(packet);
                }
            }
        }
    }
}

impl Pressing {
    const fn new(tone: Tone, began: Timestamp) -> Self {
        Self {
            tone,
            began,
            next: EVERY,
            told: 0,
            first: true,
            ends: 0,
        }
    }

    /// The packet that is due, of a key that is pressed for so long.
    fn packet(&mut self, pressed: Duration, clock: u32) -> Packet {
        let end = self.next >= pressed;
        let ticks = self.next.min(pressed).as_micros() * u128::from(clock) / 1_000_000;
        let ticks = u64::try_from(ticks).unwrap_or(u64::MAX) - self.told;
        // What is longer goes on in a segment of its own, whose time is later (section 2.5.1.3).
        let full = ticks > SEGMENT;
        let packet = Packet {
            pressed: self.began,
            later: u32::try_from(self.told).unwrap_or(u32::MAX),
            marker: std::mem::take(&mut self.first),
            report: Report {
                tone: self.tone,
                end: end && !full,
                volume: VOLUME,
                duration: u16::try_from(ticks).unwrap_or(u16::MAX),
            },
        };
        if full {
            self.told += SEGMENT;
        } else if end {
            self.ends += 1;
            self.next += ENDS_EVERY;
        } else {
            self.next = (self.next + EVERY).min(pressed);
        }
        packet
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::super::dialled;
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_micros(1_000_000_000 + millis * 1000)
    }

    /// Everything that goes out, with the millisecond.
    fn sent(sender: &mut ToneSender, until: u64) -> Vec<(u64, Packet)> {
        (0..until)
            .flat_map(|now| {
                std::iter::from_fn(|| Some((now, sender.poll(at(now), 48_000)?)))
                    .collect::<Vec<_>>()
            })
            .collect()
    }

    #[test]
    fn a_key_is_told_of_every_20_ms_and_its_end_three_times() {
        let mut sender = ToneSender::default();
        assert_eq!(sender.due(), None);
        assert!(sender.dial(&dialled("5").unwrap()));
        let seen: Vec<_> = sent(&mut sender, 1_000)
            .into_iter()
            .map(|(now, p)| (now, p.marker, p.report.end, p.report.duration))
            .collect();
        let expected = [
            (20, true, false, 960),
            (40, false, false, 1_920),
            (60, false, false, 2_880),
            (80, false, false, 3_840),
            (100, false, true, 4_800),
            (110, false, true, 4_800),
            (120, false, true, 4_800),
        ];
        assert_eq!(seen, expected);
        assert_eq!(sender.due(), None);
    }

    #[test]
    fn keys_follow_one_another_after_70_ms_and_a_comma_waits_two_seconds() {
        let mut sender = ToneSender::default();
        assert!(sender.dial(&dialled("1,2#").unwrap()));
        let packets = sent(&mut sender, 5_000);
        let pressed: Vec<_> = packets
            .iter()
            .filter(|(_, packet)| packet.marker)
            .map(|(_, packet)| {
                let after = packet.pressed.since(at(0)).as_millis();
                (packet.report.tone.name(), after)
            })
            .collect();
        assert_eq!(pressed, [('1', 0), ('2', 2_170), ('#', 2_340)]);
        assert_eq!(packets.len(), 21);
    }

    #[test]
    fn sound_gives_way_while_a_key_is_pressed() {
        let mut sender = ToneSender::default();
        assert!(!sender.holds_back(at(0)));
        assert!(sender.dial(&dialled("7").unwrap()));
        assert_eq!(sender.poll(at(0), 48_000), None);
        assert!(sender.holds_back(at(0)));
        let _ = sent(&mut sender, 200);
        // What was taken meanwhile comes from the encoder later.
        assert!(sender.holds_back(at(99)));
        assert!(!sender.holds_back(at(100)));
    }

    #[test]
    fn a_late_caller_is_given_everything_with_its_own_time() {
        let mut sender = ToneSender::default();
        assert!(sender.dial(&dialled("9").unwrap()));
        assert_eq!(sender.poll(at(0), 8_000), None);
        let all: Vec<_> = std::iter::from_fn(|| sender.poll(at(900), 8_000)).collect();
        assert_eq!(all.len(), 7);
        assert_eq!(all[6].report.duration, 800);
        assert!(all.iter().all(|packet| packet.pressed == at(0)));
    }

    #[test]
    fn what_one_report_cannot_tell_goes_on_in_another_segment() {
        let mut key = Pressing::new(Tone::named('0').unwrap(), at(0));
        key.next = Duration::from_millis(1_380);
        let long = Duration::from_millis(1_400);
        let mut next = || {
            let packet = key.packet(long, 48_000);
            (packet.later, packet.report.duration, packet.report.end)
        };
        assert_eq!(next(), (0, 65_535, false));
        assert_eq!(next(), (65_535, 705, false));
        assert_eq!(next(), (65_535, 1_665, true));
    }

    #[test]
    fn more_than_fits_is_refused_as_a_whole() {
        let mut sender = ToneSender::default();
        assert!(sender.dial(&dialled(&"1".repeat(200)).unwrap()));
        assert!(!sender.dial(&dialled(&"2".repeat(100)).unwrap()));
        sender.stop();
        assert_eq!(sender.due(), None);
    }

    proptest! {
        /// Whoever calls whenever: what is heard is what was dialled.
        #[test]
        fn what_is_dialled_is_received(
            text in "[0-9*#A-D,]{1,12}",
            waits in proptest::collection::vec(1_u64..90, 1..20),
            clock in prop_oneof![Just(8_000_u32), Just(48_000)],
        ) {
            let mut sender = ToneSender::default();
            let mut receiver = super::super::receive::ToneReceiver::default();
            prop_assert!(sender.dial(&dialled(&text).unwrap()));
            let mut heard = String::new();
            let mut now = 0;
            for wait in waits.iter().cycle() {
                while let Some(packet) = sender.poll(at(now), clock) {
                    let ticks = packet.pressed.as_micros() * u64::from(clock) / 1_000_000;
                    let timestamp = (ticks as u32).wrapping_add(packet.later);
                    let ended = receiver.push(at(now), timestamp, packet.marker, &packet.report.pack(), clock);
                    heard.extend(ended.iter().map(|heard| heard.tone.name()));
                }
                if sender.due().is_none() {
                    break;
                }
                now += wait;
            }
            prop_assert_eq!(heard, text.replace(',', ""));
        }
    }
}

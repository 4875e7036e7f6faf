//! How many repair packets there shall be, and when.
//!
//! What is lost is asked for again where a round trip is short; where it is long, a picture would wait for it, and repair packets are
//! sent beforehand. Between both, some are. None are sent on a path that loses next to nothing.

use std::time::Duration;

use crate::COVERED;

/// Losses that retransmission alone makes good.
const LEAST_LOSS: f64 = 0.015;

/// A round trip as short as this leaves all to retransmission, one as long as `LONG` as little as can be.
const SHORT: Duration = Duration::from_millis(40);
const LONG: Duration = Duration::from_millis(150);

/// Of each report of losses this much counts at once; what is worse than before counts more.
const SMOOTHING: f64 = 0.25;
const SMOOTHING_UP: f64 = 0.6;

/// Repair packets for each media packet, at most.
const MOST: f64 = 0.5;

/// Repair packets for each lost packet: some are lost themselves, and some losses come in pairs.
const MARGIN: f64 = 1.8;

/// Pictures that one group of packets spans at most: its first waits that long for its repair.
const PICTURES: usize = 3;

/// When FEC is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum When {
    /// By losses and round trip.
    #[default]
    Auto,
    /// Whatever the losses are, for what twenty in a hundred would need.
    On,
    /// Never.
    Off,
}

impl When {
    /// The name it has on the command line, if it is one.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "auto" => Some(Self::Auto),
            "on" => Some(Self::On),
            "off" => Some(Self::Off),
            _ => None,
        }
    }
}

/// How much protection there is. Fed with what the far side reports.
#[derive(Clone, Debug)]
pub struct Protection {
    when: When,
    loss: Option<f64>,
    round_trip: Option<Duration>,
}

impl Protection {
    /// Nothing is known of the path yet.
    #[must_use]
    pub const fn new(when: When) -> Self {
        Self {
            when,
            loss: None,
            round_trip: None,
        }
    }

    /// The far side reports a share of lost packets, 0 to 1.
    pub fn reported(&mut self, loss: f64, round_trip: Option<Duration>) {
        let loss = loss.clamp(0.0, 1.0);
        let smoothed = self.loss.map_or(loss, |before| {
            let part = if loss > before {
                SMOOTHING_UP
            } else {
                SMOOTHING
            };
            before + (loss - before) * part
        });
        self.loss = Some(smoothed);
        self.round_trip = round_trip.or(self.round_trip);
    }

    /// Repair packets for each media packet.
    #[must_use]
    pub fn share(&self) -> f64 {
        let wanted = |loss: f64| (loss * MARGIN).min(MOST);
        match self.when {
            When::Off => 0.0,
            When::On => wanted(self.loss.unwrap_or_default().max(0.2)),
            When::Auto => {
                let loss = self.loss.unwrap_or_default();
                let part = self.round_trip.map_or(1.0, |round_trip| {
                    let over = round_trip.saturating_sub(SHORT).as_secs_f64();
                    (over / (LONG - SHORT).as_secs_f64()).min(1.0)
                });
                if loss < LEAST_LOSS {
                    0.0
                } else {
                    wanted(loss) * part
                }
            }
        }
    }
}

/// Media packets that wait for the repair packets of their group.
#[derive(Debug, Default)]
pub struct Group {
    packets: Vec<Vec<u8>>,
    pictures: usize,
    /// Repair packets owed, with what is left of the groups before.
    owed: f64,
}

impl Group {
    /// Takes a media packet, `last` of its picture or not. With the end of a group it gives its packets, and how many repair packets
    /// they shall have.
    pub fn add(
        &mut self,
        packet: Vec<u8>,
        last: bool,
        share: f64,
    ) -> Option<(Vec<Vec<u8>>, usize)> {
        if share <= 0.0 {
            *self = Self::default();
            return None;
        }
        self.packets.push(packet);
        self.pictures += usize::from(last);
        self.owed += share;
        let full = self.packets.len() >= COVERED;
        let due = last && (self.owed >= 1.0 || self.pictures >= PICTURES);
        if !full && !due {
            return None;
        }
        let repairs = (self.owed.round().max(0.0) as usize).min(self.packets.len());
        self.owed = (self.owed - repairs as f64).clamp(-1.0, 1.0);
        self.pictures = 0;
        let packets = std::mem::take(&mut self.packets);
        (repairs > 0).then_some((packets, repairs))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn after(loss: f64, round_trip: u64) -> f64 {
        let mut protection = Protection::new(When::Auto);
        for _ in 0..20 {
            protection.reported(loss, Some(Duration::from_millis(round_trip)));
        }
        protection.share()
    }

    #[test]
    fn a_path_without_losses_or_with_a_short_way_back_has_none() {
        assert_eq!(after(0.01, 300), 0.0);
        assert_eq!(after(0.10, 30), 0.0);
        assert!(after(0.10, 80) > 0.0);
        assert!(after(0.10, 80) < after(0.10, 200));
        assert!((after(0.10, 200) - 0.18).abs() < 0.001);
        assert!(after(0.9, 300) <= MOST);
    }

    #[test]
    fn it_comes_fast_and_goes_slowly() {
        let mut protection = Protection::new(When::Auto);
        let far = Some(Duration::from_millis(200));
        protection.reported(0.0, far);
        protection.reported(0.1, far);
        let up = protection.share();
        assert!(up > 0.1, "{up}");
        protection.reported(0.0, far);
        assert!(protection.share() > up / 2.0);
    }

    #[test]
    fn on_and_off_are_as_they_say() {
        assert!(Protection::new(When::On).share() > 0.3);
        let mut off = Protection::new(When::Off);
        off.reported(0.5, None);
        assert_eq!(off.share(), 0.0);
    }

    /// Pictures of five packets each.
    fn repairs_of(share: f64, pictures: usize) -> usize {
        let mut group = Group::default();
        let all = (0..pictures * 5).filter_map(|n| group.add(vec![0], n % 5 == 4, share));
        all.map(|(packets, repairs)| {
            assert!(packets.len() % 5 == 0 && packets.len() <= COVERED);
            repairs
        })
        .sum()
    }

    #[test]
    fn as_many_as_asked_for_in_the_long_run() {
        for share in [0.05, 0.1, 0.2, 0.37, 0.5] {
            let got = repairs_of(share, 200) as f64;
            assert!((got / 1_000.0 - share).abs() < 0.01, "{share}: {got}");
        }
        assert_eq!(repairs_of(0.0, 200), 0);
    }

    #[test]
    fn a_large_picture_has_several_groups() {
        let mut group = Group::default();
        let ends: Vec<_> = (1..=100)
            .filter_map(|n| group.add(vec![0], n == 100, 0.25))
            .map(|(packets, repairs)| (packets.len(), repairs))
            .collect();
        assert_eq!(ends, [(48, 12), (48, 12), (4, 1)]);
    }
}

//! RTP time stamps on the process's clock. Pure.

use super::delay::micros;
use super::timeline::Timeline;
use crate::media::clock::Timestamp;

/// Tells when a frame was taken, as far as its arrival shows.
///
/// The quickest packet so far gives the offset between the two clocks, so that what the
/// network adds to the others does not move their pictures and sounds against each other.
#[derive(Debug)]
pub struct MediaClock {
    line: Timeline,
    /// Arrival minus RTP time of the quickest packet, microseconds.
    offset: Option<i64>,
}

impl MediaClock {
    /// For a clock of `rate` ticks a second.
    #[must_use]
    pub const fn new(rate: u32) -> Self {
        Self {
            line: Timeline::new(rate),
            offset: None,
        }
    }

    /// Learns from one packet; true where a new source begins behind the same stream.
    pub fn observe(&mut self, arrived: Timestamp, timestamp: u32) -> bool {
        let place = self.line.observe(arrived, timestamp);
        let transit = micros(arrived).saturating_sub(self.line.micros(place.time));
        let quickest = self.offset.filter(|_| !place.anew);
        self.offset = Some(quickest.map_or(transit, |offset| offset.min(transit)));
        place.anew
    }

    /// The moment of an RTP time stamp, microseconds; `None` before the first packet.
    #[must_use]
    pub fn at(&self, timestamp: u32) -> Option<i64> {
        Some(self.line.micros(self.line.extend(timestamp)) + self.offset?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_micros(1_700_000_000_000_000 + ms * 1000)
    }

    #[test]
    fn late_packets_do_not_move_the_clock() {
        let mut clock = MediaClock::new(90_000);
        clock.observe(at(0), u32::MAX - 1499);
        clock.observe(at(80), 1500);
        clock.observe(at(66), 4500);
        assert_eq!(clock.at(4500), Some(micros(at(66))));
        assert_eq!(
            clock.at(1500).map(|t| (t - micros(at(0))) / 1_000),
            Some(32)
        );
    }

    #[test]
    fn a_quicker_packet_moves_it_forward() {
        let mut clock = MediaClock::new(48_000);
        clock.observe(at(50), 0);
        clock.observe(at(60), 960);
        assert_eq!(clock.at(0), Some(micros(at(40))));
    }

    #[test]
    fn a_leap_of_the_sender_begins_anew() {
        let mut clock = MediaClock::new(48_000);
        clock.observe(at(0), 0);
        clock.observe(at(20), 1 << 30);
        assert_eq!(clock.at(1 << 30), Some(micros(at(20))));
    }
}

//! RTP time stamps on the process's clock. Pure.

use crate::media::clock::Timestamp;

/// Tells when a frame was taken, as far as its arrival shows.
///
/// The quickest packet so far gives the offset between the two clocks, so that what the
/// network adds to the others does not move their pictures and sounds against each other.
#[derive(Debug)]
pub struct MediaClock {
    rate: u64,
    newest: Option<u64>,
    /// Arrival minus RTP time of the quickest packet, microseconds.
    offset: Option<i64>,
}

impl MediaClock {
    /// For a clock of `rate` ticks a second.
    #[must_use]
    pub const fn new(rate: u32) -> Self {
        Self {
            rate: rate as u64,
            newest: None,
            offset: None,
        }
    }

    /// Learns from one packet.
    pub fn observe(&mut self, arrived: Timestamp, timestamp: u32) {
        let time = self.extend(timestamp);
        let newest = self.newest.unwrap_or(time);
        let transit = self.transit(arrived, time);
        if time.abs_diff(newest) > self.rate * 10 {
            // A new source behind the same stream.
            self.newest = Some(time);
            self.offset = Some(transit);
            return;
        }
        self.newest = Some(newest.max(time));
        self.offset = Some(self.offset.map_or(transit, |offset| offset.min(transit)));
    }

    /// The moment of an RTP time stamp; `None` before the first packet.
    #[must_use]
    pub fn at(&self, timestamp: u32) -> Option<Timestamp> {
        let micros = self.micros(self.extend(timestamp)) + self.offset?;
        Some(Timestamp::from_micros(u64::try_from(micros).unwrap_or(0)))
    }

    fn extend(&self, timestamp: u32) -> u64 {
        match self.newest {
            None => (1 << 33) | u64::from(timestamp),
            Some(newest) => {
                let ahead = timestamp.wrapping_sub((newest & 0xffff_ffff) as u32) as i32;
                newest.saturating_add_signed(i64::from(ahead))
            }
        }
    }

    fn transit(&self, arrived: Timestamp, time: u64) -> i64 {
        i64::try_from(arrived.as_micros()).unwrap_or(i64::MAX) - self.micros(time)
    }

    fn micros(&self, time: u64) -> i64 {
        i64::try_from(u128::from(time) * 1_000_000 / u128::from(self.rate)).unwrap_or(i64::MAX)
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
        assert_eq!(clock.at(4500), Some(at(66)));
        assert_eq!(clock.at(1500).map(|t| t.since(at(0)).as_millis()), Some(32));
    }

    #[test]
    fn a_quicker_packet_moves_it_forward() {
        let mut clock = MediaClock::new(48_000);
        clock.observe(at(50), 0);
        clock.observe(at(60), 960);
        assert_eq!(clock.at(0), Some(at(40)));
    }

    #[test]
    fn a_leap_of_the_sender_begins_anew() {
        let mut clock = MediaClock::new(48_000);
        clock.observe(at(0), 0);
        clock.observe(at(20), 1 << 30);
        assert_eq!(clock.at(1 << 30), Some(at(20)));
    }
}

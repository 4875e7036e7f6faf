//! What was sent of one stream, and what of it may be sent again. Pure.
//!
//! A packet is not sent twice within a round trip: the second question was asked before the first answer could be there.
//! And all that is sent again stays below half of what is sent at first, for where a path drops because it is full, every
//! retransmission is one more packet to be dropped.

use std::time::{Duration, Instant};

use rtc::rtp;

/// Packets that are kept: two seconds and more at 5 Mbit/s. A power of two, so that numbers wrap evenly.
const KEPT: usize = 2_048;

/// Bytes sent first that allow one to be sent again.
const PRICE: usize = 2;

/// What may be sent again at once: a key frame in the main.
const SAVINGS: usize = 150_000;

/// What may be sent again before much was sent at all.
const BEGINNING: usize = 60_000;

/// A round trip that nobody knows yet.
const ROUND_TRIP: Duration = Duration::from_millis(60);

#[derive(Clone, Debug)]
struct Sent {
    packet: rtp::Packet,
    again: Option<Instant>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct History {
    /// Empty until something was sent.
    kept: Vec<Option<Sent>>,
    /// Bytes that may be sent again.
    savings: usize,
}

impl Default for History {
    fn default() -> Self {
        Self {
            kept: Vec::new(),
            savings: BEGINNING,
        }
    }
}

impl History {
    /// A packet goes out for the first time.
    pub(super) fn sent(&mut self, packet: &rtp::Packet) {
        self.savings = SAVINGS.min(self.savings + packet.payload.len() / PRICE);
        let place = usize::from(packet.header.sequence_number) % KEPT;
        self.kept.resize(KEPT, None);
        if let Some(place) = self.kept.get_mut(place) {
            *place = Some(Sent {
                packet: packet.clone(),
                again: None,
            });
        }
    }

    /// The packet that is asked for, if it shall go out again now.
    pub(super) fn again(
        &mut self,
        now: Instant,
        sequence: u16,
        round_trip: Option<Duration>,
    ) -> Option<&rtp::Packet> {
        let place = usize::from(sequence) % KEPT;
        let sent = self.kept.get_mut(place)?.as_mut()?;
        // The far side's round trip may be a little shorter than ours.
        let least = round_trip.unwrap_or(ROUND_TRIP) * 3 / 4;
        let answered = |again: Instant| now.saturating_duration_since(again) < least;
        if sent.packet.header.sequence_number != sequence || sent.again.is_some_and(answered) {
            return None;
        }
        self.savings = self.savings.checked_sub(sent.packet.payload.len())?;
        sent.again = Some(now);
        Some(&sent.packet)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use bytes::Bytes;

    const FAST: Option<Duration> = Some(Duration::from_millis(40));

    fn packet(sequence: u16, bytes: usize) -> rtp::Packet {
        rtp::Packet {
            header: rtp::header::Header {
                version: 2,
                sequence_number: sequence,
                ..Default::default()
            },
            payload: Bytes::from(vec![7; bytes]),
        }
    }

    fn numbers(history: &mut History, now: Instant, all: &[u16]) -> Vec<u16> {
        all.iter()
            .filter_map(|sequence| {
                let packet = history.again(now, *sequence, FAST)?;
                Some(packet.header.sequence_number)
            })
            .collect()
    }

    #[test]
    fn what_was_sent_is_sent_again_once_in_a_round_trip() {
        let start = Instant::now();
        let mut history = History::default();
        history.sent(&packet(5, 1_000));
        assert_eq!(numbers(&mut history, start, &[4, 5, 5, 6]), [5]);
        let soon = start + Duration::from_millis(29);
        assert!(numbers(&mut history, soon, &[5]).is_empty());
        let later = start + Duration::from_millis(30);
        assert_eq!(numbers(&mut history, later, &[5]), [5]);
    }

    #[test]
    fn what_is_too_old_is_gone() {
        let mut history = History::default();
        history.sent(&packet(5, 10));
        history.sent(&packet(5 + 2_048, 10));
        assert_eq!(
            numbers(&mut history, Instant::now(), &[5, 5 + 2_048]),
            [5 + 2_048]
        );
    }

    #[test]
    fn a_flood_of_questions_is_answered_with_half_of_what_is_sent() {
        let mut now = Instant::now();
        let mut history = History::default();
        let (mut first, mut again) = (0, 0);
        for sequence in 0..20_000_u16 {
            history.sent(&packet(sequence, 1_000));
            first += 1_000;
            // Everything of the last second is asked for, over and over.
            for asked in sequence.saturating_sub(250)..sequence {
                again += history
                    .again(now, asked, FAST)
                    .map_or(0, |p| p.payload.len());
            }
            now += Duration::from_millis(4);
        }
        assert!(again <= first / PRICE + BEGINNING, "{again} of {first}");
        assert!(again >= first / PRICE - SAVINGS, "{again} of {first}");
    }
}

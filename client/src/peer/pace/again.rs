//! Requests for the same packet that come faster than an answer can: one answer is enough.

use std::collections::HashMap;
use std::time::Duration;

use rtc::rtp;
use rtc_congestion::Moment;

/// Answers that are remembered.
const ANSWERS: usize = 2_048;
/// A round trip is taken to be at least this.
const SHORTEST: Duration = Duration::from_millis(20);

/// Which retransmissions wait, and when the others left.
#[derive(Debug, Default)]
pub(super) struct Again {
    /// By stream and original number (RFC 4588, section 4); `None` while it waits.
    answers: HashMap<(u32, u16), Option<Moment>>,
}

fn original(packet: &rtp::Packet) -> Option<(u32, u16)> {
    let number = packet.payload.get(..2)?;
    let number = u16::from_be_bytes([number[0], number[1]]);
    Some((packet.header.ssrc, number))
}

impl Again {
    /// A packet is to be sent again: whether that is of use.
    pub(super) fn asked(
        &mut self,
        now: Moment,
        round_trip: Duration,
        packet: &rtp::Packet,
    ) -> bool {
        let Some(original) = original(packet) else {
            return true;
        };
        let fresh = |left: Moment| now.saturating_sub(left) < round_trip.max(SHORTEST);
        let known = self.answers.get(&original);
        if known.is_some_and(|answer| answer.is_none_or(fresh)) {
            return false;
        }
        if self.answers.len() >= ANSWERS {
            self.answers.retain(|_, answer| answer.is_some_and(fresh));
        }
        if self.answers.len() < ANSWERS {
            self.answers.insert(original, None);
        }
        true
    }

    /// It has left.
    pub(super) fn left(&mut self, now: Moment, packet: &rtp::Packet) {
        if let Some(answer) = original(packet).and_then(|of| self.answers.get_mut(&of)) {
            *answer = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn again(number: u16) -> rtp::Packet {
        rtp::Packet {
            payload: number.to_be_bytes().to_vec().into(),
            ..rtp::Packet::default()
        }
    }

    #[test]
    fn one_answer_a_round_trip() {
        let mut answers = Again::default();
        let trip = Duration::from_millis(100);
        let ms = Duration::from_millis;
        assert!(answers.asked(ms(0), trip, &again(7)));
        assert!(!answers.asked(ms(500), trip, &again(7)), "it waits still");
        assert!(answers.asked(ms(500), trip, &again(8)), "another");
        answers.left(ms(600), &again(7));
        assert!(!answers.asked(ms(650), trip, &again(7)), "on its way");
        assert!(answers.asked(ms(701), trip, &again(7)), "lost again");
    }
}

//! What a sender tells with some packets of a stream and what is true from that frame on until it tells otherwise: which way
//! up pictures are (RFC 7742, section 5), what their colours mean. Pure.

use std::collections::VecDeque;

/// Frames of which something was told and that are not whole yet; the oldest are forgotten first.
const FRAMES: usize = 32;

/// See the module.
#[derive(Debug, Default)]
pub struct Told<T> {
    frames: VecDeque<(u32, T)>,
    now: T,
}

impl<T: Copy> Told<T> {
    /// A packet of the frame of this RTP time tells it.
    pub fn note(&mut self, timestamp: u32, what: T) {
        if self.frames.iter().any(|(known, _)| *known == timestamp) {
            return;
        }
        if self.frames.len() == FRAMES {
            self.frames.pop_front();
        }
        self.frames.push_back((timestamp, what));
    }

    /// What is true of the frame of this RTP time; frames are asked about in order.
    pub fn of(&mut self, timestamp: u32) -> T {
        let mut newest = i32::MIN;
        self.frames.retain(|(told, what)| {
            let ahead = told.wrapping_sub(timestamp).cast_signed();
            if ahead > 0 {
                return true;
            }
            // They may have come in any order.
            if ahead >= newest {
                newest = ahead;
                self.now = *what;
            }
            false
        });
        self.now
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::convert::Rotation;

    #[test]
    fn a_turn_holds_until_another_is_told() {
        let mut turns = Told::default();
        assert_eq!(turns.of(1_000), Rotation::None);
        turns.note(4_000, Rotation::Quarter);
        turns.note(10_000, Rotation::Half);
        assert_eq!(turns.of(4_000), Rotation::Quarter);
        assert_eq!(turns.of(7_000), Rotation::Quarter);
        assert_eq!(turns.of(10_000), Rotation::Half);
        assert_eq!(turns.of(13_000), Rotation::Half);
    }

    #[test]
    fn frames_that_never_became_whole_still_tell_theirs_in_any_order() {
        let mut turns = Told::default();
        turns.note(6_000, Rotation::Half);
        turns.note(3_000, Rotation::Quarter);
        assert_eq!(turns.of(9_000), Rotation::Half);
    }

    #[test]
    fn time_that_wraps_and_a_stream_without_end_are_no_matter() {
        let mut turns = Told::default();
        turns.note(u32::MAX - 5, Rotation::Quarter);
        turns.note(100, Rotation::Half);
        assert_eq!(turns.of(u32::MAX), Rotation::Quarter);
        assert_eq!(turns.of(200), Rotation::Half);
        for frame in 0..1_000 {
            turns.note(1_000 + frame, Rotation::None);
        }
        assert_eq!(turns.frames.len(), FRAMES);
    }
}

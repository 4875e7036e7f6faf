//! Which way up each frame of a stream is: told with some packets, and true until told otherwise (RFC 7742, section 5). Pure.

use std::collections::VecDeque;

use crate::media::convert::Rotation;

/// Frames whose turn was told and that are not whole yet; the oldest are forgotten first.
const FRAMES: usize = 32;

/// See the module.
#[derive(Debug, Default)]
pub struct Orientations {
    told: VecDeque<(u32, Rotation)>,
    now: Rotation,
}

impl Orientations {
    /// A packet of the frame of this RTP time tells its turn.
    pub fn note(&mut self, timestamp: u32, rotation: Rotation) {
        if self.told.iter().any(|(known, _)| *known == timestamp) {
            return;
        }
        if self.told.len() == FRAMES {
            self.told.pop_front();
        }
        self.told.push_back((timestamp, rotation));
    }

    /// The turn of the frame of this RTP time; frames are asked about in order.
    pub fn of(&mut self, timestamp: u32) -> Rotation {
        let mut newest = i32::MIN;
        self.told.retain(|(told, rotation)| {
            let ahead = told.wrapping_sub(timestamp).cast_signed();
            if ahead > 0 {
                return true;
            }
            // They may have come in any order.
            if ahead >= newest {
                newest = ahead;
                self.now = *rotation;
            }
            false
        });
        self.now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_holds_until_another_is_told() {
        let mut turns = Orientations::default();
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
        let mut turns = Orientations::default();
        turns.note(6_000, Rotation::Half);
        turns.note(3_000, Rotation::Quarter);
        assert_eq!(turns.of(9_000), Rotation::Half);
    }

    #[test]
    fn time_that_wraps_and_a_stream_without_end_are_no_matter() {
        let mut turns = Orientations::default();
        turns.note(u32::MAX - 5, Rotation::Quarter);
        turns.note(100, Rotation::Half);
        assert_eq!(turns.of(u32::MAX), Rotation::Quarter);
        assert_eq!(turns.of(200), Rotation::Half);
        for frame in 0..1_000 {
            turns.note(1_000 + frame, Rotation::None);
        }
        assert_eq!(turns.told.len(), FRAMES);
    }
}

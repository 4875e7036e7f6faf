//! The frames since the last key frame of an encoded source. Pure.
//!
//! A file cannot make a key frame when a peer comes in the middle; what it holds since
//! its last one lets a decoder catch up, and an encoder of ours make one.

use std::collections::VecDeque;

use crate::media::frame::EncodedPicture;

/// Frames kept at most; a file with rarer key frames is caught up with at its next one.
/// Ten seconds at 60 pictures a second.
const CAPACITY: usize = 600;

/// See the module.
#[derive(Default)]
pub struct Gop {
    frames: VecDeque<EncodedPicture>,
    /// Too long to be kept: nothing until the next key frame.
    overflowed: bool,
    /// How many of them the decoder has had.
    decoded: usize,
}

impl Gop {
    /// Takes the source's next frame.
    pub fn push(&mut self, frame: EncodedPicture) {
        if frame.key {
            self.frames.clear();
            self.decoded = 0;
            self.overflowed = false;
        } else if self.frames.is_empty() || self.overflowed {
            return;
        }
        if self.frames.len() == CAPACITY {
            self.frames.clear();
            self.decoded = 0;
            self.overflowed = true;
            return;
        }
        self.frames.push_back(frame);
    }

    /// The frames that a decoder still has to be given to be up to date.
    pub fn catch_up(&mut self) -> impl Iterator<Item = &EncodedPicture> {
        let from = std::mem::replace(&mut self.decoded, self.frames.len());
        self.frames.range(from..)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::clock::Timestamp;
    use crate::media::frame::VideoCodec;
    use bytes::Bytes;

    fn frame(n: u64, key: bool) -> EncodedPicture {
        EncodedPicture {
            codec: VideoCodec::Vp8,
            data: Bytes::new(),
            key,
            at: Timestamp::from_micros(n),
            layer: None,
        }
    }

    fn numbers(gop: &mut Gop) -> Vec<u64> {
        gop.catch_up().map(|f| f.at.as_micros()).collect()
    }

    #[test]
    fn a_decoder_is_given_each_frame_since_the_key_frame_once() {
        let mut gop = Gop::default();
        gop.push(frame(0, false));
        gop.push(frame(1, true));
        gop.push(frame(2, false));
        assert_eq!(numbers(&mut gop), [1, 2]);
        gop.push(frame(3, false));
        assert_eq!(numbers(&mut gop), [3]);
        gop.push(frame(4, true));
        assert_eq!(numbers(&mut gop), [4]);
    }

    #[test]
    fn a_group_without_end_is_not_kept() {
        let mut gop = Gop::default();
        gop.push(frame(0, true));
        for n in 1..10_000 {
            gop.push(frame(n, false));
        }
        assert!(numbers(&mut gop).is_empty());
        gop.push(frame(10_000, true));
        assert_eq!(numbers(&mut gop), [10_000]);
    }
}

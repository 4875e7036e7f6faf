//! Which bytes of an encoded frame stay in clear, by codec. Pure; the page's `sframe.js` has the same table.
//!
//! What packetizes and what receives looks at the beginning of a frame before it is decrypted: for whether it is a
//! key frame, for its size, for how long it sounds. Those bytes are authenticated, not encrypted.

use crate::media::frame::VideoCodec;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// One Opus packet.
    Opus,
    /// One picture.
    Picture(VideoCodec),
}

impl Medium {
    /// Whether it can be encrypted at all.
    #[must_use]
    pub const fn has_rule(self) -> bool {
        match self {
            Self::Opus | Self::Picture(VideoCodec::Vp8 | VideoCodec::Vp9) => true,
            // It is cut at start codes, and ciphertext holds them by chance. AV1 is cut at its units, whose sizes are
            // taken out and put back on the way.
            Self::Picture(VideoCodec::H264 | VideoCodec::Av1) => false,
        }
    }

    /// How many bytes at the beginning of `frame` stay in clear; `None` where the frame has not even them, or its
    /// codec has no rule. It is the same of a frame and of what sealing makes of it.
    #[must_use]
    pub fn clear_bytes(self, frame: &[u8]) -> Option<usize> {
        let first = *frame.first()?;
        let clear = match self {
            // The TOC byte (RFC 6716, section 3.1).
            Self::Opus => 1,
            // The frame tag, and in a key frame the start code and the size (RFC 6386, section 9.1).
            Self::Picture(VideoCodec::Vp8) if first & 1 == 0 => 10,
            Self::Picture(VideoCodec::Vp8) => 3,
            // The uncompressed header up to the size; in other frames what tells that they are others (VP9 bitstream
            // specification, section 6.2).
            Self::Picture(VideoCodec::Vp9) if is_vp9_key(first) => 10,
            Self::Picture(VideoCodec::Vp9) => 1,
            Self::Picture(VideoCodec::H264 | VideoCodec::Av1) => return None,
        };
        (frame.len() >= clear).then_some(clear)
    }
}

/// A frame marker, a profile below 3, no frame that is merely shown again, and the frame type 0.
const fn is_vp9_key(first: u8) -> bool {
    first & 0xcc == 0x80 && first & 0x30 != 0x30
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::bitstream::vp9;

    #[test]
    fn the_first_byte_of_vp9_tells_the_key_frames_that_its_header_tells() {
        // Of profiles 1 and 2 the header is another after the sync code.
        let rest = [0x49, 0x83, 0x42, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        for first in 0..=255 {
            let frame = [&[first], &rest[..]].concat();
            let clear = Medium::Picture(VideoCodec::Vp9).clear_bytes(&frame);
            assert_eq!(clear == Some(10), is_vp9_key(first));
            assert!(!vp9::is_key(&frame) || is_vp9_key(first), "{first:#x}");
        }
        assert!(is_vp9_key(0x82) && !is_vp9_key(0x86) && !is_vp9_key(0x8a));
    }
}

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
            Self::Opus | Self::Picture(VideoCodec::Vp8) => true,
            // H.264 is cut at start codes, and ciphertext holds them by chance; layers of VP9, which are encrypted one by
            // one, become one frame before they could be decrypted.
            Self::Picture(VideoCodec::H264 | VideoCodec::Vp9) => false,
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
            Self::Picture(VideoCodec::H264 | VideoCodec::Vp9) => return None,
        };
        (frame.len() >= clear).then_some(clear)
    }
}

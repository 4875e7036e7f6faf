//! What the first bytes of a VP8 frame tell (RFC 6386, section 9.1).

/// Whether decoding can start at this frame.
pub(crate) fn is_key(frame: &[u8]) -> bool {
    size(frame).is_some()
}

/// Width and height, which only a key frame carries.
pub(crate) fn size(frame: &[u8]) -> Option<(u32, u32)> {
    let [tag, _, _, 0x9d, 0x01, 0x2a, w0, w1, h0, h1, ..] = *frame else {
        return None;
    };
    // The two high bits of each are a scaling hint.
    let side = |low, high| u32::from(u16::from_le_bytes([low, high]) & 0x3fff);
    (tag & 1 == 0).then(|| (side(w0, w1), side(h0, h1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_frame_tells_its_size() {
        let frame = [0x10, 2, 0, 0x9d, 1, 0x2a, 0x80, 0x42, 0x68, 0x01, 0];
        assert_eq!(size(&frame), Some((640, 360)));
        assert!(is_key(&frame));
        assert!(!is_key(&frame[..9]));
        assert!(!is_key(&[0x11, 2, 0, 0x9d, 1, 0x2a, 0x80, 2, 0x68, 1, 0]));
    }
}

//! RED with one block (RFC 2198, section 3): a byte with the payload type before the payload.

/// More blocks than this are nobody's.
const BLOCKS: usize = 32;

/// Puts the byte before a payload.
#[must_use]
pub fn wrap(payload_type: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 + payload.len());
    out.push(payload_type & 0x7f);
    out.extend_from_slice(payload);
    out
}

/// What the last block is, the one that belongs to this packet: its payload type and where it begins. None where it is no RED.
#[must_use]
pub fn unwrap(payload: &[u8]) -> Option<(u8, usize)> {
    let (mut at, mut before) = (0, 0);
    for _ in 0..BLOCKS {
        let first = *payload.get(at)?;
        if first & 0x80 == 0 {
            let from = at + 1 + before;
            return (from <= payload.len()).then_some((first & 0x7f, from));
        }
        let [_, _, high, low] = *payload.get(at..at + 4)? else {
            return None;
        };
        before += usize::from(u16::from_be_bytes([high, low]) & 0x3ff);
        at += 4;
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_block_is_a_byte_and_the_rest() {
        assert_eq!(wrap(96, &[1, 2]), [96, 1, 2]);
        assert_eq!(unwrap(&[96, 1, 2]), Some((96, 1)));
        assert_eq!(unwrap(&[]), None);
    }

    #[test]
    fn blocks_before_the_last_are_stepped_over() {
        let two = [0x80 | 100, 0, 0, 3, 96, 7, 7, 7, 1];
        assert_eq!(unwrap(&two), Some((96, 8)));
        assert_eq!(unwrap(&two[..7]), None, "cut off");
    }

    proptest! {
        #[test]
        fn nothing_is_read_beyond_the_end(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Some((payload_type, from)) = unwrap(&bytes) {
                prop_assert!(payload_type < 128 && from <= bytes.len());
            }
        }
    }
}

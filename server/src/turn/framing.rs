//! Messages out of a stream: over TCP and TLS each says its own length (RFC 8656, sections 3.1 and 12.5).

/// The largest message that is taken; UDP cannot carry more either.
pub const LARGEST: usize = 20 + 65_532;

/// What a stream must not hold: something that begins neither like STUN nor like a channel's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("neither STUN nor channel data")]
pub struct Nonsense;

/// How long the first message in `bytes` is, with its padding, and without; `None` until that can be told.
///
/// # Errors
/// Where there is none and will be none: the stream is lost.
pub fn first(bytes: &[u8]) -> Result<Option<(usize, usize)>, Nonsense> {
    let [high, _, a, b, ..] = *bytes else {
        let begins = bytes.first().is_none_or(|first| *first < 0x80);
        return if begins { Ok(None) } else { Err(Nonsense) };
    };
    let length = usize::from(u16::from_be_bytes([a, b]));
    match high >> 6 {
        // A header of 20 bytes, then attributes, which fill words of 4.
        0b00 if length % 4 == 0 => Ok(Some((20 + length, 20 + length))),
        0b01 => Ok(Some(((4 + length).next_multiple_of(4), 4 + length))),
        _ => Err(Nonsense),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lengths_are_those_of_the_headers() {
        assert_eq!(first(&[]), Ok(None));
        assert_eq!(first(&[0x00, 0x01, 0x00]), Ok(None));
        assert_eq!(first(&[0x00, 0x01, 0x00, 0x08]), Ok(Some((28, 28))));
        assert_eq!(first(&[0x40, 0x00, 0x00, 0x05]), Ok(Some((12, 9))));
        assert_eq!(first(&[0x7f, 0xff, 0xff, 0xff]), Ok(Some((65_540, 65_539))));
        for lost in [&[0x80][..], &[0x16, 3, 1, 2], &[0x00, 0x01, 0x00, 0x07]] {
            assert_eq!(first(lost), Err(Nonsense), "{lost:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_give_more_than_the_largest(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(Some((padded, length))) = first(&bytes) {
                prop_assert!(length <= padded && padded < length + 4 && padded <= LARGEST);
                prop_assert!(length >= 4);
            }
        }
    }
}

//! The headers of a repair packet (RFC 5109, sections 7.3 and 7.4), with one level of protection.

/// The header of the whole.
pub(crate) const FEC_HEADER: usize = 10;

/// Where the bytes of level 0 begin.
const fn begins(long: bool) -> usize {
    FEC_HEADER + 2 + if long { 6 } else { 2 }
}

/// What a repair packet says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Sequence number that the mask counts from.
    pub base: u16,
    /// Which packets it covers: bit 0 is `base`, bit 47 the last.
    pub mask: u64,
    /// Where the protected bytes begin, and how many there are.
    pub from: usize,
    /// See `from`.
    pub length: usize,
}

impl Header {
    /// Reads one; none where it covers nothing or is cut off. What it says of a second level is ignored.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let first = *bytes.first()?;
        // E is reserved for another format (section 7.3).
        if first & 0x80 != 0 {
            return None;
        }
        let long = first & 0x40 != 0;
        let from = begins(long);
        let at = |n: usize| bytes.get(n).copied();
        let pair = |n: usize| Some(u16::from_be_bytes([at(n)?, at(n + 1)?]));
        let length = usize::from(pair(FEC_HEADER)?);
        // The first bit on the wire is the lowest number.
        let mut mask = u64::from(pair(FEC_HEADER + 2)?.reverse_bits());
        if long {
            let high = u64::from(pair(FEC_HEADER + 4)?.reverse_bits());
            let top = u64::from(pair(FEC_HEADER + 6)?.reverse_bits());
            mask |= high << 16 | top << 32;
        }
        if mask == 0 || bytes.len() < from + length {
            return None;
        }
        Some(Self {
            base: pair(2)?,
            mask,
            from,
            length,
        })
    }

    /// Bytes of headers and protection for this mask, and where the latter begins.
    pub(crate) fn room(mask: u64, length: usize) -> (Vec<u8>, usize) {
        let from = begins(mask >> 16 != 0);
        (vec![0; from + length], from)
    }

    /// Writes what does not come from the packets themselves.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "parts of the mask are wanted"
    )]
    pub(crate) fn write(out: &mut [u8], base: u16, mask: u64, length: u16) {
        let long = mask >> 16 != 0;
        let mut put = |at: usize, value: u16| {
            if let Some(place) = out.get_mut(at..at + 2) {
                place.copy_from_slice(&value.to_be_bytes());
            }
        };
        put(2, base);
        put(FEC_HEADER, length);
        put(FEC_HEADER + 2, (mask as u16).reverse_bits());
        if long {
            put(FEC_HEADER + 4, ((mask >> 16) as u16).reverse_bits());
            put(FEC_HEADER + 6, ((mask >> 32) as u16).reverse_bits());
        }
        if let Some(first) = out.first_mut() {
            *first = *first & 0x3f | u8::from(long) << 6;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    /// Laid out by hand after the figures of sections 7.3 and 7.4.
    #[test]
    fn a_short_and_a_long_mask_are_read_from_the_first_bit_on() {
        let short = [
            0,
            0,
            0x12,
            0x34,
            0,
            0,
            0,
            0,
            0,
            9,
            0,
            1,
            0b1010_0000,
            0b0000_0001,
            7,
        ];
        let header = Header::read(&short).unwrap();
        assert_eq!((header.base, header.mask), (0x1234, 0b1000_0000_0000_0101));
        assert_eq!((header.from, header.length), (14, 1));
        let mut long = [0; 18];
        long[0] = 0x40;
        long[12] = 0x80;
        long[17] = 0x01;
        let header = Header::read(&long).unwrap();
        assert_eq!((header.mask, header.from), (1 | 1 << 47, 18));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(base in any::<u16>(), mask in 1u64..1 << 48, length in 0u16..1_500) {
            let (mut out, from) = Header::room(mask, length.into());
            Header::write(&mut out, base, mask, length);
            let read = Header::read(&out).unwrap();
            prop_assert_eq!(read, Header { base, mask, from, length: length.into() });
        }

        #[test]
        fn whatever_comes_the_bytes_are_there(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            if let Some(header) = Header::read(&bytes) {
                prop_assert!(header.from + header.length <= bytes.len());
                prop_assert!(header.mask != 0 && header.mask < 1 << 48);
            }
        }
    }
}

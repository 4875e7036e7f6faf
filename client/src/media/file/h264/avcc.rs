//! The `avcC` record: parameter sets and the width of length prefixes
//! (ISO/IEC 14496-15, section 5.3.3.1).

use super::{PPS, SPS, kind};

/// What a decoder must know before the first picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Avcc {
    /// Bytes in a length prefix: 1, 2 or 4.
    pub(crate) prefix: usize,
    /// Sequence parameter sets, then picture parameter sets.
    pub(crate) sets: Vec<Vec<u8>>,
}

impl Avcc {
    /// Reads a record; `None` where it is broken or holds no parameter set.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let [1, _, _, _, lengths, rest @ ..] = bytes else {
            return None;
        };
        let prefix = usize::from(lengths & 3) + 1;
        let mut sets = Vec::new();
        let (count, mut rest) = rest.split_first()?;
        read_sets(&mut rest, count & 0x1f, &mut sets)?;
        let (count, mut rest) = rest.split_first()?;
        read_sets(&mut rest, *count, &mut sets)?;
        (prefix != 3 && !sets.is_empty()).then_some(Self { prefix, sets })
    }

    /// The record for a stream whose first key picture has these units; `None`
    /// where a parameter set is missing.
    pub(crate) fn from_units(units: &[&[u8]]) -> Option<Self> {
        let of = |wanted| units.iter().filter(move |unit| kind(unit) == wanted);
        of(SPS).next().filter(|sps| sps.len() >= 4)?;
        of(PPS).next()?;
        let sets = of(SPS).chain(of(PPS)).map(|unit| unit.to_vec()).collect();
        Some(Self { prefix: 4, sets })
    }

    /// The bytes of the record.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let of = |wanted| self.sets.iter().filter(move |set| kind(set) == wanted);
        let first: &[u8] = of(SPS).next().map_or(&[], Vec::as_slice);
        let byte = |at: usize| first.get(at).copied().unwrap_or_default();
        let lengths = u8::try_from(self.prefix.saturating_sub(1)).unwrap_or(3);
        let mut out = vec![1, byte(1), byte(2), byte(3), 0xfc | lengths];
        for (wanted, mark) in [(SPS, 0xe0), (PPS, 0)] {
            let count = u8::try_from(of(wanted).count().min(31)).unwrap_or(31);
            out.push(mark | count);
            for set in of(wanted).take(31) {
                let length = u16::try_from(set.len()).unwrap_or(u16::MAX);
                out.extend_from_slice(&length.to_be_bytes());
                out.extend_from_slice(&set[..usize::from(length)]);
            }
        }
        // High profiles carry their chroma format again (section 5.3.3.1.2).
        if matches!(byte(1), 100 | 110 | 122 | 144) {
            out.extend_from_slice(&[0xfc | 1, 0xf8, 0xf8, 0]);
        }
        out
    }

    /// The profile, from the first parameter set.
    pub(crate) fn profile(&self) -> &'static str {
        let first = self.sets.first();
        match first.and_then(|set| set.get(1)) {
            Some(66) => "baseline",
            Some(77) => "main",
            Some(100) => "high",
            _ => "of another profile",
        }
    }

    /// The units of a sample; a length that runs past the end ends it.
    pub(crate) fn units<'a>(&self, mut sample: &'a [u8]) -> Vec<&'a [u8]> {
        let mut units = Vec::new();
        while let Some((prefix, rest)) = sample.split_at_checked(self.prefix) {
            let length = prefix.iter().fold(0, |n, b| n << 8 | usize::from(*b));
            let Some((unit, rest)) = rest.split_at_checked(length) else {
                break;
            };
            if !unit.is_empty() {
                units.push(unit);
            }
            sample = rest;
        }
        units
    }
}

/// Puts a length of four bytes in front of each unit.
pub(crate) fn length_prefixed<'a>(units: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut out = Vec::new();
    for unit in units {
        let length = u32::try_from(unit.len()).unwrap_or(u32::MAX);
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(unit);
    }
    out
}

fn read_sets(rest: &mut &[u8], count: u8, sets: &mut Vec<Vec<u8>>) -> Option<()> {
    for _ in 0..count {
        let (length, after) = rest.split_at_checked(2)?;
        let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
        let (set, after) = after.split_at_checked(length)?;
        sets.push(set.to_vec());
        *rest = after;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_record_made_from_a_key_picture_reads_back() {
        let (sps, pps) = ([0x67, 66, 0xc0, 31, 9], [0x68, 7]);
        let record = Avcc::from_units(&[&sps, &pps, &[0x65, 1]]).unwrap();
        let bytes = record.bytes();
        assert_eq!(
            bytes,
            [
                1, 66, 0xc0, 31, 0xff, 0xe1, 0, 5, 0x67, 66, 0xc0, 31, 9, 1, 0, 2, 0x68, 7
            ]
        );
        assert_eq!(Avcc::parse(&bytes), Some(record));
        assert_eq!(Avcc::from_units(&[&sps, &[0x65, 1]]), None);
    }

    #[test]
    fn samples_are_cut_by_their_length_prefixes() {
        let record = Avcc {
            prefix: 2,
            sets: vec![vec![0x67]],
        };
        let units: Vec<&[u8]> = vec![&[5, 6], &[7]];
        assert_eq!(record.units(&[0, 2, 5, 6, 0, 0, 0, 1, 7, 0, 9, 1]), units);
    }

    proptest! {
        #[test]
        fn any_record_is_taken(mut bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Some(first) = bytes.first_mut() { *first = 1; }
            if let Some(record) = Avcc::parse(&bytes) {
                prop_assert!(matches!(record.prefix, 1 | 2 | 4));
                record.units(&bytes);
            }
        }
    }
}

//! H.264 between its two forms: Annex B (start codes) and length-prefixed units
//! with an `avcC` record (ISO/IEC 14496-10 annex B and 14496-15, section 5).

mod avcc;
mod sps;
mod stream;

pub(crate) use avcc::{Avcc, length_prefixed};
pub(crate) use sps::{colours, size};
pub(super) use stream::AnnexB;

/// The kinds of units that matter here (ITU-T H.264, table 7-1).
pub(crate) const IDR: u8 = 5;
pub(crate) const SPS: u8 = 7;
pub(crate) const PPS: u8 = 8;
const DELIMITER: u8 = 9;

/// The kind of a unit.
pub(crate) fn kind(unit: &[u8]) -> u8 {
    unit.first().map_or(0, |byte| byte & 0x1f)
}

/// The units of an access unit in Annex B form, without start codes.
pub(crate) fn units(annex_b: &[u8]) -> Vec<&[u8]> {
    let mut units = Vec::new();
    let mut begin = None;
    let mut at = 0;
    while at + 3 <= annex_b.len() {
        if annex_b[at..at + 3] == [0, 0, 1] {
            if let Some(begin) = begin {
                push(&mut units, &annex_b[begin..at]);
            }
            at += 3;
            begin = Some(at);
        } else {
            at += 1;
        }
    }
    if let Some(begin) = begin {
        push(&mut units, &annex_b[begin..]);
    }
    units
}

/// Adds a unit without the zero bytes that belong to the next start code.
fn push<'a>(units: &mut Vec<&'a [u8]>, mut unit: &'a [u8]) {
    while let [rest @ .., 0] = unit {
        unit = rest;
    }
    if !unit.is_empty() {
        units.push(unit);
    }
}

/// Puts a start code in front of each unit.
pub(crate) fn annex_b<'a>(units: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut out = Vec::new();
    for unit in units {
        out.extend_from_slice(&[0, 0, 0, 1]);
        out.extend_from_slice(unit);
    }
    out
}

/// An access unit for sending: delimiters left out, and `sets` in front of a key
/// picture that does not bring its own. The flag tells a key picture.
pub(crate) fn access_unit(units: &[&[u8]], sets: &[Vec<u8>]) -> (Vec<u8>, bool) {
    let key = units.iter().any(|unit| kind(unit) == IDR);
    let bare = key && !units.iter().any(|unit| kind(unit) == SPS);
    let sets = sets.iter().map(Vec::as_slice).filter(|_| bare);
    let own = units.iter().copied().filter(|unit| kind(unit) != DELIMITER);
    (annex_b(sets.chain(own)), key)
}

/// The parameter sets met so far, for key pictures without their own.
#[derive(Debug, Default)]
pub(crate) struct ParameterSets(Vec<Vec<u8>>);

impl ParameterSets {
    /// As [`access_unit`], with the sets that were met.
    pub(crate) fn access_unit(&mut self, units: &[&[u8]]) -> (Vec<u8>, bool) {
        let own: Vec<Vec<u8>> = units
            .iter()
            .filter(|unit| matches!(kind(unit), SPS | PPS))
            .map(|unit| unit.to_vec())
            .collect();
        if !own.is_empty() {
            self.0 = own;
        }
        access_unit(units, &self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn units_are_found_behind_long_and_short_start_codes() {
        let stream = [0, 0, 0, 1, 0x67, 1, 0, 0, 1, 0x68, 2, 0, 0, 0, 1, 0x65, 3];
        let found: Vec<&[u8]> = vec![&[0x67, 1], &[0x68, 2], &[0x65, 3]];
        assert_eq!(units(&stream), found);
        assert!(units(&[1, 2, 3]).is_empty());
    }

    #[test]
    fn a_key_picture_gets_parameter_sets_only_when_it_has_none() {
        let sets = vec![vec![0x67, 1], vec![0x68, 2]];
        let (bytes, key) = access_unit(&[&[9, 0x10], &[0x65, 7]], &sets);
        assert!(key);
        assert_eq!(
            bytes,
            [
                0, 0, 0, 1, 0x67, 1, 0, 0, 0, 1, 0x68, 2, 0, 0, 0, 1, 0x65, 7
            ]
        );
        let (bytes, key) = access_unit(&[&[0x41, 7]], &sets);
        assert!(!key);
        assert_eq!(bytes, [0, 0, 0, 1, 0x41, 7]);
        let (bytes, _) = access_unit(&[&[0x67, 9], &[0x65, 7]], &sets);
        assert_eq!(bytes, [0, 0, 0, 1, 0x67, 9, 0, 0, 0, 1, 0x65, 7]);
    }

    proptest! {
        #[test]
        fn units_survive_a_round_trip(list in prop::collection::vec(
            prop::collection::vec(1_u8..=255, 1..40), 0..8))
        {
            let stream = annex_b(list.iter().map(Vec::as_slice));
            prop_assert_eq!(units(&stream), list.iter().map(Vec::as_slice).collect::<Vec<_>>());
        }

        #[test]
        fn any_bytes_are_taken(bytes in prop::collection::vec(0_u8..4, 0..200)) {
            let total: usize = units(&bytes).iter().map(|unit| unit.len()).sum();
            prop_assert!(total <= bytes.len());
        }
    }
}

//! The RTP payload of AV1 ("RTP Payload Format For AV1" of the Alliance for Open Media,
//! version 1.0). Pure.

use crate::media::bitstream::av1;

const CONTINUES: u8 = 0x80;
const GOES_ON: u8 = 0x40;

/// The elements of a payload (section 4.4), the first and the last of which may be parts.
struct Elements<'a> {
    all: Vec<&'a [u8]>,
    /// Z: the first goes on with the last of the packet before.
    continues: bool,
    /// Y: the last goes on in the next packet.
    goes_on: bool,
}

fn elements(payload: &[u8]) -> Result<Elements<'_>, &'static str> {
    let (&header, mut rest) = payload.split_first().ok_or("it is empty")?;
    let count = usize::from(header >> 4 & 3);
    let mut all = Vec::new();
    while !rest.is_empty() {
        let size = if all.len() + 1 == count {
            rest.len()
        } else {
            let (size, length) = av1::leb128(rest).ok_or("an element's length is broken")?;
            rest = &rest[length..];
            size
        };
        let (element, after) = rest
            .split_at_checked(size)
            .ok_or("an element is longer than the payload")?;
        if element.is_empty() {
            return Err("an element is empty");
        }
        all.push(element);
        rest = after;
    }
    if all.is_empty() || (count > 0 && all.len() != count) {
        return Err("it has fewer or more elements than it says");
    }
    Ok(Elements {
        all,
        continues: header & CONTINUES != 0,
        goes_on: header & GOES_ON != 0,
    })
}

/// Whether a payload begins a temporal unit that decoding can start with: one that has a
/// sequence header in front, which comes with every key frame. (Its N bit says the same,
/// but not every sender sets it.)
pub(super) fn begins_key(payload: &[u8]) -> Result<bool, &'static str> {
    let found = elements(payload)?;
    let kinds = found.all.iter().map(|element| element[0] >> 3 & 0x0f);
    let first = kinds
        .skip(usize::from(found.continues))
        .find(|kind| *kind != av1::TEMPORAL_DELIMITER);
    Ok(!found.continues && first == Some(av1::SEQUENCE_HEADER))
}

/// One temporal unit on its way together: its OBUs, with their sizes put back.
#[derive(Debug, Default)]
pub(super) struct TemporalUnit {
    data: Vec<u8>,
    /// An OBU of which parts are still to come.
    open: Option<Vec<u8>>,
}

impl TemporalUnit {
    /// Takes the next payload.
    pub(super) fn push(&mut self, payload: &[u8]) -> Result<(), &'static str> {
        let found = elements(payload)?;
        if found.continues != self.open.is_some() {
            return Err("its first element is not what the packet before it promised");
        }
        let last = found.all.len() - 1;
        for (index, element) in found.all.into_iter().enumerate() {
            let mut obu = self.open.take().unwrap_or_default();
            obu.extend_from_slice(element);
            if index == last && found.goes_on {
                self.open = Some(obu);
            } else {
                self.add(&obu)?;
            }
        }
        Ok(())
    }

    /// Temporal delimiters, padding and tile lists are of no use to a decoder of calls
    /// (section 5: they are not to be sent).
    fn add(&mut self, obu: &[u8]) -> Result<(), &'static str> {
        const HAS_SIZE: u8 = 0x02;
        let (found, rest) = av1::first_obu(obu).ok_or("it holds a broken OBU")?;
        if !rest.is_empty() {
            return Err("something follows an OBU in its element");
        }
        if matches!(
            found.kind,
            av1::TEMPORAL_DELIMITER | av1::PADDING | av1::TILE_LIST
        ) {
            return Ok(());
        }
        self.data.push(obu[0] | HAS_SIZE);
        self.data.extend(found.extension);
        av1::push_leb128(found.payload.len(), &mut self.data);
        self.data.extend_from_slice(found.payload);
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.data.len() + self.open.as_ref().map_or(0, Vec::len)
    }

    pub(super) fn finish(self) -> Result<Vec<u8>, &'static str> {
        if self.open.is_some() {
            return Err("its last OBU has no end");
        }
        Ok(self.data)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn joined(payloads: &[&[u8]]) -> Result<Vec<u8>, &'static str> {
        let mut unit = TemporalUnit::default();
        payloads.iter().try_for_each(|p| unit.push(p))?;
        unit.finish()
    }

    #[test]
    fn elements_with_and_without_lengths_become_units_with_sizes() {
        // W 2: a sequence header of three bytes with its length, a frame up to the end.
        let two = [0x28, 3, 0x08, 7, 8, 0x30, 9, 9];
        // W 0: both with their lengths.
        let any = [0x08, 3, 0x08, 7, 8, 3, 0x30, 9, 9];
        for payload in [&two[..], &any] {
            assert_eq!(joined(&[payload]).unwrap(), [0x0a, 2, 7, 8, 0x32, 2, 9, 9]);
            assert_eq!(begins_key(payload), Ok(true));
        }
        // One that has its size keeps it.
        assert_eq!(joined(&[&[0x10, 0x32, 1, 9]]).unwrap(), [0x32, 1, 9]);
    }

    #[test]
    fn an_obu_in_parts_is_put_together_again() {
        let parts: [&[u8]; 3] = [&[0x50, 0x34, 0x20, 1], &[0xd0, 2], &[0x90, 3]];
        assert_eq!(joined(&parts).unwrap(), [0x36, 0x20, 3, 1, 2, 3]);
        assert!(joined(&parts[..2]).is_err(), "no end");
        assert!(joined(&parts[1..]).is_err(), "no beginning");
        assert!(joined(&[parts[0], &[0x10, 0x30, 1]]).is_err(), "cut off");
        assert_eq!(begins_key(parts[1]), Ok(false));
    }

    #[test]
    fn delimiters_are_left_out_and_a_key_frame_is_seen_behind_them() {
        let payload = [0x20, 1, 0x10, 0x08, 7];
        assert_eq!(joined(&[&payload]).unwrap(), [0x0a, 1, 7]);
        assert_eq!(begins_key(&payload), Ok(true));
        assert_eq!(begins_key(&[0x10, 0x30, 1]), Ok(false));
    }

    #[test]
    fn broken_payloads_are_refused() {
        for payload in [
            &[][..],
            &[0x10],
            &[0x00, 5, 1],
            &[0x20, 1, 0x30],
            &[0x00, 0],
            &[0x10, 0xb0, 1],
            &[0x10, 0x32, 1, 9, 9],
        ] {
            assert!(joined(&[payload]).is_err(), "{payload:?}");
        }
    }

    proptest! {
        #[test]
        fn no_payload_is_ever_more_than_an_error(
            payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..24), 0..6),
        ) {
            let mut unit = TemporalUnit::default();
            for payload in &payloads {
                let looked = begins_key(payload);
                if unit.push(payload).is_err() {
                    break;
                }
                prop_assert!(looked.is_ok());
            }
            if let Ok(data) = unit.finish() {
                prop_assert_eq!(av1::obus(&data).map(|o| o.whole.len()).sum::<usize>(), data.len());
            }
        }

        #[test]
        fn whatever_is_cut_into_packets_comes_out_whole(
            units in proptest::collection::vec((1u8..8, proptest::collection::vec(any::<u8>(), 0..40)), 1..5),
            size in 2usize..30,
        ) {
            let mut wanted = Vec::new();
            let mut payloads = Vec::new();
            for (kind, body) in units.iter().filter(|(kind, _)| *kind != 2) {
                wanted.push(kind << 3 | 2);
                av1::push_leb128(body.len(), &mut wanted);
                wanted.extend(body);
                let obu = [&[kind << 3][..], body].concat();
                let parts: Vec<_> = obu.chunks(size).collect();
                for (index, part) in parts.iter().enumerate() {
                    let z = if index > 0 { CONTINUES } else { 0 };
                    let y = if index + 1 < parts.len() { GOES_ON } else { 0 };
                    payloads.push([&[z | y | 0x10][..], part].concat());
                }
            }
            let payloads: Vec<_> = payloads.iter().map(Vec::as_slice).collect();
            prop_assert_eq!(joined(&payloads).unwrap(), wanted);
        }
    }
}

//! Cuts AV1 temporal units ("RTP Payload Format For AV1" of the Alliance for Open Media,
//! version 1.0, section 4).

use bytes::{BufMut, Bytes, BytesMut};

use super::MAX_PAYLOAD;
use crate::media::bitstream::av1::{self, Obu};

/// Bits of the aggregation header (section 4.4).
const CONTINUES: u8 = 0x80;
const GOES_ON: u8 = 0x40;
const NEW_SEQUENCE: u8 = 0x08;
/// As many elements can be counted; more have a length each.
const COUNTED: usize = 3;
/// Of the length in front of an element, in a payload of our size.
const LENGTH: usize = 2;
const HEADER: usize = 1;

/// The payloads of one temporal unit; the last one gets the marker. Temporal delimiters,
/// padding and tile lists are left out, and so are the sizes of units (section 5).
pub(in crate::peer) fn av1(unit: &[u8]) -> Vec<Bytes> {
    let units: Vec<Vec<u8>> = av1::obus(unit)
        .filter(|obu| {
            !matches!(
                obu.kind,
                av1::TEMPORAL_DELIMITER | av1::PADDING | av1::TILE_LIST
            )
        })
        .map(|obu| without_size(&obu))
        .collect();
    let total: usize = units.iter().map(|obu| LENGTH + obu.len()).sum();
    // Payloads of nearly equal size, as of other codecs.
    let count = total.div_ceil(MAX_PAYLOAD - HEADER - LENGTH).max(1);
    let room = (HEADER + LENGTH + total.div_ceil(count)).min(MAX_PAYLOAD);
    let first = if av1::is_key(unit) { NEW_SEQUENCE } else { 0 };
    let mut payloads = Vec::new();
    let mut packet = Packet::new(first);
    let mut left = units.iter().map(Vec::as_slice).peekable();
    while let Some(mut rest) = left.next() {
        while let Some(free) = packet.free(room).filter(|free| *free < rest.len()) {
            let part;
            (part, rest) = rest.split_at(free);
            packet.add(part);
            payloads.push(packet.finish(GOES_ON));
            packet = Packet::new(CONTINUES);
        }
        packet.add(rest);
        if left.peek().is_some() && packet.free(room).is_none() {
            payloads.push(packet.finish(0));
            packet = Packet::new(0);
        }
    }
    if !packet.elements.is_empty() {
        payloads.push(packet.finish(0));
    }
    payloads
}

fn without_size(obu: &Obu) -> Vec<u8> {
    const HAS_SIZE: u8 = 0x02;
    let header = obu.whole.first().map_or(0, |byte| byte & !HAS_SIZE);
    let mut bytes = vec![header];
    bytes.extend(obu.extension);
    bytes.extend_from_slice(obu.payload);
    bytes
}

/// One payload that is being filled.
struct Packet<'a> {
    flags: u8,
    elements: Vec<&'a [u8]>,
    size: usize,
}

impl<'a> Packet<'a> {
    fn new(flags: u8) -> Self {
        Self {
            flags,
            elements: Vec::new(),
            size: HEADER,
        }
    }

    /// How long one more element may be, if there is room for any.
    fn free(&self, room: usize) -> Option<usize> {
        room.checked_sub(self.size + LENGTH)
            .filter(|free| *free > 0)
    }

    fn add(&mut self, element: &'a [u8]) {
        self.size += LENGTH + element.len();
        self.elements.push(element);
    }

    fn finish(self, more: u8) -> Bytes {
        let counted = self.elements.len() <= COUNTED;
        let count = if counted { self.elements.len() } else { 0 };
        let mut payload = BytesMut::with_capacity(self.size);
        payload.put_u8(self.flags | more | (count as u8) << 4);
        let last = self.elements.len().saturating_sub(1);
        for (index, element) in self.elements.into_iter().enumerate() {
            if !counted || index < last {
                let mut length = Vec::with_capacity(LENGTH);
                av1::push_leb128(element.len(), &mut length);
                payload.put_slice(&length);
            }
            payload.put_slice(element);
        }
        payload.freeze()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;
    use crate::media::frame::VideoCodec;
    use crate::media::receive::depacketize::{Pieces, glimpse};

    fn obu(kind: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![kind << 3 | 2];
        av1::push_leb128(payload.len(), &mut bytes);
        bytes.extend_from_slice(payload);
        bytes
    }

    /// A sequence header as libaom writes it for 640x360, and a key frame of so many bytes.
    fn key(bytes: usize) -> Vec<u8> {
        let sequence = [0, 0, 0, 0x24, 0xc4, 0xff, 0xdf, 0x33, 0xf0, 0x08, 0x40];
        let mut frame = vec![0x10];
        frame.resize(bytes, 0x55);
        [obu(2, &[]), obu(1, &sequence), obu(6, &frame)].concat()
    }

    #[test]
    fn a_small_unit_is_one_payload_without_delimiter_and_sizes() {
        let unit = [obu(2, &[]), obu(6, &[0x30, 7])].concat();
        assert_eq!(av1(&unit), [&[0x10, 0x30, 0x30, 7][..]]);
        let unit = key(4);
        assert!(av1::is_key(&unit));
        let payloads = av1(&unit);
        assert_eq!(payloads.len(), 1);
        assert_eq!(payloads[0][..3], [0x28, 12, 0x08], "W 2, N, a length");
        assert_eq!(payloads[0][14..], [0x30, 0x10, 0x55, 0x55, 0x55]);
    }

    #[test]
    fn a_large_unit_is_cut_evenly_and_its_parts_say_so() {
        let payloads = av1(&key(3000));
        let heads: Vec<_> = payloads.iter().map(|payload| payload[0]).collect();
        assert_eq!(heads, [0x68, 0xd0, 0x90], "Y N W 2, Z Y W 1, Z W 1");
        let sizes: Vec<_> = payloads.iter().map(Bytes::len).collect();
        assert!(
            sizes.iter().all(|size| (980..1_030).contains(size)),
            "{sizes:?}"
        );
        let seen: Vec<_> = payloads
            .iter()
            .map(|payload| glimpse(VideoCodec::Av1, payload).unwrap().key)
            .collect();
        assert_eq!(seen, [true, false, false]);
    }

    #[test]
    fn what_is_no_unit_gives_nothing() {
        assert!(av1(&[]).is_empty());
        assert!(av1(&[0xff, 0xff]).is_empty());
        assert!(av1(&obu(2, &[])).is_empty());
    }

    proptest! {
        #[test]
        fn what_is_cut_is_put_together_again(
            units in prop::collection::vec((3u8..8, prop::collection::vec(any::<u8>(), 0..2500)), 1..6),
            tiny in prop::collection::vec((3u8..8, prop::collection::vec(any::<u8>(), 0..4)), 0..400),
        ) {
            let unit: Vec<u8> = units.iter().chain(&tiny).flat_map(|(kind, body)| obu(*kind, body)).collect();
            let mut pieces = Pieces::new(VideoCodec::Av1);
            for payload in av1(&unit) {
                prop_assert!(payload.len() <= MAX_PAYLOAD, "{}", payload.len());
                pieces.push(&payload).unwrap();
            }
            prop_assert_eq!(pieces.finish().unwrap(), unit);
        }

        #[test]
        fn no_bytes_break_it(bytes in prop::collection::vec(any::<u8>(), 0..3000)) {
            prop_assert!(av1(&bytes).iter().all(|payload| payload.len() <= MAX_PAYLOAD));
        }
    }
}

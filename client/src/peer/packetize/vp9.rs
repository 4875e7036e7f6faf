//! Cuts VP9 frames (RFC 9628) in non-flexible mode, of one layer.

use bytes::{BufMut, Bytes, BytesMut};

use super::{MAX_PAYLOAD, even_parts};
use crate::media::bitstream::vp9;

/// Bits of the descriptor's first byte (section 4.2).
const PICTURE_ID: u8 = 0x80;
const INTER_PREDICTED: u8 = 0x40;
const BEGIN: u8 = 0x08;
const END: u8 = 0x04;
const STRUCTURE: u8 = 0x02;
/// There is no layer above that could refer to it.
const NOT_REFERRED_TO: u8 = 0x01;

/// First byte and a picture id of 15 bits.
const DESCRIPTOR: usize = 3;

/// One layer with its size, no group of pictures.
const ONE_SIZED_LAYER: u8 = 0x10;
const STRUCTURE_BYTES: usize = 5;

/// See the module.
#[derive(Debug)]
pub(in crate::peer) struct Vp9 {
    picture_id: u16,
}

impl Vp9 {
    /// Picture ids count from here, modulo 2^15.
    pub(in crate::peer) const fn new(first_picture_id: u16) -> Self {
        Self {
            picture_id: first_picture_id & 0x7fff,
        }
    }

    /// The payloads of one frame or superframe; the last one gets the marker. The first of
    /// a key frame tells the picture's size.
    pub(in crate::peer) fn packetize(&mut self, frame: &Bytes) -> Vec<Bytes> {
        let id = self.picture_id;
        self.picture_id = (id + 1) & 0x7fff;
        let size = vp9::key_size(frame);
        let kind = if vp9::is_key(frame) {
            0
        } else {
            INTER_PREDICTED
        };
        let parts = even_parts(frame, MAX_PAYLOAD - DESCRIPTOR - STRUCTURE_BYTES);
        let last = parts.len().saturating_sub(1);
        let payload = |(index, part): (usize, &[u8])| {
            let structure = size.filter(|_| index == 0);
            let mut payload = BytesMut::with_capacity(DESCRIPTOR + STRUCTURE_BYTES + part.len());
            let begin = if index == 0 { BEGIN } else { 0 };
            let end = if index == last { END } else { 0 };
            let sized = if structure.is_some() { STRUCTURE } else { 0 };
            payload.put_u8(PICTURE_ID | kind | begin | end | sized | NOT_REFERRED_TO);
            payload.put_u16(0x8000 | id);
            if let Some((width, height)) = structure {
                payload.put_u8(ONE_SIZED_LAYER);
                payload.put_u16(u16::try_from(width).unwrap_or(u16::MAX));
                payload.put_u16(u16::try_from(height).unwrap_or(u16::MAX));
            }
            payload.put_slice(part);
            payload.freeze()
        };
        parts.into_iter().enumerate().map(payload).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;
    use crate::media::frame::VideoCodec;
    use crate::media::receive::depacketize::{Pieces, glimpse};

    /// A key frame of 640x360 as its header tells, and `more` bytes.
    fn key(more: usize) -> Bytes {
        let header = [0x82, 0x49, 0x83, 0x42, 0x20, 0x27, 0xf0, 0x16, 0x70];
        [&header[..], &vec![1; more]].concat().into()
    }

    #[test]
    fn a_key_frame_tells_its_size_in_its_first_payload() {
        let mut vp9 = Vp9::new(0x7fff);
        let payloads = vp9.packetize(&key(3000));
        assert_eq!(payloads.len(), 3);
        assert_eq!(
            payloads[0][..8],
            [0x8b, 0xff, 0xff, 0x10, 2, 128, 1, 104],
            "I B V Z, the id, one layer of 640x360"
        );
        assert_eq!(payloads[1][..3], [0x81, 0xff, 0xff]);
        assert_eq!(payloads[2][..3], [0x85, 0xff, 0xff], "the end");
        let next = vp9.packetize(&Bytes::from_static(&[0x86, 0, 0]));
        assert_eq!(next, [&[0xcd, 0x80, 0, 0x86, 0, 0][..]], "I P B E Z");
    }

    #[test]
    fn the_receiver_sees_a_key_frame_where_one_begins() {
        let payloads = Vp9::new(0).packetize(&key(3000));
        let seen: Vec<_> = payloads
            .iter()
            .map(|p| glimpse(VideoCodec::Vp9, p).unwrap())
            .map(|seen| (seen.starts_frame, seen.key))
            .collect();
        assert_eq!(seen, [(true, true), (false, false), (false, false)]);
    }

    proptest! {
        #[test]
        fn what_is_cut_is_put_together_again(
            key_frame: bool,
            more in proptest::collection::vec(any::<u8>(), 1..5000),
        ) {
            let head = if key_frame { key(0) } else { Bytes::from_static(&[0x86]) };
            let frame = Bytes::from([&head[..], &more].concat());
            let mut pieces = Pieces::new(VideoCodec::Vp9);
            for payload in Vp9::new(9).packetize(&frame) {
                prop_assert!(payload.len() <= MAX_PAYLOAD);
                pieces.push(&payload).unwrap();
            }
            prop_assert_eq!(pieces.finish().unwrap(), frame);
        }
    }
}

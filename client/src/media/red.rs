//! Several packets of sound in one (RED, RFC 2198): each carries the ones before it again, so that a lost one comes
//! with the next. Pure.

use bytes::{BufMut, Bytes, BytesMut};

/// What is not the newest has 14 bits for its age in ticks of the RTP clock.
const OLDEST: u32 = (1 << 14) - 1;

/// And 10 bits for its length.
const LONGEST: usize = (1 << 10) - 1;

/// Packets in one, at most: more are taken for nonsense.
const BLOCKS: usize = 32;

/// One of the packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// What it carries, as RTP says it.
    pub payload_type: u8,
    /// How much older than the newest it is, in ticks of the RTP clock; 0 for the newest.
    pub age: u32,
    /// The packet.
    pub payload: Bytes,
}

/// Takes a payload apart: the oldest first, the newest last. `None` where it is broken.
#[must_use]
pub fn parse(payload: &Bytes) -> Option<Vec<Block>> {
    let mut heads = Vec::new();
    let mut at = 0;
    let newest = loop {
        let first = *payload.get(at)?;
        if first & 0x80 == 0 {
            at += 1;
            break first;
        }
        let head = payload.get(at..at + 4)?;
        let bits = u32::from_be_bytes([0, head[1], head[2], head[3]]);
        let length = (bits & LONGEST as u32) as usize;
        heads.push((first & 0x7f, bits >> 10, length));
        if heads.len() >= BLOCKS {
            return None;
        }
        at += 4;
    };
    let mut blocks = Vec::with_capacity(heads.len() + 1);
    for (payload_type, age, length) in heads {
        let end = at + length;
        if end > payload.len() {
            return None;
        }
        blocks.push(Block {
            payload_type,
            age,
            payload: payload.slice(at..end),
        });
        at = end;
    }
    blocks.push(Block {
        payload_type: newest,
        age: 0,
        payload: payload.slice(at..),
    });
    Some(blocks)
}

/// Puts packets of one payload type into one payload: `older` with their ages, the oldest first, and the newest.
/// An older one that is too long or too old for RED is left out.
#[must_use]
pub fn pack(payload_type: u8, older: &[(u32, Bytes)], newest: &[u8]) -> Bytes {
    let fits = |(age, payload): &&(u32, Bytes)| *age <= OLDEST && payload.len() <= LONGEST;
    let payload_type = payload_type & 0x7f;
    let mut packed = BytesMut::new();
    for (age, payload) in older.iter().filter(fits) {
        let bits = *age << 10 | payload.len() as u32;
        packed.put_u32(u32::from(0x80 | payload_type) << 24 | bits);
    }
    packed.put_u8(payload_type);
    for (_, payload) in older.iter().filter(fits) {
        packed.extend_from_slice(payload);
    }
    packed.extend_from_slice(newest);
    packed.freeze()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_packet_as_chromium_makes_it_is_understood() {
        // Payload type 111, 960 ticks old, three bytes; then the newest of two.
        let packet = Bytes::from_static(&[0xef, 0x0f, 0x00, 0x03, 0x6f, 1, 2, 3, 4, 5]);
        let block = |age, payload: &'static [u8]| Block {
            payload_type: 111,
            age,
            payload: Bytes::from_static(payload),
        };
        assert_eq!(
            parse(&packet).unwrap(),
            [block(960, &[1, 2, 3]), block(0, &[4, 5])]
        );
        let older = [(960, Bytes::from_static(&[1, 2, 3]))];
        assert_eq!(pack(111, &older, &[4, 5]), packet);
    }

    #[test]
    fn what_is_broken_is_refused() {
        for broken in [&[][..], &[0xef], &[0xef, 0, 0], &[0xef, 0, 0, 9, 0x6f, 1]] {
            assert_eq!(parse(&Bytes::copy_from_slice(broken)), None, "{broken:?}");
        }
        assert_eq!(
            parse(&Bytes::from(vec![0xef; 4_000])),
            None,
            "headers without an end"
        );
    }

    #[test]
    fn what_does_not_fit_is_left_out() {
        let older = [
            (20_000, Bytes::from_static(&[1])),
            (960, Bytes::from(vec![2; 1_024])),
            (480, Bytes::from_static(&[3])),
        ];
        let blocks = parse(&pack(111, &older, &[4])).unwrap();
        let ages: Vec<u32> = blocks.iter().map(|block| block.age).collect();
        assert_eq!(ages, [480, 0]);
    }

    proptest! {
        #[test]
        fn what_is_packed_comes_out_again(
            older in proptest::collection::vec((0_u32..=OLDEST, proptest::collection::vec(any::<u8>(), 0..=LONGEST)), 0..4),
            newest in proptest::collection::vec(any::<u8>(), 0..1_500),
            payload_type in 0_u8..128,
        ) {
            let older: Vec<_> = older.into_iter().map(|(age, payload)| (age, Bytes::from(payload))).collect();
            let blocks = parse(&pack(payload_type, &older, &newest)).unwrap();
            prop_assert_eq!(blocks.len(), older.len() + 1);
            for (block, (age, payload)) in blocks.iter().zip(&older) {
                prop_assert_eq!((block.payload_type, block.age, &block.payload), (payload_type, *age, payload));
            }
            prop_assert_eq!(&blocks[older.len()].payload[..], &newest[..]);
        }

        #[test]
        fn any_bytes_are_survived_and_nothing_is_made_up(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let packet = Bytes::from(bytes);
            if let Some(blocks) = parse(&packet) {
                prop_assert!(blocks.iter().map(|block| block.payload.len()).sum::<usize>() < packet.len());
            }
        }
    }
}

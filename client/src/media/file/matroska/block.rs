//! Blocks and their lacing (RFC 9559, section 10).

use bytes::Bytes;

use crate::media::file::ebml;

/// A block: one frame, or several laced together.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) track: u64,
    /// Ticks from the cluster's time.
    pub(super) time: i16,
    pub(super) frames: Vec<Bytes>,
}

impl Block {
    /// Reads the body of a Block or SimpleBlock.
    pub(super) fn parse(body: &Bytes) -> Option<Self> {
        let length = ebml::field_length(*body.first()?)?;
        let track = ebml::size_value(body.get(..length)?)?;
        let [t0, t1, flags, ..] = *body.get(length..)? else {
            return None;
        };
        let data = body.slice(length + 3..);
        let frames = match flags >> 1 & 3 {
            0 => vec![data],
            lacing => unlace(lacing, &data)?,
        };
        Some(Self {
            track,
            time: i16::from_be_bytes([t0, t1]),
            frames,
        })
    }
}

fn unlace(lacing: u8, data: &Bytes) -> Option<Vec<Bytes>> {
    let count = usize::from(*data.first()?) + 1;
    let mut at = 1;
    let mut sizes: Vec<usize> = Vec::with_capacity(count);
    match lacing {
        1 => {
            for _ in 1..count {
                let mut size = 0;
                loop {
                    let byte = *data.get(at)?;
                    at += 1;
                    size += usize::from(byte);
                    if byte != 255 {
                        break;
                    }
                }
                sizes.push(size);
            }
        }
        3 => {
            for n in 1..count {
                let length = ebml::field_length(*data.get(at)?)?;
                let value = i64::try_from(ebml::size_value(data.get(at..at + length)?)?).ok()?;
                at += length;
                // The first is a size, the others are signed differences.
                let size = match sizes.last() {
                    None => value,
                    Some(last) => {
                        let middle = (1_i64 << (7 * length - 1)) - 1;
                        i64::try_from(*last).ok()?.checked_add(value - middle)?
                    }
                };
                debug_assert_eq!(sizes.len() + 1, n);
                sizes.push(usize::try_from(size).ok()?);
            }
        }
        _ => {
            let each = data.len().checked_sub(1)?;
            if each % count != 0 {
                return None;
            }
            sizes = vec![each / count; count - 1];
        }
    }
    let mut frames = Vec::with_capacity(count);
    for size in sizes {
        let end = at.checked_add(size).filter(|end| *end <= data.len())?;
        frames.push(data.slice(at..end));
        at = end;
    }
    frames.push(data.slice(at..));
    Some(frames)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn frames(body: &[u8]) -> Option<Vec<Vec<u8>>> {
        let block = Block::parse(&Bytes::copy_from_slice(body))?;
        Some(block.frames.iter().map(|f| f.to_vec()).collect())
    }

    #[test]
    fn a_plain_block_is_one_frame() {
        let block = Block::parse(&Bytes::from_static(&[0x82, 0xff, 0xfe, 0x80, 7, 8])).unwrap();
        assert_eq!((block.track, block.time), (2, -2));
        assert_eq!(block.frames, [Bytes::from_static(&[7, 8])]);
    }

    #[test]
    fn every_lacing_is_undone() {
        let three = Some(vec![vec![1], vec![2, 3], vec![4]]);
        assert_eq!(frames(&[0x81, 0, 0, 0x02, 2, 1, 2, 1, 2, 3, 4]), three);
        assert_eq!(
            frames(&[0x81, 0, 0, 0x06, 2, 0x81, 0xc0, 1, 2, 3, 4]),
            three
        );
        let fixed = Some(vec![vec![1, 2], vec![3, 4]]);
        assert_eq!(frames(&[0x81, 0, 0, 0x04, 1, 1, 2, 3, 4]), fixed);
        assert_eq!(frames(&[0x81, 0, 0, 0x04, 1, 1, 2, 3]), None);
        assert_eq!(frames(&[0x81, 0, 0, 0x02, 1, 9, 1]), None);
    }

    proptest! {
        #[test]
        fn any_block_is_taken(mut bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Some(first) = bytes.first_mut() { *first = 0x81; }
            if let Some(frames) = frames(&bytes) {
                prop_assert!(frames.iter().map(Vec::len).sum::<usize>() < bytes.len());
            }
        }
    }
}

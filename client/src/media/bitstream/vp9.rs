//! What the first bytes of a VP9 frame tell, and the index of a superframe: the VP9
//! bitstream specification, section 6.2 and annex B. Pure.

use super::bits::Bits;

/// Frames that one superframe can hold.
pub const MOST_FRAMES: usize = 8;

/// The header of one frame, as far as it is of use without decoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Whether decoding can start here.
    pub key: bool,
    /// 0 to 3; 0 is 4:2:0 of eight bits, the only one that browsers must have.
    pub profile: u8,
    /// Columns and rows, where the frame tells them itself; else they are those of a
    /// frame that it refers to.
    pub size: Option<(u32, u32)>,
}

/// Reads the uncompressed header of a frame; `None` where it is none.
#[must_use]
pub fn header(frame: &[u8]) -> Option<Header> {
    let mut bits = Bits::new(frame);
    if bits.take(2)? != 0b10 {
        return None;
    }
    let profile = bits.take(1)? | bits.take(1)? << 1;
    if profile == 3 && bits.flag()? {
        return None;
    }
    let mut header = Header {
        key: false,
        profile: profile as u8,
        size: None,
    };
    let shows_existing = bits.flag()?;
    if shows_existing {
        return Some(header);
    }
    header.key = !bits.flag()?;
    let shown = bits.flag()?;
    let resilient = bits.flag()?;
    if header.key {
        sync_code(&mut bits)?;
        color(&mut bits, profile)?;
        header.size = Some(size(&mut bits)?);
        return Some(header);
    }
    let intra_only = !shown && bits.flag()?;
    if !resilient {
        bits.take(2)?;
    }
    if intra_only {
        sync_code(&mut bits)?;
        if profile > 0 {
            color(&mut bits, profile)?;
        }
        bits.take(8)?;
        header.size = Some(size(&mut bits)?);
    } else {
        // What is refreshed, then three references of three bits and a sign each.
        bits.take(8 + 3 * 4)?;
        let found = bits.flag()? || bits.flag()? || bits.flag()?;
        if !found {
            header.size = Some(size(&mut bits)?);
        }
    }
    Some(header)
}

/// Whether decoding can start at this frame or superframe.
#[must_use]
pub fn is_key(frame: &[u8]) -> bool {
    header(frame).is_some_and(|header| header.key)
}

/// Columns and rows of the picture of a frame or superframe that decoding can start
/// with: the largest, where it holds several spatial layers.
#[must_use]
pub fn key_size(data: &[u8]) -> Option<(u32, u32)> {
    if !is_key(data) {
        return None;
    }
    let sizes = frames(data)?.into_iter().filter_map(|f| header(f)?.size);
    sizes.max_by_key(|(width, height)| u64::from(*width) * u64::from(*height))
}

/// The frames of a superframe; the one frame that there is without an index. `None`
/// where the index is broken.
#[must_use]
pub fn frames(data: &[u8]) -> Option<Vec<&[u8]>> {
    let Some((count, width)) = index_shape(data) else {
        return Some(vec![data]);
    };
    let index = 2 + count * width;
    let body = data.len().checked_sub(index)?;
    if data[body] != data[data.len() - 1] {
        return None;
    }
    let mut rest = &data[..body];
    let mut found = Vec::with_capacity(count);
    for size in data[body + 1..data.len() - 1].chunks_exact(width) {
        let size = size
            .iter()
            .rev()
            .fold(0usize, |sum, &byte| sum << 8 | usize::from(byte));
        let (frame, after) = rest.split_at_checked(size)?;
        if !frame.is_empty() {
            found.push(frame);
        }
        rest = after;
    }
    (!found.is_empty()).then_some(found)
}

/// Whether an index stands at the end.
#[must_use]
pub fn has_index(data: &[u8]) -> bool {
    index_shape(data).is_some()
}

/// How many frames an index tells of, and in how many bytes each.
fn index_shape(data: &[u8]) -> Option<(usize, usize)> {
    let marker = *data.last()?;
    (marker & 0xe0 == 0xc0).then(|| {
        (
            usize::from(marker & 7) + 1,
            usize::from(marker >> 3 & 3) + 1,
        )
    })
}

/// The index of frames of these sizes; empty where they are none or too many.
#[must_use]
pub fn index(sizes: &[usize]) -> Vec<u8> {
    if sizes.is_empty() || sizes.len() > MOST_FRAMES {
        return Vec::new();
    }
    let marker = 0xc0 | 3 << 3 | (sizes.len() - 1) as u8;
    let mut index = vec![marker];
    for &size in sizes {
        index.extend(u32::try_from(size).unwrap_or(u32::MAX).to_le_bytes());
    }
    index.push(marker);
    index
}

fn sync_code(bits: &mut Bits) -> Option<()> {
    (bits.take(24)? == 0x49_83_42).then_some(())
}

fn color(bits: &mut Bits, profile: u32) -> Option<()> {
    const RGB: u32 = 7;
    if profile >= 2 {
        bits.take(1)?;
    }
    let own_subsampling = profile & 1 == 1;
    let rest = match (bits.take(3)? == RGB, own_subsampling) {
        (true, _) => u32::from(own_subsampling),
        (false, true) => 4,
        (false, false) => 1,
    };
    bits.take(rest)?;
    Some(())
}

fn size(bits: &mut Bits) -> Option<(u32, u32)> {
    Some((bits.take(16)? + 1, bits.take(16)? + 1))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    /// A key frame of profile 0: marker, profile, shown; sync code; BT.601; 640x360.
    fn key() -> Vec<u8> {
        // 10 00 0 0 1 0 | 49 83 42 | 001 0 then 639 and 359 in sixteen bits each.
        let mut bits = "100000100100100110000011010000100010".to_owned();
        bits += &format!("{:016b}{:016b}", 639, 359);
        bytes(&bits)
    }

    fn bytes(bits: &str) -> Vec<u8> {
        bits.as_bytes()
            .chunks(8)
            .map(|eight| {
                let digits: String = eight.iter().map(|&b| char::from(b)).collect();
                u8::from_str_radix(&format!("{digits:0<8}"), 2).unwrap()
            })
            .collect()
    }

    #[test]
    fn a_key_frame_tells_its_size() {
        let found = header(&key()).unwrap();
        assert!(found.key);
        assert_eq!((found.profile, found.size), (0, Some((640, 360))));
        assert_eq!(key_size(&key()), Some((640, 360)));
        assert_eq!(header(&key()[..7]), None);
        assert_eq!(header(&[0x00, 1, 2]), None);
    }

    #[test]
    fn a_frame_between_tells_a_size_only_where_it_changes() {
        // Shown, not resilient: reset 00, refresh, three references, a reference found.
        let refers = bytes(&format!("10000110{}{}1", "00", "0".repeat(20)));
        let found = header(&refers).unwrap();
        assert_eq!((found.key, found.size), (false, None));
        let size = format!("{:016b}{:016b}", 65_535, 1);
        let own = bytes(&format!("10000110{}{}000{size}", "00", "0".repeat(20)));
        assert_eq!(header(&own).unwrap().size, Some((65_536, 2)));
        assert_eq!(key_size(&own), None);
    }

    #[test]
    fn a_superframe_is_taken_apart_at_its_index() {
        let data = [&[1u8, 2, 3][..], &[4, 5], &index(&[3, 2])].concat();
        assert_eq!(frames(&data).unwrap(), [&[1u8, 2, 3][..], &[4, 5]]);
        assert!(has_index(&data));
        let too_long = [&[1u8, 2, 3][..], &index(&[3, 2])].concat();
        assert_eq!(frames(&too_long), None);
        assert_eq!(frames(&[1, 2]).unwrap(), [&[1u8, 2]]);
        assert!(index(&[]).is_empty() && index(&[1; 9]).is_empty());
    }

    proptest! {
        #[test]
        fn no_bytes_break_the_readers(data in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = (header(&data), key_size(&data));
            if let Some(frames) = frames(&data) {
                prop_assert!(frames.iter().map(|f| f.len()).sum::<usize>() <= data.len());
            }
        }

        #[test]
        fn an_index_is_read_as_it_was_written(sizes in proptest::collection::vec(1usize..200, 1..=8)) {
            let mut data = vec![7u8; sizes.iter().sum()];
            data.extend(index(&sizes));
            let found: Vec<_> = frames(&data).unwrap().iter().map(|f| f.len()).collect();
            prop_assert_eq!(found, sizes);
        }
    }
}

//! What the open bitstream units (OBUs) of AV1 tell without decoding: the AV1 bitstream
//! specification, sections 5.3 to 5.5. Pure.

use super::bits::Bits;

/// `OBU_SEQUENCE_HEADER`.
pub const SEQUENCE_HEADER: u8 = 1;
/// `OBU_TEMPORAL_DELIMITER`.
pub const TEMPORAL_DELIMITER: u8 = 2;
const FRAME_HEADER: u8 = 3;
const FRAME: u8 = 6;
/// `OBU_TILE_LIST`.
pub const TILE_LIST: u8 = 8;
/// `OBU_PADDING`.
pub const PADDING: u8 = 15;

/// One unit, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Obu<'a> {
    /// `obu_type`.
    pub kind: u8,
    /// The whole unit as it stands in the stream.
    pub whole: &'a [u8],
    /// The second byte of the header, where there is one: layers.
    pub extension: Option<u8>,
    /// What follows header and size.
    pub payload: &'a [u8],
}

/// Takes the first unit off `data`; one without a size reaches to the end. `None` where it
/// is broken.
#[must_use]
pub fn first_obu(data: &[u8]) -> Option<(Obu<'_>, &[u8])> {
    let header = *data.first()?;
    if header & 0x80 != 0 {
        return None;
    }
    let mut at = 1;
    let extension = if header & 0x04 == 0 {
        None
    } else {
        at += 1;
        Some(*data.get(1)?)
    };
    let size = if header & 0x02 == 0 {
        data.len().checked_sub(at)?
    } else {
        let (size, length) = leb128(&data[at..])?;
        at += length;
        size
    };
    let end = at.checked_add(size).filter(|end| *end <= data.len())?;
    let obu = Obu {
        kind: header >> 3 & 0x0f,
        whole: &data[..end],
        extension,
        payload: &data[at..end],
    };
    Some((obu, &data[end..]))
}

/// The units of a temporal unit up to its end, or to what is broken.
pub fn obus(data: &[u8]) -> impl Iterator<Item = Obu<'_>> {
    let mut rest = data;
    std::iter::from_fn(move || {
        let (obu, after) = first_obu(rest)?;
        rest = after;
        Some(obu)
    })
}

/// A temporal unit without its delimiter, which neither RTP nor Matroska hold.
#[must_use]
pub fn without_delimiters(data: &[u8]) -> Vec<u8> {
    let rest = obus(data).filter(|obu| obu.kind != TEMPORAL_DELIMITER);
    rest.flat_map(|obu| obu.whole.to_vec()).collect()
}

/// A number of seven bits in each byte, the lowest first, and how many bytes it takes
/// (section 4.10.5).
#[must_use]
pub fn leb128(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0u64;
    for (index, byte) in bytes.iter().take(8).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            let value = u32::try_from(value).ok()?;
            return Some((value as usize, index + 1));
        }
    }
    None
}

/// Writes such a number.
pub fn push_leb128(mut value: usize, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// What the sequence header tells of all pictures that follow (section 5.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sequence {
    /// 0 is 4:2:0, the only one that browsers must have.
    pub profile: u8,
    /// `seq_level_idx` of the first operating point.
    pub level: u8,
    /// `seq_tier` of the first operating point.
    pub tier: bool,
    /// The largest picture.
    pub size: (u32, u32),
    /// More than eight bits a sample.
    pub high_bit_depth: bool,
    /// Luma only.
    pub monochrome: bool,
    /// Every frame is a picture of its own.
    pub still: bool,
}

/// Reads the payload of a sequence header.
#[must_use]
pub fn sequence(payload: &[u8]) -> Option<Sequence> {
    let mut bits = Bits::new(payload);
    let profile = bits.take(3)? as u8;
    bits.flag()?;
    let still = bits.flag()?;
    let (level, tier) = if still {
        (bits.take(5)? as u8, false)
    } else {
        operating_points(&mut bits)?
    };
    let (wide, high) = (bits.take(4)? + 1, bits.take(4)? + 1);
    let size = (bits.take(wide)? + 1, bits.take(high)? + 1);
    if !still && bits.flag()? {
        // Lengths of frame ids.
        bits.take(4 + 3)?;
    }
    // Large superblocks, filter intra, intra edges.
    bits.take(3)?;
    if !still {
        tools(&mut bits)?;
    }
    // Super resolution, CDEF, restoration.
    bits.take(3)?;
    let high_bit_depth = bits.flag()?;
    if profile == 2 && high_bit_depth {
        bits.flag()?;
    }
    let monochrome = profile != 1 && bits.flag()?;
    Some(Sequence {
        profile,
        level,
        tier,
        size,
        high_bit_depth,
        monochrome,
        still,
    })
}

impl Sequence {
    /// What of it calls do not have, if it is so: they are of profile 0 with eight bits.
    #[must_use]
    pub fn unlike_calls(&self) -> Option<String> {
        let bits = if self.high_bit_depth {
            "more than "
        } else {
            ""
        };
        (self.profile != 0 || self.high_bit_depth)
            .then(|| format!("profile {} with {bits}eight bits", self.profile))
    }
}

/// Skips timing and operating points; gives level and tier of the first.
fn operating_points(bits: &mut Bits) -> Option<(u8, bool)> {
    let mut delay_bits = None;
    if bits.flag()? {
        bits.take(32)?;
        bits.take(32)?;
        if bits.flag()? {
            variable_length(bits)?;
        }
        if bits.flag()? {
            delay_bits = Some(bits.take(5)? + 1);
            bits.take(32)?;
            bits.take(5 + 5)?;
        }
    }
    let has_display_delay = bits.flag()?;
    let mut first = None;
    for _ in 0..=bits.take(5)? {
        bits.take(12)?;
        let level = bits.take(5)? as u8;
        let tier = level > 7 && bits.flag()?;
        if let Some(delay) = delay_bits
            && bits.flag()?
        {
            bits.take(delay)?;
            bits.take(delay)?;
            bits.flag()?;
        }
        if has_display_delay && bits.flag()? {
            bits.take(4)?;
        }
        first.get_or_insert((level, tier));
    }
    first
}

fn tools(bits: &mut Bits) -> Option<()> {
    // Compounds, warped motion, dual filter.
    bits.take(4)?;
    let order_hint = bits.flag()?;
    if order_hint {
        bits.take(2)?;
    }
    let chosen_screen_content = bits.flag()?;
    if (chosen_screen_content || bits.flag()?) && !bits.flag()? {
        bits.flag()?;
    }
    if order_hint {
        bits.take(3)?;
    }
    Some(())
}

/// Section 4.10.3.
fn variable_length(bits: &mut Bits) -> Option<()> {
    let mut zeros = 0;
    while !bits.flag()? {
        zeros += 1;
        if zeros == 32 {
            return Some(());
        }
    }
    bits.take(zeros)?;
    Some(())
}

/// The sequence header of a temporal unit, and what it tells.
#[must_use]
pub fn sequence_of(data: &[u8]) -> Option<(Obu<'_>, Sequence)> {
    let obu = obus(data).find(|obu| obu.kind == SEQUENCE_HEADER)?;
    Some((obu, sequence(obu.payload)?))
}

/// Whether decoding can start at a temporal unit: it has a sequence header, and its first
/// frame is a key frame that is shown.
#[must_use]
pub fn is_key(data: &[u8]) -> bool {
    let Some((_, sequence)) = sequence_of(data) else {
        return false;
    };
    let frame = obus(data).find(|obu| matches!(obu.kind, FRAME | FRAME_HEADER));
    frame.is_some_and(|frame| {
        // show_existing_frame 0, frame_type 00, show_frame 1.
        sequence.still || frame.payload.first().is_some_and(|b| b >> 4 == 1)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    /// The header that libaom writes for 640x360 of profile 0 in real time.
    fn libaom() -> Vec<u8> {
        // Profile 000, not still, not reduced, no timing, no delays, one point of level 4.
        let mut bits = "000000000000000000000000100".to_owned();
        bits.truncate(6);
        bits += "0";
        bits += "00000";
        bits += &format!("{:012b}{:05b}", 0, 4);
        bits += &format!("{:04b}{:04b}{:010b}{:09b}", 9, 8, 639, 359);
        // No frame ids; superblocks, intra; compounds; order hint and its two; screen content
        // and integer motion chosen; order hint of seven bits; three filters; eight bits, colour.
        bits += "0000000010011110011000";
        bits.as_bytes()
            .chunks(8)
            .map(|eight| {
                let digits: String = eight.iter().map(|&b| char::from(b)).collect();
                u8::from_str_radix(&format!("{digits:0<8}"), 2).unwrap()
            })
            .collect()
    }

    #[test]
    fn a_sequence_header_tells_size_and_level() {
        let found = sequence(&libaom()).unwrap();
        assert_eq!((found.profile, found.level, found.size), (0, 4, (640, 360)));
        assert!(!found.high_bit_depth && !found.monochrome && !found.still);
        assert_eq!(sequence(&libaom()[..5]), None);
    }

    #[test]
    fn units_are_taken_apart_with_and_without_their_size() {
        let data = [0x12, 0, 0x0a, 2, 7, 8, 0x34, 0x20, 9];
        let found: Vec<_> = obus(&data)
            .map(|o| (o.kind, o.extension, o.payload.to_vec()))
            .collect();
        assert_eq!(
            found,
            [
                (TEMPORAL_DELIMITER, None, vec![]),
                (SEQUENCE_HEADER, None, vec![7, 8]),
                (FRAME, Some(0x20), vec![9]),
            ]
        );
        assert_eq!(first_obu(&[0x0a, 3, 1]), None, "longer than what is there");
        assert_eq!(first_obu(&[0x80]), None, "the forbidden bit");
    }

    #[test]
    fn decoding_starts_at_a_shown_key_frame_behind_a_sequence_header() {
        let header = libaom();
        let mut data = vec![0x0a, header.len() as u8];
        data.extend(&header);
        for (first, key) in [(0x10, true), (0x30, false), (0x00, false), (0x80, false)] {
            let unit = [&data[..], &[0x32, 1, first]].concat();
            assert_eq!(is_key(&unit), key, "{first:#x}");
        }
        assert!(!is_key(&[0x32, 1, 0x10]), "without a sequence header");
    }

    proptest! {
        #[test]
        fn no_bytes_break_the_readers(data in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = (is_key(&data), sequence(&data));
            prop_assert!(obus(&data).map(|o| o.whole.len()).sum::<usize>() <= data.len());
        }

        #[test]
        fn numbers_are_read_as_they_were_written(value in 0usize..=0xffff_ffff) {
            let mut bytes = Vec::new();
            push_leb128(value, &mut bytes);
            prop_assert_eq!(leb128(&bytes), Some((value, bytes.len())));
        }
    }
}

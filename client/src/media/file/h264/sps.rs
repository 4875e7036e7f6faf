//! Size and colours of the pictures, from a sequence parameter set (ITU-T H.264, 7.3.2.1.1 and E.1.1).

use crate::media::convert::{Colours, Matrix};

/// Width and height in luma samples; `None` where the set is broken.
pub(crate) fn size(sps: &[u8]) -> Option<(u32, u32)> {
    read(sps).map(|(size, _)| size)
}

/// What the samples mean, where it is told.
pub(crate) fn colours(sps: &[u8]) -> Option<Colours> {
    read(sps)?.1
}

fn read(sps: &[u8]) -> Option<((u32, u32), Option<Colours>)> {
    let profile = *sps.get(1)?;
    let bytes = unescape(sps.get(4..)?);
    let mut bits = Bits {
        bytes: &bytes,
        at: 0,
    };
    bits.ue()?; // seq_parameter_set_id
    let mut chroma = 1;
    if matches!(
        profile,
        100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135
    ) {
        chroma = bits.ue()?;
        if chroma == 3 {
            bits.bit()?;
        }
        bits.ue()?; // bit depths
        bits.ue()?;
        bits.bit()?;
        if bits.bit()? == 1 {
            for list in 0..if chroma == 3 { 12 } else { 8 } {
                if bits.bit()? == 1 {
                    skip_scaling(&mut bits, if list < 6 { 16 } else { 64 })?;
                }
            }
        }
    }
    bits.ue()?; // log2_max_frame_num
    match bits.ue()? {
        0 => {
            bits.ue()?;
        }
        1 => {
            bits.bit()?;
            bits.ue()?;
            bits.ue()?;
            for _ in 0..bits.ue()?.min(255) {
                bits.ue()?;
            }
        }
        _ => {}
    }
    bits.ue()?; // reference frames
    bits.bit()?;
    let columns = bits.ue()?.checked_add(1)?;
    let rows = bits.ue()?.checked_add(1)?;
    let fields = 2 - bits.bit()?;
    if fields == 2 {
        bits.bit()?;
    }
    bits.bit()?; // direct_8x8_inference
    let crop = if bits.bit()? == 1 {
        [bits.ue()?, bits.ue()?, bits.ue()?, bits.ue()?]
    } else {
        [0; 4]
    };
    let unit_x = if matches!(chroma, 1 | 2) { 2 } else { 1 };
    let unit_y = if chroma == 1 { 2 } else { 1 } * fields;
    let side = |blocks: u32, by: u32, low: u32, high: u32, unit: u32| {
        let cropped = low.checked_add(high)?.checked_mul(unit)?;
        blocks.checked_mul(by)?.checked_sub(cropped)
    };
    let width = side(columns, 16, crop[0], crop[1], unit_x)?;
    let height = side(rows, 16 * fields, crop[2], crop[3], unit_y)?;
    let colours = usability(&mut bits);
    (width > 0 && height > 0).then_some(((width, height), colours))
}

/// Video usability information, as far as colours.
fn usability(bits: &mut Bits<'_>) -> Option<Colours> {
    const OWN_ASPECT: u32 = 255;
    if bits.bit()? == 0 {
        return None;
    }
    if bits.bit()? == 1 && bits.take(8)? == OWN_ASPECT {
        bits.take(32)?;
    }
    if bits.bit()? == 1 {
        bits.bit()?; // overscan
    }
    if bits.bit()? == 0 {
        return None;
    }
    bits.take(3)?; // video format
    let full_range = bits.bit()? == 1;
    let mut matrix = Matrix::default();
    if bits.bit()? == 1 {
        bits.take(16)?; // primaries and transfer
        matrix = Matrix::numbered(bits.take(8)?);
    }
    Some(Colours { matrix, full_range })
}

fn skip_scaling(bits: &mut Bits<'_>, count: usize) -> Option<()> {
    let (mut last, mut next) = (8_i64, 8_i64);
    for _ in 0..count {
        if next != 0 {
            let code = i64::from(bits.ue()?);
            let delta = if code & 1 == 1 {
                (code + 1) / 2
            } else {
                -(code / 2)
            };
            next = (last + delta).rem_euclid(256);
        }
        if next != 0 {
            last = next;
        }
    }
    Some(())
}

/// Undoes emulation prevention: 00 00 03 stands for 00 00.
fn unescape(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut zeros = 0;
    for byte in bytes {
        if zeros >= 2 && *byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if *byte == 0 { zeros + 1 } else { 0 };
        out.push(*byte);
    }
    out
}

struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn bit(&mut self) -> Option<u32> {
        let byte = *self.bytes.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(u32::from(bit))
    }

    fn take(&mut self, count: u32) -> Option<u32> {
        (0..count).try_fold(0, |value: u32, _| Some(value << 1 | self.bit()?))
    }

    /// An unsigned Exp-Golomb code (section 9.1).
    fn ue(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while self.bit()? == 0 {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        let mut value = 1_u64;
        for _ in 0..zeros {
            value = value << 1 | u64::from(self.bit()?);
        }
        u32::try_from(value - 1).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_are_read_with_and_without_cropping() {
        // libx264, constrained baseline 640x360 (cropped from 368 rows).
        let cropped = [
            0x67, 0x42, 0xc0, 0x1e, 0xd9, 0x00, 0xa0, 0x2f, 0xf9, 0x70, 0x11, 0x00, 0x00, 0x03,
            0x00, 0x01, 0x00, 0x00, 0x03, 0x00, 0x3c, 0x0f, 0x16, 0x2e, 0x48,
        ];
        assert_eq!(size(&cropped), Some((640, 360)));
        assert_eq!(size(&cropped[..6]), None);
    }

    #[test]
    fn colours_are_read_where_they_are_told() {
        let of = |bits: &str| {
            // Baseline, 16x16, nothing cropped; then what is said of usability.
            let bits = format!("110111011100{bits}1");
            let mut sps = vec![0x67, 0x42, 0xc0, 0x1e];
            for byte in bits.as_bytes().chunks(8) {
                let value = byte.iter().fold(0, |v, b| v << 1 | (b - b'0'));
                sps.push(value << (8 - byte.len()));
            }
            assert_eq!(size(&sps), Some((16, 16)), "{bits}");
            colours(&sps)
        };
        let is = |matrix, full_range| Some(Colours { matrix, full_range });
        assert_eq!(of("0"), None);
        // No aspect, no overscan; a signal of any format, in full range, without more.
        assert_eq!(of("100110110"), is(Matrix::Bt601, true));
        let told = "00000001".repeat(3);
        assert_eq!(
            of(&format!("10011010 1{told}").replace(' ', "")),
            is(Matrix::Bt709, false)
        );
        // An aspect of its own, and overscan.
        let aspect = format!("11{}", "1".repeat(8 + 32));
        assert_eq!(
            of(&format!("{aspect}11101111{told}")),
            is(Matrix::Bt709, true)
        );
    }

    proptest! {
        #[test]
        fn any_parameter_set_is_taken(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = (size(&bytes), colours(&bytes));
        }
    }
}

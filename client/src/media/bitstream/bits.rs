//! Bits read one after the other, the highest of each byte first.

/// See the module.
#[derive(Clone, Debug)]
pub struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Bits<'a> {
    /// Reads from the first bit on.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The next `count` bits, 32 at most; `None` where the bytes end before.
    pub fn take(&mut self, count: u32) -> Option<u32> {
        (0..count).try_fold(0, |value, _| Some(value << 1 | u32::from(self.flag()?)))
    }

    /// The next bit.
    pub fn flag(&mut self) -> Option<bool> {
        let byte = self.bytes.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(bit == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_come_highest_first_and_end_with_the_bytes() {
        let mut bits = Bits::new(&[0b1010_0000, 0xff]);
        assert_eq!(bits.take(3), Some(0b101));
        assert_eq!(bits.take(9), Some(0b0000_0000_1111));
        assert_eq!(bits.flag(), Some(true));
        assert_eq!(bits.take(4), None);
    }
}

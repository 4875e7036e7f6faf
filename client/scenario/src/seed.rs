//! Luck that can be had again.

/// Numbers by chance: equal seeds give equal ones (SplitMix64).
#[derive(Clone, Debug)]
pub struct Luck(u64);

impl Luck {
    /// Begins anew.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// The next number from 0 on and below 1.
    pub fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_have_equal_luck_and_others_do_not() {
        let row = |seed| {
            let mut luck = Luck::new(seed);
            [luck.next(), luck.next(), luck.next()]
        };
        assert_eq!(row(7), row(7));
        assert_ne!(row(7), row(8));
        let mut luck = Luck::new(1);
        assert!((0..1_000).all(|_| (0.0..1.0).contains(&luck.share())));
    }
}

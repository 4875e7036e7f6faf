//! What the receivers of our sound ask for in their descriptions (RFC 7587, section 6.1). Pure.

/// The wishes of one receiver of Opus, or of several together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpusWishes {
    /// `stereo`: two channels are better than one.
    pub stereo: bool,
    /// `maxaveragebitrate`, in bits a second.
    pub max_average_bitrate: Option<u32>,
    /// `usedtx`: silence need not be sent.
    pub dtx: bool,
    /// `useinbandfec`: redundancy is made use of.
    pub fec: bool,
}

impl Default for OpusWishes {
    /// What holds where nothing is said.
    fn default() -> Self {
        Self {
            stereo: false,
            max_average_bitrate: None,
            dtx: false,
            fec: false,
        }
    }
}

impl OpusWishes {
    /// Reads format parameters: `minptime=10;useinbandfec=1`. What is no number or out of range counts as not said.
    #[must_use]
    pub fn parse(parameters: &str) -> Self {
        let mut wishes = Self::default();
        for (name, value) in parameters.split(';').filter_map(|p| p.split_once('=')) {
            let (name, value) = (name.trim(), value.trim());
            let yes = value == "1";
            if name.eq_ignore_ascii_case("stereo") {
                wishes.stereo = yes;
            } else if name.eq_ignore_ascii_case("usedtx") {
                wishes.dtx = yes;
            } else if name.eq_ignore_ascii_case("useinbandfec") {
                wishes.fec = yes;
            } else if name.eq_ignore_ascii_case("maxaveragebitrate") {
                let rate = value.parse().ok();
                wishes.max_average_bitrate = rate.filter(|rate| (6_000..=510_000).contains(rate));
            }
        }
        wishes
    }

    /// What serves both: one encoder feeds all. Every receiver takes stereo and redundancy, but a limit is a limit, and
    /// silence is sent where anybody expects it.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let limits = [self.max_average_bitrate, other.max_average_bitrate];
        Self {
            stereo: self.stereo || other.stereo,
            max_average_bitrate: limits.into_iter().flatten().min(),
            dtx: self.dtx && other.dtx,
            fec: self.fec || other.fec,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parameters_are_read_and_nonsense_counts_as_not_said() {
        let wishes = OpusWishes::parse(
            "minptime=10; useinbandfec=1;stereo=1;usedtx=1;maxaveragebitrate=20000",
        );
        let expected = OpusWishes {
            stereo: true,
            max_average_bitrate: Some(20_000),
            dtx: true,
            fec: true,
        };
        assert_eq!(wishes, expected);
        for nothing in [
            "",
            "stereo",
            "stereo=2;maxaveragebitrate=5",
            "maxaveragebitrate=x",
            ";;=",
        ] {
            assert_eq!(
                OpusWishes::parse(nothing),
                OpusWishes::default(),
                "{nothing}"
            );
        }
    }

    #[test]
    fn one_encoder_serves_all() {
        let a = OpusWishes::parse("stereo=1;usedtx=1;maxaveragebitrate=40000");
        let b = OpusWishes::parse("useinbandfec=1;maxaveragebitrate=20000");
        let both = OpusWishes {
            stereo: true,
            max_average_bitrate: Some(20_000),
            dtx: false,
            fec: true,
        };
        assert_eq!(a.and(b), both);
        assert_eq!(b.and(a), both);
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "\\PC{0,200}") {
            let rate = OpusWishes::parse(&text).max_average_bitrate;
            prop_assert!(rate.is_none_or(|rate| (6_000..=510_000).contains(&rate)));
        }
    }
}

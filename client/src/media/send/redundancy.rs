//! When sound is sent twice. Pure.

/// Whether each packet of sound carries the one before it again (RED, RFC 2198).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Redundancy {
    /// Where so much is lost that in-band FEC alone is heard.
    #[default]
    Auto,
    /// From the beginning.
    On,
    /// Never.
    Off,
}

/// From so many lost packets in a hundred on, sound is sent twice.
const LOSSY: u32 = 5;

impl Redundancy {
    /// The name it has on the command line, if it is one.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "auto" => Some(Self::Auto),
            "on" => Some(Self::On),
            "off" => Some(Self::Off),
            _ => None,
        }
    }

    /// Whether it is wanted where `lost` of a hundred packets do not arrive.
    #[must_use]
    pub const fn wanted(self, lost: u32) -> bool {
        match self {
            Self::Auto => lost >= LOSSY,
            Self::On => true,
            Self::Off => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_decides_where_nobody_else_does() {
        let of = |name| [0, 4, 5, 100].map(|lost| Redundancy::named(name).map(|r| r.wanted(lost)));
        assert_eq!(
            of("auto"),
            [Some(false), Some(false), Some(true), Some(true)]
        );
        assert_eq!(of("on"), [Some(true); 4]);
        assert_eq!(of("off"), [Some(false); 4]);
        assert_eq!(of("twice"), [None; 4]);
    }
}

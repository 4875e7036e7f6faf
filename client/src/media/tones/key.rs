//! What is dialled, and the payload of a key. Pure.

/// Keys and pauses that one line may hold.
pub const MOST: usize = 256;

/// Bytes of an event (RFC 4733, section 2.3).
const REPORT: usize = 4;

/// The keys in the order of their codes (RFC 4733, section 3.2).
const KEYS: &[u8; 16] = b"0123456789*#ABCD";

/// The end of the event.
const END: u8 = 0x80;

/// What is left of its byte for the volume.
const VOLUME: u8 = 0x3f;

/// One key: `0` to `9`, `*`, `#`, `A` to `D`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tone(u8);

impl Tone {
    /// The key with this name; letters in either case.
    #[must_use]
    pub fn named(name: char) -> Option<Self> {
        let name = name.to_ascii_uppercase();
        let code = KEYS.iter().position(|key| char::from(*key) == name)?;
        u8::try_from(code).ok().map(Self)
    }

    /// What the key is called.
    #[must_use]
    pub fn name(self) -> char {
        char::from(KEYS[usize::from(self.0 & 0x0f)])
    }
}

/// What is done one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A key is pressed.
    Tone(Tone),
    /// Two seconds pass (W3C webrtc-pc, section 7: a comma).
    Pause,
}

/// What cannot be dialled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DialError {
    /// No telephone has this key.
    #[error("a telephone has no key {0:?}; write 0 to 9, *, #, A to D, and , for a pause of 2 s")]
    NoKey(char),
    /// A hand that dials this does not exist.
    #[error("more than {MOST} keys and pauses at once; dial in parts")]
    TooLong,
    /// Nothing is dialled.
    #[error("no key is named; write 0 to 9, *, #, A to D, and , for a pause of 2 s")]
    Empty,
}

/// Reads what is to be dialled: keys, commas for pauses; spaces mean nothing.
///
/// # Errors
/// When there is something else in it, or too much, or nothing.
pub fn dialled(text: &str) -> Result<Vec<Step>, DialError> {
    let mut steps = Vec::new();
    for name in text.chars().filter(|c| !c.is_whitespace()) {
        let step = match name {
            ',' => Step::Pause,
            name => Step::Tone(Tone::named(name).ok_or(DialError::NoKey(name))?),
        };
        if steps.len() == MOST {
            return Err(DialError::TooLong);
        }
        steps.push(step);
    }
    if steps.is_empty() {
        return Err(DialError::Empty);
    }
    Ok(steps)
}

/// What one packet says of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Which.
    pub tone: Tone,
    /// Whether it is let go.
    pub end: bool,
    /// How loud it is, in dBm0 with the sign left out: 0 to 63.
    pub volume: u8,
    /// How long it has been pressed, in ticks of the payload's clock.
    pub duration: u16,
}

impl Report {
    /// Reads a payload. `None` where it is broken, or an event that is no key.
    #[must_use]
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let [event, flags, high, low, ..] = *payload else {
            return None;
        };
        (usize::from(event) < KEYS.len()).then_some(Self {
            tone: Tone(event),
            end: flags & END != 0,
            volume: flags & VOLUME,
            duration: u16::from_be_bytes([high, low]),
        })
    }

    /// The payload.
    #[must_use]
    pub fn pack(self) -> [u8; REPORT] {
        let [high, low] = self.duration.to_be_bytes();
        let end = if self.end { END } else { 0 };
        [self.tone.0, end | self.volume.min(VOLUME), high, low]
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_have_the_codes_of_the_rfc() {
        let codes: Vec<u8> = "0189*#ABCDad"
            .chars()
            .map(|name| Tone::named(name).unwrap().0)
            .collect();
        assert_eq!(codes, [0, 1, 8, 9, 10, 11, 12, 13, 14, 15, 12, 15]);
        assert_eq!(Tone::named('E'), None);
        assert_eq!(Tone::named('½'), None);
    }

    #[test]
    fn a_line_is_dialled_in_order_and_says_what_no_telephone_has() {
        let one = Step::Tone(Tone::named('1').unwrap());
        let hash = Step::Tone(Tone::named('#').unwrap());
        assert_eq!(dialled(" 1,# ").unwrap(), [one, Step::Pause, hash]);
        assert_eq!(dialled("12e"), Err(DialError::NoKey('e')));
        assert_eq!(dialled("  "), Err(DialError::Empty));
        assert_eq!(dialled(&"1".repeat(257)), Err(DialError::TooLong));
    }

    #[test]
    fn a_payload_is_as_the_rfc_draws_it() {
        let report = Report {
            tone: Tone::named('#').unwrap(),
            end: true,
            volume: 10,
            duration: 0x12c0,
        };
        assert_eq!(report.pack(), [11, 0x8a, 0x12, 0xc0]);
        // The reserved bit is not looked at.
        assert_eq!(Report::parse(&[11, 0xca, 0x12, 0xc0]), Some(report));
        assert_eq!(
            Report::parse(&[16, 0, 0, 0]),
            None,
            "a flash hook is no key"
        );
        assert_eq!(Report::parse(&[1, 0, 0]), None);
    }

    proptest! {
        #[test]
        fn what_is_packed_is_read_again(tone in 0_u8..16, end: bool, volume in 0_u8..64, duration: u16) {
            let report = Report { tone: Tone(tone), end, volume, duration };
            prop_assert_eq!(Report::parse(&report.pack()), Some(report));
        }

        #[test]
        fn any_line_is_survived(text in ".{0,300}") {
            if let Ok(steps) = dialled(&text) {
                prop_assert!(!steps.is_empty() && steps.len() <= MOST);
            }
        }
    }
}

//! What a certificate is known by where no authority vouches for it.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use ring::digest::{SHA256, digest};

/// The name of the one hash that is used.
const HASH: &str = "sha256:";

/// The SHA-256 of a certificate, as browsers and OpenSSL show it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

/// A text that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a fingerprint is `sha256:` and 64 hexadecimal digits, in pairs with colons between or without"
)]
pub struct FingerprintError;

impl Fingerprint {
    /// Of a certificate in DER.
    #[must_use]
    pub fn of(certificate: &[u8]) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest(&SHA256, certificate).as_ref());
        Self(bytes)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HASH)?;
        for (at, byte) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_char(':')?;
            }
            write!(f, "{byte:02X}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    /// Reads what [`fmt::Display`] writes, and the same in small letters, without colons or without `sha256:`.
    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        let text = text.trim();
        let digits = match text.split_at_checked(HASH.len()) {
            Some((hash, digits)) if hash.eq_ignore_ascii_case(HASH) => digits,
            _ => text,
        };
        let stride = match digits.len() {
            64 => 2,
            95 => 3,
            _ => return Err(FingerprintError),
        };
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks(stride)) {
            let digit = |at: usize| {
                let digit = pair.get(at).and_then(|b| char::from(*b).to_digit(16));
                digit.and_then(|digit| u8::try_from(digit).ok())
            };
            let (high, low) = digit(0).zip(digit(1)).ok_or(FingerprintError)?;
            if pair.get(2).is_some_and(|b| *b != b':') {
                return Err(FingerprintError);
            }
            *byte = high << 4 | low;
        }
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn it_is_read_as_it_is_written_and_as_others_write_it() {
        // NIST's example of one block, FIPS 180-4.
        let abc = Fingerprint::of(b"abc");
        let text = abc.to_string();
        assert!(text.starts_with("sha256:BA:78:16:BF:") && text.ends_with(":15:AD"));
        let bare = text.trim_start_matches(HASH);
        let small = text.to_lowercase();
        let digits = bare.replace(':', "");
        for form in [&text, bare, &small, &digits, &format!(" SHA256:{digits}\n")] {
            assert_eq!(form.parse(), Ok(abc), "{form}");
        }
    }

    #[test]
    fn what_is_none_is_refused() {
        let text = Fingerprint::of(b"abc").to_string();
        for wrong in [
            "",
            "sha256:",
            "é".repeat(32).as_str(),
            "é".repeat(4).as_str(),
            &text[..text.len() - 1],
            &text.replace(':', "-"),
            &text.replace('B', "G"),
            &text.replace("sha256", "sha1"),
            &format!("{text}:00"),
        ] {
            assert_eq!(
                wrong.parse::<Fingerprint>(),
                Err(FingerprintError),
                "{wrong}"
            );
        }
    }
}

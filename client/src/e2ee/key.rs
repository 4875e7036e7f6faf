//! From what a person types to the key of a room.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;

use ring::pbkdf2;

/// What makes a passphrase slow to guess; the page counts the same.
const ITERATIONS: NonZeroU32 = NonZeroU32::new(600_000).unwrap();

/// Stands before the room's name in the salt, so that the key is of use nowhere else.
const SALT_PREFIX: &[u8] = b"rtc-client SFrame 1\0";

/// What a raw key begins with.
const RAW_PREFIX: &str = "key:";

/// Why a text is no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It is empty.
    #[error("an empty passphrase protects nothing; write a long one")]
    Empty,
    /// It says that it is a key and is none.
    #[error("a raw key is key: and 32 or 64 hexadecimal digits; anything else is a passphrase")]
    Hex,
}

/// What everybody in a room must know: a passphrase, or a key. It is never printed.
#[derive(Clone, PartialEq, Eq)]
pub enum RoomSecret {
    /// Chosen by people.
    Passphrase(String),
    /// Made by a machine: 16 or 32 bytes.
    Raw(Vec<u8>),
}

impl RoomSecret {
    /// Reads `key:HEX`, or else a passphrase, every character of which counts.
    ///
    /// # Errors
    /// When it is empty, or begins like a key and goes on otherwise.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let Some(digits) = text.strip_prefix(RAW_PREFIX) else {
            return match text {
                "" => Err(KeyError::Empty),
                _ => Ok(Self::Passphrase(text.to_owned())),
            };
        };
        let raw = unhex(digits).filter(|raw| matches!(raw.len(), 16 | 32));
        raw.map(Self::Raw).ok_or(KeyError::Hex)
    }

    /// The key of the room of that name. Takes a good part of a second where it begins with a passphrase.
    #[must_use]
    pub fn key(&self, room: &str) -> RoomKey {
        let bytes = match self {
            Self::Raw(raw) => raw.clone(),
            Self::Passphrase(text) => {
                let salt = [SALT_PREFIX, room.as_bytes()].concat();
                let mut key = vec![0; 32];
                let hash = pbkdf2::PBKDF2_HMAC_SHA256;
                pbkdf2::derive(hash, ITERATIONS, &salt, text.as_bytes(), &mut key);
                key
            }
        };
        RoomKey(bytes.into())
    }
}

impl fmt::Debug for RoomSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RoomSecret(…)")
    }
}

/// The key of one room: the `base_key` of RFC 9605, section 4.4.2. It is never printed.
#[derive(Clone)]
pub struct RoomKey(Arc<[u8]>);

impl RoomKey {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for RoomKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RoomKey(…)")
    }
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    let nibble = |c: u8| {
        char::from(c)
            .to_digit(16)
            .and_then(|d| u8::try_from(d).ok())
    };
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    let byte = |[high, low]: &[u8; 2]| Some(nibble(*high)? << 4 | nibble(*low)?);
    pairs.iter().map(byte).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn a_passphrase_and_a_room_make_the_key_that_the_documentation_shows() {
        let key = RoomSecret::parse("correct horse").unwrap().key("foo");
        let shown = hex(key.bytes());
        assert!(
            include_str!("../../../docs/e2ee.md").contains(&shown),
            "{shown}"
        );
    }

    #[test]
    fn another_room_or_another_passphrase_is_another_key() {
        let key = |text: &str, room: &str| hex(RoomSecret::parse(text).unwrap().key(room).bytes());
        let first = key("correct horse", "foo");
        assert_ne!(first, key("correct horse", "bar"));
        assert_ne!(first, key("correct horse ", "foo"));
    }

    #[test]
    fn a_raw_key_is_taken_as_it_is_in_every_room() {
        for digits in ["00112233445566778899aabbccddeeFF", &"5a".repeat(32)] {
            let secret = RoomSecret::parse(&format!("key:{digits}")).unwrap();
            assert_eq!(hex(secret.key("foo").bytes()), digits.to_lowercase());
        }
    }

    #[test]
    fn what_is_neither_is_refused_without_being_shown() {
        assert_eq!(RoomSecret::parse(""), Err(KeyError::Empty));
        for bad in [
            "",
            "00",
            "0011223344556677889aabbccddeeff",
            &"0g".repeat(16),
            &"ö".repeat(16),
        ] {
            assert_eq!(RoomSecret::parse(&format!("key:{bad}")), Err(KeyError::Hex));
        }
        let secret = RoomSecret::parse("correct horse").unwrap();
        assert!(!format!("{secret:?}").contains("horse"));
        let key = RoomSecret::parse(&format!("key:{}", "5a".repeat(16)))
            .unwrap()
            .key("foo");
        assert!(!format!("{key:?}").contains("90"));
    }

    proptest! {
        #[test]
        fn any_text_is_a_secret_or_an_error(text in ".{0,80}") {
            let _ = RoomSecret::parse(&text);
            let _ = RoomSecret::parse(&format!("key:{text}"));
        }
    }
}

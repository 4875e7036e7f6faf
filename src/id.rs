//! Checked names: what is in one of these types has passed the rule, and there is one rule for all dialects.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::limits;

/// A name that the rule refuses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// Nothing there.
    #[error("the {what} is empty; give it at least one character")]
    Empty {
        /// Which kind of name.
        what: &'static str,
    },
    /// Longer than allowed.
    #[error("the {what} is too long ({len} {unit}); use at most {max}")]
    TooLong {
        /// Which kind of name.
        what: &'static str,
        /// How long it is.
        len: usize,
        /// How long it may be.
        max: usize,
        /// Bytes or characters.
        unit: &'static str,
    },
    /// A control character, or one that a URL's path gives a meaning.
    #[error("the {what} holds the character {found:?}, which is not allowed; leave it out")]
    Character {
        /// Which kind of name.
        what: &'static str,
        /// The first such character.
        found: char,
    },
    /// `.` or `..`, which URLs resolve away.
    #[error("a room cannot be called {found:?}, since URLs resolve that away; choose another name")]
    Dots {
        /// The name.
        found: String,
    },
    /// Of the wrong form for a peer id or token.
    #[error("{what} must be {form}")]
    Form {
        /// Which kind of name.
        what: &'static str,
        /// What is asked.
        form: &'static str,
    },
}

/// Applies the part of the rule that all names share.
fn check(
    what: &'static str,
    text: &str,
    max: usize,
    unit: &'static str,
    forbidden: &str,
) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty { what });
    }
    let len = match unit {
        "bytes" => text.len(),
        _ => text.chars().count(),
    };
    if len > max {
        return Err(NameError::TooLong {
            what,
            len,
            max,
            unit,
        });
    }
    match text
        .chars()
        .find(|c| c.is_control() || forbidden.contains(*c))
    {
        Some(found) => Err(NameError::Character { what, found }),
        None => Ok(()),
    }
}

/// Gives a checked text type its shared traits.
macro_rules! checked_text {
    ($name:ident, $schema:expr) => {
        impl $name {
            /// Returns the text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }
        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Cow::<'de, str>::deserialize(deserializer)?;
                Self::new(&text).map_err(serde::de::Error::custom)
            }
        }
        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    };
}

/// A room's name: 1 to 128 bytes of UTF-8 without control characters and `/?#`, and not `.` or `..`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoomId(Arc<str>);

impl RoomId {
    /// Checks a room's name.
    pub fn new(text: &str) -> Result<Self, NameError> {
        check("room name", text, limits::ROOM_NAME_BYTES, "bytes", "/?#")?;
        if matches!(text, "." | "..") {
            return Err(NameError::Dots {
                found: text.to_owned(),
            });
        }
        Ok(Self(text.into()))
    }
}

checked_text!(
    RoomId,
    json_schema!({
        "type": "string", "minLength": 1, "maxLength": limits::ROOM_NAME_BYTES, "pattern": r"^[^/?#\u0000-\u001f\u007f-\u009f]+$",
        "description": "A room's name: 1 to 128 bytes of UTF-8 without control characters and /?#, and not . or .."
    })
);

/// The name a peer goes by: 1 to 64 characters, none of them a control character.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Arc<str>);

impl Name {
    /// Checks a display name.
    pub fn new(text: &str) -> Result<Self, NameError> {
        check("name", text, limits::NAME_CHARS, "characters", "")?;
        Ok(Self(text.into()))
    }
}

checked_text!(
    Name,
    json_schema!({
        "type": "string", "minLength": 1, "maxLength": limits::NAME_CHARS, "pattern": r"^[^\u0000-\u001f\u007f-\u009f]+$",
        "description": "A display name: 1 to 64 characters without control characters"
    })
);

/// A ringing or accepted call, as the server named it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallId(Arc<str>);

impl CallId {
    /// Checks a call's id.
    pub fn new(text: &str) -> Result<Self, NameError> {
        check("call id", text, limits::CALL_ID_CHARS, "characters", "")?;
        Ok(Self(text.into()))
    }
}

checked_text!(
    CallId,
    json_schema!({
        "type": "string", "minLength": 1, "maxLength": limits::CALL_ID_CHARS,
        "description": "A call's id, opaque, made by the server"
    })
);

/// Letters of a peer id: RFC 4648 section 6 in lower case.
const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Characters of a peer id: 100 bits, so that no two of a server's peers meet.
const PEER_ID_CHARS: usize = 20;

/// Who a peer is: 20 characters of base32, derived from its [`Token`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerId([u8; PEER_ID_CHARS]);

impl PeerId {
    /// Checks a peer id.
    pub fn new(text: &str) -> Result<Self, NameError> {
        match <[u8; PEER_ID_CHARS]>::try_from(text.as_bytes()) {
            Ok(bytes) if bytes.iter().all(|b| BASE32.contains(b)) => Ok(Self(bytes)),
            _ => Err(NameError::Form {
                what: "a peer id",
                form: "20 characters of a-z and 2-7, as the server gave it",
            }),
        }
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        // Only letters of BASE32 ever get in.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// Returns what a peer without a name goes by: the first six letters of its id.
    pub fn short_name(&self) -> Name {
        // Letters of BASE32 pass the rule for names.
        Name(self.as_str().get(..6).unwrap_or_default().into())
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerId({})", self.as_str())
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for PeerId {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::new(text)
    }
}

impl Serialize for PeerId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for PeerId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        Self::new(&text).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for PeerId {
    fn schema_name() -> Cow<'static, str> {
        "PeerId".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string", "pattern": "^[a-z2-7]{20}$",
            "description": "A peer's id: the first 20 characters of the lower-case base32 of the token's SHA-256"
        })
    }
}

/// The secret that makes a peer the one it is: 22 to 64 base64url characters.
///
/// It never shows in logs: `Debug` hides it, and there is no `Display`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Token(Arc<str>);

impl Token {
    /// Checks a token.
    pub fn new(text: &str) -> Result<Self, NameError> {
        let fits = (limits::TOKEN_MIN..=limits::TOKEN_MAX).contains(&text.len());
        let letters = text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if fits && letters {
            Ok(Self(text.into()))
        } else {
            Err(NameError::Form {
                what: "a token",
                form: "22 to 64 characters of A-Z, a-z, 0-9, - and _",
            })
        }
    }

    /// Makes a token of random bytes that the caller drew.
    pub fn from_random(bytes: [u8; 32]) -> Self {
        const LETTERS: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let text: String = bits(&bytes, 6).map(|i| char::from(LETTERS[i])).collect();
        Self(text.into())
    }

    /// Returns the secret itself, to send it.
    pub fn secret(&self) -> &str {
        &self.0
    }

    /// Derives the id of the peer that holds this token.
    ///
    /// So a peer keeps its id over reconnects and restarts of the server, and nobody can claim another's id
    /// without its secret.
    pub fn peer_id(&self) -> PeerId {
        let digest = Sha256::digest(self.0.as_bytes());
        let mut id = [b'a'; PEER_ID_CHARS];
        for (letter, index) in id.iter_mut().zip(bits(&digest, 5)) {
            *letter = BASE32[index];
        }
        PeerId(id)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

impl FromStr for Token {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::new(text)
    }
}

impl Serialize for Token {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl JsonSchema for Token {
    fn schema_name() -> Cow<'static, str> {
        "Token".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string", "pattern": "^[A-Za-z0-9_-]{22,64}$",
            "description": "A peer's secret; who holds it is the peer"
        })
    }
}

/// What a peer shows to be let in: a token that somebody gave it. Who reads it says whether it is good.
///
/// It never shows in logs: `Debug` hides it, and there is no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct AuthToken(Arc<str>);

impl AuthToken {
    /// Takes any text.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// Returns the token itself, to send or check it.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for AuthToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthToken(..)")
    }
}

impl FromStr for AuthToken {
    type Err = std::convert::Infallible;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self::new(text))
    }
}

impl Serialize for AuthToken {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl JsonSchema for AuthToken {
    fn schema_name() -> Cow<'static, str> {
        "AuthToken".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A room token (a JWT), as whoever runs the server gave it"
        })
    }
}

/// Reads bytes as groups of `width` bits, most significant first; a last short group is filled with zeros.
fn bits(bytes: &[u8], width: usize) -> impl Iterator<Item = usize> + '_ {
    (0..(bytes.len() * 8).div_ceil(width)).map(move |group| {
        (group * width..(group + 1) * width).fold(0, |value, bit| {
            let byte = bytes.get(bit / 8).copied().unwrap_or(0);
            value << 1 | usize::from(byte >> (7 - bit % 8) & 1)
        })
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn room_names_follow_the_one_rule() {
        let long = "x".repeat(128);
        for good in [
            "foo",
            "__proto__",
            "constructor",
            "日本",
            "a b",
            "...",
            &long,
        ] {
            assert_eq!(RoomId::new(good).unwrap().as_str(), good);
        }
        let too_long = "x".repeat(129);
        let too_many_bytes = "é".repeat(65);
        for bad in [
            "",
            ".",
            "..",
            "a/b",
            "a?b",
            "a#b",
            "a\nb",
            "\u{0}",
            "\u{85}",
            &too_long,
            &too_many_bytes,
        ] {
            assert!(RoomId::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn names_count_characters() {
        assert!(Name::new(&"é".repeat(64)).is_ok());
        assert!(Name::new(&"é".repeat(65)).is_err());
        assert!(Name::new("").is_err());
        assert!(Name::new("a\u{1b}[2J").is_err());
    }

    #[test]
    fn the_peer_id_is_the_base32_of_the_digest() {
        let token = Token::new("AAAAAAAAAAAAAAAAAAAAAAAA").unwrap();
        assert_eq!(token.peer_id().as_str(), "dpnj6cxnqccx2q6jgkkf");
        assert_eq!(PeerId::new(token.peer_id().as_str()), Ok(token.peer_id()));
        let short = token.peer_id().short_name();
        assert_eq!(Name::new(short.as_str()), Ok(short.clone()));
        assert_eq!(short.as_str(), &token.peer_id().as_str()[..6]);
    }

    #[test]
    fn a_token_is_base64url_of_the_right_length_and_stays_secret() {
        assert!(Token::new(&"a".repeat(21)).is_err());
        assert!(Token::new(&"a".repeat(22)).is_ok());
        assert!(Token::new(&"a".repeat(64)).is_ok());
        assert!(Token::new(&"a".repeat(65)).is_err());
        assert!(Token::new("aaaaaaaaaaaaaaaaaaaaaaaa+").is_err());
        let made = Token::from_random([0xff; 32]);
        assert_eq!(made.secret(), "__________________________________________8");
        assert_eq!(Token::new(made.secret()), Ok(made.clone()));
        assert!(!format!("{made:?}").contains("___"));
    }

    #[test]
    fn peer_ids_of_another_form_are_refused() {
        for bad in [
            "",
            "constructor",
            "ABCDEFGHIJKLMNOPQRST",
            "abcdefghijklmnopqrs1",
            "éééééééééé",
        ] {
            assert!(PeerId::new(bad).is_err(), "{bad:?}");
        }
    }
}

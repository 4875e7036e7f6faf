//! What a room token says (RFC 7519, section 4), as JSON.

use std::collections::BTreeSet;

use rtc_protocol::{Name, RoomId};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{Denied, Power};

/// Who a token may be for, where it says so.
pub(super) const AUDIENCE: &str = "rtc-server";

/// Rooms that one token may name; a list longer than that is a `*`.
const MOST_ROOMS: usize = 64;

/// The claims. Those that are not named here are skipped; one given twice, or of another kind, is an error.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Claims {
    /// Rooms that it is for: a name, a list of names, or `*`.
    #[serde(default, skip_serializing_if = "Rooms::is_empty")]
    pub room: Rooms,
    /// The name that its holder goes by, whatever else it says.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "name",
        serialize_with = "name_text"
    )]
    pub name: Option<Name>,
    /// What its holder may do; `join` and `publish` where it does not say.
    #[serde(default = "Power::usual")]
    pub rights: BTreeSet<Power>,
    /// Until when, in seconds since 1970.
    pub exp: f64,
    /// From when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<f64>,
    /// When it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iat: Option<f64>,
    /// Whose it is, for the issuer's own books.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub: Option<String>,
    /// Whom it is for; none of ours where it names others only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aud: Option<OneOrMore>,
}

impl Claims {
    pub(super) fn parse(json: &[u8]) -> Result<Self, Denied> {
        let claims: Self =
            serde_json::from_slice(json).map_err(|error| Denied::Claims(error.to_string()))?;
        // RFC 7519, section 4.1.3: who is not named must refuse.
        if claims.aud.as_ref().is_some_and(|aud| !aud.names(AUDIENCE)) {
            let words = format!("its aud does not name {AUDIENCE}");
            return Err(Denied::Claims(words));
        }
        Ok(claims)
    }
}

/// A text or a list of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum OneOrMore {
    /// One.
    One(String),
    /// Any number.
    More(Vec<String>),
}

impl OneOrMore {
    fn names(&self, whom: &str) -> bool {
        match self {
            Self::One(one) => one == whom,
            Self::More(all) => all.iter().any(|one| one == whom),
        }
    }
}

/// Rooms that a token is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rooms {
    /// Every one; written `*`.
    All,
    /// These.
    Named(BTreeSet<RoomId>),
}

impl Rooms {
    /// Whether this room is one of them.
    #[must_use]
    pub fn hold(&self, room: &RoomId) -> bool {
        match self {
            Self::All => true,
            Self::Named(rooms) => rooms.contains(room),
        }
    }

    fn is_empty(&self) -> bool {
        matches!(self, Self::Named(rooms) if rooms.is_empty())
    }
}

impl Default for Rooms {
    fn default() -> Self {
        Self::Named(BTreeSet::new())
    }
}

impl Serialize for Rooms {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::All => serializer.serialize_str("*"),
            Self::Named(rooms) if rooms.len() == 1 => rooms.first().serialize(serializer),
            Self::Named(rooms) => rooms.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Rooms {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let names = match OneOrMore::deserialize(deserializer)? {
            OneOrMore::One(one) => vec![one],
            OneOrMore::More(all) => all,
        };
        if names.len() > MOST_ROOMS {
            return Err(de::Error::custom(format!(
                "room names more than {MOST_ROOMS} rooms"
            )));
        }
        if names.iter().any(|name| name == "*") {
            return Ok(Self::All);
        }
        let rooms = names.iter().map(|name| RoomId::new(name));
        let rooms = rooms.collect::<Result<_, _>>().map_err(de::Error::custom)?;
        Ok(Self::Named(rooms))
    }
}

fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Name>, D::Error> {
    let text = String::deserialize(deserializer)?;
    Name::new(&text).map(Some).map_err(de::Error::custom)
}

#[expect(clippy::ref_option, reason = "serde passes the field as it is")]
fn name_text<S: Serializer>(name: &Option<Name>, serializer: S) -> Result<S::Ok, S::Error> {
    name.serialize(serializer)
}

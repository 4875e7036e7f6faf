//! What nodes say to each other, and what they carry it in.
//!
//! A node is the truth about its own peers: it tells the others of a room what has changed, as facts, and they apply them to
//! what they know of the room. A word that a later version says is skipped by an earlier one, a field that it adds ignored.

use std::fmt;
use std::str::FromStr;

use rtc_protocol::{
    CallId, ErrorCode, Kind, LeaveReason, Member, Name, PeerId, RefuseCode, RoomId,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::hub::{Baggage, Finding};

/// One run of one server; drawn anew at every start, so that a node that comes back is another one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(u64);

/// A text that is no node's id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no node's id, which has 16 hexadecimal digits")]
pub struct NodeIdError(String);

impl NodeId {
    /// Of this number, which the caller drew at random.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// How it begins: by its region, where there are several.
    pub(super) const fn mark(self) -> u16 {
        (self.0 >> 48) as u16
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeId({self})")
    }
}

impl FromStr for NodeId {
    type Err = NodeIdError;

    fn from_str(text: &str) -> Result<Self, NodeIdError> {
        let digits = text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let number = digits.then(|| u64::from_str_radix(text, 16).ok()).flatten();
        number.map(Self).ok_or_else(|| NodeIdError(text.into()))
    }
}

impl Serialize for NodeId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for NodeId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// What one node tells another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "t", rename_all = "kebab-case")]
pub enum Word {
    /// A peer of mine is in a room.
    Joined {
        /// Which.
        room: RoomId,
        /// Its place in the order of the members.
        seat: u64,
        /// How many may be in.
        capacity: u16,
        /// The peer, as others see it.
        member: Member,
    },
    /// A peer of mine is not in a room any more.
    Left {
        /// Which.
        room: RoomId,
        /// Who.
        peer: PeerId,
        /// The seat it had; it may have another one by now.
        seat: u64,
        /// Why.
        reason: LeaveReason,
    },
    /// A peer of mine has muted or unmuted somebody, itself perhaps.
    Muted {
        /// Where.
        room: RoomId,
        /// Whom.
        peer: PeerId,
        /// Who did it.
        by: PeerId,
        /// Sound or picture.
        kind: Kind,
        /// Muted, or no longer.
        on: bool,
    },
    /// A peer of mine made somebody a moderator.
    Granted {
        /// Where.
        room: RoomId,
        /// Whom.
        peer: PeerId,
        /// Who did it.
        by: PeerId,
    },
    /// A peer of mine puts one of yours out of a room.
    Kick {
        /// Which.
        room: RoomId,
        /// Whom.
        peer: PeerId,
        /// Who does it.
        by: PeerId,
        /// Why, for people.
        reason: Option<String>,
    },
    /// For peers of yours.
    Deliver {
        /// The room that they were in when it was said.
        room: RoomId,
        /// For whom.
        to: Vec<PeerId>,
        /// A message of `rtc.v1` from the server, without a number.
        line: String,
    },
    /// Nobody of mine is in that room.
    Nobody {
        /// Which.
        room: RoomId,
    },
    /// The administrator says something to everybody.
    Broadcast {
        /// A message of `rtc.v1` from the server.
        line: String,
        /// Answer with this number how many you told.
        #[serde(default)]
        number: Option<u64>,
    },
    /// The administrator asks for rooms.
    Survey {
        /// To be answered with.
        number: u64,
        /// After this name.
        after: Option<String>,
        /// As many.
        limit: usize,
    },
    /// What there is.
    Surveyed {
        /// Of that question.
        number: u64,
        /// The answer.
        finding: Finding,
    },
    /// A peer said hello here; its session elsewhere is over, if its turn is lower.
    Mine {
        /// Who.
        peer: PeerId,
        /// Which of its hellos this was.
        turn: u64,
    },
    /// A peer of mine rings one of yours, if it is yours. Answered by one of the three that follow.
    Ring {
        /// The call.
        call: CallId,
        /// Who rings.
        from: PeerId,
        /// The name that it goes by.
        name: Name,
        /// Whom: by id,
        #[serde(default)]
        peer: Option<PeerId>,
        /// or by name.
        #[serde(default)]
        called: Option<Name>,
        /// Into which room.
        room: RoomId,
    },
    /// The call that you asked for rings here.
    Rang {
        /// The call.
        call: CallId,
        /// At whom.
        peer: PeerId,
    },
    /// It does not, as who is meant is to be met in a room.
    Met {
        /// The call.
        call: CallId,
        /// Who is meant.
        peer: PeerId,
        /// Where it is.
        room: RoomId,
    },
    /// It does not, and why.
    NotRung {
        /// The call.
        call: CallId,
        /// For programs.
        code: ErrorCode,
        /// For people.
        message: String,
    },
    /// A call that rang here is taken.
    Accepted {
        /// The call.
        call: CallId,
    },
    /// It is not taken.
    Refused {
        /// The call.
        call: CallId,
        /// For programs.
        code: RefuseCode,
        /// For people.
        reason: Option<String>,
    },
    /// A call is over.
    HungUp {
        /// The call.
        call: CallId,
    },
    /// One side of a call is here from now on.
    CallMoved {
        /// The call.
        call: CallId,
        /// Whether it rings, as far as is known here.
        rings: bool,
        /// Which hello of that side this follows, so that nobody who had it before is taken to have it still; 0 if it is
        /// not known.
        #[serde(default)]
        turn: u64,
    },
    /// One side of a call went from here to that node, where you may ask for it.
    CallWent {
        /// The call.
        call: CallId,
        /// Where it is.
        node: NodeId,
    },
    /// I may not have heard you for a while: say of each call with a peer of mine that it stands, as if it had moved.
    CallsWithMe,
    /// A peer says hello here: give me its session. Answered by what follows.
    Yield {
        /// Who.
        peer: PeerId,
        /// Which of its hellos this is.
        turn: u64,
        /// The number of the last message that it had.
        last: u64,
    },
    /// Here it is; or I have none, or none that could go on.
    Yielded {
        /// Whose.
        peer: PeerId,
        /// Which hello it is for.
        turn: u64,
        /// All of it.
        session: Option<Box<Baggage>>,
    },
    /// Something that a later version says.
    #[serde(other)]
    Unknown,
}

impl Word {
    /// About how many bytes it holds on to.
    #[must_use]
    pub fn weight(&self) -> usize {
        const REST: usize = 256;
        match self {
            Self::Deliver { line, to, .. } => REST + line.len() + to.len() * size_of::<PeerId>(),
            Self::Broadcast { line, .. } => REST + line.len(),
            Self::Surveyed { finding, .. } => REST + finding.weight(),
            Self::Yielded {
                session: Some(session),
                ..
            } => REST + session.weight(),
            _ => REST,
        }
    }
}

/// Words of one node to another, in their order.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct Parcel {
    /// Who says this.
    pub(super) from: NodeId,
    /// Which of its attempts to reach us; numbers begin anew with each.
    pub(super) run: u64,
    /// The number of the first word.
    pub(super) first: u64,
    /// The words.
    #[serde(default, deserialize_with = "each_alone")]
    pub(super) words: Vec<Word>,
    /// What of ours has come: the run, and the number of the last word in order.
    #[serde(default)]
    pub(super) heard: Option<(u64, u64)>,
}

/// A word that cannot be read is none, and keeps none from being read: a later version may give a reason that is not known here.
fn each_alone<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Word>, D::Error> {
    let words = Vec::<&'de RawValue>::deserialize(deserializer)?.into_iter();
    let read = |word: &RawValue| serde_json::from_str(word.get()).unwrap_or(Word::Unknown);
    Ok(words.map(read).collect())
}

/// The same, of words that are written already.
#[derive(Debug, Serialize)]
pub(super) struct Sealed<'a> {
    pub(super) from: NodeId,
    pub(super) run: u64,
    pub(super) first: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) words: Vec<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) heard: Option<(u64, u64)>,
}

impl Sealed<'_> {
    pub(super) fn write(&self) -> Vec<u8> {
        // Strings, numbers and checked names: there is nothing in it that cannot be written.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

impl Parcel {
    /// Takes any bytes.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;
    use serde_json::value::to_raw_value;

    use super::*;

    #[test]
    fn what_a_later_version_says_is_skipped_alone() {
        let text = r#"{"from":"00000000000000ab","run":1,"first":7,"more":{},"words":[
            {"t":"dance","room":"r","steps":3},{"t":"nobody","room":{"of":"mirrors"}},
            {"t":"nobody","room":"r","really":true}]}"#;
        let parcel = Parcel::read(text.as_bytes()).unwrap();
        let room = RoomId::new("r").unwrap();
        let unknown = || Word::Unknown;
        assert_eq!(parcel.words, [unknown(), unknown(), Word::Nobody { room }]);
        assert_eq!(parcel.from, NodeId::new(0xab));
    }

    #[test]
    fn what_is_written_is_read() {
        let peer = rtc_protocol::Token::from_random([3; 32]).peer_id();
        let parcel = Parcel {
            from: NodeId::new(1),
            run: 2,
            first: 3,
            words: vec![Word::Deliver {
                room: RoomId::new("a b\"}{").unwrap(),
                to: vec![peer],
                line: r#"{"type":"message","data":"\r\n"}"#.into(),
            }],
            heard: Some((1, 9)),
        };
        let words: Vec<_> = parcel
            .words
            .iter()
            .map(|word| to_raw_value(word).unwrap())
            .collect();
        let sealed = Sealed {
            from: parcel.from,
            run: parcel.run,
            first: parcel.first,
            words: words.iter().map(AsRef::as_ref).collect(),
            heard: parcel.heard,
        };
        assert_eq!(Parcel::read(&sealed.write()).unwrap(), parcel);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_parcel_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Parcel::read(&bytes);
        }

        #[test]
        fn any_text_is_a_node_or_none(text in "\\PC{0,20}") {
            if let Ok(node) = text.parse::<NodeId>() {
                prop_assert_eq!(node.to_string(), text.to_lowercase());
            }
        }
    }
}

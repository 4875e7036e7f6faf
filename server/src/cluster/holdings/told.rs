//! What a node tells the others of who holds much at it: a short text that stands beside it in the list of nodes.
//!
//! For each limit there are a letter, a colon, and 16 signs for each holder: base64url (RFC 4648, section 5) of the eight
//! bytes that it is known by, and of four for how much it holds. `;` stands between two limits; one whose letter is not known
//! here is skipped.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};

/// Holders of each limit that one node tells of at most.
pub const MOST: usize = 256;

/// Bytes of a text that is read at all: room for limits that a later version tells of.
pub const BYTES: usize = 64 * 1024;

/// Of one holder, before base64.
const HOLDER: usize = 12;

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Connections of an address.
    Connections,
    /// Sessions of an address that publishes or plays by HTTP.
    Sessions,
    /// Allocations of a credential at the relay.
    Allocations,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Connections, Self::Sessions, Self::Allocations];

    const fn letter(self) -> &'static str {
        match self {
            Self::Connections => "c",
            Self::Sessions => "s",
            Self::Allocations => "a",
        }
    }
}

/// What a holder is known by to other nodes: 64 bits of the SHA-256 of its address or name.
///
/// So no address stands at the broker for whoever looks into it, or into what it writes down. It is no secret, as anybody
/// can try all of IPv4: a key that the broker does not know would have to be given to each node, and whoever reads the broker
/// reads candidates of peers anyway. The bits are as many as it takes to find no second address for a hash, lest somebody fill
/// the share of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(u64);

impl Key {
    /// Of an address or a name, as text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let hash = digest(&SHA256, text.as_bytes());
        let first = hash.as_ref().first_chunk().copied().unwrap_or_default();
        Self(u64::from_be_bytes(first))
    }
}

/// A text that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ToldError {
    /// It has more than [`BYTES`].
    #[error("what a node tells of its holders has {0} bytes, and may have {BYTES}")]
    Long(usize),
    /// Part of it is no list of holders.
    #[error("what a node tells of its holders is no list of them: {0:?}")]
    Garbled(String),
}

/// Who holds how much at a node, the heaviest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told(BTreeMap<Kind, Vec<(Key, u32)>>);

impl Told {
    /// Adds holders of a limit, [`MOST`] in all.
    pub fn add(&mut self, kind: Kind, holders: impl IntoIterator<Item = (Key, usize)>) {
        let mut holders = holders.into_iter().peekable();
        if holders.peek().is_none() {
            return;
        }
        let known = self.0.entry(kind).or_default();
        let more = holders.map(|(key, held)| (key, u32::try_from(held).unwrap_or(u32::MAX)));
        known.extend(more.take(MOST.saturating_sub(known.len())));
    }

    /// Each of them.
    pub fn holders(&self) -> impl Iterator<Item = (Kind, Key, usize)> {
        self.0.iter().flat_map(|(kind, holders)| {
            let usize = |held: u32| usize::try_from(held).unwrap_or(usize::MAX);
            holders
                .iter()
                .map(move |(key, held)| (*kind, *key, usize(*held)))
        })
    }

    /// As text; empty where nobody holds much.
    #[must_use]
    pub fn write(&self) -> String {
        let mut text = String::new();
        for (kind, holders) in &self.0 {
            if !text.is_empty() {
                text.push(';');
            }
            text.push_str(kind.letter());
            text.push(':');
            let mut bytes = Vec::with_capacity(holders.len() * HOLDER);
            for (key, held) in holders {
                bytes.extend(key.0.to_be_bytes());
                bytes.extend(held.to_be_bytes());
            }
            URL_SAFE_NO_PAD.encode_string(bytes, &mut text);
        }
        text
    }

    /// Reads what another node has written.
    ///
    /// # Errors
    /// When it is too long, or no list of holders.
    pub fn read(text: &str) -> Result<Self, ToldError> {
        if text.len() > BYTES {
            return Err(ToldError::Long(text.len()));
        }
        let mut told = Self::default();
        for part in text.split_terminator(';') {
            let garbled = || ToldError::Garbled(part.chars().take(40).collect());
            let (letter, list) = part.split_once(':').ok_or_else(garbled)?;
            let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.letter() == letter) else {
                continue;
            };
            let bytes = URL_SAFE_NO_PAD.decode(list).map_err(|_| garbled())?;
            let (holders, []) = bytes.as_chunks::<HOLDER>() else {
                return Err(garbled());
            };
            told.add(kind, holders.iter().map(holder));
        }
        Ok(told)
    }
}

fn holder([a, b, c, d, e, f, g, h, held @ ..]: &[u8; HOLDER]) -> (Key, usize) {
    let key = Key(u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]));
    let held = u32::from_be_bytes(*held);
    (key, usize::try_from(held).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_told_stays_as_it_is_for_ever() {
        // What nodes of two versions have to agree on; not to be changed.
        let mut told = Told::default();
        told.add(Kind::Sessions, [(Key::of("192.0.2.7/32"), 16)]);
        told.add(
            Kind::Connections,
            [(Key(1), 2), (Key::of("2001:db8::/64"), usize::MAX)],
        );
        told.add(Kind::Allocations, []);
        let text = "c:AAAAAAAAAAEAAAACsi6RIWL4MZX_____;s:vjs7iudBZskAAAAQ";
        assert_eq!(told.write(), text);
        assert_eq!(told.holders().count(), 3);
        assert_eq!(Told::default().write(), "");
    }

    #[test]
    fn what_a_later_version_tells_of_is_skipped() {
        let known = "s:AAAAAAAAAAEAAAAC";
        let more = format!("rates:what=ever, (really);{known};z:");
        assert_eq!(Told::read(&more), Told::read(known));
        assert_eq!(Told::read(known).unwrap().holders().count(), 1);
    }

    #[test]
    fn what_is_no_list_is_refused_and_what_is_too_long_is_not_read() {
        for bad in [
            "c",
            "c:A",
            "c:AAAA",
            "c:AAAAAAAAAAEAAAA=",
            "c:AAAAAAAAAAEAAAA+",
            "ü",
        ] {
            assert!(
                matches!(Told::read(bad), Err(ToldError::Garbled(_))),
                "{bad}"
            );
        }
        let long = "x:".repeat(BYTES);
        assert_eq!(Told::read(&long), Err(ToldError::Long(2 * BYTES)));
        let many = format!("c:{}", "AAAAAAAAAAEAAAAC".repeat(MOST + 1));
        assert_eq!(Told::read(&many).unwrap().holders().count(), MOST);
        const { assert!(3 * (MOST * 16 + 3) < BYTES) };
    }

    fn told() -> impl Strategy<Value = Told> {
        let holders = || proptest::collection::vec((any::<u64>(), any::<u32>()), 0..MOST + 9);
        [holders(), holders(), holders()].prop_map(|lists| {
            let mut told = Told::default();
            for (kind, list) in Kind::ALL.into_iter().zip(lists) {
                told.add(
                    kind,
                    list.into_iter()
                        .map(|(key, held)| (Key(key), held as usize)),
                );
            }
            told
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_as_the_same(told in told()) {
            prop_assert_eq!(Told::read(&told.write()), Ok(told));
        }

        #[test]
        fn any_text_is_told_or_not(text in "\\PC{0,80}") {
            let _ = Told::read(&text);
        }

        #[test]
        fn any_text_that_looks_like_it_is_read_the_same_again(text in "([cas]:[A-Za-z0-9_-]{0,48};?){0,4}") {
            if let Ok(told) = Told::read(&text) {
                prop_assert_eq!(Told::read(&told.write()), Ok(told));
            }
        }
    }
}

//! Which connection a datagram is for, where all come to one port.
//!
//! A check names it (RFC 8445, section 7.3: the USERNAME begins with our fragment). An answer belongs to who has asked. For
//! everything else it is who the address belongs to: who was answered from there, or else who was asked for from there first.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};

/// Fragments of one connection: an ICE restart adds one, and checks by the one before are still on their way.
const FRAGMENTS: usize = 4;

/// Checks of one connection whose answers are waited for; the oldest is forgotten for another.
const CHECKS: usize = 1_024;

/// Addresses of one connection; one that never answered is forgotten for another, and of those the oldest.
const WAYS: usize = 128;

/// The longest fragment (RFC 8839, section 5.4).
const LONGEST: usize = 256;

/// From an address of ours to one of theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Way {
    pub(crate) local: IpAddr,
    pub(crate) far: SocketAddr,
}

/// What a datagram is to this rule.
#[derive(Debug, PartialEq, Eq)]
enum Kind<'a> {
    /// A check, and whose fragment it names.
    Check([u8; 12], Option<&'a [u8]>),
    /// An answer, and whether it is a yes.
    Answer([u8; 12], bool),
    /// What only who speaks to a TURN server says or is told.
    Relay,
    /// Everything else.
    Other,
}

fn look(datagram: &[u8]) -> Kind<'_> {
    match datagram.first() {
        // Data of channels (RFC 7983, section 7).
        Some(64..=79) => return Kind::Relay,
        Some(0..=3) => {}
        _ => return Kind::Other,
    }
    // RFC 8489, section 5: the type, the length of what follows the header, the cookie, the number.
    let Some((header, rest)) = datagram.split_at_checked(20) else {
        return Kind::Other;
    };
    let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let (Ok(number), Some(attributes)) = (<[u8; 12]>::try_from(&header[8..]), rest.get(..length))
    else {
        return Kind::Other;
    };
    if header[4..8] != [0x21, 0x12, 0xa4, 0x42] {
        return Kind::Other;
    }
    match u16::from_be_bytes([header[0], header[1]]) {
        0x0001 => Kind::Check(number, fragment(attributes)),
        0x0101 => Kind::Answer(number, true),
        0x0111 => Kind::Answer(number, false),
        0x0011 => Kind::Other,
        _ => Kind::Relay,
    }
}

/// The fragment of ours that a USERNAME begins with.
fn fragment(mut attributes: &[u8]) -> Option<&[u8]> {
    while let Some((&[t1, t2, l1, l2], rest)) = attributes.split_first_chunk::<4>() {
        let length = usize::from(u16::from_be_bytes([l1, l2]));
        let value = rest.get(..length)?;
        if u16::from_be_bytes([t1, t2]) == 0x0006 {
            let colon = value.iter().position(|byte| *byte == b':')?;
            return Some(&value[..colon]);
        }
        attributes = rest.get(length.next_multiple_of(4)..)?;
    }
    None
}

/// Whether this is for a TURN server, and not for who is behind it.
pub(crate) fn is_for_relay(datagram: &[u8]) -> bool {
    look(datagram) == Kind::Relay
}

/// The rule, for all connections of a port. They are known by numbers.
#[derive(Debug, Default)]
pub(crate) struct Demux {
    members: HashMap<u64, Known>,
    fragments: HashMap<Vec<u8>, u64>,
    checks: HashMap<[u8; 12], (u64, Way)>,
    ways: HashMap<Way, Owner>,
}

/// What belongs to one connection, oldest first.
#[derive(Debug, Default)]
struct Known {
    fragments: VecDeque<Vec<u8>>,
    checks: VecDeque<[u8; 12]>,
    ways: VecDeque<Way>,
}

#[derive(Clone, Copy, Debug)]
struct Owner {
    member: u64,
    /// It was answered from there, so that nobody merely claims to be there.
    answered: bool,
}

impl Demux {
    /// This fragment is of this connection from now on.
    pub(crate) fn claim(&mut self, member: u64, fragment: &str) {
        let fragment = fragment.as_bytes();
        if fragment.len() > LONGEST || self.fragments.get(fragment) == Some(&member) {
            return;
        }
        if let Some(before) = self.fragments.insert(fragment.to_vec(), member) {
            // Fragments are drawn from 24 bits and more (RFC 8445, section 5.3).
            if let Some(known) = self.members.get_mut(&before) {
                known.fragments.retain(|known| known != fragment);
            }
        }
        let known = self.members.entry(member).or_default();
        known.fragments.push_back(fragment.to_vec());
        if known.fragments.len() > FRAGMENTS
            && let Some(oldest) = known.fragments.pop_front()
        {
            self.fragments.remove(&oldest);
        }
    }

    /// This connection is over.
    pub(crate) fn leave(&mut self, member: u64) {
        let Some(known) = self.members.remove(&member) else {
            return;
        };
        for fragment in known.fragments {
            self.fragments.remove(&fragment);
        }
        for check in known.checks {
            self.checks.remove(&check);
        }
        for way in known.ways {
            self.ways.remove(&way);
        }
    }

    /// Takes note of what a connection sends.
    pub(crate) fn sent(&mut self, member: u64, way: Way, datagram: &[u8]) {
        let Kind::Check(number, _) = look(datagram) else {
            return;
        };
        match self.checks.insert(number, (member, way)) {
            // Sent again; its place in the order stays.
            Some((before, _)) if before == member => return,
            Some((before, _)) => {
                if let Some(known) = self.members.get_mut(&before) {
                    known.checks.retain(|known| *known != number);
                }
            }
            None => {}
        }
        let known = self.members.entry(member).or_default();
        known.checks.push_back(number);
        if known.checks.len() > CHECKS
            && let Some(oldest) = known.checks.pop_front()
        {
            self.checks.remove(&oldest);
        }
    }

    /// Whom this is for, if anybody.
    pub(crate) fn came(&mut self, way: Way, datagram: &[u8]) -> Option<u64> {
        match look(datagram) {
            Kind::Check(_, fragment) => {
                let member = *self.fragments.get(fragment?)?;
                self.belongs(way, member, false);
                Some(member)
            }
            Kind::Answer(number, yes) => {
                let (member, asked) = *self.checks.get(&number)?;
                // From where it was asked (RFC 8445, section 7.2.5.2.1). Whoever knows the number has seen the question: it
                // is drawn from 96 bits.
                if yes && asked == way {
                    self.belongs(way, member, true);
                }
                Some(member)
            }
            Kind::Other => self.ways.get(&way).map(|owner| owner.member),
            Kind::Relay => None,
        }
    }

    fn belongs(&mut self, way: Way, member: u64, answered: bool) {
        if let Some(owner) = self.ways.get_mut(&way) {
            if owner.member == member {
                owner.answered |= answered;
                return;
            }
            if !answered {
                return;
            }
            if let Some(known) = self.members.get_mut(&owner.member) {
                known.ways.retain(|known| *known != way);
            }
        }
        let known = self.members.entry(member).or_default();
        if known.ways.len() >= WAYS {
            let ways = &self.ways;
            let unanswered = known
                .ways
                .iter()
                .position(|way| ways.get(way).is_none_or(|owner| !owner.answered));
            if unanswered.is_none() && !answered {
                return;
            }
            if let Some(forgotten) = known.ways.remove(unanswered.unwrap_or(0)) {
                self.ways.remove(&forgotten);
            }
        }
        known.ways.push_back(way);
        self.ways.insert(way, Owner { member, answered });
    }

    /// Panics where more is kept than should be, or what is kept is not of one piece.
    #[allow(
        dead_code,
        reason = "the fuzz targets compile this file by itself, without cfg(test)"
    )]
    pub(crate) fn audit(&self) {
        for (member, known) in &self.members {
            assert!(known.fragments.len() <= FRAGMENTS);
            assert!(known.checks.len() <= CHECKS && known.ways.len() <= WAYS);
            for fragment in &known.fragments {
                assert_eq!(self.fragments.get(fragment), Some(member));
            }
            for way in &known.ways {
                assert_eq!(self.ways[way].member, *member);
            }
        }
        let of = |count: fn(&Known) -> usize| self.members.values().map(count).sum::<usize>();
        assert_eq!(self.fragments.len(), of(|known| known.fragments.len()));
        assert_eq!(self.ways.len(), of(|known| known.ways.len()));
        assert_eq!(self.checks.len(), of(|known| known.checks.len()));
    }
}

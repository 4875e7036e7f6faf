//! Nothing is sent to who has not agreed to it lately (RFC 7675).
//!
//! The engine asks for consent every two seconds, but takes any sign of life for an answer. So the answers themselves are
//! watched here: media and DTLS go to an address for 30 seconds from the last of our checks that was answered from there. Where
//! a relay is between, its channels stand for the addresses.

use std::collections::{HashMap, VecDeque};
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use webrtc::runtime::{AsyncUdpSocket, RecvMeta, Transmit};

/// RFC 7675, section 5.1.
const EXPIRES: Duration = Duration::from_secs(30);

/// Checks whose answers are waited for; an answer to an older one comes too late to count.
const CHECKS: usize = 512;

/// Addresses that have agreed, of one socket; the one that did so longest ago is forgotten for another.
const AGREED: usize = 128;

/// Where something goes: to an address, or by a channel of the relay that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Way {
    to: SocketAddr,
    channel: Option<u16>,
}

/// What a datagram is to this rule.
#[derive(Debug, PartialEq, Eq)]
enum Kind {
    /// A check of ours or of theirs.
    Check([u8; 12]),
    /// That it was heard.
    Answer([u8; 12]),
    /// DTLS, RTP, RTCP: what needs consent.
    Content,
    /// Everything else, such as what is said to a relay.
    Other,
}

/// Takes what a datagram is, and by which channel it goes.
fn look(datagram: &[u8]) -> (Option<u16>, Kind) {
    match *datagram {
        // RFC 7983, section 7.
        [64..=79, ..] => match datagram.split_at_checked(4) {
            Some((&[high, low, a, b], data)) => {
                let length = usize::from(u16::from_be_bytes([a, b]));
                let data = data.get(..length).unwrap_or(data);
                (Some(u16::from_be_bytes([high, low])), kind(data))
            }
            _ => (None, Kind::Other),
        },
        _ => (None, kind(datagram)),
    }
}

fn kind(datagram: &[u8]) -> Kind {
    match (datagram.first(), datagram.get(8..20)) {
        (Some(20..=63 | 128..=191), _) => Kind::Content,
        // Binding (RFC 8489, section 5), which is all that checks are made of.
        (Some(0), Some(id)) if datagram[1] == 0x01 => {
            id.try_into().map_or(Kind::Other, Kind::Check)
        }
        (Some(1), Some(id)) if datagram[1] == 0x01 => {
            id.try_into().map_or(Kind::Other, Kind::Answer)
        }
        _ => Kind::Other,
    }
}

/// The rule, for one socket.
#[derive(Debug, Default)]
struct Consent {
    checks: VecDeque<([u8; 12], Way)>,
    agreed: HashMap<Way, Instant>,
}

impl Consent {
    /// Whether this may go. Who was never checked is not ours to judge: the engine sends nothing there before.
    fn may_go(&mut self, now: Instant, to: SocketAddr, datagram: &[u8]) -> bool {
        let (channel, kind) = look(datagram);
        let way = Way { to, channel };
        match kind {
            Kind::Content => {
                let since = self.agreed.get(&way);
                since.is_none_or(|since| now.saturating_duration_since(*since) < EXPIRES)
            }
            Kind::Check(id) => {
                if self.checks.len() >= CHECKS {
                    self.checks.pop_front();
                }
                self.checks.push_back((id, way));
                true
            }
            Kind::Answer(_) | Kind::Other => true,
        }
    }

    /// Takes what came. Who knows the number of a check has seen it: it is drawn from 96 bits.
    fn came(&mut self, now: Instant, datagram: &[u8]) {
        let (_, Kind::Answer(id)) = look(datagram) else {
            return;
        };
        let Some(at) = self.checks.iter().position(|(known, _)| *known == id) else {
            return;
        };
        let Some((_, way)) = self.checks.remove(at) else {
            return;
        };
        if self.agreed.len() >= AGREED && !self.agreed.contains_key(&way) {
            let oldest = self.agreed.iter().min_by_key(|(_, since)| **since);
            if let Some(oldest) = oldest.map(|(way, _)| *way) {
                self.agreed.remove(&oldest);
            }
        }
        self.agreed.insert(way, now);
    }
}

/// A socket of the engine that keeps to the rule.
#[derive(Debug)]
pub(super) struct ConsentSocket {
    inner: Arc<dyn AsyncUdpSocket>,
    consent: Mutex<Consent>,
}

impl ConsentSocket {
    pub(super) fn new(inner: Arc<dyn AsyncUdpSocket>) -> Self {
        Self {
            inner,
            consent: Mutex::default(),
        }
    }

    fn consent(&self) -> MutexGuard<'_, Consent> {
        self.consent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsyncUdpSocket for ConsentSocket {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn poll_send(&self, cx: &mut Context<'_>, transmit: &Transmit<'_>) -> Poll<io::Result<usize>> {
        let all = transmit.contents;
        // What goes in one piece is of one kind: the engine joins what is sent by one pair.
        let step = transmit
            .segment_size
            .unwrap_or(all.len())
            .clamp(1, all.len().max(1));
        let first = all.get(..step).unwrap_or(all);
        if !self
            .consent()
            .may_go(Instant::now(), transmit.destination, first)
        {
            tracing::debug!(
                "{} has not agreed to be sent to for 30 s",
                transmit.destination
            );
            return Poll::Ready(Ok(all.len()));
        }
        self.inner.poll_send(cx, transmit)
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let received = self.inner.poll_recv(cx, bufs, meta);
        if let Poll::Ready(Ok(count)) = &received {
            let now = Instant::now();
            for (buffer, meta) in bufs.iter().zip(meta.iter()).take(*count) {
                let all = &buffer[..meta.len.min(buffer.len())];
                for datagram in all.chunks(meta.stride.max(1)) {
                    self.consent().came(now, datagram);
                }
            }
        }
        received
    }

    fn max_gso_segments(&self) -> usize {
        self.inner.max_gso_segments()
    }

    fn max_gro_segments(&self) -> usize {
        self.inner.max_gro_segments()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    const RTP: [u8; 4] = [0x80, 96, 0, 1];

    fn far(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    fn check(number: u8) -> Vec<u8> {
        [&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], &[number; 12]].concat()
    }

    fn answer(number: u8) -> Vec<u8> {
        [&[1, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], &[number; 12]].concat()
    }

    fn by_channel(channel: u16, data: &[u8]) -> Vec<u8> {
        let length = u16::try_from(data.len()).unwrap();
        [
            &channel.to_be_bytes()[..],
            &length.to_be_bytes(),
            data,
            &[0],
        ]
        .concat()
    }

    #[test]
    fn content_goes_for_thirty_seconds_from_the_last_answer() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut consent = Consent::default();
        assert!(consent.may_go(at(0), far(1), &check(1)));
        consent.came(at(0), &answer(1));
        assert!(consent.may_go(at(29), far(1), &RTP));
        assert!(!consent.may_go(at(30), far(1), &RTP));
        assert!(!consent.may_go(at(30), far(1), &[22, 0xfe, 0xfd]));
        // Checks go on; what comes unasked, and what comes twice, is no answer.
        assert!(consent.may_go(at(31), far(1), &check(2)));
        for said in [answer(1), answer(9), check(2), RTP.to_vec()] {
            consent.came(at(31), &said);
            assert!(!consent.may_go(at(31), far(1), &RTP), "{said:?}");
        }
        consent.came(at(32), &answer(2));
        assert!(consent.may_go(at(33), far(1), &RTP));
    }

    #[test]
    fn by_a_relay_each_channel_has_its_own() {
        let start = Instant::now();
        let late = start + EXPIRES;
        let mut consent = Consent::default();
        for (channel, number) in [(0x4000, 1), (0x4001, 2)] {
            assert!(consent.may_go(start, far(1), &by_channel(channel, &check(number))));
            consent.came(start, &by_channel(channel, &answer(number)));
        }
        assert!(consent.may_go(late, far(1), &by_channel(0x4001, &check(3))));
        consent.came(late, &by_channel(0x4001, &answer(3)));
        assert!(!consent.may_go(late, far(1), &by_channel(0x4000, &RTP)));
        assert!(consent.may_go(late, far(1), &by_channel(0x4001, &RTP)));
        // Its own messages are no content.
        assert!(consent.may_go(late, far(1), &[0, 4, 0, 0]));
    }

    #[test]
    fn many_far_sides_push_out_the_one_that_agreed_longest_ago() {
        let start = Instant::now();
        let mut consent = Consent::default();
        for number in 0..u8::try_from(AGREED).unwrap() + 1 {
            let now = start + Duration::from_millis(u64::from(number));
            assert!(consent.may_go(now, far(u16::from(number) + 1), &check(number)));
            consent.came(now, &answer(number));
        }
        assert_eq!(consent.agreed.len(), AGREED);
        assert!(!consent.agreed.keys().any(|way| way.to == far(1)));
    }

    proptest! {
        #[test]
        fn any_datagram_is_looked_at(datagram in proptest::collection::vec(any::<u8>(), 0..80)) {
            let mut consent = Consent::default();
            prop_assert!(consent.may_go(Instant::now(), far(1), &datagram));
            consent.came(Instant::now(), &datagram);
            prop_assert!(consent.agreed.len() <= 1);
        }
    }
}

//! DTLS flights that are not answered are sent again soon.
//!
//! The engine repeats a flight after a second (RFC 6347, section 4.2.4.1, says so), and a first
//! hello is often lost where nothing loses anything: it comes before the far side's transport is
//! ready and is thrown away there. Browsers wait 50 ms; so does this. A record that did arrive is
//! known by its number and dropped at the far side (section 4.1.2.6), so repeating does no harm. By a relay all of that is
//! wrapped in messages of TURN, and looked into.

use std::future::poll_fn;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::time::sleep_until;
use tokio_util::task::AbortOnDropHandle;
use webrtc::runtime::{AsyncUdpSocket, RecvMeta, Transmit};

/// How long an answer is waited for the first time; twice as long each time after that.
const FIRST: Duration = Duration::from_millis(50);

/// How often a flight is repeated: until the engine does so itself.
const TIMES: u32 = 4;

/// Afterwards a far side that repeats itself is answered so often more, and no faster than this: two that both did so without
/// an end would never stop.
const MORE: u32 = 8;
const SLOWLY: Duration = Duration::from_millis(400);

/// Datagrams of one flight: a chain of certificates has five or so.
const FLIGHT: usize = 16;

/// What was sent last and not answered yet, as pure rules.
#[derive(Debug, Default)]
struct Flight {
    datagrams: Vec<(SocketAddr, Vec<u8>)>,
    repeated: u32,
    due: Option<Instant>,
    /// The far side said something since: what is sent now is another flight.
    answered: bool,
    /// The number of the newest handshake message that the far side said in clear.
    newest: Option<u16>,
    /// When it was repeated last.
    last: Option<Instant>,
}

impl Flight {
    fn sent(&mut self, now: Instant, to: SocketAddr, datagram: &[u8]) {
        // The engine's own repetition begins anew, too.
        if self.answered || self.repeated >= TIMES {
            *self = Self {
                newest: self.newest,
                ..Self::default()
            };
        }
        if self.datagrams.len() < FLIGHT {
            self.datagrams.push((to, datagram.to_vec()));
        }
        self.due = Some(now + FIRST * 2_u32.pow(self.repeated));
    }

    /// A far side that repeats itself has not heard our answer: it is due at once (RFC 6347, section 4.2.4).
    fn heard(&mut self, now: Instant, datagram: &[u8]) {
        match message_number(datagram) {
            Some(number) if self.newest.is_some_and(|newest| number <= newest) => {
                if self.repeated < TIMES + MORE && !self.datagrams.is_empty() && !self.answered {
                    // The engine begins to wait anew whenever it hears something, and would never repeat what was lost.
                    let earliest = self.last.filter(|_| self.repeated >= TIMES);
                    self.due = Some(earliest.map_or(now, |last| now.max(last + SLOWLY)));
                }
            }
            number => {
                self.newest = number.or(self.newest);
                self.answered = true;
                self.due = None;
            }
        }
    }

    /// What is to be sent again by now.
    fn again(&mut self, now: Instant) -> Vec<(SocketAddr, Vec<u8>)> {
        if self.due.is_none_or(|due| due > now) {
            return Vec::new();
        }
        self.repeated += 1;
        self.last = Some(now);
        self.due = (self.repeated < TIMES).then(|| now + FIRST * 2_u32.pow(self.repeated));
        self.datagrams.clone()
    }
}

/// Whether a datagram belongs to a DTLS handshake: its first record is one of
/// `change_cipher_spec` (20) and `handshake` (22).
fn is_handshake(datagram: &[u8]) -> bool {
    matches!(datagram.first(), Some(20 | 22))
}

/// The number of the first handshake message in a datagram, where it is in clear (RFC 6347, sections 4.1 and 4.2.2).
fn message_number(datagram: &[u8]) -> Option<u16> {
    const EPOCH: std::ops::Range<usize> = 3..5;
    const NUMBER: std::ops::Range<usize> = 17..19;
    if datagram.first() != Some(&22) || datagram.get(EPOCH)? != [0, 0] {
        return None;
    }
    let number = datagram.get(NUMBER)?.try_into().ok()?;
    Some(u16::from_be_bytes(number))
}

/// Whether a datagram is DTLS at all (RFC 7983, section 7).
fn is_dtls(datagram: &[u8]) -> bool {
    matches!(datagram.first(), Some(20..=63))
}

/// What is in a message to or from a relay (RFC 8656, sections 11 and 12), or the datagram itself.
fn content(datagram: &[u8]) -> &[u8] {
    match datagram {
        // Data of a channel.
        [64..=79, _, high, low, data @ ..] => {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            data.get(..length).unwrap_or(data)
        }
        // Send and Data indications.
        [0, 0x16 | 0x17, _, _, 0x21, 0x12, 0xa4, 0x42, ..] => {
            let mut attributes = datagram.get(20..).unwrap_or_default();
            while let Some((&[t1, t2, l1, l2], rest)) = attributes.split_first_chunk::<4>() {
                let length = usize::from(u16::from_be_bytes([l1, l2]));
                if [t1, t2] == [0, 0x13] {
                    return rest.get(..length).unwrap_or(rest);
                }
                attributes = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
            }
            datagram
        }
        _ => datagram,
    }
}

/// A socket of the engine that is impatient while a handshake is under way.
#[derive(Debug)]
pub(super) struct ImpatientSocket {
    inner: Arc<dyn AsyncUdpSocket>,
    shared: Arc<Shared>,
    _repeater: AbortOnDropHandle<()>,
}

#[derive(Debug, Default)]
struct Shared {
    flight: Mutex<Flight>,
    changed: Notify,
}

impl ImpatientSocket {
    /// Needs a running tokio runtime.
    pub(super) fn new(inner: Arc<dyn AsyncUdpSocket>) -> Self {
        let shared = Arc::new(Shared::default());
        let repeater = tokio::spawn(repeat(Arc::clone(&inner), Arc::clone(&shared)));
        Self {
            inner,
            shared,
            _repeater: AbortOnDropHandle::new(repeater),
        }
    }
}

impl Shared {
    fn flight(&self) -> MutexGuard<'_, Flight> {
        self.flight.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn repeat(socket: Arc<dyn AsyncUdpSocket>, shared: Arc<Shared>) {
    loop {
        let due = shared.flight().due;
        let wait = async {
            match due {
                Some(due) => sleep_until(due.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = wait => {}
            () = shared.changed.notified() => continue,
        }
        let again = shared.flight().again(Instant::now());
        for (destination, contents) in again {
            let transmit = Transmit {
                destination,
                ecn: None,
                contents: &contents,
                segment_size: None,
                src_ip: None,
            };
            // A failure is the engine's to see, at its own next sending.
            let _ = poll_fn(|cx| socket.poll_send(cx, &transmit)).await;
        }
    }
}

impl AsyncUdpSocket for ImpatientSocket {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn poll_send(&self, cx: &mut Context<'_>, transmit: &Transmit<'_>) -> Poll<io::Result<usize>> {
        let sent = self.inner.poll_send(cx, transmit);
        if sent.is_ready() && is_handshake(content(transmit.contents)) {
            let now = Instant::now();
            self.shared
                .flight()
                .sent(now, transmit.destination, transmit.contents);
            self.shared.changed.notify_one();
        }
        sent
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
                let datagrams = all.chunks(meta.stride.max(1)).map(content);
                for datagram in datagrams.filter(|one| is_dtls(one)) {
                    self.shared.flight().heard(now, datagram);
                    self.shared.changed.notify_one();
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

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn far() -> SocketAddr {
        "127.0.0.1:9".parse().unwrap()
    }

    #[test]
    fn what_a_relay_carries_is_seen() {
        let hello = [22, 0xfe, 0xfd, 0, 0];
        let channel = [&[0x40, 0, 0, 5][..], &hello, &[0; 3]].concat();
        let attributes = [
            &[0, 0x12, 0, 2, 1, 1, 0, 0, 0, 0x13, 0, 5][..],
            &hello,
            &[0; 3],
        ]
        .concat();
        let header = [&[0, 0x17, 0, 20, 0x21, 0x12, 0xa4, 0x42][..], &[7; 12]].concat();
        let indication = [header.clone(), attributes].concat();
        for datagram in [&hello[..], &channel, &indication] {
            assert_eq!(content(datagram), hello);
        }
        // Of what is cut off there is as much as there is.
        assert_eq!(content(&channel[..6]), &hello[..2]);
        assert_eq!(content(&header), header);
    }

    #[test]
    fn a_flight_without_an_answer_is_repeated_at_growing_distances() {
        let start = Instant::now();
        let mut flight = Flight::default();
        flight.sent(start, far(), &[22, 1]);
        flight.sent(start, far(), &[22, 2]);
        let mut times = Vec::new();
        for millis in 0..2_000 {
            let again = flight.again(start + MS(millis));
            if !again.is_empty() {
                assert_eq!(again.len(), 2);
                times.push(millis);
            }
        }
        assert_eq!(times, [50, 150, 350, 750]);
    }

    #[test]
    fn an_answer_ends_it_and_what_is_sent_then_is_another_flight() {
        let start = Instant::now();
        let mut flight = Flight::default();
        flight.sent(start, far(), &[22, 1]);
        flight.heard(start + MS(10), &hello(0));
        assert!(flight.again(start + MS(500)).is_empty());
        flight.sent(start + MS(600), far(), &[22, 9]);
        assert_eq!(flight.again(start + MS(650)), [(far(), vec![22, 9])]);
    }

    /// A record of a handshake in clear whose message has this number.
    fn hello(number: u16) -> Vec<u8> {
        let mut record = vec![22, 254, 253];
        record.extend([0; 14]);
        record.extend(number.to_be_bytes());
        record.extend([0; 6]);
        record
    }

    #[test]
    fn a_far_side_that_repeats_itself_is_no_answer_and_has_not_heard_ours() {
        let start = Instant::now();
        let mut flight = Flight::default();
        flight.sent(start, far(), &[22, 1]);
        flight.heard(start + MS(20), &hello(0));
        flight.sent(start + MS(20), far(), &[22, 9]);
        flight.heard(start + MS(40), &hello(0));
        assert_eq!(flight.again(start + MS(40)), [(far(), vec![22, 9])]);
        flight.heard(start + MS(60), &hello(1));
        assert!(flight.again(start + MS(500)).is_empty());
        // It is still waiting for what we have not said yet.
        flight.heard(start + MS(600), &hello(0));
        assert!(flight.again(start + MS(600)).is_empty());
    }

    #[test]
    fn two_that_repeat_themselves_to_each_other_come_to_an_end() {
        let start = Instant::now();
        let mut flight = Flight::default();
        flight.heard(start, &hello(0));
        flight.sent(start, far(), &[22, 1]);
        let mut sent = 0;
        for millis in 0..20_000 {
            flight.heard(start + MS(millis), &hello(0));
            sent += flight.again(start + MS(millis)).len();
            // The first ones soon, the others slowly.
            assert!(millis >= 390 || sent <= TIMES as usize);
        }
        assert_eq!(sent, (TIMES + MORE) as usize);
    }

    #[test]
    fn what_is_encrypted_or_cut_short_has_no_number() {
        assert_eq!(message_number(&hello(7)), Some(7));
        let mut encrypted = hello(7);
        encrypted[4] = 1;
        assert_eq!(message_number(&encrypted), None);
        assert_eq!(message_number(&hello(7)[..18]), None);
        assert_eq!(message_number(&[23, 254, 253]), None);
    }

    #[test]
    fn only_handshakes_are_kept() {
        for (first, handshake, dtls) in [
            (0, false, false),
            (20, true, true),
            (22, true, true),
            (23, false, true),
            (63, false, true),
            (128, false, false),
        ] {
            assert_eq!(is_handshake(&[first]), handshake, "{first}");
            assert_eq!(is_dtls(&[first]), dtls, "{first}");
        }
        assert!(!is_dtls(&[]) && !is_handshake(&[]));
    }
}

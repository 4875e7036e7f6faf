//! This machine's addresses behind names that only its own network resolves (draft-ietf-mmusic-mdns-ice-candidates, as
//! browsers do by RFC 8828).
//!
//! Each address gets a random name that ends in `.local`; who asks the local network for it by mDNS (RFC 6762) is told. What
//! would show an address otherwise is left out: those of IPv6, which nobody's mDNS here answers for, and the base behind
//! reflexive and relayed candidates.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::BytesMut;
use rtc::mdns::{Mdns, MdnsConfig, MulticastSocket};
use rtc::sansio::Protocol;
use rtc::shared::{TaggedBytesMut, TransportContext, TransportProtocol};
use socket2::SockRef;
use tokio::net::UdpSocket;
use tokio_util::task::AbortOnDropHandle;

/// Where names are asked for and told (RFC 6762, section 3).
const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
const PORT: u16 = 5353;

/// Addresses of one machine; more are not told to anybody.
const ADDRESSES: usize = 32;

/// The largest message (RFC 6762, section 17).
const LARGEST: usize = 9_000;

/// See the module; cheap to clone. Names are answered for as long as one of these is left.
#[derive(Clone, Debug)]
pub struct Hidden(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    names: Names,
    socket: Arc<UdpSocket>,
    _responder: AbortOnDropHandle<()>,
}

type Names = Arc<Mutex<BTreeMap<Ipv4Addr, Named>>>;

/// An address, its name, and who answers for it.
struct Named {
    name: String,
    answers: Mdns,
}

impl std::fmt::Debug for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

impl Hidden {
    /// Begins to answer. Needs a running tokio runtime.
    ///
    /// # Errors
    /// When this machine has no multicast.
    pub fn start() -> io::Result<Self> {
        let socket = Arc::new(UdpSocket::from_std(MulticastSocket::new().into_std()?)?);
        let names = Names::default();
        let responder = tokio::spawn(answer(Arc::clone(&socket), Arc::clone(&names)));
        Ok(Self(Arc::new(Inner {
            names,
            socket,
            _responder: AbortOnDropHandle::new(responder),
        })))
    }

    /// The candidate as the others may see it, if they may.
    #[must_use]
    pub fn candidate(&self, candidate: &str) -> Option<String> {
        hide(candidate, |ip| self.name(ip))
    }

    /// The description as the others may see it.
    #[must_use]
    pub fn description(&self, text: &str) -> String {
        let mut seen = String::with_capacity(text.len());
        for line in text.split_inclusive("\r\n") {
            let shown = match line.strip_prefix("a=") {
                Some(candidate) if candidate.starts_with("candidate:") => {
                    let hidden = self.candidate(candidate.trim_end());
                    Cow::Owned(hidden.map_or_else(String::new, |hidden| format!("a={hidden}\r\n")))
                }
                _ => Cow::Borrowed(line),
            };
            seen.push_str(&shown);
        }
        seen
    }

    /// The name of one of our addresses.
    fn name(&self, ip: Ipv4Addr) -> Option<String> {
        let mut names = lock(&self.0.names);
        if let Some(known) = names.get(&ip) {
            return Some(known.name.clone());
        }
        if names.len() >= ADDRESSES {
            return None;
        }
        // An interface that is joined already says so.
        let _ = self.0.socket.join_multicast_v4(GROUP, ip);
        let name = random_name();
        let config = MdnsConfig::new()
            .with_local_names(vec![name.clone()])
            .with_local_ip(IpAddr::V4(ip));
        let named = Named {
            name: name.clone(),
            answers: Mdns::new(Instant::now(), config),
        };
        names.insert(ip, named);
        Some(name)
    }
}

/// A UUID of version 4, as browsers draw it (section 3.1.1 of the draft).
fn random_name() -> String {
    let [mut a, mut b]: [u64; 2] = rand::random();
    a = a & !0xf000 | 0x4000;
    b = b & !(0b11 << 62) | 0b10 << 62;
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}.local",
        a >> 32,
        a >> 16 & 0xffff,
        a & 0xffff,
        b >> 48,
        b & 0xffff_ffff_ffff
    )
}

/// Hides the addresses of a candidate (RFC 8839, section 5.1) behind the names that `name` gives.
fn hide(candidate: &str, name: impl FnOnce(Ipv4Addr) -> Option<String>) -> Option<String> {
    let mut words: Vec<Cow<'_, str>> = candidate.split(' ').map(Cow::Borrowed).collect();
    let kind = words.get(7)?.clone();
    let address = words.get(4)?.clone();
    if kind == "host" {
        if !address.ends_with(".local") {
            let ip = address.parse().ok()?;
            words[4] = Cow::Owned(name(ip)?);
        }
        return Some(words.join(" "));
    }
    let mut base = None;
    for at in 8..words.len().saturating_sub(1) {
        match &*words[at] {
            "raddr" => {
                let any = if words[at + 1].contains(':') {
                    "::"
                } else {
                    "0.0.0.0"
                };
                base = Some(std::mem::replace(&mut words[at + 1], Cow::Borrowed(any)));
            }
            "rport" => words[at + 1] = Cow::Borrowed("9"),
            _ => {}
        }
    }
    // Without a NAT between, it is the hidden address itself.
    if base.is_some_and(|base| base == address) {
        return None;
    }
    Some(words.join(" "))
}

/// Answers for the names, until it is dropped.
async fn answer(socket: Arc<UdpSocket>, names: Names) {
    let mut buffer = vec![0; LARGEST];
    loop {
        let (count, from) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            Err(error) => return tracing::warn!("names are not answered for any more: {error}"),
        };
        let answers: Vec<_> = lock(&names)
            .iter_mut()
            .flat_map(|(ip, named)| named.asked(from, &buffer[..count]).map(|text| (*ip, text)))
            .collect();
        for (ip, text) in answers {
            // By the interface that the address is of; where that is gone, nobody asks for it.
            let told = SockRef::from(&*socket).set_multicast_if_v4(&ip);
            let told = match told {
                Ok(()) => socket.send_to(&text, (GROUP, PORT)).await.map(drop),
                Err(error) => Err(error),
            };
            if let Err(error) = told {
                tracing::debug!("the name of {ip} is not told: {error}");
            }
        }
    }
}

impl Named {
    /// What is to be said to this.
    fn asked(&mut self, from: SocketAddr, message: &[u8]) -> Option<Vec<u8>> {
        let message = TaggedBytesMut {
            now: Instant::now(),
            transport: TransportContext {
                local_addr: SocketAddr::from((GROUP, PORT)),
                peer_addr: from,
                ecn: None,
                transport_protocol: TransportProtocol::UDP,
            },
            message: BytesMut::from(message),
        };
        if let Err(error) = self.answers.handle_read(message) {
            tracing::debug!("a question for a name: {error}");
        }
        let mut last = None;
        while let Some(said) = self.answers.poll_write() {
            last = Some(said.message.to_vec());
        }
        while self.answers.poll_event().is_some() {}
        last
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn named(ip: Ipv4Addr) -> Option<String> {
        (ip != Ipv4Addr::new(192, 0, 2, 99)).then(|| "x.local".to_owned())
    }

    #[test]
    fn addresses_of_the_machine_are_names_or_are_not_told() {
        for (candidate, seen) in [
            (
                "candidate:1 1 udp 9 192.0.2.1 5000 typ host",
                Some("candidate:1 1 udp 9 x.local 5000 typ host"),
            ),
            (
                "candidate:1 1 tcp 9 192.0.2.1 9 typ host tcptype active",
                Some("candidate:1 1 tcp 9 x.local 9 typ host tcptype active"),
            ),
            (
                "candidate:1 1 udp 9 y.local 5000 typ host",
                Some("candidate:1 1 udp 9 y.local 5000 typ host"),
            ),
            ("candidate:1 1 udp 9 2001:db8::1 5000 typ host", None),
            ("candidate:1 1 udp 9 192.0.2.99 5000 typ host", None),
            (
                "candidate:1 1 udp 9 198.51.100.1 6000 typ srflx raddr 192.0.2.1 rport 5000",
                Some("candidate:1 1 udp 9 198.51.100.1 6000 typ srflx raddr 0.0.0.0 rport 9"),
            ),
            (
                "candidate:1 1 udp 9 2001:db8::9 6000 typ relay raddr 2001:db8::1 rport 5000 ufrag a",
                Some("candidate:1 1 udp 9 2001:db8::9 6000 typ relay raddr :: rport 9 ufrag a"),
            ),
            (
                "candidate:1 1 udp 9 192.0.2.1 5000 typ srflx raddr 192.0.2.1 rport 5000",
                None,
            ),
            ("candidate:1", None),
            ("", None),
        ] {
            assert_eq!(hide(candidate, named).as_deref(), seen, "{candidate}");
        }
    }

    #[test]
    fn names_are_drawn_as_uuids() {
        let name = random_name();
        let groups: Vec<_> = name.strip_suffix(".local").unwrap().split('-').collect();
        assert_eq!(
            groups.iter().map(|g| g.len()).collect::<Vec<_>>(),
            [8, 4, 4, 4, 12],
            "{name}"
        );
        assert!(
            groups[2].starts_with('4') && groups[3].starts_with(['8', '9', 'a', 'b']),
            "{name}"
        );
        assert_ne!(name, random_name());
    }

    #[test]
    fn who_asks_for_the_name_is_told_the_address() {
        let from = SocketAddr::from(([192, 0, 2, 7], PORT));
        let config = |name: &str| MdnsConfig::new().with_local_names(vec![name.to_owned()]);
        let mut named = Named {
            name: "x.local".to_owned(),
            answers: Mdns::new(
                Instant::now(),
                config("x.local").with_local_ip([192, 0, 2, 1].into()),
            ),
        };
        let ask = |name: &str| {
            let mut asking = Mdns::new(Instant::now(), MdnsConfig::new());
            asking.query_now(Instant::now(), name);
            asking.poll_write().unwrap().message.to_vec()
        };
        let told = named.asked(from, &ask("x.local")).unwrap();
        assert!(told.windows(4).any(|four| four == [192, 0, 2, 1]));
        assert_eq!(named.asked(from, &ask("y.local")), None);
        assert_eq!(named.asked(from, b"nonsense"), None);
    }

    proptest! {
        #[test]
        fn no_text_shows_an_address_of_the_machine(words in proptest::collection::vec("[a-z0-9.:]{1,9}|host|raddr|typ|192\\.0\\.2\\.1", 0..14)) {
            if let Some(seen) = hide(&words.join(" "), named) {
                let is_host = words.get(7).is_some_and(|kind| kind == "host");
                let shown: Vec<_> = seen.split(' ').collect();
                prop_assert!(!is_host || shown[4].ends_with(".local"));
                for at in 8..shown.len().saturating_sub(1) {
                    prop_assert!(is_host || shown[at] != "raddr" || shown[at + 1] != "192.0.2.1");
                }
            }
        }
    }
}

//! What peers are told of the relay: where it is, and a credential of their own (W3C `RTCIceServer`).

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use rtc_protocol::{IceServer, PeerId};

use super::credentials::Keys;

/// See the module.
#[derive(Clone, Debug)]
pub struct Handout {
    stun: Vec<String>,
    turn: Vec<String>,
    keys: Keys,
    lifetime: Duration,
    /// The calendar's time, at a time of the clock that never steps back.
    began: (Instant, Duration),
}

impl Handout {
    /// For a relay at these addresses; `public` is a host to say in their place.
    pub(crate) fn new(
        public: Option<&str>,
        plain: &[SocketAddr],
        tls: &[SocketAddr],
        (keys, lifetime): (Keys, Duration),
        began: (Instant, Duration),
    ) -> Self {
        let host = |address: &SocketAddr| match (public, address.ip()) {
            (Some(public), _) => public.to_owned(),
            (None, IpAddr::V6(six)) => format!("[{six}]"),
            (None, four) => four.to_string(),
        };
        let (mut stun, mut turn) = (Vec::new(), Vec::new());
        for address in plain {
            let (host, port) = (host(address), address.port());
            stun.push(format!("stun:{host}:{port}"));
            turn.push(format!("turn:{host}:{port}?transport=udp"));
            turn.push(format!("turn:{host}:{port}?transport=tcp"));
        }
        for address in tls {
            turn.push(format!(
                "turns:{}:{}?transport=tcp",
                host(address),
                address.port()
            ));
        }
        // With a name, the addresses of both families are one.
        for urls in [&mut stun, &mut turn] {
            let mut seen = std::collections::HashSet::new();
            urls.retain(|url| seen.insert(url.clone()));
        }
        Self {
            stun,
            turn,
            keys,
            lifetime,
            began,
        }
    }

    /// For this peer, at this time.
    pub(crate) fn servers(&self, now: Instant, peer: &PeerId) -> Vec<IceServer> {
        let unix = self.began.1 + now.saturating_duration_since(self.began.0);
        let user = self.keys.mint(unix, self.lifetime, peer.as_str());
        let mut servers = vec![IceServer {
            urls: self.stun.clone(),
            username: None,
            credential: None,
        }];
        // Without a secret, names and passwords are given out by other ways.
        servers.extend(user.map(|user| IceServer {
            urls: self.turn.clone(),
            username: Some(user.name),
            credential: Some(user.password),
        }));
        servers
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::turn::Secret;

    #[test]
    fn each_peer_gets_the_addresses_and_a_credential_of_its_own() {
        let start = Instant::now();
        let noon = Duration::from_secs(1_700_000_000);
        let keys = Keys::new(Some(&Secret::new(b"north")), Vec::new());
        let plain = ["192.0.2.1:3478", "[2001:db8::1]:3478"].map(|text| text.parse().unwrap());
        let tls = ["192.0.2.1:5349".parse().unwrap()];
        let hour = Duration::from_secs(3600);
        let handout = Handout::new(None, &plain, &tls, (keys.clone(), hour), (start, noon));
        let peer = PeerId::new("p7wq2n5ztc4xh6mvk3db").unwrap();
        let servers = handout.servers(start + hour, &peer);
        assert_eq!(
            servers[0].urls,
            ["stun:192.0.2.1:3478", "stun:[2001:db8::1]:3478"]
        );
        assert_eq!(
            servers[1].urls,
            [
                "turn:192.0.2.1:3478?transport=udp",
                "turn:192.0.2.1:3478?transport=tcp",
                "turn:[2001:db8::1]:3478?transport=udp",
                "turn:[2001:db8::1]:3478?transport=tcp",
                "turns:192.0.2.1:5349?transport=tcp",
            ]
        );
        let (name, password) = (
            servers[1].username.as_ref().unwrap(),
            servers[1].credential.as_ref(),
        );
        assert_eq!(name, "1700007200:p7wq2n5ztc4xh6mvk3db");
        assert_eq!(keys.password(noon, name).as_ref(), password);

        let named = Handout::new(
            Some("turn.example.org"),
            &plain,
            &[],
            (keys, hour),
            (start, noon),
        );
        assert_eq!(
            named.servers(start, &peer)[0].urls,
            ["stun:turn.example.org:3478"]
        );
        let users = Keys::new(None, vec!["ann:secret".parse().unwrap()]);
        let without = Handout::new(None, &plain, &[], (users, hour), (start, noon));
        assert_eq!(
            without.servers(start, &peer).len(),
            1,
            "no secret, no credential"
        );
    }
}

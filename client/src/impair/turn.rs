//! A TURN server of our own behind the bad path, for who cannot be given another address: browsers.
//!
//! The server itself listens at loopback alone; what it is reached by is the hop, so that every datagram between a client
//! and its allocation has the path's luck. From there to the peer nothing is done to it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use rand::Rng;
use rand::distr::Alphanumeric;
use rtc_server::turn::{Keys, Peers, TurnConfig, User};
use rtc_server::{Config, Running, Server};

/// Letters of a password that nobody chose.
const PASSWORD: usize = 24;

/// A TURN server that ends when dropped.
#[derive(Debug)]
pub(super) struct Turn {
    /// Where it takes datagrams.
    pub(super) address: SocketAddr,
    _running: Running,
}

/// Who may relay: as asked, or somebody with a password of this run.
pub(super) fn user(asked: Option<&User>) -> User {
    asked.cloned().unwrap_or_else(|| User {
        name: "impair".to_owned(),
        password: rand::rng()
            .sample_iter(Alphanumeric)
            .take(PASSWORD)
            .map(char::from)
            .collect(),
    })
}

impl Turn {
    /// Starts one that relays for `user`, from `outside` to anybody.
    pub(super) async fn start(outside: IpAddr, user: User) -> Result<Self, String> {
        if outside.is_unspecified() {
            return Err(format!(
                "--turn {outside}: relayed candidates carry this address, so give one that peers can reach, as in --turn 127.0.0.1:3478"
            ));
        }
        let (inside, everybody) = match outside {
            IpAddr::V4(_) => (IpAddr::from(Ipv4Addr::LOCALHOST), "0.0.0.0/0"),
            IpAddr::V6(_) => (IpAddr::from(Ipv6Addr::LOCALHOST), "::/0"),
        };
        let turn = TurnConfig {
            listen: vec![SocketAddr::new(inside, 0)],
            listen_tls: Vec::new(),
            realm: "rtc-client impair".to_owned(),
            keys: Keys::new(None, vec![user]),
            credential_lifetime: Duration::from_secs(3600),
            relay: vec![outside],
            external: Vec::new(),
            ports: 49_152..=65_535,
            // Calls on one machine are what it is for; who has the password is trusted.
            peers: Peers {
                allowed: everybody.parse().into_iter().collect(),
                denied: Vec::new(),
            },
            per_user: 256,
            allocations: 256,
            rate: None,
            host: None,
        };
        let config = Config {
            listen: Vec::new(),
            turn: Some(turn),
            ..Config::default()
        };
        let server = Server::bind(config).await.map_err(|e| e.to_string())?;
        let address = server.turn_addrs().0.first().copied();
        let address = address.ok_or("the TURN server has no address")?;
        Ok(Self {
            address,
            _running: server.start(),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_credential_that_nobody_chose_is_another_each_time() {
        assert_ne!(user(None).password, user(None).password);
        let ann: User = "ann:secret".parse().unwrap();
        assert_eq!(user(Some(&ann)), ann);
    }

    #[tokio::test]
    async fn an_address_that_means_all_is_refused() {
        let all = Ipv4Addr::UNSPECIFIED.into();
        let refused = Turn::start(all, user(None)).await.unwrap_err();
        assert!(refused.contains("--turn 127.0.0.1:3478"), "{refused}");
    }

    #[tokio::test]
    async fn it_takes_datagrams_at_loopback_alone() {
        let turn = Turn::start(Ipv4Addr::LOCALHOST.into(), user(None))
            .await
            .unwrap();
        assert!(turn.address.ip().is_loopback() && turn.address.port() > 0);
    }
}

//! The signaling over real sockets on loopback.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod hosting;
mod nonsense;
mod proxy;
mod server;
mod tls;

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use rtc_protocol::{Candidate, PeerId, Signal};
use rtc_server::{Config, Running, Server};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::*;

/// Far longer than anything takes, so that only what never comes fails.
const LONG: Duration = Duration::from_secs(30);

/// A client, and what it is told.
struct Guest {
    signaling: Signaling,
    events: mpsc::Receiver<SignalingEvent>,
    members: Vec<PeerId>,
    started: bool,
}

impl Guest {
    /// Joins, and takes the events up to `Joined`.
    async fn join(options: SignalingOptions) -> Self {
        Self::try_join(options).await.unwrap()
    }

    async fn try_join(options: SignalingOptions) -> Result<Self, SignalingError> {
        let (sender, events) = mpsc::channel(16);
        let mut guest = Self {
            signaling: timeout(LONG, Signaling::connect(options, sender))
                .await
                .unwrap()?,
            events,
            members: Vec::new(),
            started: false,
        };
        guest.joined().await;
        Ok(guest)
    }

    fn id(&self) -> PeerId {
        self.signaling.id()
    }

    /// Waits for the first event that `pick` takes; others are skipped.
    async fn until<T>(&mut self, mut pick: impl FnMut(SignalingEvent) -> Option<T>) -> T {
        let mut skipped = Vec::new();
        let found = timeout(LONG, async {
            loop {
                let event = self.events.recv().await.expect("the events ended");
                self.started |= matches!(event, SignalingEvent::ServerStarted { .. });
                skipped.push(format!("{event:?}"));
                if let Some(found) = pick(event) {
                    return found;
                }
            }
        });
        match found.await {
            Ok(found) => found,
            Err(_) => panic!("it never came; what came: {skipped:#?}"),
        }
    }

    async fn joined(&mut self) {
        let me = self.id();
        self.members = self
            .until(|event| match event {
                SignalingEvent::Joined {
                    members, me: id, ..
                } => {
                    assert_eq!(id, me);
                    Some(members.iter().map(|member| member.peer).collect())
                }
                _ => None,
            })
            .await;
    }

    /// Waits until the link was lost and is back; tells whether it was resumed.
    async fn back(&mut self) -> bool {
        self.until(|event| matches!(event, SignalingEvent::Lost { .. }).then_some(()))
            .await;
        self.until(|event| match event {
            SignalingEvent::Back { resumed } => Some(resumed),
            _ => None,
        })
        .await
    }

    async fn sees(&mut self, peer: PeerId) {
        if !self.members.contains(&peer) {
            self.until(|event| match event {
                SignalingEvent::PeerJoined { member } if member.peer == peer => Some(()),
                _ => None,
            })
            .await;
        }
    }

    async fn say(&self, to: PeerId, word: &str) {
        let signal = Signal::Candidate(Candidate {
            candidate: word.to_owned(),
            ..Candidate::default()
        });
        self.signaling.signal(to, signal).await.unwrap();
    }

    /// Waits for the next word, and from whom it is.
    async fn hears(&mut self) -> (PeerId, String) {
        self.until(|event| match event {
            SignalingEvent::Signal {
                from,
                signal: Signal::Candidate(candidate),
            } => Some((from, candidate.candidate)),
            _ => None,
        })
        .await
    }
}

/// Options for a room at that server, quick to try again.
fn at(server: &str) -> SignalingOptions {
    SignalingOptions::new(Target::parse("foo", Some(server)).unwrap())
}

/// Options for a room at this machine's own door.
fn at_door(port: u16) -> SignalingOptions {
    SignalingOptions::new(Target::parse_with_port("foo", None, port).unwrap())
}

/// A server on loopback; 0 gives it a port of its own.
async fn serve(port: u16) -> (Running, String, u16) {
    serve_with(Config::localhost(port)).await
}

async fn serve_with(config: Config) -> (Running, String, u16) {
    let running = Server::bind(config).await.unwrap().start();
    let port = running.local_addrs()[0].port();
    (running, format!("ws://127.0.0.1:{port}"), port)
}

/// A port that nobody listens at, from below those that the system gives to outgoing connections, so that none of
/// the other tests' connections takes it before its owner does.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let process = u16::try_from(std::process::id() % 1000).unwrap();
    (0..1000)
        .map(|_| {
            let next = NEXT.fetch_add(1, Ordering::Relaxed);
            20_000 + (process * 10 + next) % 10_000
        })
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("no port is free")
}

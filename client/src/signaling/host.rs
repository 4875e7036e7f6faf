//! The door of this machine: whoever finds no server there opens one, and whoever comes next finds it.
//!
//! Binding 127.0.0.1 decides: the system lets one process have it, all others get "in use" and connect. So when the
//! client that ran the server leaves, each of the others tries, one succeeds, and nobody has to agree on who.

mod hosted;

use std::io;
use std::time::Duration;

use tokio::time::sleep;

use super::address::{ServerAddress, ServerChoice};
use super::error::SignalingError;
use super::socket::{self, OpenError, Socket};
use crate::trust::Trust;
use hosted::Hosted;

/// How often nobody may let us in at one place before we look in the other: where we were sent, where we came from.
const MISSES: u32 = 3;

/// Whether it is the turn of the place that we came from, after so many misses.
const fn at_home(misses: u32) -> bool {
    misses / MISSES % 2 == 1
}

/// How often a server that is just starting elsewhere is looked for again.
const TRIES: u32 = 20;

/// How long it is given between two looks.
const PAUSE: Duration = Duration::from_millis(25);

/// Finds the server, or is it.
#[derive(Debug)]
pub(super) struct Door {
    choice: ServerChoice,
    /// Where we were sent from there, and how often nobody let us in.
    away: Option<(ServerAddress, u32)>,
    trust: Trust,
    patience: Duration,
    hosted: Option<Hosted>,
    started: Option<String>,
}

impl Door {
    /// Prepares to look for that server.
    pub(super) fn new(choice: ServerChoice, trust: Trust, patience: Duration) -> Self {
        Self {
            choice,
            away: None,
            trust,
            patience,
            hosted: None,
            started: None,
        }
    }

    /// From now on looks there, and here again where nobody lets us in there for a few times.
    pub(super) fn go(&mut self, there: ServerAddress) {
        self.away = Some((there, 0));
    }

    /// The address that is looked at.
    pub(super) fn address(&self) -> ServerAddress {
        match &self.away {
            Some((there, misses)) if !at_home(*misses) => there.clone(),
            _ => self.choice.address(),
        }
    }

    /// Opens a link; starts the server of this machine if that is what we want and nobody has.
    pub(super) async fn open(&mut self) -> Result<Socket, OpenError> {
        let opened = match &self.away {
            Some((there, misses)) if !at_home(*misses) => {
                let there = ServerChoice::Given(there.clone());
                socket::open(&there, &self.trust, self.patience).await
            }
            _ => self.open_at_home().await,
        };
        if opened.is_err() {
            self.missed();
        }
        opened
    }

    /// Nobody let us in where we looked last. That a socket opened there does not count: a server that is full opens
    /// it, too.
    pub(super) fn missed(&mut self) {
        if let Some((_, misses)) = &mut self.away {
            *misses = misses.saturating_add(1);
        }
    }

    /// We were let in where we looked last.
    pub(super) fn let_in(&mut self) {
        match &mut self.away {
            Some((_, misses)) if at_home(*misses) => self.away = None,
            Some((_, misses)) => *misses = 0,
            None => {}
        }
    }

    async fn open_at_home(&mut self) -> Result<Socket, OpenError> {
        let ServerChoice::Local { port } = self.choice else {
            return socket::open(&self.choice, &self.trust, self.patience).await;
        };
        let mut in_use = None;
        for _ in 0..TRIES {
            match socket::open(&self.choice, &self.trust, self.patience).await {
                Err(OpenError::Refused) => {}
                Err(OpenError::Lasting(SignalingError::Nonsense { server, why })) => {
                    return Err(OpenError::Lasting(SignalingError::Nonsense {
                        server,
                        why: format!("something else listens there ({why})"),
                    }));
                }
                other => return other,
            }
            match Hosted::start(port).await {
                Ok(hosted) => {
                    self.started = Some(self.choice.address().home_url());
                    self.hosted = Some(hosted);
                }
                // Somebody was faster, and will listen in a moment.
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    in_use = Some(error);
                    sleep(PAUSE).await;
                }
                Err(error) => return Err(OpenError::Lasting(self.cannot_host(&error))),
            }
        }
        let error = in_use.unwrap_or_else(|| io::ErrorKind::ConnectionRefused.into());
        Err(OpenError::Passing(self.cannot_host(&error)))
    }

    /// Takes the page of the server that was started since the last call.
    pub(super) fn take_started(&mut self) -> Option<String> {
        self.started.take()
    }

    /// Stops the server if we run it; its other guests are told first.
    pub(super) async fn close(&mut self) {
        if let Some(hosted) = self.hosted.take() {
            hosted.stop().await;
        }
    }

    /// Nobody listens there.
    pub(super) fn nobody(&self) -> SignalingError {
        socket::unreachable(&self.address(), &io::ErrorKind::ConnectionRefused.into())
    }

    /// Somebody is there, but the link breaks each time before we are in.
    pub(super) fn unsteady(&self, reason: &str) -> SignalingError {
        SignalingError::NoServer {
            server: self.address().to_string(),
            why: format!("the link breaks each time ({reason})"),
            next: "try again later",
        }
    }

    fn cannot_host(&self, error: &io::Error) -> SignalingError {
        SignalingError::CannotHost {
            server: self.choice.address().to_string(),
            why: error.to_string(),
        }
    }
}

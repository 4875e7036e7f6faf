//! One UDP port for all connections of the process (`--udp-port`).
//!
//! The engine binds a socket of its own for each connection and each address, and names its port in what it tells the far
//! side. A layer of ours lets it believe so: what it sends leaves by the socket that all share, what comes there is handed
//! to the connection that it is for, and the port in candidates is replaced on their way out. What is said to TURN servers
//! stays on the engine's own socket: a server tells its clients apart by their address (RFC 8656, section 3.1).
//!
//! - `demux`: which connection a datagram is for, pure
//! - `ports`: the port that candidates and descriptions show, pure
//! - `place`: the socket that all share at one address, and who reads it
//! - `member`: one connection, and the sockets that its engine is given

pub(crate) mod demux;
mod member;
mod place;
pub(crate) mod ports;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use demux::Demux;
pub(crate) use member::Member;
use place::Place;

/// Addresses of one machine. What is beyond them is closed where no connection is on it.
const PLACES: usize = 32;

/// The port cannot be had.
#[derive(Debug, thiserror::Error)]
#[error(
    "--udp-port {}: the port cannot be opened at {} ({source}); choose a port that no other program has, 1024 or higher",
    place.port(),
    place.ip()
)]
pub struct PortError {
    place: SocketAddr,
    source: io::Error,
}

/// See the module; cheap to clone. Its sockets close with the last of these.
#[derive(Clone, Debug)]
pub struct SharedUdp(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    port: u16,
    demux: Mutex<Demux>,
    places: Mutex<HashMap<IpAddr, Arc<Place>>>,
    members: std::sync::atomic::AtomicU64,
}

impl SharedUdp {
    /// Nothing is opened yet.
    #[must_use]
    pub fn new(port: u16) -> Self {
        Self(Arc::new(Inner {
            port,
            demux: Mutex::default(),
            places: Mutex::default(),
            members: std::sync::atomic::AtomicU64::new(0),
        }))
    }

    /// Opens the port at these addresses, before any connection needs it. Needs a running tokio runtime.
    ///
    /// # Errors
    /// When it cannot be had at one of them.
    pub fn open(&self, addresses: &[IpAddr]) -> Result<(), PortError> {
        addresses
            .iter()
            .try_for_each(|ip| self.place(*ip).map(drop))
    }

    /// One more connection.
    pub(crate) fn join(&self) -> Member {
        use std::sync::atomic::Ordering;
        Member::new(self.clone(), self.0.members.fetch_add(1, Ordering::Relaxed))
    }

    /// The socket at an address, opened if it is not yet.
    fn place(&self, ip: IpAddr) -> Result<Arc<Place>, PortError> {
        let mut places = lock(&self.0.places);
        if let Some(place) = places.get(&ip).filter(|place| place.is_read()) {
            return Ok(Arc::clone(place));
        }
        if places.len() >= PLACES {
            places.retain(|_, place| place.is_used());
        }
        // One that nobody reads any more holds the port.
        places.remove(&ip);
        let at = SocketAddr::new(ip, self.0.port);
        let place = Place::open(at, Arc::downgrade(&self.0))
            .map(Arc::new)
            .map_err(|source| PortError { place: at, source })?;
        places.insert(ip, Arc::clone(&place));
        Ok(place)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;

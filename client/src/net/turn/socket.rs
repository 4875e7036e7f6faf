//! A socket of the engine that sends what is for a TURN server by TCP or TLS over a stream.

use std::collections::HashMap;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use webrtc::runtime::{AsyncUdpSocket, RecvMeta, Transmit};

use super::stand_in::StandIns;
use super::stream::{self, Road};
use crate::net::arrived::Arrived;

/// Datagrams that wait for a stream; what is more is dropped, as by any full interface: what a stream holds back comes
/// late, and late is worse than lost.
const WAITING: usize = 128;

/// See the module. Its streams end with it.
#[derive(Debug)]
pub(in crate::net) struct TurnSocket {
    inner: Arc<dyn AsyncUdpSocket>,
    servers: Arc<StandIns>,
    troubles: mpsc::Sender<String>,
    streams: Mutex<HashMap<SocketAddr, Stream>>,
    arrived: Arc<Arrived>,
    /// Whose turn it is, so that neither way starves the other.
    streams_first: AtomicBool,
}

#[derive(Debug)]
struct Stream {
    outgoing: mpsc::Sender<Vec<u8>>,
    _carrier: AbortOnDropHandle<()>,
}

impl TurnSocket {
    /// Over `inner`, which carries everything that is for nobody of `servers`. What people should know goes to `troubles`.
    pub(in crate::net) fn new(
        inner: Arc<dyn AsyncUdpSocket>,
        servers: Arc<StandIns>,
        troubles: mpsc::Sender<String>,
    ) -> Self {
        Self {
            inner,
            servers,
            troubles,
            streams: Mutex::default(),
            arrived: Arc::default(),
            streams_first: AtomicBool::new(true),
        }
    }

    /// Sends one datagram over the stream for this address. Needs a running tokio runtime.
    fn send(&self, to: SocketAddr, datagram: &[u8]) {
        let mut streams = lock(&self.streams);
        let stream = match streams.get(&to) {
            Some(stream) => stream,
            None => {
                let (Some(server), Ok(local)) = (self.servers.at(to), self.inner.local_addr())
                else {
                    return;
                };
                let (outgoing, waiting) = mpsc::channel(WAITING);
                let road = Road {
                    server: server.clone(),
                    trust: self.servers.trust().clone(),
                    local: local.ip(),
                    stands_for: to,
                    troubles: self.troubles.clone(),
                };
                let carrier = tokio::spawn(stream::carry(road, waiting, Arc::clone(&self.arrived)));
                streams.entry(to).or_insert(Stream {
                    outgoing,
                    _carrier: AbortOnDropHandle::new(carrier),
                })
            }
        };
        let _ = stream.outgoing.try_send(datagram.to_vec());
    }
}

impl AsyncUdpSocket for TurnSocket {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn poll_send(&self, cx: &mut Context<'_>, transmit: &Transmit<'_>) -> Poll<io::Result<usize>> {
        if self.servers.at(transmit.destination).is_none() {
            return self.inner.poll_send(cx, transmit);
        }
        let all = transmit.contents;
        let step = transmit.segment_size.unwrap_or(all.len()).max(1);
        for datagram in all.chunks(step) {
            self.send(transmit.destination, datagram);
        }
        Poll::Ready(Ok(all.len()))
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        self.arrived.register(cx);
        let streams_first = self.streams_first.load(Ordering::Relaxed);
        if streams_first {
            let count = self.arrived.read(bufs, meta);
            if count > 0 {
                self.streams_first.store(false, Ordering::Relaxed);
                return Poll::Ready(Ok(count));
            }
        }
        let received = self.inner.poll_recv(cx, bufs, meta);
        if received.is_ready() {
            self.streams_first.store(true, Ordering::Relaxed);
            return received;
        }
        match self.arrived.read(bufs, meta) {
            0 => Poll::Pending,
            count => Poll::Ready(Ok(count)),
        }
    }

    fn max_gso_segments(&self) -> usize {
        self.inner.max_gso_segments()
    }

    fn max_gro_segments(&self) -> usize {
        self.inner.max_gro_segments()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;

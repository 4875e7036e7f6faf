//! One connection on a shared port, and the sockets that its engine is given.

use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use webrtc::runtime::{AsyncUdpSocket, RecvMeta, Runtime, TokioRuntime, Transmit};

use super::demux::{Way, is_for_relay};
use super::place::Place;
use super::{SharedUdp, lock, ports};
use crate::net::arrived::Arrived;

/// See the module. What is known of it is forgotten when it is dropped.
#[derive(Debug)]
pub(crate) struct Member {
    shared: SharedUdp,
    number: u64,
}

impl Member {
    pub(super) const fn new(shared: SharedUdp, number: u64) -> Self {
        Self { shared, number }
    }

    /// The port that all share.
    pub(crate) fn port(&self) -> u16 {
        self.shared.0.port
    }

    /// Checks by these fragments are for this connection.
    pub(crate) fn claim<'a>(&self, fragments: impl Iterator<Item = &'a str>) {
        let mut demux = lock(&self.shared.0.demux);
        fragments.for_each(|fragment| demux.claim(self.number, fragment));
    }

    /// The candidate as it is.
    pub(crate) fn candidate(&self, text: &str) -> String {
        ports::candidate(text, self.port())
    }

    /// The description as it is.
    pub(crate) fn description(&self, text: &str) -> String {
        ports::description(text, self.port())
    }

    /// What the engine takes for the socket that it bound. That one is closed, unless there are TURN servers to be reached
    /// by it.
    pub(in crate::net) fn socket(
        self: &Arc<Self>,
        own: UdpSocket,
        keep: bool,
    ) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        let bound = own.local_addr()?;
        let own = match keep {
            true => Some(TokioRuntime.wrap_udp_socket(own)?),
            false => None,
        };
        let place = self.shared.place(bound.ip()).map_err(io::Error::other)?;
        let inbox = Arc::<Arrived>::default();
        place.enter(self.number, Arc::clone(&inbox));
        Ok(Arc::new(MemberSocket {
            member: Arc::clone(self),
            bound,
            own,
            place,
            inbox,
            own_first: AtomicBool::new(false),
        }))
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        lock(&self.shared.0.demux).leave(self.number);
    }
}

#[derive(Debug)]
struct MemberSocket {
    member: Arc<Member>,
    /// Where the engine believes that it is.
    bound: SocketAddr,
    /// What speaks to TURN servers.
    own: Option<Arc<dyn AsyncUdpSocket>>,
    place: Arc<Place>,
    inbox: Arc<Arrived>,
    /// Whose turn it is, so that neither way starves the other.
    own_first: AtomicBool,
}

impl Drop for MemberSocket {
    fn drop(&mut self) {
        self.place.leave(self.member.number, &self.inbox);
    }
}

impl AsyncUdpSocket for MemberSocket {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.bound)
    }

    fn poll_send(&self, cx: &mut Context<'_>, transmit: &Transmit<'_>) -> Poll<io::Result<usize>> {
        let all = transmit.contents;
        let step = transmit.segment_size.unwrap_or(all.len()).max(1);
        // What goes in one piece is of one kind.
        if all.chunks(step).next().is_some_and(is_for_relay) {
            return match &self.own {
                Some(own) => own.poll_send(cx, transmit),
                None => Poll::Ready(Ok(all.len())),
            };
        }
        let way = Way {
            local: self.bound.ip(),
            far: transmit.destination,
        };
        let mut demux = lock(&self.member.shared.0.demux);
        for datagram in all.chunks(step) {
            demux.sent(self.member.number, way, datagram);
        }
        drop(demux);
        self.place.poll_send(cx, transmit)
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        self.inbox.register(cx);
        let Some(own) = &self.own else {
            return match self.inbox.read(bufs, metas) {
                0 => Poll::Pending,
                count => Poll::Ready(Ok(count)),
            };
        };
        if self.own_first.swap(false, Ordering::Relaxed) {
            let received = own.poll_recv(cx, bufs, metas);
            if received.is_ready() {
                return received;
            }
        }
        match self.inbox.read(bufs, metas) {
            0 => own.poll_recv(cx, bufs, metas),
            count => {
                self.own_first.store(true, Ordering::Relaxed);
                Poll::Ready(Ok(count))
            }
        }
    }

    fn max_gso_segments(&self) -> usize {
        let own = self.own.as_ref().map(|own| own.max_gso_segments());
        self.place.max_gso_segments().min(own.unwrap_or(usize::MAX))
    }

    fn max_gro_segments(&self) -> usize {
        self.own.as_ref().map_or(1, |own| own.max_gro_segments())
    }
}

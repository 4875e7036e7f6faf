//! The socket that all share at one address, and who reads it.

use std::collections::HashMap;
use std::future::poll_fn;
use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Wake, Waker};

use tokio_util::task::AbortOnDropHandle;
use webrtc::runtime::{AsyncUdpSocket, RecvMeta, Runtime, TokioRuntime, Transmit};

use super::demux::Way;
use super::{Inner, lock};
use crate::net::arrived::Arrived;

/// The largest that one call receives: datagrams that the system has joined.
const BUFFER: usize = 64 * 1024;

type Inboxes = Arc<Mutex<HashMap<u64, Arc<Arrived>>>>;

/// See the module. It is read until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    socket: Arc<dyn AsyncUdpSocket>,
    inboxes: Inboxes,
    senders: Arc<Senders>,
    reader: AbortOnDropHandle<()>,
}

/// Who waits until the socket takes more: tokio remembers only the last who asked, so it is told of all.
#[derive(Debug, Default)]
struct Senders(Mutex<Vec<Waker>>);

impl Senders {
    fn add(&self, waker: &Waker) {
        let mut all = lock(&self.0);
        if !all.iter().any(|known| known.will_wake(waker)) {
            all.push(waker.clone());
        }
    }
}

impl Wake for Senders {
    fn wake(self: Arc<Self>) {
        let all = std::mem::take(&mut *lock(&self.0));
        all.into_iter().for_each(Waker::wake);
    }
}

impl Place {
    pub(super) fn open(at: SocketAddr, shared: Weak<Inner>) -> io::Result<Self> {
        let socket = TokioRuntime.wrap_udp_socket(UdpSocket::bind(at)?)?;
        let inboxes = Inboxes::default();
        let reader = tokio::spawn(read(at, Arc::clone(&socket), Arc::clone(&inboxes), shared));
        Ok(Self {
            socket,
            inboxes,
            senders: Arc::default(),
            reader: AbortOnDropHandle::new(reader),
        })
    }

    pub(super) fn is_read(&self) -> bool {
        !self.reader.is_finished()
    }

    /// Whether any connection is on it.
    pub(super) fn is_used(&self) -> bool {
        !lock(&self.inboxes).is_empty()
    }

    /// What is for a connection comes here from now on.
    pub(super) fn enter(&self, member: u64, inbox: Arc<Arrived>) {
        lock(&self.inboxes).insert(member, inbox);
    }

    /// And no more, unless another inbox has taken its place.
    pub(super) fn leave(&self, member: u64, inbox: &Arc<Arrived>) {
        let mut inboxes = lock(&self.inboxes);
        if inboxes
            .get(&member)
            .is_some_and(|known| Arc::ptr_eq(known, inbox))
        {
            inboxes.remove(&member);
        }
    }

    pub(super) fn poll_send(
        &self,
        cx: &Context<'_>,
        transmit: &Transmit<'_>,
    ) -> Poll<io::Result<usize>> {
        let waker = Waker::from(Arc::clone(&self.senders));
        let mut all = Context::from_waker(&waker);
        match self.socket.poll_send(&mut all, transmit) {
            Poll::Ready(sent) => Poll::Ready(sent),
            Poll::Pending => {
                self.senders.add(cx.waker());
                // There may have been room before that.
                self.socket.poll_send(&mut all, transmit)
            }
        }
    }

    pub(super) fn max_gso_segments(&self) -> usize {
        self.socket.max_gso_segments()
    }
}

/// Hands each datagram to whom it is for, until nobody can be handed any.
async fn read(
    at: SocketAddr,
    socket: Arc<dyn AsyncUdpSocket>,
    inboxes: Inboxes,
    shared: Weak<Inner>,
) {
    let mut buffer = vec![0; BUFFER.max(socket.max_gro_segments() * 1_500)];
    loop {
        let mut metas = [RecvMeta::default()];
        let received = poll_fn(|cx| {
            let mut slices = [IoSliceMut::new(&mut buffer)];
            socket.poll_recv(cx, &mut slices, &mut metas)
        });
        match received.await {
            Ok(_) => {}
            // Of one of those that were sent to, and not of the socket.
            Err(error) if is_of_one(error.kind()) => continue,
            Err(error) => return tracing::warn!("{at} is not read any more: {error}"),
        }
        let Some(shared) = shared.upgrade() else {
            return;
        };
        let [meta] = metas;
        let way = Way {
            local: at.ip(),
            far: meta.addr,
        };
        let all = &buffer[..meta.len.min(buffer.len())];
        for datagram in all.chunks(meta.stride.max(1)) {
            let member = lock(&shared.demux).came(way, datagram);
            let inbox = member.and_then(|member| lock(&inboxes).get(&member).cloned());
            match inbox {
                Some(inbox) => inbox.push(meta.addr, datagram),
                None => tracing::debug!("{} bytes of {} are for nobody", datagram.len(), meta.addr),
            }
        }
    }
}

const fn is_of_one(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
            | io::ErrorKind::WouldBlock
            | io::ErrorKind::TimedOut
    )
}

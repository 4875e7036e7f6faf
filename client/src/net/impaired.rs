//! A socket of the engine behind an impaired path.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use futures_util::task::AtomicWaker;
use tokio::sync::Notify;
use tokio::time::sleep_until;
use tokio_util::task::AbortOnDropHandle;
use webrtc::runtime::{AsyncUdpSocket, RecvMeta, Transmit};

use super::impair::path::Fate;
use super::impair::queue::OnTheWay;
use super::impair::{Direction, Impairment};

/// Datagrams that have arrived and that nobody has read; more are dropped, as the system does.
const ARRIVED: usize = 1_024;

/// The largest that one call receives: datagrams that the system has joined.
const BUFFER: usize = 64 * 1024;

/// See the module. Datagrams that wait on the path are carried by a task that ends with the socket.
#[derive(Debug)]
pub(super) struct ImpairedSocket {
    shared: Arc<Shared>,
    _carrier: AbortOnDropHandle<()>,
}

#[derive(Debug)]
struct Shared {
    inner: Arc<dyn AsyncUdpSocket>,
    impairment: Impairment,
    outgoing: Mutex<OnTheWay<(SocketAddr, Vec<u8>)>>,
    /// Something new is on its way out.
    sent: Notify,
    arrived: Mutex<VecDeque<Arrived>>,
    reader: AtomicWaker,
}

#[derive(Debug)]
enum Arrived {
    Datagram(RecvMeta, Vec<u8>),
    Failure(io::Error),
}

impl ImpairedSocket {
    /// Needs a running tokio runtime.
    pub(super) fn new(inner: Arc<dyn AsyncUdpSocket>, impairment: Impairment) -> Self {
        let shared = Arc::new(Shared {
            inner,
            impairment,
            outgoing: Mutex::new(OnTheWay::new()),
            sent: Notify::new(),
            arrived: Mutex::default(),
            reader: AtomicWaker::new(),
        });
        let carrier = tokio::spawn(carry(Arc::clone(&shared)));
        Self {
            shared,
            _carrier: AbortOnDropHandle::new(carrier),
        }
    }
}

impl AsyncUdpSocket for ImpairedSocket {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.shared.inner.local_addr()
    }

    // One datagram a call (`max_gso_segments` stays 1), so that each has its own luck.
    fn poll_send(&self, cx: &mut Context<'_>, transmit: &Transmit<'_>) -> Poll<io::Result<usize>> {
        let shared = &self.shared;
        let now = Instant::now();
        let bytes = transmit.contents.len();
        let fate = shared.impairment.fate(Direction::Up, now, bytes);
        let began = shared.impairment.began();
        let mut outgoing = lock(&shared.outgoing);
        for at in fate.arrivals() {
            let due = began + at;
            if due <= now && outgoing.due().is_none() {
                // A datagram that the system has no room for is lost, like on any full interface.
                let _ = shared.inner.poll_send(cx, transmit);
            } else {
                let datagram = (transmit.destination, transmit.contents.to_vec());
                outgoing.push(due, bytes, datagram);
                shared.sent.notify_one();
            }
        }
        Poll::Ready(Ok(bytes))
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        self.shared.reader.register(cx.waker());
        let mut arrived = lock(&self.shared.arrived);
        let mut filled = 0;
        for (buffer, meta) in bufs.iter_mut().zip(meta) {
            match arrived.pop_front() {
                None => break,
                Some(Arrived::Datagram(of, datagram)) => {
                    let length = datagram.len().min(buffer.len());
                    buffer[..length].copy_from_slice(&datagram[..length]);
                    *meta = of;
                    meta.len = length;
                    meta.stride = length.max(1);
                    filled += 1;
                }
                Some(Arrived::Failure(error)) if filled == 0 => return Poll::Ready(Err(error)),
                Some(failure) => {
                    arrived.push_front(failure);
                    break;
                }
            }
        }
        if filled == 0 {
            return Poll::Pending;
        }
        Poll::Ready(Ok(filled))
    }
}

/// Carries datagrams in both directions, each when its time has come.
async fn carry(shared: Arc<Shared>) {
    let mut incoming: OnTheWay<(RecvMeta, Vec<u8>)> = OnTheWay::new();
    let mut buffer = vec![0; BUFFER];
    loop {
        let due = [lock(&shared.outgoing).due(), incoming.due()];
        let due = due.into_iter().flatten().min();
        tokio::select! {
            received = receive(&shared, &mut buffer) => match received {
                Ok(meta) => shared.take_in(meta, &buffer, &mut incoming),
                Err(error) => shared.arrive(Arrived::Failure(error)),
            },
            () = shared.sent.notified() => {}
            () = wait(due) => {}
        }
        let now = Instant::now();
        while let Some((meta, datagram)) = incoming.pop(now) {
            shared.arrive(Arrived::Datagram(meta, datagram));
        }
        loop {
            let next = lock(&shared.outgoing).pop(now);
            let Some((destination, contents)) = next else {
                break;
            };
            let transmit = Transmit {
                destination,
                ecn: None,
                contents: &contents,
                segment_size: None,
                src_ip: None,
            };
            let _ = poll_fn(|cx| shared.inner.poll_send(cx, &transmit)).await;
        }
    }
}

async fn wait(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

async fn receive(shared: &Shared, buffer: &mut [u8]) -> io::Result<RecvMeta> {
    let mut meta = [RecvMeta::default()];
    poll_fn(|cx| {
        let mut slices = [IoSliceMut::new(buffer)];
        shared.inner.poll_recv(cx, &mut slices, &mut meta)
    })
    .await?;
    let [meta] = meta;
    Ok(meta)
}

impl Shared {
    /// Decides about each of the datagrams that came in one piece.
    fn take_in(&self, meta: RecvMeta, buffer: &[u8], incoming: &mut OnTheWay<(RecvMeta, Vec<u8>)>) {
        let now = Instant::now();
        let began = self.impairment.began();
        let all = &buffer[..meta.len.min(buffer.len())];
        for datagram in all.chunks(meta.stride.max(1)) {
            let fate = self.impairment.fate(Direction::Down, now, datagram.len());
            for at in fate.arrivals() {
                incoming.push(began + at, datagram.len(), (meta, datagram.to_vec()));
            }
        }
    }

    fn arrive(&self, what: Arrived) {
        let mut arrived = lock(&self.arrived);
        if arrived.len() < ARRIVED {
            arrived.push_back(what);
        }
        drop(arrived);
        self.reader.wake();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Fate {
    /// When it arrives: never, once or twice.
    pub(super) fn arrivals(self) -> impl Iterator<Item = std::time::Duration> {
        let (one, two) = match self {
            Self::Lost => (None, None),
            Self::Arrives(at) => (Some(at), None),
            Self::Twice(at, again) => (Some(at), Some(again)),
        };
        one.into_iter().chain(two)
    }
}

//! What the engine does not tell of a connection, and what it cannot be told to do: how much was really written, that
//! nobody reads any more, to read no further for now, to end at once.
//!
//! The engine's writer waits for a peer that does not read for ever, and its reader never waits for us. So the engine is
//! given the connection inside a [`Tethered`], whose other end is the [`Tether`].

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::{Sleep, sleep};

use crate::listener::Wire;

/// Bytes that may wait to be taken up before nothing more is read from the peer.
const WAITING: usize = 32 * 1024;

/// What a packet costs beside its text.
const PACKET: usize = 64;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Tether {
    /// Bytes that the system, or a poll, has taken since the beginning.
    written: AtomicU64,
    /// Bytes that were read and wait to be taken up.
    waiting: AtomicUsize,
    cut: AtomicBool,
    stalled: AtomicBool,
    reader: AtomicWaker,
    writer: AtomicWaker,
    moved: Notify,
    relieved: Notify,
    dropped: Notify,
}

impl Tether {
    /// Bytes that were taken off our hands.
    pub(super) fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    /// Some more were.
    pub(super) fn wrote(&self, bytes: usize) {
        self.written.fetch_add(bytes as u64, Ordering::Release);
        self.moved.notify_one();
    }

    /// Waits until more were.
    pub(super) async fn moved(&self) {
        self.moved.notified().await;
    }

    /// Something was read, and waits.
    pub(super) fn read(&self, bytes: usize) {
        self.waiting.fetch_add(bytes + PACKET, Ordering::AcqRel);
    }

    /// It was taken up.
    pub(super) fn took(&self, bytes: usize) {
        let bytes = bytes + PACKET;
        let before = self.waiting.fetch_sub(bytes, Ordering::AcqRel);
        if before >= WAITING && before - bytes < WAITING {
            self.reader.wake();
            self.relieved.notify_one();
        }
    }

    fn is_full(&self) -> bool {
        self.waiting.load(Ordering::Acquire) >= WAITING
    }

    /// Waits until what was read has been taken up, most of it.
    pub(super) async fn relieved(&self) {
        while self.is_full() {
            self.relieved.notified().await;
        }
        // Whoever else waits.
        self.relieved.notify_one();
    }

    /// Ends the connection at once, whatever it is doing.
    pub(super) fn cut(&self) {
        self.cut.store(true, Ordering::Release);
        self.reader.wake();
        self.writer.wake();
    }

    fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Acquire)
    }

    /// Waits until the engine has let go of the connection.
    pub(super) async fn dropped(&self) {
        self.dropped.notified().await;
    }

    /// Whether the peer did not read for longer than it may.
    pub(super) fn stalled(&self) -> bool {
        self.stalled.load(Ordering::Acquire)
    }
}

/// The engine's end of a connection.
pub(super) struct Tethered {
    wire: Wire,
    /// What the peer sent along with its request.
    early: Bytes,
    tether: Arc<Tether>,
    patience: Duration,
    stall: Option<Pin<Box<Sleep>>>,
}

impl Tethered {
    /// A peer that takes nothing for `patience` is given up.
    pub(super) fn new(wire: Wire, early: &[u8], tether: Arc<Tether>, patience: Duration) -> Self {
        Self {
            wire,
            // By itself: where it comes from is a part of the buffer that the whole request was read into.
            early: Bytes::copy_from_slice(early),
            tether,
            patience,
            stall: None,
        }
    }

    fn write(
        &mut self,
        cx: &mut Context<'_>,
        mut poll: impl FnMut(Pin<&mut Wire>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        self.tether.writer.register(cx.waker());
        if self.tether.is_cut() {
            return Poll::Ready(Err(cut()));
        }
        match poll(Pin::new(&mut self.wire), cx) {
            Poll::Ready(result) => {
                self.stall = None;
                if let Ok(bytes) = result {
                    self.tether.wrote(bytes);
                }
                Poll::Ready(result)
            }
            Poll::Pending => {
                let patience = self.patience;
                let stall = self.stall.get_or_insert_with(|| Box::pin(sleep(patience)));
                ready!(stall.as_mut().poll(cx));
                self.tether.stalled.store(true, Ordering::Release);
                self.tether.cut();
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl Drop for Tethered {
    fn drop(&mut self) {
        self.tether.dropped.notify_one();
    }
}

fn cut() -> io::Error {
    io::ErrorKind::ConnectionAborted.into()
}

impl AsyncRead for Tethered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.tether.reader.register(cx.waker());
        if self.tether.is_cut() {
            return Poll::Ready(Err(cut()));
        }
        if self.tether.is_full() {
            return Poll::Pending;
        }
        if self.early.has_remaining() {
            let bytes = self.early.len().min(buffer.remaining());
            buffer.put_slice(&self.early.split_to(bytes));
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.wire).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Tethered {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.write(cx, |wire, cx| wire.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.write(cx, |wire, cx| wire.poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        self.wire.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_reads_waits_while_too_much_is_not_taken_up() {
        let tether = Arc::new(Tether::default());
        tether.relieved().await;
        tether.read(WAITING - PACKET);
        tether.read(10);
        tether.read(10);
        let other = Arc::clone(&tether);
        let waits = tokio::spawn(async move { other.relieved().await });
        tokio::task::yield_now().await;
        assert!(!waits.is_finished());
        tether.took(10);
        tokio::task::yield_now().await;
        assert!(!waits.is_finished());
        tether.took(WAITING - PACKET);
        assert!(waits.await.is_ok());
    }
}

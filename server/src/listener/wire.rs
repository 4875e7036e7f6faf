//! A connection as bytes, plain or not, with its place.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::Place;

/// The most that is asked of the system at once.
const AT_ONCE: usize = 8 * 1024;

/// See the module. Hardly larger than the socket itself, so that it costs nothing to keep for an idle peer.
///
/// What reads from it keeps a small buffer for each peer, and would ask the system for each part of what is there. So
/// the system is asked for more than fits, and what is over waits here until it is asked for, and no longer.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: Stream,
    ahead: Bytes,
    /// Given back when the connection is closed, whoever held it last.
    _place: Place,
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Secure(Box<TlsStream<TcpStream>>),
}

impl Wire {
    pub(super) const fn plain(stream: TcpStream, place: Place) -> Self {
        Self {
            stream: Stream::Plain(stream),
            ahead: Bytes::new(),
            _place: place,
        }
    }

    pub(super) const fn secure(stream: Box<TlsStream<TcpStream>>, place: Place) -> Self {
        Self {
            stream: Stream::Secure(stream),
            ahead: Bytes::new(),
            _place: place,
        }
    }

    /// The connection under an upgraded request, and what of it was read already. Nothing of HTTP is left of it.
    pub(crate) fn of(upgraded: Upgraded) -> Result<(Self, Bytes), Upgraded> {
        let parts = upgraded.downcast::<TokioIo<Self>>()?;
        Ok((parts.io.into_inner(), parts.read_buf))
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        match &mut this.stream {
            Stream::Plain(stream) => ahead(&mut this.ahead, Pin::new(stream), cx, buffer),
            // It has a buffer of its own.
            Stream::Secure(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

/// Reads what is there ahead, or else more than fits where little does.
fn ahead(
    ahead: &mut Bytes,
    stream: Pin<&mut impl AsyncRead>,
    cx: &mut Context<'_>,
    buffer: &mut ReadBuf<'_>,
) -> Poll<io::Result<()>> {
    if ahead.has_remaining() {
        let bytes = ahead.len().min(buffer.remaining());
        buffer.put_slice(&ahead[..bytes]);
        ahead.advance(bytes);
        if ahead.is_empty() {
            *ahead = Bytes::new();
        }
        return Poll::Ready(Ok(()));
    }
    let room = buffer.remaining();
    if room == 0 || room >= AT_ONCE {
        return stream.poll_read(cx, buffer);
    }
    let mut scratch = [const { MaybeUninit::uninit() }; AT_ONCE];
    let mut scratch = ReadBuf::uninit(&mut scratch);
    ready!(stream.poll_read(cx, &mut scratch))?;
    let (now, later) = scratch.filled().split_at(scratch.filled().len().min(room));
    buffer.put_slice(now);
    if !later.is_empty() {
        *ahead = Bytes::copy_from_slice(later);
    }
    Poll::Ready(Ok(()))
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Secure(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Stream::Secure(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Secure(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Secure(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Secure(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;
    use tokio::io::AsyncReadExt;

    use super::*;

    /// Reads through [`ahead`].
    struct Ahead<R>(R, Bytes);

    impl<R: AsyncRead + Unpin> AsyncRead for Ahead<R> {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            let this = &mut *self;
            ahead(&mut this.1, Pin::new(&mut this.0), cx, buffer)
        }
    }

    proptest! {
        #[test]
        fn every_byte_is_read_once_and_in_order(
            sent in prop::collection::vec(any::<u8>(), 0..40_000),
            rooms in prop::collection::vec(1_usize..10_000, 1..20),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let read = runtime.block_on(async {
                let mut wire = Ahead(&sent[..], Bytes::new());
                let mut read = Vec::new();
                for room in rooms.iter().cycle() {
                    let mut part = vec![0; *room];
                    match wire.read(&mut part).await.unwrap() {
                        0 => break,
                        bytes => read.extend_from_slice(&part[..bytes]),
                    }
                }
                assert!(wire.1.is_empty());
                read
            });
            prop_assert_eq!(read, sent);
        }
    }
}

//! Clients on TCP and TLS: messages out of their streams, and answers into them.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::{Core, Way};
use crate::listener::{Place, Places};
use crate::turn::framing;
use crate::turn::rules::{Carrier, Path};

/// Messages that wait for one client to read; more are dropped, as media that is late is worth nothing.
const QUEUE: usize = 256;

/// How long a client may be there and say nothing while it has no allocation.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is read at once.
const CHUNK: usize = 4096;

/// Streams of one listener.
pub(super) struct Streams {
    core: Arc<Core>,
    carrier: Carrier,
    tls: Option<TlsAcceptor>,
    places: Arc<Places>,
}

impl Streams {
    pub(super) fn new(
        core: Arc<Core>,
        carrier: Carrier,
        tls: Option<TlsAcceptor>,
        places: Arc<Places>,
    ) -> Self {
        Self {
            core,
            carrier,
            tls,
            places,
        }
    }

    /// Accepts for as long as it is polled; dropped, it ends all its streams.
    pub(super) async fn accept(self, socket: TcpListener) {
        let Ok(server) = socket.local_addr() else {
            return;
        };
        let this = Arc::new(self);
        let mut tasks = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                Some(_) = tasks.join_next(), if !tasks.is_empty() => continue,
                accepted = socket.accept() => accepted,
            };
            match accepted {
                Ok((stream, client)) => {
                    // Without a word to who is turned away: it speaks no language in which to say so yet.
                    if let Ok(place) = this.places.take(client.ip().to_canonical()) {
                        let _ = stream.set_nodelay(true);
                        let path = Path {
                            carrier: this.carrier,
                            server,
                            client,
                        };
                        tasks.spawn(Arc::clone(&this).serve(stream, path, place));
                    }
                }
                Err(error) => {
                    tracing::debug!("a relay's listener: {error}");
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    async fn serve(self: Arc<Self>, stream: TcpStream, path: Path, _place: Place) {
        match &self.tls {
            None => self.talk(stream, path).await,
            Some(tls) => match timeout(PATIENCE, tls.accept(stream)).await {
                Ok(Ok(stream)) => self.talk(stream, path).await,
                Ok(Err(error)) => tracing::debug!("a relay's client: no TLS: {error}"),
                Err(_) => tracing::debug!("a relay's client: no TLS in time"),
            },
        }
    }

    async fn talk(&self, stream: impl AsyncRead + AsyncWrite, path: Path) {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let way = Way::Stream(queue);
        let (read, write) = tokio::io::split(stream);
        // Ends with its client, or with what it was allocated.
        let _gone = Gone {
            core: &self.core,
            path,
        };
        tokio::select! {
            () = self.listen(read, path, &way) => {}
            () = answer(write, waiting) => {}
        }
    }

    async fn listen(&self, read: impl AsyncRead, path: Path, way: &Way) {
        let mut read = std::pin::pin!(read);
        let mut bytes: Vec<u8> = Vec::new();
        loop {
            loop {
                match framing::first(&bytes) {
                    Ok(Some((padded, length))) if padded <= bytes.len() => {
                        self.core.said(path, way, &bytes[..length]);
                        bytes.drain(..padded);
                    }
                    Ok(_) => break,
                    Err(nonsense) => {
                        tracing::debug!("a relay's client: {nonsense}");
                        return;
                    }
                }
            }
            let had = bytes.len();
            bytes.resize(had + CHUNK, 0);
            match timeout(PATIENCE, read.read(&mut bytes[had..])).await {
                Ok(Ok(0) | Err(_)) => return,
                Ok(Ok(more)) => bytes.truncate(had + more),
                Err(_) if self.core.rules().knows(path) => bytes.truncate(had),
                Err(_) => return,
            }
            debug_assert!(bytes.len() <= framing::LARGEST + CHUNK);
        }
    }
}

async fn answer(write: impl AsyncWrite, mut waiting: mpsc::Receiver<Vec<u8>>) {
    let mut write = std::pin::pin!(write);
    while let Some(bytes) = waiting.recv().await {
        if write.write_all(&bytes).await.is_err()
            || (waiting.is_empty() && write.flush().await.is_err())
        {
            return;
        }
    }
}

/// Frees what a stream had, however it ends.
struct Gone<'a> {
    core: &'a Core,
    path: Path,
}

impl Drop for Gone<'_> {
    fn drop(&mut self) {
        self.core.gone(self.path);
    }
}

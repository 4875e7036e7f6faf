//! A way to a port of this machine that takes long and can be cut: then nothing passes, and nobody is told so.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::task::AbortOnDropHandle;

/// Bytes that are carried at once.
const CHUNK: usize = 64 << 10;

/// Of these on their way at once, each way; more has to wait, as in life.
const CHUNKS: usize = 256;

/// See the module; all that stands ends with it.
pub(crate) struct Way {
    pub(crate) port: u16,
    open: watch::Sender<bool>,
    _task: AbortOnDropHandle<()>,
}

impl Way {
    pub(crate) async fn to(port: u16, delay: Duration) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let (open, watched) = watch::channel(true);
        let task = tokio::spawn(async move {
            let mut carrying = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                carrying.spawn(pass(near, port, delay, watched.clone()));
                while carrying.try_join_next().is_some() {}
            }
        });
        Self {
            port: own,
            open,
            _task: AbortOnDropHandle::new(task),
        }
    }

    pub(crate) fn cut(&self) {
        self.open.send_replace(false);
    }

    pub(crate) fn mend(&self) {
        self.open.send_replace(true);
    }
}

async fn pass(near: TcpStream, port: u16, delay: Duration, mut open: watch::Receiver<bool>) {
    if open.wait_for(|open| *open).await.is_err() {
        return;
    }
    let far = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let Ok(far) = TcpStream::connect(far).await else {
        return;
    };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let (from_near, to_near) = near.into_split();
    let (from_far, to_far) = far.into_split();
    // When either side has ended, so does the other.
    tokio::select! {
        () = carry(from_near, to_far, delay, open.clone()) => {}
        () = carry(from_far, to_near, delay, open) => {}
    }
}

async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    delay: Duration,
    mut open: watch::Receiver<bool>,
) {
    let (sender, mut carried) = mpsc::channel::<(Instant, Vec<u8>)>(CHUNKS);
    let read = async move {
        let mut chunk = vec![0; CHUNK];
        while let Ok(bytes @ 1..) = from.read(&mut chunk).await {
            let due = Instant::now() + delay;
            if sender.send((due, chunk[..bytes].to_vec())).await.is_err() {
                return;
            }
        }
    };
    let write = async move {
        while let Some((due, chunk)) = carried.recv().await {
            sleep_until(due).await;
            if open.wait_for(|open| *open).await.is_err() || to.write_all(&chunk).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(read, write);
}

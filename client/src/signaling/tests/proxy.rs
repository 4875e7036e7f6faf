//! A wire between client and server that can be cut and held.

use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// What the wire does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Bytes pass.
    Open,
    /// Connections stand, and nothing passes.
    Held,
}

/// The wire; dropped, it is cut.
pub(super) struct Proxy {
    address: SocketAddr,
    mode: watch::Sender<Mode>,
    /// Counts the cuts.
    cuts: watch::Sender<u64>,
    _task: AbortOnDropHandle<()>,
}

impl Proxy {
    pub(super) async fn before(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (mode, watched) = watch::channel(Mode::Open);
        let (cuts, cut) = watch::channel(0);
        let task = tokio::spawn(async move {
            loop {
                let (near, _) = listener.accept().await.unwrap();
                tokio::spawn(pass(near, port, watched.clone(), cut.clone()));
            }
        });
        Self {
            address,
            mode,
            cuts,
            _task: AbortOnDropHandle::new(task),
        }
    }

    pub(super) fn url(&self) -> String {
        format!("ws://{}", self.address)
    }

    /// Cuts what stands; the next connection is let through.
    pub(super) fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Lets nothing through any more, without closing anything.
    pub(super) fn hold(&self) {
        self.mode.send_replace(Mode::Held);
    }

    /// Lets new connections through; those that were held stay held.
    pub(super) fn release(&self) {
        self.mode.send_replace(Mode::Open);
    }
}

async fn pass(
    mut near: TcpStream,
    port: u16,
    mut mode: watch::Receiver<Mode>,
    mut cut: watch::Receiver<u64>,
) {
    cut.mark_unchanged();
    if mode.wait_for(|mode| *mode == Mode::Open).await.is_err() {
        return;
    }
    let Ok(mut far) = TcpStream::connect(("127.0.0.1", port)).await else {
        return;
    };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let held = async { mode.wait_for(|mode| *mode == Mode::Held).await.is_ok() };
    tokio::select! {
        _ = copy_bidirectional(&mut near, &mut far) => {}
        _ = cut.changed() => {}
        _ = held => {
            let _ = cut.changed().await;
        }
    }
}

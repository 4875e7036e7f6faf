//! A wire before a server that can be cut: what stands breaks off, and the next connection goes through.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// See the module. Dropped, it is cut for good.
#[derive(Debug)]
pub struct Wire {
    port: u16,
    /// Whether connections may stand, and how often they were broken off.
    state: watch::Sender<State>,
    _task: AbortOnDropHandle<()>,
}

#[derive(Clone, Debug)]
struct State {
    cuts: u64,
    open: bool,
    /// Where it leads: to the first of them that takes a connection.
    ports: Vec<u16>,
}

impl Wire {
    /// A wire to a port of this machine.
    ///
    /// # Errors
    /// When the machine gives no port.
    pub async fn to(port: u16) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let own = listener.local_addr()?.port();
        let (state, watched) = watch::channel(State {
            cuts: 0,
            open: true,
            ports: vec![port],
        });
        let task = tokio::spawn(async move {
            // A task for each connection ends with its connection, or when it is cut, as it is in the end by the drop.
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(pass(near, watched.clone()));
            }
        });
        Ok(Self {
            port: own,
            state,
            _task: AbortOnDropHandle::new(task),
        })
    }

    /// Its near end.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Where the server seems to be.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Breaks everything off, without a goodbye; new connections go through at once.
    pub fn cut(&self) {
        self.state.send_modify(|state| state.cuts += 1);
    }

    /// Breaks everything off, and whatever comes, until [`Wire::mend`].
    pub fn sever(&self) {
        self.state.send_modify(|state| {
            state.cuts += 1;
            state.open = false;
        });
    }

    /// What connects from now on comes to the first of these that takes it; what stands stays.
    pub fn leads_to(&self, ports: &[u16]) {
        self.state.send_modify(|state| state.ports = ports.to_vec());
    }

    /// Lets connections through again.
    pub fn mend(&self) {
        self.state.send_modify(|state| state.open = true);
    }
}

async fn pass(mut near: TcpStream, mut state: watch::Receiver<State>) {
    let State { cuts, open, ports } = state.borrow_and_update().clone();
    if !open {
        return;
    }
    for port in ports {
        let far = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await;
        let Ok(mut far) = far else { continue };
        let _ = (near.set_nodelay(true), far.set_nodelay(true));
        tokio::select! {
            _ = copy_bidirectional(&mut near, &mut far) => {}
            _ = state.wait_for(|state| state.cuts != cuts) => {}
        }
        return;
    }
}

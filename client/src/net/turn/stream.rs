//! One stream to a TURN server, opened when something is to be sent and again when it broke.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

use super::framing::{Incoming, put};
use super::url::{Server, Transport};
use crate::net::arrived::Arrived;
use crate::trust::{Distrust, Trust};

/// A server that has not answered for so long is not there; the engine waits no longer for its allocation.
const PATIENCE: Duration = Duration::from_secs(8);

/// After a stream broke or did not open the next waits so long, and twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What one reading takes, and what one writing gathers.
const CHUNK: usize = 16 * 1024;
const GATHERED: usize = 32;

/// Requests that are known again, so that what the engine repeats is not sent twice.
const REQUESTS: usize = 32;

/// What a stream is opened with.
#[derive(Debug)]
pub(super) struct Road {
    pub(super) server: Server,
    pub(super) trust: Trust,
    /// The address of the socket that it belongs to: a stream leaves by the same interface.
    pub(super) local: IpAddr,
    /// What the engine knows the server by.
    pub(super) stands_for: SocketAddr,
    pub(super) troubles: mpsc::Sender<String>,
}

/// Carries datagrams until nobody sends any more.
pub(super) async fn carry(road: Road, mut waiting: mpsc::Receiver<Vec<u8>>, arrived: Arc<Arrived>) {
    let mut pause = FIRST_PAUSE;
    let mut told = false;
    while let Some(first) = waiting.recv().await {
        let opened = match timeout(PATIENCE, open(&road)).await {
            Ok(opened) => opened,
            Err(_) => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("no answer within {} s", PATIENCE.as_secs()),
            )),
        };
        let broke = match opened {
            Ok(mut stream) => {
                pause = FIRST_PAUSE;
                let came = |datagram: &[u8]| arrived.push(road.stands_for, datagram);
                exchange(&mut *stream, first, &mut waiting, came).await
            }
            Err(error) => Err(error),
        };
        match broke {
            Ok(()) => return,
            Err(error) => {
                tracing::debug!("{} from {}: {error}", road.server, road.local);
                if !std::mem::replace(&mut told, true) {
                    let _ = road.troubles.try_send(not_reached(&road.server, &error));
                }
            }
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
        // What waited meanwhile is of no use to anybody; the engine says again what it needs.
        while waiting.try_recv().is_ok() {}
    }
}

/// Why there is no way by this server, for people.
pub(crate) fn not_reached(server: &Server, error: &io::Error) -> String {
    match Distrust::in_error(error) {
        Some(why) => format!("the TURN server {server} is not believed: {why}"),
        None => format!(
            "the TURN server {server} is not reached: {error}; other ways are tried, and this one again"
        ),
    }
}

trait Bytes: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Bytes for T {}

async fn open(road: &Road) -> io::Result<Box<dyn Bytes>> {
    let stream = connect(road).await?;
    // Each message is of use as soon as it is there.
    stream.set_nodelay(true)?;
    if road.server.transport != Transport::Tls {
        return Ok(Box::new(stream));
    }
    let config = road.trust.config().map_err(io::Error::other)?;
    let name = ServerName::try_from(road.server.host.clone()).map_err(io::Error::other)?;
    let stream = TlsConnector::from(config).connect(name, stream).await?;
    Ok(Box::new(stream))
}

/// Tries the server's addresses of our family, one after the other.
async fn connect(road: &Road) -> io::Result<TcpStream> {
    let (host, port) = (road.server.host.as_str(), road.server.port);
    let mut last = io::Error::new(
        io::ErrorKind::AddrNotAvailable,
        match road.local {
            IpAddr::V4(_) => "it has no IPv4 address",
            IpAddr::V6(_) => "it has no IPv6 address",
        },
    );
    for address in lookup_host((host, port)).await? {
        if address.is_ipv4() != road.local.is_ipv4() {
            continue;
        }
        let socket = match road.local {
            IpAddr::V4(_) => TcpSocket::new_v4(),
            IpAddr::V6(_) => TcpSocket::new_v6(),
        }?;
        if !road.local.is_unspecified() {
            socket.bind(SocketAddr::new(road.local, 0))?;
        }
        match socket.connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Carries both ways until the stream breaks, which is an error, or nobody sends any more.
async fn exchange(
    stream: &mut dyn Bytes,
    first: Vec<u8>,
    waiting: &mut mpsc::Receiver<Vec<u8>>,
    came: impl Fn(&[u8]),
) -> io::Result<()> {
    let (reader, writer) = split(stream);
    tokio::select! {
        sent = send(writer, first, waiting) => sent,
        read = receive(reader, came) => read,
    }
}

async fn send(
    mut writer: impl AsyncWrite + Unpin,
    first: Vec<u8>,
    waiting: &mut mpsc::Receiver<Vec<u8>>,
) -> io::Result<()> {
    let mut requests = Requests::default();
    let mut batch = vec![first];
    let mut bytes = Vec::with_capacity(CHUNK);
    loop {
        bytes.clear();
        for datagram in batch.drain(..) {
            if !requests.repeats(&datagram) && !put(&datagram, &mut bytes) {
                tracing::debug!(
                    "neither STUN nor of a channel: {} bytes stay here",
                    datagram.len()
                );
            }
        }
        writer.write_all(&bytes).await?;
        writer.flush().await?;
        if waiting.recv_many(&mut batch, GATHERED).await == 0 {
            return Ok(());
        }
    }
}

async fn receive(mut reader: impl AsyncRead + Unpin, came: impl Fn(&[u8])) -> io::Result<()> {
    let mut incoming = Incoming::default();
    let mut chunk = vec![0; CHUNK];
    loop {
        let count = reader.read(&mut chunk).await?;
        if count == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "it closed the connection",
            ));
        }
        incoming.push(&chunk[..count]);
        while let Some(message) = incoming
            .next()
            .map_err(|nonsense| io::Error::new(io::ErrorKind::InvalidData, nonsense))?
        {
            came(message);
        }
    }
}

/// The requests that went out last. Over a stream nothing is sent twice (RFC 8489, section 6.2.2), and the engine does not
/// know that it is one.
#[derive(Debug, Default)]
struct Requests(VecDeque<Vec<u8>>);

impl Requests {
    fn repeats(&mut self, datagram: &[u8]) -> bool {
        // Requests of STUN have both bits of their class clear; indications and data may well be equal.
        let is_request = matches!(datagram, [a, b, ..] if a & 0xc1 == 0 && b & 0x10 == 0);
        if !is_request {
            return false;
        }
        if self.0.iter().any(|known| known == datagram) {
            return true;
        }
        if self.0.len() >= REQUESTS {
            self.0.pop_front();
        }
        self.0.push_back(datagram.to_vec());
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_requests_are_known_again_and_not_for_ever() {
        let mut requests = Requests::default();
        let allocate = |number: u8| vec![0, 3, 0, 0, number];
        assert!(!requests.repeats(&allocate(0)));
        assert!(requests.repeats(&allocate(0)));
        for other in [[0, 0x16, 0, 0, 1], [0x40, 1, 0, 1, 1]] {
            assert!(!requests.repeats(&other));
            assert!(
                !requests.repeats(&other),
                "an indication or data of a channel: {other:?}"
            );
        }
        for number in 1..=u8::try_from(REQUESTS).unwrap_or(0) {
            assert!(!requests.repeats(&allocate(number)));
        }
        assert!(!requests.repeats(&allocate(0)));
    }
}

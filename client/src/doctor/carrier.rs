//! Messages to a server and back: by UDP, or in a stream by TCP or TLS.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use rustls::pki_types::ServerName;
use stun_types::message::TransactionId;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;

use super::stun::{self, Answer};
use super::url::{By, IceUrl};
use crate::trust::{Distrust, Trust};

/// First wait for an answer by UDP; it doubles (RFC 8489 section 6.2.1).
const FIRST_WAIT: Duration = Duration::from_millis(300);

/// How long one question may take, over whatever.
pub(super) const PATIENCE: Duration = Duration::from_secs(4);

/// The largest message that is taken.
const LARGEST: usize = 65_536;

pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A way to one server.
pub(super) enum Carrier {
    Udp(UdpSocket),
    Stream(Box<dyn Stream>, Vec<u8>),
}

/// A socket for any address of a server's family.
pub(super) async fn socket_for(server: SocketAddr) -> io::Result<UdpSocket> {
    let any: SocketAddr = if server.is_ipv4() {
        (Ipv4Addr::UNSPECIFIED, 0).into()
    } else {
        (Ipv6Addr::UNSPECIFIED, 0).into()
    };
    UdpSocket::bind(any).await
}

impl Carrier {
    /// Opens the way that a URL names, to one of its addresses.
    pub(super) async fn open(url: &IceUrl, to: SocketAddr, trust: &Trust) -> io::Result<Self> {
        if url.by == By::Udp {
            let socket = socket_for(to).await?;
            socket.connect(to).await?;
            return Ok(Self::Udp(socket));
        }
        let late = || io::Error::from(io::ErrorKind::TimedOut);
        let stream = timeout(PATIENCE, TcpStream::connect(to)).await;
        let stream = stream.map_err(|_| late())??;
        stream.set_nodelay(true)?;
        if url.by == By::Tcp {
            return Ok(Self::Stream(Box::new(stream), Vec::new()));
        }
        let config = trust.config().map_err(io::Error::other)?;
        let name = ServerName::try_from(url.host.clone()).map_err(io::Error::other)?;
        let shaken = TlsConnector::from(config).connect(name, stream);
        let stream = timeout(PATIENCE, shaken).await.map_err(|_| late())?;
        Ok(Self::Stream(Box::new(stream?), Vec::new()))
    }

    /// Asks, by UDP again where no answer comes, and waits for the answer.
    pub(super) async fn ask(&mut self, asked: &(TransactionId, Vec<u8>)) -> io::Result<Answer> {
        let (transaction, request) = asked;
        let end = Instant::now() + PATIENCE;
        let mut wait = match self {
            Self::Udp(_) => FIRST_WAIT,
            Self::Stream(..) => PATIENCE,
        };
        loop {
            self.say(request).await?;
            let until = (Instant::now() + wait).min(end);
            while let Ok(heard) = timeout_at(until, self.hear()).await {
                if let Some(answer) = stun::read(&heard?, *transaction) {
                    return Ok(answer);
                }
            }
            if Instant::now() >= end {
                return Err(io::ErrorKind::TimedOut.into());
            }
            wait *= 2;
        }
    }

    pub(super) async fn say(&mut self, message: &[u8]) -> io::Result<()> {
        match self {
            Self::Udp(socket) => socket.send(message).await.map(drop),
            Self::Stream(stream, _) => {
                stream.write_all(message).await?;
                stream.flush().await
            }
        }
    }

    pub(super) async fn hear(&mut self) -> io::Result<Vec<u8>> {
        match self {
            Self::Udp(socket) => {
                let mut buffer = vec![0; LARGEST];
                let length = socket.recv(&mut buffer).await?;
                buffer.truncate(length);
                Ok(buffer)
            }
            Self::Stream(stream, left) => loop {
                if let Some((padded, length)) = first(left)?
                    && left.len() >= padded
                {
                    let mut message: Vec<u8> = left.drain(..padded).collect();
                    message.truncate(length);
                    return Ok(message);
                }
                if left.len() > LARGEST + 4 {
                    return Err(io::ErrorKind::InvalidData.into());
                }
                if stream.read_buf(left).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            },
        }
    }
}

/// How long the first message of a stream is, with its padding, and without (RFC 8656 sections 3.1 and 12.5).
fn first(bytes: &[u8]) -> io::Result<Option<(usize, usize)>> {
    let [high, _, a, b, ..] = *bytes else {
        return Ok(None);
    };
    let length = usize::from(u16::from_be_bytes([a, b]));
    match high >> 6 {
        0b00 => Ok(Some((20 + length, 20 + length))),
        0b01 => Ok(Some(((4 + length).next_multiple_of(4), 4 + length))),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// What went wrong, in words.
pub(super) fn words(error: &io::Error) -> String {
    if let Some(distrust) = Distrust::in_error(error) {
        return distrust.to_string();
    }
    match error.kind() {
        io::ErrorKind::TimedOut => "no answer".to_owned(),
        io::ErrorKind::ConnectionRefused => "nobody listens there".to_owned(),
        io::ErrorKind::UnexpectedEof => "it closes at once".to_owned(),
        io::ErrorKind::InvalidData if error.get_ref().is_none() => {
            "what answers speaks neither STUN nor TURN".to_owned()
        }
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn messages_of_a_stream_say_how_long_they_are() {
        assert_eq!(first(&[0, 1, 0]).unwrap(), None);
        assert_eq!(first(&[0, 1, 0, 8]).unwrap(), Some((28, 28)));
        assert_eq!(first(&[0x40, 0, 0, 5]).unwrap(), Some((12, 9)));
        assert!(first(b"HTTP/1.1 400").is_ok(), "H begins like a channel");
        assert!(first(&[0x80, 0, 0, 0]).is_err());
    }

    proptest! {
        #[test]
        fn no_length_is_shorter_than_its_header(bytes in proptest::collection::vec(any::<u8>(), 0..32)) {
            if let Ok(Some((padded, length))) = first(&bytes) {
                prop_assert!(length >= 4 && length <= padded && padded <= LARGEST + 20);
            }
        }
    }
}

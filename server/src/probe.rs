//! `rtc-server health`: asks a server on this machine whether it is alive; for containers, which have no curl.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// How long each step may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Bytes of the answer that are looked at.
const ENOUGH: u64 = 1024;

/// Asks at the address that a server listens at.
pub(crate) fn health(listen: SocketAddr) -> anyhow::Result<()> {
    let address = reachable(listen);
    let line = ask(address)
        .map_err(|error| anyhow::anyhow!("nobody answers at {address}: {error}; is it running?"))?;
    if line.split(' ').nth(1) == Some("200") {
        return Ok(());
    }
    anyhow::bail!("the server at {address} is not well: it answers {line:?}")
}

/// An address that means all of this machine's is asked at its loopback.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

fn ask(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let request = format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(ENOUGH).read_to_end(&mut answer)?;
    let text = String::from_utf8_lossy(&answer);
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

//! Bytes for a real relay (STUN and TURN), by UDP and TCP.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::OnceLock;
use std::time::Duration;

use rtc_server::turn::{Keys, Peers, TurnConfig};
use rtc_server::{Config, Running, Server};
use tokio::runtime::Runtime;

/// With an even first byte the rest is one stream, with an odd one datagrams, each behind a byte that is its length. The relay ends the
/// stream when we have said all, allocates nothing for anybody, and goes on answering.
pub fn bytes(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else {
        return;
    };
    let relay = relay();
    if first % 2 == 0 {
        stream(relay, rest);
    } else {
        datagrams(relay, rest);
    }
    is_answered(relay);
}

fn stream(relay: SocketAddr, bytes: &[u8]) {
    let mut stream = TcpStream::connect(relay).expect("the relay listens");
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .expect("a timeout");
    // It may close before it has read all.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut said = Vec::new();
    if let Err(error) = stream.read_to_end(&mut said) {
        assert_ne!(
            error.kind(),
            std::io::ErrorKind::WouldBlock,
            "the relay holds on to a connection that ended"
        );
    }
    none_is_granted(&said);
}

fn datagrams(relay: SocketAddr, mut bytes: &[u8]) {
    let socket = socket(relay);
    while let Some((length, more)) = bytes.split_first() {
        let (datagram, rest) = more.split_at(usize::from(*length).min(more.len()));
        let _ = socket.send(datagram);
        bytes = rest;
    }
}

/// Nobody has proved who they are, so nothing but a binding is a success (RFC 8489, section 5).
fn none_is_granted(mut said: &[u8]) {
    while let [high, low, a, b, ..] = *said {
        let length = usize::from(u16::from_be_bytes([a, b]));
        assert!(high < 0x40, "channel data for somebody without a channel");
        let success = high & 1 == 1 && low & 0x10 == 0;
        assert!(!success || low & 0x0f == 1, "granted: {high:02x}{low:02x}");
        said = said.get(20 + length..).expect("whole messages");
    }
}

/// A binding request is answered, with the transaction that it had.
fn is_answered(relay: SocketAddr) {
    let socket = socket(relay);
    let mut request = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
    request.extend_from_slice(&rand::random::<[u8; 12]>());
    let mut answer = [0; 1_500];
    for _ in 0..20 {
        socket.send(&request).expect("loopback takes it");
        // A full socket may have lost it.
        if let Ok(length) = socket.recv(&mut answer) {
            assert!(length > 20 && answer[..2] == [1, 1]);
            assert_eq!(answer[8..20], request[8..20]);
            return;
        }
    }
    panic!("the relay does not answer any more");
}

fn socket(relay: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
    socket.connect(relay).expect("loopback");
    socket
        .set_read_timeout(Some(Duration::from_secs(1)))
        .expect("a timeout");
    socket
}

fn relay() -> SocketAddr {
    // Lives as long as the process.
    static RELAY: OnceLock<(Runtime, Running, SocketAddr)> = OnceLock::new();
    let (_, _, address) = RELAY.get_or_init(|| {
        let runtime = Runtime::new().expect("a runtime");
        let turn = TurnConfig {
            listen: vec![(Ipv4Addr::LOCALHOST, 0).into()],
            listen_tls: Vec::new(),
            realm: "fuzz".to_owned(),
            keys: Keys::new(None, vec!["ann:secret".parse().expect("a user")]),
            credential_lifetime: Duration::from_secs(60),
            relay: vec![Ipv4Addr::LOCALHOST.into()],
            external: Vec::new(),
            ports: 49_152..=65_535,
            peers: Peers::default(),
            per_user: 8,
            allocations: 8,
            rate: None,
            host: None,
        };
        let config = Config {
            listen: Vec::new(),
            turn: Some(turn),
            ..Config::default()
        };
        let (running, address) = runtime.block_on(async {
            let server = Server::bind(config).await.expect("a free port");
            let address = server.turn_addrs().0[0];
            (server.start(), address)
        });
        (runtime, running, address)
    });
    *address
}

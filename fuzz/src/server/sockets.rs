//! Bytes on sockets of a real server.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::OnceLock;
use std::time::Duration;

use rtc_server::{Running, testing};
use tokio::runtime::Runtime;

/// Bytes on a socket of a real server, in the handshake, after it, or after a hello, as the first byte says. It ends the
/// connection when we have said all, and goes on serving.
pub fn bytes(data: &[u8]) {
    const HANDSHAKE: &[u8] = b"GET /ws HTTP/1.1\r\nhost: h\r\nupgrade: websocket\r\n\
        connection: upgrade\r\nsec-websocket-version: 13\r\n\
        sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-protocol: rtc.v1\r\n\r\n";
    // {"type":"hello"} with a mask of zeros.
    const HELLO: &[u8] = b"\x81\x90\0\0\0\0{\"type\":\"hello\"}";
    let Some((first, rest)) = data.split_first() else {
        return;
    };
    let mut stream = TcpStream::connect(server()).expect("the server listens");
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .expect("a timeout");
    let mut bytes = Vec::new();
    if first % 3 > 0 {
        bytes.extend_from_slice(HANDSHAKE);
    }
    if first % 3 > 1 {
        bytes.extend_from_slice(HELLO);
    }
    bytes.extend_from_slice(rest);
    // It may close before it has read all.
    let _ = stream.write_all(&bytes);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut answer = [0; 4096];
    loop {
        match stream.read(&mut answer) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                panic!("the server holds on to a connection that ended")
            }
            Err(_) => return,
        }
    }
}

fn server() -> SocketAddr {
    // Lives as long as the process.
    static SERVER: OnceLock<(Runtime, Running, SocketAddr)> = OnceLock::new();
    let (_, _, address) = SERVER.get_or_init(|| {
        let runtime = Runtime::new().expect("a runtime");
        let started = runtime.block_on(testing::start(testing::config()));
        let (running, address) = started.expect("a server");
        (runtime, running, address)
    });
    *address
}

#![allow(clippy::unwrap_used)]

use std::future::poll_fn;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use webrtc::runtime::{Runtime, TokioRuntime};

use super::*;
use crate::trust::Trust;

const PATIENCE: Duration = Duration::from_secs(20);

/// A message of STUN without attributes.
fn message(method: u8, number: u8) -> Vec<u8> {
    let mut message = vec![0, method, 0, 0, 0x21, 0x12, 0xa4, 0x42];
    message.extend([number; 12]);
    message
}

struct Rig {
    socket: TurnSocket,
    server: TcpListener,
    address: SocketAddr,
    troubles: mpsc::Receiver<String>,
}

async fn rig(transport: &str) -> Rig {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = server.local_addr().unwrap().port();
    let mut servers = StandIns::new(Trust::default());
    let told = match transport {
        "tls" => servers.url_for_engine(&format!("turns:127.0.0.1:{port}")),
        _ => servers.url_for_engine(&format!("turn:127.0.0.1:{port}?transport=tcp")),
    };
    let place = told.trim_start_matches("turn:").split('?').next().unwrap();
    let address = servers.resolve(place).unwrap().1[0];
    let (sender, troubles) = mpsc::channel(8);
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    udp.set_nonblocking(true).unwrap();
    let inner = TokioRuntime.wrap_udp_socket(udp).unwrap();
    let socket = TurnSocket::new(inner, Arc::new(servers), sender);
    Rig {
        socket,
        server,
        address,
        troubles,
    }
}

impl Rig {
    async fn send(&self, to: SocketAddr, contents: &[u8], segment_size: Option<usize>) {
        let transmit = Transmit {
            destination: to,
            ecn: None,
            contents,
            segment_size,
            src_ip: None,
        };
        let sent = poll_fn(|cx| self.socket.poll_send(cx, &transmit))
            .await
            .unwrap();
        assert_eq!(sent, contents.len());
    }

    async fn receive(&self) -> (SocketAddr, Vec<u8>) {
        let mut buffer = [0; 2_000];
        let (count, from) = timeout(PATIENCE, self.socket.recv_from(&mut buffer))
            .await
            .unwrap()
            .unwrap();
        (from, buffer[..count].to_vec())
    }

    async fn accept(&self) -> TcpStream {
        timeout(PATIENCE, self.server.accept())
            .await
            .unwrap()
            .unwrap()
            .0
    }
}

async fn read(stream: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    timeout(PATIENCE, stream.read_exact(&mut bytes))
        .await
        .unwrap()
        .unwrap();
    bytes
}

#[tokio::test]
async fn what_is_for_the_server_goes_over_one_stream_and_answers_come_from_its_address() {
    let rig = rig("tcp").await;
    rig.send(rig.address, &message(3, 1), None).await;
    let mut stream = rig.accept().await;
    assert_eq!(read(&mut stream, 20).await, message(3, 1));
    // Said again, it is left out; two datagrams in one piece are two.
    rig.send(rig.address, &message(3, 1), None).await;
    let two = [message(4, 2), message(8, 3)].concat();
    rig.send(rig.address, &two, Some(20)).await;
    assert_eq!(read(&mut stream, 40).await, two);
    // Data of a channel are padded on the way out, and not on the way in.
    rig.send(rig.address, &[0x40, 1, 0, 1, 9], None).await;
    assert_eq!(read(&mut stream, 8).await, [0x40, 1, 0, 1, 9, 0, 0, 0]);
    stream
        .write_all(&[0x40, 1, 0, 2, 5, 6, 0, 0])
        .await
        .unwrap();
    assert_eq!(
        rig.receive().await,
        (rig.address, vec![0x40, 1, 0, 2, 5, 6])
    );
}

#[tokio::test]
async fn everything_else_goes_by_udp() {
    let rig = rig("tcp").await;
    let far = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let ours = rig.socket.local_addr().unwrap();
    rig.send(far.local_addr().unwrap(), b"hello", None).await;
    let mut buffer = [0; 100];
    let (count, from) = timeout(PATIENCE, far.recv_from(&mut buffer))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((&buffer[..count], from), (&b"hello"[..], ours));
    far.send_to(b"back", ours).await.unwrap();
    assert_eq!(
        rig.receive().await,
        (far.local_addr().unwrap(), b"back".to_vec())
    );
}

#[tokio::test]
async fn a_stream_that_broke_is_told_of_once_and_opened_again() {
    let mut rig = rig("tcp").await;
    for number in 0..2 {
        // Nothing is kept while it pauses, so that this is said until it is heard.
        let stream = async {
            loop {
                rig.send(rig.address, &message(3, number), None).await;
                let accepted = timeout(Duration::from_millis(50), rig.server.accept()).await;
                if let Ok(accepted) = accepted {
                    return accepted.unwrap().0;
                }
            }
        };
        let mut stream = timeout(PATIENCE, stream).await.unwrap();
        assert_eq!(read(&mut stream, 20).await, message(3, number));
        stream.write_all(b"\xffnonsense").await.unwrap();
        // It hangs up.
        let end = timeout(PATIENCE, stream.read_to_end(&mut Vec::new()))
            .await
            .unwrap();
        assert!(end.is_ok() || end.is_err_and(|e| e.kind() == io::ErrorKind::ConnectionReset));
    }
    let told = rig.troubles.recv().await.unwrap();
    assert!(
        told.contains("turn:127.0.0.1:") && told.contains("neither STUN"),
        "{told}"
    );
    assert!(rig.troubles.try_recv().is_err());
}

#[tokio::test]
async fn streams_end_with_their_socket() {
    let Rig {
        socket,
        server,
        address,
        ..
    } = rig("tcp").await;
    let transmit = Transmit {
        destination: address,
        ecn: None,
        contents: &message(3, 1),
        segment_size: None,
        src_ip: None,
    };
    poll_fn(|cx| socket.poll_send(cx, &transmit)).await.unwrap();
    let (mut stream, _) = timeout(PATIENCE, server.accept()).await.unwrap().unwrap();
    read(&mut stream, 20).await;
    drop(socket);
    let mut rest = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut rest))
        .await
        .unwrap()
        .unwrap();
    assert!(rest.is_empty());
}

#[tokio::test]
async fn a_server_without_a_certificate_of_anybodys_is_not_believed() {
    let mut rig = rig("tls").await;
    let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)
        .unwrap();
    rig.send(rig.address, &message(3, 1), None).await;
    let stream = rig.accept().await;
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    assert!(
        timeout(PATIENCE, acceptor.accept(stream))
            .await
            .unwrap()
            .is_err()
    );
    let told = timeout(PATIENCE, rig.troubles.recv())
        .await
        .unwrap()
        .unwrap();
    assert!(
        told.contains("turns:127.0.0.1:") && told.contains("--tls-fingerprint"),
        "{told}"
    );
}

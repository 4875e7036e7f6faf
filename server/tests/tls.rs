//! TLS with a real client of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use rtc_server::tls::{Tls, TlsError};
use rtc_server::{Config, Running, testing};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

/// Far more than anything here takes; only ever waited out by a failure.
const PATIENCE: Duration = Duration::from_secs(30);

/// Writes a new certificate for localhost and its key; gives the certificate.
fn write_pair(folder: &Path) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    std::fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
    made.cert.der().clone()
}

fn of(folder: &Path) -> Result<Tls, TlsError> {
    Tls::of_files(folder.join("cert.pem"), folder.join("key.pem"))
}

fn config(tls: Tls) -> Config {
    Config {
        tls: Some(tls),
        ..testing::config()
    }
}

async fn server(tls: Tls) -> (Running, SocketAddr) {
    testing::start(config(tls)).await.unwrap()
}

/// A connection that trusts this certificate alone.
async fn connect(
    address: SocketAddr,
    trusted: &CertificateDer<'static>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    timeout(PATIENCE, connector.connect(name, stream))
        .await
        .expect("a handshake in time")
}

async fn get(mut stream: TlsStream<TcpStream>) -> String {
    let request = "GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = timeout(PATIENCE, stream.read_to_string(&mut answer)).await;
    read.expect("an answer in time").unwrap();
    answer
}

#[tokio::test]
async fn requests_and_websockets_go_through_tls() {
    let folder = tempfile::tempdir().unwrap();
    let trusted = write_pair(folder.path());
    let (_server, address) = server(of(folder.path()).unwrap()).await;
    let stream = connect(address, &trusted).await.unwrap();
    assert!(get(stream).await.starts_with("HTTP/1.1 200"));
    let stream = connect(address, &trusted).await.unwrap();
    let mut request = "wss://localhost/ws".into_client_request().unwrap();
    let headers = request.headers_mut();
    headers.insert("sec-websocket-protocol", "rtc.v1".parse().unwrap());
    headers.insert("origin", "https://localhost".parse().unwrap());
    let upgraded = tokio_tungstenite::client_async(request, stream).await;
    let (mut socket, _) = upgraded.unwrap();
    let hello = Message::Text(r#"{"type":"hello"}"#.into());
    socket.send(hello).await.unwrap();
    let answer = timeout(PATIENCE, socket.next()).await.unwrap();
    let answer = answer.unwrap().unwrap().into_text().unwrap();
    assert!(answer.contains("welcome"), "{answer}");
}

#[tokio::test]
async fn a_certificate_of_its_own_is_for_this_machine() {
    let tls = Tls::self_signed().unwrap();
    assert!(tls.is_self_signed());
    assert_ne!(
        tls.fingerprint(),
        Tls::self_signed().unwrap().fingerprint(),
        "each is made anew"
    );
    let (_server, address) = server(tls.clone()).await;
    // Nobody else's is taken for it.
    let folder = tempfile::tempdir().unwrap();
    let other = write_pair(folder.path());
    assert!(connect(address, &other).await.is_err());
}

#[tokio::test]
async fn a_new_certificate_is_shown_without_a_connection_lost_and_a_broken_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let first = write_pair(folder.path());
    let (_server, address) = server(of(folder.path()).unwrap()).await;
    let mut request = "wss://localhost/ws".into_client_request().unwrap();
    let headers = request.headers_mut();
    headers.insert("sec-websocket-protocol", "rtc.v1".parse().unwrap());
    let stream = connect(address, &first).await.unwrap();
    let upgraded = tokio_tungstenite::client_async(request, stream).await;
    let (mut standing, _) = upgraded.unwrap();
    std::fs::write(folder.path().join("cert.pem"), "broken").unwrap();
    let second = write_pair(folder.path());
    until_shown(address, &second).await;
    assert!(
        connect(address, &first).await.is_err(),
        "the old one is gone"
    );
    let hello = Message::Text(r#"{"type":"hello"}"#.into());
    standing.send(hello).await.unwrap();
    let answer = timeout(PATIENCE, standing.next()).await.unwrap();
    assert!(
        answer
            .unwrap()
            .unwrap()
            .into_text()
            .unwrap()
            .contains("welcome")
    );
    // A broken pair changes nothing; a good one after it counts again.
    std::fs::write(folder.path().join("key.pem"), "broken").unwrap();
    let stream = connect(address, &second).await.unwrap();
    assert!(get(stream).await.starts_with("HTTP/1.1 200"));
    let third = write_pair(folder.path());
    until_shown(address, &third).await;
}

async fn until_shown(address: SocketAddr, certificate: &CertificateDer<'static>) {
    let shown = async {
        while connect(address, certificate).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, shown)
        .await
        .expect("the new certificate in time");
}

#[test]
fn what_cannot_be_used_is_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    assert!(matches!(of(path), Err(TlsError::Unreadable { .. })));
    write_pair(path);
    let key = std::fs::read(path.join("key.pem")).unwrap();
    write_pair(path);
    std::fs::write(path.join("key.pem"), key).unwrap();
    assert!(
        matches!(of(path), Err(TlsError::Unfit { .. })),
        "of two pairs"
    );
    std::fs::write(path.join("key.pem"), "").unwrap();
    assert!(matches!(
        of(path),
        Err(TlsError::Form {
            what: "private key",
            ..
        })
    ));
    std::fs::write(path.join("cert.pem"), "").unwrap();
    assert!(matches!(
        of(path),
        Err(TlsError::Form {
            what: "certificate",
            ..
        })
    ));
    assert!(CertificateDer::from_pem_slice(b"").is_err());
}

#[tokio::test]
async fn plain_http_is_sent_to_https() {
    let (_server, address) = server(Tls::self_signed().unwrap()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = "GET /foo?a=b HTTP/1.1\r\nhost: localhost:8443\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = timeout(PATIENCE, stream.read_to_string(&mut answer)).await;
    read.expect("an answer in time").unwrap();
    assert!(answer.starts_with("HTTP/1.1 307"), "{answer}");
    assert!(
        answer.contains("location: https://localhost:8443/foo?a=b\r\n"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_handshake_that_does_not_come_is_cut_off() {
    let short = Config {
        header_time: Duration::from_millis(300),
        ..config(Tls::self_signed().unwrap())
    };
    let (_server, address) = testing::start(short).await.unwrap();
    for begin in [&b""[..], b"\x16\x03\x01", b"\x00\x00"] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(begin).await.unwrap();
        let mut rest = Vec::new();
        let read = timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
        let _ = read.expect("the server closes");
    }
}

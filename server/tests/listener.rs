//! Connections before and beside rooms: who is slow, idle, too many or too large.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use rtc_server::{Config, Running, testing};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

/// Far more than anything here takes; only ever waited out by a failure.
const PATIENCE: Duration = Duration::from_secs(20);

const REQUEST: &str = "GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";

/// Counts its own machine, too.
fn strict() -> Config {
    Config {
        exempt: Vec::new(),
        ..testing::config()
    }
}

async fn server(config: Config) -> (Running, SocketAddr) {
    testing::start(config).await.unwrap()
}

struct Client(TcpStream);

impl Client {
    async fn connect(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.unwrap())
    }

    async fn write(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    /// The head of one response, its body read past.
    async fn response(&mut self) -> String {
        let mut bytes = Vec::new();
        let read = async {
            loop {
                let mut one = [0; 4096];
                let n = self.0.read(&mut one).await.unwrap();
                assert!(n > 0, "closed: {:?}", String::from_utf8_lossy(&bytes));
                bytes.extend_from_slice(&one[..n]);
                let text = String::from_utf8_lossy(&bytes).into_owned();
                let Some((head, body)) = text.split_once("\r\n\r\n") else {
                    continue;
                };
                let lower = head.to_lowercase();
                let length = lower.split("content-length: ").nth(1);
                let length = length.and_then(|rest| rest.lines().next());
                if body.len() >= length.unwrap_or("0").parse().unwrap() {
                    return lower;
                }
            }
        };
        timeout(PATIENCE, read).await.expect("a response in time")
    }

    /// All that still comes until the server closes.
    async fn rest(&mut self) -> String {
        let mut bytes = Vec::new();
        let read = timeout(PATIENCE, self.0.read_to_end(&mut bytes)).await;
        let _ = read.expect("the server closes");
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

#[tokio::test]
async fn headers_that_come_slowly_are_cut_off() {
    let (_server, address) = server(Config {
        header_time: Duration::from_millis(100),
        ..testing::config()
    })
    .await;
    let mut silent = Client::connect(address).await;
    let mut slow = Client::connect(address).await;
    slow.write("GET / HTTP/1.1\r\nhost: ").await;
    assert_eq!(slow.rest().await, "");
    assert_eq!(silent.rest().await, "");
}

#[tokio::test]
async fn a_trickle_of_headers_wins_no_time() {
    let (_server, address) = server(Config {
        header_time: Duration::from_millis(300),
        ..testing::config()
    })
    .await;
    let Client(stream) = Client::connect(address).await;
    let (mut read, mut write) = stream.into_split();
    let trickle = async {
        // Every byte alone would be in time.
        while write.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let closed = async {
        let mut bytes = Vec::new();
        let _ = read.read_to_end(&mut bytes).await;
    };
    let ended = async {
        tokio::select! { () = trickle => {}, () = closed => {} }
    };
    timeout(PATIENCE, ended).await.expect("the server closes");
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_a_websocket_is_not() {
    let (_server, address) = server(Config {
        header_time: Duration::from_millis(100),
        heartbeat: Duration::from_secs(60),
        ..testing::config()
    })
    .await;
    let mut request = format!("ws://{address}/ws").into_client_request().unwrap();
    let headers = request.headers_mut();
    headers.insert("sec-websocket-protocol", "rtc.v1".parse().unwrap());
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut socket, _) = tokio_tungstenite::client_async(request, stream)
        .await
        .unwrap();
    // Two times the bound pass while the WebSocket says nothing.
    for _ in 0..2 {
        let mut idle = Client::connect(address).await;
        idle.write(REQUEST).await;
        assert!(idle.response().await.starts_with("http/1.1 200"));
        assert_eq!(idle.rest().await, "");
    }
    socket
        .send(Message::Text(r#"{"type":"hello"}"#.into()))
        .await
        .unwrap();
    let answer = timeout(PATIENCE, socket.next()).await.unwrap();
    let answer = answer.unwrap().unwrap().into_text().unwrap();
    assert!(answer.contains("welcome"), "{answer}");
}

#[tokio::test]
async fn headers_over_the_limit_are_refused() {
    let (_server, address) = server(testing::config()).await;
    for request in [
        format!(
            "GET / HTTP/1.1\r\nhost: x\r\ncookie: {}\r\n\r\n",
            "y".repeat(17_000)
        ),
        format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "y".repeat(17_000)),
        format!(
            "GET / HTTP/1.1\r\nhost: x\r\n{}\r\n",
            "a: b\r\n".repeat(101)
        ),
    ] {
        let mut client = Client::connect(address).await;
        client.write(&request).await;
        let answer = client.rest().await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
}

#[tokio::test]
async fn what_is_no_http_is_answered_and_closed() {
    let (_server, address) = server(testing::config()).await;
    let mut client = Client::connect(address).await;
    client.write("\u{16}\u{3}\u{1} hello \r\n\r\n").await;
    assert!(client.rest().await.starts_with("HTTP/1.1 400"));
}

#[tokio::test]
async fn an_address_has_its_share_of_connections_and_gets_it_back() {
    let (_server, address) = server(Config {
        connections_per_address: 2,
        ..strict()
    })
    .await;
    let mut held = [
        Client::connect(address).await,
        Client::connect(address).await,
    ];
    for client in &mut held {
        client.write(REQUEST).await;
        assert!(client.response().await.starts_with("http/1.1 200"));
    }
    let mut third = Client::connect(address).await;
    third.write(REQUEST).await;
    let answer = third.rest().await;
    assert!(answer.starts_with("HTTP/1.1 429"), "{answer}");
    assert!(answer.contains("retry-after"), "{answer}");
    drop(held);
    until_served(address).await;
}

#[tokio::test]
async fn a_websocket_holds_its_place_until_it_is_closed() {
    let (_server, address) = server(Config {
        connections_per_address: 1,
        ..strict()
    })
    .await;
    let mut request = format!("ws://{address}/ws").into_client_request().unwrap();
    let headers = request.headers_mut();
    headers.insert("sec-websocket-protocol", "rtc.v1".parse().unwrap());
    let stream = TcpStream::connect(address).await.unwrap();
    let (socket, _) = tokio_tungstenite::client_async(request, stream)
        .await
        .unwrap();
    let mut second = Client::connect(address).await;
    assert!(second.rest().await.starts_with("HTTP/1.1 429"));
    drop(socket);
    until_served(address).await;
}

/// Waits for the server to see that connections are closed.
async fn until_served(address: SocketAddr) {
    let served = async {
        loop {
            let mut client = Client::connect(address).await;
            // A refusal may come, and reset the connection, before the request is out.
            let _ = client.0.write_all(REQUEST.as_bytes()).await;
            if client.response().await.starts_with("http/1.1 200") {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, served).await.expect("a place in time");
}

#[tokio::test]
async fn a_full_server_says_so() {
    let (_server, address) = server(Config {
        connections: 0,
        connections_beside: 1,
        ..testing::config()
    })
    .await;
    let mut held = Client::connect(address).await;
    held.write(REQUEST).await;
    held.response().await;
    let mut second = Client::connect(address).await;
    assert!(second.rest().await.starts_with("HTTP/1.1 503"));
    drop(held);
    until_served(address).await;
}

#[tokio::test]
async fn at_the_end_idle_connections_are_closed_and_nobody_is_let_in() {
    let (running, address) = server(testing::config()).await;
    let mut idle = Client::connect(address).await;
    idle.write(REQUEST).await;
    idle.response().await;
    running.shutdown().await;
    assert_eq!(idle.rest().await, "");
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_dropped_server_leaves_no_connection_behind() {
    let (running, address) = server(testing::config()).await;
    let mut half = Client::connect(address).await;
    half.write("GET / HT").await;
    drop(running);
    assert_eq!(half.rest().await, "");
}

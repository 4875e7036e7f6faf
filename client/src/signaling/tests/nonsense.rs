//! Servers that are not there, or are of another kind: a typed error, soon.

use std::time::{Duration, Instant};

use rtc_protocol::{ClientFrame, ClientMessage, SUBPROTOCOL, close};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::super::*;
use futures_util::{SinkExt, StreamExt};

const PATIENCE: Duration = Duration::from_millis(300);

/// Tries to join at `server`, and says how long that took.
async fn try_join(server: &str) -> (SignalingError, Duration) {
    let mut options = SignalingOptions::new(Target::parse("foo", Some(server)).unwrap());
    options.patience = PATIENCE;
    options.seed = Some(1);
    let (events, _kept) = mpsc::channel(16);
    let start = Instant::now();
    let error = Signaling::connect(options, events).await.unwrap_err();
    (error, start.elapsed())
}

/// Serves each connection with `behaviour`, and tries to join there.
async fn join_rogue<F, Fut>(scheme: &str, behaviour: F) -> (SignalingError, Duration)
where
    F: Fn(TcpStream) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = AbortOnDropHandle::new(tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(behaviour(stream));
        }
    }));
    let outcome = try_join(&format!("{scheme}://{address}")).await;
    drop(serving);
    outcome
}

/// Answers the request with `text`, and closes.
async fn join_one_that_says(text: &'static [u8]) -> SignalingError {
    let (error, _) = join_rogue("ws", move |mut stream| async move {
        let mut request = [0; 4096];
        let _ = stream.read(&mut request).await;
        let _ = stream.write_all(text).await;
        let _ = stream.shutdown().await;
        // Until the client has gone too, so that it reads the answer and no reset.
        while matches!(stream.read(&mut request).await, Ok(1..)) {}
    })
    .await;
    error
}

/// A WebSocket server that agrees to `protocol`, and then does as it likes.
async fn join_websocket<F, Fut>(protocol: &'static str, then: F) -> (SignalingError, Duration)
where
    F: Fn(tokio_tungstenite::WebSocketStream<TcpStream>) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    join_rogue("ws", move |stream| {
        let then = then.clone();
        async move {
            #[allow(clippy::result_large_err)] // The library's own type.
            let agree = |_: &Request, mut response: Response| {
                if !protocol.is_empty() {
                    response
                        .headers_mut()
                        .insert("Sec-WebSocket-Protocol", HeaderValue::from_static(protocol));
                }
                Ok(response)
            };
            if let Ok(socket) = accept_hdr_async(stream, agree).await {
                then(socket).await;
            }
        }
    })
    .await
}

fn assert_nonsense(error: &SignalingError, why: &str) {
    assert!(
        matches!(error, SignalingError::Nonsense { .. }) && error.to_string().contains(why),
        "{error}"
    );
    assert_eq!(error.kind(), ErrorKind::NoServer);
}

#[tokio::test]
async fn a_named_server_that_is_not_there_is_told_at_once_and_none_is_started() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let (error, after) = try_join(&format!("http://{address}")).await;
    assert_eq!(error.kind(), ErrorKind::NoServer);
    assert!(
        error.to_string().contains("nobody listens there"),
        "{error}"
    );
    assert!(after < Duration::from_secs(2), "{after:?}");
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_host_without_an_address_is_no_server() {
    let (error, _) = try_join("ws://nowhere.invalid:1").await;
    assert_eq!(error.kind(), ErrorKind::NoServer, "{error}");
}

#[tokio::test]
async fn a_server_that_never_answers_costs_no_more_than_our_patience() {
    let (error, after) = join_rogue("ws", |mut stream| async move {
        let mut sink = [0; 1024];
        while matches!(stream.read(&mut sink).await, Ok(1..)) {}
    })
    .await;
    assert_nonsense(&error, "does not answer");
    assert!(after >= PATIENCE && after < PATIENCE * 10, "{after:?}");
}

#[tokio::test]
async fn a_server_that_closes_at_once_is_none() {
    let (error, _) = join_rogue("ws", |stream| async move { drop(stream) }).await;
    assert_nonsense(&error, "closes at once");
}

#[tokio::test]
async fn garbage_html_and_other_http_answers_are_told_apart() {
    assert_nonsense(
        &join_one_that_says(b"SSH-2.0-OpenSSH_9.2\r\n\r\n").await,
        "",
    );
    assert_nonsense(
        &join_one_that_says(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await,
        "404",
    );
    assert_nonsense(
        &join_one_that_says(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>",
        )
        .await,
        "200",
    );
    assert_nonsense(
        &join_one_that_says(
            b"HTTP/1.1 301 Moved\r\nLocation: https://else.example/ws\r\nContent-Length: 0\r\n\r\n",
        )
        .await,
        "https://else.example/ws",
    );
    let barred = join_one_that_says(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(barred.kind(), ErrorKind::Refused, "{barred}");
    let ill = join_one_that_says(b"HTTP/1.1 503 Unavailable\r\nContent-Length: 0\r\n\r\n").await;
    assert!(
        matches!(ill, SignalingError::NoServer { .. }) && ill.to_string().contains("503"),
        "{ill}"
    );
}

#[tokio::test]
async fn endless_headers_end_within_our_patience() {
    let (error, after) = join_rogue("ws", |mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 101 X\r\n").await;
        while stream.write_all(b"A: b\r\n").await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(error.kind(), ErrorKind::NoServer, "{error}");
    assert!(after < PATIENCE * 10, "{after:?}");
}

#[tokio::test]
async fn no_tls_where_tls_was_asked_is_an_error_and_no_panic() {
    let (error, _) = join_rogue("wss", |mut stream| async move {
        let mut request = [0; 4096];
        let _ = stream.read(&mut request).await;
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        while matches!(stream.read(&mut request).await, Ok(1..)) {}
    })
    .await;
    assert_eq!(error.kind(), ErrorKind::NoServer);
    assert!(
        error.to_string().contains("no secure connection"),
        "{error}"
    );
}

#[tokio::test]
async fn a_websocket_of_another_kind_is_told_as_one() {
    for protocol in ["", "chat"] {
        let (error, _) = join_websocket(protocol, |_| async {}).await;
        assert_nonsense(&error, "another kind");
    }
}

#[tokio::test]
async fn one_that_agrees_and_then_stays_silent_costs_no_more_than_our_patience() {
    let (error, after) = join_websocket(SUBPROTOCOL, |mut socket| async move {
        while let Some(Ok(_)) = socket.next().await {}
    })
    .await;
    assert_nonsense(&error, "hello");
    assert!(after >= PATIENCE && after < PATIENCE * 10, "{after:?}");
}

#[tokio::test]
async fn one_that_agrees_and_then_talks_nonsense_is_told_as_such() {
    for nonsense in [
        Message::text("<html>"),
        Message::binary([0, 1, 2].as_slice()),
    ] {
        let (error, _) = join_websocket(SUBPROTOCOL, move |mut socket| {
            let nonsense = nonsense.clone();
            async move {
                let _ = socket.send(nonsense).await;
                while let Some(Ok(_)) = socket.next().await {}
            }
        })
        .await;
        assert_nonsense(&error, "cannot be read");
    }
}

#[tokio::test]
async fn one_that_hangs_up_on_every_hello_is_given_up() {
    let (error, after) = join_websocket(SUBPROTOCOL, |mut socket| async move {
        let _ = socket.next().await;
        let _ = socket.close(None).await;
    })
    .await;
    assert_eq!(error.kind(), ErrorKind::NoServer);
    assert!(error.to_string().contains("each time"), "{error}");
    assert!(after < Duration::from_secs(8), "{after:?}");
}

#[tokio::test]
async fn a_server_that_holds_no_more_peers_bars_us() {
    let (error, _) = join_websocket(SUBPROTOCOL, |mut socket| async move {
        let _ = socket
            .send(Message::Close(Some(CloseFrame {
                code: close::FULL.into(),
                reason: "".into(),
            })))
            .await;
        while let Some(Ok(_)) = socket.next().await {}
    })
    .await;
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
}

#[tokio::test]
async fn the_first_words_are_a_hello_with_our_secret() {
    let (said, mut heard) = mpsc::channel(16);
    let _ = join_websocket(SUBPROTOCOL, move |mut socket| {
        let said = said.clone();
        async move {
            if let Some(Ok(Message::Text(text))) = socket.next().await {
                let _ = said.try_send(text.to_string());
            }
        }
    })
    .await;
    let frame = ClientFrame::parse(&heard.recv().await.unwrap()).unwrap();
    let ClientMessage::Hello { resume, agent, .. } = frame.message else {
        panic!("{frame:?}");
    };
    assert!(resume.is_some() && agent.unwrap().starts_with("rtc-client/"));
}

//! Room tokens over real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use rtc_server::access::{Access, AdminToken, Claims, Key, Moment, Power, Rooms, SigningKey};
use rtc_server::{Config, Running, testing};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

/// Far more than anything here takes; only ever waited out by a failure.
const PATIENCE: Duration = Duration::from_secs(20);

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
const ADMIN: &str = "a long token for the administrator";

async fn guarded() -> (Running, SocketAddr) {
    let key = Key::secret(SECRET).unwrap();
    let config = Config {
        access: Access::new(vec![key], Some(AdminToken::new(ADMIN).unwrap())),
        ..testing::config()
    };
    testing::start(config).await.unwrap()
}

/// A token for a room that is good for this many seconds from now.
fn token(room: &str, seconds: f64) -> String {
    let claims = Claims {
        room: Rooms::Named([room.parse().unwrap()].into()),
        name: None,
        rights: Power::usual(),
        exp: Moment::now().unix + seconds,
        nbf: None,
        iat: None,
        sub: None,
        aud: None,
    };
    SigningKey::secret(SECRET).unwrap().token(&claims)
}

struct Peer(WebSocketStream<TcpStream>);

impl Peer {
    async fn connect(address: SocketAddr, bearer: Option<&str>) -> Self {
        let mut request = format!("ws://{address}/ws").into_client_request().unwrap();
        let headers = request.headers_mut();
        headers.insert("sec-websocket-protocol", "rtc.v1".parse().unwrap());
        if let Some(token) = bearer {
            headers.insert("authorization", format!("Bearer {token}").parse().unwrap());
        }
        let stream = TcpStream::connect(address).await.unwrap();
        let socket = tokio_tungstenite::client_async(request, stream).await;
        Self(socket.unwrap().0)
    }

    async fn say(&mut self, message: Value) {
        let text = Message::Text(message.to_string().into());
        self.0.send(text).await.unwrap();
    }

    /// The next message that is no heartbeat; a close as its code.
    async fn hear(&mut self) -> Value {
        loop {
            let message = timeout(PATIENCE, self.0.next()).await.expect("in time");
            match message.unwrap().unwrap() {
                Message::Text(text) => {
                    let value: Value = serde_json::from_str(&text).unwrap();
                    if value["type"] != "ping" {
                        return value;
                    }
                }
                Message::Close(frame) => return json!({"closed": u16::from(frame.unwrap().code)}),
                _ => {}
            }
        }
    }

    /// What a hello with these fields is answered with.
    async fn hello(&mut self, mut fields: Value) -> Value {
        fields["type"] = "hello".into();
        fields["id"] = 1.into();
        self.say(fields).await;
        self.hear().await
    }

    async fn join(&mut self, room: &str) -> Value {
        self.say(json!({"type": "join", "id": 2, "room": room}))
            .await;
        self.hear().await
    }
}

#[tokio::test]
async fn without_a_token_nobody_is_welcome() {
    let (_server, address) = guarded().await;
    let mut peer = Peer::connect(address, None).await;
    let answer = peer.hello(json!({})).await;
    assert_eq!(answer["code"], "not-authorized", "{answer}");
    assert_eq!(answer["id"], 1);
    assert_eq!(peer.hear().await["closed"], 4006);
}

#[tokio::test]
async fn a_bad_token_is_refused_with_its_own_code() {
    let (_server, address) = guarded().await;
    let other = SigningKey::secret(b"another secret of thirty-two bytes").unwrap();
    let claims = json!({"room": "*", "exp": 4e9});
    let claims = serde_json::from_value(claims).unwrap();
    for (token, code) in [
        (token("foo", -61.0), "token-expired"),
        (other.token(&claims), "token-signature"),
        ("nonsense".to_owned(), "token-malformed"),
        ("eyJhbGciOiJub25lIn0.e30.".to_owned(), "token-algorithm"),
        (String::new(), "token-malformed"),
    ] {
        let mut peer = Peer::connect(address, None).await;
        let answer = peer.hello(json!({"auth": token})).await;
        assert_eq!(answer["code"], code, "{answer}");
        assert!(token.is_empty() || !answer.to_string().contains(&token));
        assert_eq!(peer.hear().await["closed"], 4006);
    }
}

#[tokio::test]
async fn a_token_in_the_hello_or_in_the_request_opens_its_room() {
    let (_server, address) = guarded().await;
    let good = token("foo", 60.0);
    let mut with_hello = Peer::connect(address, None).await;
    let welcome = with_hello.hello(json!({"auth": good})).await;
    assert_eq!(welcome["type"], "welcome", "{welcome}");
    let mut with_header = Peer::connect(address, Some(&good)).await;
    assert_eq!(with_header.hello(json!({})).await["type"], "welcome");
    for peer in [&mut with_hello, &mut with_header] {
        assert_eq!(peer.join("foo").await["type"], "joined");
    }
    let came = with_hello.hear().await;
    assert_eq!(came["type"], "peer-joined");
    let refused = with_header.join("bar").await;
    assert_eq!(refused["code"], "not-allowed");
}

#[tokio::test]
async fn the_hellos_token_goes_before_the_requests() {
    let (_server, address) = guarded().await;
    let mut peer = Peer::connect(address, Some(&token("foo", 60.0))).await;
    let answer = peer.hello(json!({"auth": token("foo", -61.0)})).await;
    assert_eq!(answer["code"], "token-expired");
}

#[tokio::test]
async fn the_administrators_token_opens_every_room() {
    let (_server, address) = guarded().await;
    let mut peer = Peer::connect(address, None).await;
    peer.hello(json!({"auth": ADMIN})).await;
    assert_eq!(peer.join("any").await["type"], "joined");
}

#[tokio::test]
async fn a_lost_link_is_mended_though_the_token_has_expired_meanwhile() {
    let (_server, address) = guarded().await;
    let secret = "a".repeat(24);
    // It expires 60 s ago plus what clocks may differ: within this second.
    let short = token("foo", -59.2);
    let mut peer = Peer::connect(address, None).await;
    let welcome = peer.hello(json!({"auth": short, "resume": secret})).await;
    assert_eq!(welcome["type"], "welcome", "{welcome}");
    let joined = peer.join("foo").await;
    assert_eq!(joined["type"], "joined", "{joined}");
    let last = joined["seq"].as_u64().unwrap();
    // Another peer is refused as soon as the token has expired.
    let expired = async {
        loop {
            let mut other = Peer::connect(address, None).await;
            if other.hello(json!({"auth": short})).await["code"] == "token-expired" {
                return;
            }
        }
    };
    timeout(PATIENCE, expired).await.expect("it expires");
    drop(peer);
    let mut back = Peer::connect(address, None).await;
    let welcome = back
        .hello(json!({"auth": short, "resume": secret, "lastSeq": last}))
        .await;
    assert_eq!(welcome["resumed"], true, "{welcome}");
    back.say(json!({"type": "message", "id": 3, "room": "foo", "data": 1}))
        .await;
    assert_eq!(back.hear().await["type"], "ack", "still inside");
    let refused = back.join("foo").await;
    assert_eq!(refused["code"], "token-expired");
    // A stranger's secret gets nothing by the same words.
    let mut other = Peer::connect(address, None).await;
    let refused = other
        .hello(json!({"auth": short, "resume": "b".repeat(24), "lastSeq": last}))
        .await;
    assert_eq!(refused["code"], "token-expired");
}

#[tokio::test]
async fn a_forged_token_is_refused_even_on_a_resume() {
    let (_server, address) = guarded().await;
    let secret = "a".repeat(24);
    let mut peer = Peer::connect(address, None).await;
    let auth = token("foo", 60.0);
    peer.hello(json!({"auth": auth, "resume": secret})).await;
    let joined = peer.join("foo").await;
    let mut thief = Peer::connect(address, None).await;
    let refused = thief
        .hello(json!({"auth": "x.y.z", "resume": secret, "lastSeq": joined["seq"]}))
        .await;
    assert_eq!(refused["code"], "token-malformed");
    peer.say(json!({"type": "message", "id": 3, "room": "foo", "data": 1}))
        .await;
    assert_eq!(
        peer.hear().await["type"],
        "ack",
        "and its owner is not disturbed"
    );
}

/// The answer to an offer that nobody could take; who may not offer hears so before.
async fn offer(address: SocketAddr, path: &str, token: Option<&str>) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = TcpStream::connect(address).await.unwrap();
    let bearer = token.map_or_else(String::new, |token| {
        format!("authorization: Bearer {token}\r\n")
    });
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/sdp\r\n\
         {bearer}content-length: 3\r\n\r\nbad"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = stream.read_to_string(&mut answer);
    timeout(PATIENCE, read).await.expect("in time").unwrap();
    answer.to_lowercase()
}

#[tokio::test]
async fn publishers_and_players_show_their_token_in_the_request() {
    let (_server, address) = guarded().await;
    for path in ["/whip/foo", "/whep/foo"] {
        let answer = offer(address, path, None).await;
        assert!(answer.starts_with("http/1.1 401"), "{answer}");
        assert!(answer.contains("www-authenticate: bearer"), "{answer}");
        let expired = token("foo", -61.0);
        let answer = offer(address, path, Some(&expired)).await;
        assert!(answer.starts_with("http/1.1 401"), "{answer}");
        assert!(answer.contains("invalid_token"), "{answer}");
        let elsewhere = token("bar", 60.0);
        let answer = offer(address, path, Some(&elsewhere)).await;
        assert!(answer.starts_with("http/1.1 403"), "{answer}");
        let good = token("foo", 60.0);
        let answer = offer(address, path, Some(&good)).await;
        assert!(answer.starts_with("http/1.1 4"), "{answer}");
        assert!(!answer.starts_with("http/1.1 401") && !answer.starts_with("http/1.1 403"));
    }
}

/// What a page of Socket.IO is answered when it creates room `foo`.
async fn create_or_join(address: SocketAddr, query: &str, connect: Option<&str>) -> String {
    let url = format!("ws://{address}/socket.io/?transport=websocket&{query}");
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut socket, _) = tokio_tungstenite::client_async(url, stream).await.unwrap();
    if let Some(connect) = connect {
        socket.send(Message::Text(connect.into())).await.unwrap();
    }
    let event = r#"42["create or join","foo"]"#;
    socket.send(Message::Text(event.into())).await.unwrap();
    loop {
        let message = timeout(PATIENCE, socket.next()).await.expect("in time");
        let text = message.unwrap().unwrap().into_text().unwrap();
        // What the server did is told beside it.
        if text.starts_with("42") && !text.starts_with(r#"42["log""#) {
            return text.to_string();
        }
    }
}

#[tokio::test]
async fn pages_of_socket_io_show_their_token_when_they_connect() {
    let (_server, address) = guarded().await;
    let good = token("foo", 60.0);
    let auth = |token: &str| format!("40{}", json!({"token": token}));
    for (query, connect, answer) in [
        ("EIO=3".to_owned(), None, "not-authorized"),
        ("EIO=4".to_owned(), Some("40".to_owned()), "not-authorized"),
        ("EIO=4".to_owned(), Some(auth("x.y.z")), "token-malformed"),
        (format!("EIO=3&token={good}"), None, "created"),
        (
            format!("EIO=3&token={}", good.replace('.', "%2E")),
            None,
            "created",
        ),
        ("EIO=4".to_owned(), Some(auth(&good)), "created"),
        (
            format!("EIO=4&token={good}"),
            Some("40".to_owned()),
            "created",
        ),
        (
            format!("EIO=3&token={}", token("bar", 60.0)),
            None,
            "not-allowed",
        ),
    ] {
        let heard = create_or_join(address, &query, connect.as_deref()).await;
        assert!(heard.contains(answer), "{query}: {heard}");
    }
}

/// A WebSocket of the login dialect, or the status with which it is refused.
async fn log_in(address: SocketAddr, query: &str) -> Result<String, u16> {
    let stream = TcpStream::connect(address).await.unwrap();
    let url = format!("ws://{address}/{query}");
    match tokio_tungstenite::client_async(url, stream).await {
        Err(tokio_tungstenite::tungstenite::Error::Http(response)) => {
            Err(response.status().as_u16())
        }
        Err(error) => panic!("{error}"),
        Ok((mut socket, _)) => {
            let login = r#"{"type":"login","name":"ann"}"#;
            socket.send(Message::Text(login.into())).await.unwrap();
            loop {
                let message = timeout(PATIENCE, socket.next()).await.expect("in time");
                let text = message.unwrap().unwrap().into_text().unwrap();
                if text.contains("\"login\"") {
                    return Ok(text.to_string());
                }
            }
        }
    }
}

#[tokio::test]
async fn login_pages_show_their_token_in_the_address() {
    let (_server, address) = guarded().await;
    assert_eq!(log_in(address, "").await, Err(401));
    assert_eq!(log_in(address, "?token=x.y.z").await, Err(401));
    let good = token("foo", 60.0);
    let encoded = good.replace('.', "%2E");
    let answer = log_in(address, &format!("?token={encoded}")).await;
    assert!(answer.is_ok(), "{answer:?}");
    let answer = log_in(address, &format!("?token={good}")).await.unwrap();
    assert!(answer.contains("true"), "{answer}");
}

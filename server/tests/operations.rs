//! What is seen of the server from outside: metrics, health, the administrator's doors, draining.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use rtc_protocol::{
    AuthToken, ClientFrame, ClientMessage, RoomId, ServerFrame, ServerMessage, Token,
};
use rtc_server::access::{Access, AdminToken};
use rtc_server::{Config, testing};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

/// Far more than anything here takes; only ever waited out by a failure.
const PATIENCE: Duration = Duration::from_secs(20);

fn room(name: &str) -> RoomId {
    RoomId::new(name).unwrap()
}

struct Peer(WebSocketStream<TcpStream>);

impl Peer {
    async fn greeted(address: SocketAddr, who: char, last: Option<u64>) -> Self {
        Self::greeted_with(address, who, last, None).await
    }

    async fn greeted_with(
        address: SocketAddr,
        who: char,
        last: Option<u64>,
        auth: Option<AuthToken>,
    ) -> Self {
        let mut request = format!("ws://{address}/ws").into_client_request().unwrap();
        let headers = request.headers_mut();
        headers.insert("sec-websocket-protocol", "rtc.v1".parse().unwrap());
        let stream = TcpStream::connect(address).await.unwrap();
        let (socket, _) = tokio_tungstenite::client_async(request, stream)
            .await
            .unwrap();
        let mut peer = Self(socket);
        peer.say(ClientMessage::Hello {
            resume: Some(Token::new(&who.to_string().repeat(24)).unwrap()),
            last_seq: last,
            name: None,
            auth,
            agent: None,
        })
        .await;
        let welcome = peer.next().await;
        assert!(
            matches!(welcome, ServerMessage::Welcome { .. }),
            "{welcome:?}"
        );
        peer
    }

    async fn inside(address: SocketAddr, who: char, name: &str) -> Self {
        let mut peer = Self::greeted(address, who, None).await;
        let joined = peer.join(name).await;
        assert!(matches!(joined, ServerMessage::Joined { .. }), "{joined:?}");
        peer
    }

    async fn join(&mut self, name: &str) -> ServerMessage {
        let (name, capacity, room) = (None, Some(2), room(name));
        self.say(ClientMessage::Join {
            room,
            name,
            capacity,
        })
        .await;
        self.next().await
    }

    async fn say(&mut self, message: ClientMessage) {
        let id = Some(1);
        let text = ClientFrame { id, message }.to_json();
        self.0.send(Message::Text(text.into())).await.unwrap();
    }

    async fn raw(&mut self) -> Option<Message> {
        let raw = timeout(PATIENCE, self.0.next()).await;
        raw.expect("an answer in time").and_then(Result::ok)
    }

    /// The next message that is no heartbeat.
    async fn next(&mut self) -> ServerMessage {
        loop {
            let Some(Message::Text(text)) = self.raw().await else {
                panic!("the connection ended")
            };
            match ServerFrame::parse(&text).unwrap().message {
                ServerMessage::Ping { .. } => {}
                message => return message,
            }
        }
    }

    async fn close(mut self) {
        self.0.close(None).await.unwrap();
        while self.raw().await.is_some() {}
    }
}

async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let (status, text) = ask(address, "GET", path, "", "").await;
    (status, text.split_once("\r\n\r\n").unwrap().1.to_owned())
}

/// The status and all of the answer.
async fn ask(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         Content-Length: {length}\r\n{headers}\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let status = text.split(' ').nth(1).unwrap().parse().unwrap();
    (status, text)
}

/// The samples of a scrape that are not zero.
async fn metrics(address: SocketAddr) -> HashMap<String, f64> {
    let (status, text) = get(address, "/metrics").await;
    assert_eq!(status, 200);
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        })
        .filter(|(_, value)| *value != 0.0)
        .collect()
}

/// Waits until the samples are these; those not named may be anything.
async fn counted(address: SocketAddr, wanted: &[(&str, f64)]) {
    let mut last = HashMap::new();
    let all = async {
        loop {
            last = metrics(address).await;
            let value = |name: &str| last.get(name).copied().unwrap_or(0.0);
            if wanted.iter().all(|(name, it)| value(name) == *it) {
                return;
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    if timeout(PATIENCE, all).await.is_err() {
        panic!("wanted {wanted:?}, counted {last:#?}");
    }
}

#[tokio::test]
async fn a_call_is_counted_from_its_first_connection_to_its_last() {
    let (_server, address) = testing::start(testing::config()).await.unwrap();
    let ann = Peer::inside(address, 'a', "r").await;
    let mut bob = Peer::inside(address, 'b', "r").await;
    let mut eve = Peer::greeted(address, 'e', None).await;
    let refused = eve.join("r").await;
    assert!(
        matches!(refused, ServerMessage::Error { .. }),
        "{refused:?}"
    );
    bob.say(ClientMessage::Message {
        room: room("r"),
        to: None,
        data: rtc_protocol::Raw::parse("1").unwrap(),
    })
    .await;
    assert!(matches!(bob.next().await, ServerMessage::Ack {}));
    counted(
        address,
        &[
            ("rtc_connections_opened_total{dialect=\"rtc.v1\"}", 3.0),
            ("rtc_sessions_begun_total{how=\"new\"}", 3.0),
            ("rtc_rooms_opened_total", 1.0),
            ("rtc_rooms_closed_total", 0.0),
            ("rtc_room_joins_total", 2.0),
            ("rtc_messages_received_total{dialect=\"rtc.v1\"}", 4.0),
            // Three welcomes, two joined, peer-joined, error, ack, message.
            ("rtc_messages_sent_total{dialect=\"rtc.v1\"}", 9.0),
            ("rtc_requests_refused_total{code=\"room-full\"}", 1.0),
            ("rtc_limits_hit_total{limit=\"room-capacity\"}", 1.0),
        ],
    )
    .await;
    for peer in [ann, bob, eve] {
        peer.close().await;
    }
    counted(
        address,
        &[
            (
                "rtc_connections_closed_total{dialect=\"rtc.v1\",reason=\"left\"}",
                3.0,
            ),
            ("rtc_sessions_ended_total{reason=\"left\"}", 3.0),
            ("rtc_rooms_closed_total", 1.0),
            ("rtc_room_leaves_total{reason=\"left\"}", 2.0),
        ],
    )
    .await;
    let all = metrics(address).await;
    assert!(all["rtc_bytes_received_total{dialect=\"rtc.v1\"}"] > 100.0);
    assert!(all["rtc_bytes_sent_total{dialect=\"rtc.v1\"}"] > 1000.0);
    assert!(all["rtc_peer_queue_highest_bytes"] > 0.0);
    assert!(all["rtc_core_inputs_total"] >= 10.0);
}

#[tokio::test]
async fn resumed_begun_anew_and_missed_sessions_are_told_apart() {
    let config = Config {
        resume_window: PATIENCE,
        ..testing::config()
    };
    let (_server, address) = testing::start(config).await.unwrap();
    drop(Peer::inside(address, 'a', "r").await);
    let _resumed = Peer::greeted(address, 'a', Some(1)).await;
    let _taken_over = Peer::greeted(address, 'a', Some(1)).await;
    let _anew = Peer::greeted(address, 'a', None).await;
    let _missed = Peer::greeted(address, 'm', Some(9)).await;
    counted(
        address,
        &[
            ("rtc_sessions_resumed_total", 2.0),
            ("rtc_sessions_begun_total{how=\"new\"}", 1.0),
            ("rtc_sessions_begun_total{how=\"anew\"}", 1.0),
            ("rtc_sessions_begun_total{how=\"missed\"}", 1.0),
            (
                "rtc_connections_closed_total{dialect=\"rtc.v1\",reason=\"taken-over\"}",
                2.0,
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn connections_that_never_said_hello_are_counted_by_reason() {
    let config = Config {
        connections: 0,
        ..testing::config()
    };
    let (_server, address) = testing::start(config).await.unwrap();
    let mut request = format!("ws://{address}/ws").into_client_request().unwrap();
    let headers = request.headers_mut();
    headers.insert("sec-websocket-protocol", "rtc.v1".parse().unwrap());
    let stream = TcpStream::connect(address).await.unwrap();
    let answered = tokio_tungstenite::client_async(request, stream).await;
    let (mut socket, _) = answered.unwrap();
    let message = timeout(PATIENCE, socket.next()).await.unwrap();
    assert!(matches!(message, Some(Ok(Message::Close(Some(_))))));
    counted(
        address,
        &[
            ("rtc_connections_refused_total{reason=\"full\"}", 1.0),
            ("rtc_limits_hit_total{limit=\"connections\"}", 1.0),
        ],
    )
    .await;
}

#[tokio::test]
async fn an_address_with_too_many_connections_is_counted() {
    let config = Config {
        connections_per_address: 1,
        exempt: Vec::new(),
        ..testing::config()
    };
    let (_server, address) = testing::start(config).await.unwrap();
    let only = Peer::greeted(address, 'a', None).await;
    let (status, _) = get(address, "/metrics").await;
    assert_eq!(status, 429);
    only.close().await;
    // The place is given back a moment after the last byte.
    let served = async {
        while get(address, "/healthz").await.0 != 200 {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, served).await.unwrap();
    let all = metrics(address).await;
    assert!(all["rtc_connections_refused_total{reason=\"address\"}"] >= 1.0);
    assert!(all["rtc_limits_hit_total{limit=\"connections-per-address\"}"] >= 1.0);
}

#[tokio::test]
async fn a_server_is_ready_until_it_is_full() {
    let config = Config {
        connections: 1,
        ..testing::config()
    };
    let (_server, address) = testing::start(config).await.unwrap();
    assert_eq!(get(address, "/readyz").await.0, 200);
    let _only = Peer::greeted(address, 'a', None).await;
    assert_eq!(get(address, "/readyz").await, (503, "full\n".into()));
    assert_eq!(get(address, "/healthz").await.0, 200);
}

#[tokio::test]
async fn the_administrators_doors_are_closed_to_everybody_else() {
    let (server, address) = testing::start(testing::config()).await.unwrap();
    for (method, path) in [
        ("GET", "/api/rooms"),
        ("POST", "/api/drain"),
        ("POST", "/api/broadcast"),
    ] {
        let (status, text) = ask(address, method, path, "", "1").await;
        assert_eq!(status, 401, "{path}");
        assert!(text.contains("www-authenticate: Bearer"), "{text}");
        let wrong = "Authorization: Bearer of-somebody-else\r\n";
        assert_eq!(
            ask(address, method, path, wrong, "1").await.0,
            403,
            "{path}"
        );
    }
    assert_eq!(get(address, "/readyz").await.0, 200, "nothing has begun");
    drop(server);
}

#[tokio::test]
async fn the_administrator_sees_rooms_speaks_to_everybody_and_lets_the_server_drain() {
    let token = "correct-horse-battery-staple";
    let config = Config {
        access: Access::new(Vec::new(), Some(AdminToken::new(token).unwrap())),
        ..testing::config()
    };
    let (server, address) = testing::start(config).await.unwrap();
    let mut ann = Peer::inside(address, 'a', "one").await;
    let _bob = Peer::inside(address, 'b', "two").await;
    let mine = format!("Authorization: Bearer {token}\r\n");
    let admin = async |method, path, body| {
        let (status, text) = ask(address, method, path, &mine, body).await;
        let body = text.split_once("\r\n\r\n").unwrap().1;
        (
            status,
            serde_json::from_str::<serde_json::Value>(body).unwrap(),
        )
    };
    let (status, first) = admin("GET", "/api/rooms?limit=1", "").await;
    assert_eq!(status, 200);
    assert_eq!(first["rooms"][0]["room"], "one");
    assert_eq!(first["rooms"][0]["members"].as_array().unwrap().len(), 1);
    assert_eq!(first["next"], "one");
    let (_, rest) = admin("GET", "/api/rooms?after=one", "").await;
    assert_eq!(rest["rooms"][0]["room"], "two");
    assert!(rest.get("next").is_none(), "{rest}");
    assert_eq!(admin("GET", "/api/rooms?limit=x", "").await.0, 400);

    let (status, told) = admin("POST", "/api/broadcast", r#"{"text":"noon"}"#).await;
    assert_eq!((status, &told["told"]), (200, &2.into()));
    match ann.next().await {
        ServerMessage::Broadcast { data } => assert!(data.get().contains("noon")),
        other => panic!("{other:?}"),
    }
    assert_eq!(admin("POST", "/api/broadcast", "no json").await.0, 400);

    let (status, _) = admin("POST", "/api/drain", "").await;
    assert_eq!(status, 202);
    timeout(PATIENCE, server.asked_to_drain()).await.unwrap();
    assert_eq!(get(address, "/readyz").await, (503, "draining\n".into()));
}

const ADMIN: &str = "correct-horse-battery-staple";

/// A server with an administrator, a call in room `r`, and another server to send people to.
async fn in_a_call() -> (rtc_server::Running, SocketAddr, [Peer; 2]) {
    let config = Config {
        access: Access::new(Vec::new(), Some(AdminToken::new(ADMIN).unwrap())),
        drain_url: Some("https://other.example".into()),
        ..testing::config()
    };
    let (server, address) = testing::start(config).await.unwrap();
    let ann = Peer::inside(address, 'a', "r").await;
    let bob = Peer::inside(address, 'b', "r").await;
    (server, address, [ann, bob])
}

#[tokio::test]
async fn a_drain_is_the_same_by_whichever_door_it_is_asked_for() {
    for by_http in [true, false] {
        let (server, address, [mut ann, _bob]) = in_a_call().await;
        if by_http {
            let mine = format!("Authorization: Bearer {ADMIN}\r\n");
            assert_eq!(ask(address, "POST", "/api/drain", &mine, "").await.0, 202);
        } else {
            let auth = Some(AuthToken::new(ADMIN));
            let mut admin = Peer::greeted_with(address, 'x', None, auth).await;
            admin.say(ClientMessage::Drain {}).await;
            assert!(matches!(admin.next().await, ServerMessage::Ack {}));
            assert!(matches!(admin.next().await, ServerMessage::GoAway { .. }));
        }
        timeout(PATIENCE, server.asked_to_drain()).await.unwrap();
        assert_eq!(get(address, "/readyz").await, (503, "draining\n".into()));
        counted(address, &[("rtc_draining", 1.0)]).await;
        // The call goes on; when it ends, so does the drain.
        assert!(!matches!(ann.next().await, ServerMessage::GoAway { .. }));
        let over = async {
            tokio::join!(server.drain(|_| {}), ann.close());
        };
        timeout(PATIENCE, over).await.unwrap();
    }
}

#[tokio::test]
async fn newcomers_of_every_kind_are_sent_elsewhere_while_the_server_drains() {
    let (_server, address, _call) = in_a_call().await;
    let mine = format!("Authorization: Bearer {ADMIN}\r\n");
    assert_eq!(ask(address, "POST", "/api/drain", &mine, "").await.0, 202);
    let mut native = Peer::greeted(address, 'n', None).await;
    match native.next().await {
        ServerMessage::GoAway { url, .. } => {
            assert_eq!(url.as_deref(), Some("https://other.example"));
        }
        other => panic!("{other:?}"),
    }
    for (method, path) in [
        ("GET", "/readyz"),
        ("POST", "/whip/r"),
        ("POST", "/whep/r"),
        ("GET", "/socket.io/?EIO=4&transport=polling"),
        ("GET", "/socket.io/?EIO=3&transport=polling"),
    ] {
        let (status, text) = ask(address, method, path, "", "").await;
        assert_eq!(status, 503, "{path}: {text}");
        assert!(text.contains("retry-after: 5\r\n"), "{path}: {text}");
        let link = "link: <https://other.example>; rel=\"alternate\"\r\n";
        assert!(text.contains(link), "{path}: {text}");
    }
    // A page of the login kind cannot read a status: it is told in its own words, and closed.
    let mut login = login_page(address).await;
    let told = login.next_text().await;
    assert!(told.contains("\"hello\""), "{told}");
    let told = login.next_text().await;
    assert!(told.contains("\"going-away\""), "{told}");
    match login.raw().await {
        Some(Message::Close(Some(frame))) => assert_eq!(u16::from(frame.code), 1001),
        other => panic!("{other:?}"),
    }
    counted(
        address,
        &[("rtc_connections_refused_total{reason=\"going-away\"}", 4.0)],
    )
    .await;
}

impl Peer {
    async fn next_text(&mut self) -> String {
        match self.raw().await {
            Some(Message::Text(text)) => text.to_string(),
            other => panic!("{other:?}"),
        }
    }
}

/// A WebSocket as the pages of the login tutorial open it.
async fn login_page(address: SocketAddr) -> Peer {
    let stream = TcpStream::connect(address).await.unwrap();
    let opened = tokio_tungstenite::client_async(format!("ws://{address}/"), stream);
    Peer(opened.await.unwrap().0)
}

#[tokio::test]
async fn every_byte_of_a_websocket_is_counted_from_the_first_message_on() {
    let (_server, address) = testing::start(testing::config()).await.unwrap();
    let hello = r#"{"type":"hello"}"#;
    let login = r#"{"type":"login","name":"ann"}"#;
    let mut request = format!("ws://{address}/ws").into_client_request().unwrap();
    let headers = request.headers_mut();
    headers.insert("sec-websocket-protocol", "rtc.v1".parse().unwrap());
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut native, _) = tokio_tungstenite::client_async(request, stream)
        .await
        .unwrap();
    native.send(Message::text(hello)).await.unwrap();
    let mut page = login_page(address).await;
    page.0.send(Message::text(login)).await.unwrap();
    let bytes = |text: &str| text.len() as f64;
    counted(
        address,
        &[
            ("rtc_bytes_received_total{dialect=\"rtc.v1\"}", bytes(hello)),
            ("rtc_bytes_received_total{dialect=\"login\"}", bytes(login)),
        ],
    )
    .await;
}

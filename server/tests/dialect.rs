//! The native dialect over real sockets on loopback.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use rtc_protocol::{
    ClientFrame, ClientMessage, ErrorCode, LeaveReason, PeerId, Raw, RoomId, ServerFrame,
    ServerMessage, Token, close,
};
use rtc_server::{Config, Running, testing};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};

/// Far more than anything here takes; only ever waited out by a failure.
const PATIENCE: Duration = Duration::from_secs(20);

async fn server(config: Config) -> (Running, SocketAddr) {
    testing::start(config).await.unwrap()
}

fn token(who: char) -> Token {
    Token::new(&who.to_string().repeat(24)).unwrap()
}

fn id(who: char) -> PeerId {
    token(who).peer_id()
}

fn room() -> RoomId {
    RoomId::new("r").unwrap()
}

struct Peer {
    socket: WebSocketStream<TcpStream>,
    last: u64,
}

impl Peer {
    /// A WebSocket that has said nothing yet.
    async fn connect(address: SocketAddr) -> Self {
        Self::connect_with(address, &[]).await.unwrap()
    }

    async fn connect_with(
        address: SocketAddr,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, Error> {
        let mut request = format!("ws://{address}/ws").into_client_request().unwrap();
        let set = request.headers_mut();
        set.insert("sec-websocket-protocol", "rtc.v1".parse().unwrap());
        for (name, value) in headers {
            set.insert(*name, value.parse().unwrap());
        }
        let stream = TcpStream::connect(address).await.unwrap();
        let (socket, response) = tokio_tungstenite::client_async(request, stream).await?;
        assert_eq!(response.headers()["sec-websocket-protocol"], "rtc.v1");
        Ok(Self { socket, last: 0 })
    }

    /// Connected, greeted and in the room.
    async fn inside(address: SocketAddr, who: char) -> Self {
        let mut peer = Self::greeted(address, who, None).await.0;
        peer.join().await;
        let joined = peer.next().await;
        assert!(matches!(joined, ServerMessage::Joined { .. }), "{joined:?}");
        peer
    }

    /// Connected and greeted; tells whether the session was resumed.
    async fn greeted(address: SocketAddr, who: char, last: Option<u64>) -> (Self, bool) {
        let mut peer = Self::connect(address).await;
        let hello = ClientMessage::Hello {
            resume: Some(token(who)),
            last_seq: last,
            name: None,
            auth: None,
            agent: None,
        };
        peer.say(hello).await;
        match peer.next().await {
            ServerMessage::Welcome {
                peer: me, resumed, ..
            } => {
                assert_eq!(me, id(who));
                (peer, resumed)
            }
            other => panic!("{other:?}"),
        }
    }

    async fn join(&mut self) {
        let (room, name, capacity) = (room(), None, None);
        self.say(ClientMessage::Join {
            room,
            name,
            capacity,
        })
        .await;
    }

    async fn say(&mut self, message: ClientMessage) {
        let frame = ClientFrame {
            id: Some(1),
            message,
        };
        self.write(&frame.to_json()).await;
    }

    async fn write(&mut self, text: &str) {
        let sent = self.socket.send(Message::Text(text.into())).await;
        sent.expect("the socket takes it");
    }

    async fn message(&mut self, to: Option<char>, data: &str) {
        let data = Raw::parse(data).unwrap();
        let (room, to) = (room(), to.map(id));
        self.say(ClientMessage::Message { room, to, data }).await;
    }

    async fn raw(&mut self) -> Option<Result<Message, Error>> {
        timeout(PATIENCE, self.socket.next())
            .await
            .expect("an answer in time")
    }

    /// The next message that is no heartbeat.
    async fn next(&mut self) -> ServerMessage {
        loop {
            let message = self.raw().await;
            let Some(Ok(Message::Text(text))) = &message else {
                panic!("no message: {message:?}")
            };
            let frame = ServerFrame::parse(text).unwrap();
            if let Some(seq) = frame.seq {
                assert_eq!(seq, self.last + 1, "no gap, no repetition");
                self.last = seq;
            }
            match frame.message {
                ServerMessage::Ping { t, .. } => self.say(ClientMessage::Pong { t }).await,
                message => return message,
            }
        }
    }

    async fn refusal(&mut self) -> ErrorCode {
        match self.next().await {
            ServerMessage::Error { code, .. } => code,
            other => panic!("{other:?}"),
        }
    }

    /// Reads to the end, answers the server's heartbeat with silence, and gives the close code.
    async fn close_code(&mut self) -> u16 {
        loop {
            match self.raw().await {
                Some(Ok(Message::Close(Some(frame)))) => return frame.code.into(),
                Some(Ok(_)) => {}
                other => panic!("no close frame: {other:?}"),
            }
        }
    }

    async fn bye(mut self) {
        let frame = CloseFrame {
            code: CloseCode::Normal,
            reason: "".into(),
        };
        self.socket.close(Some(frame)).await.unwrap();
        while let Some(Ok(_)) = self.raw().await {}
    }
}

#[tokio::test]
async fn two_peers_meet_exchange_signals_and_part() {
    let (_running, address) = server(testing::config()).await;
    let mut a = Peer::inside(address, 'a').await;
    let mut b = Peer::inside(address, 'b').await;
    assert!(
        matches!(a.next().await, ServerMessage::PeerJoined { member, .. } if member.peer == id('b'))
    );
    let signal = Raw::parse(r#"{"description":{"type":"offer","sdp":"v=0\r\n"}}"#).unwrap();
    b.say(ClientMessage::Signal {
        room: room(),
        to: Some(id('a')),
        signal: signal.clone(),
    })
    .await;
    assert!(matches!(b.next().await, ServerMessage::Ack {}));
    let told = a.next().await;
    assert_eq!(
        told,
        ServerMessage::Signal {
            room: room(),
            from: id('b'),
            signal
        }
    );
    b.bye().await;
    assert!(matches!(
        a.next().await,
        ServerMessage::PeerLeft {
            reason: LeaveReason::Left,
            ..
        }
    ));
}

#[tokio::test]
async fn a_sender_cannot_be_forged_nor_a_room_spoken_into_from_outside() {
    let (_running, address) = server(testing::config()).await;
    let mut a = Peer::inside(address, 'a').await;
    let mut b = Peer::greeted(address, 'b', None).await.0;
    let forged = format!(
        r#"{{"id":1,"type":"message","room":"r","from":"{}","data":1}}"#,
        id('c')
    );
    b.write(&forged).await;
    assert_eq!(b.refusal().await, ErrorCode::NotJoined);
    b.join().await;
    assert!(matches!(b.next().await, ServerMessage::Joined { .. }));
    assert!(matches!(a.next().await, ServerMessage::PeerJoined { .. }));
    b.write(&forged).await;
    assert!(matches!(a.next().await, ServerMessage::Message { from, .. } if from == id('b')));
}

#[tokio::test]
async fn a_lost_link_is_resumed_without_the_room_noticing() {
    let config = Config {
        resume_window: Duration::from_secs(60),
        ..testing::config()
    };
    let (_running, address) = server(config).await;
    let mut a = Peer::inside(address, 'a').await;
    let b = Peer::inside(address, 'b').await;
    assert!(matches!(a.next().await, ServerMessage::PeerJoined { .. }));
    let last = b.last;
    drop(b);
    for data in ["1", "2"] {
        a.message(Some('b'), data).await;
        assert!(matches!(a.next().await, ServerMessage::Ack {}));
    }
    let (mut b, resumed) = Peer::greeted(address, 'b', Some(last)).await;
    assert!(resumed);
    b.last = last;
    for data in ["1", "2"] {
        assert!(
            matches!(b.next().await, ServerMessage::Message { data: d, .. } if d.get() == data)
        );
    }
    b.message(None, "3").await;
    assert!(
        matches!(a.next().await, ServerMessage::Message { .. }),
        "nothing was said of the lost link"
    );
}

#[tokio::test]
async fn a_lost_peer_is_told_after_the_resume_window() {
    let (_running, address) = server(testing::config()).await;
    let mut a = Peer::inside(address, 'a').await;
    let b = Peer::inside(address, 'b').await;
    assert!(matches!(a.next().await, ServerMessage::PeerJoined { .. }));
    drop(b);
    assert!(matches!(
        a.next().await,
        ServerMessage::PeerLeft {
            reason: LeaveReason::Lost,
            ..
        }
    ));
}

#[tokio::test]
async fn a_silent_peer_is_closed_and_lost() {
    let config = Config {
        heartbeat: Duration::from_millis(500),
        resume_window: Duration::from_millis(200),
        ..testing::config()
    };
    let (_running, address) = server(config).await;
    let mut a = Peer::inside(address, 'a').await;
    let mut b = Peer::inside(address, 'b').await;
    assert!(matches!(a.next().await, ServerMessage::PeerJoined { .. }));
    let (left, code) = tokio::join!(a.next(), b.close_code());
    assert!(matches!(
        left,
        ServerMessage::PeerLeft {
            reason: LeaveReason::Lost,
            ..
        }
    ));
    assert_eq!(code, close::SILENT);
}

#[tokio::test]
async fn the_heartbeat_tells_the_round_trip() {
    let config = Config {
        heartbeat: Duration::from_millis(500),
        ..testing::config()
    };
    let (_running, address) = server(config).await;
    let mut a = Peer::greeted(address, 'a', None).await.0;
    let mut told = None;
    while told.is_none() {
        let Some(Ok(Message::Text(text))) = a.raw().await else {
            panic!("the link ended")
        };
        if let ServerMessage::Ping { t, rtt_ms } = ServerFrame::parse(&text).unwrap().message {
            told = rtt_ms;
            a.say(ClientMessage::Pong { t }).await;
        }
    }
    assert!(told.unwrap() >= 0.0);
    a.say(ClientMessage::Ping { t: 0.1 }).await;
    assert_eq!(a.next().await, ServerMessage::Pong { t: 0.1 });
}

#[tokio::test]
async fn a_second_connection_takes_over() {
    let (_running, address) = server(testing::config()).await;
    let mut old = Peer::inside(address, 'a').await;
    let (mut new, resumed) = Peer::greeted(address, 'a', Some(old.last)).await;
    assert!(resumed);
    assert_eq!(old.close_code().await, close::TAKEN_OVER);
    new.say(ClientMessage::Leave { room: room() }).await;
    new.last = old.last;
    assert!(matches!(new.next().await, ServerMessage::Left { .. }));
}

#[tokio::test]
async fn a_slow_reader_is_closed_counted_and_nobody_else_waits() {
    let config = Config {
        limits: rtc_protocol::Limits {
            queue_messages: 64,
            ..Config::default().limits
        },
        heartbeat: Duration::from_secs(10),
        ..testing::config()
    };
    let (_running, address) = server(config).await;
    let mut a = Peer::inside(address, 'a').await;
    let mut slow = Peer::inside(address, 's').await;
    let mut c = Peer::inside(address, 'c').await;
    let big = format!("\"{}\"", "x".repeat(60_000));
    // The kernel buffers some megabytes; the queue holds one more. The answers tell when the server has taken each.
    for _ in 0..300 {
        a.message(Some('s'), &big).await;
        while !matches!(a.next().await, ServerMessage::Ack {}) {}
    }
    a.message(Some('c'), "1").await;
    while !matches!(c.next().await, ServerMessage::Message { .. }) {}
    let health = timeout(PATIENCE, async {
        loop {
            let health = get(address, "/healthz", "").await;
            if health.contains("\"slowReadersClosed\":1") {
                return health;
            }
            tokio::task::yield_now().await;
        }
    });
    health.await.expect("the slow reader is counted");
    // Reading at last, it finds the end.
    loop {
        match slow.raw().await {
            Some(Ok(Message::Close(frame))) => {
                assert_eq!(u16::from(frame.unwrap().code), close::SLOW_READER);
                break;
            }
            Some(Ok(_)) => {}
            Some(Err(_)) | None => break,
        }
    }
}

#[tokio::test]
async fn hello_must_come_first_and_in_time_understood() {
    let (_running, address) = server(testing::config()).await;
    for (text, code) in [
        (r#"{"type":"join","room":"r"}"#, ErrorCode::HelloFirst),
        ("null", ErrorCode::BadMessage),
        (r#"{"type":"hello","resume":"x"}"#, ErrorCode::BadName),
    ] {
        let mut peer = Peer::connect(address).await;
        peer.write(text).await;
        assert_eq!(peer.refusal().await, code, "{text}");
        assert_eq!(peer.close_code().await, close::HELLO_FIRST);
    }
}

#[tokio::test]
async fn garbage_is_answered_and_changes_nothing_until_it_is_too_much() {
    let (_running, address) = server(testing::config()).await;
    let mut a = Peer::inside(address, 'a').await;
    for text in [
        "",
        "null",
        "[]",
        "{",
        r#"{"type":"toString"}"#,
        r#"{"type":"join","room":{"toString":1}}"#,
        r#"{"type":"message","room":"r"}"#,
    ] {
        a.write(text).await;
        assert_eq!(a.refusal().await, ErrorCode::BadMessage, "{text}");
    }
    for name in ["", ".", "..", "a/b", &"x".repeat(10_000)] {
        a.write(&format!(r#"{{"type":"join","room":"{name}"}}"#))
            .await;
        assert_eq!(a.refusal().await, ErrorCode::BadName, "{name}");
    }
    a.message(None, "1").await;
    assert!(matches!(a.next().await, ServerMessage::Ack {}));
    for _ in 0..32 {
        a.write("nonsense").await;
        assert_eq!(a.refusal().await, ErrorCode::BadMessage);
    }
    a.write("nonsense").await;
    assert_eq!(a.close_code().await, close::BAD_MESSAGES);
}

#[tokio::test]
async fn names_of_other_languages_objects_are_names_like_any_other() {
    let (_running, address) = server(testing::config()).await;
    let mut a = Peer::greeted(address, 'a', None).await.0;
    for name in ["__proto__", "constructor", "toString", "日本"] {
        a.write(&format!(r#"{{"type":"join","room":"{name}"}}"#))
            .await;
        assert!(
            matches!(a.next().await, ServerMessage::Joined { room, .. } if room.as_str() == name)
        );
    }
}

#[tokio::test]
async fn a_message_over_the_limit_is_refused_and_closes_the_link() {
    let (_running, address) = server(testing::config()).await;
    let mut a = Peer::inside(address, 'a').await;
    a.message(None, &format!("\"{}\"", "x".repeat(64 * 1024 - 100)))
        .await;
    assert!(matches!(a.next().await, ServerMessage::Ack {}));
    a.message(None, &format!("\"{}\"", "x".repeat(64 * 1024)))
        .await;
    assert_eq!(a.refusal().await, ErrorCode::TooLarge);
    assert_eq!(a.close_code().await, close::TOO_LARGE);
}

#[tokio::test]
async fn binary_closes_the_link() {
    let (_running, address) = server(testing::config()).await;
    let mut a = Peer::inside(address, 'a').await;
    let bytes = Message::Binary(vec![0xff; 10].into());
    a.socket.send(bytes).await.unwrap();
    assert_eq!(a.close_code().await, close::UNSUPPORTED);
}

#[tokio::test]
async fn broken_frames_and_invalid_text_end_that_link_alone() {
    let (_running, address) = server(testing::config()).await;
    let mut other = Peer::inside(address, 'o').await;
    // Reserved bits; text that is no UTF-8; a control frame that is too long; no mask (RFC 6455, section 5).
    let mut long_ping = vec![0x89, 0xfe, 0, 126, 0, 0, 0, 0];
    long_ping.extend([0; 126]);
    for frame in [
        &[0xf1, 0x80, 0, 0, 0, 0][..],
        &[0x81, 0x82, 0, 0, 0, 0, 0xff, 0xfe],
        &long_ping,
        &[0x81, 0x02, b'{', b'}'],
    ] {
        let peer = Peer::inside(address, 'a').await;
        let mut stream = peer.socket.into_inner();
        stream.write_all(frame).await.unwrap();
        let mut rest = Vec::new();
        let ended = timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
        assert!(ended.is_ok(), "the server closes");
        assert!(matches!(
            other.next().await,
            ServerMessage::PeerJoined { .. }
        ));
        assert!(matches!(
            other.next().await,
            ServerMessage::PeerLeft {
                reason: LeaveReason::Lost,
                ..
            }
        ));
    }
}

#[tokio::test]
async fn who_speaks_too_fast_is_told() {
    let (_running, address) = server(testing::config()).await;
    let mut a = Peer::inside(address, 'a').await;
    let mut refused = 0;
    for _ in 0..3_000 {
        a.message(None, "1").await;
        match a.next().await {
            ServerMessage::Ack {} => {}
            ServerMessage::Error { code, .. } => {
                assert_eq!(code, ErrorCode::RateLimited);
                refused += 1;
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(refused, 1);
}

#[tokio::test]
async fn one_connection_too_many_is_told_so() {
    let config = Config {
        connections: 1,
        ..testing::config()
    };
    let (_running, address) = server(config).await;
    let _first = Peer::inside(address, 'a').await;
    let mut second = Peer::connect(address).await;
    assert_eq!(second.close_code().await, close::FULL);
}

#[tokio::test]
async fn a_page_of_another_site_may_not_connect() {
    let (_running, address) = server(testing::config()).await;
    let own = format!("http://{address}");
    assert!(
        Peer::connect_with(address, &[("origin", &own)])
            .await
            .is_ok()
    );
    let refused = Peer::connect_with(address, &[("origin", "https://evil.example")]).await;
    assert!(matches!(refused, Err(Error::Http(response)) if response.status() == 403));
}

#[tokio::test]
async fn a_shutdown_says_goodbye_and_frees_the_address() {
    let (running, address) = server(testing::config()).await;
    let mut a = Peer::inside(address, 'a').await;
    let ended = tokio::spawn(async move { timeout(PATIENCE, running.shutdown()).await });
    assert!(matches!(a.next().await, ServerMessage::GoAway { .. }));
    assert_eq!(a.close_code().await, close::GOING_AWAY);
    while let Some(Ok(_)) = a.raw().await {}
    ended.await.unwrap().expect("it ends");
    let config = Config {
        listen: vec![address],
        ..testing::config()
    };
    let (_again, same) = server(config).await;
    assert_eq!(same, address);
}

#[tokio::test]
async fn dropping_the_server_ends_everything() {
    let (running, address) = server(testing::config()).await;
    let mut a = Peer::inside(address, 'a').await;
    drop(running);
    while let Some(Ok(_)) = a.raw().await {}
    let gone = timeout(PATIENCE, async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    });
    gone.await.expect("nobody listens any more");
}

#[tokio::test]
async fn an_address_in_use_is_told_apart() {
    let (_running, address) = server(testing::config()).await;
    let config = Config {
        listen: vec![address],
        ..testing::config()
    };
    let error = testing::start(config).await.unwrap_err();
    assert_eq!(error.source.kind(), std::io::ErrorKind::AddrInUse);
    assert_eq!(error.address, address);
}

/// Asks for a path over a connection of its own and gives the whole answer.
async fn get(address: SocketAddr, path: &str, headers: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request =
        format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = stream.read_to_string(&mut answer);
    timeout(PATIENCE, read).await.unwrap().unwrap();
    answer
}

#[tokio::test]
async fn the_page_is_served_for_every_room_and_nothing_else_of_the_disk() {
    let (_running, address) = server(testing::config()).await;
    for path in ["/", "/foo", "/__proto__", "/%E6%97%A5"] {
        let answer = get(address, path, "").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
        assert!(answer.contains("content-type: text/html"), "{path}");
        let policy = "content-security-policy: default-src 'none'; script-src 'self';";
        assert!(answer.contains(policy), "{path}: {answer}");
        assert!(answer.contains("x-content-type-options: nosniff"));
    }
    for path in [
        "/_/../src/main.rs",
        "/../Cargo.toml",
        "/_/..%2f..%2fCargo.toml",
        "/a/b",
        "/a%2Fb",
        "/_/main.rs",
        "/%ff",
    ] {
        let answer = get(address, path, "").await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{path}: {answer}");
        assert!(!answer.contains("[package]"), "{path}");
    }
}

#[tokio::test]
async fn a_file_that_did_not_change_is_not_sent_again() {
    let (_running, address) = server(testing::config()).await;
    let first = get(address, "/_/app.js", "").await;
    assert!(first.contains("content-type: text/javascript"));
    let tag = first.lines().find_map(|line| line.strip_prefix("etag: "));
    let condition = format!("if-none-match: {}\r\n", tag.unwrap());
    let second = get(address, "/_/app.js", &condition).await;
    assert!(second.starts_with("HTTP/1.1 304"), "{second}");
}

#[tokio::test]
async fn a_websocket_without_the_subprotocol_is_refused() {
    let (_running, address) = server(testing::config()).await;
    let request = format!("ws://{address}/ws").into_client_request().unwrap();
    let stream = TcpStream::connect(address).await.unwrap();
    let refused = tokio_tungstenite::client_async(request, stream).await;
    assert!(matches!(refused, Err(Error::Http(response)) if response.status() == 400));
}

//! The login dialect over real sockets on loopback: every row of its table, and what its ancestors died of.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use rtc_protocol::{
    ClientFrame, ClientMessage, Description, Name, RoomId, SdpType, ServerFrame, ServerMessage,
    Signal, close,
};
use rtc_server::{Config, Running, testing};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};

/// Far more than anything here takes; only ever waited out by a failure.
const PATIENCE: Duration = Duration::from_secs(20);

async fn server() -> (Running, SocketAddr) {
    testing::start(testing::config()).await.unwrap()
}

type Socket = WebSocketStream<TcpStream>;

async fn connect(
    address: SocketAddr,
    path: &str,
    headers: &[(&'static str, &str)],
) -> Result<Socket, Error> {
    let mut request = format!("ws://{address}{path}")
        .into_client_request()
        .unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    let stream = TcpStream::connect(address).await.unwrap();
    let (socket, _) = tokio_tungstenite::client_async(request, stream).await?;
    Ok(socket)
}

/// A page, as far as the server sees it.
struct Page {
    socket: Socket,
}

impl Page {
    /// Connected and greeted.
    async fn open(address: SocketAddr) -> Self {
        let socket = connect(address, "/", &[]).await.unwrap();
        let mut page = Self { socket };
        let greeting = page.hear().await;
        assert_eq!(greeting["type"], "hello", "JSON that the page ignores");
        page
    }

    /// Logged in.
    async fn of(address: SocketAddr, name: &str) -> Self {
        let mut page = Self::open(address).await;
        let login = page.asks(json!({"type": "login", "name": name})).await;
        assert_eq!(login, json!({"type": "login", "success": true}));
        page
    }

    async fn text(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    async fn says(&mut self, said: Value) {
        self.text(&said.to_string()).await;
    }

    async fn hear(&mut self) -> Value {
        loop {
            let next = timeout(PATIENCE, self.socket.next())
                .await
                .expect("silence");
            match next.expect("the end").unwrap() {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    async fn asks(&mut self, said: Value) -> Value {
        self.says(said).await;
        self.hear().await
    }

    /// Says something that is refused, and gives the code.
    async fn refused(&mut self, said: Value) -> String {
        let error = self.asks(said).await;
        assert_eq!(error["type"], "error", "{error}");
        assert!(error["message"].is_string());
        error["code"].as_str().unwrap().to_owned()
    }

    /// Nothing else was said: the next answer is the one to this.
    async fn has_heard_all(&mut self) {
        assert_eq!(
            self.refused(json!({"type": "leave", "name": "-"})).await,
            "no-call"
        );
    }

    async fn closed(&mut self) -> Option<CloseCode> {
        loop {
            match timeout(PATIENCE, self.socket.next())
                .await
                .expect("it stays open")
            {
                Some(Ok(Message::Close(frame))) => return frame.map(|frame| frame.code),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return None,
            }
        }
    }

    async fn close(mut self) {
        self.socket.close(None).await.unwrap();
        while let Some(Ok(_)) = self.socket.next().await {}
    }
}

/// A native peer, greeted.
struct Native {
    socket: Socket,
}

impl Native {
    async fn open(address: SocketAddr, name: &str) -> Self {
        let socket = connect(address, "/ws", &[("sec-websocket-protocol", "rtc.v1")])
            .await
            .unwrap();
        let mut native = Self { socket };
        native
            .says(ClientMessage::Hello {
                resume: None,
                last_seq: None,
                name: Some(Name::new(name).unwrap()),
                auth: None,
                agent: None,
            })
            .await;
        assert!(matches!(
            native.hears().await,
            ServerMessage::Welcome { .. }
        ));
        native
    }

    async fn says(&mut self, message: ClientMessage) {
        let frame = ClientFrame {
            id: Some(1),
            message,
        };
        self.socket
            .send(Message::text(frame.to_json()))
            .await
            .unwrap();
    }

    /// The next message that is no heartbeat, no acknowledgement and no inheritance.
    async fn hears(&mut self) -> ServerMessage {
        loop {
            let next = timeout(PATIENCE, self.socket.next())
                .await
                .expect("silence");
            let text = next.expect("the end").unwrap().into_text().unwrap();
            match ServerFrame::parse(&text).unwrap().message {
                ServerMessage::Ping { .. }
                | ServerMessage::Ack {}
                | ServerMessage::Granted { .. } => {}
                message => return message,
            }
        }
    }

    async fn joins(&mut self, room: &str, name: Option<&str>) {
        let room = RoomId::new(room).unwrap();
        let name = name.map(|name| Name::new(name).unwrap());
        let capacity = None;
        self.says(ClientMessage::Join {
            room,
            name,
            capacity,
        })
        .await;
        assert!(matches!(self.hears().await, ServerMessage::Joined { .. }));
    }
}

fn sdp(kind: SdpType) -> Signal {
    Signal::Description(Description {
        kind,
        sdp: "v=0\r\n".into(),
    })
}

fn offer() -> Value {
    json!({"type": "offer", "sdp": "v=0\r\n"})
}

fn answer() -> Value {
    json!({"type": "answer", "sdp": "v=0\r\n"})
}

/// Two pages in a call.
async fn in_call(address: SocketAddr) -> (Page, Page) {
    let mut ann = Page::of(address, "ann").await;
    let mut bob = Page::of(address, "bob").await;
    ann.says(json!({"type": "offer", "offer": "O", "name": "bob"}))
        .await;
    assert_eq!(ann.hear().await, json!({"type": "ringing", "name": "bob"}));
    assert_eq!(
        bob.hear().await,
        json!({"type": "offer", "offer": "O", "name": "ann"})
    );
    bob.says(json!({"type": "answer", "answer": "S", "name": "ann"}))
        .await;
    assert_eq!(ann.hear().await, json!({"type": "accept", "name": "bob"}));
    assert_eq!(ann.hear().await, json!({"type": "answer", "answer": "S"}));
    (ann, bob)
}

#[tokio::test]
async fn two_pages_log_in_call_and_hang_up_as_the_table_says() {
    let (_server, address) = server().await;
    let (mut ann, mut bob) = in_call(address).await;
    let candidate = json!({"candidate": "candidate:1", "sdpMid": "0", "sdpMLineIndex": 0});
    ann.says(json!({"type": "candidate", "candidate": candidate, "name": "bob"}))
        .await;
    assert_eq!(
        bob.hear().await,
        json!({"type": "candidate", "candidate": candidate})
    );
    bob.says(json!({"type": "candidate", "candidate": candidate, "name": "ann"}))
        .await;
    assert_eq!(
        ann.hear().await,
        json!({"type": "candidate", "candidate": candidate})
    );
    ann.says(json!({"type": "leave", "name": "bob"})).await;
    assert_eq!(bob.hear().await, json!({"type": "leave"}));
    // Both are free again, the other way round.
    bob.says(json!({"type": "offer", "offer": "P", "name": "ann"}))
        .await;
    assert_eq!(bob.hear().await["type"], "ringing");
    assert_eq!(
        ann.hear().await,
        json!({"type": "offer", "offer": "P", "name": "bob"})
    );
}

#[tokio::test]
async fn a_closed_socket_ends_the_call_and_frees_the_name_at_once() {
    let (_server, address) = server().await;
    let (ann, mut bob) = in_call(address).await;
    // Without a close frame, as a browser that is killed.
    drop(ann);
    assert_eq!(bob.hear().await, json!({"type": "leave"}));
    let mut ann = Page::of(address, "ann").await;
    assert_eq!(
        bob.refused(json!({"type": "offer", "offer": 1, "name": "bob"}))
            .await,
        "no-such-user"
    );
    bob.close().await;
    assert_eq!(
        ann.refused(json!({"type": "offer", "offer": 1, "name": "bob"}))
            .await,
        "no-such-user"
    );
    ann.has_heard_all().await;
}

#[tokio::test]
async fn a_name_is_one_pages_and_logging_in_again_gives_the_old_one_back() {
    let (_server, address) = server().await;
    let mut ann = Page::of(address, "ann").await;
    let mut other = Page::open(address).await;
    let taken = other.asks(json!({"type": "login", "name": "ann"})).await;
    assert_eq!(
        (&taken["success"], &taken["code"]),
        (&json!(false), &json!("name-taken"))
    );
    ann.asks(json!({"type": "login", "name": "anna"})).await;
    let free = other.asks(json!({"type": "login", "name": "ann"})).await;
    assert_eq!(free, json!({"type": "login", "success": true}));
    // One peer, many names: it has the last one.
    for n in 0..500 {
        let login = ann
            .asks(json!({"type": "login", "name": format!("n{n}")}))
            .await;
        assert_eq!(login["success"], true);
    }
    for n in [0, 250, 498] {
        let login = other
            .asks(json!({"type": "login", "name": format!("n{n}")}))
            .await;
        assert_eq!(login["success"], true, "n{n} is free");
    }
    let login = other.asks(json!({"type": "login", "name": "n499"})).await;
    assert_eq!(login["success"], false);
}

#[tokio::test]
async fn a_callee_refuses_is_busy_or_absent_and_the_caller_is_told() {
    let (_server, address) = server().await;
    let mut ann = Page::of(address, "ann").await;
    let mut bob = Page::of(address, "bob").await;
    ann.says(json!({"type": "offer", "offer": "O", "name": "bob"}))
        .await;
    assert_eq!(ann.hear().await["type"], "ringing");
    assert_eq!(bob.hear().await["type"], "offer");
    let mut carol = Page::of(address, "carol").await;
    let call = json!({"type": "offer", "offer": "O", "name": "bob"});
    assert_eq!(carol.asks(call).await["type"], "ringing");
    let busy = carol.hear().await;
    assert_eq!(
        (&busy["type"], &busy["code"], &busy["name"]),
        (&json!("error"), &json!("busy"), &json!("bob"))
    );
    bob.says(json!({"type": "refuse", "name": "ann", "message": "later"}))
        .await;
    let told = json!({"type": "refuse", "name": "bob", "code": "declined", "message": "later"});
    assert_eq!(ann.hear().await, told);
    assert_eq!(
        ann.hear().await,
        json!({"type": "leave"}),
        "for pages that know no refuse"
    );
    for nobody in ["ann", "dave", "constructor", "__proto__"] {
        let call = json!({"type": "offer", "offer": "O", "name": nobody});
        assert_eq!(ann.refused(call).await, "no-such-user", "{nobody}");
    }
    bob.has_heard_all().await;
    // The caller thinks better of it.
    ann.says(json!({"type": "offer", "offer": "O", "name": "bob"}))
        .await;
    assert_eq!(ann.hear().await["type"], "ringing");
    assert_eq!(bob.hear().await["type"], "offer");
    ann.says(json!({"type": "leave", "name": "bob"})).await;
    assert_eq!(bob.hear().await, json!({"type": "leave"}));
    ann.has_heard_all().await;
}

#[tokio::test]
async fn nobody_answers_for_as_long_as_a_call_rings() {
    let ring = Duration::from_millis(300);
    let config = Config {
        ring,
        ..testing::config()
    };
    let (_server, address) = testing::start(config).await.unwrap();
    let mut ann = Page::of(address, "ann").await;
    let mut bob = Page::of(address, "bob").await;
    ann.says(json!({"type": "offer", "offer": "O", "name": "bob"}))
        .await;
    assert_eq!(ann.hear().await["type"], "ringing");
    assert_eq!(ann.hear().await["code"], "no-answer");
    assert_eq!(ann.hear().await, json!({"type": "leave"}));
    assert_eq!(bob.hear().await["type"], "offer");
    assert_eq!(bob.hear().await, json!({"type": "leave"}));
}

#[tokio::test]
async fn nonsense_is_answered_and_ends_nobody() {
    let (_server, address) = server().await;
    let (mut ann, mut bob) = in_call(address).await;
    let mut stranger = Page::open(address).await;
    for text in [
        "null",
        "{\"toString\":1}",
        "Hello world",
        "",
        "[]",
        "5",
        "{\"type\":\"constructor\"}",
        "{\"type\":\"hasOwnProperty\",\"name\":\"__proto__\"}",
        "{\"type\":[\"login\"]}",
        "{\"type\":\"login\",\"type\":\"login\",\"name\":\"x\"}",
    ] {
        stranger.text(text).await;
        let error = stranger.hear().await;
        assert_eq!(error["code"], "bad-message", "{text}");
    }
    for said in [
        json!({"type": "leave"}),
        json!({"type": "leave", "name": "nobody"}),
        json!({"type": "leave", "name": "bob"}),
        json!({"type": "offer", "offer": "O", "name": "constructor"}),
        json!({"type": "offer", "offer": "O", "name": "bob"}),
        json!({"type": "answer", "answer": "S", "name": "ann"}),
        json!({"type": "candidate", "candidate": {}, "name": "ann"}),
    ] {
        assert_eq!(stranger.refused(said).await, "not-logged-in");
    }
    let long = "x".repeat(10_000);
    for name in [
        json!(""),
        json!(7),
        json!(null),
        json!(["ann"]),
        json!({"a": 1}),
        json!(long),
    ] {
        let login = stranger.asks(json!({"type": "login", "name": name})).await;
        assert_eq!(
            (&login["success"], &login["code"]),
            (&json!(false), &json!("bad-name"))
        );
    }
    let login = stranger
        .asks(json!({"type": "login", "name": "constructor"}))
        .await;
    assert_eq!(login["success"], true);
    for said in [
        json!({"type": "answer", "answer": "S", "name": "ann"}),
        json!({"type": "candidate", "candidate": {}, "name": "ann"}),
        json!({"type": "leave", "name": "ann"}),
    ] {
        assert_eq!(
            stranger.refused(said).await,
            "no-call",
            "a call is for its two"
        );
    }
    ann.has_heard_all().await;
    bob.has_heard_all().await;
    ann.says(json!({"type": "leave", "name": "bob"})).await;
    assert_eq!(bob.hear().await, json!({"type": "leave"}));
}

#[tokio::test]
async fn who_speaks_only_nonsense_or_too_much_or_in_bytes_is_closed_with_a_code() {
    let (_server, address) = server().await;
    let mut page = Page::open(address).await;
    for _ in 0..33 {
        page.text("null").await;
    }
    assert_eq!(
        page.closed().await,
        Some(CloseCode::from(close::BAD_MESSAGES))
    );
    let mut page = Page::of(address, "ann").await;
    let large = json!({"type": "offer", "offer": "x".repeat(70_000), "name": "bob"});
    page.says(large).await;
    assert_eq!(page.hear().await["code"], "too-large");
    assert_eq!(page.closed().await, Some(CloseCode::from(close::TOO_LARGE)));
    let mut page = Page::of(address, "ann").await;
    page.socket
        .send(Message::binary(vec![1, 2, 3]))
        .await
        .unwrap();
    assert_eq!(
        page.closed().await,
        Some(CloseCode::from(close::UNSUPPORTED))
    );
}

#[tokio::test]
async fn a_page_that_vanishes_silently_loses_its_name() {
    let heartbeat = Duration::from_millis(500);
    let config = Config {
        heartbeat,
        ..testing::config()
    };
    let (_server, address) = testing::start(config).await.unwrap();
    // It answers no ping, as nobody polls its socket.
    let _silent = Page::of(address, "ann").await;
    let mut other = Page::open(address).await;
    let free = async {
        loop {
            let login = other.asks(json!({"type": "login", "name": "ann"})).await;
            if login["success"] == true {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, free).await.expect("the name stays taken");
}

#[tokio::test]
async fn a_server_that_slept_takes_nobody_for_silent_who_answers_the_next_ping() {
    let heartbeat = Duration::from_millis(500);
    let config = Config {
        heartbeat,
        ..testing::config()
    };
    let (_server, address) = testing::start(config).await.unwrap();
    let mut page = Page::of(address, "ann").await;
    for _ in 0..2 {
        // Just after a ping nothing more is on its way to the server.
        let next = timeout(PATIENCE, page.socket.next()).await.unwrap();
        let next = next.expect("it was closed").unwrap();
        assert!(matches!(next, Message::Ping(_)), "{next:?}");
        page.has_heard_all().await;
        // Both stand still: this is the only thread that there is.
        std::thread::sleep(heartbeat * 4);
    }
    page.has_heard_all().await;
}

#[tokio::test]
async fn pages_that_answer_pings_stay() {
    let heartbeat = Duration::from_millis(500);
    let config = Config {
        heartbeat,
        ..testing::config()
    };
    let (_server, address) = testing::start(config).await.unwrap();
    let mut page = Page::of(address, "ann").await;
    let mut pings = 0;
    while pings < 6 {
        let next = timeout(PATIENCE, page.socket.next()).await.unwrap();
        match next.expect("it was closed").unwrap() {
            Message::Ping(_) => pings += 1,
            other => panic!("{other:?}"),
        }
    }
    page.has_heard_all().await;
}

#[tokio::test]
async fn the_page_is_still_served_where_no_websocket_is_asked_for() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (_server, address) = server().await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    assert!(text.contains("<html"));
    let evil = connect(address, "/", &[("origin", "http://evil.example")]).await;
    let Err(Error::Http(response)) = evil else {
        panic!("a page of another site was let in")
    };
    assert_eq!(response.status(), 403);
}

#[tokio::test]
async fn a_native_peer_calls_a_page_and_offers_while_it_rings() {
    let (_server, address) = server().await;
    let mut bob = Page::of(address, "bob").await;
    let mut ann = Native::open(address, "Ann").await;
    let room = RoomId::new("call-of-ann").unwrap();
    let whom = rtc_protocol::Callee::Name(Name::new("bob").unwrap());
    ann.says(ClientMessage::Ring {
        whom,
        room: room.clone(),
    })
    .await;
    let ServerMessage::Ringing { call } = ann.hears().await else {
        panic!()
    };
    ann.joins("call-of-ann", None).await;
    let (from, signal) = loop {
        match ann.hears().await {
            ServerMessage::PeerJoined { .. } => {}
            ServerMessage::Signal { from, signal, .. } => break (from, signal),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(Signal::from_raw(&signal), Ok(Signal::Restart));
    let signal = sdp(SdpType::Offer).to_raw().unwrap();
    let to = Some(from);
    ann.says(ClientMessage::Signal { room, to, signal }).await;
    assert_eq!(
        bob.hear().await,
        json!({"type": "offer", "offer": offer(), "name": "Ann"})
    );
    bob.says(json!({"type": "answer", "answer": answer(), "name": "Ann"}))
        .await;
    assert!(matches!(ann.hears().await, ServerMessage::Accepted { call: taken } if taken == call));
    let ServerMessage::Signal { signal, .. } = ann.hears().await else {
        panic!()
    };
    assert_eq!(Signal::from_raw(&signal), Ok(sdp(SdpType::Answer)));
    ann.says(ClientMessage::HangUp { call }).await;
    assert_eq!(bob.hear().await, json!({"type": "leave"}));
}

#[tokio::test]
async fn a_page_calls_a_native_peer_by_its_registered_name_and_by_the_one_in_its_room() {
    let (_server, address) = server().await;
    let mut bob = Page::of(address, "bob").await;
    let mut ann = Native::open(address, "Ann").await;
    ann.says(ClientMessage::Register {
        name: Name::new("ann").unwrap(),
    })
    .await;
    ann.joins("foo", Some("ann of foo")).await;
    bob.says(json!({"type": "offer", "offer": offer(), "name": "ann"}))
        .await;
    assert_eq!(bob.hear().await["type"], "ringing");
    let ServerMessage::Ring {
        call, room, name, ..
    } = ann.hears().await
    else {
        panic!()
    };
    assert_eq!(name.as_str(), "bob");
    ann.says(ClientMessage::Accept { call: call.clone() }).await;
    assert_eq!(bob.hear().await, json!({"type": "accept", "name": "ann"}));
    ann.joins(room.as_str(), None).await;
    let ServerMessage::Signal { from, signal, .. } = ann.hears().await else {
        panic!()
    };
    assert_eq!(Signal::from_raw(&signal), Ok(sdp(SdpType::Offer)));
    let signal = sdp(SdpType::Answer).to_raw().unwrap();
    let to = Some(from);
    ann.says(ClientMessage::Signal { room, to, signal }).await;
    assert_eq!(
        bob.hear().await,
        json!({"type": "answer", "answer": answer()})
    );
    bob.says(json!({"type": "leave", "name": "ann"})).await;
    assert!(matches!(ann.hears().await, ServerMessage::HungUp { .. }));
    assert!(matches!(ann.hears().await, ServerMessage::PeerLeft { .. }));
    // By the name of a room's member: nobody is rung, the page comes in with its offer.
    bob.says(json!({"type": "offer", "offer": offer(), "name": "ann of foo"}))
        .await;
    assert!(
        matches!(ann.hears().await, ServerMessage::PeerJoined { room, .. } if room.as_str() == "foo")
    );
    let ServerMessage::Signal { signal, .. } = ann.hears().await else {
        panic!()
    };
    assert_eq!(Signal::from_raw(&signal), Ok(sdp(SdpType::Offer)));
    bob.says(json!({"type": "leave", "name": "ann of foo"}))
        .await;
    assert!(matches!(ann.hears().await, ServerMessage::PeerLeft { .. }));
}

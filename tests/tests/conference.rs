//! The conference dialect with real clients of Socket.IO, each row of it, over both transports and beside native peers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use rtc_e2e::server::TestServer;
use rtc_e2e::socketio::SocketIo;
use serde_json::{Value, json};

/// A client of 2.x by long-polling and one of 4.x by WebSocket: the old and the new revision of Engine.IO.
const KINDS: [(u8, &str); 2] = [(2, "polling"), (4, "websocket")];

struct Page {
    socket: SocketIo,
    id: String,
}

impl Page {
    async fn outside(server: &TestServer, kind: usize) -> SocketIo {
        let (major, transport) = KINDS[kind % KINDS.len()];
        SocketIo::connect(major, transport, &server.url())
            .await
            .unwrap()
    }

    /// In room `r` as `name`; what it was told is checked and read.
    async fn inside(server: &TestServer, kind: usize, name: &str) -> (Self, Value) {
        let mut socket = Self::outside(server, kind).await;
        let answer = socket.ask(json!(["join", "r", name])).await.unwrap();
        assert_eq!(answer["ok"], true, "{answer}");
        let id = answer["id"].as_str().unwrap().to_owned();
        let joined = socket.event().await.unwrap();
        assert_eq!(joined, json!(["joined", "r", id, answer["members"]]));
        (Self { socket, id }, answer["members"].clone())
    }

    async fn hears(&mut self, event: Value) {
        assert_eq!(self.socket.event().await.unwrap(), event);
    }

    async fn asks(&mut self, event: Value) -> Value {
        self.socket.ask(event).await.unwrap()
    }

    async fn refused(&mut self, event: Value) -> String {
        let answer = self.asks(event.clone()).await;
        assert_eq!(answer["ok"], false, "{event}: {answer}");
        assert!(answer["message"].is_string());
        answer["code"].as_str().unwrap().to_owned()
    }
}

/// Ann and Bob in room `r`, Ann as its moderator, nothing unread.
async fn two(server: &TestServer) -> (Page, Page) {
    let (mut ann, members) = Page::inside(server, 0, "Ann").await;
    assert_eq!(members, json!([]));
    let (bob, members) = Page::inside(server, 1, "Bob").await;
    assert_eq!(
        members,
        json!([{"id": ann.id, "name": "Ann", "role": "moderator", "muted": [], "dialect": "conference"}])
    );
    ann.hears(json!(["otherjoin", "r", bob.id, "Bob"])).await;
    (ann, bob)
}

#[tokio::test]
async fn pages_join_speak_and_leave() {
    let server = TestServer::start().await.unwrap();
    let (mut ann, mut bob) = two(&server).await;
    let (mut carl, members) = Page::inside(&server, 2, "Carl").await;
    assert_eq!(members.as_array().unwrap().len(), 2);
    for page in [&mut ann, &mut bob] {
        page.hears(json!(["otherjoin", "r", carl.id, "Carl"])).await;
    }
    // To all others, as it was written.
    let data = json!({"type": "offer", "sdp": "v=0\r\n", "b": [1, null]});
    let answer = ann.asks(json!(["message", "r", data])).await;
    assert_eq!(answer, json!({"ok": true}));
    for page in [&mut bob, &mut carl] {
        page.hears(json!(["message", "r", data, ann.id])).await;
    }
    // To one.
    bob.asks(json!(["message", "r", "only you", ann.id])).await;
    ann.hears(json!(["message", "r", "only you", bob.id])).await;
    let answer = carl.asks(json!(["leave", "r"])).await;
    assert_eq!(answer, json!({"ok": true, "room": "r"}));
    carl.hears(json!(["leaved", "r", carl.id])).await;
    for page in [&mut ann, &mut bob] {
        // Nothing that was not for them came before.
        page.hears(json!(["bye", "r", carl.id])).await;
    }
    bob.socket.close().await.unwrap();
    ann.hears(json!(["bye", "r", bob.id])).await;
}

#[tokio::test]
async fn a_room_takes_sixty_four_and_the_next_is_told_that_it_is_full() {
    let config = rtc_server::Config {
        limits: rtc_protocol::Limits {
            room_capacity: 3,
            ..rtc_server::Config::default().limits
        },
        ..rtc_server::Config::localhost(0)
    };
    let small = TestServer::start_with(config).await.unwrap();
    let (mut ann, mut bob) = two(&small).await;
    let (_carl, _) = Page::inside(&small, 0, "Carl").await;
    let mut late = Page::outside(&small, 1).await;
    let answer = late.ask(json!(["join", "r", "Late"])).await.unwrap();
    assert_eq!(answer["code"], "room-full");
    let full = late.event().await.unwrap();
    assert_eq!((&full[0], &full[1]), (&json!("full"), &json!("r")));
    // It hears nothing of the room, and says nothing into it.
    let answer = late.ask(json!(["message", "r", "hello"])).await.unwrap();
    assert_eq!(answer["code"], "not-joined");
    for page in [&mut ann, &mut bob] {
        let came = page.socket.event().await.unwrap();
        assert_eq!(came[3], "Carl");
    }
    ann.asks(json!(["message", "r", "among us"])).await;
    bob.hears(json!(["message", "r", "among us", ann.id])).await;
    late.emit(json!(["join", "other"])).await.unwrap();
    assert_eq!(late.event().await.unwrap()[0], "joined");
    // Where nothing else is said a room has sixty-four.
    let server = TestServer::start().await.unwrap();
    let mut maker = Page::outside(&server, 1).await;
    assert_eq!(maker.ask(json!(["join", "r"])).await.unwrap()["ok"], true);
    let rooms = rtc_server::Config::default().limits.room_capacity;
    assert_eq!(rooms, 64);
}

#[tokio::test]
async fn moderators_mute_put_out_and_grant_and_others_do_not() {
    let server = TestServer::start().await.unwrap();
    let (mut ann, mut bob) = two(&server).await;
    let (a, b) = (ann.id.clone(), bob.id.clone());
    assert_eq!(
        bob.refused(json!(["mute", "r", a, "audio"])).await,
        "not-allowed"
    );
    assert_eq!(bob.refused(json!(["kick", "r", a])).await, "not-allowed");
    assert_eq!(
        bob.refused(json!(["grant", "r", b, "moderator"])).await,
        "not-allowed"
    );
    assert_eq!(ann.asks(json!(["mute", "r", b, "audio"])).await["ok"], true);
    for page in [&mut ann, &mut bob] {
        page.hears(json!(["muted", "r", b, "audio", a])).await;
    }
    assert_eq!(
        bob.refused(json!(["unmute", "r", b, "audio"])).await,
        "not-allowed"
    );
    assert_eq!(
        ann.asks(json!(["unmute", "r", b, "audio"])).await["ok"],
        true
    );
    for page in [&mut ann, &mut bob] {
        page.hears(json!(["unmuted", "r", b, "audio", a])).await;
    }
    assert_eq!(
        ann.asks(json!(["grant", "r", b, "moderator"])).await["ok"],
        true
    );
    for page in [&mut ann, &mut bob] {
        page.hears(json!(["granted", "r", b, "moderator", a])).await;
    }
    assert_eq!(bob.asks(json!(["kick", "r", a, "noise"])).await["ok"], true);
    ann.hears(json!(["kicked", "r", a, b, "noise"])).await;
    bob.hears(json!(["kicked", "r", a])).await;
    bob.hears(json!(["bye", "r", a])).await;
    assert_eq!(ann.refused(json!(["join", "r"])).await, "not-allowed");
    assert_eq!(ann.refused(json!(["broadcast", 1])).await, "not-allowed");
}

#[tokio::test]
async fn bad_input_is_answered_and_changes_nothing() {
    let server = TestServer::start().await.unwrap();
    let (mut ann, mut bob) = two(&server).await;
    let long = "x".repeat(10_000);
    for (event, code) in [
        (json!(["join"]), "bad-message"),
        (json!(["join", null]), "bad-message"),
        (json!(["join", {"toString": 1}]), "bad-message"),
        (json!(["join", ""]), "bad-name"),
        (json!(["join", long]), "bad-name"),
        (json!(["join", "r"]), "already-joined"),
        (json!(["message", "elsewhere", 1]), "not-joined"),
        (json!(["message", "r", 1, "constructor"]), "bad-name"),
        (json!(["message", "r", 1, ann.id]), "no-such-peer"),
        (json!(["leave", "elsewhere"]), "not-joined"),
        (json!(["mute", "r", bob.id, "smell"]), "bad-message"),
        (json!(["kick", "r", "aaaaaaaaaaaaaaaaaaaa"]), "no-such-peer"),
        (json!(["kick", "r", ann.id]), "no-such-peer"),
        (json!(["grant", "r", bob.id, "__proto__"]), "bad-message"),
        (json!(["__proto__", "r"]), "bad-message"),
    ] {
        assert_eq!(ann.refused(event.clone()).await, code, "{event}");
    }
    // Without a callback the same is an event.
    ann.socket
        .emit(json!(["leave", "elsewhere"]))
        .await
        .unwrap();
    let error = ann.socket.event().await.unwrap();
    assert_eq!(error[0], "error");
    assert_eq!(error[1]["event"], "leave");
    assert_eq!(error[1]["code"], "not-joined");
    // Names that killed other servers are names.
    for strange in ["__proto__", "constructor", "toString", "null"] {
        assert_eq!(ann.asks(json!(["join", strange])).await["ok"], true);
        assert_eq!(ann.socket.event().await.unwrap()[0], "joined");
        assert_eq!(ann.asks(json!(["leave", strange])).await["ok"], true);
        assert_eq!(ann.socket.event().await.unwrap()[0], "leaved");
    }
    // Bob has heard nothing of it all, and is heard.
    bob.asks(json!(["message", "r", "still here"])).await;
    ann.hears(json!(["message", "r", "still here", bob.id]))
        .await;
    ann.asks(json!(["message", "r", "so am I"])).await;
    bob.hears(json!(["message", "r", "so am I", ann.id])).await;
}

#[tokio::test]
async fn one_page_is_in_so_many_rooms_and_no_more() {
    let server = TestServer::start().await.unwrap();
    let mut page = Page::outside(&server, 1).await;
    for room in 0..16 {
        let answer = page.ask(json!(["join", format!("room {room}")])).await;
        assert_eq!(answer.unwrap()["ok"], true);
    }
    let answer = page.ask(json!(["join", "one more"])).await.unwrap();
    assert_eq!(answer["code"], "too-many-rooms");
}

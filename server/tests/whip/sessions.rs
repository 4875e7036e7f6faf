//! How sessions end, and who notices.

use rtc_protocol::{ClientMessage, Dialect, Role, ServerMessage};

use super::rig::{
    Http, Native, PATIENCE, RESTART, Stage, config, description, offer, room, server,
};

#[tokio::test]
async fn delete_frees_the_place_in_the_room_before_it_is_answered() {
    let mut stage = Stage::new().await;
    assert_eq!(stage.http.delete(&stage.path).await.status, 200);
    assert_eq!(stage.native.leaver().await, stage.publisher.peer);
}

#[tokio::test]
async fn a_session_ends_when_its_partner_says_that_the_connection_is_lost() {
    let mut stage = Stage::new().await;
    let publisher = stage.publisher.peer;
    let mut other = Native::inside(stage.http.0, "bob").await;
    assert_eq!(stage.native.newcomer().await.peer, other.id);
    other.tell(publisher, r#"{"connection":"lost"}"#).await;
    stage
        .native
        .tell(publisher, r#"{"connection":"good"}"#)
        .await;
    let end = "a=end-of-candidates";
    let still = stage.http.patch(&stage.path, Some("*"), end).await;
    assert_eq!(
        still.status, 204,
        "only its partner may say so, and only so"
    );
    stage.native.signal().await;
    stage
        .native
        .tell(publisher, r#"{"connection":"lost"}"#)
        .await;
    assert_eq!(stage.native.leaver().await, publisher);
    assert_eq!(other.leaver().await, publisher);
    let gone = stage.http.patch(&stage.path, Some("*"), end).await;
    assert_eq!(gone.status, 404);
}

#[tokio::test]
async fn a_session_ends_with_its_partner() {
    let stage = Stage::new().await;
    let mut other = Native::inside(stage.http.0, "bob").await;
    let partner = stage.native.id;
    stage.native.bye().await;
    let mut left = Vec::new();
    while left.len() < 2 {
        match other.next().await {
            ServerMessage::PeerLeft { peer, .. } => left.push(peer),
            ServerMessage::Granted { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(left, [partner, stage.publisher.peer]);
    assert_eq!(stage.http.delete(&stage.path).await.status, 404);
}

#[tokio::test]
async fn a_moderator_puts_a_publisher_out() {
    let mut stage = Stage::new().await;
    let publisher = stage.publisher.peer;
    let (tag, restart) = (Some("*"), RESTART);
    let (open, ()) = tokio::join!(stage.http.patch(&stage.path, tag, restart), async {
        stage.native.offered().await;
        stage
            .native
            .say(ClientMessage::Kick {
                room: room(),
                peer: publisher,
                reason: None,
            })
            .await;
        assert_eq!(stage.native.leaver().await, publisher);
    });
    assert_eq!(open.status, 403, "{open:?}");
    assert_eq!(stage.http.delete(&stage.path).await.status, 404);
}

#[tokio::test]
async fn a_publisher_that_comes_first_hands_the_right_to_moderate_on() {
    let mut config = config();
    config.whip.patience.partner = PATIENCE;
    let (_running, address) = server(config).await;
    let http = Http(address);
    let offer = offer();
    let (created, ()) = tokio::join!(http.post("/whip/r", &offer), async {
        // Until the publisher is inside.
        while !(http.ask("GET", "/healthz", &[], b"").await.body).contains("\"rooms\":1") {}
        let mut ann = Native::inside(address, "ann").await;
        let granted = ann.next().await;
        assert!(
            matches!(granted, ServerMessage::Granted { peer, .. } if peer == ann.id),
            "{granted:?}"
        );
        let (from, _) = ann.offered().await;
        ann.answer(from, &description("answ", "recvonly")).await;
        ann.say(ClientMessage::Kick {
            room: room(),
            peer: from,
            reason: None,
        })
        .await;
        assert_eq!(ann.leaver().await, from);
    });
    assert_eq!(created.status, 201);
}

#[tokio::test]
async fn a_publisher_whose_request_is_given_up_is_not_left_in_the_room() {
    use tokio::io::AsyncWriteExt;
    let (_running, address) = server(config()).await;
    let mut ann = Native::inside(address, "ann").await;
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let headers = [("Content-Type", "application/sdp")];
    let request = Http::request("POST", "/whip/r", &headers, offer().as_bytes());
    stream.write_all(&request).await.unwrap();
    let publisher = ann.newcomer().await.peer;
    drop(stream);
    ann.offered().await;
    assert_eq!(ann.leaver().await, publisher);
}

#[tokio::test]
async fn publishers_spread_over_the_members() {
    let (_running, address) = server(config()).await;
    let http = Http(address);
    let mut ann = Native::inside(address, "ann").await;
    let mut bob = Native::inside(address, "bob").await;
    ann.newcomer().await;
    let offer = offer();
    let (first, one) = tokio::join!(
        http.post("/whip/r", &offer),
        ann.serve(Dialect::Whip, "recvonly")
    );
    assert_eq!(bob.newcomer().await.peer, one.peer);
    let (second, two) = tokio::join!(
        http.post("/whip/r", &offer),
        bob.serve(Dialect::Whip, "recvonly")
    );
    assert_eq!((first.status, second.status), (201, 201));
    assert_eq!((one.role, two.role), (Role::Member, Role::Member));
}

#[tokio::test]
async fn a_server_that_stops_tells_the_request_that_waits() {
    let mut config = config();
    config.whip.patience.answer = PATIENCE;
    let (running, address) = server(config).await;
    let http = Http(address);
    let mut ann = Native::inside(address, "ann").await;
    let offer = offer();
    let (waiting, ()) = tokio::join!(http.post("/whip/r", &offer), async {
        ann.newcomer().await;
        ann.offered().await;
        running.shutdown().await;
    });
    assert_eq!(waiting.status, 503, "{waiting:?}");
    assert_eq!(waiting.header("retry-after"), "5");
}

#[tokio::test]
async fn a_session_that_stands_goes_on_while_the_server_drains() {
    let stage = Stage::new().await;
    let drain = stage._running.drain(|_| {});
    let rest = async {
        stage._running.asked_to_drain().await;
        let late = stage.http.post("/whip/r", &offer()).await;
        assert_eq!(late.status, 503, "{late:?}");
        assert_eq!(late.header("retry-after"), "5");
        let end = "a=end-of-candidates";
        let patched = stage.http.patch(&stage.path, Some("*"), end).await;
        assert_eq!(patched.status, 204, "{patched:?}");
        assert_eq!(stage.http.delete(&stage.path).await.status, 200);
    };
    let both = async { tokio::join!(drain, rest) };
    tokio::time::timeout(PATIENCE, both)
        .await
        .expect("the drain ends with the session");
}

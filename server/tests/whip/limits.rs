//! Limits, each hit and answered.

use std::time::Duration;

use rtc_protocol::Dialect;
use rtc_server::WhipConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::rig::{Http, Native, PATIENCE, Stage, config, lonely, offer, server};

#[tokio::test]
async fn a_full_room_is_a_conflict() {
    let (_running, address) = server(config()).await;
    let _ann = Native::inside_with(address, "ann", Some(1)).await;
    let full = Http(address).post("/whip/r", &offer()).await;
    assert_eq!(full.status, 409, "{full:?}");
    assert_eq!(full.header("retry-after"), "5");
}

#[tokio::test]
async fn an_address_may_hold_so_many_sessions() {
    let mut config = lonely();
    config.exempt = Vec::new();
    config.whip.sessions_per_address = 1;
    let stage = Stage::with(config).await;
    let crowded = stage.http.post("/whip/r", &offer()).await;
    assert_eq!(crowded.status, 429);
    assert_eq!(crowded.header("retry-after"), "5");
    assert_eq!(stage.http.delete(&stage.path).await.status, 200);
    let again = stage.http.post("/whip/other", &offer()).await;
    assert_eq!(
        again.status, 503,
        "there is a place again, and nobody to answer"
    );
}

#[tokio::test]
async fn the_server_may_hold_so_many_sessions() {
    let mut config = config();
    config.whip = WhipConfig {
        sessions: 1,
        ..config.whip
    };
    let stage = Stage::with(config).await;
    let full = stage.http.post("/whip/r", &offer()).await;
    assert_eq!(full.status, 503);
    assert!(full.body.contains("sessions"), "{full:?}");
}

#[tokio::test]
async fn patches_have_a_rate() {
    let mut stage = Stage::new().await;
    let mut statuses = Vec::new();
    for _ in 0..200 {
        let done = stage
            .http
            .patch(&stage.path, Some("\"1\""), "a=end-of-candidates")
            .await;
        statuses.push(done.status);
        if done.status == 429 {
            break;
        }
    }
    assert_eq!(statuses.last(), Some(&429));
    assert!(statuses.len() > 50, "a burst is let through");
    assert_eq!(stage.http.delete(&stage.path).await.status, 200);
    loop {
        use rtc_protocol::ServerMessage::{PeerLeft, Signal};
        match stage.native.next().await {
            Signal { .. } => {}
            PeerLeft { peer, .. } => break assert_eq!(peer, stage.publisher.peer),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let mut config = config();
    config.header_time = Duration::from_millis(300);
    let (_running, address) = server(config).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let headers = [
        ("Content-Type", "application/sdp"),
        ("Content-Length", "1000"),
    ];
    let request = Http::request("POST", "/whip/r", &headers, b"v=0\r\n");
    stream.write_all(&request).await.unwrap();
    let mut answer = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut answer))
        .await
        .expect("an answer in time")
        .unwrap();
    assert!(
        answer.starts_with(b"HTTP/1.1 408 "),
        "{}",
        String::from_utf8_lossy(&answer)
    );
}

#[tokio::test]
async fn many_sessions_come_and_go_and_nothing_stays() {
    let (_running, address) = server(config()).await;
    let http = Http(address);
    let mut ann = Native::inside(address, "ann").await;
    let offer = offer();
    for _ in 0..30 {
        let (created, member) = tokio::join!(
            http.post("/whip/r", &offer),
            ann.serve(Dialect::Whip, "recvonly")
        );
        assert_eq!(http.delete(created.header("location")).await.status, 200);
        assert_eq!(ann.leaver().await, member.peer);
    }
    let health = http.ask("GET", "/healthz", &[], b"").await;
    assert!(health.body.contains("\"peers\":1"), "{health:?}");
}

#[tokio::test]
async fn bytes_of_offers_and_fragments_are_counted() {
    let stage = Stage::new().await;
    let fragment = "a=end-of-candidates";
    let done = stage.http.patch(&stage.path, Some("*"), fragment).await;
    assert_eq!(done.status, 204, "{done:?}");
    let metrics = stage.http.ask("GET", "/metrics", &[], b"").await.body;
    let bytes = offer().len() + fragment.len();
    let line = format!("rtc_bytes_received_total{{dialect=\"whip\"}} {bytes}\n");
    assert!(metrics.contains(&line), "{line}{metrics}");
}

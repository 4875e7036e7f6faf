//! What each request is answered with.

use std::time::Duration;

use rtc_protocol::{Dialect, IceServer, ServerMessage, Signal};
use rtc_server::Config;

use super::rig::{
    CANDIDATE, FRAGMENT, Http, Native, RESTART, Stage, config, description, lonely, offer, server,
};

#[tokio::test]
async fn a_publisher_gets_an_answer_with_candidates_and_the_address_of_its_session() {
    let mut config = config();
    config.ice_servers = vec![
        IceServer {
            urls: vec!["stun:stun.example:3478".into()],
            username: None,
            credential: None,
        },
        IceServer {
            urls: vec!["turn:turn.example?transport=udp".into()],
            username: Some("ann".into()),
            credential: Some("se\"cret".into()),
        },
    ];
    let stage = Stage::with(config).await;
    let created = &stage.created;
    assert_eq!(created.header("content-type"), "application/sdp");
    assert_eq!(created.header("etag"), "\"1\"");
    assert_eq!(created.header("accept-patch"), FRAGMENT);
    let session = stage.path.strip_prefix("/whip/r/").unwrap();
    assert!(session.len() >= 43, "256 bits: {session}");
    assert_eq!(
        created.all("link"),
        [
            r#"<stun:stun.example:3478>; rel="ice-server""#,
            r#"<turn:turn.example?transport=udp>; rel="ice-server"; username="ann"; credential="se\"cret"; credential-type="password""#
        ]
    );
    assert!(created.body.starts_with("v=0\r\n"));
    assert!(created.body.contains(&format!("a={CANDIDATE}\r\n")));
    assert!(created.body.contains("a=end-of-candidates\r\n"));
    let name = stage.publisher.name.as_str();
    assert!(name.starts_with("whip-"), "{name}");
}

#[tokio::test]
async fn a_player_is_answered_by_the_member_it_asks_for_and_has_the_name_it_gives() {
    let (_running, address) = server(config()).await;
    let mut ann = Native::inside(address, "ann").await;
    let mut bob = Native::inside(address, "bob").await;
    ann.newcomer().await;
    let http = Http(address);
    let play = description("zjkk", "sendrecv");
    let (created, member) = tokio::join!(
        http.post("/whep/r?to=bob&name=tv", &play),
        bob.serve(Dialect::Whep, "sendonly")
    );
    assert_eq!(created.status, 201, "{created:?}");
    assert_eq!(member.name.as_str(), "tv");
    assert!(created.header("location").starts_with("/whep/r/"));
    assert_eq!(ann.newcomer().await.peer, member.peer);
    assert_eq!(http.delete(created.header("location")).await.status, 200);
    assert_eq!(
        ann.leaver().await,
        member.peer,
        "nothing but the coming and going"
    );
}

#[tokio::test]
async fn what_is_no_offer_is_refused_with_the_right_status() {
    let (_running, address) = server(config()).await;
    let http = Http(address);
    let sdp = [("Content-Type", "application/sdp")];
    let post = async |headers: &[(&str, &str)], body: &str| {
        let response = http.ask("POST", "/whip/r", headers, body.as_bytes()).await;
        assert!(!response.body.is_empty(), "{response:?}");
        response.status
    };
    assert_eq!(post(&[], &offer()).await, 415);
    assert_eq!(post(&[("Content-Type", "text/plain")], &offer()).await, 415);
    assert_eq!(post(&sdp, "").await, 400);
    assert_eq!(post(&sdp, "hello").await, 400);
    assert_eq!(post(&sdp, "v=0\r\n\u{0}").await, 400);
    assert_eq!(post(&sdp, "v=0\r\n").await, 422);
    assert_eq!(post(&sdp, &description("zjkk", "recvonly")).await, 422);
    assert_eq!(post(&sdp, &description("zjkk", "inactive")).await, 422);
    let large = format!("{}{}", offer(), "a=x\r\n".repeat(8_000));
    assert_eq!(post(&sdp, &large).await, 413);
    assert_eq!(
        post(&[sdp[0], ("Content-Length", "99999999")], "").await,
        413
    );
    let broken = http.ask("POST", "/whip/r", &sdp, b"v=0\r\n\xff\xfe").await;
    assert_eq!(broken.status, 400);
    let play = http.post("/whep/r", &offer()).await;
    assert_eq!(play.status, 422);
    assert!(play.body.contains("/whip"), "{play:?}");
    for room in ["..%2fx", "a%00b", &"x".repeat(200)] {
        let path = format!("/whip/{room}");
        assert_eq!(http.post(&path, &offer()).await.status, 404, "{room}");
    }
    let name = http.post("/whip/r?name=", &offer()).await;
    assert_eq!(name.status, 400);
}

#[tokio::test]
async fn nobody_to_answer_is_told_after_a_bounded_wait() {
    let (_running, address) = server(lonely()).await;
    let http = Http(address);
    let publish = http.post("/whip/r", &offer()).await;
    assert_eq!(publish.status, 503);
    assert_eq!(publish.header("retry-after"), "5");
    assert!(publish.body.contains("rtc-client join r"), "{publish:?}");
    let play = http.post("/whep/r", &description("zjkk", "recvonly")).await;
    assert_eq!(play.status, 409);
    assert_eq!(play.header("retry-after"), "5");
    let _ann = Native::inside(address, "ann").await;
    let other = http.post("/whip/r?to=zoe", &offer()).await;
    assert_eq!(other.status, 503);
    assert!(other.body.contains("zoe"), "{other:?}");
}

#[tokio::test]
async fn a_member_that_does_not_answer_or_answers_nonsense_is_told_apart() {
    let mut short = config();
    short.whip.patience.answer = Duration::from_millis(600);
    let (_running, address) = server(short).await;
    let _ann = Native::inside(address, "ann").await;
    let silent = Http(address).post("/whip/r", &offer()).await;
    assert_eq!(silent.status, 504);
    let (_running, address) = server(config()).await;
    let http = Http(address);
    let mut ann = Native::inside(address, "ann").await;
    for (answer, status) in [
        ("v=0\r\n".to_owned(), 502),
        (description("answ", "inactive"), 422),
        (
            description("answ", "recvonly").replace("m=video 9", "m=video 0"),
            422,
        ),
    ] {
        let offer = offer();
        let (refused, ()) = tokio::join!(http.post("/whip/r", &offer), async {
            ann.newcomer().await;
            let (from, _) = ann.offered().await;
            ann.answer(from, &answer).await;
            // What came after a useless answer found nobody.
            while !matches!(ann.next().await, ServerMessage::PeerLeft { peer, .. } if peer == from)
            {
            }
        });
        assert_eq!(refused.status, status, "{refused:?}");
    }
}

#[tokio::test]
async fn an_answer_whose_candidates_never_end_is_given_in_time() {
    let mut short = config();
    short.whip.patience.gather = Duration::from_millis(300);
    let (_running, address) = server(short).await;
    let http = Http(address);
    let mut ann = Native::inside(address, "ann").await;
    let offer = offer();
    let (created, ()) = tokio::join!(http.post("/whip/r", &offer), async {
        ann.newcomer().await;
        let (from, _) = ann.offered().await;
        let (kind, sdp) = (
            rtc_protocol::SdpType::Answer,
            description("answ", "recvonly"),
        );
        let answer = rtc_protocol::Description { kind, sdp };
        ann.send(from, &Signal::Description(answer)).await;
    });
    assert_eq!(created.status, 201);
    assert!(created.body.contains("a=end-of-candidates"));
}

#[tokio::test]
async fn candidates_trickle_to_the_member() {
    let mut stage = Stage::new().await;
    let body = format!("a=mid:1\r\na={CANDIDATE}\r\na=end-of-candidates\r\n");
    let done = stage.http.patch(&stage.path, Some("\"1\""), &body).await;
    assert_eq!(done.status, 204);
    assert_eq!(done.header("etag"), "", "as RFC 9725 section 4.3.2 has it");
    let (from, signal) = stage.native.signal().await;
    assert_eq!(from, stage.publisher.peer);
    let Signal::Candidate(candidate) = signal else {
        panic!("{signal:?}");
    };
    assert_eq!(candidate.candidate, CANDIDATE);
    assert_eq!(candidate.sdp_mid.as_deref(), Some("1"));
    assert_eq!(candidate.sdp_m_line_index, Some(1));
    assert_eq!(candidate.username_fragment.as_deref(), Some("zjkk"));
    assert_eq!(stage.native.signal().await.1, Signal::EndOfCandidates);
}

#[tokio::test]
async fn patch_needs_the_current_tag_the_right_type_and_a_fragment() {
    let stage = Stage::new().await;
    let (http, path) = (&stage.http, &stage.path);
    let end = "a=end-of-candidates";
    assert_eq!(http.patch(path, None, end).await.status, 428);
    assert_eq!(http.patch(path, Some("\"0\""), end).await.status, 412);
    assert_eq!(http.patch(path, Some("W/\"1\""), end).await.status, 412);
    assert_eq!(http.patch(path, Some("\"1\""), "").await.status, 400);
    assert_eq!(http.patch(path, Some("\"1\""), "v=0").await.status, 400);
    let half = "a=ice-ufrag:ysXw";
    assert_eq!(http.patch(path, Some("*"), half).await.status, 400);
    let long = "a=x\r\n".repeat(5_000);
    assert_eq!(http.patch(path, Some("\"1\""), &long).await.status, 413);
    let tag = ("If-Match", "\"1\"");
    let wrong = [tag, ("Content-Type", "application/sdp")];
    let response = http.ask("PATCH", path, &wrong, end.as_bytes()).await;
    assert_eq!(response.status, 415);
    let several = [tag, ("If-Match", "\"7\""), ("Content-Type", FRAGMENT)];
    let response = http.ask("PATCH", path, &several, end.as_bytes()).await;
    assert_eq!(response.status, 204);
}

#[tokio::test]
async fn ice_restarts_with_a_new_tag() {
    let mut stage = Stage::new().await;
    let (restarted, ()) = tokio::join!(stage.http.patch(&stage.path, Some("*"), RESTART), async {
        let (from, offer) = stage.native.offered().await;
        assert!(offer.contains("a=ice-ufrag:ysXw\r\n"), "{offer}");
        stage
            .native
            .answer(from, &description("next", "recvonly"))
            .await;
    });
    assert_eq!(restarted.status, 200, "{restarted:?}");
    assert_eq!(restarted.header("content-type"), FRAGMENT);
    assert_eq!(restarted.header("etag"), "\"2\"");
    assert!(restarted.body.contains("a=ice-ufrag:next\r\n"));
    assert!(restarted.body.contains(&format!("a={CANDIDATE}\r\n")));
    let end = "a=end-of-candidates";
    let (http, path) = (&stage.http, &stage.path);
    assert_eq!(http.patch(path, Some("\"1\""), end).await.status, 412);
    assert_eq!(http.patch(path, Some("\"2\""), end).await.status, 204);
}

#[tokio::test]
async fn a_restart_that_is_not_answered_fails_and_the_session_stands() {
    // Long enough for what is answered, and for the second to come while the first waits.
    let mut short = config();
    short.whip.patience.answer = Duration::from_secs(3);
    let mut stage = Stage::with(short).await;
    let third = RESTART.replace("ysXw", "third");
    let (first, second) = tokio::join!(stage.http.patch(&stage.path, Some("*"), RESTART), async {
        stage.native.offered().await;
        stage.http.patch(&stage.path, Some("*"), &third).await
    });
    assert_eq!(first.status, 504);
    assert_eq!(second.status, 409, "one after the other");
    let end = "a=end-of-candidates";
    let still = stage.http.patch(&stage.path, Some("\"1\""), end).await;
    assert_eq!(still.status, 204);
}

#[tokio::test]
async fn other_methods_are_refused_and_get_shows_nothing() {
    let stage = Stage::new().await;
    let http = &stage.http;
    for (path, not) in [
        ("/whip/r", "PATCH DELETE PUT"),
        (&stage.path, "POST PUT TRACE"),
    ] {
        for method in not.split(' ') {
            let response = http.ask(method, path, &[], b"").await;
            assert_eq!(response.status, 405, "{method} {path}");
            assert!(response.header("allow").contains("OPTIONS"), "{response:?}");
        }
        for method in ["GET", "HEAD"] {
            let response = http.ask(method, path, &[], b"").await;
            assert_eq!(
                (response.status, &*response.body),
                (204, ""),
                "{method} {path}"
            );
        }
    }
}

#[tokio::test]
async fn an_unknown_session_is_not_found() {
    let stage = Stage::new().await;
    let http = &stage.http;
    let id = stage.path.rsplit('/').next().unwrap();
    let elsewhere = [
        "/whip/r/nothing".to_owned(),
        format!("/whip/other/{id}"),
        format!("/whep/r/{id}"),
        format!("/whip/a%2fb/{id}"),
    ];
    for path in &elsewhere {
        assert_eq!(http.delete(path).await.status, 404, "{path}");
        let patched = http.patch(path, Some("*"), RESTART).await;
        assert_eq!(patched.status, 404, "{path}");
        assert_eq!(http.ask("GET", path, &[], b"").await.status, 404, "{path}");
    }
    assert_eq!(http.delete(&stage.path).await.status, 200);
    assert_eq!(http.delete(&stage.path).await.status, 404);
}

#[tokio::test]
async fn options_tell_what_may_be_sent_to_pages_that_may() {
    let allowed = Config {
        allow_origins: vec!["https://studio.example".into()],
        ..config()
    };
    let stage = Stage::with(allowed).await;
    let http = &stage.http;
    let plain = http.ask("OPTIONS", "/whip/r", &[], b"").await;
    assert_eq!(plain.status, 200);
    assert_eq!(plain.header("accept-post"), "application/sdp");
    assert_eq!(plain.header("access-control-allow-origin"), "");
    let page = [
        ("Origin", "https://studio.example"),
        ("Access-Control-Request-Method", "POST"),
    ];
    for path in ["/whip/r", "/whep/r", &stage.path] {
        let preflight = http.ask("OPTIONS", path, &page, b"").await;
        assert_eq!(preflight.status, 200);
        let header = |name: &str| preflight.header(name).to_owned();
        assert_eq!(
            header("access-control-allow-origin"),
            "https://studio.example"
        );
        assert!(header("access-control-allow-methods").contains("PATCH"));
        assert!(header("access-control-allow-headers").contains("If-Match"));
        assert!(header("access-control-expose-headers").contains("Location"));
        assert_eq!(header("vary"), "Origin");
    }
    let patch = http.ask("OPTIONS", &stage.path, &page, b"").await;
    assert_eq!(patch.header("accept-patch"), FRAGMENT);
    let stranger = [
        ("Origin", "https://evil.example"),
        ("Content-Type", "application/sdp"),
    ];
    for (method, path) in [
        ("POST", "/whip/r"),
        ("OPTIONS", "/whip/r"),
        ("DELETE", &stage.path),
    ] {
        let refused = http.ask(method, path, &stranger, offer().as_bytes()).await;
        assert_eq!(refused.status, 403, "{method}");
        assert_eq!(refused.header("access-control-allow-origin"), "");
    }
    let own = [
        ("Origin", "http://localhost"),
        ("Content-Type", FRAGMENT),
        ("If-Match", "\"1\""),
    ];
    let done = http
        .ask("PATCH", &stage.path, &own, b"a=end-of-candidates")
        .await;
    assert_eq!(done.status, 204);
    assert_eq!(
        done.header("access-control-allow-origin"),
        "http://localhost"
    );
}

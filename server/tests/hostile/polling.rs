//! Bad requests of Socket.IO by polling: the one who makes them pays.

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use rtc_server::Config;

use crate::page::*;
use crate::rig::*;

#[tokio::test]
async fn a_session_that_is_not_there_is_not_to_be_had() {
    let (_running, address) = server().await;
    let mut watch = Watch::over(address).await;
    let gone = Poller::connected(address).await;
    gone.say("41").await;
    // Its last words, then it has ended.
    while gone.poll().await.0 == 200 {}
    for sid in [
        gone.query.as_str(),
        "&sid=AAAAAAAAAAAAAAAA",
        "&sid=",
        "&sid=%00",
        "&sid=__proto__",
    ] {
        for method in ["GET", "POST"] {
            let (status, words) = request(address, method, sid, b"40").await;
            assert!(
                (400..500).contains(&status),
                "{method} {sid}: {status} {words}"
            );
        }
        let mut wire = Wire::connect(address).await;
        let path = format!("/socket.io/?EIO=4&transport=websocket{sid}");
        let request = handshake(address, &[("sec-websocket-protocol", "")]);
        let head = wire.ask(&request.replacen("/ws", &path, 1)).await;
        assert!(head.starts_with("HTTP/1.1 4"), "{sid}: {head}");
    }
    for method in ["PUT", "DELETE", "PATCH", "HEAD"] {
        let (status, _) = request(address, method, "", b"").await;
        assert!((400..500).contains(&status), "{method}: {status}");
    }
    watch.all_is_well().await;
}

#[tokio::test]
async fn two_polls_at_once_are_one_too_many() {
    let (_running, address) = server().await;
    let mut watch = Watch::over(address).await;
    let mut mate = Page::of_a_pair(address, "r").await;
    let page = Poller::connected(address).await;
    page.say(r#"42["create or join","r"]"#).await;
    page.until(r#"["ready"]"#).await;
    mate.until(r#"["ready"]"#).await;
    let mut polls = FuturesUnordered::from_iter([page.poll(), page.poll()]);
    while let Some((200, _)) = polls.next().await {
        // There was still something to tell.
        polls.push(page.poll());
    }
    // Nobody can tell any more what went to which of them: the page has ended.
    mate.until("bye").await;
    assert_eq!(page.poll().await.0, 400);
    watch.all_is_well().await;
}

#[tokio::test]
async fn bodies_that_are_no_packets_are_refused() {
    let (_running, address) = server().await;
    let mut watch = Watch::over(address).await;
    let large = [b"4".as_slice(), &[b'x'; 5_000_000]].concat();
    for body in [
        b"".as_slice(),
        b"\xff\xfe",
        b"9",
        b"x",
        b"\x1e\x1e\x1e",
        b"bAAAA",
        b"b!",
        &large,
    ] {
        let page = Poller::connected(address).await;
        let mut wire = Wire::connect(address).await;
        wire.try_write(&poll("POST", &page.query, body)).await;
        let (status, _) = answer(&mut wire).await;
        let shown = String::from_utf8_lossy(&body[..body.len().min(20)]);
        println!("{shown:?}: {status}");
        assert!(status < 500, "{shown:?}: {status}");
        if body.len() > 1_000_000 {
            assert!(
                status == 413 || status == 0,
                "refused, or cut before it was read: {status}"
            );
        }
        watch.all_is_well().await;
    }
}

#[tokio::test]
async fn a_body_that_is_cut_short_says_nothing() {
    let (_running, address) = server().await;
    let mut watch = Watch::over(address).await;
    let mut mate = Page::of_a_pair(address, "r").await;
    let page = Poller::connected(address).await;
    let whole = poll("POST", &page.query, br#"42["create or join","r"]"#);
    let mut wire = Wire::connect(address).await;
    wire.write(&whole[..whole.len() - 1]).await;
    drop(wire);
    mate.say(r#"42["create or join","r"]"#).await;
    assert_eq!(mate.refusal().await, "already-joined", "nobody came");
    watch.all_is_well().await;
}

#[tokio::test]
async fn thousands_of_packets_in_one_request_end_the_page_and_reach_few() {
    let (_running, address) = server().await;
    let mut watch = Watch::over(address).await;
    let mut mate = Page::of_a_pair(address, "r").await;
    let page = Poller::connected(address).await;
    page.say(r#"42["create or join","r"]"#).await;
    page.until(r#"["ready"]"#).await;
    mate.until(r#"["ready"]"#).await;
    let flood = vec![r#"42["message",1]"#; 5_000].join("\u{1e}");
    let _ = page.post(flood.as_bytes()).await;
    let mut heard = 0;
    loop {
        let text = mate.hear().await.expect("the mate is well");
        if text.contains("bye") {
            break;
        }
        heard += 1;
    }
    println!("{heard} of 5,000 were heard");
    assert!(heard < 1_000, "{heard} were heard");
    watch.all_is_well().await;
}

#[tokio::test]
async fn a_flood_of_posts_is_slowed_down_and_delays_nobody_else() {
    let (_running, address) = serve(Config {
        rate: 200,
        ..calm()
    })
    .await;
    let mut watch = Watch::over(address).await;
    let mut mate = Page::of_a_pair(address, "r").await;
    let page = Poller::connected(address).await;
    page.say(r#"42["create or join","r"]"#).await;
    page.until(r#"["ready"]"#).await;
    mate.until(r#"["ready"]"#).await;
    for _ in 0..10 {
        let posts = (0..100).map(|_| page.post(br#"42["message",1]"#));
        let (answers, ()) = tokio::join!(join_all(posts), watch.all_is_well());
        assert!(answers.iter().all(|(status, _)| *status < 500));
    }
    // It was told to slow down, or was ended: its mate hears on, or of its end.
    mate.say(r#"42["create or join","r"]"#).await;
    mate.until("already-joined").await;
    watch.all_is_well().await;
}

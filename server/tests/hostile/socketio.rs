//! Bad packets of Socket.IO by websocket: each is refused in the form of its dialect, changes nothing, and is heard by nobody.

use rtc_server::Config;

use crate::page::*;
use crate::rig::*;

#[tokio::test]
async fn packets_that_are_none_are_refused_and_change_nothing() {
    let (_running, address) = server().await;
    let mut watch = Watch::over(address).await;
    let mut page = Page::of_a_pair(address, "r").await;
    let mut mate = Page::of_a_pair(address, "r").await;
    page.until(r#"["ready"]"#).await;
    mate.until(r#"["ready"]"#).await;
    let deep = |depth: usize| {
        format!(
            r#"42["message",{}{}]"#,
            "[".repeat(depth),
            "]".repeat(depth)
        )
    };
    let unclosed = format!(r#"42["message",{}"#, "[".repeat(60_000));
    let many = format!(r#"42["message"{}]"#, ",1".repeat(100));
    let long = format!(r#"42["{}"]"#, "x".repeat(10_000));
    let (shallow, abyss) = (deep(65), deep(30_000));
    for (packet, code) in [
        ("4", "bad-message"),
        ("42", "bad-message"),
        ("42[", "bad-message"),
        ("42[]", "bad-message"),
        ("42{}", "bad-message"),
        ("42[1]", "bad-message"),
        ("42[null]", "bad-message"),
        (r#"42[{"toString":1}]"#, "bad-message"),
        (r#"42[""]"#, "bad-message"),
        (r#"42["message""#, "bad-message"),
        (r#"42"message""#, "bad-message"),
        (r#"42["message",\u0031]"#, "bad-message"),
        (r#"42["message"]["message"]"#, "bad-message"),
        (r#"42["constructor","r"]"#, "bad-message"),
        (r#"42["__proto__"]"#, "bad-message"),
        ("47", "bad-message"),
        ("4x", "bad-message"),
        // Attachments that are announced and never sent.
        (
            r#"451-["message",{"_placeholder":true,"num":0}]"#,
            "bad-message",
        ),
        (
            r#"459999999999-["message",{"_placeholder":true,"num":0}]"#,
            "bad-message",
        ),
        (r#"461-1[{"_placeholder":true,"num":0}]"#, "bad-message"),
        (&shallow, "bad-message"),
        (&abyss, "bad-message"),
        (&unclosed, "bad-message"),
        (&many, "bad-message"),
        (&long, "bad-message"),
    ] {
        page.say(packet).await;
        let shown: String = packet.chars().take(80).collect();
        assert_eq!(page.refusal().await, code, "{shown}");
        // Sense in between, or so much nonsense would end the page.
        page.say(r#"42["create or join","r"]"#).await;
        assert_eq!(page.refusal().await, "already-joined", "{shown}");
    }
    mate.say(r#"42["create or join","r"]"#).await;
    assert_eq!(mate.refusal().await, "already-joined", "and heard nothing");
    watch.all_is_well().await;
}

#[tokio::test]
async fn a_page_that_speaks_before_it_connects_is_ended() {
    let (_running, address) = server().await;
    let mut watch = Watch::over(address).await;
    for packet in [
        r#"42["create or join","r"]"#,
        "41",
        "43[]",
        "4",
        "4nonsense",
    ] {
        let mut page = Page::open(address).await;
        page.say(packet).await;
        page.ends().await;
    }
    assert_eq!(health(address).await["rooms"], 1, "the watched one");
    watch.all_is_well().await;
}

#[tokio::test]
async fn what_the_engine_does_not_know_ends_the_page_or_is_passed_over() {
    let (_running, address) = server().await;
    let mut watch = Watch::over(address).await;
    for packet in [
        "", "0", "1", "2probe", "3", "3probe", "5", "6", "7", "9", "b", "bAAAA", "\u{1e}", "é",
    ] {
        let mut page = Page::of_a_pair(address, "r").await;
        page.wire
            .try_write(&frame(FIN | TEXT, packet.as_bytes()))
            .await;
        page.wire
            .try_write(&frame(FIN | BINARY, packet.as_bytes()))
            .await;
        page.wire.try_write(&close_frame(1000, b"")).await;
        page.ends().await;
        watch.all_is_well().await;
    }
    // A client of 2.x, whose engine is another one.
    for packet in ["", "0", "2", "5", "6", "7", "b4AAAA", "99:4"] {
        let mut wire = Wire::open_at(address, "/socket.io/?EIO=3&transport=websocket").await;
        wire.try_write(&frame(FIN | TEXT, packet.as_bytes())).await;
        wire.try_write(&frame(FIN | BINARY, &[4, 0xff, 0x1e])).await;
        wire.try_write(&close_frame(1000, b"")).await;
        wire.end().await;
        watch.all_is_well().await;
    }
}

#[tokio::test]
async fn bytes_and_nonsense_without_end_end_the_page() {
    let (_running, address) = serve(Config {
        rate: 100_000,
        ..calm()
    })
    .await;
    let mut watch = Watch::over(address).await;
    let bytes = frame(FIN | BINARY, &[7; 10_000]);
    let text = frame(FIN | TEXT, b"42{");
    for bad in [bytes, text] {
        let mut page = Page::of_a_pair(address, "r").await;
        for _ in 0..100 {
            page.wire.try_write(&bad).await;
        }
        page.ends().await;
        watch.all_is_well().await;
    }
    assert_eq!(health(address).await["rooms"], 1, "the watched one");
}

#[tokio::test]
async fn a_packet_that_is_too_large_is_refused_and_one_that_is_far_too_large_ends_the_page() {
    let (_running, address) = server().await;
    let mut watch = Watch::over(address).await;
    let mut page = Page::of_a_pair(address, "r").await;
    let large = |bytes| format!(r#"42["message","{}"]"#, "x".repeat(bytes));
    page.say(&large(70_000)).await;
    assert_eq!(page.refusal().await, "too-large");
    page.say(r#"42["create or join","r"]"#).await;
    assert_eq!(page.refusal().await, "already-joined", "it goes on");
    page.wire
        .try_write(&frame(FIN | TEXT, large(5_000_000).as_bytes()))
        .await;
    page.ends().await;
    watch.all_is_well().await;
}

#[tokio::test]
async fn a_room_is_joined_once_and_ten_thousand_are_not_to_be_had() {
    let (_running, address) = serve(Config {
        rate: 100_000,
        ..calm()
    })
    .await;
    let mut watch = Watch::over(address).await;
    let (mut page, _) = Page::of_many(address, "room 0").await;
    let again = page.ask(2, r#""join","room 0""#).await;
    assert_eq!(again["code"], "already-joined", "{again}");
    let mut inside = 1;
    for number in 1..10_000 {
        let answer = page.ask(3, &format!(r#""join","room {number}""#)).await;
        match answer["code"].as_str() {
            None => inside += 1,
            Some(code) => assert_eq!(code, "too-many-rooms"),
        }
    }
    assert_eq!(inside, 16);
    assert_eq!(health(address).await["rooms"], 17, "and the watched one");
    page.wire.write(&close_frame(1000, b"")).await;
    page.ends().await;
    while health(address).await["rooms"] != 1 {
        tokio::task::yield_now().await;
    }
    watch.all_is_well().await;
}

#[tokio::test]
async fn who_is_not_in_a_room_can_do_nothing_to_it_and_a_sender_is_who_it_is() {
    let (_running, address) = server().await;
    let mut watch = Watch::over(address).await;
    let (mut ann, ann_id) = Page::of_many(address, "r").await;
    let (mut bob, bob_id) = Page::of_many(address, "r").await;
    ann.until("otherjoin").await;
    let (mut stranger, _) = Page::of_many(address, "elsewhere").await;
    let watched = id("watch-one");
    for (event, code) in [
        (r#""message","r",1"#.to_owned(), "not-joined"),
        (format!(r#""message","r",1,"{ann_id}""#), "not-joined"),
        (
            format!(r#""message","elsewhere",1,"{ann_id}""#),
            "no-such-peer",
        ),
        (
            format!(r#""message","watched",1,"{watched}""#),
            "not-joined",
        ),
        (format!(r#""mute","r","{ann_id}","audio""#), "not-joined"),
        (format!(r#""kick","r","{ann_id}""#), "not-joined"),
        (format!(r#""kick","elsewhere","{ann_id}""#), "no-such-peer"),
        (
            format!(r#""grant","r","{ann_id}","moderator""#),
            "not-joined",
        ),
        (r#""leave","r""#.to_owned(), "not-joined"),
        (r#""leave","__proto__""#.to_owned(), "not-joined"),
        (r#""broadcast",1"#.to_owned(), "not-allowed"),
        (r#""drain""#.to_owned(), "not-allowed"),
        (r#""join",{"toString":1}"#.to_owned(), "bad-message"),
        (r#""message","r""#.to_owned(), "bad-message"),
    ] {
        let answer = stranger.ask(2, &event).await;
        assert_eq!(answer["code"], code, "{event}");
    }
    // What a page says of itself is data; who it is, the server says.
    bob.say(&format!(
        r#"42["message","r",{{"from":"{ann_id}","from":"x"}},null,"{ann_id}"]"#
    ))
    .await;
    let heard = ann.hear().await.unwrap();
    let stamped = format!(r#"42["message","r",{{"from":"{ann_id}","from":"x"}},"{bob_id}"]"#);
    assert_eq!(heard, stamped, "and nothing came before it");
    watch.all_is_well().await;
}

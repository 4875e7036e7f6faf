//! What other servers of this kind have died or leaked of, where it is not a matter of one dialect alone. `docs/bad-input.md` has
//! them all.

use rtc_protocol::{CallId, Callee, ClientMessage, ErrorCode, ServerMessage};

use crate::login::LoginPage;
use crate::page::*;
use crate::rig::*;

#[tokio::test]
async fn a_frame_with_reserved_bits_or_without_a_mask_ends_its_own_page_alone() {
    let (_running, address) = server().await;
    let mut watch = Watch::over(address).await;
    for bits in [0x40, 0x20, 0x10, 0x70] {
        let broken = [
            frame(FIN | bits | TEXT, b"42[]"),
            frame(FIN | bits | CLOSE, b""),
            unmasked(FIN | TEXT, b"42[]"),
        ];
        for bytes in &broken {
            let mut page = Page::of_a_pair(address, "r").await;
            page.wire.write(bytes).await;
            page.ends().await;
            let mut page = LoginPage::of(address, "ann").await;
            page.wire.write(bytes).await;
            page.wire.end().await;
        }
    }
    watch.all_is_well().await;
}

/// Hears up to the answer to its joining twice, and nowhere these words.
async fn hears_all_but(page: &mut Page, words: &str) {
    loop {
        let heard = page.hear_all().await.expect("an answer");
        assert!(!heard.contains(words), "{heard}");
        if heard.contains("already-joined") {
            return;
        }
    }
}

#[tokio::test]
async fn nothing_that_a_page_says_comes_back_to_it() {
    let (_running, address) = server().await;
    let mut page = Page::of_a_pair(address, "r").await;
    let mut mate = Page::of_a_pair(address, "r").await;
    page.say(r#"42["message","got user media"]"#).await;
    page.say(r#"42["message","words for one"]"#).await;
    mate.until("words for one").await;
    page.say(r#"42["create or join","r"]"#).await;
    hears_all_but(&mut page, "words for one").await;
    // Nor in the other dialects.
    let (mut ann, _) = Page::of_many(address, "many").await;
    let (mut bob, _) = Page::of_many(address, "many").await;
    ann.say(r#"42["message","many","words for the rest"]"#)
        .await;
    bob.until("words for the rest").await;
    ann.say(r#"42["join","many"]"#).await;
    hears_all_but(&mut ann, "words for the rest").await;
    let mut caller = LoginPage::of(address, "caller").await;
    let mut callee = LoginPage::of(address, "callee").await;
    caller
        .says(r#"{"type":"offer","offer":"words for the callee","name":"callee"}"#)
        .await;
    callee.until("words for the callee").await;
    let told = caller.hears().await;
    assert_eq!(told, r#"{"type":"ringing","name":"callee"}"#);
    caller.wire.still_there().await;
}

#[tokio::test]
async fn who_found_a_room_full_hears_nothing_of_it() {
    let (_running, address) = server().await;
    let (mut first, _) = Page::of_many(address, "r").await;
    let mut inside = Vec::new();
    let mut outside = loop {
        let mut page = Page::connected(address).await;
        let answer = page.ask(1, r#""join","r""#).await;
        if answer["ok"] == true {
            inside.push(page);
            assert!(inside.len() < 64, "a room is full some time");
        } else {
            assert_eq!(answer["code"], "room-full");
            break page;
        }
    };
    first.say(r#"42["message","r","for members"]"#).await;
    for page in &mut inside {
        page.until("for members").await;
    }
    let answer = outside.ask(2, r#""message","r","from outside""#).await;
    assert_eq!(answer["code"], "not-joined");
    // What it is told next is what it asks for.
    outside.say(r#"423["join","r"]"#).await;
    let told = outside.hear().await.unwrap();
    assert!(told.starts_with(r#"42["full","r""#), "{told}");
    // One more than fits into a pair.
    let _pair = [
        Page::of_a_pair(address, "two").await,
        Page::of_a_pair(address, "two").await,
    ];
    let mut third = Page::connected(address).await;
    third.say(r#"42["create or join","two"]"#).await;
    assert_eq!(third.hear().await.unwrap(), r#"42["full","two"]"#);
    third.say(r#"42["message","from outside"]"#).await;
    assert_eq!(third.refusal().await, "not-joined");
}

#[tokio::test]
async fn a_callee_that_hangs_up_first_ends_the_call_and_nothing_else() {
    let (_running, address) = server().await;
    let mut watch = Watch::over(address).await;
    let mut ann = LoginPage::of(address, "ann").await;
    let mut bob = LoginPage::of(address, "bob").await;
    for _ in 0..3 {
        ann.says(r#"{"type":"offer","offer":1,"name":"bob"}"#).await;
        bob.until(r#""offer""#).await;
        bob.says(r#"{"type":"leave","name":"ann"}"#).await;
        ann.until(r#""leave""#).await;
        bob.says(r#"{"type":"leave","name":"ann"}"#).await;
        bob.until("no-call").await;
    }
    // One that closes its page instead.
    ann.says(r#"{"type":"offer","offer":1,"name":"bob"}"#).await;
    bob.until(r#""offer""#).await;
    drop(bob);
    ann.until(r#""leave""#).await;
    ann.wire.still_there().await;

    let mut caller = Wire::greeted(address, "caller").await;
    let mut callee = Wire::greeted(address, "callee").await;
    caller
        .say(ClientMessage::Ring {
            whom: Callee::Peer(id("callee")),
            room: room("r"),
        })
        .await;
    let ringing = caller.message().await;
    assert!(
        matches!(ringing, ServerMessage::Ringing { .. }),
        "{ringing:?}"
    );
    let call = match callee.message().await {
        ServerMessage::Ring { call, .. } => call,
        other => panic!("{other:?}"),
    };
    callee
        .say(ClientMessage::HangUp { call: call.clone() })
        .await;
    assert_eq!(callee.message().await, ServerMessage::Ack {});
    let over = caller.message().await;
    let ended = matches!(&over, ServerMessage::HungUp { call: which } if *which == call);
    assert!(ended, "{over:?}");
    for call in [call, CallId::new("constructor").unwrap()] {
        callee.say(ClientMessage::HangUp { call }).await;
        match callee.message().await {
            ServerMessage::Error { code, .. } => assert_eq!(code, ErrorCode::NoSuchRoom),
            other => panic!("{other:?}"),
        }
    }
    caller.still_there().await;
    watch.all_is_well().await;
}

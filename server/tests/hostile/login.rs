//! Bad words of login pages over raw sockets: refused in the dialect's own form, they change nothing and are heard by nobody.

use std::net::SocketAddr;

use rtc_server::Config;
use serde_json::Value;

use crate::rig::*;

/// A page that may say anything at all.
pub(crate) struct LoginPage {
    pub(crate) wire: Wire,
}

impl LoginPage {
    /// Connected and greeted.
    pub(crate) async fn open(address: SocketAddr) -> Self {
        let wire = Wire::open_at(address, "/").await;
        let mut page = Self { wire };
        page.until(r#""hello""#).await;
        page
    }

    /// Logged in.
    pub(crate) async fn of(address: SocketAddr, name: &str) -> Self {
        let mut page = Self::open(address).await;
        page.says(&format!(r#"{{"type":"login","name":"{name}"}}"#))
            .await;
        page.until(r#""success":true"#).await;
        page
    }

    pub(crate) async fn says(&mut self, text: &str) {
        self.wire.text(text.as_bytes()).await;
    }

    pub(crate) async fn hears(&mut self) -> String {
        let heard = self.wire.heard().await.expect("a word, not the end");
        assert_eq!(heard.first, FIN | TEXT, "{heard:?}");
        String::from_utf8(heard.payload).unwrap()
    }

    /// The next word that holds these.
    pub(crate) async fn until(&mut self, words: &str) -> String {
        loop {
            let heard = self.hears().await;
            if heard.contains(words) {
                return heard;
            }
        }
    }

    /// Everything that was said before has been dealt with, and what came of it was read.
    pub(crate) async fn round_trip(&mut self) {
        self.wire.write(&frame(FIN | PING, b"there?")).await;
        while self.wire.heard().await.expect("a pong").first != FIN | PONG {}
    }

    /// The code of the refusal that comes next.
    async fn refusal(&mut self) -> String {
        let heard = self.hears().await;
        let word: Value = serde_json::from_str(&heard).unwrap();
        let refused = word["type"] == "error" || word["success"] == false;
        assert!(refused, "{word}");
        word["code"].as_str().unwrap().to_owned()
    }
}

/// Two pages in a call.
pub(crate) async fn in_call(address: SocketAddr) -> (LoginPage, LoginPage) {
    let mut ann = LoginPage::of(address, "ann").await;
    let mut bob = LoginPage::of(address, "bob").await;
    ann.says(r#"{"type":"offer","offer":1,"name":"bob"}"#).await;
    bob.until(r#""offer""#).await;
    bob.says(r#"{"type":"answer","answer":1,"name":"ann"}"#)
        .await;
    ann.until(r#""answer""#).await;
    (ann, bob)
}

#[tokio::test]
async fn what_is_no_word_is_refused_and_changes_nothing() {
    let (_running, address) = server().await;
    let mut watch = Watch::over(address).await;
    let (mut ann, mut bob) = in_call(address).await;
    let mut page = LoginPage::of(address, "stranger").await;
    let nested = |depth: usize| {
        let (open, close) = ("[".repeat(depth), "]".repeat(depth));
        format!(r#"{{"type":"candidate","candidate":{open}{close},"name":"ann"}}"#)
    };
    let unclosed = format!(r#"{{"type":"offer","offer":{}"#, "[".repeat(60_000));
    let (deep, abyss) = (nested(65), nested(30_000));
    for text in [
        "",
        "{",
        "{}",
        "null",
        "7",
        r#""login""#,
        r#"["login","ann"]"#,
        r#"{"type":null}"#,
        r#"{"type":7}"#,
        r#"{"type":["login"]}"#,
        r#"{"type":{"toString":1}}"#,
        r#"{"type":"constructor"}"#,
        r#"{"type":"__proto__"}"#,
        r#"{"type":"login","type":"leave","name":"ann"}"#,
        r#"{"type":"leave","name":"ann","name":"bob"}"#,
        r#"{"type":"leave"}{"type":"leave"}"#,
        r#"{"type":"offer","name":"ann"}"#,
        r#"{"type":"offer","offer":1}"#,
        r#"{"type":"offer","offer":1,"name":7}"#,
        r#"{"type":"offer","offer":1,"name":{"toString":1}}"#,
        r#"{"type":"offer","offer":1,"name":""}"#,
        r#"{"type":"answer","name":"ann"}"#,
        r#"{"type":"candidate","name":"ann"}"#,
        r#"{"type":"leave","name":"\ud800"}"#,
        &deep,
        &abyss,
        &unclosed,
    ] {
        page.says(text).await;
        let shown: String = text.chars().take(80).collect();
        assert_eq!(page.refusal().await, "bad-message", "{shown}");
        // Sense in between, or so much nonsense would close the link.
        page.says(r#"{"type":"leave"}"#).await;
        assert_eq!(page.refusal().await, "no-call", "{shown}");
    }
    for page in [&mut ann, &mut bob] {
        page.wire.still_there().await;
    }
    watch.all_is_well().await;
}

#[tokio::test]
async fn a_call_is_for_its_two_whatever_a_third_says_it_is() {
    let (_running, address) = server().await;
    let mut watch = Watch::over(address).await;
    let (mut ann, mut bob) = in_call(address).await;
    let mut carl = LoginPage::of(address, "carl").await;
    for (text, code) in [
        (
            r#"{"type":"answer","answer":1,"name":"ann","from":"bob"}"#,
            "no-call",
        ),
        (
            r#"{"type":"candidate","candidate":1,"name":"ann","from":"bob"}"#,
            "no-call",
        ),
        (
            r#"{"type":"candidate","candidate":1,"name":"bob","room":"watched"}"#,
            "no-call",
        ),
        (r#"{"type":"leave","name":"ann"}"#, "no-call"),
        (r#"{"type":"accept","name":"ann"}"#, "no-call"),
        (r#"{"type":"refuse","name":"ann"}"#, "no-call"),
        (
            r#"{"type":"offer","offer":1,"name":"constructor"}"#,
            "no-such-user",
        ),
        (
            r#"{"type":"offer","offer":1,"name":"carl"}"#,
            "no-such-user",
        ),
        (
            r#"{"type":"offer","offer":1,"name":"watch-one"}"#,
            "no-such-user",
        ),
        (r#"{"type":"login","name":"ann"}"#, "name-taken"),
    ] {
        carl.says(text).await;
        assert_eq!(carl.refusal().await, code, "{text}");
    }
    carl.says(r#"{"type":"offer","offer":1,"name":"ann"}"#)
        .await;
    carl.until("busy").await;
    // Whoever is called, and by whom: the name is the server's.
    ann.says(r#"{"type":"candidate","candidate":2,"name":"bob","from":"carl"}"#)
        .await;
    assert_eq!(bob.hears().await, r#"{"type":"candidate","candidate":2}"#);
    ann.wire.still_there().await;
    watch.all_is_well().await;
}

#[tokio::test]
async fn ten_thousand_names_are_one() {
    let (_running, address) = serve(Config {
        rate: 100_000,
        ..calm()
    })
    .await;
    let mut watch = Watch::over(address).await;
    let mut page = LoginPage::open(address).await;
    for number in 0..10_000 {
        page.says(&format!(r#"{{"type":"login","name":"name {number}"}}"#))
            .await;
        page.until(r#""success":true"#).await;
    }
    let mut other = LoginPage::of(address, "name 0").await;
    other.says(r#"{"type":"login","name":"name 9999"}"#).await;
    assert_eq!(other.refusal().await, "name-taken");
    assert_eq!(health(address).await["rooms"], 1, "the watched one");
    watch.all_is_well().await;
}

#[tokio::test]
async fn a_call_to_everybody_in_a_row_leaves_nothing_behind() {
    let (_running, address) = serve(Config {
        rate: 100_000,
        ..calm()
    })
    .await;
    let mut watch = Watch::over(address).await;
    let mut ann = LoginPage::of(address, "ann").await;
    let mut bob = LoginPage::of(address, "bob").await;
    for _ in 0..1_000 {
        ann.says(r#"{"type":"offer","offer":1,"name":"bob"}"#).await;
        bob.until(r#""offer""#).await;
        ann.says(r#"{"type":"leave"}"#).await;
        bob.until(r#""leave""#).await;
    }
    assert_eq!(health(address).await["rooms"], 1, "the watched one");
    watch.all_is_well().await;
}

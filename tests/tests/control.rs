//! A client driven by another program: commands in, an answer to each out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use rtc_e2e::alone::alone;
use rtc_e2e::process::Client;
use rtc_e2e::server::TestServer;
use serde_json::{Value, json};

/// Gives a command and waits for its answer.
async fn ask(client: &mut Client, command: Value) -> Value {
    client.type_line(&command.to_string()).await.unwrap();
    let answered = client.wait_for("answer", |event| event["id"] == command["id"]);
    answered.await.unwrap()
}

async fn pair(server: &TestServer) -> (Client, Client) {
    let url = server.url();
    let common = [
        "join",
        "cockpit",
        "--headless",
        "--size",
        "320x180",
        "--server",
        &url,
    ];
    let start = |more: &[&str]| Client::start(&[&common[..], more].concat()).unwrap();
    let mut far = start(&["--as", "far", "--until-alone"]);
    far.wait_for("joined", |_| true).await.unwrap();
    let mut near = start(&["--as", "near", "--control"]);
    near.wait_for("first-frame", |event| event["kind"] == "video")
        .await
        .unwrap();
    (near, far)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_command_is_done_and_answered() {
    let _alone = alone().await;
    let server = TestServer::start().await.unwrap();
    let (mut near, mut far) = pair(&server).await;

    let done = ask(&mut near, json!({"id": 1, "do": "mute", "what": "audio"})).await;
    assert!(done.get("error").is_none(), "{done}");
    let muted = far
        .wait_for("peer-muted", |event| event["muted"] == true)
        .await
        .unwrap();
    assert_eq!(muted["kind"], "audio");
    ask(&mut near, json!({"id": 2, "do": "unmute", "what": "audio"})).await;
    far.wait_for("peer-muted", |event| event["muted"] == false)
        .await
        .unwrap();

    // The channel may open a moment after the first picture; until then nobody is told.
    let say = json!({"id": 3, "do": "chat", "text": "hello"});
    while ask(&mut near, say.clone()).await.get("error").is_some() {}
    let line = far.wait_for("chat", |_| true).await.unwrap();
    assert_eq!(line["text"], "hello");
    ask(&mut near, json!({"id": 4, "do": "dial", "keys": "7"})).await;
    far.wait_for("tone-received", |event| event["tone"] == "7")
        .await
        .unwrap();

    let stats = ask(&mut near, json!({"id": "stats", "do": "stats"})).await;
    let reports = stats["result"].as_object().unwrap();
    assert_eq!(reports.len(), 1);
    let dictionaries = reports.values().next().unwrap().as_object().unwrap();
    assert!(
        dictionaries.values().any(|d| d["type"] == "candidate-pair"),
        "{stats}"
    );

    for (command, told) in [
        (
            json!({"id": 5, "do": "mutee", "what": "audio"}),
            "did you mean \"mute\"?",
        ),
        (
            json!({"id": 6, "do": "impair", "spec": "loss=much"}),
            "loss",
        ),
        (
            json!({"id": 7, "do": "check", "expect": ["video.fsp>=25"]}),
            "video.fps",
        ),
        (json!({"id": 8, "do": "dial", "keys": "x"}), "x"),
    ] {
        let answer = ask(&mut near, command).await;
        assert!(answer["error"].as_str().unwrap().contains(told), "{answer}");
    }

    let ended = json!({"id": 9, "do": "hang-up"});
    near.type_line(&ended.to_string()).await.unwrap();
    let near = near.ended(Duration::ZERO).await.unwrap();
    assert_eq!(near.code, Some(0), "{:?}", near.stderr);
    far.ended(Duration::from_secs(5)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_network_is_cut_and_mended_and_what_came_of_it_is_asked_for() {
    let _alone = alone().await;
    let server = TestServer::start().await.unwrap();
    let (mut near, far) = pair(&server).await;
    let check = |id: u32, text: &str| json!({"id": id, "do": "check", "expect": [text]});
    near.wait_for("stats", |_| true).await.unwrap();

    ask(
        &mut near,
        json!({"id": 1, "do": "impair", "spec": "loss=100%"}),
    )
    .await;
    // A cut has to last to be seen as one; the client waits, so the test need not.
    near.type_line(r#"{"do": "wait", "seconds": 1.5}"#)
        .await
        .unwrap();
    ask(&mut near, json!({"id": 2, "do": "impair", "spec": ""})).await;
    let mut id = 3;
    let frozen = loop {
        let answer = ask(&mut near, check(id, "video.freeze<=1s")).await;
        let result = answer["result"][0].clone();
        if result["held"] == false {
            break result;
        }
        id += 1;
        near.wait_for("stats", |_| true).await.unwrap();
    };
    assert!(
        frozen["words"]
            .as_str()
            .unwrap()
            .contains("the path is made"),
        "{frozen}"
    );
    // And pictures come again.
    loop {
        id += 1;
        let answer = ask(&mut near, check(id, "video.fps.last>=10")).await;
        if answer["result"][0]["held"] == true {
            break;
        }
        near.wait_for("stats", |_| true).await.unwrap();
    }
    // Who drove the call is gone: so is the client.
    drop(near.take_stdin());
    let near = near.ended(Duration::ZERO).await.unwrap();
    assert_eq!(near.code, Some(0), "{:?}", near.stderr);
    far.ended(Duration::from_secs(5)).await.unwrap();
}

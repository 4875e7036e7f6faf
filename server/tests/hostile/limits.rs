//! Every limit hit, and what is answered; and that it is the one who hit it that pays.

use std::time::Duration;

use rtc_protocol::{Callee, ClientMessage, ErrorCode, ServerMessage, close};
use rtc_server::Config;

use crate::rig::*;

/// Holds loopback to what it holds everybody else to.
fn strict() -> Config {
    Config {
        exempt: Vec::new(),
        ..calm()
    }
}

async fn refusal(wire: &mut Wire) -> ErrorCode {
    match wire.message().await {
        ServerMessage::Error { code, .. } => code,
        other => panic!("{other:?}"),
    }
}

fn ping() -> ClientMessage {
    ClientMessage::Ping { t: 1.0 }
}

#[tokio::test]
async fn a_message_may_be_as_large_as_the_server_was_told() {
    let mut config = calm();
    config.limits.message_bytes = 2_000;
    let (_running, address) = serve(config).await;
    let mut a = Wire::open(address).await;
    match a.hello("a", None).await {
        ServerMessage::Welcome { limits, .. } => assert_eq!(limits.message_bytes, 2_000),
        other => panic!("{other:?}"),
    }
    let text = |len| format!("{:len$}", r#"{"type":"ping","t":1}"#).into_bytes();
    a.text(&text(2_000)).await;
    assert_eq!(a.message().await, ServerMessage::Pong { t: 1.0 });
    a.text(&text(2_001)).await;
    assert_eq!(refusal(&mut a).await, ErrorCode::TooLarge);
    assert_eq!(a.end().await, End::Closed(close::TOO_LARGE));
}

#[tokio::test]
async fn who_speaks_too_fast_is_told_each_time_and_slowed_down_and_nobody_else_is() {
    let (_running, address) = serve(Config { rate: 20, ..calm() }).await;
    let mut watch = Watch::over(address).await;
    let mut a = Wire::inside(address, "a", "r").await;
    let flood: Vec<u8> = (0..200)
        .flat_map(|id| {
            let text = format!(r#"{{"id":{id},"type":"ping","t":{id}}}"#);
            frame(FIN | TEXT, text.as_bytes())
        })
        .collect();
    a.write(&flood).await;
    watch.all_is_well().await;
    let (mut done, mut refused) = (0, 0);
    for _ in 0..200 {
        match a.message().await {
            ServerMessage::Pong { .. } => done += 1,
            ServerMessage::Error { code, .. } => {
                assert_eq!(code, ErrorCode::RateLimited);
                refused += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(done >= 98, "the burst, less hello and join: {done}");
    assert!(refused > 0, "and not more than it");
    a.still_there().await;
}

#[tokio::test]
async fn nonsense_and_pings_of_websocket_are_held_to_the_rate_too() {
    let (_running, address) = serve(Config { rate: 10, ..calm() }).await;
    let mut a = Wire::greeted(address, "a").await;
    let mut limited = false;
    for _ in 0..4 {
        // Nonsense closes the link when nothing else comes between.
        a.write(&frame(FIN | TEXT, b"nonsense").repeat(20)).await;
        a.say(ping()).await;
        for _ in 0..21 {
            if let ServerMessage::Error { code, .. } = a.message().await {
                limited |= code == ErrorCode::RateLimited;
            }
        }
    }
    assert!(limited);
    let mut b = Wire::greeted(address, "b").await;
    b.write(&frame(FIN | PING, b"").repeat(60)).await;
    b.say(ping()).await;
    let code = loop {
        // A pong may answer several pings.
        match b.heard().await.expect("an answer") {
            heard if heard.first == FIN | PONG => {}
            heard => break String::from_utf8(heard.payload).unwrap(),
        }
    };
    assert!(code.contains("rate-limited"), "{code}");
}

#[tokio::test]
async fn the_peers_of_one_address_share_what_it_may_say() {
    let config = Config {
        rate_per_address: 10,
        ..strict()
    };
    let (_running, address) = serve(config).await;
    let mut a = Wire::greeted(address, "a").await;
    let mut b = Wire::greeted(address, "b").await;
    for _ in 0..100 {
        a.say(ping()).await;
        if let ServerMessage::Error { code, .. } = a.message().await {
            assert_eq!(code, ErrorCode::RateLimited);
            b.say(ping()).await;
            match b.message().await {
                ServerMessage::Error { code, message } => {
                    assert_eq!(code, ErrorCode::RateLimited);
                    assert!(message.contains("address"), "{message}");
                    return;
                }
                // One token has come meanwhile.
                ServerMessage::Pong { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }
    panic!("never refused");
}

#[tokio::test]
async fn an_address_that_connects_too_often_is_told_to_wait() {
    let config = Config {
        arrivals_per_address: 1,
        ..strict()
    };
    let (_running, address) = serve(config).await;
    let mut first = Wire::greeted(address, "a").await;
    for _ in 0..50 {
        let mut wire = Wire::connect(address).await;
        wire.try_write(handshake(address, &[]).as_bytes()).await;
        let head = wire.head().await;
        if head.starts_with("HTTP/1.1 101 ") {
            continue;
        }
        assert!(head.starts_with("HTTP/1.1 429 "), "{head}");
        assert!(head.contains("retry-after: "), "{head}");
        // Who is inside already is not disturbed.
        first.still_there().await;
        return;
    }
    panic!("never refused");
}

#[tokio::test]
async fn a_connection_that_says_no_hello_in_time_is_closed_however_busy_it_looks() {
    let config = Config {
        hello_timeout: Duration::from_millis(300),
        ..calm()
    };
    let (_running, address) = serve(config).await;
    let late = End::Closed(close::HELLO_FIRST);
    let mut silent = Wire::open(address).await;
    let mut slow = Wire::open(address).await;
    let busy = Wire::open(address).await;
    slow.write(&frame(FIN | TEXT, br#"{"type":"hello"}"#)[..10])
        .await;
    let (mut reading, mut writing) = busy.stream.into_split();
    let flood = tokio::spawn(async move {
        use tokio::io::AsyncWriteExt as _;
        let ping = frame(FIN | PING, b"");
        while writing.write_all(&ping).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert_eq!(silent.end().await, late);
    assert_eq!(slow.end().await, late);
    let mut heard = Vec::new();
    let read = tokio::io::AsyncReadExt::read_to_end(&mut reading, &mut heard);
    let _ = tokio::time::timeout(PATIENCE, read).await.expect("closed");
    flood.await.unwrap();
}

#[tokio::test]
async fn ten_thousand_rooms_are_not_to_be_had() {
    let (_running, address) = serve(Config {
        rate: 100_000,
        ..calm()
    })
    .await;
    let mut watch = Watch::over(address).await;
    let mut a = Wire::greeted(address, "a").await;
    let mut inside = 0;
    for number in 0..10_000 {
        match a.join(&format!("room {number}")).await {
            ServerMessage::Joined { .. } => inside += 1,
            ServerMessage::Error { code, .. } => assert_eq!(code, ErrorCode::TooManyRooms),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(inside, 16);
    // Going in and out of ten thousand leaves none behind.
    let mut b = Wire::greeted(address, "b").await;
    for number in 0..10_000 {
        let name = format!("another {number}");
        assert!(matches!(b.join(&name).await, ServerMessage::Joined { .. }));
        b.say(ClientMessage::Leave { room: room(&name) }).await;
        assert!(matches!(b.message().await, ServerMessage::Left { .. }));
    }
    assert_eq!(
        health(address).await["rooms"],
        17,
        "those 16 and the watched one"
    );
    watch.all_is_well().await;
}

#[tokio::test]
async fn a_peer_is_rung_by_so_many_and_calls_so_many() {
    let (_running, address) = server().await;
    let mut callee = Wire::greeted(address, "callee").await;
    let mut caller = Wire::greeted(address, "caller").await;
    for number in 0..10 {
        caller
            .say(ClientMessage::Ring {
                whom: Callee::Peer(id("callee")),
                room: room("r"),
            })
            .await;
        match caller.message().await {
            ServerMessage::Ringing { .. } if number < 8 => {}
            ServerMessage::Error { code, .. } if number >= 8 => assert_eq!(code, ErrorCode::Busy),
            other => panic!("{number}: {other:?}"),
        }
    }
    for _ in 0..8 {
        let ring = callee.message().await;
        assert!(matches!(ring, ServerMessage::Ring { .. }), "{ring:?}");
    }
    callee.still_there().await;
}

#[tokio::test]
async fn who_asks_and_never_reads_the_answers_is_closed() {
    let config = Config {
        heartbeat: Duration::from_secs(1),
        rate: 1_000_000,
        ..calm()
    };
    let (_running, address) = serve(config).await;
    let a = Wire::greeted(address, "a").await;
    let (_reading, mut writing) = a.stream.into_split();
    let asking = async {
        use tokio::io::AsyncWriteExt as _;
        let ping = frame(FIN | TEXT, br#"{"type":"ping","t":1}"#).repeat(1_000);
        while writing.write_all(&ping).await.is_ok() {}
    };
    let gone = tokio::time::timeout(PATIENCE, asking).await;
    gone.expect("the server gives up on it");
    assert_eq!(health(address).await["slowReadersClosed"], 1);
    Watch::over(address).await.all_is_well().await;
}

#[tokio::test]
async fn who_reads_is_answered_however_much_it_asks_at_once_and_however_short_its_queue_is() {
    let mut config = calm();
    config.limits.queue_messages = 16;
    let (_running, address) = serve(config).await;
    let mut a = Wire::inside(address, "a", "r").await;
    let questions: Vec<u8> = (0..200)
        .flat_map(|id| {
            let text = format!(r#"{{"id":{id},"type":"leave","room":"elsewhere"}}"#);
            frame(FIN | TEXT, text.as_bytes())
        })
        .collect();
    a.write(&questions).await;
    for _ in 0..200 {
        assert_eq!(refusal(&mut a).await, ErrorCode::NotJoined);
    }
}

#[tokio::test]
async fn a_stranger_is_refused_before_its_body_is_waited_for() {
    let (_running, address) = server().await;
    let mut wire = Wire::connect(address).await;
    let head = format!(
        "POST /api/broadcast HTTP/1.1\r\nhost: {address}\r\ncontent-length: 60000\r\n\r\n\""
    );
    let answer = wire.ask(&head).await;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
}

//! Chat, and the beginning and end of connections.

use super::rig::{End, config, connect, pair, relay_until};
use crate::peer::{MAX_CHAT_BYTES, PeerError, PeerEvent};

#[tokio::test]
async fn chat_goes_both_ways_in_order() {
    let (mut a, mut b) = pair().await;
    connect(&mut a, &mut b).await;
    let long = "ä".repeat(MAX_CHAT_BYTES / 2);
    let lines = ["hello", "", "\u{1f44b} one\ntwo", &long, "bye"];
    for line in lines {
        a.peer.send_chat(line).await.unwrap();
        b.peer.send_chat(line).await.unwrap();
    }
    let mut heard: [Vec<String>; 2] = Default::default();
    relay_until(&mut a, &mut b, |who, event| {
        if let PeerEvent::Chat(text) = event {
            heard[who].push(text);
        }
        heard.iter().all(|heard| heard.len() == lines.len())
    })
    .await;
    assert_eq!(heard[0], lines);
    assert_eq!(heard[1], lines);
    let too_long = "x".repeat(MAX_CHAT_BYTES + 1);
    assert!(matches!(
        a.peer.send_chat(&too_long).await,
        Err(PeerError::ChatTooLong(size)) if size == MAX_CHAT_BYTES + 1
    ));
    a.peer.close().await;
    b.peer.close().await;
}

#[tokio::test]
async fn chat_before_it_is_open_is_an_error() {
    let end = End::open(config(true)).await;
    assert!(matches!(
        end.peer.send_chat("hello").await,
        Err(PeerError::ChatNotOpen)
    ));
    end.peer.close().await;
}

#[tokio::test]
async fn an_address_that_is_not_ours_cannot_be_bound() {
    let (tell, _events) = tokio::sync::mpsc::channel(1);
    let mut config = config(true);
    config.network.bind = vec![[192, 0, 2, 1].into()];
    let error = crate::peer::Peer::start(config, tell).await.unwrap_err();
    assert!(matches!(error, PeerError::Open(_)), "{error}");
}

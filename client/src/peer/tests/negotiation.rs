//! Offers, answers and candidates between two real peers.

use super::rig::{
    End, config, connect, deliver, either, fragments_of, pair, relay_until, renegotiated,
};
use crate::peer::{ConnectionState, Description, PeerEvent, SdpType, Signal};

#[tokio::test]
async fn both_sides_may_offer_at_once() {
    let (mut a, mut b) = pair().await;
    a.peer.negotiate().await;
    b.peer.negotiate().await;
    let mut answers = 0;
    let mut connected = [false; 2];
    let mut ready = [false; 2];
    // Both first offers are on their way before either is heard.
    let mut held = Vec::new();
    for (who, end) in [(0, &mut a), (1, &mut b)] {
        loop {
            if let PeerEvent::Signal(signal) = end.next().await {
                let offer = matches!(signal, Signal::Description(_));
                held.push((who, signal));
                if offer {
                    break;
                }
            }
        }
    }
    for (who, signal) in held {
        deliver(if who == 0 { &b } else { &a }, signal).await;
    }
    loop {
        let (who, event) = either(&mut a, &mut b).await;
        match event {
            PeerEvent::Signal(signal) => {
                if let Signal::Description(Description {
                    kind: SdpType::Answer,
                    ..
                }) = signal
                {
                    answers += 1;
                }
                deliver(if who == 0 { &b } else { &a }, signal).await;
            }
            PeerEvent::State(ConnectionState::Connected) => connected[who] = true,
            PeerEvent::LocalVideoReady(_) => ready[who] = true,
            PeerEvent::Trouble(text) => panic!("{who}: {text}"),
            _ => {}
        }
        // The polite peer answers, offers again, and is answered.
        if connected == [true; 2] && ready == [true; 2] && answers == 2 {
            break;
        }
    }
    a.peer.close().await;
    b.peer.close().await;
}

#[tokio::test]
async fn candidates_that_come_before_their_description_are_used() {
    let mut a = End::open(config(true)).await;
    let mut b = End::open(config(false)).await;
    a.peer.negotiate().await;
    let mut candidates = Vec::new();
    let mut offer = None;
    while offer.is_none() || candidates.is_empty() {
        match a.next().await {
            PeerEvent::Signal(signal @ Signal::Description(_)) => offer = Some(signal),
            PeerEvent::Signal(signal @ Signal::Candidate(_)) => candidates.push(signal),
            _ => {}
        }
    }
    for candidate in candidates {
        deliver(&b, candidate).await;
    }
    deliver(&b, offer.unwrap()).await;
    // The far side's candidates are lost, so only the early ones make a path.
    let mut connected = [false; 2];
    while connected != [true; 2] {
        let (who, event) = either(&mut a, &mut b).await;
        match (who, event) {
            (1, PeerEvent::Signal(signal @ Signal::Description(_))) => {
                deliver(&a, signal).await;
            }
            (_, PeerEvent::State(ConnectionState::Connected)) => connected[who] = true,
            (_, PeerEvent::Trouble(text)) => panic!("{who}: {text}"),
            _ => {}
        }
    }
    a.peer.close().await;
    b.peer.close().await;
}

#[tokio::test]
async fn a_restart_of_ice_changes_credentials_and_keeps_the_call() {
    let (mut a, mut b) = pair().await;
    let mut known = connect(&mut a, &mut b).await;
    for asker in 0..2 {
        if asker == 0 {
            a.peer.restart_ice().await;
        } else {
            // The far side asks the other to do it.
            deliver(&a, Signal::Restart).await;
        }
        let mut fragments: Vec<String> = Vec::new();
        while fragments.len() < 2 {
            let (who, event) = either(&mut a, &mut b).await;
            match event {
                PeerEvent::Signal(signal) => {
                    fragments.extend(fragments_of(&signal));
                    deliver(if who == 0 { &b } else { &a }, signal).await;
                }
                PeerEvent::Trouble(text) => panic!("{who}: {text}"),
                _ => {}
            }
        }
        assert!(fragments.iter().all(|fragment| !known.contains(fragment)));
        known.extend(fragments);
        a.peer.send_chat("still here").await.unwrap();
        relay_until(
            &mut a,
            &mut b,
            |who, event| matches!(event, PeerEvent::Chat(text) if who == 1 && text == "still here"),
        )
        .await;
    }
    a.peer.close().await;
    b.peer.close().await;
}

#[tokio::test]
async fn hostile_descriptions_are_troubles_and_the_call_goes_on() {
    let (mut a, mut b) = pair().await;
    connect(&mut a, &mut b).await;
    let valid = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n";
    let hostile = [
        String::new(),
        "v=0".to_owned(),
        "\0\0\0\0".to_owned(),
        valid.to_owned(),
        "v=0\r\n".repeat(1000),
        format!("{valid}{}", "a=x\r\n".repeat(100_000)),
        format!(
            "{valid}{}",
            "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n".repeat(60)
        ),
        format!(
            "{valid}{}",
            "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n".repeat(70)
        ),
        format!("{valid}m=video 9 UDP/TLS/RTP/SAVPF 999 -1 x\r\na=mid:0\r\na=rtpmap:999\r\n"),
        format!("{valid}m=\r\nm= \r\na=\r\n=\r\n"),
        format!("{valid}m=audio 99999999999 X\r\na=ice-ufrag:\r\na=ice-pwd:\r\n"),
        format!(
            "{valid}a=ice-ufrag:x\r\na=ice-pwd:y\r\na=fingerprint:sha-256 00\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n"
        ),
        format!(
            "{valid}m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=rtpmap:111 \u{1f4a9}/48000\r\n"
        ),
        valid.replace('\r', ""),
    ];
    let mut troubles = 0;
    for sdp in hostile {
        for kind in [SdpType::Offer, SdpType::Answer] {
            let sdp = sdp.clone();
            deliver(&a, Signal::Description(Description { kind, sdp })).await;
        }
    }
    a.peer.send_chat("alive").await.unwrap();
    loop {
        tokio::select! {
            event = a.next() => match event {
                PeerEvent::Trouble(_) => troubles += 1,
                PeerEvent::State(state) => panic!("{state:?}"),
                _ => {}
            },
            event = b.next() => match event {
                PeerEvent::Chat(text) => { assert_eq!(text, "alive"); break; }
                PeerEvent::Trouble(text) => panic!("{text}"),
                _ => {}
            }
        }
    }
    assert!(troubles > 5, "only {troubles} were refused");
    // A good renegotiation still works.
    b.peer.negotiate().await;
    renegotiated(&mut a, &mut b).await;
    b.peer.send_chat("well").await.unwrap();
    relay_until(
        &mut a,
        &mut b,
        |who, event| matches!(event, PeerEvent::Chat(text) if who == 0 && text == "well"),
    )
    .await;
    a.peer.close().await;
    b.peer.close().await;
}

/// An offer as the newcomer makes it.
async fn real_offer(from: &mut End) -> String {
    from.peer.negotiate().await;
    loop {
        if let PeerEvent::Signal(Signal::Description(Description { sdp, .. })) = from.next().await {
            return sdp;
        }
    }
}

fn offer(sdp: &str) -> Signal {
    Signal::Description(Description {
        kind: SdpType::Offer,
        sdp: sdp.to_owned(),
    })
}

/// Whether the peer answered, or else found trouble.
async fn answered(end: &mut End) -> bool {
    loop {
        match end.next().await {
            PeerEvent::Signal(Signal::Description(_)) => return true,
            PeerEvent::Trouble(_) => return false,
            _ => {}
        }
    }
}

#[tokio::test]
async fn after_a_broken_first_offer_a_good_one_is_answered() {
    let mut a = End::open(config(true)).await;
    let good = real_offer(&mut a).await;
    let lines: Vec<&str> = good.lines().collect();
    let mut broken = Vec::new();
    for index in 0..lines.len() {
        let mut missing = lines.clone();
        missing.remove(index);
        broken.push(missing.join("\r\n") + "\r\n");
        let mut cut = lines[..index].join("\r\n") + "\r\n";
        cut.push_str(&lines[index][..lines[index].len() / 2]);
        broken.push(cut);
        let mut garbled = lines.clone();
        let line = lines[index].replace(char::is_alphanumeric, "9");
        garbled[index] = &line;
        broken.push(garbled.join("\r\n") + "\r\n");
    }
    let mut refused = 0;
    for (index, sdp) in broken.iter().enumerate() {
        let mut b = End::open(config(false)).await;
        deliver(&b, offer(sdp)).await;
        if !answered(&mut b).await {
            refused += 1;
            deliver(&b, offer(&good)).await;
            assert!(answered(&mut b).await, "after variant {index}:\n{sdp}");
        }
        b.peer.close().await;
    }
    assert!(refused > 20, "only {refused} variants were refused");
    a.peer.close().await;
}

//! Two peers and the wire between them.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::media::clock::Timestamp;
use crate::media::frame::{EncodedPicture, EncodedSound, SoundLevel, VideoCodec};
use crate::net::interfaces::Choice;
use crate::peer::{ConnectionState, Description, Peer, PeerConfig, PeerEvent, SdpType, Signal};

/// No condition takes longer on a machine that is merely busy.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// One peer and what it has told.
pub(super) struct End {
    pub(super) peer: Peer,
    pub(super) events: mpsc::Receiver<PeerEvent>,
}

pub(super) fn config(polite: bool) -> PeerConfig {
    PeerConfig {
        polite,
        network: Choice {
            bind: vec![[127, 0, 0, 1].into()],
            ..Choice::default()
        },
        mdns: false,
        ..PeerConfig::default()
    }
}

impl End {
    pub(super) async fn open(config: PeerConfig) -> Self {
        let (tell, events) = mpsc::channel(64);
        let peer = Peer::start(config, tell).await.unwrap();
        Self { peer, events }
    }

    pub(super) async fn next(&mut self) -> PeerEvent {
        tokio::time::timeout(PATIENCE, self.events.recv())
            .await
            .expect("an event in time")
            .expect("an open peer")
    }
}

/// The newcomer and the one who was there.
pub(super) async fn pair() -> (End, End) {
    (
        End::open(config(true)).await,
        End::open(config(false)).await,
    )
}

/// Passes signals both ways and all other events to `see` until that is satisfied.
pub(super) async fn relay_until(
    a: &mut End,
    b: &mut End,
    mut see: impl FnMut(usize, PeerEvent) -> bool,
) {
    loop {
        let (index, event) = either(a, b).await;
        match event {
            PeerEvent::Signal(signal) => deliver(if index == 0 { b } else { a }, signal).await,
            event => {
                if see(index, event) {
                    return;
                }
            }
        }
    }
}

pub(super) async fn deliver(to: &End, signal: Signal) {
    to.peer.handle_signal(signal).await;
}

pub(super) fn picture(codec: VideoCodec, size: usize, key: bool, fill: u8) -> EncodedPicture {
    EncodedPicture {
        codec,
        data: Bytes::from(vec![fill; size]),
        key,
        at: Timestamp::now(),
        layer: None,
    }
}

pub(super) fn sound(fill: u8) -> EncodedSound {
    EncodedSound {
        level: Some(SoundLevel {
            dbov: 30 + fill,
            voice: true,
        }),
        data: Bytes::from(vec![fill; 80]),
        duration: Duration::from_millis(20),
        at: Timestamp::now(),
    }
}

/// Negotiates until both are connected, know what to send and can chat.
/// Gives the ICE username fragments that were used.
pub(super) async fn connect(a: &mut End, b: &mut End) -> Vec<String> {
    a.peer.negotiate().await;
    let mut fragments = Vec::new();
    let mut connected = [false; 2];
    let mut chat = [false; 2];
    while connected != [true; 2] || chat != [true; 2] {
        let (who, event) = either(a, b).await;
        match event {
            PeerEvent::Signal(signal) => {
                fragments.extend(fragments_of(&signal));
                deliver(if who == 0 { b } else { a }, signal).await;
            }
            PeerEvent::State(ConnectionState::Connected) => connected[who] = true,
            PeerEvent::ChatOpen => chat[who] = true,
            PeerEvent::Trouble(text) => panic!("{who}: {text}"),
            _ => {}
        }
    }
    fragments
}

/// Passes signals until an offer was made and its answer delivered.
pub(super) async fn renegotiated(a: &mut End, b: &mut End) {
    loop {
        let (who, event) = either(a, b).await;
        if let PeerEvent::Signal(signal) = event {
            let answer = is_answer(&signal);
            deliver(if who == 0 { b } else { a }, signal).await;
            if answer {
                return;
            }
        }
    }
}

pub(super) const fn is_answer(signal: &Signal) -> bool {
    matches!(
        signal,
        Signal::Description(Description {
            kind: SdpType::Answer,
            ..
        })
    )
}

/// The next event of any of the two, and whose.
pub(super) async fn either(a: &mut End, b: &mut End) -> (usize, PeerEvent) {
    tokio::select! {
        event = a.next() => (0, event),
        event = b.next() => (1, event),
    }
}

pub(super) fn fragments_of(signal: &Signal) -> Vec<String> {
    match signal {
        Signal::Description(Description { sdp, .. }) => super::super::sdp::username_fragments(sdp),
        _ => Vec::new(),
    }
}

/// The dictionaries of one type in a report.
pub(super) fn of_type<'a>(report: &'a serde_json::Value, kind: &str) -> Vec<&'a serde_json::Value> {
    report
        .as_object()
        .unwrap()
        .values()
        .filter(|value| value["type"] == kind)
        .collect()
}

//! Senses that come and go in a running call, with the real engine.

use std::sync::atomic::{AtomicU8, Ordering};

use super::rig::{End, PATIENCE, config, deliver, either, is_answer, pair, picture, relay_until};
use crate::event::Kind;
use crate::media::frame::VideoCodec;
use crate::peer::{ConnectionState, PeerConfig, PeerEvent, RemoteTrack};

/// Negotiates until both are connected.
async fn connected(a: &mut End, b: &mut End) {
    a.peer.negotiate().await;
    let mut stands = [false; 2];
    relay_until(a, b, |who, event| {
        stands[who] |= matches!(event, PeerEvent::State(ConnectionState::Connected));
        assert!(!matches!(event, PeerEvent::Trouble(_)), "{event:?}");
        stands == [true; 2]
    })
    .await;
}

/// Passes signals until this side is told this.
async fn told(a: &mut End, b: &mut End, side: usize, wanted: impl Fn(&PeerEvent) -> bool) {
    relay_until(a, b, |who, event| {
        assert!(!matches!(event, PeerEvent::Trouble(_)), "{event:?}");
        who == side && wanted(&event)
    })
    .await;
}

/// Sends pictures from one end until the other has one of them, and gives its track, which may be an old one.
async fn sees(a: &mut End, b: &mut End, from: usize, track: Option<RemoteTrack>) -> RemoteTrack {
    static FILL: AtomicU8 = AtomicU8::new(0);
    // What is still on its way from before is told apart.
    let fill = FILL.fetch_add(1, Ordering::Relaxed);
    let mut track = track;
    let mut every = tokio::time::interval(std::time::Duration::from_millis(20));
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        assert!(tokio::time::Instant::now() < end, "no picture came");
        tokio::select! {
            _ = every.tick() => {
                let sender = if from == 0 { &*a } else { &*b };
                sender.peer.video().send(picture(VideoCodec::Vp8, 100, true, fill));
                if let Some(known) = &mut track {
                    while let Ok(packet) = known.rtp.try_recv() {
                        if packet.payload.last() == Some(&fill) {
                            return track.unwrap();
                        }
                    }
                }
            }
            (who, event) = either(a, b) => match event {
                PeerEvent::Signal(signal) => deliver(if who == 0 { b } else { a }, signal).await,
                PeerEvent::Track(new) if who != from && new.kind == Kind::Video => {
                    track = Some(new);
                }
                _ => {}
            },
        }
    }
}

fn silent(polite: bool) -> PeerConfig {
    PeerConfig {
        send_video: false,
        ..config(polite)
    }
}

const fn ready(event: &PeerEvent) -> bool {
    matches!(event, PeerEvent::LocalVideoReady(_))
}

const fn paused(event: &PeerEvent) -> bool {
    matches!(event, PeerEvent::LocalVideoPaused)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_held_and_taken_up_again_by_either_side() {
    let (mut a, mut b) = pair().await;
    connected(&mut a, &mut b).await;
    let mut track = Some(sees(&mut a, &mut b, 0, None).await);
    for holder in [0, 1, 0, 1] {
        let end = if holder == 0 { &a } else { &b };
        end.peer.hold(true).await;
        told(&mut a, &mut b, 1 - holder, |event| {
            matches!(event, PeerEvent::RemoteFlow { held: true, .. })
        })
        .await;
        let end = if holder == 0 { &a } else { &b };
        end.peer.hold(false).await;
        told(&mut a, &mut b, 1 - holder, |event| {
            matches!(
                event,
                PeerEvent::RemoteFlow {
                    held: false,
                    sends: [true, true],
                    ..
                }
            )
        })
        .await;
        // The same track goes on: nothing was stopped.
        track = Some(sees(&mut a, &mut b, 0, track).await);
    }
    a.peer.close().await;
    b.peer.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_that_comes_later_is_negotiated_by_whoever_has_it() {
    for late in [0, 1] {
        let (mut a, mut b) = if late == 0 {
            (
                End::open(silent(true)).await,
                End::open(config(false)).await,
            )
        } else {
            (
                End::open(config(true)).await,
                End::open(silent(false)).await,
            )
        };
        connected(&mut a, &mut b).await;
        let mut track = None;
        for _ in 0..3 {
            let end = if late == 0 { &a } else { &b };
            end.peer.send_media(Kind::Video, true).await;
            told(&mut a, &mut b, late, ready).await;
            track = Some(sees(&mut a, &mut b, late, track).await);
            let end = if late == 0 { &a } else { &b };
            end.peer.send_media(Kind::Video, false).await;
            told(&mut a, &mut b, late, paused).await;
        }
        a.peer.close().await;
        b.peer.close().await;
    }
}

/// The one who had none turns it on while an offer of the other one is on its way, as a browser does that then has nothing
/// more to offer.
#[tokio::test(flavor = "multi_thread")]
async fn a_picture_that_comes_later_may_come_with_an_answer() {
    let mut a = End::open(silent(true)).await;
    let mut b = End::open(config(false)).await;
    connected(&mut a, &mut b).await;
    b.peer.send_media(Kind::Video, false).await;
    let offer = loop {
        if let PeerEvent::Signal(signal) = b.next().await {
            break signal;
        }
    };
    a.peer.send_media(Kind::Video, true).await;
    deliver(&a, offer).await;
    let mut every = tokio::time::interval(std::time::Duration::from_millis(20));
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        assert!(tokio::time::Instant::now() < end, "no picture came");
        tokio::select! {
            _ = every.tick() => a.peer.video().send(picture(VideoCodec::Vp8, 100, true, 0)),
            event = a.next() => match event {
                PeerEvent::Signal(signal) if is_answer(&signal) => deliver(&b, signal).await,
                _ => {}
            },
            event = b.next() => match event {
                PeerEvent::Track(new) if new.kind == Kind::Video => break,
                _ => {}
            },
        }
    }
    a.peer.close().await;
    b.peer.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_goes_and_comes_back_in_its_own_place() {
    let (mut a, mut b) = pair().await;
    connected(&mut a, &mut b).await;
    let mut track = Some(sees(&mut a, &mut b, 1, None).await);
    for _ in 0..3 {
        b.peer.send_media(Kind::Video, false).await;
        told(&mut a, &mut b, 0, |event| {
            matches!(
                event,
                PeerEvent::RemoteFlow {
                    sends: [true, false],
                    held: false,
                    ..
                }
            )
        })
        .await;
        b.peer.send_media(Kind::Video, true).await;
        told(&mut a, &mut b, 1, ready).await;
        track = Some(sees(&mut a, &mut b, 1, track).await);
    }
    a.peer.close().await;
    b.peer.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_sides_may_change_everything_at_once() {
    let (mut a, mut b) = pair().await;
    connected(&mut a, &mut b).await;
    for _ in 0..5 {
        for on in [false, true] {
            for end in [&a, &b] {
                end.peer.send_media(Kind::Audio, on).await;
                end.peer.send_media(Kind::Video, on).await;
            }
        }
        a.peer.restart_ice().await;
        b.peer.hold(true).await;
        b.peer.hold(false).await;
    }
    let mut tracks = [None, None];
    for from in [0, 1, 0, 1] {
        tracks[from] = Some(sees(&mut a, &mut b, from, tracks[from].take()).await);
    }
    a.peer.close().await;
    b.peer.close().await;
}

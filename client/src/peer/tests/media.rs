//! Media and its feedback between two real peers.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::rig::{End, PATIENCE, config, connect, either, of_type, pair, picture, relay_until};
use crate::event::Kind;
use crate::media::clock::Timestamp;
use crate::media::frame::{EncodedPicture, VideoCodec};
use crate::net::Impairment;
use crate::net::impair::{Direction, Spec};
use crate::peer::{PeerConfig, PeerEvent, RemoteCodec, RemoteTrack};

/// The track of the far side's pictures, sent by `from`.
async fn video_track(to: &mut End, from: &mut End) -> RemoteTrack {
    let mut found = None;
    relay_until(to, from, |who, event| {
        if let PeerEvent::Track(track) = event
            && who == 0
            && track.kind == Kind::Video
        {
            found = Some(track);
        }
        found.is_some()
    })
    .await;
    found.unwrap()
}

#[tokio::test]
async fn lost_packets_are_sent_again_and_each_arrives_once() {
    let spec = |text| Spec::parse(text, |_| Ok(String::new())).unwrap();
    let path = Impairment::new(&spec("seed=11"), Instant::now());
    let mut a = End::open(PeerConfig {
        impairment: Some(path.clone()),
        ..config(true)
    })
    .await;
    let mut b = End::open(config(false)).await;
    connect(&mut a, &mut b).await;
    a.peer.video().send(picture(VideoCodec::Vp8, 50, true, 0));
    let mut track = video_track(&mut b, &mut a).await;
    let first = tokio::time::timeout(PATIENCE, track.rtp.recv())
        .await
        .unwrap()
        .unwrap();

    path.change(&spec("up:loss=5%"), Instant::now());
    let pictures = 150_u16;
    let packets = pictures * 10;
    let video = a.peer.video().clone();
    let feeder = tokio::spawn(async move {
        for _ in 0..pictures {
            video.send(picture(VideoCodec::Vp8, 11_000, false, 1));
            // No encoder follows the path here, so it is given what any path carries.
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
    });
    let mut seen = BTreeSet::new();
    let mut repeated = 0;
    // A loss at the very end shows only when something comes after it.
    while (1..=packets).any(|n| !seen.contains(&first.sequence.wrapping_add(n))) {
        let waited = tokio::time::timeout(Duration::from_millis(500), track.rtp.recv()).await;
        match waited {
            Ok(packet) => {
                let packet = packet.unwrap();
                assert!(track.codec(packet.payload_type).is_some());
                repeated += u32::from(!seen.insert(packet.sequence));
            }
            Err(_) => a.peer.video().send(picture(VideoCodec::Vp8, 50, false, 2)),
        }
    }
    feeder.await.unwrap();
    path.change(&spec(""), Instant::now());
    let lost = path.counts(Direction::Up).lost;
    let report = b.peer.stats().await;
    let nacks: u64 = of_type(&report, "inbound-rtp")
        .iter()
        .filter_map(|inbound| inbound["nackCount"].as_u64())
        .sum();
    eprintln!("{lost} lost, {nacks} NACKs, {repeated} repeated");
    assert!(lost > 20, "only {lost} were lost");
    assert!(nacks > 0);
    // Asking again before the answer can be here repeats some; a storm repeats most.
    assert!(
        u64::from(repeated) <= lost,
        "{repeated} repeated for {lost} lost"
    );
    a.peer.close().await;
    b.peer.close().await;
}

#[tokio::test]
async fn a_receiver_gets_its_key_frame_asked_for() {
    let (mut a, mut b) = pair().await;
    connect(&mut a, &mut b).await;
    a.peer.video().send(picture(VideoCodec::Vp8, 50, true, 0));
    let track = video_track(&mut b, &mut a).await;
    // Those of the connection's beginning are over when nothing more comes.
    while tokio::time::timeout(Duration::from_millis(300), either(&mut a, &mut b))
        .await
        .is_ok()
    {}
    track.key_frame.ask();
    relay_until(&mut a, &mut b, |who, event| {
        who == 0 && matches!(event, PeerEvent::KeyFrameWanted)
    })
    .await;
    let report = a.peer.stats().await;
    let asked: Vec<_> = of_type(&report, "outbound-rtp")
        .iter()
        .filter(|outbound| outbound["kind"] == "video")
        .map(|outbound| outbound["pliCount"].clone())
        .collect();
    assert_eq!(asked, [1]);
    a.peer.close().await;
    b.peer.close().await;
}

fn access_unit(sizes: &[usize]) -> EncodedPicture {
    let mut data = Vec::new();
    for size in sizes {
        data.extend([0, 0, 0, 1, 0x65]);
        data.extend(std::iter::repeat_n(0x80, size - 1));
    }
    EncodedPicture {
        codec: VideoCodec::H264,
        data: Bytes::from(data),
        key: true,
        at: Timestamp::now(),
        layer: None,
    }
}

#[tokio::test]
async fn the_codec_both_have_is_sent_whoever_offers() {
    for offerer_is_limited in [true, false] {
        let limited = vec![VideoCodec::H264];
        let both = vec![VideoCodec::Vp8, VideoCodec::H264];
        let (mine, theirs) = if offerer_is_limited {
            (limited, both)
        } else {
            (both, limited)
        };
        let mut a = End::open(PeerConfig {
            video_codecs: mine,
            ..config(true)
        })
        .await;
        let mut b = End::open(PeerConfig {
            video_codecs: theirs,
            ..config(false)
        })
        .await;
        a.peer.negotiate().await;
        let mut formats = [None, None];
        let mut open = [false; 2];
        relay_until(&mut a, &mut b, |who, event| {
            match event {
                PeerEvent::LocalVideoReady(format) => formats[who] = Some(format),
                PeerEvent::ChatOpen => open[who] = true,
                PeerEvent::LocalVideoRefused => panic!("{who} was refused"),
                PeerEvent::Trouble(text) => panic!("{who}: {text}"),
                _ => {}
            }
            open == [true; 2] && formats.iter().all(Option::is_some)
        })
        .await;
        for format in formats.into_iter().flatten() {
            assert_eq!(format.codec, VideoCodec::H264);
            assert_eq!(format.max_nal_bytes, None);
        }
        a.peer.video().send(access_unit(&[10, 3000]));
        let mut track = video_track(&mut b, &mut a).await;
        let mut sizes = Vec::new();
        loop {
            let packet = tokio::time::timeout(PATIENCE, track.rtp.recv())
                .await
                .unwrap()
                .unwrap();
            assert_eq!(
                track.codec(packet.payload_type),
                Some(&RemoteCodec::Video(VideoCodec::H264))
            );
            sizes.push(packet.payload.len());
            if packet.marker {
                break;
            }
        }
        assert_eq!(sizes, [10, 1002, 1002, 1001]);
        a.peer.close().await;
        b.peer.close().await;
    }
}

#[tokio::test]
async fn a_peer_without_devices_still_receives() {
    let mut a = End::open(PeerConfig {
        send_audio: false,
        send_video: false,
        ..config(true)
    })
    .await;
    let mut b = End::open(config(false)).await;
    connect(&mut a, &mut b).await;
    b.peer.video().send(picture(VideoCodec::Vp8, 50, true, 0));
    let mut track = video_track(&mut a, &mut b).await;
    assert!(track.rtp.recv().await.is_some());
    a.peer.close().await;
    b.peer.close().await;
    // Without the connection the track ends.
    while track.rtp.recv().await.is_some() {}
}

#[tokio::test]
async fn reports_of_the_far_side_are_in_the_statistics() {
    let (mut a, mut b) = pair().await;
    connect(&mut a, &mut b).await;
    let video = a.peer.video().clone();
    let feeder = tokio::spawn(async move {
        loop {
            video.send(picture(VideoCodec::Vp8, 500, true, 1));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let _track = video_track(&mut b, &mut a).await;
    let report = loop {
        let report = a.peer.stats().await;
        let measured = of_type(&report, "remote-inbound-rtp")
            .iter()
            .any(|remote| remote["roundTripTime"].as_f64().is_some());
        if measured {
            break report;
        }
        let _ = tokio::time::timeout(Duration::from_millis(50), either(&mut a, &mut b)).await;
    };
    feeder.abort();
    let remote = of_type(&report, "remote-inbound-rtp")[0].clone();
    let outbound = &report[remote["localId"].as_str().unwrap()];
    assert_eq!(outbound["type"], "outbound-rtp");
    assert_eq!(outbound["remoteId"], remote["id"]);
    assert!(outbound["packetsSent"].as_u64().unwrap() > 0);
    let round_trip = remote["roundTripTime"].as_f64().unwrap();
    assert!(round_trip < 1.0, "{round_trip} s over loopback");
    assert_eq!(remote["fractionLost"], 0.0);
    assert_eq!(remote["packetsLost"], 0);
    assert!(remote["jitter"].as_f64().unwrap() < 1.0);

    let report = b.peer.stats().await;
    let inbound = of_type(&report, "inbound-rtp");
    assert!(inbound[0]["packetsReceived"].as_u64().unwrap() > 0);
    assert!(inbound[0]["jitter"].as_f64().unwrap() < 1.0);
    assert!(!of_type(&report, "remote-outbound-rtp").is_empty());
    for kind in [
        "transport",
        "candidate-pair",
        "local-candidate",
        "remote-candidate",
        "codec",
    ] {
        assert!(!of_type(&report, kind).is_empty(), "no {kind}");
    }
    a.peer.close().await;
    b.peer.close().await;
}

use std::time::Instant;

use super::rig::{pair, picture, relay_until, sound};
use crate::event::Kind;
use crate::media::frame::VideoCodec;
use crate::peer::{ConnectionState, PeerEvent, RemoteTrack};

#[tokio::test]
async fn a_newcomer_and_a_resident_exchange_sound_and_pictures() {
    let (mut a, mut b) = pair().await;
    let begun = Instant::now();
    a.peer.negotiate().await;
    let mut connected = [false; 2];
    let mut ready = [false; 2];
    relay_until(&mut a, &mut b, |who, event| {
        eprintln!("{:?} {who} {event:?}", begun.elapsed());
        match event {
            PeerEvent::State(ConnectionState::Connected) => connected[who] = true,
            PeerEvent::LocalVideoReady(format) => {
                assert_eq!(format.codec, VideoCodec::Vp8);
                ready[who] = true;
            }
            PeerEvent::Trouble(text) => panic!("{who}: {text}"),
            _ => {}
        }
        connected == [true; 2] && ready == [true; 2]
    })
    .await;
    eprintln!("connected after {:?}", begun.elapsed());

    a.peer.video().send(picture(VideoCodec::Vp8, 5000, true, 1));
    a.peer.audio().send(sound(2));
    b.peer.video().send(picture(VideoCodec::Vp8, 7000, true, 3));
    b.peer.audio().send(sound(4));
    let mut tracks: [Vec<RemoteTrack>; 2] = Default::default();
    relay_until(&mut a, &mut b, |who, event| {
        if let PeerEvent::Track(track) = event {
            tracks[who].push(track);
        }
        tracks.iter().all(|tracks| tracks.len() == 2)
    })
    .await;
    eprintln!("media after {:?}", begun.elapsed());
    for (who, tracks) in tracks.iter_mut().enumerate() {
        for track in tracks {
            let mut size = 0;
            let packets = match (track.kind, who) {
                (Kind::Audio, _) => 1,
                (Kind::Video, 0) => 6,
                (Kind::Video, _) => 5,
            };
            for index in 0..packets {
                let packet = track.rtp.recv().await.unwrap();
                assert!(track.codec(packet.payload_type).is_some());
                assert_eq!(
                    packet.marker,
                    track.kind == Kind::Audio || index == packets - 1
                );
                // RFC 6464: what `sound` told, and nothing of pictures.
                let level = match (track.kind, who) {
                    (Kind::Audio, 0) => Some(34),
                    (Kind::Audio, _) => Some(32),
                    (Kind::Video, _) => None,
                };
                assert_eq!(packet.audio_level, level);
                size += packet.payload.len();
            }
            let expected = match (track.kind, who) {
                (Kind::Audio, _) => 80,
                (Kind::Video, 0) => 7000 + 6 * 4,
                (Kind::Video, _) => 5000 + 5 * 4,
            };
            assert_eq!(size, expected);
        }
    }
    a.peer.close().await;
    b.peer.close().await;
}

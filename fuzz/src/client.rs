//! What a far peer sends to a client, as far as the client reads it itself.

use std::time::Duration;

use bytes::Bytes;

use crate::e2ee::key::RoomSecret;
use crate::e2ee::layout::Medium;
use crate::e2ee::open::{OpenError, Opener};
use crate::e2ee::seal::Sealer;
use crate::media::clock::Timestamp;
use crate::media::frame::VideoCodec;
use crate::media::receive::assemble::{Assembler, Output, Packet};
use crate::media::receive::depacketize::{Pieces, glimpse};
use crate::media::receive::jitter::{AudioJitter, Play};
use crate::peer::sdp;

/// The name of a corpus, and what is done with each of its inputs.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 4] = [
    ("description", description),
    ("pictures", pictures),
    ("sframe", sframe),
    ("sounds", sounds),
];

/// A far description: what is taken goes on from itself, and its codecs have names.
pub fn description(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let before = ["audio".to_owned()];
    if let Err(refused) = sdp::check(text, &before) {
        assert!(refused.to_string().len() < 500);
    }
    if sdp::check(text, &[]).is_ok() {
        let kinds = sdp::section_kinds(text);
        assert_eq!(sdp::check(text, &kinds), Ok(()));
    }
    for kind in ["audio", "video"] {
        let formats = sdp::formats(text, kind);
        let _ = sdp::choose_video(
            &formats,
            &[VideoCodec::H264, VideoCodec::Vp8, VideoCodec::Vp9],
        );
        let _ = (sdp::sends(text, kind), sdp::receives(text, kind));
        let _ = sdp::extension(text, kind, "urn:ietf:params:rtp-hdrext:sdes:mid");
        assert!(formats.iter().all(|format| !format.name.is_empty()));
    }
    let _ = sdp::username_fragments(text);
}

/// Packets of a picture in any order: each frame that comes out is one whole piece of what went in, and little is held.
pub fn pictures(data: &[u8]) {
    let Some((first, mut rest)) = data.split_first() else {
        return;
    };
    let codec = match (first >> 6, first & 1) {
        (1, _) => VideoCodec::Vp9,
        (_, 0) => VideoCodec::Vp8,
        _ => VideoCodec::H264,
    };
    let mut now = Duration::from_secs(1);
    let mut assembler = Assembler::new(codec);
    let mut bytes = 0;
    // Each packet: sequence number, time stamp in steps of a picture, marker, time since the last one, length, payload.
    while let [high, low, time, marker, later, length, more @ ..] = rest {
        let (payload, more) = more.split_at(more.len().min(usize::from(*length)));
        rest = more;
        now += Duration::from_millis(u64::from(*later));
        let mut pieces = Pieces::new(codec);
        if glimpse(codec, payload).is_ok() && pieces.push(payload).is_ok() {
            let _ = pieces.finish();
        }
        bytes += payload.len();
        let at = Timestamp::from_micros(u64::try_from(now.as_micros()).unwrap_or_default());
        let outputs = match *marker {
            255 => assembler.broken(at),
            254 => assembler.tick(at),
            marker => assembler.push(
                at,
                Packet {
                    sequence: u16::from_be_bytes([*high, *low]),
                    timestamp: u32::from(*time) * 3_000,
                    marker: marker & 1 == 1,
                    payload: Bytes::copy_from_slice(payload),
                },
            ),
        };
        for output in outputs {
            if let Output::Frame(frame) = output {
                // H.264 gets a start code before each unit, of which there may be one in every two bytes;
                // VP9 gets an index of its layers.
                assert!(!frame.data.is_empty() && frame.data.len() <= bytes * 5 + 40);
            }
        }
    }
}

/// Any bytes are no frame of anybody with the key; sealed they are one, once, and with a bit changed they are none.
pub fn sframe(data: &[u8]) {
    let Some((first, frame)) = data.split_first() else {
        return;
    };
    let medium = match first % 4 {
        0 => Medium::Opus,
        1 => Medium::Picture(VideoCodec::Vp8),
        3 => Medium::Picture(VideoCodec::Vp9),
        _ => Medium::Picture(VideoCodec::H264),
    };
    let key = RoomSecret::Raw(vec![7; 32]).key("");
    let mut opener = Opener::new(Some(key.clone()));
    assert!(opener.open(medium, frame).is_err());
    let Ok(sealed) = Sealer::with_id(&key, u64::from(*first)).and_then(|s| s.seal(medium, frame))
    else {
        return;
    };
    assert_eq!(opener.open(medium, &sealed).as_deref(), Ok(frame));
    assert_eq!(opener.open(medium, &sealed), Err(OpenError::Replayed));
    let mut changed = sealed.to_vec();
    let at = frame.len() * usize::from(*first) % changed.len();
    changed[at] ^= 1 << (first & 7);
    assert!(Opener::new(Some(key)).open(medium, &changed).is_err());
}

/// Packets of sound in any order: the next thing to play is always known, and time goes on.
pub fn sounds(data: &[u8]) {
    let mut now = Duration::from_secs(1);
    let mut jitter = AudioJitter::default();
    // Each packet: time stamp in quarters of a packet, time since the last one, two bytes of Opus.
    for packet in data.chunks_exact(5) {
        let [high, low, later, opus @ ..] = packet else {
            return;
        };
        now += Duration::from_millis(u64::from(*later));
        let at = Timestamp::from_micros(u64::try_from(now.as_micros()).unwrap_or_default());
        let timestamp = u32::from(u16::from_be_bytes([*high, *low])) * 240;
        jitter.push(at, timestamp, Bytes::copy_from_slice(opus));
        for turn in 0.. {
            match jitter.pull() {
                Play::Starved(_) | Play::Paused => break,
                // What a decoder can conceal.
                Play::Conceal(lost) | Play::Recover { duration: lost, .. } => {
                    assert!(lost.as_micros() % 2_500 == 0 && lost <= Duration::from_millis(120));
                }
                Play::Packet { .. } => {}
            }
            assert!(turn < 10_000, "there is always something more to play");
        }
        assert!(jitter.delay().target() <= Duration::from_millis(400));
    }
}

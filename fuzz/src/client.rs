//! What a far peer sends to a client, as far as the client reads it itself.

use std::time::Duration;

use bytes::Bytes;

use crate::e2ee::key::RoomSecret;
use crate::e2ee::layout::Medium;
use crate::e2ee::open::{OpenError, Opener};
use crate::e2ee::seal::Sealer;
use crate::event::Kind;
use crate::media::clock::Timestamp;
use crate::media::frame::VideoCodec;
use crate::media::receive::assemble::{Assembler, Output, Packet};
use crate::media::receive::depacketize::{Pieces, glimpse};
use crate::media::receive::jitter::{AudioJitter, Play};
use crate::media::red as redundancy;
use crate::media::tones::receive::ToneReceiver;
use crate::media::tones::{Report, dialled};
use crate::net::shared::demux::{Demux, Way, is_for_relay};
use crate::net::turn::framing::{Incoming, put};
use crate::peer::directions::{self, Flow};
use crate::peer::sdp;
use crate::signaling::copied::text::{self, Pasted};
use crate::signaling::http::link;
use crate::signaling::program::line;
use crate::signaling::whip::generation;
use rtc_protocol::dialect::whip::Fragment;

/// The name of a corpus, and what is done with each of its inputs.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 9] = [
    ("description", description),
    ("doors", doors),
    ("pictures", pictures),
    ("red", red),
    ("sframe", sframe),
    ("shared_port", shared_port),
    ("sounds", sounds),
    ("tones", tones),
    ("turn_stream", turn_stream),
];

/// What comes through doors that are no server's: a `Link` header, a pasted text, a program's line, a fragment about an answer. The
/// first byte says which; what is read is written as it was read.
pub fn doors(data: &[u8]) {
    let Some((door, rest)) = data.split_first() else {
        return;
    };
    let Ok(text) = std::str::from_utf8(rest) else {
        return;
    };
    match door % 4 {
        0 => {
            let servers = link::ice_servers([text]);
            assert!(servers.len() <= text.matches('<').count());
        }
        1 => {
            let mut pasted = Pasted::new();
            for line in text.lines() {
                if let Some(Ok(read)) = pasted.line(line) {
                    let again = Pasted::new().line(&text::write(&read));
                    assert_eq!(again, Some(Ok(read)));
                }
            }
        }
        2 => {
            if let Ok(Some(word)) = line::read(text) {
                let written = line::write(&word).expect("what was read can be written");
                assert!(!written.contains('\n'));
                assert_eq!(line::read(&written), Ok(Some(word)));
            }
        }
        _ => {
            let (fragment, answer) = text.split_once('\u{c}').unwrap_or((text, text));
            let Ok(fragment) = Fragment::read(fragment) else {
                return;
            };
            if let Some(renewed) = generation::renewed(answer, &fragment) {
                let lines = renewed
                    .lines()
                    .filter(|line| line.starts_with("m="))
                    .count();
                assert_eq!(
                    lines,
                    answer.lines().filter(|line| line.starts_with("m=")).count()
                );
                assert!(renewed.is_empty() || renewed.ends_with("\r\n"));
            }
        }
    }
}

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
            &[
                VideoCodec::Av1,
                VideoCodec::H264,
                VideoCodec::Vp8,
                VideoCodec::Vp9,
            ],
        );
        let _ = sdp::extension(text, kind, "urn:ietf:params:rtp-hdrext:sdes:mid");
        assert!(formats.iter().all(|format| !format.name.is_empty()));
    }
    let _ = sdp::username_fragments(text);
    let mids = directions::mids(text);
    for kind in [Kind::Audio, Kind::Video] {
        for mid in &mids {
            let flow = directions::flow(text, kind, Some(mid));
            assert!(flow == Flow::NONE || !directions::is_ended(text, mid) || doubled(&mids));
        }
    }
    let told = directions::for_the_engine(text, &mids, vec![Kind::Audio, Kind::Video]);
    assert_eq!(directions::mids(&told), mids);
    let answer = directions::answer(&told, text, |_| Flow::BOTH);
    assert_eq!(directions::mids(&answer), mids);
    let _ = directions::offer(&answer, |_| Flow::NONE, 1);
}

fn doubled(mids: &[String]) -> bool {
    mids.iter()
        .enumerate()
        .any(|(at, mid)| mids[..at].contains(mid))
}

/// What a TURN server sends over a stream: messages come out alike however it is cut, and go on as they are.
pub fn turn_stream(data: &[u8]) {
    let Some((cut, stream)) = data.split_first() else {
        return;
    };
    let all = |step: usize| {
        let (mut incoming, mut came) = (Incoming::default(), Vec::new());
        for piece in stream.chunks(step) {
            incoming.push(piece);
            loop {
                match incoming.next() {
                    Ok(Some(message)) => came.push(message.to_vec()),
                    Ok(None) => break,
                    Err(_) => return came,
                }
            }
        }
        came
    };
    let came = all(usize::from(*cut) + 1);
    assert_eq!(came, all(stream.len().max(1)));
    assert!(came.iter().map(Vec::len).sum::<usize>() <= stream.len());
    for message in came {
        let mut out = Vec::new();
        if put(&message, &mut out) {
            assert!(
                out.starts_with(&message) && out.len() % 4 == 0 && out.len() < message.len() + 4
            );
        }
    }
}

/// Datagrams of three connections at one port and of whoever else: what is handed to one is for it, and little is kept.
///
/// The first byte of each step says what is done and by whom, the second the far port, the third how long the datagram is.
pub fn shared_port(data: &[u8]) {
    let local = std::net::IpAddr::from([192, 0, 2, 1]);
    let mut demux = Demux::default();
    let mut there = [false; 3];
    let mut rest = data;
    while let Some((&[what, port, length], after)) = rest.split_first_chunk::<3>() {
        let datagram = &after[..usize::from(length).min(after.len())];
        rest = &after[datagram.len()..];
        let member = u64::from(what & 3) % 3;
        let at = usize::from(what & 3) % 3;
        let far = std::net::SocketAddr::from(([198, 51, 100, 1], u16::from(port)));
        let way = Way { local, far };
        match what >> 6 {
            0 => {
                demux.claim(member, &format!("f{}", what >> 2 & 7));
                there[at] = true;
            }
            1 => {
                demux.sent(member, way, datagram);
                there[at] = true;
            }
            2 => {
                let to = demux.came(way, datagram);
                assert!(to.is_none_or(|to| there[usize::try_from(to).unwrap_or(3)]));
                assert!(to.is_none() || !is_for_relay(datagram));
            }
            _ => {
                demux.leave(member);
                there[at] = false;
            }
        }
        demux.audit();
    }
}

/// Packets of a picture in any order: each frame that comes out is one whole piece of what went in, and little is held.
pub fn pictures(data: &[u8]) {
    let Some((first, mut rest)) = data.split_first() else {
        return;
    };
    let codec = match (first >> 6, first & 1) {
        (1, _) => VideoCodec::Vp9,
        (2, _) => VideoCodec::Av1,
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
                // VP9 gets an index of its layers, AV1 the sizes of its units.
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

/// What is taken apart makes the same packet again, where all of it is of one payload type.
pub fn red(data: &[u8]) {
    let packet = Bytes::copy_from_slice(data);
    let Some(blocks) = redundancy::parse(&packet) else {
        return;
    };
    let Some((newest, older)) = blocks.split_last() else {
        panic!("a packet of nothing");
    };
    assert!(blocks.iter().map(|b| b.payload.len()).sum::<usize>() < data.len());
    if blocks.iter().all(|b| b.payload_type == newest.payload_type) {
        let older: Vec<_> = older.iter().map(|b| (b.age, b.payload.clone())).collect();
        let again = redundancy::pack(newest.payload_type, &older, &newest.payload);
        assert_eq!(again, packet);
    }
}

/// Packets about keys in any order: no more keys are heard than packets came, and none is pressed for ever.
pub fn tones(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = dialled(text);
    }
    let mut now = Duration::from_secs(1);
    let mut receiver = ToneReceiver::default();
    let (mut heard, mut came) = (0, 0);
    // Each packet: time stamp in steps of 20 ms, time since the last one, marker and clock, four bytes.
    for packet in data.chunks(7) {
        let [time, later, flags, payload @ ..] = packet else {
            break;
        };
        now += Duration::from_millis(u64::from(*later) * 4);
        let at = Timestamp::from_micros(u64::try_from(now.as_micros()).unwrap_or_default());
        heard += usize::from(receiver.tick(at).is_some());
        assert!(receiver.due().is_none_or(|due| due > at));
        let clock = if flags & 2 == 0 { 48_000 } else { 8_000 };
        let timestamp = u32::from(*time) * 960;
        heard += receiver
            .push(at, timestamp, flags & 1 == 1, payload, clock)
            .len();
        came += 1;
        if let Some(report) = Report::parse(payload) {
            assert_eq!(Report::parse(&report.pack()), Some(report));
        }
    }
    assert!(heard <= came);
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
        let payload = Bytes::copy_from_slice(opus);
        if later & 1 == 0 {
            jitter.push(at, timestamp, payload);
        } else {
            jitter.push_again(at, timestamp, payload);
        }
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

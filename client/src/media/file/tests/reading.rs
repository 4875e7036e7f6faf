//! Whole files: every packet, its time, its form.

use std::time::Duration;

use super::*;
use crate::media::file::h264;
use crate::media::file::{FileOptions, open_audio, open_video};
use crate::media::frame::VideoCodec;

/// The time stamps of one kind of packets, counted from a second before the file
/// begins, since sound may begin before it.
fn ffprobe_stamps(name: &str, bytes: &[u8], kind: &str) -> Vec<Duration> {
    let dir = folder();
    let path = dir.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    let words = run(
        "ffprobe",
        &[
            "-v",
            "error",
            "-select_streams",
            &format!("{kind}:0"),
            "-show_entries",
            "packet=pts_time",
            "-of",
            "csv=p=0",
            path.to_str().unwrap(),
        ],
    );
    words
        .lines()
        .filter_map(|line| line.trim_end_matches(',').parse::<f64>().ok())
        .map(|seconds| Duration::from_secs_f64(1.0 + seconds))
        .collect()
}

#[test]
fn every_picture_of_every_container_comes_out_with_its_time() {
    for (name, codec, keys) in [
        ("vp8.webm", VideoCodec::Vp8, 2),
        ("live.webm", VideoCodec::Vp8, 2),
        ("unsized.webm", VideoCodec::Vp8, 2),
        ("vp9.webm", VideoCodec::Vp9, 2),
        ("vp9.ivf", VideoCodec::Vp9, 2),
        ("vp9.mp4", VideoCodec::Vp9, 2),
        ("av1.webm", VideoCodec::Av1, 2),
        ("av1.ivf", VideoCodec::Av1, 2),
        ("av1.mp4", VideoCodec::Av1, 2),
        ("h264.mkv", VideoCodec::H264, 2),
        ("vp8.ivf", VideoCodec::Vp8, 2),
        ("h264.ivf", VideoCodec::H264, 2),
        ("h264.mp4", VideoCodec::H264, 2),
        ("fragmented.mp4", VideoCodec::H264, 2),
    ] {
        let bytes = Fixtures::bytes(name);
        let units = whole(video(bytes));
        assert_eq!(units.len(), 60, "{name}");
        let stamps = ffprobe_stamps(name, bytes, "v");
        assert_eq!(stamps.len(), 60, "{name}");
        let first = units[0].time;
        assert!(
            first < Duration::from_millis(30),
            "{name} begins at {first:?}"
        );
        let mut found = 0;
        for (n, unit) in units.iter().enumerate() {
            let off = (unit.time - first).abs_diff(stamps[n] - stamps[0]);
            assert!(
                off < Duration::from_millis(1),
                "{name}: picture {n} at {:?}",
                unit.time
            );
            let VideoItem::Encoded(picture) = &unit.item else {
                panic!("{name}: not encoded");
            };
            assert_eq!(picture.codec, codec);
            found += usize::from(picture.key);
            if codec == VideoCodec::H264 {
                let kinds: Vec<u8> = h264::units(&picture.data)
                    .iter()
                    .map(|u| h264::kind(u))
                    .collect();
                assert_eq!(picture.key, kinds.contains(&h264::IDR), "{name}: {kinds:?}");
                if picture.key {
                    assert!(
                        kinds.starts_with(&[h264::SPS, h264::PPS]),
                        "{name}: {kinds:?}"
                    );
                }
                assert!(picture.data.starts_with(&[0, 0, 0, 1]));
            }
        }
        assert!(found >= keys, "{name}: {found} key pictures");
    }
}

#[test]
fn every_sound_packet_comes_out_right_behind_the_one_before() {
    for name in [
        "vp8.webm",
        "live.webm",
        "unsized.webm",
        "h264.mkv",
        "h264.mp4",
        "fragmented.mp4",
        "tone.opus",
    ] {
        let bytes = Fixtures::bytes(name);
        let units = whole(audio(bytes));
        let dir = folder();
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(units.len(), ffprobe_packets(&path, "a"), "{name}");
        for (n, unit) in units.iter().enumerate() {
            let wanted = units[0].time + Duration::from_millis(20 * n as u64);
            assert_eq!(unit.time, wanted, "{name}: packet {n}");
        }
    }
}

#[test]
fn raw_pictures_are_the_ones_that_ffmpeg_wrote() {
    let bytes = Fixtures::bytes("raw.y4m");
    let units = whole(video(bytes));
    assert_eq!(units.len(), 15);
    let VideoItem::Raw(picture) = &units[0].item else {
        panic!("not raw");
    };
    assert_eq!((picture.width, picture.height), (160, 90));
    let begin = bytes.windows(6).position(|w| w == b"FRAME\n").unwrap() + 6;
    let planes = [&picture.y[..], &picture.u[..], &picture.v[..]].concat();
    assert_eq!(planes, bytes[begin..begin + planes.len()]);
    assert_eq!(units[3].time, Duration::from_millis(100));
}

#[test]
fn pcm_comes_out_sample_for_sample_from_wav_and_from_mkv() {
    let wav = Fixtures::bytes("tone.wav");
    let data = wav.windows(4).position(|w| w == b"data").unwrap() + 8;
    let wanted: Vec<i16> = wav[data..]
        .chunks_exact(2)
        .map(|s| i16::from_le_bytes([s[0], s[1]]))
        .collect();
    assert_eq!(wanted.len(), 96_000);
    for name in ["tone.wav", "pcm.mkv"] {
        let mut samples = Vec::new();
        for (n, unit) in whole(audio(Fixtures::bytes(name))).into_iter().enumerate() {
            assert_eq!(unit.time, Duration::from_millis(20 * n as u64), "{name}");
            match unit.item {
                AudioItem::Raw(sound) => samples.extend(sound.samples),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(samples, wanted, "{name}");
    }
}

#[test]
fn a_wav_written_into_a_pipe_is_read_to_its_end() {
    let mut bytes = Fixtures::bytes("tone.wav").to_vec();
    let size = bytes.windows(4).position(|w| w == b"data").unwrap() + 4;
    for told in [0_u32, u32::MAX] {
        bytes[size..size + 4].copy_from_slice(&told.to_le_bytes());
        assert_eq!(whole(audio(&bytes)).len(), 100);
    }
}

#[test]
fn pictures_and_sound_of_one_clip_share_a_time_line() {
    for name in ["vp8.webm", "h264.mkv", "h264.mp4"] {
        let bytes = Fixtures::bytes(name);
        let ours = whole(video(bytes))[0]
            .time
            .saturating_sub(whole(audio(bytes))[0].time);
        // ffprobe says how much later the first picture is than the first sound.
        let told = ffprobe_stamps(name, bytes, "v")[0] - ffprobe_stamps(name, bytes, "a")[0];
        assert!(
            ours.abs_diff(told) < Duration::from_millis(1),
            "{name}: {ours:?}, {told:?}"
        );
    }
}

#[test]
fn both_tracks_count_the_same_length_for_looping() {
    for name in [
        "vp8.webm",
        "live.webm",
        "unsized.webm",
        "h264.mkv",
        "h264.mp4",
        "fragmented.mp4",
    ] {
        let bytes = Fixtures::bytes(name);
        let (mut picture, mut sound) = (video(bytes).unwrap(), audio(bytes).unwrap());
        drain(picture.as_mut());
        drain(sound.as_mut());
        assert_eq!(picture.length(), sound.length(), "{name}");
        assert!(picture.length() > Duration::from_millis(1_990), "{name}");
        assert!(picture.length() < Duration::from_millis(2_040), "{name}");
    }
}

#[test]
fn a_rewound_file_gives_the_same_again() {
    for (name, bytes) in Fixtures::all() {
        if let Ok(mut demux) = video(bytes) {
            let (first, _) = drain(demux.as_mut());
            demux.rewind().unwrap();
            let (second, _) = drain(demux.as_mut());
            assert_eq!(times(&first), times(&second), "{name}");
        }
        if let Ok(mut demux) = audio(bytes) {
            let (first, _) = drain(demux.as_mut());
            demux.rewind().unwrap();
            let (second, _) = drain(demux.as_mut());
            assert_eq!(times(&first), times(&second), "{name}");
        }
    }
}

#[test]
fn the_kind_is_told_by_content_and_never_by_name() {
    let dir = folder();
    let path = dir.path().join("clip.wav");
    std::fs::write(&path, Fixtures::bytes("vp8.webm")).unwrap();
    let source = open_video(&path, FileOptions::default()).unwrap();
    assert!(
        source.describe().contains("VP8 160x90"),
        "{}",
        source.describe()
    );
    let source = open_audio(&path, FileOptions::default()).unwrap();
    assert!(source.describe().contains("Opus"), "{}", source.describe());
}

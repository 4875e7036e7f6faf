//! Files made by ffmpeg at test time, whole, looped, cut off and broken.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod hostile;
mod playing;
mod reading;

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use super::input::{Input, Problem};
use super::source::{Demux, Unit};
use super::{ebml, h264};
use crate::media::capture::{AudioItem, VideoItem};
use crate::media::frame::{EncodedPicture, EncodedSound};

/// A folder that goes away with its test process's last use of it.
pub(crate) fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// Runs a command that must succeed without a word on stderr, and gives what it printed.
pub(crate) fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    let silent = output.status.success() && errors.is_empty();
    assert!(silent, "{program} {arguments:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// How many packets ffprobe finds in the first stream of a kind (`v` or `a`).
pub(crate) fn ffprobe_packets(path: &Path, kind: &str) -> usize {
    let words = run(
        "ffprobe",
        &[
            "-v",
            "error",
            "-count_packets",
            "-select_streams",
            &format!("{kind}:0"),
            "-show_entries",
            "stream=nb_read_packets",
            "-of",
            "csv=p=0",
            path.to_str().unwrap(),
        ],
    );
    words.trim().trim_end_matches(',').parse().expect(&words)
}

const VIDEO_IN: &[&str] = &[
    "-f",
    "lavfi",
    "-i",
    "testsrc2=size=160x90:rate=30:duration=2",
];
const AUDIO_IN: &[&str] = &[
    "-f",
    "lavfi",
    "-i",
    "sine=frequency=440:sample_rate=48000:duration=2",
];
const VP8: &[&str] = &[
    "-c:v",
    "libvpx",
    "-deadline",
    "realtime",
    "-cpu-used",
    "8",
    "-g",
    "30",
];
const VP9: &[&str] = &[
    "-c:v",
    "libvpx-vp9",
    "-pix_fmt",
    "yuv420p",
    "-deadline",
    "realtime",
    "-cpu-used",
    "8",
    "-lag-in-frames",
    "0",
    "-g",
    "30",
];
const AV1: &[&str] = &[
    "-c:v",
    "libaom-av1",
    "-pix_fmt",
    "yuv420p",
    "-usage",
    "realtime",
    "-cpu-used",
    "8",
    "-lag-in-frames",
    "0",
    "-g",
    "30",
];
const H264: &[&str] = &[
    "-c:v",
    "libx264",
    "-preset",
    "ultrafast",
    "-profile:v",
    "baseline",
    "-pix_fmt",
    "yuv420p",
    "-g",
    "30",
];
const OPUS: &[&str] = &["-c:a", "libopus", "-b:a", "64k"];

/// Encodes the test picture and the tone into a file of this name.
fn encode(dir: &Path, name: &str, parts: &[&[&str]]) -> PathBuf {
    let path = dir.join(name);
    let mut arguments = vec!["-v", "error", "-y"];
    parts
        .iter()
        .for_each(|part| arguments.extend_from_slice(part));
    arguments.push(path.to_str().unwrap());
    run("ffmpeg", &arguments);
    path
}

/// How ffmpeg makes each kind of file.
const RECIPES: &[(&str, &[&[&str]])] = &[
    ("vp8.webm", &[VIDEO_IN, AUDIO_IN, VP8, OPUS]),
    (
        "live.webm",
        &[
            VIDEO_IN,
            AUDIO_IN,
            VP8,
            OPUS,
            &["-live", "1", "-cluster_time_limit", "500"],
        ],
    ),
    ("vp9.webm", &[VIDEO_IN, AUDIO_IN, VP9, OPUS]),
    ("vp9.ivf", &[VIDEO_IN, VP9]),
    ("vp9.mp4", &[VIDEO_IN, VP9]),
    ("av1.webm", &[VIDEO_IN, AUDIO_IN, AV1, OPUS]),
    ("av1.ivf", &[VIDEO_IN, AV1]),
    ("av1.mp4", &[VIDEO_IN, AV1]),
    ("h264.mkv", &[VIDEO_IN, AUDIO_IN, H264, OPUS]),
    (
        "pcm.mkv",
        &[VIDEO_IN, AUDIO_IN, VP8, &["-c:a", "pcm_s16le"]],
    ),
    ("vp8.ivf", &[VIDEO_IN, VP8]),
    ("h264.mp4", &[VIDEO_IN, AUDIO_IN, H264, OPUS]),
    (
        "fragmented.mp4",
        &[
            VIDEO_IN,
            AUDIO_IN,
            H264,
            OPUS,
            &["-movflags", "frag_keyframe+empty_moov+default_base_moof"],
        ],
    ),
    (
        "raw.y4m",
        &[VIDEO_IN, &["-pix_fmt", "yuv420p", "-t", "0.5"]],
    ),
    ("tone.opus", &[AUDIO_IN, OPUS]),
    ("tone.wav", &[AUDIO_IN, &["-c:a", "pcm_s16le"]]),
];

/// One of each kind of file, each made when it is first asked for.
struct Fixtures;

impl Fixtures {
    fn bytes(name: &str) -> &'static [u8] {
        type Made = BTreeMap<String, &'static [u8]>;
        static MADE: Mutex<Made> = Mutex::new(BTreeMap::new());
        if let Some(bytes) = MADE.lock().unwrap().get(name) {
            return bytes;
        }
        let bytes = if name == "h264.ivf" {
            h264_ivf(Self::bytes("h264.mkv"))
        } else if name == "unsized.webm" {
            without_cluster_sizes(Self::bytes("live.webm"))
        } else {
            let (_, parts) = RECIPES
                .iter()
                .find(|(known, _)| *known == name)
                .expect(name);
            let dir = folder();
            std::fs::read(encode(dir.path(), name, parts)).unwrap()
        };
        let bytes: &'static [u8] = bytes.leak();
        MADE.lock().unwrap().insert(name.to_owned(), bytes);
        bytes
    }

    fn all() -> Vec<(&'static str, &'static [u8])> {
        let names = RECIPES
            .iter()
            .map(|(name, _)| *name)
            .chain(["h264.ivf", "unsized.webm"]);
        names.map(|name| (name, Self::bytes(name))).collect()
    }
}

/// A live recording as browsers make it: neither segment nor clusters have a size.
fn without_cluster_sizes(live: &[u8]) -> Vec<u8> {
    let mut out = live.to_vec();
    let clusters = |n: &usize| live[*n..].starts_with(&[0x1f, 0x43, 0xb6, 0x75]);
    let places: Vec<usize> = (0..live.len()).filter(clusters).collect();
    assert!(places.len() >= 3, "{places:?}");
    for place in places {
        let length = ebml::field_length(live[place + 4]).unwrap();
        let field = &mut out[place + 4..][..length];
        field.fill(0xff);
        field[0] >>= length - 1;
        assert_eq!(ebml::size_value(field), None);
    }
    let segment = [&[0x18, 0x53, 0x80, 0x67][..], &ebml::UNKNOWN_SIZE].concat();
    assert!(out.windows(segment.len()).any(|w| w == segment));
    out
}

/// H.264 in IVF, which ffmpeg reads and does not write. Key pictures but the first
/// are left without their parameter sets.
fn h264_ivf(mkv: &[u8]) -> Vec<u8> {
    let mut out = b"DKIF\0\0\x20\0H264".to_vec();
    for side in [160_u16, 90] {
        out.extend_from_slice(&side.to_le_bytes());
    }
    for word in [30_u32, 1, 60, 0] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    for (n, unit) in (0_u64..).zip(whole(video(mkv))) {
        let VideoItem::Encoded(picture) = unit.item else {
            panic!("not encoded");
        };
        let units = h264::units(&picture.data).into_iter();
        let bare = h264::annex_b(units.filter(|unit| n == 0 || !matches!(h264::kind(unit), 7 | 8)));
        out.extend_from_slice(&u32::try_from(bare.len()).unwrap().to_le_bytes());
        out.extend_from_slice(&n.to_le_bytes());
        out.extend_from_slice(&bare);
    }
    out
}

/// A fixture, for others to test with.
pub(crate) fn fixture(name: &str) -> &'static [u8] {
    Fixtures::bytes(name)
}

fn input(bytes: &[u8]) -> Input {
    Input::new(Cursor::new(bytes.to_vec())).unwrap()
}

fn video(bytes: &[u8]) -> Result<Box<dyn Demux<VideoItem>>, Problem> {
    super::video_from(input(bytes))
}

fn audio(bytes: &[u8]) -> Result<Box<dyn Demux<AudioItem>>, Problem> {
    super::audio_from(input(bytes), false)
}

/// Everything until the end or the first problem.
fn drain<T>(demux: &mut dyn Demux<T>) -> (Vec<Unit<T>>, Option<Problem>) {
    let mut units = Vec::new();
    loop {
        match demux.next() {
            Ok(Some(unit)) => units.push(unit),
            Ok(None) => return (units, None),
            Err(problem) => return (units, Some(problem)),
        }
    }
}

fn whole<T>(demux: Result<Box<dyn Demux<T>>, Problem>) -> Vec<Unit<T>> {
    let (units, problem) = drain(demux.unwrap().as_mut());
    assert!(problem.is_none(), "{problem:?}");
    units
}

/// The pictures of a fixture and their times, for others to test with.
pub(crate) fn pictures(name: &str) -> Vec<(Duration, EncodedPicture)> {
    pictures_in(Fixtures::bytes(name))
}

/// The pictures of a file and their times.
pub(crate) fn pictures_in(bytes: &[u8]) -> Vec<(Duration, EncodedPicture)> {
    let take = |unit: Unit<VideoItem>| match unit.item {
        VideoItem::Encoded(picture) => (unit.time, picture),
        other => panic!("{other:?}"),
    };
    whole(video(bytes)).into_iter().map(take).collect()
}

/// The packets of a fixture and their times.
pub(crate) fn sounds(name: &str) -> Vec<(Duration, EncodedSound)> {
    sounds_in(Fixtures::bytes(name))
}

/// The packets of a file and their times.
pub(crate) fn sounds_in(bytes: &[u8]) -> Vec<(Duration, EncodedSound)> {
    let take = |unit: Unit<AudioItem>| match unit.item {
        AudioItem::Encoded(sound) => (unit.time, sound),
        other => panic!("{other:?}"),
    };
    whole(audio(bytes)).into_iter().map(take).collect()
}

/// How many pictures or packets our own reader finds in a file.
pub(crate) fn count(bytes: &[u8]) -> (usize, usize) {
    let pictures = video(bytes).map_or(0, |demux| whole(Ok(demux)).len());
    let sounds = audio(bytes).map_or(0, |demux| whole(Ok(demux)).len());
    (pictures, sounds)
}

fn times<T>(units: &[Unit<T>]) -> Vec<Duration> {
    units.iter().map(|unit| unit.time).collect()
}

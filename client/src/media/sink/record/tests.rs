//! Recordings of prepared media, judged by ffprobe and by our own reader.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod disk;
mod mp4;

use std::time::Duration;

use super::*;
use crate::media::file::ebml::{Elements, float, id, uint};
use crate::media::file::tests::{count, folder, pictures, run, sounds};

const BEGIN: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

fn info(name: &str, kind: TrackKind) -> TrackInfo {
    TrackInfo {
        name: name.into(),
        kind,
    }
}

const VP8: TrackKind = TrackKind::Video(VideoCodec::Vp8);
const H264: TrackKind = TrackKind::Video(VideoCodec::H264);
const MONO: TrackKind = TrackKind::Audio { channels: 1 };

/// A frame on its way into a recording.
enum Given {
    Video(TrackId, EncodedPicture),
    Audio(TrackId, EncodedSound),
}

impl Given {
    const fn at(&self) -> Timestamp {
        match self {
            Self::Video(_, picture) => picture.at,
            Self::Audio(_, sound) => sound.at,
        }
    }

    fn give(&self, recorder: &mut Recorder) -> Result<(), RecordError> {
        match self {
            Self::Video(track, picture) => recorder.video(*track, picture),
            Self::Audio(track, sound) => recorder.audio(*track, sound),
        }
    }
}

/// A peer of two seconds, who comes `late`.
fn peer(recorder: &mut Recorder, name: &str, clip: &str, late: Duration) -> Vec<Given> {
    let pictures = pictures(clip);
    let kind = TrackKind::Video(pictures[0].1.codec);
    let video = recorder.add_track(info(name, kind)).unwrap();
    let audio = recorder.add_track(info(name, MONO)).unwrap();
    let mut given = Vec::new();
    for (time, mut picture) in pictures {
        picture.at = BEGIN + late + time;
        given.push(Given::Video(video, picture));
    }
    for (time, mut sound) in sounds(clip) {
        sound.at = BEGIN + late + time;
        given.push(Given::Audio(audio, sound));
    }
    given
}

fn give(recorder: &mut Recorder, mut given: Vec<Given>) {
    given.sort_by_key(Given::at);
    for frame in &given {
        frame.give(recorder).unwrap();
    }
}

/// What ffprobe says of each stream, having decoded every frame without a complaint.
fn probe(path: &Path) -> Vec<String> {
    let words = run(
        "ffprobe",
        &[
            "-v",
            "error",
            "-count_frames",
            "-show_entries",
            "stream=codec_name,width,height,channels,nb_read_frames:stream_tags=title",
            "-of",
            "compact=p=0:nk=1",
            path.to_str().unwrap(),
        ],
    );
    words
        .lines()
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect()
}

fn format_duration(path: &Path) -> f64 {
    let words = run(
        "ffprobe",
        &[
            "-v",
            "error",
            "-show_entries",
            "format=duration",
            "-of",
            "csv=p=0",
            path.to_str().unwrap(),
        ],
    );
    words.trim().parse().expect(&words)
}

#[test]
fn peers_who_come_later_get_tracks_of_their_own_and_every_frame_decodes() {
    let dir = folder();
    let path = dir.path().join("call.mkv");
    let mut recorder = Recorder::create(&path).unwrap();
    let given = peer(&mut recorder, "Anna", "vp8.webm", Duration::ZERO);
    give(&mut recorder, given);
    let given = peer(
        &mut recorder,
        "Bert Übel",
        "h264.mkv",
        Duration::from_millis(2_500),
    );
    give(&mut recorder, given);
    let given = peer(&mut recorder, "Cleo", "vp9.webm", Duration::from_secs(2));
    give(&mut recorder, given);
    recorder.finish().unwrap();
    assert_eq!(
        probe(&path),
        [
            "opus|1|101|Anna",
            "vp8|160|90|60|Anna",
            "opus|1|101|Bert Übel",
            "h264|160|90|60|Bert Übel",
            "opus|1|101|Cleo",
            "vp9|160|90|60|Cleo",
        ]
    );
    let duration = format_duration(&path);
    assert!((4.5..4.6).contains(&duration), "{duration}");
}

#[test]
fn what_goes_in_comes_out_byte_for_byte_and_in_step() {
    for clip in ["vp8.webm", "vp9.webm", "av1.webm", "h264.mkv"] {
        let dir = folder();
        let path = dir.path().join("call.mkv");
        let mut recorder = Recorder::create(&path).unwrap();
        let given = peer(&mut recorder, "Anna", clip, Duration::ZERO);
        give(&mut recorder, given);
        recorder.finish().unwrap();
        let options = crate::media::file::FileOptions {
            looped: false,
            anchor: crate::media::file::Anchor::at(Timestamp::from_micros(1)),
        };
        let mut source = crate::media::file::open_video(&path, options).unwrap();
        for (n, (_, wanted)) in pictures(clip).into_iter().enumerate() {
            match source.next().unwrap() {
                Some(crate::media::capture::VideoItem::Encoded(got)) => {
                    assert_eq!(
                        (got.data, got.key),
                        (wanted.data, wanted.key),
                        "{clip}: {n}"
                    );
                }
                other => panic!("{clip}: {n}: {other:?}"),
            }
        }
        assert_eq!(
            count(&std::fs::read(&path).unwrap()),
            (60, sounds(clip).len())
        );
    }
}

#[test]
fn av1_is_recorded_with_what_players_want_to_know_in_front() {
    let dir = folder();
    for name in ["call.mkv", "call.webm"] {
        let path = dir.path().join(name);
        let mut recorder = Recorder::create(&path).unwrap();
        let given = peer(&mut recorder, "Anna", "av1.webm", Duration::ZERO);
        give(&mut recorder, given);
        recorder.finish().unwrap();
        assert_eq!(probe(&path), ["opus|1|101|Anna", "av1|160|90|60|Anna"]);
    }
}

#[test]
fn a_killed_recording_is_read_to_its_last_second() {
    let dir = folder();
    for name in ["call.mkv", "call.webm"] {
        let path = dir.path().join(name);
        let mut recorder = Recorder::create(&path).unwrap();
        let given = peer(&mut recorder, "Anna", "vp8.webm", Duration::ZERO);
        give(&mut recorder, given);
        // Nothing is written when it is dropped: the same as a kill.
        drop(recorder);
        let (video, audio) = count(&std::fs::read(&path).unwrap());
        assert!((30..=60).contains(&video), "{video}");
        assert!(audio >= 50, "{audio}");
        let seen = probe(&path);
        assert_eq!(seen.len(), 2);
        assert!(
            seen.contains(&format!("vp8|160|90|{video}|Anna")),
            "{seen:?}"
        );
        assert!(format_duration(&path) > 0.9);
    }
}

#[test]
fn what_waits_is_written_by_the_next_ticks_though_nothing_comes() {
    let dir = folder();
    let path = dir.path().join("call.mkv");
    let mut recorder = Recorder::create(&path).unwrap();
    let given = peer(&mut recorder, "Anna", "vp8.webm", Duration::ZERO);
    give(&mut recorder, given);
    recorder.tick(BEGIN).unwrap();
    recorder.tick(BEGIN + LONGEST_WAIT).unwrap();
    assert_eq!(count(&std::fs::read(&path).unwrap()), (60, 101));
}

#[test]
fn pictures_are_recorded_from_a_key_frame_on() {
    let dir = folder();
    let path = dir.path().join("call.webm");
    let mut recorder = Recorder::create(&path).unwrap();
    let track = recorder.add_track(info("Anna", VP8)).unwrap();
    let list = pictures("vp8.webm");
    for (time, picture) in &list[10..40] {
        let picture = EncodedPicture {
            at: BEGIN + *time,
            ..picture.clone()
        };
        recorder.video(track, &picture).unwrap();
    }
    // Something was lost, then the peer comes back: again from a key frame on.
    assert_eq!(recorder.add_track(info("Anna", VP8)).unwrap(), track);
    for (time, picture) in &list[40..] {
        let picture = EncodedPicture {
            at: BEGIN + *time,
            ..picture.clone()
        };
        recorder.video(track, &picture).unwrap();
    }
    recorder.finish().unwrap();
    assert_eq!(probe(&path), ["vp8|160|90|10|Anna"]);
}

#[test]
fn a_finished_recording_has_its_size_its_places_and_an_index_of_key_frames() {
    let dir = folder();
    let path = dir.path().join("call.webm");
    let mut recorder = Recorder::create(&path).unwrap();
    let given = peer(&mut recorder, "Anna", "vp8.webm", Duration::ZERO);
    give(&mut recorder, given);
    recorder.finish().unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let top: Vec<(u32, &[u8])> = Elements(&bytes).collect();
    assert_eq!(
        top.iter().map(|e| e.0).collect::<Vec<_>>(),
        [id::EBML, id::SEGMENT]
    );
    let doc = Elements(top[0].1).find(|e| e.0 == id::DOC_TYPE).unwrap();
    assert_eq!(doc.1, b"webm");
    let segment = top[1].1;
    let header = |at: u64| segment.get(usize::try_from(at).unwrap()..).unwrap();
    let within: Vec<(u32, &[u8])> = Elements(segment).collect();
    let find = |wanted| within.iter().find(|e| e.0 == wanted).unwrap().1;
    for (_, seek) in Elements(find(id::SEEK_HEAD)) {
        let fields: Vec<_> = Elements(seek).collect();
        assert!(header(uint(fields[1].1)).starts_with(fields[0].1));
    }
    let duration = Elements(find(id::INFO))
        .find(|e| e.0 == id::DURATION)
        .unwrap();
    assert!((float(duration.1).unwrap() - 2_020.0).abs() < 20.0);
    let mut times = Vec::new();
    for (_, point) in Elements(find(id::CUES)) {
        let fields: Vec<_> = Elements(point).collect();
        times.push(uint(fields[0].1));
        let places: Vec<_> = Elements(fields[1].1).collect();
        assert!(header(uint(places[1].1)).starts_with(&[0x1f, 0x43, 0xb6, 0x75]));
    }
    assert!(times.len() >= 2, "{times:?}");
    assert_eq!(within.last().unwrap().0, id::CUES);
}

#[test]
fn webm_refuses_h264_and_other_names_are_refused_at_the_start() {
    let dir = folder();
    let mut recorder = Recorder::create(&dir.path().join("call.webm")).unwrap();
    let words = recorder
        .add_track(info("Anna", H264))
        .unwrap_err()
        .to_string();
    assert!(words.contains(".mkv"), "{words}");
    let refused = |path: &Path| Recorder::create(path).err().unwrap().to_string();
    assert!(refused(&dir.path().join("call.avi")).contains(".mkv, .webm or .mp4"));
    assert!(refused(Path::new("/no/such/folder/call.mkv")).contains("/no/such/folder"));
}

#[test]
fn a_recording_without_a_frame_is_a_whole_file() {
    let dir = folder();
    let path = dir.path().join("call.mkv");
    let mut recorder = Recorder::create(&path).unwrap();
    recorder.add_track(info("Anna", VP8)).unwrap();
    recorder.finish().unwrap();
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!(Elements(&bytes).count(), 2);
}

#[test]
fn broken_frames_and_unknown_tracks_are_left_out() {
    let dir = folder();
    let path = dir.path().join("call.mkv");
    let mut recorder = Recorder::create(&path).unwrap();
    let video = recorder.add_track(info("Anna", H264)).unwrap();
    for data in [
        &b""[..],
        b"\0\0\0\x01\x65",
        b"\0\0\0\x01\x67\x42\0\0\0\x01\x68\0\0\0\x01\x65",
    ] {
        let picture = EncodedPicture {
            codec: VideoCodec::H264,
            data: bytes::Bytes::copy_from_slice(data),
            key: true,
            at: BEGIN,
            layer: None,
        };
        recorder.video(video, &picture).unwrap();
        recorder.video(TrackId(7), &picture).unwrap();
    }
    let given = peer(&mut recorder, "Anna", "h264.mkv", Duration::ZERO);
    give(&mut recorder, given);
    recorder.finish().unwrap();
    assert!(probe(&path).contains(&"h264|160|90|60|Anna".to_owned()));
}

#[test]
fn more_tracks_than_fit_are_refused_and_the_rest_goes_on() {
    let dir = folder();
    let path = dir.path().join("call.mkv");
    let mut recorder = Recorder::create(&path).unwrap();
    let sound = sounds("tone.opus")[0].1.clone();
    let mut refused = 0;
    for n in 0..MOST_TRACKS + 1 {
        let name = format!("{n} {}", "long name ".repeat(20));
        match recorder.add_track(info(&name, MONO)) {
            Ok(track) => {
                refused += usize::from(recorder.audio(track, &sound).is_err());
                assert!(recorder.audio(track, &sound).is_ok());
            }
            Err(error) => assert!(matches!(error, RecordError::TooManyTracks { .. })),
        }
    }
    assert!(refused > 0 && refused < MOST_TRACKS);
    recorder.finish().unwrap();
    assert_eq!(probe(&path).len(), MOST_TRACKS - refused);
}

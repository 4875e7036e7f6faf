//! Recordings as fragmented MP4 and as a stream.

use std::sync::{Arc, Mutex};

use proptest::prelude::*;

use super::*;
use crate::media::file::tests::{pictures_in, sounds_in};

/// What ffprobe says of each stream of an MP4, whose names are elsewhere.
fn probed(path: &Path) -> Vec<String> {
    let words = run(
        "ffprobe",
        &[
            "-v",
            "error",
            "-count_frames",
            "-show_entries",
            "stream=codec_name,width,height,channels,nb_read_frames:stream_tags=handler_name",
            "-of",
            "compact=p=0:nk=1",
            path.to_str().unwrap(),
        ],
    );
    let lines = words.lines().filter(|line| !line.is_empty());
    lines.map(str::to_owned).collect()
}

#[test]
fn an_mp4_takes_every_codec_and_peers_who_come_later() {
    let dir = folder();
    let path = dir.path().join("call.mp4");
    let mut recorder = Recorder::create(&path).unwrap();
    for (name, clip, late) in [
        ("Anna", "vp8.webm", 0),
        ("Bert Übel", "h264.mkv", 2_500),
        ("Cleo", "vp9.webm", 2_000),
    ] {
        let given = peer(&mut recorder, name, clip, Duration::from_millis(late));
        give(&mut recorder, given);
    }
    recorder.finish().unwrap();
    assert_eq!(
        probed(&path),
        [
            "opus|1|101|Anna",
            "vp8|160|90|60|Anna",
            "opus|1|101|Bert Übel",
            "h264|160|90|60|Bert Übel",
            "opus|1|101|Cleo",
            "vp9|160|90|60|Cleo",
        ]
    );
    // Those who came later begin later.
    let begin = begin_of(&path, "5");
    assert!((1.99..2.05).contains(&begin), "{begin}");
}

/// When the first frame of a stream is to be shown, in seconds.
fn begin_of(path: &Path, stream: &str) -> f64 {
    let words = run(
        "ffprobe",
        &[
            "-v",
            "error",
            "-select_streams",
            stream,
            "-show_entries",
            "packet=pts_time",
            "-of",
            "csv=p=0",
            path.to_str().unwrap(),
        ],
    );
    let first = words.lines().next().expect("a packet");
    first.trim_end_matches(',').parse().expect(first)
}

#[test]
fn a_killed_mp4_is_read_to_its_last_second() {
    let dir = folder();
    let path = dir.path().join("call.mp4");
    let mut recorder = Recorder::create(&path).unwrap();
    let given = peer(&mut recorder, "Anna", "h264.mkv", Duration::ZERO);
    give(&mut recorder, given);
    drop(recorder);
    let whole = probed(&path);
    let frames = |line: &str| -> u32 { line.rsplit('|').nth(1).unwrap().parse().unwrap() };
    assert!((30..=60).contains(&frames(&whole[1])), "{whole:?}");
    assert!(frames(&whole[0]) >= 50, "{whole:?}");
    // Cut in the middle of a fragment, as by a disk that was pulled out.
    let bytes = std::fs::read(&path).unwrap();
    let last = bytes.windows(4).rposition(|at| at == b"moof").unwrap();
    std::fs::write(&path, &bytes[..last + 30]).unwrap();
    let cut = run(
        "ffprobe",
        &[
            "-v",
            "fatal",
            "-count_frames",
            "-show_entries",
            "stream=nb_read_frames",
            "-of",
            "csv=p=0",
            path.to_str().unwrap(),
        ],
    );
    assert!(
        cut.lines().any(|n| n.parse::<u32>().is_ok_and(|n| n >= 15)),
        "{cut}"
    );
}

#[test]
fn a_stream_takes_what_is_there_in_its_first_second() {
    #[derive(Clone, Default)]
    struct Pipe(Arc<Mutex<Vec<u8>>>);
    impl io::Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let pipe = Pipe::default();
    let mut recorder = Recorder::stream(Box::new(pipe.clone()));
    let given = peer(&mut recorder, "Anna", "h264.mkv", Duration::ZERO);
    give(&mut recorder, given);
    let late = recorder.add_track(info("Bert", MONO)).unwrap();
    let sound = sounds("tone.opus")[0].1.clone();
    let refused = recorder.audio(late, &sound).unwrap_err();
    assert!(matches!(refused, RecordError::TooManyTracks { .. }));
    recorder.finish().unwrap();
    let dir = folder();
    let path = dir.path().join("piped.mkv");
    std::fs::write(&path, &*pipe.0.lock().unwrap()).unwrap();
    assert_eq!(probe(&path), ["opus|1|101|Anna", "h264|160|90|60|Anna"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// What goes in comes out byte for byte and in time, whatever its sizes: judged by our own reader.
    #[test]
    fn frames_survive_an_mp4(
        pictures in proptest::collection::vec((proptest::collection::vec(any::<u8>(), 1..3_000), 1_u64..600), 1..60),
        packets in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..200), 1..120),
    ) {
        let dir = folder();
        let path = dir.path().join("call.mp4");
        let mut recorder = Recorder::create(&path).unwrap();
        let video = recorder.add_track(info("Anna", VP8)).unwrap();
        let audio = recorder.add_track(info("Anna", MONO)).unwrap();
        let (mut given, mut wanted, mut time) = (Vec::new(), Vec::new(), Duration::ZERO);
        for (n, (data, later)) in pictures.into_iter().enumerate() {
            let key = n % 7 == 0;
            // The first one tells the size.
            let mut data = if n == 0 { super::pictures("vp8.webm")[0].1.data.to_vec() } else { data };
            // In VP8 the first bit of a frame tells what it is.
            data[0] = (data[0] & !1) | u8::from(!key);
            wanted.push((time, data.clone()));
            given.push(Given::Video(video, EncodedPicture { codec: VideoCodec::Vp8, data: data.into(), key, at: BEGIN + time, layer: None }));
            time += Duration::from_millis(later);
        }
        let lasts = Duration::from_millis(20);
        for (n, data) in packets.iter().enumerate() {
            // A packet of 20 ms.
            let data: Vec<u8> = std::iter::once(31 << 3).chain(data.iter().copied()).collect();
            given.push(Given::Audio(audio, EncodedSound { level: None, data: data.into(), duration: lasts, at: BEGIN + lasts * n as u32 }));
        }
        give(&mut recorder, given);
        recorder.finish().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let found = pictures_in(&bytes);
        prop_assert_eq!(found.len(), wanted.len());
        for (n, ((time, found), (wanted_time, wanted))) in found.iter().zip(&wanted).enumerate() {
            prop_assert!(found.data == *wanted, "picture {n}");
            prop_assert_eq!(time, wanted_time);
        }
        let found = sounds_in(&bytes);
        prop_assert_eq!(found.len(), packets.len());
        for ((_, sound), packet) in found.iter().zip(&packets) {
            prop_assert_eq!(&sound.data[1..], &packet[..]);
        }
    }
}

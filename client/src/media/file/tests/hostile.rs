//! Files that are missing, empty, cut off, of another kind, or broken anywhere.

use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::media::capture::SourceError;
use crate::media::file::{FileOptions, open_audio, open_video};

fn words(result: Result<impl Sized, SourceError>) -> String {
    result.map(|_| ()).unwrap_err().to_string()
}

fn of(content: &[u8]) -> (String, String) {
    let dir = folder();
    let path = dir.path().join("clip");
    std::fs::write(&path, content).unwrap();
    (
        words(open_video(&path, FileOptions::default())),
        words(open_audio(&path, FileOptions::default())),
    )
}

#[test]
fn what_cannot_be_played_is_told_in_a_word() {
    let missing = words(open_video(
        Path::new("/no/such/clip"),
        FileOptions::default(),
    ));
    assert!(
        missing.contains("/no/such/clip") && missing.contains("No such file"),
        "{missing}"
    );
    let directory = folder();
    let told = words(open_audio(directory.path(), FileOptions::default()));
    assert!(told.contains("directory"), "{told}");
    assert!(of(b"").0.contains("is empty"));
    assert!(of(b"hello, this is text").1.contains("of an unknown kind"));
    assert!(of(b"fLaC\0\0\0\x22").1.contains("FLAC"));
    assert!(of(b"RIFF\0\0\0\0AVI LIST").0.contains("AVI"));
    let dir = folder();
    let sound = dir.path().join("a");
    std::fs::write(&sound, Fixtures::bytes("tone.wav")).unwrap();
    let told = words(open_video(&sound, FileOptions::default()));
    assert!(
        told.contains("WAV") && told.contains("sound only"),
        "{told}"
    );
    std::fs::write(&sound, Fixtures::bytes("vp8.ivf")).unwrap();
    let told = words(open_audio(&sound, FileOptions::default()));
    assert!(told.contains("pictures only"), "{told}");
    std::fs::write(&sound, &Fixtures::bytes("vp8.ivf")[..40]).unwrap();
    let told = words(open_video(&sound, FileOptions::default()));
    assert!(told.contains("before its first whole frame"), "{told}");
}

#[test]
fn other_codecs_are_named() {
    let dir = folder();
    let path = encode(
        dir.path(),
        "mpeg2.mkv",
        &[VIDEO_IN, &["-c:v", "mpeg2video", "-t", "0.1"]],
    );
    let told = words(open_video(&path, FileOptions::default()));
    assert!(
        told.contains("V_MPEG2") && told.contains("ffmpeg"),
        "{told}"
    );
    let told = words(open_audio(&path, FileOptions::default()));
    assert!(told.contains("no sound track"), "{told}");
    let path = encode(dir.path(), "aac.mp4", &[AUDIO_IN, &["-c:a", "aac"]]);
    let told = words(open_audio(&path, FileOptions::default()));
    assert!(told.contains("mp4a"), "{told}");
}

#[test]
fn vp9_and_av1_that_calls_do_not_use_are_told_at_the_start() {
    let dir = folder();
    let full_colour: &[&str] = &["-c:v", "libvpx-vp9", "-pix_fmt", "yuv444p", "-t", "0.1"];
    for name in ["colour.webm", "colour.ivf", "colour.mp4"] {
        let path = encode(dir.path(), name, &[VIDEO_IN, full_colour]);
        let told = match open_video(&path, FileOptions::default()) {
            Ok(mut source) => source.next().unwrap_err().to_string(),
            Err(error) => error.to_string(),
        };
        assert!(told.contains("profile 1"), "{name}: {told}");
    }
    let deep: &[&str] = &["-c:v", "libaom-av1", "-pix_fmt", "yuv420p10le"];
    let fast: &[&str] = &["-usage", "realtime", "-cpu-used", "8", "-t", "0.1"];
    for name in ["deep.webm", "deep.ivf", "deep.mp4"] {
        let path = encode(dir.path(), name, &[VIDEO_IN, deep, fast]);
        let told = match open_video(&path, FileOptions::default()) {
            Ok(mut source) => source.next().unwrap_err().to_string(),
            Err(error) => error.to_string(),
        };
        assert!(told.contains("more than eight bits"), "{name}: {told}");
    }
}

#[test]
fn a_file_cut_off_anywhere_gives_its_whole_frames_and_ends() {
    for (name, bytes) in Fixtures::all() {
        let all_video = video(bytes).ok().map(|mut d| drain(d.as_mut()).0);
        let all_audio = audio(bytes).ok().map(|mut d| drain(d.as_mut()).0);
        let step = (bytes.len() / 40).max(1);
        let mut longest = 0;
        for end in (0..bytes.len()).step_by(step) {
            let cut = &bytes[..end];
            if let (Some(all), Ok(mut demux)) = (&all_video, video(cut)) {
                let (units, problem) = drain(demux.as_mut());
                assert!(problem.is_none(), "{name} cut at {end}: {problem:?}");
                assert!(units.len() <= all.len());
                for (cut, whole) in units.iter().zip(all) {
                    assert_eq!(format!("{:?}", cut.item), format!("{:?}", whole.item));
                }
                longest = longest.max(units.len());
            }
            if let (Some(all), Ok(mut demux)) = (&all_audio, audio(cut)) {
                let (units, problem) = drain(demux.as_mut());
                assert!(problem.is_none(), "{name} cut at {end}: {problem:?}");
                assert!(units.len() <= all.len());
                longest = longest.max(units.len());
            }
        }
        // An MP4 has its index at the end, unless it is fragmented.
        let index_last = ["h264.mp4", "vp9.mp4", "av1.mp4"].contains(&name);
        assert!(longest > 10 || index_last, "{name}: {longest}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn broken_bytes_never_break_the_reader(
        changes in prop::collection::vec((any::<u32>(), any::<u8>(), any::<bool>()), 1..24),
        cut in prop::option::of(any::<u32>()),
    ) {
        for (_, bytes) in Fixtures::all() {
            let mut broken = bytes.to_vec();
            for (place, value, early) in &changes {
                // Half of the changes go where the headers and indexes are.
                let range = if *early { broken.len().min(1_024) } else { broken.len() };
                let at = *place as usize % range;
                broken[at] = *value;
            }
            if let Some(cut) = cut {
                let end = cut as usize % broken.len();
                broken.truncate(end);
            }
            if let Ok(mut demux) = video(&broken) {
                let (units, _) = drain(demux.as_mut());
                let _ = demux.length();
                prop_assert!(units.len() <= broken.len());
            }
            if let Ok(mut demux) = audio(&broken) {
                let (units, _) = drain(demux.as_mut());
                let _ = demux.length();
                prop_assert!(units.len() <= broken.len());
            }
        }
    }

    #[test]
    fn an_index_of_noise_never_breaks_the_mp4_reader(
        noise in prop::collection::vec((any::<u16>(), any::<u8>()), 1..60),
    ) {
        for name in ["h264.mp4", "fragmented.mp4"] {
            let mut broken = Fixtures::bytes(name).to_vec();
            let index = broken.windows(4).position(|w| w == b"moov").unwrap();
            for (place, value) in &noise {
                let at = index + usize::from(*place) % (broken.len() - index).min(3_000);
                broken[at] = *value;
            }
            if let Ok(mut demux) = video(&broken) {
                drain(demux.as_mut());
            }
            if let Ok(mut demux) = audio(&broken) {
                drain(demux.as_mut());
            }
        }
    }
}

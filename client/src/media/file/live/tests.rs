//! A pipe with a writer that hurries, dawdles, writes nonsense or goes.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::io::Write;
use std::time::{Duration, Instant};

use super::*;
use crate::media::file::{PictureFormat, PicturePipe, SoundFormat, SoundPipe};

const LIMIT: Duration = Duration::from_secs(60);

/// A FIFO and a source at it.
struct Rig {
    folder: tempfile::TempDir,
}

impl Rig {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let made = std::process::Command::new("mkfifo")
            .arg(folder.path().join("fifo"))
            .status();
        assert!(made.unwrap().success());
        Self { folder }
    }

    fn from(&self) -> PipeFrom {
        PipeFrom::Path(self.folder.path().join("fifo"))
    }

    fn pictures(&self, format: Option<PictureFormat>) -> Box<dyn VideoSource> {
        let pipe = PicturePipe {
            from: self.from(),
            format,
            size: (16, 16),
            fps: 100,
        };
        pipe.open().unwrap()
    }

    /// Writes all of it, from a thread: a pipe holds little.
    fn write(&self, bytes: Vec<u8>) -> std::thread::JoinHandle<()> {
        let path = self.folder.path().join("fifo");
        std::thread::spawn(move || {
            let mut fifo = std::fs::File::options().write(true).open(path).unwrap();
            // Who reads may have had enough.
            let _ = fifo.write_all(&bytes);
        })
    }
}

/// Pictures until the end, and why it ended.
fn all(mut source: Box<dyn VideoSource>) -> (usize, Option<String>) {
    let mut count = 0;
    let started = Instant::now();
    loop {
        assert!(started.elapsed() < LIMIT, "it does not end");
        match source.next() {
            Ok(Some(VideoItem::Nothing)) => {}
            Ok(Some(_)) => count += 1,
            Ok(None) => return (count, None),
            Err(error) => return (count, Some(error.to_string())),
        }
    }
}

#[test]
fn whole_pictures_come_and_then_the_end() {
    let rig = Rig::new();
    let source = rig.pictures(Some(PictureFormat::Yuv420p));
    let writer = rig.write(vec![128; 20 * 384]);
    assert_eq!(all(source), (20, None));
    writer.join().unwrap();
}

#[test]
fn nobody_writing_is_neither_an_end_nor_a_wait_for_ever() {
    let rig = Rig::new();
    let mut source = rig.pictures(Some(PictureFormat::Yuv420p));
    assert!(matches!(source.next(), Ok(Some(VideoItem::Nothing))));
    // And the source ends though nobody ever came.
    let began = Instant::now();
    drop(source);
    assert!(began.elapsed() < LIMIT);
}

#[test]
fn a_source_that_is_dropped_lets_its_writer_go() {
    let rig = Rig::new();
    let mut source = rig.pictures(Some(PictureFormat::Yuv420p));
    let writer = rig.write(vec![0; 10_000 * 384]);
    while matches!(source.next(), Ok(Some(VideoItem::Nothing))) {}
    drop(source);
    writer.join().unwrap();
}

#[test]
fn every_bad_content_is_told_and_is_the_end() {
    for (format, bytes, words) in [
        (
            Some(PictureFormat::Yuv420p),
            vec![1; 384 + 7],
            "in the middle of picture 2",
        ),
        (Some(PictureFormat::Yuv420p), vec![], "nothing was written"),
        (
            Some(PictureFormat::Y4m),
            b"RIFF----WAVEfmt and more".to_vec(),
            "WAV, not y4m",
        ),
        (None, b"what is this, I wonder".to_vec(), "--format"),
        (
            None,
            b"DKIF\0\0\x20\0VP80and no more".to_vec(),
            "before the first whole",
        ),
        (
            Some(PictureFormat::H264),
            vec![0, 0, 0, 1],
            "before the first whole",
        ),
        (
            None,
            b"YUV4MPEG2 W16 H16 F30:1\nBRAME\n and more".to_vec(),
            "no picture begins",
        ),
    ] {
        let rig = Rig::new();
        let source = rig.pictures(format);
        let writer = rig.write(bytes);
        let (_, problem) = all(source);
        let problem = problem.unwrap_or_else(|| panic!("no word of {words}"));
        assert!(problem.contains(words), "{problem}");
        writer.join().unwrap();
    }
}

#[test]
fn a_pipe_that_is_not_there_or_no_pipe_is_an_error_that_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    for (path, words) in [
        (folder.path().join("none"), "mkfifo"),
        (folder.path().to_path_buf(), "a folder"),
    ] {
        let pipe = SoundPipe {
            from: PipeFrom::Path(path),
            format: Some(SoundFormat::S16le),
            channels: 1,
        };
        let Err(error) = pipe.open() else {
            panic!("opened");
        };
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn containers_come_through_a_pipe_whole() {
    use crate::media::file::tests::fixture;
    for (name, most) in [
        ("vp8.ivf", 60),
        ("live.webm", 60),
        ("h264.mkv", 60),
        ("raw.y4m", 15),
    ] {
        let rig = Rig::new();
        let source = rig.pictures(None);
        let writer = rig.write(fixture(name).to_vec());
        assert_eq!(all(source), (most, None), "{name}");
        writer.join().unwrap();
    }
}

#[test]
fn sound_comes_through_a_pipe_whole() {
    use crate::media::file::tests::fixture;
    for name in ["tone.wav", "tone.opus", "live.webm"] {
        let rig = Rig::new();
        let pipe = SoundPipe {
            from: rig.from(),
            format: None,
            channels: 1,
        };
        let mut source = pipe.open().unwrap();
        let writer = rig.write(fixture(name).to_vec());
        let mut count = 0;
        while let Some(item) = source.next().unwrap() {
            count += usize::from(!matches!(item, AudioItem::Nothing));
        }
        assert!((100..=102).contains(&count), "{name}: {count}");
        writer.join().unwrap();
    }
}

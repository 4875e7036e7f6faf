//! Disks that are full or slow.

use std::io::{Cursor, Seek, SeekFrom, Write};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};

use super::*;

/// A disk of so many bytes.
#[derive(Clone)]
struct SmallDisk {
    content: Arc<Mutex<Cursor<Vec<u8>>>>,
    room: usize,
}

impl SmallDisk {
    fn new(room: usize) -> Self {
        Self {
            content: Arc::default(),
            room,
        }
    }

    fn bytes(&self) -> Vec<u8> {
        self.content.lock().unwrap().get_ref().clone()
    }
}

impl Write for SmallDisk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut content = self.content.lock().unwrap();
        let at = usize::try_from(content.position()).unwrap();
        let fits = bytes.len().min(self.room.saturating_sub(at));
        if fits == 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        content.write(&bytes[..fits])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for SmallDisk {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.content.lock().unwrap().seek(to)
    }
}

impl Output for SmallDisk {
    fn cut(&mut self, len: u64) -> io::Result<()> {
        let mut content = self.content.lock().unwrap();
        content.get_mut().truncate(usize::try_from(len).unwrap());
        Ok(())
    }
}

#[test]
fn a_full_disk_is_told_once_and_what_was_written_stays_readable() {
    let whole = SmallDisk::new(usize::MAX);
    let path = Path::new("call.mkv");
    let mut recorder = Recorder::with_output(path, FileKind::Mkv, Box::new(whole.clone())).unwrap();
    let given = peer(&mut recorder, "Anna", "vp8.webm", Duration::ZERO);
    give(&mut recorder, given);
    recorder.finish().unwrap();
    let all = whole.bytes().len();
    // Wherever it fills: in the head, in a cluster, in the index.
    for room in (100..all).step_by(all / 25) {
        let disk = SmallDisk::new(room);
        let mut recorder = match Recorder::with_output(path, FileKind::Mkv, Box::new(disk.clone()))
        {
            Ok(recorder) => recorder,
            Err(error) => {
                assert!(error.to_string().contains("call.mkv"), "{error}");
                continue;
            }
        };
        let mut given = peer(&mut recorder, "Anna", "vp8.webm", Duration::ZERO);
        given.sort_by_key(Given::at);
        let mut errors: Vec<RecordError> = given
            .iter()
            .filter_map(|frame| frame.give(&mut recorder).err())
            .collect();
        errors.extend(recorder.finish().err());
        assert_eq!(errors.len(), 1, "{room}: {errors:?}");
        assert!(matches!(errors[0], RecordError::Write { .. }));
        // Every byte that is left belongs to a whole element.
        let (video, audio) = count(&disk.bytes());
        let clusters_room = all - 17_000;
        if room > 17_000 + clusters_room * 3 / 4 {
            assert!(
                video > 0 && audio > 0,
                "{room}: {video} pictures, {audio} packets"
            );
        }
    }
}

/// A disk that holds every write back until it is told to go on.
struct SlowDisk {
    disk: SmallDisk,
    go: mpsc::Receiver<()>,
    writes: usize,
}

impl Write for SlowDisk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writes += 1;
        // The head is written at once; then it hangs until the sender is dropped.
        if self.writes > 1 {
            let _ = self.go.recv();
        }
        self.disk.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for SlowDisk {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.disk.seek(to)
    }
}

impl Output for SlowDisk {
    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.disk.cut(len)
    }
}

#[test]
fn a_disk_that_hangs_costs_counted_frames_and_pictures_go_on_at_a_key_frame() {
    let (go, held) = mpsc::channel();
    let disk = SmallDisk::new(usize::MAX);
    let slow = SlowDisk {
        disk: disk.clone(),
        go: held,
        writes: 0,
    };
    let recorder =
        Recorder::with_output(Path::new("call.mkv"), FileKind::Mkv, Box::new(slow)).unwrap();
    let none = |error| panic!("{error}");
    let sink = RecordSink::with_bounds(recorder, none, 8, Duration::ZERO).unwrap();
    let handle = sink.handle();
    let track = handle.add_track(info("Anna", VP8)).unwrap();
    let list = pictures("vp8.webm");
    let mut taken = 0;
    for (time, picture) in &list[..29] {
        let picture = EncodedPicture {
            at: BEGIN + *time,
            ..picture.clone()
        };
        taken += u64::from(handle.video(track, picture));
    }
    let counts = handle.counts();
    assert_eq!((counts.given, counts.dropped), (29, 29 - taken));
    assert!((8..=9).contains(&taken), "{taken}");
    assert!(counts.waited > 0);
    drop(go);
    // Room comes back; what depends on lost pictures is left out, a key frame is not.
    let later = |n: usize| EncodedPicture {
        at: BEGIN + list[n].0,
        ..list[n].1.clone()
    };
    assert!(!handle.video(track, later(29)));
    while !handle.video(track, later(30)) {
        std::thread::yield_now();
    }
    let counts = sink.finish().unwrap();
    assert_eq!(count(&disk.bytes()).0 as u64, taken + 1);
    assert!(counts.dropped >= 21);
}

#[test]
fn a_sink_that_is_dropped_completes_its_file() {
    let dir = folder();
    let path = dir.path().join("call.mkv");
    let mut recorder = Recorder::create(&path).unwrap();
    let given = peer(&mut recorder, "Anna", "vp8.webm", Duration::ZERO);
    let sink = RecordSink::start(recorder, |error| panic!("{error}")).unwrap();
    let handle = sink.handle();
    for frame in given {
        match frame {
            Given::Video(track, picture) => assert!(handle.video(track, picture)),
            Given::Audio(track, sound) => assert!(handle.audio(track, sound)),
        }
    }
    drop(sink);
    assert_eq!(count(&std::fs::read(&path).unwrap()), (60, 101));
    // After the end everything is refused.
    let (_, sound) = sounds("tone.opus").remove(0);
    assert!(!handle.audio(TrackId(1), sound));
}

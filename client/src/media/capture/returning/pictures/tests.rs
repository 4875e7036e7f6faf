//! Cameras that misbehave, on a clock that jumps a second whenever it is looked at.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::*;
use crate::media::frame::Picture;

thread_local! {
    static NOW: Cell<u64> = const { Cell::new(1_700_000_000_000_000) };
}

fn clock() -> Timestamp {
    NOW.with(|now| {
        now.set(now.get() + 1_000_000);
        Timestamp::from_micros(now.get())
    })
}

/// What a camera does when it is asked.
#[derive(Clone, Copy)]
enum Does {
    Picture(u32),
    Nothing,
    Fails,
}

struct Scripted(std::vec::IntoIter<Does>, Arc<AtomicUsize>);

impl VideoSource for Scripted {
    fn next(&mut self) -> Result<Option<VideoItem>, SourceError> {
        match self.0.next().unwrap_or(Does::Nothing) {
            Does::Picture(width) => {
                let picture = Picture::black(width, 2, Timestamp::default());
                Ok(Some(VideoItem::Raw(picture)))
            }
            Does::Nothing => Ok(Some(VideoItem::Nothing)),
            Does::Fails => Err(gone()),
        }
    }

    fn describe(&self) -> String {
        "a camera".into()
    }

    fn stats(&self) -> CaptureStats {
        CaptureStats {
            taken: 2,
            dropped: 1,
            broken: 1,
        }
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.1.fetch_add(1, Ordering::Relaxed);
    }
}

fn gone() -> SourceError {
    SourceError::Device {
        device: "a camera".into(),
        problem: "unplugged".into(),
        hint: "plug it in".into(),
    }
}

/// Runs cameras that open one after the other (none where a try fails) and gives what was told.
fn tell(scripts: Vec<Option<Vec<Does>>>) -> (Vec<String>, ReturningPictures, Arc<AtomicUsize>) {
    let closed = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&closed);
    let scripts = Mutex::new(scripts.into_iter());
    let over = Arc::new(AtomicUsize::new(0));
    let ended = Arc::clone(&over);
    let open = move || match scripts.lock().unwrap().next() {
        Some(Some(does)) => {
            let camera = Scripted(does.into_iter(), Arc::clone(&counted));
            Ok(Box::new(camera) as Box<dyn VideoSource>)
        }
        Some(None) => Err(gone()),
        None => {
            ended.store(1, Ordering::Relaxed);
            Err(gone())
        }
    };
    let mut source = ReturningPictures::with_clock(Box::new(open), clock).unwrap();
    let mut told = Vec::new();
    while over.load(Ordering::Relaxed) == 0 {
        match source.next().unwrap().unwrap() {
            VideoItem::Raw(picture) => told.push(format!("{} wide", picture.width)),
            VideoItem::Interrupted(why) => told.push(why),
            VideoItem::Resumed(what) => told.push(format!("{what} is back")),
            VideoItem::Encoded(_) | VideoItem::Nothing => {}
        }
    }
    (told, source, closed)
}

#[test]
fn one_that_is_unplugged_and_plugged_in_is_told_of_both_times() {
    use Does::{Fails, Picture};
    let (told, source, closed) = tell(vec![
        Some(vec![Picture(4), Fails]),
        None,
        None,
        Some(vec![Picture(4), Picture(4), Fails]),
    ]);
    let why = "a camera: unplugged; plug it in";
    assert_eq!(told, ["4 wide", why, "a camera is back", "4 wide", why]);
    assert_eq!(closed.load(Ordering::Relaxed), 2);
    // What was counted before it went still counts.
    assert_eq!(source.stats().dropped, 2);
}

#[test]
fn one_that_hangs_is_closed_and_opened_anew() {
    use Does::{Nothing, Picture};
    let (told, _, closed) = tell(vec![
        Some(vec![Picture(4), Nothing, Nothing]),
        Some(vec![Nothing, Picture(4), Picture(4)]),
    ]);
    assert_eq!(told[0], "4 wide");
    assert!(
        told[1].starts_with("a camera: gave no picture for "),
        "{told:?}"
    );
    assert_eq!(told[2..4], ["a camera is back", "4 wide"]);
    assert_eq!(closed.load(Ordering::Relaxed), 2);
}

#[test]
fn one_that_opens_and_gives_nothing_is_not_told_of_again_and_again() {
    let (told, ..) = tell(vec![
        Some(vec![Does::Picture(4)]),
        Some(vec![]),
        Some(vec![Does::Fails]),
        Some(vec![]),
    ]);
    assert_eq!(told.len(), 2, "{told:?}");
}

#[test]
fn one_that_comes_back_with_another_size_is_taken_as_it_is() {
    use Does::{Fails, Picture};
    let (told, ..) = tell(vec![
        Some(vec![Picture(4), Fails]),
        Some(vec![Picture(8), Picture(8), Fails]),
    ]);
    assert_eq!(told[3], "8 wide");
}

#[test]
fn one_that_is_not_there_at_first_is_an_error() {
    assert!(ReturningPictures::open(Box::new(|| Err(gone()))).is_err());
}

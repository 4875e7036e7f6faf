//! Pacing and looping on a virtual clock.

use std::path::Path;
use std::time::Duration;

use super::*;
use crate::media::clock::Timestamp;
use crate::media::file::pace::{Anchor, LONGEST_SLEEP, Sleeper};
use crate::media::file::source::{Item, Paced};
use crate::media::file::{FileOptions, audio_from};

const START: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

struct Virtual(Timestamp);

impl Sleeper for Virtual {
    fn now(&self) -> Timestamp {
        self.0
    }

    fn sleep(&mut self, time: Duration) {
        assert!(time <= LONGEST_SLEEP);
        self.0 = self.0 + time;
    }
}

fn play<T: Item>(demux: Box<dyn Demux<T>>, looped: bool) -> Paced<T, Virtual> {
    let options = FileOptions {
        looped,
        anchor: Anchor::at(START),
    };
    Paced::with_sleeper(Path::new("clip"), demux, options, Virtual(START)).unwrap()
}

fn pictures(name: &str, looped: bool, most: usize) -> Vec<(Duration, bool)> {
    let mut source = play(video(Fixtures::bytes(name)).unwrap(), looped);
    let mut list = Vec::new();
    while list.len() < most
        && let Some(item) = source.give().unwrap()
    {
        match item {
            VideoItem::Encoded(picture) => list.push((picture.at.since(START), picture.key)),
            VideoItem::Raw(picture) => list.push((picture.at.since(START), true)),
            VideoItem::Nothing | VideoItem::Interrupted(_) | VideoItem::Resumed(_) => {}
        }
    }
    list
}

fn sounds(name: &str, looped: bool, most: usize) -> (Vec<Duration>, Vec<i16>) {
    let demux = audio_from(input(Fixtures::bytes(name)), looped).unwrap();
    let mut source = play(demux, looped);
    let (mut times, mut samples) = (Vec::new(), Vec::new());
    while times.len() < most
        && let Some(item) = source.give().unwrap()
    {
        match item {
            AudioItem::Encoded(sound) => times.push(sound.at.since(START)),
            AudioItem::Raw(sound) => {
                times.push(sound.at.since(START));
                samples.extend(sound.samples);
            }
            AudioItem::Nothing | AudioItem::Interrupted(_) | AudioItem::Resumed(_) => {}
        }
    }
    (times, samples)
}

#[test]
fn a_file_ends_once_and_stays_ended() {
    let mut source = play(video(Fixtures::bytes("vp8.ivf")).unwrap(), false);
    let mut count = 0;
    while source.give().unwrap().is_some() {
        count += 1;
    }
    assert_eq!(count, 60);
    assert!(source.give().unwrap().is_none());
}

#[test]
fn a_looped_file_goes_on_without_a_jump_and_starts_with_a_key_picture() {
    for name in ["vp8.ivf", "h264.ivf", "vp8.webm", "h264.mp4", "live.webm"] {
        let list = pictures(name, true, 150);
        assert_eq!(list.len(), 150, "{name}");
        for pair in list.windows(2) {
            let step = pair[1].0 - pair[0].0;
            let range = Duration::from_millis(30)..Duration::from_millis(65);
            assert!(range.contains(&step), "{name}: {step:?} between pictures");
        }
        assert!(
            list[60].1 && list[120].1,
            "{name}: a pass begins with a key picture"
        );
    }
}

#[test]
fn looped_tracks_stay_in_step() {
    let pictures = pictures("vp8.webm", true, 60 * 5 + 1);
    let (sounds, _) = sounds("vp8.webm", true, 101 * 5 + 1);
    let before = pictures[0].0.saturating_sub(sounds[0]);
    let after = pictures[300].0.abs_diff(sounds[505]);
    assert_eq!(before, after);
}

#[test]
fn looped_sound_has_no_gap() {
    for name in ["tone.wav", "tone.opus"] {
        let (times, _) = sounds(name, true, 350);
        for pair in times.windows(2) {
            assert_eq!(pair[1] - pair[0], Duration::from_millis(20), "{name}");
        }
    }
    // Cut to what is no whole number of items, so that the seam lies inside one.
    let wav = Fixtures::bytes("tone.wav");
    let data = wav.windows(4).position(|w| w == b"data").unwrap() + 8;
    let cut = &wav[..data + 2 * 1_000];
    let mut source = play(audio_from(input(cut), true).unwrap(), true);
    let mut samples = Vec::new();
    while samples.len() < 4_800 {
        if let Some(AudioItem::Raw(sound)) = source.give().unwrap() {
            samples.extend(sound.samples);
        }
    }
    for (n, sample) in samples.iter().enumerate() {
        let at = data + 2 * (n % 1_000);
        assert_eq!(
            *sample,
            i16::from_le_bytes([cut[at], cut[at + 1]]),
            "sample {n}"
        );
    }
}

#[test]
fn a_file_that_starts_between_key_pictures_is_played_from_the_first_one() {
    let ivf = Fixtures::bytes("vp8.ivf");
    let size = u32::from_le_bytes(ivf[32..36].try_into().unwrap()) as usize;
    let cut = [&ivf[..32], &ivf[32 + 12 + size..]].concat();
    let mut source = play(video(&cut).unwrap(), false);
    let mut count = 0;
    while let Some(item) = source.give().unwrap() {
        if let VideoItem::Encoded(picture) = item {
            assert!(count > 0 || picture.key);
            count += 1;
        }
    }
    assert_eq!(count, 30);
}

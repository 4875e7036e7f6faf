//! A moving test picture that the far side can compute for itself.

use std::thread;
use std::time::{Duration, Instant};

use super::{SourceError, VideoItem, VideoSource};
use crate::measure::marks::{self, Mark};
use crate::media::clock::Timestamp;
use crate::media::frame::Picture;

/// Gives the test picture, one for each tick of its rate, with a mark in it.
///
/// Ticks lie on an absolute schedule, so that waking up late never adds up. Where a
/// whole tick was slept through, its picture is left out rather than given late, and
/// its number too is skipped by nobody: numbers count the pictures given.
pub struct TestPicture {
    width: u32,
    height: u32,
    interval: Duration,
    fps: u32,
    due: Option<Instant>,
    number: u32,
}

impl TestPicture {
    /// Makes a source of pictures of `width` by `height`, `fps` a second.
    #[must_use]
    pub fn new(width: u32, height: u32, fps: u32) -> Self {
        let fps = fps.clamp(1, 240);
        Self {
            width,
            height,
            interval: Duration::from_secs(1) / fps,
            fps,
            due: None,
            number: 0,
        }
    }

    /// When the next picture is due, seen at `now`.
    fn next_due(&self, now: Instant) -> Instant {
        let Some(last) = self.due else { return now };
        let due = last + self.interval;
        let late = now.saturating_duration_since(due);
        if late < self.interval {
            return due;
        }
        let ticks = late.as_nanos() / self.interval.as_nanos().max(1);
        due + self.interval * u32::try_from(ticks).unwrap_or(u32::MAX)
    }
}

impl VideoSource for TestPicture {
    fn next(&mut self) -> Result<Option<VideoItem>, SourceError> {
        let due = self.next_due(Instant::now());
        thread::sleep(due.saturating_duration_since(Instant::now()));
        self.due = Some(due);
        let at = Timestamp::now();
        let mut picture = render(self.number, self.width, self.height);
        picture.at = at;
        let mark = Mark {
            number: self.number,
            at,
        };
        marks::stamp(&mut picture, mark);
        self.number = self.number.wrapping_add(1);
        Ok(Some(VideoItem::Raw(picture)))
    }

    fn describe(&self) -> String {
        format!(
            "test picture {}x{} at {} fps",
            self.width, self.height, self.fps
        )
    }
}

/// Bars at 75 % in BT.601: grey, yellow, cyan, green, magenta, red, blue, dark grey.
const BARS: [(u8, u8, u8); 8] = [
    (180, 128, 128),
    (162, 44, 142),
    (131, 156, 44),
    (112, 72, 58),
    (84, 184, 198),
    (65, 100, 212),
    (35, 212, 114),
    (48, 128, 128),
];

/// The picture of a number, without a mark: bars that move sideways, a ramp under
/// film grain that moves the other way, a ball that bounces, and the number in large digits.
///
/// It is a function of its three arguments alone, so a receiver that has read the
/// number from a mark knows what the picture looked like before it was encoded.
#[must_use]
pub fn render(number: u32, width: u32, height: u32) -> Picture {
    let mut picture = Picture::black(width, height, Timestamp::default());
    if width < 16 || height < 16 {
        return picture;
    }
    draw_bars(&mut picture, number);
    draw_ball(&mut picture, number);
    draw_number(&mut picture, number);
    picture
}

fn draw_bars(picture: &mut Picture, number: u32) {
    let (w, h) = (picture.width as usize, picture.height as usize);
    // A bar's width in four seconds at 30 fps; the ramp below twice as fast.
    let shift = (number as usize * w / 960) & !1;
    let bar = |x: usize| BARS[(x + shift) % w * 8 / w];
    let bars: Vec<u8> = (0..w).map(|x| bar(x).0).collect();
    let ramp: Vec<u8> = (0..w)
        .map(|x| 16 + ((x + 2 * w - 2 * shift % w) % w * (219 - GRAIN as usize) / w) as u8)
        .collect();
    let ramp_from = (h * 3 / 4) & !1;
    let grain = grain(w);
    for (row, line) in picture.y.chunks_exact_mut(w).enumerate() {
        if row < ramp_from {
            line.copy_from_slice(&bars);
            continue;
        }
        // Another stretch of the grain for every row of every picture.
        let from = hash(number.wrapping_mul(8_191).wrapping_add(row as u32)) as usize % w;
        for ((luma, ramp), grain) in line.iter_mut().zip(&ramp).zip(&grain[from..]) {
            *luma = ramp + grain;
        }
    }
    let cw = picture.chroma_stride();
    let u: Vec<u8> = (0..cw).map(|x| bar(2 * x).1).collect();
    let v: Vec<u8> = (0..cw).map(|x| bar(2 * x).2).collect();
    for line in picture.u.chunks_exact_mut(cw).take(ramp_from / 2) {
        line.copy_from_slice(&u);
    }
    for line in picture.v.chunks_exact_mut(cw).take(ramp_from / 2) {
        line.copy_from_slice(&v);
    }
}

/// How much of the luma the grain takes.
const GRAIN: u32 = 16;

/// Twice a row's width of film grain. It lies on the ramp alone and gives an encoder
/// something to spend a high rate on. Dropped altogether it still leaves 40 dB of
/// PSNR, for it is faint and covers a quarter of the picture.
fn grain(width: usize) -> Vec<u8> {
    (0..2 * width as u32)
        .map(|x| (hash(x) % (GRAIN + 1)) as u8)
        .collect()
}

/// Mixes the bits of a number (the finalizer of MurmurHash3).
const fn hash(n: u32) -> u32 {
    let n = (n ^ (n >> 16)).wrapping_mul(0x85eb_ca6b);
    let n = (n ^ (n >> 13)).wrapping_mul(0xc2b2_ae35);
    n ^ (n >> 16)
}

fn draw_ball(picture: &mut Picture, number: u32) {
    let (w, h) = (i64::from(picture.width), i64::from(picture.height));
    let radius = h / 8;
    // Below the band of the mark, off every border.
    let top = h / 6;
    let x = radius + bounce(i64::from(number) * w / 128, w - 2 * radius);
    let y = top + radius + bounce(i64::from(number) * h / 150, h - top - 2 * radius);
    for row in (y - radius).max(0)..(y + radius).min(h) {
        let half = ((radius * radius - (row - y) * (row - y)).max(0)).isqrt();
        let from = (x - half).clamp(0, w) as usize;
        let to = (x + half).clamp(0, w) as usize;
        let start = row as usize * w as usize;
        picture.y[start + from..start + to].fill(if (row - y).abs() % 16 < 8 { 210 } else { 170 });
        if row % 2 == 0 {
            let start = row as usize / 2 * picture.chroma_stride();
            picture.u[start + from / 2..start + to / 2].fill(30);
            picture.v[start + from / 2..start + to / 2].fill(170);
        }
    }
}

/// To and fro between 0 and `span`.
fn bounce(way: i64, span: i64) -> i64 {
    let span = span.max(1);
    let way = way % (2 * span);
    if way < span { way } else { 2 * span - way }
}

/// Three columns by five rows for each digit, the top row in the highest bits.
const DIGITS: [u16; 10] = [
    0b111_101_101_101_111,
    0b010_110_010_010_111,
    0b111_001_111_100_111,
    0b111_001_111_001_111,
    0b101_101_111_001_001,
    0b111_100_111_001_111,
    0b111_100_111_101_111,
    0b111_001_010_010_010,
    0b111_101_111_101_111,
    0b111_101_111_001_111,
];

fn draw_number(picture: &mut Picture, number: u32) {
    const PLACES: usize = 6;
    let (w, h) = (picture.width as usize, picture.height as usize);
    let dot = (h / 48).min(w / 32);
    if dot == 0 {
        return;
    }
    let (left, top) = (w / 2 - (PLACES * 4 - 1) * dot / 2, h / 2);
    let panel = left.saturating_sub(dot)..(left + PLACES * 4 * dot).min(w);
    for row in top - dot..(top + 6 * dot).min(h) {
        picture.y[row * w + panel.start..row * w + panel.end].fill(24);
    }
    let mut rest = number;
    for place in (0..PLACES).rev() {
        let glyph = DIGITS[(rest % 10) as usize];
        rest /= 10;
        for (row, column) in (0..5).flat_map(|row| (0..3).map(move |column| (row, column))) {
            if glyph >> (14 - row * 3 - column) & 1 == 0 {
                continue;
            }
            let x = left + (place * 4 + column) * dot;
            for line in top + row * dot..top + (row + 1) * dot {
                picture.y[line * w + x..line * w + x + dot].fill(224);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn a_number_gives_one_picture_and_the_next_another() {
        assert_eq!(render(7, 320, 180), render(7, 320, 180));
        assert_ne!(render(7, 320, 180).y, render(8, 320, 180).y);
    }

    #[test]
    fn every_size_and_number_can_be_drawn() {
        for (width, height) in [
            (0, 0),
            (1, 1),
            (16, 16),
            (17, 33),
            (16, 500),
            (500, 16),
            (161, 91),
            (1920, 1080),
        ] {
            for number in [0, 1, 31, 999_999, 1_000_000, u32::MAX] {
                let picture = render(number, width, height);
                let chroma = (width.div_ceil(2) * height.div_ceil(2)) as usize;
                assert_eq!(picture.y.len(), (width * height) as usize);
                assert_eq!((picture.u.len(), picture.v.len()), (chroma, chroma));
            }
        }
    }

    #[test]
    fn it_stays_within_limited_range_and_is_colourful() {
        let picture = render(100, 640, 360);
        assert!(picture.y.iter().all(|&y| (16..=235).contains(&y)));
        assert!(picture.u.iter().all(|&u| (16..=240).contains(&u)));
        assert!(picture.u.iter().any(|&u| u > 200) && picture.u.iter().any(|&u| u < 50));
        assert!(picture.v.iter().any(|&v| v > 200) && picture.v.iter().any(|&v| v < 50));
    }

    #[test]
    fn ticks_lie_on_an_absolute_schedule() {
        let start = Instant::now();
        let mut source = TestPicture::new(64, 64, 25);
        assert_eq!(source.next_due(start), start);
        source.due = Some(start);
        let tick = Duration::from_millis(40);
        assert_eq!(source.next_due(start + tick / 2), start + tick);
        // A late waking does not move the schedule; ticks slept through are left out.
        assert_eq!(source.next_due(start + tick + tick / 2), start + tick);
        assert_eq!(source.next_due(start + tick * 5), start + tick * 5);
        assert_eq!(
            source.next_due(start + tick * 5 + tick / 2),
            start + tick * 5
        );
    }

    #[test]
    fn pictures_carry_their_number_and_the_moment_they_were_taken() {
        let mut source = TestPicture::new(320, 180, 100);
        for number in 0..3 {
            let before = Timestamp::now();
            let Ok(Some(VideoItem::Raw(picture))) = source.next() else {
                panic!("no picture")
            };
            let mark = marks::read(&picture).expect("a mark");
            assert_eq!((mark.number, mark.at), (number, picture.at));
            assert!(mark.at >= before && mark.at <= Timestamp::now());
        }
    }
}

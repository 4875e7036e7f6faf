//! Y4M: a line of text, then uncompressed pictures (the format of mjpegtools).

use std::time::Duration;

use super::input::{Input, Problem};
use super::source::{Demux, Unit};
use crate::media::capture::VideoItem;
use crate::media::clock::Timestamp;
use crate::media::frame::Picture;

/// A header line is not longer than this.
const LONGEST_LINE: usize = 1_024;
/// Pictures are not larger than this in either direction.
const LARGEST_SIDE: u32 = 16_384;

/// How the colour planes are sampled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chroma {
    Mono,
    Quarter,
    Half,
    Full,
}

/// A Y4M file.
#[derive(Debug)]
struct Header {
    width: u32,
    height: u32,
    /// Pictures a second, as a fraction.
    rate: (u32, u32),
    chroma: Chroma,
    full_range: bool,
}

/// A Y4M file.
pub(super) struct Y4m {
    input: Input,
    header: Header,
    begin: u64,
    frames: u64,
}

impl Y4m {
    pub(super) fn open(mut input: Input) -> Result<Self, Problem> {
        let Some(line) = line(&mut input)? else {
            return Err(Problem::NoFrame);
        };
        let header = Header::parse(&line).map_err(Problem::unsupported)?;
        Ok(Self {
            begin: input.at(),
            input,
            header,
            frames: 0,
        })
    }

    fn time(&self, frame: u64) -> Duration {
        let (frames, seconds) = self.header.rate;
        let micros = u128::from(frame) * u128::from(seconds) * 1_000_000 / u128::from(frames);
        Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }
}

impl Demux<VideoItem> for Y4m {
    fn next(&mut self) -> Result<Option<Unit<VideoItem>>, Problem> {
        let Some(line) = line(&mut self.input)? else {
            return Ok(None);
        };
        if !line.starts_with(b"FRAME") {
            return Err(self.input.broken("no picture begins here"));
        }
        let Some(bytes) = self.input.take(self.header.picture_bytes())? else {
            return Ok(None);
        };
        let time = self.time(self.frames);
        self.frames += 1;
        Ok(Some(Unit {
            time,
            item: VideoItem::Raw(self.header.picture(&bytes)),
        }))
    }

    fn rewind(&mut self) -> Result<(), Problem> {
        self.frames = 0;
        self.input.go_to(self.begin)
    }

    fn length(&self) -> Duration {
        self.time(self.frames)
    }

    fn describe(&self) -> String {
        let Header {
            width,
            height,
            rate: (frames, seconds),
            ..
        } = self.header;
        let fps = f64::from(frames) / f64::from(seconds);
        format!("Y4M {width}x{height} at {fps:.4} fps")
    }
}

/// A line without its end; `None` where the file ends before it.
fn line(input: &mut Input) -> Result<Option<Vec<u8>>, Problem> {
    let mut line = Vec::new();
    loop {
        match input.array()? {
            None => return Ok(None),
            Some([b'\n']) => return Ok(Some(line)),
            Some([_]) if line.len() == LONGEST_LINE => {
                return Err(input.broken("a line of more than 1,024 bytes"));
            }
            Some([byte]) => line.push(byte),
        }
    }
}

impl Header {
    fn parse(line: &[u8]) -> Result<Self, String> {
        let line = String::from_utf8_lossy(line);
        let mut header = Self {
            width: 0,
            height: 0,
            rate: (25, 1),
            chroma: Chroma::Quarter,
            full_range: false,
        };
        for word in line.split(' ').skip(1).filter(|word| !word.is_empty()) {
            let mut letters = word.chars();
            let letter = letters.next().unwrap_or_default();
            let rest = letters.as_str();
            match letter {
                'W' => header.width = rest.parse().unwrap_or(0),
                'H' => header.height = rest.parse().unwrap_or(0),
                'F' => header.rate = rate(rest).ok_or(format!("has a frame rate of {rest}"))?,
                'C' => header.chroma = chroma(rest)?,
                'X' if rest == "COLORRANGE=FULL" => header.full_range = true,
                _ => {}
            }
        }
        let sane = 1..=LARGEST_SIDE;
        if !sane.contains(&header.width) || !sane.contains(&header.height) {
            return Err(format!(
                "has pictures of {}x{}; 1 to {LARGEST_SIDE} in each direction are read",
                header.width, header.height
            ));
        }
        Ok(header)
    }

    /// Width and height of a colour plane in the file.
    fn chroma_size(&self) -> (u32, u32) {
        match self.chroma {
            Chroma::Mono => (0, 0),
            Chroma::Quarter => (self.width.div_ceil(2), self.height.div_ceil(2)),
            Chroma::Half => (self.width.div_ceil(2), self.height),
            Chroma::Full => (self.width, self.height),
        }
    }

    fn picture_bytes(&self) -> u64 {
        let (width, height) = self.chroma_size();
        u64::from(self.width) * u64::from(self.height) + 2 * u64::from(width) * u64::from(height)
    }

    fn picture(&self, bytes: &[u8]) -> Picture {
        let mut picture = Picture::black(self.width, self.height, Timestamp::default());
        let (luma, colours) = bytes.split_at(picture.y.len());
        picture.y.copy_from_slice(luma);
        if self.chroma != Chroma::Mono {
            let (blue, red) = colours.split_at(colours.len() / 2);
            picture.u = self.shrink(blue);
            picture.v = self.shrink(red);
        }
        if self.full_range {
            let scale = |sample: u8, size: u32, low: u32| {
                let value = low + (u32::from(sample) * size + 127) / 255;
                u8::try_from(value).unwrap_or(u8::MAX)
            };
            picture.y.iter_mut().for_each(|s| *s = scale(*s, 219, 16));
            for plane in [&mut picture.u, &mut picture.v] {
                plane.iter_mut().for_each(|s| *s = scale(*s, 224, 16));
            }
        }
        picture
    }

    /// A colour plane at half the size in both directions, by averaging.
    fn shrink(&self, plane: &[u8]) -> Vec<u8> {
        if self.chroma == Chroma::Quarter {
            return plane.to_vec();
        }
        let (width, height) = self.chroma_size();
        let (width, height) = (width as usize, height as usize);
        let across = if self.chroma == Chroma::Full { 2 } else { 1 };
        let mut out = Vec::with_capacity(width.div_ceil(across) * height.div_ceil(2));
        for row in (0..height).step_by(2) {
            for column in (0..width).step_by(across) {
                let (mut sum, mut count) = (0_u32, 0_u32);
                for y in row..(row + 2).min(height) {
                    for sample in &plane[y * width + column..][..across.min(width - column)] {
                        sum += u32::from(*sample);
                        count += 1;
                    }
                }
                out.push(u8::try_from((sum + count / 2) / count.max(1)).unwrap_or(u8::MAX));
            }
        }
        out
    }
}

fn rate(word: &str) -> Option<(u32, u32)> {
    let (frames, seconds) = word.split_once(':')?;
    let (frames, seconds) = (frames.parse().ok()?, seconds.parse().ok()?);
    // Zeros mean "unknown".
    match (frames, seconds) {
        (0, _) | (_, 0) => Some((25, 1)),
        rate => Some(rate),
    }
}

fn chroma(word: &str) -> Result<Chroma, String> {
    match word {
        "420" | "420jpeg" | "420mpeg2" | "420paldv" => Ok(Chroma::Quarter),
        "422" => Ok(Chroma::Half),
        "444" => Ok(Chroma::Full),
        "mono" => Ok(Chroma::Mono),
        other => Err(format!(
            "has pictures of format {other}, not 420, 422, 444 or mono in 8 bits; \
             convert it: ffmpeg -i FILE -pix_fmt yuv420p out.y4m"
        )),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn first(header: &str, body: &[u8]) -> Picture {
        let bytes = [header.as_bytes(), b"\nFRAME\n", body].concat();
        let mut file = Y4m::open(Input::new(std::io::Cursor::new(bytes)).unwrap()).unwrap();
        match file.next().unwrap().unwrap().item {
            VideoItem::Raw(picture) => picture,
            other => unreachable!("{other:?}"),
        }
    }

    #[test]
    fn every_sampling_becomes_quarter_size_colour() {
        let luma = [1, 2, 3, 4, 5, 6];
        let full = [&luma[..], &[10, 20, 30, 40, 50, 60], &[9; 6]].concat();
        let picture = first("YUV4MPEG2 W3 H2 F30:1 C444", &full);
        assert_eq!((picture.width, picture.height), (3, 2));
        assert_eq!(picture.y, luma);
        assert_eq!(picture.u, [30, 45]); // (10+20+40+50)/4, (30+60)/2
        assert_eq!(picture.v, [9, 9]);
        let half = [&luma[..], &[10, 20, 30, 40], &[7; 4]].concat();
        assert_eq!(first("YUV4MPEG2 W3 H2 F30:1 C422", &half).u, [20, 30]);
        let mono = first("YUV4MPEG2 W3 H2 Cmono", &luma);
        assert_eq!((mono.u, mono.v), (vec![128; 2], vec![128; 2]));
        let quarter = [&luma[..], &[10, 20], &[7; 2]].concat();
        assert_eq!(first("YUV4MPEG2 W3 H2 C420jpeg", &quarter).u, [10, 20]);
    }

    #[test]
    fn full_range_is_narrowed() {
        let picture = first("YUV4MPEG2 W1 H1 C444 XCOLORRANGE=FULL", &[255, 128, 0]);
        assert_eq!((picture.y[0], picture.u[0], picture.v[0]), (235, 128, 16));
    }

    #[test]
    fn what_cannot_be_converted_is_refused_by_name() {
        let problem = Header::parse(b"YUV4MPEG2 W2 H2 C420p10").unwrap_err();
        assert!(problem.contains("420p10"), "{problem}");
        let problem = Header::parse(b"YUV4MPEG2 W0 H2").unwrap_err();
        assert!(problem.contains("0x2"), "{problem}");
    }
}

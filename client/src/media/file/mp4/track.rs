//! Tracks and their sample tables (ISO/IEC 14496-12, sections 8.3 to 8.7).

use std::fmt;

use super::boxes::{Boxes, Fields, find, path};
use super::fragment::Defaults;
use crate::media::file::h264::Avcc;

/// What a track holds.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    H264(Avcc),
    Vp8,
    Vp9,
    Av1,
    Opus,
    /// Known by name alone.
    Other(String),
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::H264(avcc) => write!(f, "H.264 {}", avcc.profile()),
            Self::Vp8 => f.write_str("VP8"),
            Self::Vp9 => f.write_str("VP9"),
            Self::Av1 => f.write_str("AV1"),
            Self::Opus => f.write_str("Opus"),
            Self::Other(name) => f.write_str(name),
        }
    }
}

/// Where a sample is, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) offset: u64,
    pub(super) size: u32,
    /// When it is shown, in ticks of its track.
    pub(super) shown: i64,
    pub(super) duration: u32,
}

#[derive(Clone, Debug)]
pub(super) struct Track {
    pub(super) id: u32,
    pub(super) kind: Kind,
    pub(super) width: u16,
    pub(super) height: u16,
    pub(super) samples: Vec<Sample>,
    /// What fragments of this track take for granted.
    pub(super) defaults: Defaults,
    /// Where the next fragment begins, in ticks, if it does not say so.
    pub(super) decoded: u64,
    timescale: u32,
    /// Nanoseconds that edits move the track by.
    shift: i64,
}

impl Track {
    /// Nanoseconds on the file's time line.
    pub(super) fn time(&self, sample: &Sample) -> i64 {
        in_nanos(sample.shown, self.timescale).saturating_add(self.shift)
    }

    pub(super) fn begin(&self) -> Option<i64> {
        self.samples.iter().map(|sample| self.time(sample)).min()
    }

    pub(super) fn end(&self) -> Option<i64> {
        let end = |sample: &Sample| {
            let lasts = in_nanos(i64::from(sample.duration), self.timescale);
            self.time(sample).saturating_add(lasts)
        };
        self.samples.iter().map(end).max()
    }

    /// Leaves out what lies behind the end of a file that was cut off.
    pub(super) fn keep_within(&mut self, len: u64) {
        let inside = |sample: &Sample| {
            let end = sample.offset.checked_add(u64::from(sample.size));
            sample.size > 0 && end.is_some_and(|end| end <= len)
        };
        let whole = self.samples.iter().position(|s| s.size > 0 && !inside(s));
        self.samples.truncate(whole.unwrap_or(self.samples.len()));
        self.samples.retain(inside);
    }
}

fn in_nanos(ticks: i64, timescale: u32) -> i64 {
    let nanos = i128::from(ticks) * 1_000_000_000 / i128::from(timescale.max(1));
    i64::try_from(nanos).unwrap_or(if ticks < 0 { i64::MIN } else { i64::MAX })
}

/// All tracks of an index, for a file of so many bytes.
pub(super) fn all(moov: &[u8], file: u64) -> Vec<Track> {
    let movie = find(moov, b"mvhd").and_then(timescale).unwrap_or(1_000);
    let mut tracks: Vec<Track> = Boxes(moov)
        .filter(|(name, _)| *name == b"trak")
        .filter_map(|(_, body)| track(body, movie, file))
        .collect();
    for (_, body) in Boxes(find(moov, b"mvex").unwrap_or_default()).filter(|(n, _)| *n == b"trex") {
        if let Some((id, defaults)) = Defaults::parse(body)
            && let Some(track) = tracks.iter_mut().find(|track| track.id == id)
        {
            track.defaults = defaults;
        }
    }
    tracks
}

/// The ticks in a second, of mvhd and mdhd.
fn timescale(body: &[u8]) -> Option<u32> {
    let mut fields = Fields(body);
    let (version, _) = fields.version()?;
    fields.wide(version)?;
    fields.wide(version)?;
    fields.u32().filter(|scale| *scale > 0)
}

fn track(trak: &[u8], movie: u32, file: u64) -> Option<Track> {
    let mut fields = Fields(find(trak, b"tkhd")?);
    let (version, _) = fields.version()?;
    fields.wide(version)?;
    fields.wide(version)?;
    let id = fields.u32()?;
    let timescale = timescale(path(trak, &[b"mdia", b"mdhd"])?)?;
    let table = path(trak, &[b"mdia", b"minf", b"stbl"])?;
    let (kind, width, height) = description(find(table, b"stsd")?)?;
    let shift = path(trak, &[b"edts", b"elst"])
        .and_then(|list| edits(list, movie, timescale))
        .unwrap_or(0);
    let samples = samples(table, file);
    Some(Track {
        id,
        kind,
        width,
        height,
        defaults: Defaults::default(),
        decoded: samples.iter().map(|s| u64::from(s.duration)).sum(),
        samples,
        timescale,
        shift,
    })
}

/// What the first sample entry says (sections 8.5.2 and 12).
fn description(stsd: &[u8]) -> Option<(Kind, u16, u16)> {
    let (name, body) = Boxes(stsd.get(8..)?).next()?;
    let mut fields = Fields(body.get(24..).unwrap_or_default());
    let (width, height) = (fields.u16().unwrap_or(0), fields.u16().unwrap_or(0));
    let inner = body.get(78..).unwrap_or_default();
    let kind = match name {
        b"avc1" | b"avc3" => find(inner, b"avcC").and_then(Avcc::parse).map(Kind::H264),
        b"vp08" => Some(Kind::Vp8),
        b"vp09" => Some(Kind::Vp9),
        b"av01" => Some(Kind::Av1),
        b"Opus" => Some(Kind::Opus),
        _ => None,
    };
    let unknown = || Kind::Other(String::from_utf8_lossy(name).escape_default().to_string());
    Some((kind.unwrap_or_else(unknown), width, height))
}

/// Nanoseconds that an edit list moves a track by: an empty edit delays it, the
/// first other edit may leave out its beginning (section 8.6.6).
fn edits(list: &[u8], movie: u32, timescale: u32) -> Option<i64> {
    let mut fields = Fields(list);
    let (version, _) = fields.version()?;
    let mut delay = 0_i64;
    for _ in 0..fields.u32()?.min(16) {
        let duration = i64::try_from(fields.wide(version)?).ok()?;
        let begin = if version == 0 {
            i64::from(fields.i32()?)
        } else {
            fields.u64()?.cast_signed()
        };
        fields.u32()?;
        if begin >= 0 {
            return Some(delay.saturating_sub(in_nanos(begin, timescale)));
        }
        delay = delay.saturating_add(in_nanos(duration, movie));
    }
    Some(delay)
}

/// A table of 32-bit rows behind its count; as many rows as there really are.
fn rows<const N: usize>(table: &[u8], name: &[u8; 4]) -> Vec<[u32; N]> {
    let Some(body) = find(table, name) else {
        return Vec::new();
    };
    let mut fields = Fields(body);
    let count = fields.version().and_then(|_| fields.u32()).unwrap_or(0);
    let mut rows = Vec::new();
    for row in fields.0.chunks_exact(4 * N).take(count as usize) {
        let mut fields = Fields(row);
        rows.push(std::array::from_fn(|_| fields.u32().unwrap_or(0)));
    }
    rows
}

/// Repeats the value of each run as often as it says.
fn runs(rows: Vec<[u32; 2]>) -> impl Iterator<Item = u32> {
    rows.into_iter()
        .flat_map(|[count, value]| std::iter::repeat_n(value, count as usize))
}

/// Joins the tables: sizes, chunks, durations and shifts.
fn samples(table: &[u8], file: u64) -> Vec<Sample> {
    let mut fields = Fields(find(table, b"stsz").unwrap_or_default());
    let head = fields
        .version()
        .and_then(|_| Some((fields.u32()?, fields.u32()?)));
    let Some((same, count)) = head else {
        return Vec::new();
    };
    let sizes: Box<dyn Iterator<Item = u32>> = if same == 0 {
        let words = fields.0.chunks_exact(4).take(count as usize);
        Box::new(words.map(|word| Fields(word).u32().unwrap_or(0)))
    } else {
        // A count that lies is held to what the file can hold.
        let most = usize::try_from(file / u64::from(same)).unwrap_or(usize::MAX);
        Box::new(std::iter::repeat_n(same, most.min(count as usize)))
    };
    let mut sizes = sizes;
    let mut offsets: Vec<u64> = rows::<1>(table, b"stco")
        .iter()
        .map(|[offset]| u64::from(*offset))
        .collect();
    if offsets.is_empty() {
        let wide = rows::<2>(table, b"co64");
        offsets.extend(
            wide.iter()
                .map(|[high, low]| u64::from(*high) << 32 | u64::from(*low)),
        );
    }
    let chunks = rows::<3>(table, b"stsc");
    let mut durations = runs(rows(table, b"stts"));
    let mut shifts = runs(rows(table, b"ctts"));
    let mut samples = Vec::new();
    let mut decoded = 0_i64;
    let mut run = 0;
    for (number, mut offset) in (1_u32..).zip(offsets) {
        while chunks
            .get(run + 1)
            .is_some_and(|[first, ..]| *first <= number)
        {
            run += 1;
        }
        let in_chunk = chunks.get(run).map_or(0, |[_, count, _]| *count);
        for _ in 0..in_chunk {
            let Some(size) = sizes.next() else {
                return samples;
            };
            let duration = durations.next().unwrap_or(0);
            // Signed in version 1; encoders write signed ones in version 0 too.
            let shift = shifts.next().unwrap_or(0).cast_signed();
            samples.push(Sample {
                offset,
                size,
                shown: decoded.saturating_add(i64::from(shift)),
                duration,
            });
            decoded = decoded.saturating_add(i64::from(duration));
            offset = offset.saturating_add(u64::from(size));
        }
    }
    samples
}

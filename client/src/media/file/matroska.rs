//! WebM and MKV (RFC 9559), read as a stream.
//!
//! Segment and cluster headers are merely stepped over, so their sizes may be
//! known, unknown (live recordings) or wrong (a recorder that was killed); blocks
//! are found by walking. Where the file ends inside an element, it simply ends.

mod block;
mod sounds;
mod tracks;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;

use super::ebml::{self, Elements, id};
use super::h264::{self, Avcc};
use super::input::{Input, Problem};
use super::source::{Demux, Unit};
use super::{av1, vp8, vp9};
use crate::media::capture::VideoItem;
use crate::media::clock::Timestamp;
use crate::media::frame::{EncodedPicture, VideoCodec};
use block::Block;
pub(super) use sounds::Sounds;
use tracks::{Kind, Track};

/// An element that is read into memory is not larger than this.
const LARGEST: u64 = 64 << 20;

/// One frame of a track.
pub(super) struct Frame {
    pub(super) track: u64,
    /// Nanoseconds from the first block of the file.
    pub(super) time: i64,
    pub(super) data: Bytes,
}

/// Walks a file and gives its frames in order.
pub(super) struct Reader {
    input: Input,
    tracks: Vec<Track>,
    /// Nanoseconds in a tick.
    scale: u64,
    /// The time of the present cluster, in ticks.
    cluster: u64,
    /// Where the first block of the file is: everything is counted from there.
    origin: Option<i64>,
    /// Frames of a laced block that wait.
    ready: VecDeque<Frame>,
    /// Per track: last time and last step, to know where the file ends.
    ends: BTreeMap<u64, (i64, i64)>,
    /// The end was met, perhaps inside an element.
    over: bool,
}

impl Reader {
    pub(super) fn open(input: Input) -> Result<Self, Problem> {
        let mut reader = Self {
            input,
            tracks: Vec::new(),
            scale: 1_000_000,
            cluster: 0,
            origin: None,
            ready: VecDeque::new(),
            ends: BTreeMap::new(),
            over: false,
        };
        while reader.tracks.is_empty() {
            let Some((id, size)) = reader.header()? else {
                return Err(Problem::NoFrame);
            };
            if id == id::CLUSTER {
                return Err(reader
                    .input
                    .broken("pictures come before the list of tracks"));
            }
            if !reader.element(id, size)? {
                return Err(Problem::NoFrame);
            }
        }
        Ok(reader)
    }

    pub(super) fn next(&mut self) -> Result<Option<Frame>, Problem> {
        loop {
            if let Some(frame) = self.ready.pop_front() {
                return Ok(Some(frame));
            }
            if self.over {
                return Ok(None);
            }
            self.over = match self.header()? {
                Some((id, size)) => !self.element(id, size)?,
                None => true,
            };
        }
    }

    pub(super) fn rewind(&mut self) -> Result<(), Problem> {
        self.ready.clear();
        self.over = false;
        self.cluster = 0;
        self.ends.clear();
        self.input.go_to(0)
    }

    /// From the first block to the end of the last one, over all tracks.
    pub(super) fn length(&self) -> Duration {
        let end = self
            .ends
            .values()
            .map(|(last, step)| last.saturating_add(*step))
            .max();
        nanos(end.unwrap_or_default())
    }

    /// The id and size of the next element; `None` at the end.
    fn header(&mut self) -> Result<Option<(u32, Option<u64>)>, Problem> {
        let Some([first]) = self.input.array()? else {
            return Ok(None);
        };
        let length = ebml::field_length(first).filter(|length| *length <= 4);
        let Some(length) = length else {
            return Err(self.input.broken("this is no element"));
        };
        let Some(rest) = self.input.take(length as u64 - 1)? else {
            return Ok(None);
        };
        let id = rest
            .iter()
            .fold(u32::from(first), |n, b| n << 8 | u32::from(*b));
        let Some([first]) = self.input.array()? else {
            return Ok(None);
        };
        let Some(length) = ebml::field_length(first) else {
            return Err(self.input.broken("an element has no size"));
        };
        let Some(mut field) = self.input.take(length as u64 - 1)? else {
            return Ok(None);
        };
        field.insert(0, first);
        Ok(Some((id, ebml::size_value(&field))))
    }

    /// Deals with one element; false where the file ends inside it.
    fn element(&mut self, id: u32, size: Option<u64>) -> Result<bool, Problem> {
        if matches!(id, id::SEGMENT | id::CLUSTER) {
            return Ok(true);
        }
        let Some(size) = size else {
            return Err(self
                .input
                .broken(format!("element {id:x} has no known size")));
        };
        let wanted = matches!(
            id,
            id::INFO | id::TRACKS | id::TIMESTAMP | id::SIMPLE_BLOCK | id::BLOCK_GROUP
        );
        if !wanted {
            self.input.skip(size)?;
            return Ok(true);
        }
        if size > LARGEST {
            return Err(self.input.broken(format!("an element of {size} bytes")));
        }
        let Some(body) = self.input.take_bytes(size)? else {
            return Ok(false);
        };
        match id {
            id::INFO => self.scale = tracks::scale(&body),
            id::TRACKS => self.tracks = tracks::parse(&body),
            id::TIMESTAMP => self.cluster = ebml::uint(&body),
            id::SIMPLE_BLOCK => self.block(&body, None)?,
            _ => {
                let mut block = None;
                let mut duration = None;
                for (id, inner) in Elements(&body) {
                    match id {
                        id::BLOCK => block = Some(body.slice_ref(inner)),
                        id::BLOCK_DURATION => duration = Some(ebml::uint(inner)),
                        _ => {}
                    }
                }
                if let Some(block) = block {
                    self.block(&block, duration)?;
                }
            }
        }
        Ok(true)
    }

    fn block(&mut self, body: &Bytes, duration: Option<u64>) -> Result<(), Problem> {
        let Some(block) = Block::parse(body) else {
            return Err(self.input.broken("a block is too short for what it says"));
        };
        let Some(track) = self.tracks.iter().find(|track| track.number == block.track) else {
            return Ok(());
        };
        let ticks = i64::try_from(self.cluster)
            .unwrap_or(i64::MAX)
            .saturating_add(i64::from(block.time));
        let in_nanos =
            |ticks: i64| ticks.saturating_mul(i64::try_from(self.scale).unwrap_or(i64::MAX));
        // RFC 9559, 5.1.4.1.25: the codec's delay is subtracted from every stamp.
        let absolute = in_nanos(ticks).saturating_sub(track.delay);
        let origin = *self.origin.get_or_insert(absolute);
        let mut time = absolute.saturating_sub(origin);
        let (last, mut step) = self.ends.get(&block.track).copied().unwrap_or((time, 0));
        if time > last {
            step = time - last;
        }
        for frame in block.frames {
            let data = track.restore(frame);
            let lasts = track.frame_nanos(&data);
            if let Some(lasts) = lasts.or(duration.map(|d| in_nanos(i64::try_from(d).unwrap_or(0))))
            {
                step = lasts;
            }
            let end = self.ends.entry(block.track).or_insert((time, step));
            *end = (end.0.max(time), step);
            self.ready.push_back(Frame {
                track: block.track,
                time,
                data,
            });
            time = time.saturating_add(lasts.unwrap_or(0));
        }
        Ok(())
    }
}

/// A time that may lie before the beginning, as one that does not.
pub(super) fn nanos(time: i64) -> Duration {
    Duration::from_nanos(u64::try_from(time).unwrap_or(0))
}

/// The first picture track that can be sent.
pub(super) struct Pictures {
    reader: Reader,
    track: u64,
    codec: VideoCodec,
    /// Of H.264.
    avcc: Option<Avcc>,
    words: String,
}

impl Pictures {
    pub(super) fn open(input: Input) -> Result<Self, Problem> {
        let reader = Reader::open(input)?;
        let found = reader.tracks.iter().find_map(|track| match &track.kind {
            Kind::Vp8 => Some((track, VideoCodec::Vp8, None)),
            Kind::Vp9 => Some((track, VideoCodec::Vp9, None)),
            Kind::Av1 => Some((track, VideoCodec::Av1, None)),
            Kind::H264(avcc) => Some((track, VideoCodec::H264, Some(avcc.clone()))),
            _ => None,
        });
        let Some((track, codec, avcc)) = found else {
            let wanted = "VP8, VP9, AV1 or H.264";
            return Err(tracks::none("picture", wanted, &reader.tracks));
        };
        let name = avcc
            .as_ref()
            .map_or_else(|| track.name(), |avcc| format!("H.264 {}", avcc.profile()));
        let words = format!("{name} {}x{}", track.width, track.height);
        Ok(Self {
            track: track.number,
            codec,
            avcc,
            words,
            reader,
        })
    }
}

impl Demux<VideoItem> for Pictures {
    fn next(&mut self) -> Result<Option<Unit<VideoItem>>, Problem> {
        while let Some(frame) = self.reader.next()? {
            if frame.track != self.track || frame.data.is_empty() {
                continue;
            }
            let (codec, data, key) = match &self.avcc {
                None => {
                    let key = match self.codec {
                        VideoCodec::Vp9 => vp9::is_key(&frame.data)?,
                        VideoCodec::Av1 => av1::is_key(&frame.data)?,
                        _ => vp8::is_key(&frame.data),
                    };
                    (self.codec, frame.data, key)
                }
                Some(avcc) => {
                    let units = avcc.units(&frame.data);
                    let (data, key) = h264::access_unit(&units, &avcc.sets);
                    (VideoCodec::H264, data.into(), key)
                }
            };
            if data.is_empty() {
                continue;
            }
            return Ok(Some(Unit {
                time: nanos(frame.time),
                item: VideoItem::Encoded(EncodedPicture {
                    codec,
                    data,
                    key,
                    at: Timestamp::default(),
                    layer: None,
                }),
            }));
        }
        Ok(None)
    }

    fn rewind(&mut self) -> Result<(), Problem> {
        self.reader.rewind()
    }

    fn length(&self) -> Duration {
        self.reader.length()
    }

    fn describe(&self) -> String {
        self.words.clone()
    }
}

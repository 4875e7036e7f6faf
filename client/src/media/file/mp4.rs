//! MP4 (ISO/IEC 14496-12), whole and in fragments: H.264, VP8, VP9, AV1 and Opus.
//!
//! Read here: the sample tables of a broken file must end in a word, and the
//! crates for this index them unchecked.

mod boxes;
mod fragment;
mod track;

use std::time::Duration;

use super::h264;
use super::input::{Input, Problem};
use super::opus;
use super::smooth::Smooth;
use super::source::{Demux, Unit};
use super::{av1, vp8, vp9};
use crate::media::capture::{AudioItem, VideoItem};
use crate::media::clock::Timestamp;
use crate::media::frame::{EncodedPicture, EncodedSound, VideoCodec};
use boxes::Fields;
use track::{Kind, Track};

/// An index is not larger than this.
const LARGEST_INDEX: u64 = 256 << 20;

/// The chosen track of a file, sample by sample.
struct Reader {
    input: Input,
    track: Track,
    next: usize,
    /// Nanoseconds: where the earliest track begins.
    origin: i64,
    length: Duration,
}

impl Reader {
    fn open(mut input: Input, what: &str, wanted: fn(&Kind) -> bool) -> Result<Self, Problem> {
        let mut tracks = tracks(&mut input)?;
        tracks
            .iter_mut()
            .for_each(|track| track.keep_within(input.len()));
        let origin = tracks.iter().filter_map(Track::begin).min().unwrap_or(0);
        let end = tracks.iter().filter_map(Track::end).max().unwrap_or(0);
        let names: Vec<String> = tracks.iter().map(|track| track.kind.to_string()).collect();
        let Some(track) = tracks.into_iter().find(|track| wanted(&track.kind)) else {
            return Err(Problem::unsupported(format!(
                "has no {what} track that can be sent (it has: {}); convert it, for example with: \
                 ffmpeg -i FILE -c:v libvpx -c:a libopus out.webm",
                names.join(", ")
            )));
        };
        Ok(Self {
            input,
            track,
            next: 0,
            origin,
            length: nanos(end.saturating_sub(origin)),
        })
    }

    fn next(&mut self) -> Result<Option<(Duration, Vec<u8>)>, Problem> {
        let Some(sample) = self.track.samples.get(self.next) else {
            return Ok(None);
        };
        self.next += 1;
        let time = self.track.time(sample).saturating_sub(self.origin);
        self.input.go_to(sample.offset)?;
        let data = self.input.take(u64::from(sample.size))?;
        Ok(data.map(|data| (nanos(time), data)))
    }
}

fn nanos(time: i64) -> Duration {
    Duration::from_nanos(u64::try_from(time).unwrap_or(0))
}

/// Walks the top level and reads the index and the fragments.
fn tracks(input: &mut Input) -> Result<Vec<Track>, Problem> {
    let mut tracks: Option<Vec<Track>> = None;
    loop {
        let begin = input.at();
        let Some(head) = input.array::<8>()? else {
            break;
        };
        let mut fields = Fields(&head);
        let size = u64::from(fields.u32().unwrap_or(0));
        let size = match size {
            0 => input.len() - begin,
            1 => input.array::<8>()?.map_or(0, u64::from_be_bytes),
            size => size,
        };
        let Some(body) = size.checked_sub(input.at() - begin) else {
            return Err(input.broken("a box smaller than its header"));
        };
        let name = &head[4..];
        if name != b"moov" && name != b"moof" {
            input.skip(body)?;
            continue;
        }
        if body > LARGEST_INDEX {
            return Err(input.broken(format!("an index of {body} bytes")));
        }
        let Some(body) = input.take(body)? else {
            break;
        };
        if name == b"moov" {
            tracks = Some(track::all(&body, input.len()));
        } else if let Some(tracks) = &mut tracks {
            fragment::add(tracks, &body, begin);
        }
    }
    tracks.ok_or_else(|| {
        Problem::unsupported(
            "has no index: its recording was not finished; repair it, or record anew".into(),
        )
    })
}

/// The first picture track that can be sent.
pub(super) struct Pictures(Reader);

impl Pictures {
    pub(super) fn open(input: Input) -> Result<Self, Problem> {
        let wanted =
            |kind: &Kind| matches!(kind, Kind::H264(_) | Kind::Vp8 | Kind::Vp9 | Kind::Av1);
        Reader::open(input, "picture", wanted).map(Self)
    }
}

impl Demux<VideoItem> for Pictures {
    fn next(&mut self) -> Result<Option<Unit<VideoItem>>, Problem> {
        while let Some((time, data)) = self.0.next()? {
            let (codec, data, key) = match &self.0.track.kind {
                Kind::H264(avcc) => {
                    let (data, key) = h264::access_unit(&avcc.units(&data), &avcc.sets);
                    (VideoCodec::H264, data, key)
                }
                Kind::Vp9 => {
                    let key = vp9::is_key(&data)?;
                    (VideoCodec::Vp9, data, key)
                }
                Kind::Av1 => {
                    let key = av1::is_key(&data)?;
                    (VideoCodec::Av1, data, key)
                }
                _ => {
                    let key = vp8::is_key(&data);
                    (VideoCodec::Vp8, data, key)
                }
            };
            if data.is_empty() {
                continue;
            }
            return Ok(Some(Unit {
                time,
                item: VideoItem::Encoded(EncodedPicture {
                    codec,
                    data: data.into(),
                    key,
                    at: Timestamp::default(),
                    layer: None,
                }),
            }));
        }
        Ok(None)
    }

    fn rewind(&mut self) -> Result<(), Problem> {
        self.0.next = 0;
        Ok(())
    }

    fn length(&self) -> Duration {
        self.0.length
    }

    fn describe(&self) -> String {
        let Track {
            width,
            height,
            kind,
            ..
        } = &self.0.track;
        format!("MP4 {kind} {width}x{height}")
    }
}

/// The first sound track that can be sent.
pub(super) struct Sounds {
    reader: Reader,
    smooth: Smooth,
}

impl Sounds {
    pub(super) fn open(input: Input) -> Result<Self, Problem> {
        let wanted = |kind: &Kind| matches!(kind, Kind::Opus);
        Ok(Self {
            reader: Reader::open(input, "sound", wanted)?,
            smooth: Smooth::default(),
        })
    }
}

impl Demux<AudioItem> for Sounds {
    fn next(&mut self) -> Result<Option<Unit<AudioItem>>, Problem> {
        while let Some((time, data)) = self.reader.next()? {
            let Some(duration) = opus::duration(&data) else {
                continue;
            };
            return Ok(Some(Unit {
                time: self.smooth.place(time, duration),
                item: AudioItem::Encoded(EncodedSound {
                    level: None,
                    data: data.into(),
                    duration,
                    at: Timestamp::default(),
                }),
            }));
        }
        Ok(None)
    }

    fn rewind(&mut self) -> Result<(), Problem> {
        self.reader.next = 0;
        self.smooth = Smooth::default();
        Ok(())
    }

    fn length(&self) -> Duration {
        self.reader.length
    }

    fn describe(&self) -> String {
        "MP4 Opus".to_owned()
    }
}

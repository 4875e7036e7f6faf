//! What stands where in a recording, as bytes: pure.
//!
//! ```text
//! EBML header | Segment header | SeekHead or void | Info | Tracks + void | Cluster … | Cues
//! ```
//!
//! Everything in front of the clusters has a fixed place, so that it can be
//! written again in place.

use super::track::Entry;
use super::{Block, TrackKind};
use crate::media::file::ebml::{UNKNOWN_SIZE, Writer, id};
use crate::media::file::opus;
use crate::media::frame::VideoCodec;

/// Bytes kept for the list of tracks: about sixty with names of usual length.
const TRACKS_ROOM: usize = 16 * 1024;
/// Bytes kept for the SeekHead.
const SEEK_ROOM: usize = 96;
const NAME: &str = concat!("rtc-client ", env!("CARGO_PKG_VERSION"));

/// The beginning of a file, and the places in it that are written again.
pub(super) struct Head {
    pub(super) bytes: Vec<u8>,
    /// Where the segment's size is: eight bytes.
    pub(super) segment_size: u64,
    /// Where the segment's content begins: positions in the file's index count from here.
    pub(super) segment: u64,
    pub(super) info: u64,
    /// Where the duration's eight bytes are.
    pub(super) duration: u64,
    pub(super) tracks: u64,
}

/// The head of a file without tracks, of unknown size and duration.
pub(super) fn head(webm: bool) -> Head {
    let mut out = Writer::default();
    ebml_head(&mut out, webm);
    out.id(id::SEGMENT);
    let segment_size = out.0.len() as u64;
    out.0.extend_from_slice(&UNKNOWN_SIZE);
    let segment = out.0.len() as u64;
    out.void(SEEK_ROOM);
    let info = out.0.len() as u64;
    self::info(&mut out, true);
    // The duration is the last thing in Info.
    let duration = out.0.len() as u64 - 8;
    let tracks = out.0.len() as u64;
    out.void(TRACKS_ROOM);
    Head {
        bytes: out.0,
        segment_size,
        segment,
        info,
        duration,
        tracks,
    }
}

/// The head of a stream with these tracks, which nothing is written into later.
pub(super) fn stream_head(tracks: &[u8]) -> Vec<u8> {
    let mut out = Writer::default();
    ebml_head(&mut out, false);
    out.id(id::SEGMENT);
    out.0.extend_from_slice(&UNKNOWN_SIZE);
    info(&mut out, false);
    out.0.extend_from_slice(tracks);
    out.0
}

fn ebml_head(out: &mut Writer, webm: bool) {
    out.master(id::EBML, |ebml| {
        ebml.uint(id::EBML_VERSION, 1)
            .uint(id::EBML_READ_VERSION, 1)
            .uint(id::EBML_MAX_ID_LENGTH, 4)
            .uint(id::EBML_MAX_SIZE_LENGTH, 8)
            .text(id::DOC_TYPE, if webm { "webm" } else { "matroska" })
            .uint(id::DOC_TYPE_VERSION, 4)
            .uint(id::DOC_TYPE_READ_VERSION, 2);
    });
}

fn info(out: &mut Writer, duration: bool) {
    out.master(id::INFO, |info| {
        info.uint(id::TIMESTAMP_SCALE, 1_000_000)
            .text(id::MUXING_APP, NAME)
            .text(id::WRITING_APP, NAME);
        if duration {
            info.float(id::DURATION, 1.0);
        }
    });
}

/// Whether a list of tracks fits into its room, with a void behind it.
pub(super) const fn fits(list: &[u8]) -> bool {
    list.len() + 2 <= TRACKS_ROOM
}

/// A list of tracks with the void that fills its room.
pub(super) fn in_room(list: &[u8]) -> Vec<u8> {
    let mut out = Writer(list.to_vec());
    out.void(TRACKS_ROOM.saturating_sub(list.len()));
    out.0
}

/// The list of tracks.
pub(super) fn tracks(entries: &[&Entry]) -> Vec<u8> {
    let mut out = Writer::default();
    out.master(id::TRACKS, |tracks| {
        for entry in entries {
            tracks.master(id::TRACK_ENTRY, |track| self::entry(entry, track));
        }
    });
    out.0
}

fn entry(entry: &Entry, out: &mut Writer) {
    let number = u64::from(entry.number);
    out.uint(id::TRACK_NUMBER, number)
        .uint(id::TRACK_UID, number)
        .uint(id::FLAG_LACING, 0)
        .text(id::TRACK_NAME, &entry.info.name);
    match entry.info.kind {
        TrackKind::Video(codec) => {
            out.uint(id::TRACK_TYPE, 1);
            match codec {
                VideoCodec::Vp8 => out.text(id::CODEC_ID, "V_VP8"),
                VideoCodec::Vp9 => out.text(id::CODEC_ID, "V_VP9"),
                VideoCodec::Av1 => out.text(id::CODEC_ID, "V_AV1"),
                VideoCodec::H264 => out.text(id::CODEC_ID, "V_MPEG4/ISO/AVC"),
            };
            if let Some(avcc) = &entry.avcc {
                out.binary(id::CODEC_PRIVATE, &avcc.bytes());
            }
            if let Some(av1c) = &entry.av1c {
                out.binary(id::CODEC_PRIVATE, av1c);
            }
            out.master(id::VIDEO, |video| {
                video
                    .uint(id::PIXEL_WIDTH, u64::from(entry.size.0))
                    .uint(id::PIXEL_HEIGHT, u64::from(entry.size.1));
            });
        }
        TrackKind::Audio { channels } => {
            // Recording begins in the middle of a stream: nothing is to be skipped.
            let head = opus::Head {
                channels,
                pre_skip: 0,
            };
            out.uint(id::TRACK_TYPE, 2)
                .text(id::CODEC_ID, "A_OPUS")
                .binary(id::CODEC_PRIVATE, &head.bytes())
                .uint(id::SEEK_PRE_ROLL, 80_000_000)
                .master(id::AUDIO, |audio| {
                    audio
                        .float(id::SAMPLING_FREQUENCY, 48_000.0)
                        .uint(id::CHANNELS, u64::from(channels));
                });
        }
    }
}

/// A place that the index points to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cue {
    pub(super) time: u64,
    pub(super) track: u8,
    /// Where its cluster begins, from the beginning of the segment's content.
    pub(super) cluster: u64,
}

/// A cluster of these blocks, in order; and its cues, their cluster being at `place`.
pub(super) fn cluster(blocks: &[Block], place: u64) -> (Vec<u8>, Vec<Cue>) {
    let begin = blocks.iter().map(|block| block.time).min().unwrap_or(0);
    let mut inner = Writer::default();
    inner.uint(id::TIMESTAMP, begin);
    let mut cues: Vec<Cue> = Vec::new();
    for block in blocks {
        let time = i16::try_from(block.time - begin).unwrap_or(i16::MAX);
        let flags = if block.key { 0x80 } else { 0 };
        let [t0, t1] = time.to_be_bytes();
        inner.header(id::SIMPLE_BLOCK, block.data.len() as u64 + 4);
        inner
            .0
            .extend_from_slice(&[0x80 | block.number, t0, t1, flags]);
        inner.0.extend_from_slice(&block.data);
        let first = cues.iter().all(|cue| cue.track != block.number);
        if block.key && first {
            cues.push(Cue {
                time: block.time,
                track: block.number,
                cluster: place,
            });
        }
    }
    // Sound is found by the pictures beside it.
    if blocks.iter().any(|block| block.video) {
        let pictures = |cue: &Cue| blocks.iter().any(|b| b.video && b.number == cue.track);
        cues.retain(pictures);
    }
    let mut out = Writer::default();
    out.binary(id::CLUSTER, &inner.0);
    (out.0, cues)
}

/// The index.
pub(super) fn cues(cues: &[Cue]) -> Vec<u8> {
    let mut out = Writer::default();
    out.master(id::CUES, |all| {
        for cue in cues {
            all.master(id::CUE_POINT, |point| {
                point
                    .uint(id::CUE_TIME, cue.time)
                    .master(id::CUE_TRACK_POSITIONS, |at| {
                        at.uint(id::CUE_TRACK, u64::from(cue.track))
                            .uint(id::CUE_CLUSTER_POSITION, cue.cluster);
                    });
            });
        }
    });
    out.0
}

/// The SeekHead, filling its room: where Info, Tracks and Cues are.
pub(super) fn seek_head(info: u64, tracks: u64, cues: Option<u64>) -> Vec<u8> {
    let mut out = Writer::default();
    out.master(id::SEEK_HEAD, |all| {
        let places = [
            (id::INFO, Some(info)),
            (id::TRACKS, Some(tracks)),
            (id::CUES, cues),
        ];
        for (what, place) in places {
            if let Some(place) = place {
                all.master(id::SEEK, |seek| {
                    seek.binary(id::SEEK_ID, &what.to_be_bytes())
                        .uint8(id::SEEK_POSITION, place);
                });
            }
        }
    });
    let rest = SEEK_ROOM.saturating_sub(out.0.len());
    out.void(rest);
    out.0
}

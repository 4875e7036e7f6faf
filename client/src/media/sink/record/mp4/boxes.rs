//! The boxes of a fragmented MP4 file, as bytes: pure.

use crate::media::frame::VideoCodec;
use crate::media::sink::record::TrackKind;
use crate::media::sink::record::track::Entry;

/// Bytes in front of a box's content.
pub(super) const HEADER: usize = 8;

/// Ticks of the file's own durations: milliseconds.
const MOVIE_RATE: u32 = 1_000;

/// Ticks of one millisecond: of pictures, and of sound (Opus in ISOBMFF, section 4.3.2: 48,000 a second).
const PICTURE_TICKS: u32 = 90;
const SOUND_TICKS: u32 = 48;

/// Flags of a sample (ISO/IEC 14496-12, section 8.8.3.1): depends on no other; depends on others and is none to start at.
const KEY: u32 = 0x0200_0000;
const NO_KEY: u32 = 0x0101_0000;

/// A track in the list.
#[derive(Clone, Debug)]
pub(super) struct Track {
    pub(super) number: u8,
    /// How long its last frame lasted, milliseconds.
    pub(super) lasts: u32,
    /// Ticks of a millisecond.
    ticks: u32,
    video: bool,
    /// Its box.
    trak: Vec<u8>,
}

/// A frame in a fragment; times are milliseconds.
pub(super) struct Sample<'a> {
    pub(super) time: u64,
    pub(super) lasts: u32,
    pub(super) key: bool,
    pub(super) data: &'a [u8],
}

/// A place that the index points to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cue {
    track: u8,
    /// In the track's ticks.
    time: u64,
    /// Where its fragment begins.
    fragment: u64,
    /// Which of the fragment's tracks, and which of its frames; from one on.
    place: (u8, u8),
}

impl Track {
    pub(super) fn of(entry: &Entry) -> Self {
        let video = matches!(entry.info.kind, TrackKind::Video(_));
        let (lasts, ticks) = if video {
            (33, PICTURE_TICKS)
        } else {
            (20, SOUND_TICKS)
        };
        Self {
            number: entry.number,
            lasts,
            ticks,
            video,
            trak: track(entry, ticks),
        }
    }
}

/// A box. One of more than 4 GB cannot be: fragments are bounded.
fn put(out: &mut Vec<u8>, kind: &[u8; 4], content: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(kind);
    content(out);
    let size = u32::try_from(out.len() - at).unwrap_or(u32::MAX);
    out[at..at + 4].copy_from_slice(&size.to_be_bytes());
}

/// A box with version and flags.
fn full(
    out: &mut Vec<u8>,
    kind: &[u8; 4],
    version: u8,
    flags: u32,
    content: impl FnOnce(&mut Vec<u8>),
) {
    put(out, kind, |out| {
        u32be(out, u32::from(version) << 24 | flags);
        content(out);
    });
}

fn u16be(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_be_bytes());
}

fn u32be(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_be_bytes());
}

fn u64be(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_be_bytes());
}

fn zeros(out: &mut Vec<u8>, count: usize) {
    out.resize(out.len() + count, 0);
}

/// The matrix that changes nothing.
fn matrix(out: &mut Vec<u8>) {
    for value in [0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000] {
        u32be(out, value);
    }
}

pub(super) fn file_type() -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, b"ftyp", |out| {
        out.extend_from_slice(b"isom");
        u32be(out, 0x200);
        for brand in [b"isom", b"iso5", b"iso6", b"mp41"] {
            out.extend_from_slice(brand);
        }
    });
    out
}

/// Nothing, over so many bytes and its header.
pub(super) fn free(out: &mut Vec<u8>, bytes: usize) {
    put(out, b"free", |out| zeros(out, bytes));
}

/// The head of a file that lasts so many milliseconds.
pub(super) fn movie(tracks: &[Track], lasts: u64) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, b"moov", |out| {
        full(out, b"mvhd", 1, 0, |out| {
            zeros(out, 16);
            u32be(out, MOVIE_RATE);
            u64be(out, lasts);
            u32be(out, 0x1_0000);
            u16be(out, 0x100);
            zeros(out, 10);
            matrix(out);
            zeros(out, 24);
            let next = tracks.iter().map(|track| track.number).max().unwrap_or(0);
            u32be(out, u32::from(next) + 1);
        });
        for track in tracks {
            out.extend_from_slice(&track.trak);
        }
        put(out, b"mvex", |out| {
            full(out, b"mehd", 1, 0, |out| u64be(out, lasts));
            for track in tracks {
                full(out, b"trex", 0, 0, |out| {
                    for value in [u32::from(track.number), 1, 0, 0, 0] {
                        u32be(out, value);
                    }
                });
            }
        });
    });
    out
}

fn track(entry: &Entry, ticks: u32) -> Vec<u8> {
    let mut out = Vec::new();
    let video = matches!(entry.info.kind, TrackKind::Video(_));
    put(&mut out, b"trak", |out| {
        // Enabled, and part of the presentation.
        full(out, b"tkhd", 0, 3, |out| {
            zeros(out, 8);
            u32be(out, u32::from(entry.number));
            zeros(out, 16);
            // Pictures are alternatives to each other, and so is sound: players show one of each.
            u16be(out, 0);
            u16be(out, if video { 1 } else { 2 });
            u16be(out, if video { 0 } else { 0x100 });
            u16be(out, 0);
            matrix(out);
            u32be(out, entry.size.0 << 16);
            u32be(out, entry.size.1 << 16);
        });
        put(out, b"mdia", |out| {
            full(out, b"mdhd", 0, 0, |out| {
                zeros(out, 8);
                u32be(out, ticks * 1_000);
                u32be(out, 0);
                // "und": no language.
                u16be(out, 0x55c4);
                u16be(out, 0);
            });
            full(out, b"hdlr", 0, 0, |out| {
                zeros(out, 4);
                out.extend_from_slice(if video { b"vide" } else { b"soun" });
                zeros(out, 12);
                out.extend(entry.info.name.bytes().filter(|byte| *byte != 0));
                out.push(0);
            });
            put(out, b"minf", |out| {
                if video {
                    full(out, b"vmhd", 0, 1, |out| zeros(out, 8));
                } else {
                    full(out, b"smhd", 0, 0, |out| zeros(out, 4));
                }
                put(out, b"dinf", |out| {
                    full(out, b"dref", 0, 0, |out| {
                        u32be(out, 1);
                        // In this file.
                        full(out, b"url ", 0, 1, |_| ());
                    });
                });
                put(out, b"stbl", |out| {
                    full(out, b"stsd", 0, 0, |out| {
                        u32be(out, 1);
                        sample_entry(entry, out);
                    });
                    // All samples are in fragments.
                    for kind in [b"stts", b"stsc", b"stco"] {
                        full(out, kind, 0, 0, |out| u32be(out, 0));
                    }
                    full(out, b"stsz", 0, 0, |out| zeros(out, 8));
                });
            });
        });
    });
    out
}

fn sample_entry(entry: &Entry, out: &mut Vec<u8>) {
    match entry.info.kind {
        TrackKind::Video(VideoCodec::H264) => visual(entry, b"avc1", out, |out| {
            if let Some(avcc) = &entry.avcc {
                put(out, b"avcC", |out| out.extend(avcc.bytes()));
            }
        }),
        TrackKind::Video(VideoCodec::Vp8) => visual(entry, b"vp08", out, |out| vpcc(entry, out)),
        TrackKind::Video(VideoCodec::Vp9) => visual(entry, b"vp09", out, |out| vpcc(entry, out)),
        TrackKind::Video(VideoCodec::Av1) => visual(entry, b"av01", out, |out| {
            if let Some(av1c) = &entry.av1c {
                put(out, b"av1C", |out| out.extend(av1c));
            }
        }),
        TrackKind::Audio { channels } => put(out, b"Opus", |out| {
            zeros(out, 6);
            u16be(out, 1);
            zeros(out, 8);
            u16be(out, u16::from(channels));
            u16be(out, 16);
            zeros(out, 4);
            u32be(out, 48_000 << 16);
            // Recording begins in the middle of a stream: nothing is to be skipped.
            put(out, b"dOps", |out| {
                out.extend_from_slice(&[0, channels]);
                u16be(out, 0);
                u32be(out, 48_000);
                zeros(out, 3);
            });
        }),
    }
}

fn visual(entry: &Entry, kind: &[u8; 4], out: &mut Vec<u8>, codec: impl FnOnce(&mut Vec<u8>)) {
    put(out, kind, |out| {
        zeros(out, 6);
        u16be(out, 1);
        zeros(out, 16);
        u16be(out, u16::try_from(entry.size.0).unwrap_or(u16::MAX));
        u16be(out, u16::try_from(entry.size.1).unwrap_or(u16::MAX));
        // 72 dots an inch, one picture a sample, no name of a compressor, 24 bits of colour.
        u32be(out, 72 << 16);
        u32be(out, 72 << 16);
        zeros(out, 4);
        u16be(out, 1);
        zeros(out, 32);
        u16be(out, 24);
        u16be(out, u16::MAX);
        codec(out);
    });
}

/// VP Codec ISO Media File Format Binding, section "VP Codec Configuration Box".
fn vpcc(entry: &Entry, out: &mut Vec<u8>) {
    let pixels = u64::from(entry.size.0) * u64::from(entry.size.1);
    // VP9's levels by their largest picture, at 30 a second.
    let level = [
        (36_864, 10),
        (73_728, 11),
        (122_880, 20),
        (245_760, 21),
        (552_960, 30),
        (983_040, 31),
        (2_228_224, 40),
        (8_912_896, 50),
    ];
    let level = level.iter().find(|(most, _)| pixels <= *most);
    full(out, b"vpcC", 1, 0, |out| {
        // Profile 0; 8 bits, 4:2:0 with chroma beside luma, limited range; BT.601.
        out.extend_from_slice(&[0, level.map_or(60, |(_, level)| *level), 8 << 4]);
        out.extend_from_slice(&[6, 6, 6]);
        u16be(out, 0);
    });
}

/// Fragment `number`, at `place`, of these frames of each track; and what of it goes into the index.
pub(super) fn fragment(
    number: u32,
    runs: &[(&Track, Vec<Sample>)],
    place: u64,
) -> (Vec<u8>, Vec<Cue>) {
    // Offsets of data count from the moof, whose size does not depend on them.
    let size = head(number, runs, 0).len();
    let mut out = head(number, runs, size + HEADER);
    put(&mut out, b"mdat", |out| {
        for sample in runs.iter().flat_map(|(_, samples)| samples) {
            out.extend_from_slice(sample.data);
        }
    });
    let cues = runs.iter().enumerate().filter_map(|(n, (track, samples))| {
        let key = samples.iter().position(|sample| sample.key)?;
        track.video.then(|| Cue {
            track: track.number,
            time: samples[key].time * u64::from(track.ticks),
            fragment: place,
            place: (
                u8::try_from(n + 1).unwrap_or(u8::MAX),
                u8::try_from(key + 1).unwrap_or(u8::MAX),
            ),
        })
    });
    (out, cues.collect())
}

fn head(number: u32, runs: &[(&Track, Vec<Sample>)], data: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut data = data;
    put(&mut out, b"moof", |out| {
        full(out, b"mfhd", 0, 0, |out| u32be(out, number));
        for (track, samples) in runs {
            put(out, b"traf", |out| {
                // Offsets count from the moof.
                full(out, b"tfhd", 0, 0x2_0000, |out| {
                    u32be(out, u32::from(track.number));
                });
                let time = samples.first().map_or(0, |sample| sample.time);
                full(out, b"tfdt", 1, 0, |out| {
                    u64be(out, time * u64::from(track.ticks));
                });
                // With the data's place, and each sample's length in time and bytes and flags.
                full(out, b"trun", 0, 0x701, |out| {
                    u32be(out, u32::try_from(samples.len()).unwrap_or(u32::MAX));
                    u32be(out, u32::try_from(data).unwrap_or(u32::MAX));
                    for sample in samples {
                        u32be(out, sample.lasts.saturating_mul(track.ticks));
                        u32be(out, u32::try_from(sample.data.len()).unwrap_or(u32::MAX));
                        u32be(out, if sample.key { KEY } else { NO_KEY });
                        data += sample.data.len();
                    }
                });
            });
        }
    });
    out
}

/// The index at the end (ISO/IEC 14496-12, section 8.8.9).
pub(super) fn index(cues: &[Cue]) -> Vec<u8> {
    let mut tracks: Vec<u8> = cues.iter().map(|cue| cue.track).collect();
    tracks.sort_unstable();
    tracks.dedup();
    let mut out = Vec::new();
    put(&mut out, b"mfra", |out| {
        for track in tracks {
            let own: Vec<&Cue> = cues.iter().filter(|cue| cue.track == track).collect();
            full(out, b"tfra", 1, 0, |out| {
                u32be(out, u32::from(track));
                // Numbers of one byte each.
                u32be(out, 0);
                u32be(out, u32::try_from(own.len()).unwrap_or(u32::MAX));
                for cue in own {
                    u64be(out, cue.time);
                    u64be(out, cue.fragment);
                    out.extend_from_slice(&[cue.place.0, 1, cue.place.1]);
                }
            });
        }
        // How long all of it is, so that it is found from the end.
        let size = u32::try_from(out.len() + 16).unwrap_or(u32::MAX);
        full(out, b"mfro", 0, 0, |out| u32be(out, size));
    });
    out
}

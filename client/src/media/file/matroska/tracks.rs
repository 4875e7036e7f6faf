//! The list of tracks (RFC 9559, section 5.1.4).

use bytes::Bytes;

use crate::media::file::ebml::{Elements, float, id, text, uint};
use crate::media::file::h264::Avcc;
use crate::media::file::input::Problem;
use crate::media::file::opus;
use crate::media::file::pcm::{Format, Layout};

/// What a track holds.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    Vp8,
    Vp9,
    Av1,
    H264(Avcc),
    Opus,
    Pcm(Layout),
    /// Known by name alone.
    Other(String),
}

#[derive(Clone, Debug)]
pub(super) struct Track {
    pub(super) number: u64,
    pub(super) kind: Kind,
    pub(super) width: u64,
    pub(super) height: u64,
    pub(super) channels: u64,
    /// Nanoseconds that the stamps run ahead of the content.
    pub(super) delay: i64,
    /// Nanoseconds in a frame, if the file says so.
    default_duration: Option<i64>,
    /// Bytes that every frame begins with and the file leaves out.
    stripped: Vec<u8>,
}

impl Track {
    /// Nanoseconds a frame lasts, as far as it is known.
    pub(super) fn frame_nanos(&self, frame: &[u8]) -> Option<i64> {
        match &self.kind {
            Kind::Opus => {
                let time = opus::duration(frame)?;
                i64::try_from(time.as_nanos()).ok()
            }
            Kind::Pcm(layout) => {
                let frames = (frame.len() / layout.frame_bytes()) as u64;
                let nanos = frames.saturating_mul(1_000_000_000) / u64::from(layout.rate);
                i64::try_from(nanos).ok()
            }
            _ => self.default_duration,
        }
    }

    /// A frame with the bytes that the file left out.
    pub(super) fn restore(&self, frame: Bytes) -> Bytes {
        if self.stripped.is_empty() {
            return frame;
        }
        [&self.stripped, &frame[..]].concat().into()
    }

    pub(super) fn name(&self) -> String {
        match &self.kind {
            Kind::Vp8 => "VP8".into(),
            Kind::Vp9 => "VP9".into(),
            Kind::Av1 => "AV1".into(),
            Kind::H264(_) => "H.264".into(),
            Kind::Opus => "Opus".into(),
            Kind::Pcm(_) => "PCM".into(),
            Kind::Other(codec) => codec.clone(),
        }
    }
}

/// Nanoseconds in a tick, from the body of Info.
pub(super) fn scale(info: &[u8]) -> u64 {
    Elements(info)
        .find(|(id, _)| *id == id::TIMESTAMP_SCALE)
        .map(|(_, body)| uint(body))
        .filter(|scale| *scale > 0)
        .unwrap_or(1_000_000)
}

/// The tracks in the body of Tracks.
pub(super) fn parse(body: &[u8]) -> Vec<Track> {
    Elements(body)
        .filter(|(id, _)| *id == id::TRACK_ENTRY)
        .map(|(_, entry)| track(entry))
        .collect()
}

fn track(entry: &[u8]) -> Track {
    let (mut codec, mut private): (String, &[u8]) = (String::new(), &[]);
    let (mut rate, mut depth) = (8_000.0, 0);
    let mut track = Track {
        number: 0,
        kind: Kind::Other(String::new()),
        width: 0,
        height: 0,
        channels: 1,
        delay: 0,
        default_duration: None,
        stripped: Vec::new(),
    };
    let mut sealed = None;
    for (id, body) in Elements(entry) {
        match id {
            id::TRACK_NUMBER => track.number = uint(body),
            id::CODEC_ID => codec = text(body),
            id::CODEC_PRIVATE => private = body,
            id::CODEC_DELAY => track.delay = i64::try_from(uint(body)).unwrap_or(0),
            id::DEFAULT_DURATION => {
                track.default_duration = i64::try_from(uint(body)).ok().filter(|d| *d > 0);
            }
            id::VIDEO | id::AUDIO => {
                for (id, body) in Elements(body) {
                    match id {
                        id::PIXEL_WIDTH => track.width = uint(body),
                        id::PIXEL_HEIGHT => track.height = uint(body),
                        id::CHANNELS => track.channels = uint(body),
                        id::BIT_DEPTH => depth = uint(body),
                        id::SAMPLING_FREQUENCY => rate = float(body).unwrap_or(rate),
                        _ => {}
                    }
                }
            }
            id::CONTENT_ENCODINGS => match encoding(body) {
                Ok(stripped) => track.stripped = stripped,
                Err(how) => sealed = Some(how),
            },
            _ => {}
        }
    }
    track.kind = match sealed {
        Some(how) => Kind::Other(format!("{codec}, {how}")),
        None => kind(&codec, private, rate, depth, track.channels),
    };
    track
}

fn kind(codec: &str, private: &[u8], rate: f64, depth: u64, channels: u64) -> Kind {
    let pcm = |float, little| {
        let format = Format::of(depth, float, little)?;
        // The cast keeps to the range that `Layout::new` checks.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        Layout::new(rate as u32, u16::try_from(channels).ok()?, format)
    };
    let known = match codec {
        "V_VP8" => Some(Kind::Vp8),
        "V_VP9" => Some(Kind::Vp9),
        "V_AV1" => Some(Kind::Av1),
        "V_MPEG4/ISO/AVC" => Avcc::parse(private).map(Kind::H264),
        "A_OPUS" => Some(Kind::Opus),
        "A_PCM/INT/LIT" => pcm(false, true).map(Kind::Pcm),
        "A_PCM/INT/BIG" => pcm(false, false).map(Kind::Pcm),
        "A_PCM/FLOAT/IEEE" => pcm(true, true).map(Kind::Pcm),
        _ => None,
    };
    known.unwrap_or_else(|| Kind::Other(codec.to_owned()))
}

/// The bytes left out of every frame, or how the frames are sealed.
fn encoding(body: &[u8]) -> Result<Vec<u8>, &'static str> {
    let mut stripped = Vec::new();
    for (_, encoding) in Elements(body).filter(|(id, _)| *id == id::CONTENT_ENCODING) {
        for (id, body) in Elements(encoding) {
            match id {
                id::CONTENT_COMPRESSION => {
                    let (mut algorithm, mut settings) = (0, Vec::new());
                    for (id, body) in Elements(body) {
                        match id {
                            id::CONTENT_COMP_ALGO => algorithm = uint(body),
                            id::CONTENT_COMP_SETTINGS => settings = body.to_vec(),
                            _ => {}
                        }
                    }
                    if algorithm != 3 {
                        return Err("compressed");
                    }
                    stripped = settings;
                }
                id::CONTENT_ENCRYPTION => return Err("encrypted"),
                _ => {}
            }
        }
    }
    Ok(stripped)
}

/// The word for a file without a track that can be sent.
pub(super) fn none(what: &str, wanted: &str, tracks: &[Track]) -> Problem {
    let names: Vec<String> = tracks.iter().map(Track::name).collect();
    Problem::unsupported(format!(
        "has no {what} track in {wanted} (it has: {}); convert it, for example with: \
         ffmpeg -i FILE -c:v libvpx -c:a libopus out.webm",
        names.join(", ")
    ))
}

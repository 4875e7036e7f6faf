//! RTP payloads back into frames: VP8 (RFC 7741), VP9 (RFC 9628), AV1, H.264 (RFC 6184). Pure.

use super::{av1, vp9};
use crate::media::frame::VideoCodec;

/// Why a payload is not one of its codec; the packet is then treated as lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a {codec:?} payload of {size} bytes is broken: {problem}")]
pub struct PayloadError {
    codec: VideoCodec,
    size: usize,
    problem: &'static str,
}

/// What a payload says about the frame that it is part of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Glimpse {
    /// A frame begins in this packet.
    pub starts_frame: bool,
    /// The frame is one that decoding can start with.
    pub key: bool,
    /// Its number among pictures, where the codec's payload tells one, and how many bits that has.
    pub picture: Option<(u16, u8)>,
}

impl Glimpse {
    /// Whether its picture is known to be the one after `other`'s.
    #[must_use]
    pub fn follows(&self, other: &Self) -> bool {
        match (self.picture, other.picture) {
            (Some((number, bits)), Some((before, same))) if bits == same => {
                number == (before + 1) & ((1 << bits) - 1)
            }
            _ => false,
        }
    }
}

/// Looks at one payload without copying it.
///
/// # Errors
/// When the payload is not one of its codec.
pub fn glimpse(codec: VideoCodec, payload: &[u8]) -> Result<Glimpse, PayloadError> {
    match codec {
        VideoCodec::Vp8 => {
            let header = vp8_descriptor(payload)?;
            let first = header.start && header.partition == 0;
            // RFC 6386, section 9.1: the lowest bit of the frame tag is 0 in a key frame.
            let key = first && payload.get(header.size).is_some_and(|tag| tag & 1 == 0);
            Ok(Glimpse {
                starts_frame: first,
                key,
                picture: header.picture,
            })
        }
        VideoCodec::Vp9 => vp9::begins(payload).map_err(|problem| PayloadError {
            codec,
            size: payload.len(),
            problem,
        }),
        VideoCodec::Av1 => {
            // Only of key frames a payload tells that it is the first.
            let key = av1::begins_key(payload).map_err(|problem| PayloadError {
                codec,
                size: payload.len(),
                problem,
            })?;
            Ok(Glimpse {
                starts_frame: key,
                key,
                picture: None,
            })
        }
        VideoCodec::H264 => {
            let mut found = Glimpse::default();
            h264_units(payload, |unit| {
                if let Unit::Whole(nal) | Unit::Start(nal, _) = unit {
                    found.starts_frame = true;
                    let kind = match unit {
                        Unit::Start(_, header) => header & 0x1f,
                        _ => nal.first().copied().unwrap_or(0) & 0x1f,
                    };
                    found.key |= matches!(kind, NAL_IDR | NAL_SPS);
                }
            })?;
            Ok(found)
        }
    }
}

/// One frame on its way together.
#[derive(Debug)]
pub struct Pieces(Kind);

#[derive(Debug)]
enum Kind {
    Vp8(Vec<u8>),
    H264(Vec<u8>),
    Vp9(vp9::Layers),
    Av1(av1::TemporalUnit),
}

impl Pieces {
    /// Nothing yet of a frame in `codec`.
    #[must_use]
    pub fn new(codec: VideoCodec) -> Self {
        Self(match codec {
            VideoCodec::Vp8 => Kind::Vp8(Vec::new()),
            VideoCodec::H264 => Kind::H264(Vec::new()),
            VideoCodec::Vp9 => Kind::Vp9(vp9::Layers::default()),
            VideoCodec::Av1 => Kind::Av1(av1::TemporalUnit::default()),
        })
    }

    /// Takes the next payload of the frame; H.264 comes out in Annex B form.
    ///
    /// # Errors
    /// When the payload is not one of its codec, or does not belong to those before it;
    /// the frame is of no use then.
    pub fn push(&mut self, payload: &[u8]) -> Result<(), PayloadError> {
        match &mut self.0 {
            Kind::Vp8(frame) => {
                let header = vp8_descriptor(payload)?;
                frame.extend_from_slice(&payload[header.size..]);
                Ok(())
            }
            Kind::H264(frame) => h264_units(payload, |unit| match unit {
                Unit::Whole(nal) => {
                    frame.extend_from_slice(&START_CODE);
                    frame.extend_from_slice(nal);
                }
                Unit::Start(rest, header) => {
                    frame.extend_from_slice(&START_CODE);
                    frame.push(header);
                    frame.extend_from_slice(rest);
                }
                Unit::More(rest) => frame.extend_from_slice(rest),
            }),
            Kind::Vp9(layers) => layers.push(payload).map_err(|problem| PayloadError {
                codec: VideoCodec::Vp9,
                size: payload.len(),
                problem,
            }),
            Kind::Av1(unit) => unit.push(payload).map_err(|problem| PayloadError {
                codec: VideoCodec::Av1,
                size: payload.len(),
                problem,
            }),
        }
    }

    /// Bytes so far.
    #[must_use]
    pub fn size(&self) -> usize {
        match &self.0 {
            Kind::Vp8(frame) | Kind::H264(frame) => frame.len(),
            Kind::Vp9(layers) => layers.len(),
            Kind::Av1(unit) => unit.len(),
        }
    }

    /// The frame; empty where no payload came.
    ///
    /// # Errors
    /// When something of it is missing.
    pub fn finish(self) -> Result<Vec<u8>, PayloadError> {
        match self.0 {
            Kind::Vp8(frame) | Kind::H264(frame) => Ok(frame),
            Kind::Vp9(layers) => {
                let size = layers.len();
                layers.finish().map_err(|problem| PayloadError {
                    codec: VideoCodec::Vp9,
                    size,
                    problem,
                })
            }
            Kind::Av1(unit) => {
                let size = unit.len();
                unit.finish().map_err(|problem| PayloadError {
                    codec: VideoCodec::Av1,
                    size,
                    problem,
                })
            }
        }
    }
}

const START_CODE: [u8; 4] = [0, 0, 0, 1];
const NAL_IDR: u8 = 5;
const NAL_SPS: u8 = 7;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;

struct Vp8Descriptor {
    start: bool,
    partition: u8,
    /// Its number, and the bits of that.
    picture: Option<(u16, u8)>,
    size: usize,
}

/// RFC 7741, section 4.2.
fn vp8_descriptor(payload: &[u8]) -> Result<Vp8Descriptor, PayloadError> {
    let broken = |problem| PayloadError {
        codec: VideoCodec::Vp8,
        size: payload.len(),
        problem,
    };
    let short = broken("it ends inside its descriptor");
    let first = *payload.first().ok_or(short)?;
    let mut size = 1;
    let mut picture = None;
    if first & 0x80 != 0 {
        let extension = *payload.get(size).ok_or(short)?;
        size += 1;
        if extension & 0x80 != 0 {
            let high = *payload.get(size).ok_or(short)?;
            if high & 0x80 != 0 {
                let low = *payload.get(size + 1).ok_or(short)?;
                picture = Some((u16::from_be_bytes([high & 0x7f, low]), 15));
                size += 2;
            } else {
                picture = Some((high.into(), 7));
                size += 1;
            }
        }
        size += usize::from(extension & 0x40 != 0);
        size += usize::from(extension & 0x30 != 0);
    }
    if payload.len() <= size {
        return Err(broken("nothing follows its descriptor"));
    }
    Ok(Vp8Descriptor {
        start: first & 0x10 != 0,
        partition: first & 0x07,
        picture,
        size,
    })
}

enum Unit<'a> {
    /// A NAL unit, its header included.
    Whole(&'a [u8]),
    /// The first fragment of one, with the header rebuilt.
    Start(&'a [u8], u8),
    /// A later fragment.
    More(&'a [u8]),
}

/// RFC 6184, sections 5.6 to 5.8: single NAL unit, STAP-A and FU-A, which is all
/// that packetization modes 0 and 1 allow.
fn h264_units<'a>(payload: &'a [u8], mut each: impl FnMut(Unit<'a>)) -> Result<(), PayloadError> {
    let broken = |problem| PayloadError {
        codec: VideoCodec::H264,
        size: payload.len(),
        problem,
    };
    let header = *payload.first().ok_or(broken("it is empty"))?;
    match header & 0x1f {
        1..=23 => each(Unit::Whole(payload)),
        STAP_A => {
            let mut rest = &payload[1..];
            if rest.is_empty() {
                return Err(broken("the STAP-A holds nothing"));
            }
            while !rest.is_empty() {
                let (size, tail) = rest
                    .split_first_chunk::<2>()
                    .ok_or(broken("the STAP-A ends inside a length"))?;
                let size = usize::from(u16::from_be_bytes(*size));
                if size == 0 || size > tail.len() {
                    return Err(broken("the STAP-A has a unit of impossible length"));
                }
                let (unit, tail) = tail.split_at(size);
                each(Unit::Whole(unit));
                rest = tail;
            }
        }
        FU_A => {
            let [indicator, fragment, rest @ ..] = payload else {
                return Err(broken("the FU-A ends inside its header"));
            };
            if rest.is_empty() {
                return Err(broken("the FU-A holds nothing"));
            }
            if fragment & 0x80 != 0 {
                each(Unit::Start(rest, (indicator & 0xe0) | (fragment & 0x1f)));
            } else {
                each(Unit::More(rest));
            }
        }
        _ => return Err(broken("its NAL unit type is not allowed in modes 0 and 1")),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn frame(codec: VideoCodec, payloads: &[&[u8]]) -> Vec<u8> {
        let mut pieces = Pieces::new(codec);
        payloads
            .iter()
            .for_each(|payload| pieces.push(payload).unwrap());
        pieces.finish().unwrap()
    }

    #[test]
    fn a_vp8_descriptor_with_a_long_picture_id_is_stripped() {
        // X, S, PID 0; I, L, T; 15-bit picture id; TL0PICIDX; TID/KEYIDX; then a key frame's tag.
        let payload = [0x90, 0xe0, 0x81, 0x02, 0x03, 0x20, 0x10, 0xaa];
        let seen = glimpse(VideoCodec::Vp8, &payload).unwrap();
        assert!(seen.starts_frame && seen.key);
        assert_eq!(seen.picture, Some((0x102, 15)));
        assert_eq!(frame(VideoCodec::Vp8, &[&payload]), [0x10, 0xaa]);
    }

    #[test]
    fn pictures_follow_each_other_across_the_end_of_their_numbers() {
        let numbered = |number, bits| Glimpse {
            picture: Some((number, bits)),
            ..Glimpse::default()
        };
        for (before, after, bits, follows) in [
            (5, 6, 7, true),
            (127, 0, 7, true),
            (127, 128, 15, true),
            (0x7fff, 0, 15, true),
            (5, 7, 7, false),
            (6, 5, 7, false),
        ] {
            let (before, after) = (numbered(before, bits), numbered(after, bits));
            assert_eq!(after.follows(&before), follows, "{before:?} {after:?}");
        }
        assert!(!Glimpse::default().follows(&Glimpse::default()));
        assert!(!numbered(6, 7).follows(&numbered(5, 15)));
    }

    #[test]
    fn a_vp8_delta_frame_is_no_key_frame_and_a_continuation_starts_nothing() {
        assert_eq!(
            glimpse(VideoCodec::Vp8, &[0x10, 0x11]).unwrap(),
            Glimpse {
                starts_frame: true,
                ..Glimpse::default()
            }
        );
        assert_eq!(
            glimpse(VideoCodec::Vp8, &[0x00, 0x10]).unwrap(),
            Glimpse::default()
        );
    }

    #[test]
    fn an_h264_aggregate_gives_each_unit_its_start_code() {
        let payload = [0x78, 0, 2, 0x67, 1, 0, 2, 0x68, 2, 0, 3, 0x65, 3, 4];
        assert!(glimpse(VideoCodec::H264, &payload).unwrap().key);
        assert_eq!(
            frame(VideoCodec::H264, &[&payload]),
            [
                0, 0, 0, 1, 0x67, 1, 0, 0, 0, 1, 0x68, 2, 0, 0, 0, 1, 0x65, 3, 4
            ]
        );
    }

    #[test]
    fn h264_fragments_make_one_unit_again() {
        let parts = [[0x7c, 0x85, 1], [0x7c, 0x05, 2], [0x7c, 0x45, 3]];
        let parts: Vec<&[u8]> = parts.iter().map(|part| &part[..]).collect();
        assert_eq!(frame(VideoCodec::H264, &parts), [0, 0, 0, 1, 0x65, 1, 2, 3]);
        assert!(
            glimpse(VideoCodec::H264, &[0x7c, 0x85, 1]).unwrap().key,
            "an IDR fragment"
        );
        assert!(
            !glimpse(VideoCodec::H264, &[0x7c, 0x05, 1])
                .unwrap()
                .starts_frame
        );
    }

    proptest! {
        #[test]
        fn no_payload_is_ever_more_than_an_error(payload in proptest::collection::vec(any::<u8>(), 0..64)) {
            for codec in [VideoCodec::Vp8, VideoCodec::H264, VideoCodec::Vp9, VideoCodec::Av1] {
                let looked = glimpse(codec, &payload);
                let taken = Pieces::new(codec).push(&payload);
                prop_assert!(looked.is_ok() || taken.is_err());
                let by_itself = matches!(codec, VideoCodec::Vp8 | VideoCodec::H264);
                prop_assert!(taken.is_ok() || looked.is_err() || !by_itself);
            }
        }
    }
}

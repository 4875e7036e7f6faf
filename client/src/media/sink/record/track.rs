//! One track of a recording: what it needs to know before its first frame.

use super::{TrackInfo, TrackKind};
use crate::media::bitstream::{av1, vp9};
use crate::media::file::{h264, vp8};
use crate::media::frame::{EncodedPicture, VideoCodec};

/// A track, listed in the file or not yet.
pub(super) struct Entry {
    pub(super) info: TrackInfo,
    /// Its number in the file, once it is listed.
    pub(super) number: u8,
    pub(super) listed: bool,
    /// There was no room for it.
    pub(super) refused: bool,
    /// Size of the first picture.
    pub(super) size: (u32, u32),
    /// The parameter sets of the first key picture.
    pub(super) avcc: Option<h264::Avcc>,
    /// The `av1C` of the first key picture.
    pub(super) av1c: Option<Vec<u8>>,
    wants_key: bool,
    last: Option<u64>,
}

impl Entry {
    pub(super) const fn new(info: TrackInfo) -> Self {
        Self {
            info,
            number: 0,
            listed: false,
            refused: false,
            size: (0, 0),
            avcc: None,
            av1c: None,
            wants_key: true,
            last: None,
        }
    }

    pub(super) const fn interrupt(&mut self) {
        self.wants_key = true;
    }

    /// A picture as it is stored; `None` where it is to be left out.
    pub(super) fn picture(&mut self, picture: &EncodedPicture) -> Option<Vec<u8>> {
        let ours = self.info.kind == TrackKind::Video(picture.codec);
        if !ours || self.refused || (self.wants_key && !picture.key) {
            return None;
        }
        let data = match picture.codec {
            VideoCodec::Vp8 => {
                if !self.listed {
                    self.size = vp8::size(&picture.data)?;
                }
                picture.data.to_vec()
            }
            VideoCodec::Vp9 => {
                if !self.listed {
                    self.size = vp9::key_size(&picture.data)?;
                }
                picture.data.to_vec()
            }
            VideoCodec::Av1 => {
                if !self.listed {
                    let (header, told) = av1::sequence_of(&picture.data)?;
                    self.size = told.size;
                    self.av1c = Some(av1c(&header, &told));
                }
                picture.data.to_vec()
            }
            VideoCodec::H264 => self.length_prefixed(&picture.data)?,
        };
        self.wants_key = false;
        (!data.is_empty()).then_some(data)
    }

    /// Whether sound goes into this track.
    pub(super) fn sound(&mut self) -> bool {
        matches!(self.info.kind, TrackKind::Audio { .. }) && !self.refused
    }

    /// Where a frame stamped `time` goes: always behind the one before, as players want it.
    pub(super) fn place(&mut self, time: u64) -> u64 {
        let time = self.last.map_or(time, |last| time.max(last + 1));
        self.last = Some(time);
        time
    }

    /// Parameter sets go into the header; those that differ from it stay in the
    /// stream, where decoders take them from when the far side changes its size.
    fn length_prefixed(&mut self, annex_b: &[u8]) -> Option<Vec<u8>> {
        let units = h264::units(annex_b);
        if self.avcc.is_none() {
            let avcc = h264::Avcc::from_units(&units)?;
            self.size = h264::size(avcc.sets.first()?)?;
            self.avcc = Some(avcc);
        }
        let sets = self.avcc.as_ref().map_or(&[][..], |avcc| &avcc.sets);
        let changed = units
            .iter()
            .any(|unit| is_set(unit) && sets.iter().all(|set| set != unit));
        let kept = units.into_iter().filter(|unit| changed || !is_set(unit));
        Some(h264::length_prefixed(kept))
    }
}

/// What players want to know in front, and the sequence header (AV1 codec ISO media file
/// format binding, section 2.3). Ours are of eight bits and 4:2:0.
fn av1c(header: &av1::Obu, told: &av1::Sequence) -> Vec<u8> {
    const VERSION: u8 = 0x81;
    const SUBSAMPLED: u8 = 0x0c;
    let flags = u8::from(told.tier) << 7 | u8::from(told.monochrome) << 4 | SUBSAMPLED;
    let mut bytes = vec![VERSION, told.profile << 5 | told.level, flags, 0];
    bytes.extend_from_slice(header.whole);
    bytes
}

fn is_set(unit: &[u8]) -> bool {
    matches!(h264::kind(unit), h264::SPS | h264::PPS)
}

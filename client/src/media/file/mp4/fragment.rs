//! Movie fragments (ISO/IEC 14496-12, section 8.8).

use super::boxes::{Boxes, Fields, find};
use super::track::{Sample, Track};

/// A fragment has no more samples without a size of their own than this.
const MOST_UNSIZED: u32 = 100_000;

/// What a fragment's samples have unless they say otherwise.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Defaults {
    duration: u32,
    size: u32,
}

impl Defaults {
    /// A trex box: the track, and its defaults.
    pub(super) fn parse(body: &[u8]) -> Option<(u32, Self)> {
        let mut fields = Fields(body);
        fields.version()?;
        let id = fields.u32()?;
        fields.u32()?;
        let (duration, size) = (fields.u32()?, fields.u32()?);
        Some((id, Self { duration, size }))
    }
}

/// Adds the samples of a fragment that begins at `begin` in the file.
pub(super) fn add(tracks: &mut [Track], moof: &[u8], begin: u64) {
    for (_, traf) in Boxes(moof).filter(|(name, _)| *name == b"traf") {
        // A track whose fragment is broken just ends there.
        let _ = add_track(tracks, traf, begin);
    }
}

fn add_track(tracks: &mut [Track], traf: &[u8], begin: u64) -> Option<()> {
    let mut fields = Fields(find(traf, b"tfhd")?);
    let (_, flags) = fields.version()?;
    let id = fields.u32()?;
    let track = tracks.iter_mut().find(|track| track.id == id)?;
    let optional = |flag: u32| (flags & flag != 0).then_some(());
    let base = match optional(0x01) {
        Some(()) => fields.u64()?,
        None => begin,
    };
    if optional(0x02).is_some() {
        fields.u32()?;
    }
    let mut defaults = track.defaults;
    if optional(0x08).is_some() {
        defaults.duration = fields.u32()?;
    }
    if optional(0x10).is_some() {
        defaults.size = fields.u32()?;
    }
    if let Some(body) = find(traf, b"tfdt") {
        let mut fields = Fields(body);
        let (version, _) = fields.version()?;
        track.decoded = fields.wide(version)?;
    }
    let mut offset = base;
    for (_, body) in Boxes(traf).filter(|(name, _)| *name == b"trun") {
        offset = add_run(track, body, base, offset, defaults)?;
    }
    Some(())
}

/// Adds a run of samples; gives where the next one begins.
fn add_run(
    track: &mut Track,
    body: &[u8],
    base: u64,
    next: u64,
    defaults: Defaults,
) -> Option<u64> {
    let mut fields = Fields(body);
    let (_, flags) = fields.version()?;
    let has = |flag: u32| flags & flag != 0;
    let count = fields.u32()?;
    let mut offset = next;
    if has(0x01) {
        offset = base.checked_add_signed(i64::from(fields.i32()?))?;
    }
    if has(0x04) {
        fields.u32()?;
    }
    let count = if has(0x100 | 0x200 | 0x400 | 0x800) {
        count
    } else {
        count.min(MOST_UNSIZED)
    };
    for _ in 0..count {
        let duration = if has(0x100) {
            fields.u32()?
        } else {
            defaults.duration
        };
        let size = if has(0x200) {
            fields.u32()?
        } else {
            defaults.size
        };
        if has(0x400) {
            fields.u32()?;
        }
        let shift = if has(0x800) { fields.i32()? } else { 0 };
        let decoded = i64::try_from(track.decoded).ok()?;
        track.samples.push(Sample {
            offset,
            size,
            shown: decoded.saturating_add(i64::from(shift)),
            duration,
        });
        track.decoded = track.decoded.checked_add(u64::from(duration))?;
        offset = offset.checked_add(u64::from(size))?;
    }
    Some(offset)
}

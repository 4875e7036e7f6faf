//! AV1 in a file: what can be sent as it is.

use super::input::Problem;
use crate::media::bitstream::av1;

/// Whether decoding can start at a temporal unit.
///
/// # Errors
/// When it is of a profile that calls do not use, or has more than eight bits.
pub(super) fn is_key(unit: &[u8]) -> Result<bool, Problem> {
    let other = av1::sequence_of(unit).and_then(|(_, told)| told.unlike_calls());
    match other {
        Some(other) => Err(Problem::unsupported(format!(
            "is AV1 of {other}, where calls use profile 0 with eight bits; convert it: \
             ffmpeg -i FILE -c:v libvpx-vp9 -pix_fmt yuv420p -c:a libopus out.webm"
        ))),
        None => Ok(av1::is_key(unit)),
    }
}

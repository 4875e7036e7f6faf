//! VP9 in a file: what can be sent as it is.

use super::input::Problem;
use crate::media::bitstream::vp9;

/// Whether decoding can start at a frame.
///
/// # Errors
/// When it is of a profile that calls do not use (RFC 9628 section 6.1: others are
/// only sent to who asks for them).
pub(super) fn is_key(frame: &[u8]) -> Result<bool, Problem> {
    match vp9::header(frame) {
        Some(header) if header.profile != 0 => Err(Problem::unsupported(format!(
            "is VP9 of profile {}, where calls use profile 0; convert it: \
             ffmpeg -i FILE -c:v libvpx-vp9 -pix_fmt yuv420p -c:a libopus out.webm",
            header.profile
        ))),
        header => Ok(header.is_some_and(|header| header.key)),
    }
}

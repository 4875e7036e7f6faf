//! Between the shapes of devices and files and the one shape inside: I420 pictures and
//! 48 kHz sound.

mod channels;
mod colours;
mod picture;
mod resample;
mod rotate;
mod scale;

pub use channels::with_channels;
pub use colours::{Colours, Matrix, to_ours};
pub use picture::{PixelFormat, to_picture, to_rgb, to_rgba};
pub use resample::Resampler;
pub use rotate::{Rotation, rotate};
pub use scale::{fit, scale};

/// Why something could not be converted.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    /// A raw picture is cut off.
    #[error("a {width}x{height} picture in {format:?} takes {needed} bytes, and {given} came")]
    TooShort {
        /// In which format.
        format: PixelFormat,
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
        /// Bytes that it takes.
        needed: usize,
        /// Bytes that came.
        given: usize,
    },
    /// A picture has no pixels or too many.
    #[error("a picture of {width}x{height} is outside 1x1 to {limit}x{limit}", limit = MAX_SIDE)]
    Size {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// A JPEG is broken.
    #[error("a JPEG of {size} bytes is broken: {problem}; skip it")]
    Jpeg {
        /// Its size.
        size: usize,
        /// The decoder's word.
        problem: String,
    },
    /// The colour converter refused.
    #[error("colours of a {width}x{height} picture could not be converted: {problem}")]
    Colours {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
        /// The converter's word.
        problem: String,
    },
    /// A sound's rate cannot be changed.
    #[error("sound of {from} Hz in {channels} channels cannot be made {to} Hz: {problem}")]
    Rate {
        /// From which rate.
        from: u32,
        /// To which rate.
        to: u32,
        /// How many channels.
        channels: u16,
        /// The resampler's word.
        problem: String,
    },
}

/// The longest side of a picture that is taken from outside.
const MAX_SIDE: u32 = 8_192;

fn check_size(width: u32, height: u32) -> Result<(), ConvertError> {
    if (1..=MAX_SIDE).contains(&width) && (1..=MAX_SIDE).contains(&height) {
        return Ok(());
    }
    Err(ConvertError::Size { width, height })
}

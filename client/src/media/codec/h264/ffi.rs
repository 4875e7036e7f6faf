//! The one call into OpenH264 that its crate has no safe form of: a live change of rate.
#![allow(unsafe_code)]

use openh264::encoder::Encoder;
use openh264_sys2::{
    ENCODER_OPTION, ENCODER_OPTION_BITRATE, ENCODER_OPTION_MAX_BITRATE, LAYER_NUM, SBitrateInfo,
    SPATIAL_LAYER_0, SPATIAL_LAYER_ALL,
};

/// Sets target and ceiling, from the next picture on. The encoder must have encoded a
/// picture, for only then it is initialised; otherwise it answers with an error.
pub(super) fn set_bitrate(encoder: &mut Encoder, bits_per_second: u32) -> Result<(), String> {
    let rate = i32::try_from(bits_per_second.clamp(1_000, 1 << 30)).unwrap_or(1 << 30);
    // Half as much again, for OpenH264 stays below the target where both are the same.
    let ceiling = rate.saturating_add(rate / 2);
    // The ceiling that counts is that of the only layer; a ceiling for all layers leaves it as it was. A target above
    // it is refused, so it goes first. A ceiling below the target before is taken, and called an error: the new target
    // mends that.
    let _ = set(
        encoder,
        ENCODER_OPTION_MAX_BITRATE,
        SPATIAL_LAYER_0,
        ceiling,
    );
    set(encoder, ENCODER_OPTION_BITRATE, SPATIAL_LAYER_ALL, rate)?;
    set(
        encoder,
        ENCODER_OPTION_MAX_BITRATE,
        SPATIAL_LAYER_0,
        ceiling,
    )
}

fn set(
    encoder: &mut Encoder,
    option: ENCODER_OPTION,
    layer: LAYER_NUM,
    rate: i32,
) -> Result<(), String> {
    let mut info = SBitrateInfo {
        iLayer: layer,
        iBitrate: rate,
    };
    // SAFETY: both options read one `SBitrateInfo` during the call and keep no pointer
    // to it. They change nothing that the encoder's safe wrapper relies on: not the
    // size, not the layers, not the buffers.
    let code = unsafe { encoder.raw_api().set_option(option, (&raw mut info).cast()) };
    match code {
        0 => Ok(()),
        code => Err(format!(
            "OpenH264 refused a rate of {rate} bit/s with code {code}"
        )),
    }
}

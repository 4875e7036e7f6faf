//! By libdav1d, without a thread of its own.

use crate::media::bitstream::av1;
use crate::media::clock::Timestamp;
use crate::media::codec::{CodecError, VideoDecoder};
use crate::media::frame::{Picture, VideoCodec};

mod ffi;

/// The largest picture that is decoded; see VP8 and VP9.
const MAX_PIXELS: u32 = 4096 * 2304;

/// Decodes AV1 of profile 0 with eight bits. After a broken temporal unit it gives nothing
/// but errors until a key frame, for what refers to a broken picture is broken too.
pub struct Av1Decoder {
    library: ffi::Decoder,
    waits_for_key: bool,
}

impl Av1Decoder {
    /// Opens a decoder.
    ///
    /// # Errors
    /// When the library refuses to start.
    pub fn new() -> Result<Self, CodecError> {
        let library = ffi::Decoder::new(MAX_PIXELS).map_err(|problem| CodecError::Open {
            codec: VideoCodec::Av1,
            problem,
        })?;
        Ok(Self {
            library,
            waits_for_key: true,
        })
    }

    fn check(&self, unit: &[u8]) -> Result<(), String> {
        if unit.is_empty() {
            return Err("it is empty".into());
        }
        if self.waits_for_key && !av1::is_key(unit) {
            return Err(
                "it refers to a picture that was never decoded; a key frame is needed".into(),
            );
        }
        let headers = av1::obus(unit).filter(|obu| obu.kind == av1::SEQUENCE_HEADER);
        for header in headers {
            let told = av1::sequence(header.payload).ok_or("its sequence header is broken")?;
            if let Some(other) = told.unlike_calls() {
                return Err(format!(
                    "it is of {other}, where calls use profile 0 with eight bits"
                ));
            }
        }
        Ok(())
    }
}

impl VideoDecoder for Av1Decoder {
    fn decode(&mut self, unit: &[u8]) -> Result<Option<Picture>, CodecError> {
        let picture = self
            .check(unit)
            .and_then(|()| self.library.decode(unit, Timestamp::now()));
        self.waits_for_key = picture.is_err();
        picture.map_err(|problem| CodecError::Decode {
            codec: VideoCodec::Av1,
            size: unit.len(),
            problem,
        })
    }
}

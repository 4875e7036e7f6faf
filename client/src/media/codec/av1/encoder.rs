//! By libaom, in real time on one core.

use bytes::Bytes;

use crate::media::bitstream::av1;
use crate::media::codec::pace::Pace;
use crate::media::codec::{CodecError, EncoderConfig, VideoEncoder};
use crate::media::frame::{EncodedPicture, Picture, VideoCodec};

mod ffi;

/// Encodes with one thread, no lag and a constant bit rate. Gives temporal units without
/// their delimiters, which neither RTP nor recordings hold.
pub struct Av1Encoder {
    library: ffi::Encoder,
    config: EncoderConfig,
    pace: Pace,
}

impl Av1Encoder {
    /// Opens an encoder for pictures of the size in `config`.
    ///
    /// # Errors
    /// When libaom refuses the size or the rate.
    pub fn new(config: EncoderConfig) -> Result<Self, CodecError> {
        Ok(Self {
            library: open(&config)?,
            config,
            pace: Pace::new(config.fps),
        })
    }

    fn follow_size(&mut self, picture: &Picture) -> Result<(), CodecError> {
        if (picture.width, picture.height) == (self.config.width, self.config.height) {
            return Ok(());
        }
        let config = EncoderConfig {
            width: picture.width,
            height: picture.height,
            ..self.config
        };
        self.library = open(&config)?;
        self.config = config;
        Ok(())
    }
}

impl VideoEncoder for Av1Encoder {
    fn encode(
        &mut self,
        picture: &Picture,
        key: bool,
    ) -> Result<Option<EncodedPicture>, CodecError> {
        self.follow_size(picture)?;
        let duration = self.pace.next(picture.at);
        let unit = self
            .library
            .encode(picture, duration, key)
            .map_err(encode_error)?;
        Ok(unit.map(|unit| {
            let data = av1::without_delimiters(&unit);
            EncodedPicture {
                codec: VideoCodec::Av1,
                key: av1::is_key(&data),
                data: Bytes::from(data),
                at: picture.at,
                layer: None,
            }
        }))
    }

    fn set_bitrate(&mut self, bits_per_second: u32) -> Result<(), CodecError> {
        if bits_per_second == self.config.bitrate {
            return Ok(());
        }
        self.library
            .set_kilobits(kilobits(bits_per_second))
            .map_err(|problem| {
                encode_error(format!("{bits_per_second} bit/s refused: {problem}"))
            })?;
        self.config.bitrate = bits_per_second;
        Ok(())
    }
}

fn open(config: &EncoderConfig) -> Result<ffi::Encoder, CodecError> {
    ffi::Encoder::new(&settings(config)).map_err(|problem| CodecError::Open {
        codec: VideoCodec::Av1,
        problem,
    })
}

fn encode_error(problem: String) -> CodecError {
    CodecError::Encode {
        codec: VideoCodec::Av1,
        problem,
    }
}

/// libaom's speed: the fastest, 10, saves a tenth of the time and leaves small things that
/// change in every picture as they were, such as the cells of our marks.
const SPEED: u32 = 9;

fn settings(config: &EncoderConfig) -> ffi::Settings {
    ffi::Settings {
        width: config.width,
        height: config.height,
        kilobits: kilobits(config.bitrate),
        speed: SPEED,
        // Half of the optimal buffer may be spent on one key frame.
        max_key_percent: (600 * config.fps / 20).max(300),
    }
}

fn kilobits(bits_per_second: u32) -> u32 {
    (bits_per_second / 1000).max(1)
}

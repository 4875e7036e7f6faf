//! Opus (RFC 6716) by libopus, at 48 kHz.

use std::time::Duration;

use ::opus::{Application, Bitrate, Channels, Decoder, Encoder};
use bytes::Bytes;

use super::CodecError;
use crate::media::clock::Timestamp;
use crate::media::convert::with_channels;
use crate::media::frame::{EncodedSound, SAMPLE_RATE, Sound};

#[cfg(test)]
mod tests;

/// The longest packet, 120 ms (RFC 6716 section 2.1.4), in samples of one channel.
const LONGEST: usize = 5_760;

/// RFC 6716 section 3.4 allows 1,275 bytes a frame; a packet of one frame has one byte more.
const MAX_PACKET: usize = 1_276;

/// A packet no longer than this need not be sent: discontinuous transmission (RFC 6716, section 2.1.9).
pub const NOT_SENT: usize = 2;

/// What is going to be heard, which decides how Opus spends its bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Speech: intelligibility first, and the only one with in-band error correction
    /// at usual rates.
    Voice,
    /// Music, tones: fidelity first.
    Music,
}

/// Encodes sound, with in-band forward error correction and without gaps in silence.
pub struct OpusEncoder {
    library: Encoder,
    channels: u16,
}

impl OpusEncoder {
    /// Opens an encoder for one or two channels.
    ///
    /// # Errors
    /// When `channels` is neither 1 nor 2, or libopus fails.
    pub fn new(channels: u16, content: Content, bits_per_second: u32) -> Result<Self, CodecError> {
        let application = match content {
            Content::Voice => Application::Voip,
            Content::Music => Application::Audio,
        };
        let library = Encoder::new(SAMPLE_RATE, layout(channels)?, application).map_err(failed)?;
        let mut encoder = Self { library, channels };
        encoder.library.set_inband_fec(true).map_err(failed)?;
        encoder.library.set_dtx(false).map_err(failed)?;
        encoder.library.set_complexity(COMPLEXITY).map_err(failed)?;
        encoder.set_bitrate(bits_per_second)?;
        Ok(encoder)
    }

    /// Sets the target in bits a second, cut to the 6,000 to 510,000 that Opus has.
    ///
    /// # Errors
    /// When libopus refuses it.
    pub fn set_bitrate(&mut self, bits_per_second: u32) -> Result<(), CodecError> {
        let rate = bits_per_second.clamp(6_000, 510_000);
        self.library
            .set_bitrate(Bitrate::Bits(rate as i32))
            .map_err(failed)
    }

    /// Whether redundancy for lost packets is put into the packets after them.
    ///
    /// # Errors
    /// When libopus refuses it.
    pub fn set_fec(&mut self, on: bool) -> Result<(), CodecError> {
        self.library.set_inband_fec(on).map_err(failed)
    }

    /// Whether silence becomes packets of [`NOT_SENT`] bytes at most, but for one every 400 ms.
    ///
    /// # Errors
    /// When libopus refuses it.
    pub fn set_dtx(&mut self, on: bool) -> Result<(), CodecError> {
        self.library.set_dtx(on).map_err(failed)
    }

    /// Tells how many of a hundred packets are lost, so that libopus knows how much of
    /// the rate to spend on error correction; above 100 counts as 100.
    ///
    /// # Errors
    /// When libopus refuses it.
    pub fn set_expected_loss(&mut self, percent: u8) -> Result<(), CodecError> {
        self.library
            .set_packet_loss_perc(i32::from(percent.min(100)))
            .map_err(failed)
    }

    /// Encodes one stretch of 2.5, 5, 10, 20, 40 or 60 ms; its channels are made those
    /// of the encoder.
    ///
    /// # Errors
    /// When the stretch has another length, or libopus fails.
    pub fn encode(&mut self, sound: &Sound) -> Result<EncodedSound, CodecError> {
        let samples = with_channels(sound, self.channels);
        let data = self
            .library
            .encode_vec(&samples, MAX_PACKET)
            .map_err(|error| {
                CodecError::Opus(format!(
                    "{} samples of {} channels could not be encoded: {error}",
                    samples.len(),
                    self.channels
                ))
            })?;
        Ok(EncodedSound {
            level: None,
            data: Bytes::from(data),
            duration: sound.duration(),
            at: sound.at,
        })
    }
}

/// Effort, 0 to 10. On one core of the machine this was chosen on, 9 cost twice the
/// time of 5 and gained nothing that was audible at 32 kbit/s and more.
const COMPLEXITY: i32 = 5;

/// Decodes sound, and fills in for what is lost.
pub struct OpusDecoder {
    library: Decoder,
    channels: u16,
    /// Scratch space for the longest packet.
    buffer: Vec<i16>,
}

impl OpusDecoder {
    /// Opens a decoder that gives one or two channels, whatever the packets hold.
    ///
    /// # Errors
    /// When `channels` is neither 1 nor 2, or libopus fails.
    pub fn new(channels: u16) -> Result<Self, CodecError> {
        Ok(Self {
            library: Decoder::new(SAMPLE_RATE, layout(channels)?).map_err(failed)?,
            channels,
            buffer: vec![0; LONGEST * usize::from(channels)],
        })
    }

    /// Decodes one packet.
    ///
    /// # Errors
    /// When the packet is broken.
    pub fn decode(&mut self, packet: &[u8], at: Timestamp) -> Result<Sound, CodecError> {
        if packet.is_empty() {
            return Err(CodecError::Opus("the packet is empty".into()));
        }
        self.run(packet, LONGEST, false, at)
    }

    /// Recovers the lost stretch before `next` from the error correction inside `next`;
    /// where it has none, the stretch is concealed. `next` is decoded afterwards.
    ///
    /// # Errors
    /// When `next` is broken, or `lost` is no multiple of 2.5 ms up to 120 ms.
    pub fn decode_fec(
        &mut self,
        next: &[u8],
        lost: Duration,
        at: Timestamp,
    ) -> Result<Sound, CodecError> {
        if next.is_empty() {
            return Err(CodecError::Opus("the packet is empty".into()));
        }
        self.run(next, samples_of(lost), true, at)
    }

    /// Goes on with what was heard last, fading: nothing is known of this stretch.
    ///
    /// # Errors
    /// When `lost` is no multiple of 2.5 ms up to 120 ms.
    pub fn conceal(&mut self, lost: Duration, at: Timestamp) -> Result<Sound, CodecError> {
        self.run(&[], samples_of(lost), false, at)
    }

    fn run(
        &mut self,
        packet: &[u8],
        samples: usize,
        fec: bool,
        at: Timestamp,
    ) -> Result<Sound, CodecError> {
        let channels = usize::from(self.channels);
        let size = packet.len();
        let room = self
            .buffer
            .get_mut(..samples * channels)
            .filter(|room| !room.is_empty())
            .ok_or_else(|| {
                CodecError::Opus(format!("{samples} samples are not within 1 to {LONGEST}"))
            })?;
        let count = self.library.decode(packet, room, fec).map_err(|error| {
            CodecError::Opus(format!(
                "a packet of {size} bytes could not be decoded: {error}"
            ))
        })?;
        Ok(Sound {
            samples: room[..count * channels].to_vec(),
            channels: self.channels,
            at,
        })
    }
}

fn samples_of(duration: Duration) -> usize {
    usize::try_from(duration.as_micros() * u128::from(SAMPLE_RATE) / 1_000_000)
        .unwrap_or(usize::MAX / 4)
}

fn layout(channels: u16) -> Result<Channels, CodecError> {
    match channels {
        1 => Ok(Channels::Mono),
        2 => Ok(Channels::Stereo),
        other => Err(CodecError::Opus(format!(
            "{other} channels asked; it is one or two here"
        ))),
    }
}

fn failed(error: ::opus::Error) -> CodecError {
    CodecError::Opus(error.to_string())
}

//! What browsers do to a live microphone: echo cancellation, noise suppression, gain control.
//!
//! The processing itself is `sonora`, a port of WebRTC's; here it gets the loudspeaker's sound in step with
//! the microphone's.

pub mod echo;
mod source;

use std::time::Duration;

use sonora::config::{
    AdaptiveDigital, EchoCanceller, GainController2, HighPassFilter, MaxProcessingRate,
    NoiseSuppression, NoiseSuppressionLevel, Pipeline,
};
use sonora::{AudioProcessing, Config, StreamConfig};

use super::frame::SAMPLE_RATE;
pub use source::Processed;

/// Frames that are processed at once: 10 ms.
pub const BLOCK: usize = SAMPLE_RATE as usize / 100;

/// What is done to the microphone's sound; the names are those of W3C mediacapture-main, section 4.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VoiceSettings {
    /// `echoCancellation`: the loudspeaker's sound is taken out.
    pub echo_cancellation: bool,
    /// `noiseSuppression`: what is no voice is made softer.
    pub noise_suppression: bool,
    /// `autoGainControl`: soft voices are made louder.
    pub auto_gain_control: bool,
}

impl VoiceSettings {
    /// Everything, as browsers do for speech.
    pub const SPEECH: Self = Self {
        echo_cancellation: true,
        noise_suppression: true,
        auto_gain_control: true,
    };

    /// Nothing, as is right for music.
    pub const NOTHING: Self = Self {
        echo_cancellation: false,
        noise_suppression: false,
        auto_gain_control: false,
    };

    /// Whether sound is changed at all.
    #[must_use]
    pub const fn any(self) -> bool {
        self.echo_cancellation || self.noise_suppression || self.auto_gain_control
    }
}

/// The processing of one microphone.
pub struct VoiceProcessor {
    processing: AudioProcessing,
    near: StreamConfig,
    /// Kept for its memory.
    scratch: Vec<i16>,
}

impl VoiceProcessor {
    /// For a microphone of one or two channels at our rate.
    #[must_use]
    pub fn new(settings: VoiceSettings, channels: u16) -> Self {
        let config = Config {
            pipeline: Pipeline {
                maximum_internal_processing_rate: MaxProcessingRate::Rate48kHz,
                ..Pipeline::default()
            },
            high_pass_filter: (settings.echo_cancellation || settings.noise_suppression)
                .then(HighPassFilter::default),
            echo_canceller: settings.echo_cancellation.then(EchoCanceller::default),
            noise_suppression: settings.noise_suppression.then(|| NoiseSuppression {
                level: NoiseSuppressionLevel::High,
                ..NoiseSuppression::default()
            }),
            // By itself it does nothing: the adaptive part has to be asked for.
            gain_controller2: settings.auto_gain_control.then(|| GainController2 {
                adaptive_digital: Some(AdaptiveDigital::default()),
                ..GainController2::default()
            }),
            ..Config::default()
        };
        let near = StreamConfig::new(SAMPLE_RATE, channels);
        let processing = AudioProcessing::builder()
            .config(config)
            .capture_config(near)
            .build();
        Self {
            processing,
            near,
            scratch: Vec::new(),
        }
    }

    /// 10 ms of what the loudspeaker plays, interleaved.
    pub fn far(&mut self, block: &[i16], rate: u32, channels: u16) {
        self.scratch.resize(block.len(), 0);
        let config = StreamConfig::new(rate, channels);
        let done = self.processing.process_render_i16_with_config(
            block,
            &config,
            &config,
            &mut self.scratch,
        );
        if let Err(error) = done {
            tracing::debug!("the loudspeaker's sound is not understood: {error}");
        }
    }

    /// 10 ms of what the microphone heard, interleaved; `delay` is how long the loudspeaker's sound given last
    /// takes until it is in there, as far as it is known.
    pub fn near(&mut self, block: &mut [i16], delay: Duration) {
        self.scratch.clear();
        self.scratch.extend_from_slice(block);
        // Beyond its limit of half a second it takes the limit; it finds the true delay by itself.
        let millis = i32::try_from(delay.as_millis()).unwrap_or(i32::MAX);
        let _ = self.processing.set_stream_delay_ms(millis);
        let done = self.processing.process_capture_i16_with_config(
            &self.scratch,
            &self.near,
            &self.near,
            block,
        );
        if let Err(error) = done {
            tracing::debug!("the microphone's sound is left as it is: {error}");
        }
    }
}

#[cfg(test)]
mod tests;

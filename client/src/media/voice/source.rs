//! A microphone whose sound is processed before anybody gets it.

use std::time::Duration;

use super::echo::EchoReference;
use super::{BLOCK, VoiceProcessor, VoiceSettings};
use crate::media::capture::{AudioItem, AudioSource, SourceError};
use crate::media::frame::{SAMPLE_RATE, Sound};

/// A source behind the processing.
pub struct Processed {
    source: Box<dyn AudioSource>,
    settings: VoiceSettings,
    /// For so many channels.
    processor: Option<(u16, VoiceProcessor)>,
    reference: Option<EchoReference>,
    /// Less than a block, until the next comes.
    rest: Vec<i16>,
}

impl Processed {
    /// `reference` is what the loudspeaker plays, if there is one.
    #[must_use]
    pub fn new(
        source: Box<dyn AudioSource>,
        settings: VoiceSettings,
        reference: Option<EchoReference>,
    ) -> Self {
        Self {
            source,
            settings,
            processor: None,
            reference: reference.filter(|_| settings.echo_cancellation),
            rest: Vec::new(),
        }
    }

    fn process(&mut self, sound: Sound) -> Option<Sound> {
        let channels = sound.channels;
        if self.processor.as_ref().is_none_or(|(c, _)| *c != channels) {
            self.processor = Some((channels, VoiceProcessor::new(self.settings, channels)));
            self.rest.clear();
        }
        let (_, processor) = self.processor.as_mut()?;
        let size = BLOCK * usize::from(channels);
        let before = (self.rest.len() / usize::from(channels.max(1))) as u64;
        let at = sound.at - Duration::from_micros(before * 1_000_000 / u64::from(SAMPLE_RATE));
        let mut samples = std::mem::take(&mut self.rest);
        samples.extend_from_slice(&sound.samples);
        self.rest = samples.split_off(samples.len() / size * size);
        let lasts = sound.duration();
        for block in samples.chunks_exact_mut(size) {
            let delay = self.reference.as_ref().map_or(Duration::ZERO, |reference| {
                reference.take(|far, rate| processor.far(far, rate, 2))
            });
            // The block was heard while it was gathered.
            processor.near(block, delay + lasts);
        }
        (!samples.is_empty()).then_some(Sound {
            samples,
            channels,
            at,
        })
    }
}

impl AudioSource for Processed {
    fn next(&mut self) -> Result<Option<AudioItem>, SourceError> {
        Ok(match self.source.next()? {
            Some(AudioItem::Raw(sound)) => Some(
                self.process(sound)
                    .map_or(AudioItem::Nothing, AudioItem::Raw),
            ),
            other => other,
        })
    }

    fn describe(&self) -> String {
        self.source.describe()
    }
}

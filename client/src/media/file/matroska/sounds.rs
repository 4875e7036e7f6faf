//! The first sound track of a Matroska file: Opus as it is, PCM as samples.

use std::time::Duration;

use super::tracks::{self, Kind};
use super::{Reader, nanos};
use crate::media::capture::AudioItem;
use crate::media::clock::Timestamp;
use crate::media::file::input::{Input, Problem};
use crate::media::file::opus;
use crate::media::file::pcm::Samples;
use crate::media::file::smooth::Smooth;
use crate::media::file::source::{Demux, Unit};
use crate::media::frame::EncodedSound;

/// How the track's frames become items.
enum Form {
    Opus(Smooth),
    Pcm {
        samples: Box<Samples>,
        /// Where the first sample of this pass was.
        begin: Option<Duration>,
        ended: bool,
        looped: bool,
    },
}

/// The first sound track that can be sent.
pub(in crate::media::file) struct Sounds {
    reader: Reader,
    track: u64,
    form: Form,
    words: String,
}

impl Sounds {
    pub(in crate::media::file) fn open(input: Input, looped: bool) -> Result<Self, Problem> {
        let reader = Reader::open(input)?;
        for track in &reader.tracks {
            let (form, words) = match &track.kind {
                Kind::Opus => (
                    Form::Opus(Smooth::default()),
                    format!("Opus, channels: {}", track.channels),
                ),
                Kind::Pcm(layout) => (
                    Form::Pcm {
                        samples: Box::new(Samples::new(*layout)?),
                        begin: None,
                        ended: false,
                        looped,
                    },
                    layout.to_string(),
                ),
                _ => continue,
            };
            return Ok(Self {
                track: track.number,
                form,
                words,
                reader,
            });
        }
        Err(tracks::none("sound", "Opus or PCM", &reader.tracks))
    }
}

impl Demux<AudioItem> for Sounds {
    fn next(&mut self) -> Result<Option<Unit<AudioItem>>, Problem> {
        loop {
            if let Form::Pcm { samples, begin, .. } = &mut self.form
                && let Some(mut unit) = samples.pop()
            {
                unit.time = unit.time.saturating_add(begin.unwrap_or_default());
                return Ok(Some(unit));
            }
            let Some(frame) = self.reader.next()? else {
                match &mut self.form {
                    // What is left would overlap the next pass.
                    Form::Pcm {
                        samples,
                        ended,
                        looped,
                        ..
                    } if !*ended => {
                        *ended = true;
                        if !*looped || samples.popped() == 0 {
                            samples.finish()?;
                        }
                        continue;
                    }
                    _ => return Ok(None),
                }
            };
            if frame.track != self.track {
                continue;
            }
            match &mut self.form {
                Form::Opus(smooth) => {
                    // A packet that no decoder takes is not worth sending.
                    let Some(duration) = opus::duration(&frame.data) else {
                        continue;
                    };
                    return Ok(Some(Unit {
                        time: smooth.place(nanos(frame.time), duration),
                        item: AudioItem::Encoded(EncodedSound {
                            level: None,
                            data: frame.data,
                            duration,
                            at: Timestamp::default(),
                        }),
                    }));
                }
                Form::Pcm { samples, begin, .. } => {
                    begin.get_or_insert(nanos(frame.time));
                    samples.push(&frame.data)?;
                }
            }
        }
    }

    fn rewind(&mut self) -> Result<(), Problem> {
        match &mut self.form {
            Form::Opus(smooth) => *smooth = Smooth::default(),
            Form::Pcm {
                samples,
                begin,
                ended,
                ..
            } => {
                samples.restart()?;
                *begin = None;
                *ended = false;
            }
        }
        self.reader.rewind()
    }

    fn length(&self) -> Duration {
        self.reader.length()
    }

    fn describe(&self) -> String {
        self.words.clone()
    }
}

//! WAV: RIFF chunks around uncompressed sound (Microsoft's RIFF and WAVEFORMATEX).
//!
//! Read here and not by `hound`, which refuses the sizes that recorders leave
//! behind when they write into a pipe or are killed.

use std::time::Duration;

use super::input::{Input, Problem};
use super::pcm::{Format, Layout, PACKET, Samples};
use super::source::{Demux, Unit};
use crate::media::capture::AudioItem;

/// Bytes read at a time.
const CHUNK: u64 = 16 * 1024;

/// A WAV file.
pub(super) struct Wav {
    input: Input,
    layout: Layout,
    samples: Samples,
    /// Where the samples begin and end.
    data: (u64, u64),
    ended: bool,
    looped: bool,
}

impl Wav {
    pub(super) fn open(mut input: Input, looped: bool) -> Result<Self, Problem> {
        input.skip(12)?;
        let mut layout = None;
        loop {
            let Some([n0, n1, n2, n3, s0, s1, s2, s3]) = input.array()? else {
                return Err(Problem::NoFrame);
            };
            let size = u32::from_le_bytes([s0, s1, s2, s3]);
            match &[n0, n1, n2, n3] {
                b"fmt " => {
                    let Some(body) = input.take(u64::from(size.min(64)))? else {
                        return Err(Problem::NoFrame);
                    };
                    input.skip(u64::from(size.saturating_sub(64)))?;
                    layout = Some(format(&body)?);
                }
                b"data" => {
                    let Some(layout) = layout else {
                        return Err(input.broken("samples come before their format"));
                    };
                    let begin = input.at();
                    // Zero and all ones are left by recorders that never came to fill it in.
                    let told = match size {
                        0 | u32::MAX => u64::MAX,
                        size => begin + u64::from(size),
                    };
                    return Ok(Self {
                        data: (begin, told.min(input.len())),
                        samples: Samples::new(layout)?,
                        input,
                        layout,
                        ended: false,
                        looped,
                    });
                }
                _ => input.skip(u64::from(size))?,
            }
            // Chunks begin at even places.
            input.skip(u64::from(size % 2))?;
        }
    }
}

impl Demux<AudioItem> for Wav {
    fn next(&mut self) -> Result<Option<Unit<AudioItem>>, Problem> {
        loop {
            if let Some(unit) = self.samples.pop() {
                return Ok(Some(unit));
            }
            if self.ended {
                return Ok(None);
            }
            let frame = self.layout.frame_bytes() as u64;
            let left = self.data.1.saturating_sub(self.input.at());
            // What has come through a pipe does not wait for what is still to come.
            let chunk = if self.input.comes_once() {
                self.layout.frames_bytes(PACKET)
            } else {
                CHUNK
            };
            let wanted = left.min(chunk.max(frame)) / frame * frame;
            match self.input.take(wanted)?.filter(|bytes| !bytes.is_empty()) {
                Some(bytes) => self.samples.push(&bytes)?,
                None => {
                    self.ended = true;
                    if !self.looped || self.samples.popped() == 0 {
                        self.samples.finish()?;
                    }
                }
            }
        }
    }

    fn rewind(&mut self) -> Result<(), Problem> {
        self.samples.go_on();
        self.ended = false;
        self.input.go_to(self.data.0)
    }

    fn length(&self) -> Duration {
        self.samples.length()
    }

    fn describe(&self) -> String {
        format!("WAV {}", self.layout)
    }
}

/// The body of a format chunk.
fn format(body: &[u8]) -> Result<Layout, Problem> {
    let word = |at: usize| {
        let bytes = body.get(at..at + 2).unwrap_or(&[0, 0]);
        u16::from_le_bytes([bytes[0], bytes[1]])
    };
    // 0xfffe: the kind stands in the first word of an extension.
    let tag = if word(0) == 0xfffe { word(24) } else { word(0) };
    let rate = u32::from(word(4)) | u32::from(word(6)) << 16;
    let (channels, bits) = (word(2), word(14));
    let format = match tag {
        1 => Format::of(u64::from(bits), false, true),
        3 => Format::of(u64::from(bits), true, true),
        _ => None,
    };
    format
        .and_then(|format| Layout::new(rate, channels, format))
        .ok_or_else(|| {
            Problem::unsupported(format!(
                "is WAV of format {tag} with {bits} bits, {channels} channels at {rate} Hz, not \
                 8, 16, 24 or 32-bit PCM or float; convert it: ffmpeg -i FILE -c:a pcm_s16le out.wav"
            ))
        })
}

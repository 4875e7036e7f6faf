//! Received sound into a WAV file, whose header is valid once a second.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use hound::{SampleFormat, WavSpec, WavWriter};

use crate::media::frame::{SAMPLE_RATE, Sound};

/// WAV sizes are 32 bits wide; this leaves room for the header.
const MOST_SAMPLES: u32 = (u32::MAX - 1_024) / 2;

/// Why sound cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum WavError {
    /// The file cannot be made.
    #[error("{}: cannot be created for sound: {source}; choose another place", .path.display())]
    Create {
        /// Which file.
        path: PathBuf,
        /// The system's word.
        source: hound::Error,
    },
    /// The file cannot be written any more. Told once; then everything is ignored.
    #[error("{}: writing sound stopped: {source}; what was written until then is kept, the call goes on", .path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// The system's word.
        source: hound::Error,
    },
    /// The format ends at 4 GiB. Told once; then everything is ignored.
    #[error("{}: a WAV file ends at 4 GiB; the rest is not written, the call goes on", .0.display())]
    Full(PathBuf),
}

/// Writes sound, 16 bits at 48 kHz. After a kill, all but the last second is there.
pub struct WavSink {
    path: PathBuf,
    channels: u16,
    /// Gone after an error.
    writer: Option<WavWriter<BufWriter<File>>>,
    /// Samples since the header was made valid.
    unflushed: u32,
}

impl WavSink {
    /// Makes the file at once, so that what cannot be written fails at the start.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn create(path: &Path, channels: u16) -> Result<Self, WavError> {
        let channels = channels.clamp(1, 2);
        let create = |source| WavError::Create {
            path: path.to_path_buf(),
            source,
        };
        let spec = WavSpec {
            channels,
            sample_rate: SAMPLE_RATE,
            bits_per_sample: 16,
            sample_format: SampleFormat::Int,
        };
        let mut writer = WavWriter::create(path, spec).map_err(create)?;
        writer.flush().map_err(create)?;
        Ok(Self {
            path: path.to_path_buf(),
            channels,
            writer: Some(writer),
            unflushed: 0,
        })
    }

    /// Appends sound, mixed to the file's channels.
    ///
    /// # Errors
    /// Once, when the file cannot be written any more or is full.
    pub fn write(&mut self, sound: &Sound) -> Result<(), WavError> {
        let Some(writer) = &mut self.writer else {
            return Ok(());
        };
        let samples = crate::media::convert::with_channels(sound, self.channels);
        let count = u32::try_from(samples.len()).unwrap_or(u32::MAX);
        if writer.len().saturating_add(count) > MOST_SAMPLES {
            self.finish()?;
            return Err(WavError::Full(self.path.clone()));
        }
        let mut result = samples
            .iter()
            .try_for_each(|sample| writer.write_sample(*sample));
        self.unflushed = self.unflushed.saturating_add(count);
        if result.is_ok() && self.unflushed >= SAMPLE_RATE * u32::from(self.channels) {
            self.unflushed = 0;
            result = writer.flush();
        }
        result.map_err(|source| self.stop(source))
    }

    /// Writes what is left and makes the header valid; later sound is ignored.
    ///
    /// # Errors
    /// When that cannot be written.
    pub fn finish(&mut self) -> Result<(), WavError> {
        match self.writer.take().map(WavWriter::finalize) {
            Some(Err(source)) => Err(self.stop(source)),
            _ => Ok(()),
        }
    }

    fn stop(&mut self, source: hound::Error) -> WavError {
        self.writer = None;
        WavError::Write {
            path: self.path.clone(),
            source,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::media::clock::Timestamp;

    fn sound(samples: Vec<i16>, channels: u16) -> Sound {
        Sound {
            samples,
            channels,
            at: Timestamp::default(),
        }
    }

    #[test]
    fn what_is_written_reads_back_and_the_header_is_valid_after_each_second() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("far.wav");
        let mut sink = WavSink::create(&path, 1).unwrap();
        assert_eq!(hound::WavReader::open(&path).unwrap().len(), 0);
        let second: Vec<i16> = (0..48_000).map(|n| (n % 2_000) as i16).collect();
        for part in second.chunks(960) {
            sink.write(&sound(part.to_vec(), 1)).unwrap();
        }
        sink.write(&sound(vec![5; 960], 1)).unwrap();
        // As a killed process leaves it.
        let copy = dir.path().join("killed.wav");
        std::fs::copy(&path, &copy).unwrap();
        let mut killed = hound::WavReader::open(&copy).unwrap();
        let read: Vec<i16> = killed.samples().map(Result::unwrap).collect();
        assert_eq!(read, second);
        sink.finish().unwrap();
        assert_eq!(hound::WavReader::open(&path).unwrap().len(), 48_960);
        sink.write(&sound(vec![1; 960], 1)).unwrap();
    }

    #[test]
    fn channels_are_mixed_to_those_of_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("far.wav");
        let mut sink = WavSink::create(&path, 2).unwrap();
        sink.write(&sound(vec![7, 9], 1)).unwrap();
        sink.finish().unwrap();
        let mut reader = hound::WavReader::open(&path).unwrap();
        let read: Vec<i16> = reader.samples().map(Result::unwrap).collect();
        assert_eq!(read, [7, 7, 9, 9]);
    }

    #[test]
    fn a_place_that_is_not_there_fails_at_the_start() {
        let result = WavSink::create(Path::new("/no/such/folder/far.wav"), 1);
        let words = result.err().unwrap().to_string();
        assert!(words.contains("/no/such/folder/far.wav"), "{words}");
    }

    #[test]
    fn a_full_disk_is_told_once() {
        let full = Path::new("/dev/full");
        if !full.exists() {
            return;
        }
        let outcome = WavSink::create(full, 1);
        assert!(outcome.is_err());
    }
}

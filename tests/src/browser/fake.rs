//! Files that Chromium's fake camera and microphone play, whose content a test knows.

use std::f64::consts::TAU;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use rtc_client::measure::marks::{self, Mark};
use rtc_client::media::capture::test_picture;
use rtc_client::media::clock::Timestamp;

/// Writes `pictures` pictures of the test picture, marked 0, 1, 2, … as Y4M.
///
/// The capture time in the marks counts from 1970: a file cannot know when it will be played.
///
/// # Errors
/// The file cannot be written.
pub fn write_camera(
    file: &Path,
    (width, height): (u32, u32),
    fps: u32,
    pictures: u32,
) -> anyhow::Result<()> {
    let mut out = BufWriter::new(File::create(file)?);
    writeln!(out, "YUV4MPEG2 W{width} H{height} F{fps}:1 Ip A1:1 C420")?;
    for number in 0..pictures {
        let mut picture = test_picture::render(number, width, height);
        let at = Timestamp::from_micros(u64::from(number) * 1_000_000 / u64::from(fps.max(1)));
        marks::stamp(&mut picture, Mark { number, at });
        writeln!(out, "FRAME")?;
        for plane in [&picture.y, &picture.u, &picture.v] {
            out.write_all(plane)?;
        }
    }
    out.flush()?;
    Ok(())
}

/// Writes `seconds` of a sine of `hz` Hz as WAV: 48 kHz, mono, 16 bits, 12 dB below full scale.
///
/// # Errors
/// The file cannot be written.
pub fn write_microphone(file: &Path, hz: u32, seconds: u32) -> anyhow::Result<()> {
    const RATE: u32 = 48_000;
    let count = RATE * seconds;
    let bytes = count * 2;
    let mut out = BufWriter::new(File::create(file)?);
    out.write_all(b"RIFF")?;
    out.write_all(&(36 + bytes).to_le_bytes())?;
    out.write_all(b"WAVEfmt ")?;
    out.write_all(&16u32.to_le_bytes())?;
    for half in [1u16, 1] {
        out.write_all(&half.to_le_bytes())?; // PCM, one channel
    }
    out.write_all(&RATE.to_le_bytes())?;
    out.write_all(&(RATE * 2).to_le_bytes())?;
    for half in [2u16, 16] {
        out.write_all(&half.to_le_bytes())?; // bytes a frame, bits a sample
    }
    out.write_all(b"data")?;
    out.write_all(&bytes.to_le_bytes())?;
    for n in 0..count {
        let sample = 8_192.0 * (TAU * f64::from(hz) * f64::from(n) / f64::from(RATE)).sin();
        out.write_all(&(sample.round() as i16).to_le_bytes())?;
    }
    out.flush()?;
    Ok(())
}

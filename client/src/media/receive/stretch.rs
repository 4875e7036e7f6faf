//! Makes sound a little shorter or longer without changing its pitch. Pure.
//!
//! Overlap-add where the waveform is most like itself (WSOLA): one period of the pitch, or several of them,
//! is taken out or played twice, and the seam is faded over. What is not like itself anywhere, such as the
//! beginning of a word, is left alone.

use crate::media::frame::SAMPLE_RATE;

/// The shortest stretch that is taken out or put in: the period of a voice of 400 Hz.
const SHORTEST: usize = SAMPLE_RATE as usize / 400;

/// The longest: a voice of 66 Hz.
const LONGEST: usize = SAMPLE_RATE as usize * 15 / 1_000;

/// How long the seam is faded, and how much of the waveform is compared.
const FADE: usize = SAMPLE_RATE as usize / 200;

/// The first search looks at every so many samples; the second at each around its result.
const COARSE: usize = 4;

/// Root mean square, in 16 bits, below which nobody hears a seam: -50 dB of full scale.
const QUIET: f64 = 100.0;

/// Removes one stretch of at most `most` frames from interleaved `samples`, if the waveform is like itself
/// there: correlated by `likeness`, at most 1, or quiet. Tells how many frames went.
pub fn shorten(samples: &mut Vec<i16>, channels: usize, most: usize, likeness: f64) -> usize {
    let Some(lag) = like_itself(samples, channels, most, likeness) else {
        return 0;
    };
    fade(samples, channels, 0, lag, 0);
    samples.drain(FADE * channels..(FADE + lag) * channels);
    lag
}

/// As [`shorten`], but plays the stretch twice. Tells how many frames came.
pub fn lengthen(samples: &mut Vec<i16>, channels: usize, most: usize, likeness: f64) -> usize {
    let Some(lag) = like_itself(samples, channels, most, likeness) else {
        return 0;
    };
    let again = samples[..lag * channels].to_vec();
    // From what would come after the stretch into its beginning, which then goes on by itself.
    let mut seam = samples[..(lag + FADE) * channels].to_vec();
    fade(&mut seam, channels, lag, 0, lag);
    samples.splice(
        ..FADE * channels,
        again.into_iter().chain(seam.split_off(lag * channels)),
    );
    lag
}

/// Writes to frame `out` and on a fade from what is at frame `from` to what is at frame `to`.
fn fade(samples: &mut [i16], channels: usize, from: usize, to: usize, out: usize) {
    for frame in 0..FADE {
        let new = (frame as f64 + 0.5) / FADE as f64;
        for channel in 0..channels {
            let of = |start: usize| f64::from(samples[(start + frame) * channels + channel]);
            let mixed = of(from) * (1.0 - new) + of(to) * new;
            samples[(out + frame) * channels + channel] = mixed.round() as i16;
        }
    }
}

/// After how many frames the waveform is most like its beginning; `None` where it is less like it than asked.
fn like_itself(samples: &[i16], channels: usize, most: usize, likeness: f64) -> Option<usize> {
    if channels == 0 {
        return None;
    }
    let mono: Vec<f64> = samples
        .chunks_exact(channels)
        .map(|frame| frame.iter().copied().map(f64::from).sum::<f64>() / channels as f64)
        .collect();
    let longest = mono.len().saturating_sub(FADE).min(LONGEST).min(most);
    if longest < SHORTEST {
        return None;
    }
    let rough: Vec<f64> = mono
        .chunks_exact(COARSE)
        .map(|few| few.iter().sum::<f64>())
        .collect();
    let best = |waveform: &[f64], fade: usize, lags: std::ops::RangeInclusive<usize>| {
        lags.filter_map(|lag| Some((lag, correlation(waveform, fade, lag)?)))
            // Of equals the last: the longest stretch.
            .max_by(|(_, a), (_, b)| a.total_cmp(b))
    };
    let (near, _) = best(&rough, FADE / COARSE, SHORTEST / COARSE..=longest / COARSE)?;
    let (first, last) = (
        (near * COARSE).saturating_sub(COARSE).max(SHORTEST),
        (near * COARSE + COARSE).min(longest),
    );
    let (lag, found) = best(&mono, FADE, first..=last)?;
    (found >= likeness || quiet(&mono[..lag + FADE])).then_some(lag)
}

/// How much the waveform after `lag` is like its beginning, -1 to 1; silence is like itself.
fn correlation(waveform: &[f64], length: usize, lag: usize) -> Option<f64> {
    let (here, there) = (waveform.get(..length)?, waveform.get(lag..lag + length)?);
    let (mut both, mut first, mut second) = (0.0, 0.0, 0.0);
    for (a, b) in here.iter().zip(there) {
        both += a * b;
        first += a * a;
        second += b * b;
    }
    let power = (first * second).sqrt();
    Some(if power > 0.0 { both / power } else { 1.0 })
}

fn quiet(mono: &[f64]) -> bool {
    let power: f64 = mono.iter().map(|sample| sample * sample).sum();
    power <= QUIET * QUIET * mono.len() as f64
}

#[cfg(test)]
mod tests;

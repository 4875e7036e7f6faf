//! Between the sample formats of devices and the one inside, signed 16 bits.

use cpal::{Data, FromSample, I24, Sample, SampleFormat, SizedSample, U24};

/// Formats that can be converted, the best first: those that cost nothing, then the fine, then the coarse.
const FORMATS: [SampleFormat; 12] = [
    SampleFormat::I16,
    SampleFormat::F32,
    SampleFormat::I32,
    SampleFormat::I24,
    SampleFormat::F64,
    SampleFormat::I64,
    SampleFormat::U16,
    SampleFormat::U32,
    SampleFormat::U24,
    SampleFormat::U64,
    SampleFormat::I8,
    SampleFormat::U8,
];

/// How good a format is, 0 being the best; `None` where it cannot be converted.
pub(crate) fn rank(format: SampleFormat) -> Option<usize> {
    FORMATS.iter().position(|&known| known == format)
}

/// Calls `$do` with the type of `$format`'s samples.
macro_rules! with_type {
    ($format:expr, $do:ident ( $($argument:expr),* )) => {
        match $format {
            SampleFormat::I8 => $do::<i8>($($argument),*),
            SampleFormat::I16 => $do::<i16>($($argument),*),
            SampleFormat::I24 => $do::<I24>($($argument),*),
            SampleFormat::I32 => $do::<i32>($($argument),*),
            SampleFormat::I64 => $do::<i64>($($argument),*),
            SampleFormat::U8 => $do::<u8>($($argument),*),
            SampleFormat::U16 => $do::<u16>($($argument),*),
            SampleFormat::U24 => $do::<U24>($($argument),*),
            SampleFormat::U32 => $do::<u32>($($argument),*),
            SampleFormat::U64 => $do::<u64>($($argument),*),
            SampleFormat::F32 => $do::<f32>($($argument),*),
            SampleFormat::F64 => $do::<f64>($($argument),*),
            // Never chosen, see `rank`.
            _ => {}
        }
    };
}

/// Appends what a device gave to `out`.
pub(crate) fn read(data: &Data, out: &mut Vec<i16>) {
    with_type!(data.sample_format(), read_typed(data, out));
}

fn read_typed<T: SizedSample>(data: &Data, out: &mut Vec<i16>)
where
    i16: FromSample<T>,
{
    if let Some(samples) = data.as_slice::<T>() {
        out.extend(samples.iter().map(|&s| i16::from_sample(s)));
    }
}

/// Gives a device what it asked for.
pub(crate) fn write(samples: &[i16], data: &mut Data) {
    with_type!(data.sample_format(), write_typed(samples, data));
}

fn write_typed<T: SizedSample + FromSample<i16>>(samples: &[i16], data: &mut Data) {
    if let Some(out) = data.as_slice_mut::<T>() {
        for (out, &sample) in out.iter_mut().zip(samples) {
            *out = sample.to_sample();
        }
    }
}

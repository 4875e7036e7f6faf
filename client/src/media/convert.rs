//! Between the shapes of devices and files and the one shape inside: I420 pictures and
//! 48 kHz sound.

mod channels;

pub use channels::with_channels;

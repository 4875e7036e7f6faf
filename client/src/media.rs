//! Pictures and sound: clock, frames, sources, codecs, files, sinks.

pub mod bitstream;
pub mod capture;
pub mod clock;
pub mod codec;
pub mod convert;
pub mod devices;
pub mod file;
pub mod frame;
pub mod layers;
pub mod receive;
pub mod red;
pub mod send;
pub mod sink;
pub mod tones;
pub mod voice;

//! AV1: encoded by libaom, decoded by libdav1d, both of the system (the feature `av1`).

mod decoder;
mod encoder;
#[cfg(test)]
pub(crate) mod tests;

pub use decoder::Av1Decoder;
pub use encoder::Av1Encoder;

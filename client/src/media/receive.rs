//! From RTP to eye and ear: depacketizing, frame assembly, jitter, decoding.

pub mod assemble;
pub mod audio;
pub mod clock;
pub mod depacketize;
pub mod jitter;
pub mod video;
mod vp9;

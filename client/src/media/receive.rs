//! From RTP to eye and ear: depacketizing, frame assembly, jitter, decoding.

pub mod assemble;
pub mod audio;
mod av1;
pub mod clock;
pub mod delay;
pub mod depacketize;
pub mod freeze;
pub mod jitter;
pub mod pictures;
pub mod playout;
pub mod stretch;
pub mod sync;
pub mod timeline;
pub mod told;
pub mod video;
mod vp9;

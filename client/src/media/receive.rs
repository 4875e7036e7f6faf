//! From RTP to eye and ear: depacketizing, frame assembly, jitter, decoding.

pub mod assemble;
pub mod depacketize;
pub mod jitter;

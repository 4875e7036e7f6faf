//! What the first bytes of a frame tell, without decoding it. Pure.

pub mod bits;
pub mod vp9;

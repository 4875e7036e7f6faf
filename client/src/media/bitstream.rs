//! What the first bytes of a frame tell, without decoding it. Pure.

pub mod av1;
pub mod bits;
pub mod vp9;

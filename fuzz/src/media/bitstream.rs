//! The client's own files.

#[path = "../../../client/src/media/bitstream/av1.rs"]
pub mod av1;
#[path = "../../../client/src/media/bitstream/bits.rs"]
pub mod bits;
#[path = "../../../client/src/media/bitstream/vp9.rs"]
pub mod vp9;

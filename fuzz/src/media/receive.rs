//! The client's own files.

#[path = "../../../client/src/media/receive/assemble.rs"]
pub mod assemble;
#[path = "../../../client/src/media/receive/av1.rs"]
mod av1;
#[path = "../../../client/src/media/receive/delay.rs"]
pub mod delay;
#[path = "../../../client/src/media/receive/depacketize.rs"]
pub mod depacketize;
#[path = "../../../client/src/media/receive/jitter.rs"]
pub mod jitter;
#[path = "../../../client/src/media/receive/timeline.rs"]
pub mod timeline;
#[path = "../../../client/src/media/receive/vp9.rs"]
mod vp9;

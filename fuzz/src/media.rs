//! The client's own files, as far as its parsers need them: the client itself would bring every codec and device.

pub mod bitstream;
#[path = "../../client/src/media/clock.rs"]
pub mod clock;
#[path = "../../client/src/media/frame.rs"]
pub mod frame;
pub mod receive;

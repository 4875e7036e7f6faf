//! The client's own files, as far as its parsers need them: the client itself would bring every codec and device.

pub mod bitstream;
#[path = "../../client/src/media/clock.rs"]
pub mod clock;
#[path = "../../client/src/media/frame.rs"]
pub mod frame;
#[path = "../../client/src/media/layers.rs"]
pub mod layers;
pub mod receive;
#[path = "../../client/src/media/red.rs"]
pub mod red;
pub mod tones;

//! The client's own files.

#[path = "../../../client/src/media/tones/key.rs"]
mod key;
#[path = "../../../client/src/media/tones/receive.rs"]
pub mod receive;

pub use key::{Report, Tone, dialled};

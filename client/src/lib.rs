//! A full WebRTC peer for the command line, as a library.

pub mod event;
pub mod measure;
pub mod media;
pub mod net;
pub mod output;
pub mod peer;
pub mod signaling;

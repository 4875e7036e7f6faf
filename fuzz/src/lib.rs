//! What is fuzzed: one function for each target, which takes any bytes and panics when a promise is broken.
//!
//! The tests of the server and of the client include the files of their side and put the corpus through them.

#[allow(dead_code, reason = "some of it is for the client alone")]
mod e2ee;
/// Of the client's events, what its other files name.
mod event {
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Kind {
        Audio,
        Video,
    }
}
#[allow(dead_code, reason = "some of it is for the client alone")]
mod media;
#[allow(dead_code, reason = "some of it is for the client alone")]
mod net;
#[allow(dead_code, reason = "some of it is for the client alone")]
mod peer;
#[allow(dead_code, reason = "some of it is for the client alone")]
mod signaling;
pub mod dialects;
pub mod fec;
pub mod server;
pub mod transfer;

pub use peer::targets as client;

//! A full WebRTC peer for the command line, as a library.

pub mod cli;
pub mod control;
mod data;
mod doctor;
pub mod driven;
pub mod e2ee;
pub mod event;
pub mod exit;
mod expectations;
mod impair;
mod load;
pub mod measure;
pub mod media;
pub mod net;
pub mod options;
pub mod output;
pub mod peer;
mod preview;
mod quit;
pub mod run;
mod scenario;
pub mod session;
pub mod signaling;
pub mod trust;

pub use driven::join;
pub use session::Session;

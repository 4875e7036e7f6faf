//! A full WebRTC peer for the command line, as a library.

pub mod cli;
pub mod control;
mod doctor;
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
pub mod session;
pub mod signaling;
pub mod trust;

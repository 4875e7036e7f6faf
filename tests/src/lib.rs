//! What the end-to-end tests share: real binaries, real browsers, real devices.

pub mod sound;
pub mod tone;
pub mod browser;

//! What the end-to-end tests share: real binaries, real browsers, real devices.

pub mod alone;
pub mod browser;
pub mod coturn;
pub mod cut;
pub mod deployed;
#[cfg(target_os = "linux")]
pub mod display;
#[cfg(target_os = "linux")]
pub mod nat;
pub mod process;
pub mod redis;
pub mod server;
pub mod soak;
pub mod socketio;
pub mod sound;
pub mod tone;
pub mod trial;
pub mod vm;

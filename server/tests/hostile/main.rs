//! What is thrown at the server by those who mean it ill, or whose program is broken: over raw sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod corpus;
mod handshake;
mod holes;
mod input;
mod limits;
mod login;
mod page;
mod polling;
#[cfg(target_os = "linux")]
mod program;
mod rfc6455;
mod rig;
#[cfg(target_os = "linux")]
mod slow;
mod socketio;

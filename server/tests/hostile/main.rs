//! What is thrown at the server by those who mean it ill, or whose program is broken: over raw sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod corpus;
mod handshake;
mod input;
mod limits;
mod rfc6455;
mod rig;

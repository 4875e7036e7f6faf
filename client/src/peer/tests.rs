#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

//! Two peers in one process, over loopback sockets.

mod call;
mod corpus;
mod flows;
mod life;
mod media;
mod negotiation;
mod rig;

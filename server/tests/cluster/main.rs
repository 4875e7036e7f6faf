//! Several servers as one, around a real broker.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod broker;
mod clocks;
mod crowd;
mod cuts;
mod failures;
mod limits;
mod moves;
mod names;
mod regions;
mod rig;
mod rooms;
mod talk;
mod tls;
mod versions;
mod way;

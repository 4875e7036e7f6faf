//! WHIP and WHEP over real sockets, with a native member that answers by hand.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod access;
mod limits;
mod requests;
mod rig;
mod sessions;

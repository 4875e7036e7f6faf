//! The client's own files.

#[path = "../../client/src/net/turn/framing.rs"]
pub mod framing;

#[path = "../../client/src/net/shared/demux.rs"]
pub(crate) mod demux;

pub mod shared {
    pub(crate) use super::demux;
}

pub mod turn {
    pub use super::framing;
}

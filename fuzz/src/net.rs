//! The client's own files.

#[path = "../../client/src/net/turn/framing.rs"]
pub mod framing;

pub mod turn {
    pub use super::framing;
}

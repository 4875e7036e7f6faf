//! The client's own files.

#[path = "../../client/src/peer/sdp.rs"]
mod sdp;
#[path = "client.rs"]
pub mod targets;

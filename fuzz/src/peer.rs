//! The client's own files.

#[path = "../../client/src/peer/directions.rs"]
mod directions;
#[path = "../../client/src/peer/sdp.rs"]
mod sdp;
#[path = "../../client/src/peer/tone_names.rs"]
mod tone_names;
#[path = "client.rs"]
pub mod targets;

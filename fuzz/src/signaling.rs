//! The client's own files. Each folder of them has a file here, as the paths in it begin at a folder that must be there.

#[path = "../../client/src/signaling/gather.rs"]
pub(crate) mod gather;

pub(crate) mod copied;
pub(crate) mod http;
pub(crate) mod program;
pub(crate) mod whip;

#[path = "../../../client/src/signaling/http/link.rs"]
pub(crate) mod link;

#[path = "../../../client/src/signaling/whip/generation.rs"]
pub(crate) mod generation;

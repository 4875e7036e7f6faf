#[path = "../../../client/src/signaling/copied/text.rs"]
pub(crate) mod text;

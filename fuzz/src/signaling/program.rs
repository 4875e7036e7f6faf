#[path = "../../../client/src/signaling/program/line.rs"]
pub(crate) mod line;

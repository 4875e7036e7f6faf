#![allow(clippy::unwrap_used, clippy::panic)]

mod descriptions;
mod fragments;
mod sessions;

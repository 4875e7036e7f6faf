//! What peers come by beside the WebSocket of rtc.v1: each a thin edge around a pure dialect.

pub(crate) mod login;
pub(crate) mod socketio;
pub(crate) mod whip;

//! How peers reach the server besides `rtc.v1`'s own WebSocket: one file, or folder, for each transport.

pub(crate) mod socketio;

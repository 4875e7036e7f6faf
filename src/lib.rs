//! The language that clients, servers and the browser page speak.
//!
//! [`id`] holds checked names, [`message`] the frames of `rtc.v1`, [`signal`] what peers say to each other through the
//! server, [`dialect`] translators for pages written for other servers, [`limits`] every bound with its reason, and [`schema`] the JSON Schema of it all.
//!
//! Invariants: no socket, task or clock; every parser takes any bytes and answers with a typed error; payloads of
//! signals and application messages stay the sender's text ([`raw::Raw`]), so relaying them never builds a tree.

mod brief;
pub mod dialect;
pub mod id;
pub mod limits;
pub mod message;
pub mod raw;
pub mod schema;
pub mod signal;

pub use id::{AuthToken, CallId, Name, NameError, PeerId, RoomId, Token};
pub use message::{
    Callee, ClientFrame, ClientMessage, Dialect, ErrorCode, IceServer, Kind, LeaveReason, Limits,
    Member, ParseError, RefuseCode, Rejected, Right, Role, ServerFrame, ServerMessage,
};
pub use raw::Raw;
pub use signal::{Candidate, Description, SdpType, Signal, SignalError};

/// Name of the dialect, as the WebSocket subprotocol says it.
pub const SUBPROTOCOL: &str = "rtc.v1";

/// Path of the WebSocket on a server.
pub const WEBSOCKET_PATH: &str = "/ws";

/// WebSocket close codes of this dialect (RFC 6455 section 7.4.2: 4000 to 4999 are private).
pub mod close {
    /// The peer left on purpose, or the server has nothing more to say.
    pub const NORMAL: u16 = 1000;
    /// The server shuts down; reconnect later or elsewhere.
    pub const GOING_AWAY: u16 = 1001;
    /// A frame that breaks the rules of WebSocket itself (RFC 6455, section 5).
    pub const PROTOCOL: u16 = 1002;
    /// Binary where text was due.
    pub const UNSUPPORTED: u16 = 1003;
    /// Text that is not UTF-8.
    pub const NOT_UTF8: u16 = 1007;
    /// A message over the size limit.
    pub const TOO_LARGE: u16 = 1009;
    /// The server itself went wrong.
    pub const INTERNAL: u16 = 1011;
    /// The first message was no `hello`, or none came in time.
    pub const HELLO_FIRST: u16 = 4000;
    /// Another connection presented the same token.
    pub const TAKEN_OVER: u16 = 4001;
    /// The peer did not read what was sent to it.
    pub const SLOW_READER: u16 = 4002;
    /// The peer said nothing, heartbeats included.
    pub const SILENT: u16 = 4003;
    /// Too many messages that could not be understood.
    pub const BAD_MESSAGES: u16 = 4004;
    /// The server holds as many peers as it was told to.
    pub const FULL: u16 = 4005;
    /// The peer showed no token that lets it in.
    pub const NOT_AUTHORIZED: u16 = 4006;
}

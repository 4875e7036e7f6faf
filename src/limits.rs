//! Every bound of the protocol, each with its reason. Servers may set lower or higher ones and say so in `welcome`.

/// Bytes of one message. An offer with simulcast for six peers stays below 20 KiB; three times that leaves room for
/// application data and keeps a flood of the largest messages affordable.
pub const MESSAGE_BYTES: usize = 64 * 1024;

/// Bytes of a room's name: fits a URL's path segment even when each byte is percent-encoded.
pub const ROOM_NAME_BYTES: usize = 128;

/// Characters of a display name: one line of a screen.
pub const NAME_CHARS: usize = 64;

/// Characters of a call's id.
pub const CALL_ID_CHARS: usize = 64;

/// Characters of a reason or an agent's name: one line of a log.
pub const REASON_CHARS: usize = 256;

/// Shortest token: 22 base64url characters carry 132 bits, too many to guess.
pub const TOKEN_MIN: usize = 22;

/// Longest token: enough for 384 bits.
pub const TOKEN_MAX: usize = 64;

/// Nesting of a payload: twice what statistics or SDP in JSON need, half of what common parsers refuse.
pub const NESTING: usize = 64;

/// Rooms that one peer may be in, so that one socket cannot fill the server with rooms.
pub const ROOMS_PER_PEER: usize = 16;

/// Members of a room unless its creator says otherwise: a full mesh of six is what a laptop encodes.
pub const DEFAULT_CAPACITY: u16 = 6;

/// The highest capacity that a creator may ask for.
pub const ROOM_CAPACITY: u16 = 64;

/// Messages that wait for one peer, on a live socket or for its return. Two calls' worth of candidates for each member
/// of a full default room; beyond it the peer is not reading.
pub const QUEUE_MESSAGES: usize = 512;

/// Bytes that wait for one peer, for the same reason: 512 messages of the largest size would be 32 MiB. With what the
/// socket's own buffers hold, a peer that does not read costs less than a megabyte.
pub const QUEUE_BYTES: usize = 512 * 1024;

/// Calls that may ring at one peer at once; the next caller is told `busy`.
pub const RINGING_CALLS: usize = 8;

/// Calls, ringing or taken, that one peer may have at once; more would be a program's mistake or malice.
pub const CALLS_PER_PEER: usize = 32;

/// Milliseconds that a call rings: as long as telephones do, so that a person may come from the next room.
pub const RING_MS: u64 = 60_000;

/// Milliseconds that a lost peer's place is kept. Wi-Fi roaming and a laptop's short sleep fit in.
pub const RESUME_WINDOW_MS: u64 = 30_000;

/// Milliseconds between heartbeats: under the idle timeouts of common proxies (30 to 60 s).
pub const HEARTBEAT_MS: u64 = 15_000;

/// Milliseconds for the first message to come: a phone on a bad link answers within this.
pub const HELLO_MS: u64 = 10_000;

/// Messages a second that a peer may send in the long run, and `RATE_BURST` at once. A trickle of candidates to five
/// peers is about a hundred at once.
pub const RATE_PER_SECOND: u32 = 200;

/// Messages that a peer may send at once; see [`RATE_PER_SECOND`].
pub const RATE_BURST: u32 = 1_000;

/// Messages in a row that cannot be understood before the connection is closed.
pub const BAD_MESSAGES: u32 = 32;

/// Bytes of an event's name in Socket.IO: the longest known is under 20.
pub const EVENT_NAME_BYTES: usize = 64;

/// Arguments of one Socket.IO event: the most that any dialect has is three.
pub const EVENT_ARGS: usize = 8;

/// Candidates of one peer that a translator holds back until the description came that they belong to; a browser with
/// many addresses gathers a few dozen.
pub const HELD_CANDIDATES: usize = 64;

/// Requests of one page that a translator has passed on and not heard the answer to: as many as may come at once.
pub const OPEN_REQUESTS: usize = 1_000;

/// Events that a page may say between asking for a room and being in it: what a page says at its start, twice over.
/// They wait in a translator; the room core answers within milliseconds.
pub const HELD_EVENTS: usize = 8;

/// Milliseconds for which a peer that a moderator put out of a room is not let in again: long enough that it is no game to come
/// back at once, short enough that a mistake mends itself.
pub const PUT_OUT_MS: u64 = 300_000;

/// Decisions of moderators that one room remembers, of each kind: both senses of every member of the largest room.
pub const REMEMBERED: usize = 2 * ROOM_CAPACITY as usize;

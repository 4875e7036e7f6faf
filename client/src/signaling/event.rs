//! What the signaling tells its owner.

use rtc_protocol::{
    CallId, ErrorCode, IceServer, Kind, LeaveReason, Limits, Member, Name, PeerId, Raw, RefuseCode,
    Role, RoomId, SdpType, Signal,
};

use super::error::SignalingError;

/// What the signaling tells its owner, in the order in which it happened.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum SignalingEvent {
    /// This machine had no server; now one runs inside this process.
    ServerStarted {
        /// Its own page, as a person would type it.
        url: String,
    },
    /// The server knows us. Told on every new link, since secrets for STUN and TURN servers age.
    Welcome {
        /// Who we are; the same after every reconnect.
        me: PeerId,
        /// STUN and TURN servers to use.
        ice_servers: Vec<IceServer>,
        /// What the server allows.
        limits: Limits,
        /// The program and version that serves.
        server: String,
    },
    /// We are in the room, for the first time or, after `Back` without a resume, anew.
    ///
    /// Who was there before and is not in the list may still be on its way back to a new server.
    Joined {
        /// Which room.
        room: RoomId,
        /// Who we are.
        me: PeerId,
        /// What we may do.
        role: Role,
        /// How many may be in the room.
        capacity: u16,
        /// The others already inside.
        members: Vec<Member>,
        /// What a browser opens to join the same room.
        url: String,
    },
    /// We can be called now.
    Waiting {
        /// By this name.
        name: Name,
    },
    /// Somebody calls us.
    Rung {
        /// The call.
        call: CallId,
        /// Who.
        from: PeerId,
        /// The name it goes by.
        name: Name,
    },
    /// It rings at whom we call.
    Ringing,
    /// Whom we call takes the call.
    Accepted,
    /// Whom we call does not take the call.
    NotTaken {
        /// Why, for programs.
        code: RefuseCode,
        /// Why, for people.
        reason: Option<String>,
    },
    /// The other side of a call ended it, or is gone.
    HungUp {
        /// Which call; ours, or one that rang here.
        call: CallId,
    },
    /// Somebody came, or came back; then its id is one known already.
    PeerJoined {
        /// Who.
        member: Member,
    },
    /// Somebody went.
    PeerLeft {
        /// Who.
        peer: PeerId,
        /// Why.
        reason: LeaveReason,
    },
    /// A peer sets up a connection.
    Signal {
        /// Who.
        from: PeerId,
        /// What it says.
        signal: Signal,
    },
    /// A peer sent a signal that cannot be understood; it was skipped.
    BadSignal {
        /// Who.
        from: PeerId,
        /// What is wrong with it.
        why: String,
    },
    /// A peer says something that only the application understands.
    Message {
        /// Who.
        from: PeerId,
        /// What.
        data: Raw,
    },
    /// A peer's sound or picture went off or on.
    Muted {
        /// Whose; may be our own, by a moderator.
        peer: PeerId,
        /// Sound or picture.
        kind: Kind,
        /// Now off?
        muted: bool,
        /// Who did it.
        by: PeerId,
    },
    /// A peer became a moderator.
    Granted {
        /// Who.
        peer: PeerId,
        /// From whom.
        by: PeerId,
    },
    /// The administrator says something to everybody on the server.
    Broadcast {
        /// What.
        data: Raw,
    },
    /// We were put out of the room, and do not go back.
    Kicked {
        /// By whom.
        by: PeerId,
        /// Why, for people.
        reason: Option<String>,
    },
    /// The server refused something we asked; nothing changed.
    Refused {
        /// Why, for programs.
        code: ErrorCode,
        /// Why, for people.
        message: String,
    },
    /// The link was down for so long that messages had to be given up.
    Dropped {
        /// How many.
        messages: u64,
    },
    /// Somebody has to carry this to the far side.
    Copy {
        /// An offer or an answer.
        kind: SdpType,
        /// One line.
        text: String,
    },
    /// Something was not done, and that ends nothing.
    Notice {
        /// What, and what to do.
        text: String,
    },
    /// The server is about to close; the link comes back by itself.
    GoAway {
        /// Why, for people.
        reason: String,
    },
    /// The link is down; it is being mended, and what is said meanwhile is kept.
    Lost {
        /// What happened to it.
        reason: String,
    },
    /// The link is up again and we are in the room.
    Back {
        /// Whether the server still had our place; if not, `Joined` follows with the members there are now.
        resumed: bool,
    },
    /// It is over. Nothing follows.
    Fatal(SignalingError),
}

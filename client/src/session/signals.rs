//! Between the session's own words and the signaling's.

use rtc_protocol::{
    Dialect as WireDialect, IceServer as WireIceServer, LeaveReason, Member, Name, RoomId, SdpType,
    Token,
};

use crate::event::{Kind, PeerRef};
use crate::exit::Ending;
use crate::options::{CallOptions, IceServerOption, Purpose, SignalingOption};
use crate::peer::IceServer;
use crate::signaling::{
    AddressError, DIRECT, Dialect, DialectOptions, Errand, ErrorKind, SignalingError,
    SignalingOptions, Target, Via, WhipOptions,
};

/// How the call is signaled.
pub(super) fn via(options: &CallOptions) -> Result<Via, SignalingError> {
    Ok(match &options.signaling {
        SignalingOption::Server => Via::Server(Box::new(self::options(options)?)),
        SignalingOption::Dialect(dialect) => {
            Via::Dialect(Box::new(self::dialect(options, *dialect)?))
        }
        SignalingOption::Copied(begins) => Via::Copied {
            begins: *begins,
            room: direct(options)?,
        },
        SignalingOption::Program(command) => Via::Program {
            command: command.clone(),
            room: direct(options)?,
        },
        SignalingOption::Whip(flow, endpoint) => {
            let mut whip = WhipOptions::new(*flow, endpoint.clone());
            whip.token.clone_from(&options.token);
            whip.trust.clone_from(&options.trust);
            Via::Whip(Box::new(whip))
        }
    })
}

fn dialect(options: &CallOptions, dialect: Dialect) -> Result<DialectOptions, AddressError> {
    let (typed, callee) = match &options.purpose {
        Purpose::Room(room) => (room.as_str(), None),
        Purpose::Call(name) => (DIRECT, Some(name.clone())),
        Purpose::Wait { .. } => (DIRECT, None),
    };
    let Target { room, server } = Target::parse(typed, options.server.as_deref())?;
    let mut wanted = DialectOptions::new(dialect, server, room);
    wanted.callee = callee;
    if let Ok(name) = Name::new(&options.name) {
        wanted.name = Some(name);
    }
    wanted.token.clone_from(&options.token);
    wanted.trust.clone_from(&options.trust);
    Ok(wanted)
}

/// What both sides call a call that no server knows of.
fn direct(options: &CallOptions) -> Result<RoomId, AddressError> {
    let typed = match &options.purpose {
        Purpose::Room(room) => room.as_str(),
        Purpose::Call(_) | Purpose::Wait { .. } => DIRECT,
    };
    Ok(Target::parse(typed, None)?.room)
}

/// As webrtc-pc calls it.
pub(super) const fn description(kind: SdpType) -> &'static str {
    match kind {
        SdpType::Offer => "offer",
        SdpType::Pranswer => "pranswer",
        SdpType::Answer => "answer",
        SdpType::Rollback => "rollback",
    }
}

fn options(options: &CallOptions) -> Result<SignalingOptions, AddressError> {
    let server = options.server.as_deref();
    let mut signaling = match &options.purpose {
        Purpose::Room(room) => SignalingOptions::new(Target::parse(room, server)?),
        Purpose::Call(name) => {
            let mut signaling = SignalingOptions::new(Target::parse(&room_of_a_call(), server)?);
            signaling.errand = Errand::Call(name.clone());
            signaling.capacity = Some(2);
            signaling
        }
        Purpose::Wait { name, .. } => {
            let mut signaling = SignalingOptions::new(Target::parse(&room_of_a_call(), server)?);
            signaling.errand = Errand::Wait(name.clone());
            signaling
        }
    };
    signaling.trust.clone_from(&options.trust);
    signaling.auth.clone_from(&options.token);
    signaling.name = Name::new(&options.name).ok();
    Ok(signaling)
}

/// A room that nobody else knows of.
fn room_of_a_call() -> String {
    format!("call-{}", Token::from_random(rand::random()).peer_id())
}

pub(super) fn ending(error: &SignalingError) -> Ending {
    match error.kind() {
        ErrorKind::Usage => Ending::Usage,
        ErrorKind::NoServer => Ending::NoServer,
        ErrorKind::RoomFull => Ending::RoomFull,
        ErrorKind::Refused => Ending::Refused,
        ErrorKind::Lost => Ending::Lost,
        ErrorKind::NoSuchPeer => Ending::NoSuchPeer,
        ErrorKind::Busy => Ending::Busy,
    }
}

pub(super) fn peer_ref(member: &Member) -> PeerRef {
    PeerRef {
        id: member.peer.to_string(),
        name: member.name.to_string(),
    }
}

/// Whether a member is a publisher or player that speaks HTTP with the server.
pub(super) const fn is_by_http(dialect: Option<WireDialect>) -> bool {
    matches!(dialect, Some(WireDialect::Whip | WireDialect::Whep))
}

pub(super) const fn reason(reason: LeaveReason) -> &'static str {
    match reason {
        LeaveReason::Left => "left",
        LeaveReason::Lost => "lost",
        LeaveReason::Kicked => "kicked",
    }
}

pub(super) const fn kind(kind: rtc_protocol::Kind) -> Kind {
    match kind {
        rtc_protocol::Kind::Audio => Kind::Audio,
        rtc_protocol::Kind::Video => Kind::Video,
    }
}

/// What people call it.
pub(super) const fn sense(kind: Kind) -> &'static str {
    match kind {
        Kind::Audio => "sound",
        Kind::Video => "picture",
    }
}

pub(super) const fn media_kind(kind: Kind) -> rtc_protocol::Kind {
    match kind {
        Kind::Audio => rtc_protocol::Kind::Audio,
        Kind::Video => rtc_protocol::Kind::Video,
    }
}

/// The server's ICE servers and those of the command line.
pub(super) fn ice_servers(server: Vec<WireIceServer>, asked: &[IceServerOption]) -> Vec<IceServer> {
    let handed = server.into_iter().map(|server| IceServer {
        urls: server.urls,
        username: server.username.unwrap_or_default(),
        credential: server.credential.unwrap_or_default(),
    });
    let own = asked.iter().map(|server| IceServer {
        urls: vec![server.url.clone()],
        username: server.username.clone().unwrap_or_default(),
        credential: server.credential.clone().unwrap_or_default(),
    });
    handed.chain(own).collect()
}

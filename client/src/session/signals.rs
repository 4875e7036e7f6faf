//! Between the session's own words and the signaling's.

use rtc_protocol::{Dialect, IceServer as WireIceServer, LeaveReason, Member, Name};

use crate::event::{Kind, PeerRef};
use crate::exit::Ending;
use crate::options::{CallOptions, IceServerOption};
use crate::peer::IceServer;
use crate::signaling::{AddressError, ErrorKind, SignalingError, SignalingOptions, Target};

pub(super) fn options(options: &CallOptions) -> Result<SignalingOptions, AddressError> {
    let target = Target::parse(&options.room, options.server.as_deref())?;
    let mut signaling = SignalingOptions::new(target);
    signaling.auth.clone_from(&options.token);
    signaling.name = Name::new(&options.name).ok();
    Ok(signaling)
}

pub(super) fn ending(error: &SignalingError) -> Ending {
    match error.kind() {
        ErrorKind::Usage => Ending::Usage,
        ErrorKind::NoServer => Ending::NoServer,
        ErrorKind::RoomFull => Ending::RoomFull,
        ErrorKind::Refused => Ending::Refused,
        ErrorKind::Lost => Ending::Lost,
    }
}

pub(super) fn peer_ref(member: &Member) -> PeerRef {
    PeerRef {
        id: member.peer.to_string(),
        name: member.name.to_string(),
    }
}

/// Whether a member is a publisher or player that speaks HTTP with the server.
pub(super) const fn is_by_http(dialect: Option<Dialect>) -> bool {
    matches!(dialect, Some(Dialect::Whip | Dialect::Whep))
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

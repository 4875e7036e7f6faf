//! Why there is no signaling, or none any more.

use rtc_protocol::{ErrorCode, Name, RoomId};

use super::address::AddressError;
use super::http::HttpError;
use super::program::ProgramError;
use super::whip::refusal::Refusal;

/// What went wrong, sorted by what a person or a script does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// What was asked for makes no sense.
    Usage,
    /// Nobody there speaks our language, or proves to be who was asked for.
    NoServer,
    /// The room holds as many as it may.
    RoomFull,
    /// The server said no.
    Refused,
    /// Nobody there goes by the name that was called.
    NoSuchPeer,
    /// Who was called has no place for another call.
    Busy,
    /// It was there, and is there no more.
    Lost,
}

/// Why there is no signaling, or none any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignalingError {
    /// What was typed is neither a room nor a server.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// Nobody answers there.
    #[error("no server at {server}: {why}; {next}")]
    NoServer {
        /// Where we looked.
        server: String,
        /// What the network said.
        why: String,
        /// What to do.
        next: &'static str,
    },
    /// Somebody answers who cannot prove to be that server.
    #[error("{server} is not trusted: {why}")]
    Untrusted {
        /// Where.
        server: String,
        /// What is wrong with its certificate, and what to do.
        why: String,
    },
    /// Somebody answers, but in no language of ours.
    #[error(
        "{server} is no rtc.v1 server: {why}; check the URL, or start a server elsewhere and name it with --server"
    )]
    Nonsense {
        /// Where.
        server: String,
        /// What came instead.
        why: String,
    },
    /// Somebody answers, but not in the dialect that was asked for.
    #[error(
        "{server} does not speak {dialect}: {why}; check --server, or choose another dialect with --signaling"
    )]
    NoDialect {
        /// Where.
        server: String,
        /// Which dialect.
        dialect: &'static str,
        /// What came instead.
        why: String,
    },
    /// The server of this machine cannot be started.
    #[error("no server at {server}, and none can be started there: {why}; name one with --server")]
    CannotHost {
        /// Where it should have been.
        server: String,
        /// What the system said.
        why: String,
    },
    /// The room holds as many as it may.
    #[error("room `{room}` is full; choose another room, or wait until somebody leaves")]
    RoomFull {
        /// Which.
        room: RoomId,
    },
    /// Nobody there goes by the name that was called.
    #[error(
        "nobody called `{name}` can be called: {why}; wait with `rtc-client join --as {name}` there"
    )]
    NoSuchPeer {
        /// Whom we called.
        name: Name,
        /// The server's words.
        why: String,
    },
    /// Who was called has no place for another call.
    #[error("`{name}` is busy: {why}; try again later")]
    Busy {
        /// Whom we called.
        name: Name,
        /// The server's words.
        why: String,
    },
    /// The server said no.
    #[error("the server refused ({}): {message}", code.as_str())]
    Refused {
        /// Its code.
        code: ErrorCode,
        /// Its words.
        message: String,
    },
    /// The server does not let us in before we have even spoken.
    #[error("{server} does not let us in: {why}")]
    Barred {
        /// Which server.
        server: String,
        /// Its words.
        why: String,
    },
    /// Somebody else holds our secret and has taken our place.
    #[error(
        "another connection took over this peer's place; run only one client for each identity"
    )]
    TakenOver,
    /// An HTTP service does not answer.
    #[error(transparent)]
    Http(HttpError),
    /// A WHIP or WHEP service does not take our offer.
    #[error(transparent)]
    Refusal(#[from] Refusal),
    /// The program of the user's cannot carry signals.
    #[error(transparent)]
    Program(ProgramError),
    /// The signaling has ended; nothing can be sent any more.
    #[error("the signaling has ended; join again")]
    Ended,
}

impl SignalingError {
    /// Whether it is about what never was, though the handle to it stood: the words say all of it then.
    pub const fn is_of_a_first_exchange(&self) -> bool {
        matches!(
            self,
            Self::Http(_)
                | Self::Refusal(_)
                | Self::Program(_)
                | Self::Untrusted { .. }
                | Self::NoSuchPeer { .. }
                | Self::Busy { .. }
        )
    }

    /// Sorts the error by what to do next.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Address(_) => ErrorKind::Usage,
            Self::NoServer { .. }
            | Self::Untrusted { .. }
            | Self::Nonsense { .. }
            | Self::NoDialect { .. }
            | Self::CannotHost { .. } => ErrorKind::NoServer,
            Self::Http(_) => ErrorKind::NoServer,
            Self::Refusal(refusal) => refusal.kind,
            Self::Program(ProgramError::Says { .. }) => ErrorKind::Refused,
            Self::Program(_) => ErrorKind::NoServer,
            Self::RoomFull { .. } => ErrorKind::RoomFull,
            Self::NoSuchPeer { .. } => ErrorKind::NoSuchPeer,
            Self::Busy { .. } => ErrorKind::Busy,
            Self::Refused {
                code: ErrorCode::RoomFull,
                ..
            } => ErrorKind::RoomFull,
            Self::Refused { .. } | Self::Barred { .. } => ErrorKind::Refused,
            Self::TakenOver | Self::Ended => ErrorKind::Lost,
        }
    }
}

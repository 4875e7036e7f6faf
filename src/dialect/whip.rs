//! WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep): a publisher or a player that speaks HTTP.
//!
//! The server has no media engine, so neither protocol ends here: the offer of a publisher or player goes to one member
//! of the room, and that member's answer is what the HTTP request is answered with. [`session`] holds the rules of one
//! such session, [`sdp`] what is read from and written into descriptions, [`fragment`] the bodies of `PATCH` requests
//! (RFC 8840), [`partners`] who answers whom. All of it is pure; HTTP itself is the server's.

pub mod fragment;
pub mod partners;
pub mod sdp;
pub mod session;
#[cfg(test)]
mod tests;

pub use fragment::{Fragment, FragmentError};
pub use partners::Partners;
pub use sdp::{Offer, OfferError};
pub use session::{Input, Output, PartnerNotice, Patience, Plan, Refusal, Reply, Session};

use crate::message::Dialect;

/// Which way the media flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flow {
    /// From the HTTP side into the room: WHIP.
    Publish,
    /// From the room to the HTTP side: WHEP.
    Play,
}

impl Flow {
    /// Returns the dialect that the other members see.
    #[must_use]
    pub const fn dialect(self) -> Dialect {
        match self {
            Self::Publish => Dialect::Whip,
            Self::Play => Dialect::Whep,
        }
    }

    /// Returns the direction that the offer must have in the end.
    pub(crate) const fn direction(self) -> &'static str {
        match self {
            Self::Publish => "sendonly",
            Self::Play => "recvonly",
        }
    }
}

/// The `If-Match` header of a request (RFC 9110 section 13.1.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// There was none.
    Missing,
    /// `*`.
    Any,
    /// The strong tags that it lists; weak ones never match.
    Tags(Vec<String>),
}

impl Precondition {
    /// Reads the header's value.
    #[must_use]
    pub fn read(value: Option<&str>) -> Self {
        let Some(value) = value else {
            return Self::Missing;
        };
        if value
            .split(',')
            .any(|tag| tag.trim().trim_matches('"') == "*")
        {
            // Implementations of WHIP send it with and without quotes; RFC 9725 itself shows both.
            return Self::Any;
        }
        let tags = value.split(',').map(|tag| tag.trim().to_owned());
        Self::Tags(tags.filter(|tag| !tag.is_empty()).collect())
    }
}

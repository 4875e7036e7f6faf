//! What two peers tell each other through the signaling server.

/// Which half of an exchange a description is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DescriptionKind {
    /// Proposes.
    Offer,
    /// Accepts.
    Answer,
}

/// `RTCIceCandidateInit` of W3C webrtc-pc.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Candidate {
    /// The candidate attribute, RFC 8839 section 5.1.
    pub candidate: String,
    /// The media section it belongs to, by name.
    pub sdp_mid: Option<String>,
    /// The media section it belongs to, by place.
    pub sdp_m_line_index: Option<u16>,
    /// Which ICE session it belongs to.
    pub username_fragment: Option<String>,
}

/// One message of a negotiation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signal {
    /// A session description.
    Description {
        /// Offer or answer.
        kind: DescriptionKind,
        /// RFC 8866.
        sdp: String,
    },
    /// An address to try.
    Candidate(Candidate),
    /// No more addresses will come.
    EndOfCandidates,
    /// Asks the other side to restart ICE.
    Restart,
}

//! What two peers tell each other through the signaling server.

/// Kind of a session description (W3C webrtc-pc section 4.6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SdpType {
    /// Proposes.
    Offer,
    /// Accepts for now; never used by us.
    Pranswer,
    /// Accepts.
    Answer,
    /// Takes back; each side does so by itself.
    Rollback,
}

/// A session description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Its kind.
    pub kind: SdpType,
    /// RFC 8866.
    pub sdp: String,
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
    Description(Description),
    /// An address to try.
    Candidate(Candidate),
    /// No more addresses will come.
    EndOfCandidates,
    /// Asks the other side to restart ICE.
    Restart,
}

//! What a way of signaling lets two peers agree on.

/// What is possible beyond a first offer and its answer. The rest of a call asks this, and not how it is signaled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Further offers: for sources that come and go, for holding the call.
    pub renegotiates: bool,
    /// A new ICE generation in a running call.
    pub restarts: bool,
    /// Data channels beside media, chat among them.
    pub channels: bool,
    /// Media of the far side.
    pub receives: bool,
    /// There is one far side, and without it the call is over.
    pub pair: bool,
}

impl Terms {
    /// Of a room at a server of ours.
    pub const ROOM: Self = Self {
        renegotiates: true,
        restarts: true,
        channels: true,
        receives: true,
        pair: false,
    };
}

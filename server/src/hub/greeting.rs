//! What a peer says and shows when it comes.

use rtc_protocol::{Dialect, Name, Token};

use crate::access::{Denied, Rights};

/// What the first message of a connection said.
#[derive(Clone, Debug)]
pub struct Greeting {
    /// The request's id.
    pub id: Option<u64>,
    /// The peer's secret.
    pub token: Token,
    /// Whether it has been here, or at another node, before.
    pub returns: bool,
    /// The number of the last message that it had; absent when it begins anew.
    pub last_seq: Option<u64>,
    /// The name it goes by.
    pub name: Option<Name>,
    /// The dialect it is translated from; none for `rtc.v1` itself.
    pub dialect: Option<Dialect>,
    /// What it showed to be let in.
    pub pass: Pass,
}

/// What a peer showed to be let in.
#[derive(Clone, Debug, Default)]
pub enum Pass {
    /// Nobody has looked: what an open server gives to everybody, and nothing elsewhere.
    #[default]
    Unchecked,
    /// A token that gives these rights.
    Good(Rights),
    /// None that counts now; it gets back into a session that still stands, with the rights it had there, and nowhere
    /// else.
    ResumeOnly(Denied),
}

impl Greeting {
    /// Of a page that the server translates for: somebody new.
    #[must_use]
    pub const fn translated(token: Token, dialect: Dialect, name: Option<Name>) -> Self {
        Self {
            id: None,
            token,
            returns: false,
            last_seq: None,
            name,
            dialect: Some(dialect),
            pass: Pass::Unchecked,
        }
    }

    /// With the rights that its token gives.
    #[must_use]
    pub fn with_rights(mut self, rights: Rights) -> Self {
        self.pass = Pass::Good(rights);
        self
    }
}

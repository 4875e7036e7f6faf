//! What of the network was asked for.

use super::OptionError;
use crate::net::turn;

/// One `--ice-server`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IceServerOption {
    /// `stun:`, `turn:` or `turns:` and the rest.
    pub url: String,
    /// User name.
    pub username: Option<String>,
    /// Password.
    pub credential: Option<String>,
}

pub(super) fn ice_server(text: &str) -> Result<IceServerOption, OptionError> {
    let problem = |problem: &str| Err(OptionError::new("--ice-server", text, problem));
    let mut parts = text.splitn(3, ',').map(str::to_owned);
    let server = IceServerOption {
        url: parts.next().unwrap_or_default(),
        username: parts.next(),
        credential: parts.next(),
    };
    let known = ["stun:", "turn:", "turns:"]
        .iter()
        .any(|scheme| server.url.len() > scheme.len() && server.url.starts_with(scheme));
    if !known {
        return problem("it begins with stun:, turn: or turns: and a host");
    }
    if let Err(why) = turn::check(&server.url) {
        return problem(why);
    }
    if server.url.starts_with("turn") && server.credential.is_none() {
        return problem("TURN needs a user and a credential: turn:HOST:PORT,user,credential");
    }
    Ok(server)
}

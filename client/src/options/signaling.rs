//! `--signaling`, and the addresses of `publish` and `play`.

use rtc_protocol::dialect::whip::Flow;
use url::Url;

use super::{OptionError, Purpose};
use crate::signaling::{Begins, DIRECT, Dialect};

/// How the two sides come to know of each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SignalingOption {
    /// By a server of ours.
    #[default]
    Server,
    /// By text that people carry.
    Copied(Begins),
    /// By a server of another kind.
    Dialect(Dialect),
    /// By a program.
    Program(String),
    /// By somebody's WHIP or WHEP service.
    Whip(Flow, Url),
}

pub(super) fn parse(text: Option<&str>) -> Result<SignalingOption, OptionError> {
    let how = match text {
        None | Some("server") => SignalingOption::Server,
        Some("stdio") => SignalingOption::Copied(Begins::Us),
        Some("stdio:answer") => SignalingOption::Copied(Begins::Them),
        Some(text) => {
            if let Some(dialect) = Dialect::ALL.into_iter().find(|one| one.as_str() == text) {
                return Ok(SignalingOption::Dialect(dialect));
            }
            match text.strip_prefix("exec:").map(str::trim) {
                Some(command) if !command.is_empty() => {
                    SignalingOption::Program(command.to_owned())
                }
                _ => {
                    return Err(OptionError::new(
                        "--signaling",
                        text,
                        "write server, codelab, book, login, conference, stdio, stdio:answer or exec:COMMAND",
                    ));
                }
            }
        }
    };
    Ok(how)
}

/// Whom a call is for, by what is signaled by: what `join` was given, or why that is not enough.
pub(super) fn purpose(
    signaling: &SignalingOption,
    room: Option<String>,
    name: Option<&str>,
    auto_answer: bool,
) -> Result<Purpose, OptionError> {
    let wait = |name: &str| -> Result<Purpose, OptionError> {
        Ok(Purpose::Wait {
            name: super::checked_name("--as", name)?,
            auto_answer,
        })
    };
    let problem = |why: &str| Err(OptionError::new("ROOM", room.as_deref().unwrap_or(""), why));
    match (signaling, &room, name) {
        (SignalingOption::Dialect(Dialect::Login), Some(_), _) => problem(
            "this dialect has names and no rooms; leave ROOM out, wait with --as NAME, or call with `rtc-client call NAME`",
        ),
        (SignalingOption::Dialect(Dialect::Login), None, None) => {
            problem("log in with --as NAME to be called by it")
        }
        (SignalingOption::Dialect(Dialect::Login) | SignalingOption::Server, None, Some(name)) => {
            wait(name)
        }
        (_, Some(room), _) => Ok(Purpose::Room(room.clone())),
        (SignalingOption::Dialect(_), None, _) => problem("name a room to join it"),
        (SignalingOption::Server, None, None) => {
            problem("name a room to join it, or wait to be called with --as NAME alone")
        }
        (_, None, _) => Ok(Purpose::Room(DIRECT.to_owned())),
    }
}

/// How `call` is signaled: by a server where names can be called.
pub(super) fn of_call(text: Option<&str>) -> Result<SignalingOption, OptionError> {
    match parse(text)? {
        how @ (SignalingOption::Server | SignalingOption::Dialect(Dialect::Login)) => Ok(how),
        _ => Err(OptionError::new(
            "--signaling",
            text.unwrap_or_default(),
            "names can be called by server and by login",
        )),
    }
}

/// The address of an endpoint.
pub(super) fn endpoint(flow: Flow, text: &str) -> Result<SignalingOption, OptionError> {
    let problem = |why: &str| Err(OptionError::new("URL", text, why));
    let Ok(mut url) = Url::parse(text.trim()) else {
        return problem("write the endpoint's whole address: https://example.org/whip/stream");
    };
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return problem("it begins with https:// or http:// and a host");
    }
    if !url.username().is_empty() || url.password().is_some() {
        // Not shown: it holds a secret.
        return Err(OptionError::new(
            "URL",
            "…",
            "it holds a user name or password, which is not supported; services take a token: --token",
        ));
    }
    url.set_fragment(None);
    Ok(SignalingOption::Whip(flow, url))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn each_way_has_its_word() {
        assert_eq!(parse(None), Ok(SignalingOption::Server));
        assert_eq!(
            parse(Some("stdio")),
            Ok(SignalingOption::Copied(Begins::Us))
        );
        assert_eq!(
            parse(Some("stdio:answer")),
            Ok(SignalingOption::Copied(Begins::Them))
        );
        let program = SignalingOption::Program("relay.py --room 'a b'".to_owned());
        assert_eq!(parse(Some("exec:relay.py --room 'a b'")), Ok(program));
        for dialect in Dialect::ALL {
            let how = Ok(SignalingOption::Dialect(dialect));
            assert_eq!(parse(Some(dialect.as_str())), how);
        }
        for bad in ["", "Codelab", "exec:", "exec: ", "stdin", "stdio:offer"] {
            let error = parse(Some(bad)).unwrap_err().to_string();
            assert!(error.contains("stdio:answer"), "{error}");
        }
    }

    #[test]
    fn rooms_are_for_those_that_have_rooms_and_names_for_those_that_have_names() {
        let room = || Some("foo".to_owned());
        let of = |how, room, name| purpose(&how, room, name, false);
        let codelab = SignalingOption::Dialect(Dialect::Codelab);
        let login = SignalingOption::Dialect(Dialect::Login);
        let inside = Ok(Purpose::Room("foo".to_owned()));
        assert_eq!(of(codelab.clone(), room(), Some("ann")), inside);
        assert!(of(codelab, None, Some("ann")).is_err());
        for how in [login.clone(), SignalingOption::Server] {
            let waits = of(how.clone(), None, Some("ann"));
            assert!(matches!(waits, Ok(Purpose::Wait { .. })), "{waits:?}");
            assert!(of(how, None, None).is_err());
        }
        assert!(of(login, room(), Some("ann")).is_err());
        let copied = SignalingOption::Copied(Begins::Us);
        let direct = Ok(Purpose::Room(DIRECT.to_owned()));
        assert_eq!(of(copied, None, Some("ann")), direct);
        assert!(of_call(Some("login")).is_ok() && of_call(None).is_ok());
        assert!(of_call(Some("codelab")).is_err() && of_call(Some("stdio")).is_err());
    }

    #[test]
    fn an_endpoint_is_a_whole_address_without_secrets() {
        let read = |text| endpoint(Flow::Publish, text);
        let url = "https://example.org/whip/a?b=c".parse().unwrap();
        assert_eq!(
            read("https://example.org/whip/a?b=c#d"),
            Ok(SignalingOption::Whip(Flow::Publish, url))
        );
        for bad in ["example.org/whip", "wss://example.org/whip", "http://"] {
            assert!(read(bad).is_err(), "{bad}");
        }
        let error = read("https://ann:secret@example.org/")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("--token") && !error.contains("secret"),
            "{error}"
        );
    }
}

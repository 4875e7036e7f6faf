//! `--signaling`, and the addresses of `publish` and `play`.

use rtc_protocol::dialect::whip::Flow;
use url::Url;

use super::OptionError;
use crate::signaling::Begins;

/// How the two sides come to know of each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SignalingOption {
    /// By a server of ours.
    #[default]
    Server,
    /// By text that people carry.
    Copied(Begins),
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
        Some(text) => match text.strip_prefix("exec:").map(str::trim) {
            Some(command) if !command.is_empty() => SignalingOption::Program(command.to_owned()),
            _ => {
                return Err(OptionError::new(
                    "--signaling",
                    text,
                    "write server, stdio, stdio:answer or exec:COMMAND",
                ));
            }
        },
    };
    Ok(how)
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
        for bad in ["", "exec:", "exec: ", "stdin", "stdio:offer"] {
            let error = parse(Some(bad)).unwrap_err().to_string();
            assert!(error.contains("stdio:answer"), "{error}");
        }
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

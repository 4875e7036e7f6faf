//! What of the network was asked for.

use std::ops::RangeInclusive;

use super::OptionError;
use crate::cli::NetworkFlags;
use crate::net::interfaces::{self, Address, Choice, Family, Listed};
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

pub(crate) fn ice_server(text: &str) -> Result<IceServerOption, OptionError> {
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

/// `--interface`, `--ports`, `--ipv4` and `--ipv6`.
pub(super) fn choice(typed: NetworkFlags) -> Result<Choice, OptionError> {
    let present = if typed.interface.is_empty() {
        Vec::new()
    } else {
        interfaces::present().map_err(|error| {
            let names = typed.interface.join(" ");
            OptionError::new(
                "--interface",
                &names,
                format!("the system does not say what there is ({error})"),
            )
        })?
    };
    chosen(&typed, &present)
}

fn chosen(typed: &NetworkFlags, present: &[Address]) -> Result<Choice, OptionError> {
    let mut choice = Choice {
        family: match (typed.ipv4, typed.ipv6) {
            (true, _) => Some(Family::V4),
            (_, true) => Some(Family::V6),
            _ => None,
        },
        ports: typed.ports.as_deref().map(ports).transpose()?,
        ..Choice::default()
    };
    for text in &typed.interface {
        let problem = |what: String| OptionError::new("--interface", text, what);
        let (name, list) = match text.strip_prefix('!') {
            Some(name) => (name, &mut choice.without),
            None => (text.as_str(), &mut choice.interfaces),
        };
        if name.is_empty() {
            return Err(problem(
                "write the name of an interface, or !NAME for all but that one".into(),
            ));
        }
        // One that is to be left out may well not be there.
        if name == text && !present.iter().any(|one| one.interface == name) {
            let listed = Listed(present);
            return Err(problem(format!(
                "there is none of that name that is up and has an address; there is {listed}"
            )));
        }
        list.push(name.to_owned());
    }
    if !typed.interface.is_empty() && choice.of(present).is_empty() {
        return Err(OptionError::new(
            "--interface",
            &typed.interface.join(" "),
            format!("nothing is left to use; there is {}", Listed(present)),
        ));
    }
    Ok(choice)
}

fn ports(text: &str) -> Result<RangeInclusive<u16>, OptionError> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (first.trim().parse(), last.trim().parse()) {
        (Ok(first), Ok(last)) if 0 < first && first <= last => Ok(first..=last),
        _ => Err(OptionError::new(
            "--ports",
            text,
            "write two ports between 1 and 65535, the lower one first: 50000-50100",
        )),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn machine() -> Vec<Address> {
        [
            ("eth0", "192.0.2.7"),
            ("lo", "127.0.0.1"),
            ("tun0", "2001:db8::1"),
        ]
        .map(|(interface, ip)| Address {
            interface: interface.to_owned(),
            ip: ip.parse().unwrap(),
        })
        .to_vec()
    }

    fn asked(interfaces: &[&str], ipv4: bool) -> Result<Choice, String> {
        let typed = NetworkFlags {
            interface: interfaces.iter().map(|&name| name.to_owned()).collect(),
            ports: None,
            udp_port: None,
            ipv4,
            ipv6: false,
            ice_tcp: false,
            mdns: false,
        };
        chosen(&typed, &machine()).map_err(|error| error.to_string())
    }

    #[test]
    fn an_interface_is_named_or_left_out_by_name() {
        let choice = asked(&["eth0", "!docker0"], false).unwrap();
        assert_eq!(choice.interfaces, ["eth0"]);
        assert_eq!(choice.without, ["docker0"]);
        let error = asked(&["eth1"], false).unwrap_err();
        assert!(error.contains("--interface \"eth1\""), "{error}");
        assert!(
            error.contains("eth0 (192.0.2.7), lo (127.0.0.1), tun0"),
            "{error}"
        );
        assert!(asked(&["!"], false).is_err());
        let error = asked(&["tun0"], true).unwrap_err();
        assert!(error.contains("nothing is left"), "{error}");
    }

    #[test]
    fn ports_are_one_or_two_in_order() {
        assert_eq!(ports("5000-5010"), Ok(5000..=5010));
        assert_eq!(ports("5000"), Ok(5000..=5000));
        for bad in ["", "0-5", "9-5", "1-70000", "a-b", "1-2-3"] {
            assert!(ports(bad).is_err(), "{bad}");
        }
    }
}

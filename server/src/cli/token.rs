//! `rtc-server token`: a room token on standard output.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::Args;
use rtc_protocol::{Name, RoomId};

use crate::access::{Claims, Power, Rooms, SigningKey};

const EXAMPLES: &str = "\
Examples:
  openssl rand -hex 32 > secret.txt
  rtc-server --auth-secret secret.txt
  rtc-server token --auth-secret secret.txt --room foo --name Ann
  rtc-server token --auth-secret secret.txt --room foo --right moderate --expires 8h
  rtc-server token --auth-secret secret.txt --room '*' --right admin --expires 10m
  rtc-client join foo --token \"$(rtc-server token --auth-secret secret.txt --room foo)\"

With a pair of keys, the server never holds what tokens are made with:
  openssl genpkey -algorithm ed25519 -out private.pem
  openssl pkey -in private.pem -pubout -out public.pem
  rtc-server --auth-public-key public.pem
  rtc-server token --private-key private.pem --room foo";

/// Make a room token and print it, and nothing else.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct TokenFlags {
    #[command(flatten)]
    key: KeyFlags,

    /// Room that it is for; repeatable, * for all.
    #[arg(long, value_name = "ROOM", required = true, value_parser = room)]
    room: Vec<OneRoom>,

    /// The name that its holder goes by, whatever else it says.
    #[arg(long)]
    name: Option<Name>,

    /// What its holder may do; repeatable. Without it: join and publish. To moderate includes both.
    #[arg(long = "right", value_name = "RIGHT")]
    rights: Vec<Power>,

    /// How long it is good for: 90s, 30m, 2h, 7d.
    #[arg(long, value_name = "TIME", default_value = "2h", value_parser = time)]
    expires: Duration,

    /// When it begins to be good, from now on.
    #[arg(long, value_name = "TIME", value_parser = time)]
    not_before: Option<Duration>,

    /// Whose it is, in your own books.
    #[arg(long, value_name = "TEXT")]
    subject: Option<String>,
}

#[derive(Args, Clone, Debug)]
#[group(required = true, multiple = false)]
struct KeyFlags {
    /// Sign with the server's own secret (HS256).
    #[arg(long, value_name = "FILE|env:NAME", value_parser = SigningKey::read_secret)]
    auth_secret: Option<SigningKey>,

    /// Sign with a private key (Ed25519, PEM).
    #[arg(long, value_name = "FILE|env:NAME", value_parser = SigningKey::read_private)]
    private_key: Option<SigningKey>,
}

impl TokenFlags {
    /// The token, made at `unix` seconds since 1970; none without a key, which the flags ask for.
    pub(super) fn token(&self, unix: f64) -> Option<String> {
        let key = self.key.auth_secret.as_ref();
        let key = key.or(self.key.private_key.as_ref())?;
        let now = unix.floor();
        let claims = Claims {
            room: self.rooms(),
            name: self.name.clone(),
            rights: self.powers(),
            exp: now + self.expires.as_secs_f64(),
            nbf: self.not_before.map(|later| now + later.as_secs_f64()),
            iat: Some(now),
            sub: self.subject.clone(),
            aud: None,
        };
        Some(key.token(&claims))
    }

    fn rooms(&self) -> Rooms {
        let named = self.room.iter().map(|room| match room {
            OneRoom::Every => None,
            OneRoom::Named(room) => Some(room.clone()),
        });
        named
            .collect::<Option<_>>()
            .map_or(Rooms::All, Rooms::Named)
    }

    fn powers(&self) -> BTreeSet<Power> {
        let mut powers: BTreeSet<Power> = self.rights.iter().copied().collect();
        if powers.is_empty() || powers.contains(&Power::Moderate) {
            powers.extend(Power::usual());
        }
        powers
    }
}

#[derive(Clone, Debug)]
enum OneRoom {
    Every,
    Named(RoomId),
}

fn room(text: &str) -> Result<OneRoom, rtc_protocol::NameError> {
    match text {
        "*" => Ok(OneRoom::Every),
        name => RoomId::new(name).map(OneRoom::Named),
    }
}

fn time(text: &str) -> Result<Duration, String> {
    let read = || {
        let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
        let seconds = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 60 * 60,
            "d" => 24 * 60 * 60,
            _ => return None,
        };
        number.parse::<u32>().ok()?.checked_mul(seconds)
    };
    match read() {
        Some(seconds) if seconds > 0 => Ok(Duration::from_secs(seconds.into())),
        _ => Err("give a number and its unit, as in 90s, 30m, 2h or 7d".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        flags: TokenFlags,
    }

    fn parse(arguments: &[&str]) -> Result<TokenFlags, clap::Error> {
        let secret = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let line = ["token", "--auth-secret", secret];
        let line = line.iter().chain(arguments);
        Line::try_parse_from(line).map(|line| line.flags)
    }

    #[test]
    fn times_have_a_unit() {
        assert_eq!(time("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(time("2h"), Ok(Duration::from_secs(7200)));
        assert_eq!(time("7d"), Ok(Duration::from_secs(604_800)));
        for bad in [
            "",
            "h",
            "2",
            "0s",
            "-1h",
            "2w",
            "1.5h",
            "99999999999d",
            "50000d",
            "2é",
        ] {
            assert!(time(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn to_moderate_includes_what_it_needs() {
        let powers = |arguments: &[&str]| parse(arguments).unwrap().powers();
        assert_eq!(powers(&["--room", "foo"]), Power::usual());
        assert_eq!(
            powers(&["--room", "foo", "--right", "join"]),
            [Power::Join].into()
        );
        assert_eq!(
            powers(&["--room", "foo", "--right", "moderate"]),
            [Power::Join, Power::Publish, Power::Moderate].into()
        );
    }

    #[test]
    fn a_star_among_the_rooms_is_all_of_them() {
        let rooms = |arguments: &[&str]| parse(arguments).unwrap().rooms();
        assert_eq!(rooms(&["--room", "foo", "--room", "*"]), Rooms::All);
        let foo = RoomId::new("foo").unwrap();
        assert_eq!(rooms(&["--room", "foo"]), Rooms::Named([foo].into()));
    }

    #[test]
    fn what_makes_no_token_is_refused() {
        for bad in [
            &[][..],
            &["--room", "a/b"],
            &["--room", "foo", "--right", "fly"],
            &["--room", "foo", "--expires", "soon"],
            &["--room", "foo", "--name", ""],
            &["--room", "foo", "--private-key", "/no/such/file"],
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}

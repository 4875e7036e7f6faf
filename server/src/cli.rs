//! The command line of `rtc-server`.

mod limits;

use std::net::SocketAddr;
use std::time::Duration;

use clap::{CommandFactory, Parser};
use rtc_protocol::IceServer;

use crate::{Config, Network, config};

const EXAMPLES: &str = "\
Examples:
  rtc-server                                   listen at 127.0.0.1:8080
  rtc-server --listen 0.0.0.0:8080             for other machines, too
  rtc-server --ice-server stun:stun.example.org:3478
  rtc-client join foo --server http://localhost:8080

Exit codes: 0 stopped as asked, 1 failed (an address in use), 2 usage";

/// WebRTC signaling in one small binary, with a browser peer inside.
#[derive(Debug, Parser)]
#[command(name = "rtc-server", version, about, after_help = EXAMPLES, max_term_width = 100)]
pub struct Cli {
    /// Where to listen, localhost:PORT for both of its addresses; repeatable.
    #[arg(
        long,
        value_name = "ADDR:PORT",
        default_value = "127.0.0.1:8080",
        env = "RTC_SERVER_LISTEN",
        value_delimiter = ',',
        value_parser = listen
    )]
    listen: Vec<Listen>,

    /// STUN or TURN server to hand out: URL[,user[,credential]]; repeatable.
    #[arg(long, value_name = "URL[,USER[,CREDENTIAL]]", value_parser = ice_server)]
    ice_server: Vec<IceServer>,

    /// Origin whose pages may connect beside the server's own; repeatable, * for all.
    #[arg(long, value_name = "ORIGIN")]
    allow_origin: Vec<String>,

    /// Peers on WebSockets at once.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    max_connections: usize,

    /// Connections of any kind from one address (of IPv6: from one /64).
    #[arg(long, value_name = "N", default_value_t = config::CONNECTIONS_PER_ADDRESS)]
    max_per_address: usize,

    /// Network that --max-per-address does not hold for, as a proxy's; repeatable, or none.
    #[arg(long, value_name = "ADDR[/BITS]", default_value = "127.0.0.0/8,::1", value_delimiter = ',', value_parser = exempt)]
    exempt: Vec<Exempt>,

    /// Seconds for a request's headers to come; an idle connection is kept as long.
    #[arg(long, value_name = "SECONDS", default_value_t = config::HEADER_TIME.as_secs(), value_parser = clap::value_parser!(u64).range(1..=300))]
    header_timeout: u64,

    /// Members of a room where its maker says nothing.
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u16).range(1..=64))]
    room_capacity: u16,

    /// Seconds that a lost peer's place is kept.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    resume_window: u64,

    #[command(flatten)]
    limits: limits::Limits,

    /// Say more on standard error: -v, -vv, -vvv.
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,

    /// Print a completion script for a shell and end.
    #[arg(long, value_name = "SHELL")]
    completions: Option<clap_complete::Shell>,

    /// Print the manual page (troff) and end.
    #[arg(long)]
    man: bool,
}

impl Cli {
    /// How much is asked to be said.
    #[must_use]
    pub const fn verbosity(&self) -> u8 {
        self.verbose
    }

    /// A text that is to be printed instead of serving.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn text(&self) -> std::io::Result<Option<Vec<u8>>> {
        let mut text = Vec::new();
        if let Some(shell) = self.completions {
            clap_complete::generate(shell, &mut Self::command(), "rtc-server", &mut text);
        } else if self.man {
            clap_mangen::Man::new(Self::command()).render(&mut text)?;
        } else {
            return Ok(None);
        }
        Ok(Some(text))
    }

    /// What was asked for.
    #[must_use]
    pub fn config(self) -> Config {
        let config = Config {
            listen: self.listen.into_iter().flat_map(|one| one.0).collect(),
            ice_servers: self.ice_server,
            allow_origins: self.allow_origin,
            connections: self.max_connections,
            connections_per_address: self.max_per_address,
            exempt: self.exempt.into_iter().filter_map(|one| one.0).collect(),
            header_time: Duration::from_secs(self.header_timeout),
            default_capacity: self.room_capacity,
            resume_window: Duration::from_secs(self.resume_window),
            ..Config::default()
        };
        self.limits.apply(config)
    }
}

/// The addresses that one `--listen` means.
#[derive(Clone, Debug)]
struct Listen(Vec<SocketAddr>);

fn listen(text: &str) -> Result<Listen, String> {
    if let Some(port) = text.strip_prefix("localhost:") {
        let port = port
            .parse()
            .map_err(|_| format!("{port:?} is no port; give a number from 0 to 65535"))?;
        return Ok(Listen(Config::localhost(port).listen));
    }
    text.parse()
        .map(|address| Listen(vec![address]))
        .map_err(|_| "give an IP address and a port, as in 127.0.0.1:8080 or [::1]:8080".to_owned())
}

/// A network, or none at all.
#[derive(Clone, Debug)]
struct Exempt(Option<Network>);

fn exempt(text: &str) -> Result<Exempt, crate::listener::NetworkError> {
    match text {
        "none" => Ok(Exempt(None)),
        network => network.parse().map(|network| Exempt(Some(network))),
    }
}

/// Checks what browsers would otherwise refuse to make a connection with (W3C webrtc-pc, section 4.2.3).
fn ice_server(text: &str) -> Result<IceServer, String> {
    let mut parts = text.splitn(3, ',').map(str::to_owned);
    let url = parts.next().unwrap_or_default();
    let (username, credential) = (parts.next(), parts.next());
    let (scheme, rest) = url.split_once(':').unwrap_or_default();
    if rest.is_empty() || rest.starts_with('/') || rest.contains(char::is_whitespace) {
        return Err("give a URL as in stun:stun.example.org:3478".into());
    }
    match scheme {
        "stun" | "stuns" => {}
        "turn" | "turns" if username.is_some() && credential.is_some() => {}
        "turn" | "turns" => {
            return Err(
                "TURN needs a user and a credential: turn:HOST:PORT,USER,CREDENTIAL".into(),
            );
        }
        _ => return Err(format!("{scheme:?} is none of stun, stuns, turn and turns")),
    }
    Ok(IceServer {
        urls: vec![url],
        username,
        credential,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Config, clap::Error> {
        let arguments = std::iter::once(&"rtc-server").chain(arguments);
        Cli::try_parse_from(arguments).map(Cli::config)
    }

    #[test]
    fn addresses_are_repeatable_and_localhost_means_itself() {
        let config = parse(&["--listen", "127.0.0.1:8181", "--listen", "localhost:9090"]).unwrap();
        let all: Vec<_> = config.listen.iter().map(ToString::to_string).collect();
        assert_eq!(all[..2], ["127.0.0.1:8181", "127.0.0.1:9090"]);
        assert!(all[2..].iter().all(|one| one == "[::1]:9090"));
        assert!(parse(&["--listen", "localhost:port"]).is_err());
        assert!(parse(&["--listen", "8080"]).is_err());
    }

    #[test]
    fn ice_servers_are_checked_before_anybody_gets_them() {
        let config = parse(&["--ice-server", "turn:t.example:3478,ann,a,b"]).unwrap();
        let server = &config.ice_servers[0];
        assert_eq!(server.urls, ["turn:t.example:3478"]);
        assert_eq!(server.username.as_deref(), Some("ann"));
        assert_eq!(server.credential.as_deref(), Some("a,b"));
        assert!(parse(&["--ice-server", "stun:s.example"]).is_ok());
        for bad in [
            "",
            "stun:",
            "s.example",
            "http://s.example",
            "stun://s",
            "turn:t,ann",
        ] {
            assert!(parse(&["--ice-server", bad]).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}

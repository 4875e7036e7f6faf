//! The command line of `rtc-server`.

mod access;
mod cluster;
mod limits;
mod logs;
mod tls;
mod token;
#[cfg(feature = "otel")]
mod traces;
mod turn;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{CommandFactory, Parser, Subcommand};
use rtc_protocol::IceServer;

use crate::access::Moment;
use crate::cluster::{ClusterConfig, ClusterError};
use crate::tls::{Tls, TlsError};
use crate::{Config, Folder};
use access::AccessFlags;
use cluster::ClusterFlags;
use limits::LimitFlags;
pub use logs::{LogFlags, LogFormat};
use tls::TlsFlags;
use token::TokenFlags;
#[cfg(feature = "otel")]
pub use traces::Collector;
use turn::TurnFlags;

const EXAMPLES: &str = "\
Examples:
  rtc-server                                   listen at 127.0.0.1:8080
  rtc-server --listen 0.0.0.0:8080             for other machines, too
  rtc-server --ice-server stun:stun.example.org:3478
  rtc-server --listen 0.0.0.0:8080 --turn 0.0.0.0:3478    STUN and TURN, too
  rtc-server --root DIR --listen 127.0.0.1:8080 --listen 127.0.0.1:8181
                                               pages of one's own, where they look for their server
  rtc-server --config /etc/rtc-server.toml     settings from a file
  rtc-server --config FILE config show         what they amount to, and where each comes from
  rtc-server --listen 0.0.0.0:8443 --tls-self-signed      try it from your phone
  rtc-server --auth-secret secret.txt          for holders of room tokens only
  rtc-server --cluster redis://127.0.0.1:6379  one of several servers that are one
  rtc-server token --auth-secret secret.txt --room foo
  rtc-client join foo --server http://localhost:8080

Every flag is a variable, too (--room-capacity: RTC_SERVER_ROOM_CAPACITY), and a key of the file.

Exit codes: 0 stopped as asked, 1 failed (an address in use), 2 usage, settings";

/// WebRTC signaling in one small binary, with a browser peer inside.
#[derive(Debug, Parser)]
#[command(name = "rtc-server", version, about, after_help = EXAMPLES, max_term_width = 100)]
pub struct Cli {
    /// Where to listen, localhost:PORT for both of its addresses; repeatable.
    #[arg(
        long,
        value_name = "ADDR:PORT",
        default_value = "127.0.0.1:8080",
        value_delimiter = ',',
        value_parser = listen
    )]
    listen: Vec<Listen>,

    /// STUN or TURN server to hand out: URL[,user[,credential]]; repeatable.
    #[arg(long, value_name = "URL[,USER[,CREDENTIAL]]", hide_env_values = true, value_parser = ice_server)]
    ice_server: Vec<IceServer>,

    /// Origin whose pages may connect beside the server's own; repeatable, * for all.
    #[arg(long, value_name = "ORIGIN")]
    allow_origin: Vec<String>,

    /// Serve the files of this folder, too: pages of one's own. It is looked into first.
    #[arg(long, value_name = "DIR", value_parser = root)]
    root: Option<Folder>,

    /// Seconds that calls in progress may last after the first SIGTERM, Ctrl-C or POST /api/drain.
    #[arg(long, value_name = "SECONDS", default_value_t = 300, help_heading = "End", value_parser = clap::value_parser!(u64).range(0..=86_400))]
    drain_deadline: u64,

    /// Where peers are told to go when the server drains or stops: another server's address.
    #[arg(long, value_name = "URL", help_heading = "End", value_parser = server_url)]
    drain_url: Option<String>,

    /// Read settings from this file (TOML); flags and variables win over it.
    #[arg(long, value_name = "FILE", hide_env = true)]
    config: Option<PathBuf>,

    /// Print a completion script for a shell and end.
    #[arg(long, value_name = "SHELL", hide_env = true)]
    completions: Option<clap_complete::Shell>,

    /// Print the manual page (troff) and end.
    #[arg(long, hide_env = true)]
    man: bool,

    // Groups of flags with a heading of their own come last: it would hold for all that follow.
    #[command(flatten)]
    limits: LimitFlags,

    #[command(flatten)]
    access: AccessFlags,

    #[command(flatten)]
    logs: LogFlags,

    #[command(flatten)]
    tls: TlsFlags,

    #[command(flatten)]
    turn: TurnFlags,

    #[command(flatten)]
    cluster: ClusterFlags,

    #[cfg(feature = "otel")]
    #[command(flatten)]
    traces: traces::TraceFlags,

    /// What to do instead of serving.
    #[command(subcommand)]
    task: Option<Task>,
}

/// What to do instead of serving.
#[derive(Clone, Debug, Subcommand)]
pub enum Task {
    /// Ask the server that would listen at --listen whether it is alive; for containers. Over TLS any certificate will do.
    Health,
    /// Look at the settings that would be used; they are given before this word.
    #[command(subcommand)]
    Config(ConfigTask),
    /// Make a room token and print it, and nothing else.
    Token(Box<TokenFlags>),
}

/// What to do with the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub enum ConfigTask {
    /// Say whether they are right.
    Check,
    /// Print them as a file of settings, and where each came from. Secrets are not shown.
    Show,
}

impl Cli {
    /// What is to be said about what happens.
    #[must_use]
    pub const fn logs(&self) -> &LogFlags {
        &self.logs
    }

    /// How long calls in progress may last once the server is to end.
    #[must_use]
    pub const fn drain_deadline(&self) -> Duration {
        Duration::from_secs(self.drain_deadline)
    }

    /// Where traces are to be sent.
    #[cfg(feature = "otel")]
    #[must_use]
    pub const fn collector(&self) -> Option<&Collector> {
        self.traces.otlp_endpoint.as_ref()
    }

    /// What is to be done instead of serving.
    #[must_use]
    pub fn task(&self) -> Option<&Task> {
        self.task.as_ref()
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
        } else if let Some(Task::Token(flags)) = &self.task {
            let token = flags.token(Moment::now().unix);
            text.extend_from_slice(token.unwrap_or_default().as_bytes());
            text.push(b'\n');
        } else {
            return Ok(None);
        }
        Ok(Some(text))
    }

    /// The certificate to serve with.
    ///
    /// # Errors
    /// When there is none that can be used.
    pub fn tls(&self) -> Result<Option<Tls>, TlsError> {
        self.tls.tls()
    }

    /// Whether every address speaks TLS.
    #[must_use]
    pub const fn speaks_tls(&self) -> bool {
        self.tls.is_asked_for()
    }

    /// The cluster to be in.
    ///
    /// # Errors
    /// When its regions, or what is over TLS, do not fit together.
    pub fn cluster(&self) -> Result<Option<ClusterConfig>, ClusterError> {
        self.cluster.clone().config()
    }

    /// What was asked for, but for the certificate and the cluster.
    #[must_use]
    pub fn config(self) -> Config {
        Config {
            listen: self.listen.into_iter().flat_map(|one| one.0).collect(),
            ice_servers: self.ice_server,
            allow_origins: self.allow_origin,
            drain_url: self.drain_url,
            access: self.access.access(),
            root: self.root,
            turn: self.turn.config(),
            ..self.limits.config()
        }
    }
}

fn root(text: &str) -> Result<Folder, String> {
    Folder::new(Path::new(text))
        .map_err(|error| format!("{error}; name a folder with an index.html in it"))
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

/// Checks as much as can be wrong by mistake; whoever is sent there finds out the rest.
fn server_url(text: &str) -> Result<String, String> {
    let (scheme, rest) = text.split_once("://").unwrap_or_default();
    let known = matches!(scheme, "http" | "https" | "ws" | "wss");
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if !known
        || host.is_empty()
        || text.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>'))
    {
        return Err("give a server's address as in https://other.example.org".into());
    }
    if host.contains('@') {
        return Err("leave the user name and password out: everybody would be told".into());
    }
    Ok(text.to_owned())
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
    fn the_address_to_be_sent_to_is_one_of_a_server() {
        for good in ["https://other.example", "ws://10.0.0.2:8080/ws"] {
            assert!(parse(&["--drain-url", good]).is_ok(), "{good}");
        }
        for bad in [
            "other.example",
            "ftp://x",
            "https://",
            "https://a b",
            "https://a>b",
            "https://ann:pw@x",
        ] {
            assert!(parse(&["--drain-url", bad]).is_err(), "{bad}");
        }
    }

    #[test]
    fn regions_are_given_with_their_brokers_and_the_own_one_is_among_them() {
        let cluster = |arguments: &[&str]| {
            let all = std::iter::once(&"rtc-server").chain(arguments);
            Cli::try_parse_from(all).map(|cli| cli.cluster())
        };
        const BOTH: &str = "--regions=eu=redis://:a=b@127.0.0.1:1,us=redis://127.0.0.1:2";
        assert!(
            cluster(&["--region", "us", BOTH])
                .unwrap()
                .unwrap()
                .is_some()
        );
        let other = cluster(&["--region", "asia", BOTH]).unwrap();
        assert!(other.unwrap_err().to_string().contains("asia=redis://"));
        let shared = "--regions=eu=redis://:x@h:1,us=redis://g:1,us=redis://:y@h:1";
        let shared = cluster(&["--region", "us", shared]).unwrap();
        let told = shared.unwrap_err().to_string();
        assert!(told.contains("eu and us have the same broker, redis://h:1;"));
        // The nodes of a Redis Cluster.
        let several = "--regions=us=redis://h:1,us=redis://g:1,us=redis://h:1";
        assert!(cluster(&["--region", "us", several]).unwrap().is_ok());
        for bad in [
            &["--region", "us"][..],
            &[BOTH],
            &["--region", "us", BOTH, "--cluster", "redis://127.0.0.1:3"],
            &["--region", "US", BOTH],
            &["--region", "us", "--regions", "us"],
            &["--region", "us", "--regions", "us=http://127.0.0.1"],
        ] {
            assert!(cluster(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_is_over_tls_at_brokers_fits_together() {
        let cluster = |arguments: &[&str]| {
            let all = std::iter::once(&"rtc-server").chain(arguments);
            Cli::try_parse_from(all).map(|cli| cli.cluster())
        };
        const OWN: [&str; 2] = ["--cluster-cert=c.pem", "--cluster-key=k.pem"];
        // Files are read later, and a region may be reached otherwise than another one.
        for good in [
            &["--cluster", "rediss://h", "--cluster-ca", "ca.pem"][..],
            &["--cluster", "sentinels://h/main", OWN[0], OWN[1]],
            &["--cluster", "valkeys://h,rediss://g"],
            &[
                "--region=us",
                "--regions=us=redis://h,eu=rediss://g",
                OWN[0],
                OWN[1],
            ],
        ] {
            assert!(cluster(good).unwrap().unwrap().is_some(), "{good:?}");
        }
        for bad in [
            &["--cluster", "redis://:hunter2@h,rediss://:hunter2@g"][..],
            &[
                "--region=us",
                "--regions=us=rediss://:hunter2@g,us=redis://:hunter2@h",
            ],
        ] {
            let told = cluster(bad).unwrap().unwrap_err().to_string();
            assert!(
                told.starts_with("rediss://g and redis://h are of one broker"),
                "{told}"
            );
        }
        for unused in [
            &["--cluster", "redis://h", "--cluster-ca", "ca.pem"][..],
            &OWN,
        ] {
            let told = cluster(unused).unwrap().unwrap_err().to_string();
            assert!(told.contains("write rediss://"), "{told}");
        }
        for half in OWN {
            assert!(cluster(&["--cluster", "rediss://h", half]).is_err());
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}

//! The command line of `rtc-server`.

use std::net::SocketAddr;
use std::time::Duration;

use clap::{CommandFactory, Parser};
use rtc_protocol::IceServer;

use crate::Config;

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
    /// Where to listen; repeatable.
    #[arg(
        long,
        value_name = "ADDR:PORT",
        default_value = "127.0.0.1:8080",
        env = "RTC_SERVER_LISTEN",
        value_delimiter = ','
    )]
    listen: Vec<SocketAddr>,

    /// STUN or TURN server to hand out: URL[,user[,credential]]; repeatable.
    #[arg(long, value_name = "URL[,USER[,CREDENTIAL]]")]
    ice_server: Vec<String>,

    /// Origin whose pages may connect beside the server's own; repeatable, * for all.
    #[arg(long, value_name = "ORIGIN")]
    allow_origin: Vec<String>,

    /// Connections at once.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    max_connections: usize,

    /// Members of a room where its maker says nothing.
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u16).range(1..=64))]
    room_capacity: u16,

    /// Seconds that a lost peer's place is kept.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    resume_window: u64,

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
        Config {
            listen: self.listen,
            ice_servers: self
                .ice_server
                .iter()
                .map(|text| ice_server(text))
                .collect(),
            allow_origins: self.allow_origin,
            connections: self.max_connections,
            default_capacity: self.room_capacity,
            resume_window: Duration::from_secs(self.resume_window),
            ..Config::default()
        }
    }
}

fn ice_server(text: &str) -> IceServer {
    let mut parts = text.splitn(3, ',').map(str::to_owned);
    IceServer {
        urls: parts.next().into_iter().collect(),
        username: parts.next(),
        credential: parts.next(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}

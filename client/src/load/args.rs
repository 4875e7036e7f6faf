//! The command line of `rtc-client load signaling`, and what it means.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::crowd::args::Calls;
use crate::cli::{TlsFlags, duration};
use crate::options;
use crate::signaling::ServerAddress;
use crate::trust::Trust;

const EXAMPLES: &str = "\
Examples:
  rtc-client load signaling                                    100 rooms at a time, 10 seconds long
  rtc-client load signaling call --rate 500 --duration 30s     500 calls a second, however slow the answers
  rtc-client load signaling --dialect codelab --calls 1000     by pages of the codelab, over Socket.IO
  rtc-client load signaling relay --rooms 50                   as many messages as the server takes
  rtc-client load signaling relay --rate 10000                 10,000 messages a second, and how late they are
  rtc-client load signaling idle --peers 18000 --server-pid $(pidof rtc-server)
  rtc-client load signaling reconnect --peers 5000             all cut at once; when is the last one back?
  rtc-client load signaling --json | jq .calls.perSecond

A call: two peers join, an offer and an answer of 3 KB, ten candidates of 150 bytes each way, both leave.
The server's own limits hold for the load, too: start it with higher ones where they are not what is measured.

Exit codes: 0 all of it worked, 1 something failed, 2 usage, 3 no server";

#[derive(Debug, Args)]
pub(crate) struct Load {
    #[command(subcommand)]
    pub(crate) what: What,
}

#[derive(Debug, Subcommand)]
pub(crate) enum What {
    /// Peers that set up calls, relay messages, sit idle or reconnect, and how the server bears it.
    Signaling(Box<Signaling>),
    /// Real calls by the dozen: light peers with media that were encoded once, compared byte by byte where they come.
    Calls(Box<Calls>),
}

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Signaling {
    /// What is asked of the server.
    #[arg(value_enum, default_value_t)]
    workload: Workload,

    /// The server (http, https, ws, wss).
    #[arg(
        long,
        value_name = "URL",
        env = "RTC_CLIENT_SERVER",
        default_value = "http://localhost:8080"
    )]
    server: String,

    #[command(flatten)]
    tls: TlsFlags,

    /// What the peers speak.
    #[arg(long, value_enum, default_value_t)]
    dialect: Dialect,

    /// Rooms at a time, two peers in each.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    rooms: u32,

    /// Open loop: so many calls, or messages of `relay`, a second, whether or not answers come. Without it: as fast as
    /// they do.
    #[arg(long, value_name = "N")]
    rate: Option<f64>,

    /// Stop after so many calls.
    #[arg(long, value_name = "N")]
    calls: Option<u64>,

    /// Stop after this long; for `idle`: how long the peers stay. Default: 10s, or none with --calls.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    duration: Option<Duration>,

    /// Peers of `idle` and `reconnect`, two in a room.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    peers: u32,

    /// Messages of `relay` that are on their way in each room at a time.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    window: u32,

    /// How long any one step may take before it counts as failed.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    patience: Duration,

    /// The server's process on this machine: its processor time and memory are measured, too.
    #[arg(long, value_name = "PID")]
    server_pid: Option<u32>,

    /// Connect from so many addresses, 127.0.0.1 and up: one has some 28,000 ports.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=250))]
    sources: u8,

    /// Print the figures as one JSON object.
    #[arg(long)]
    json: bool,
}

/// What is asked of the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Workload {
    /// Whole calls: join, offer, answer, candidates, leave.
    #[default]
    Call,
    /// Small messages between two peers of each room.
    Relay,
    /// Peers that are there and say nothing.
    Idle,
    /// Peers whose links are cut all at once.
    Reconnect,
}

/// What peers speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Dialect {
    /// rtc.v1.
    #[default]
    Native,
    /// The codelab's pages: rooms of two over Socket.IO.
    Codelab,
    /// The book's pages: channels of two over Socket.IO.
    Book,
    /// Pages that log in and call a name, over a WebSocket.
    Login,
    /// Pages of a conference over Socket.IO.
    Conference,
    /// The bare relay of this repository, for comparison.
    Bare,
}

impl Workload {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Relay => "relay",
            Self::Idle => "idle",
            Self::Reconnect => "reconnect",
        }
    }
}

impl Dialect {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Codelab => "codelab",
            Self::Book => "book",
            Self::Login => "login",
            Self::Conference => "conference",
            Self::Bare => "bare",
        }
    }
}

/// What is to be done, checked.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) workload: Workload,
    pub(super) server: ServerAddress,
    pub(super) trust: Trust,
    pub(super) dialect: Dialect,
    pub(super) rooms: u32,
    pub(super) rate: Option<f64>,
    pub(super) calls: Option<u64>,
    pub(super) duration: Option<Duration>,
    pub(super) peers: u32,
    pub(super) window: u32,
    pub(super) patience: Duration,
    pub(super) server_pid: Option<u32>,
    pub(super) sources: u8,
    pub(super) json: bool,
}

impl Plan {
    pub(super) fn new(asked: Signaling) -> Result<Self, String> {
        let server =
            ServerAddress::parse(&asked.server).map_err(|error| format!("--server: {error}"))?;
        if let Some(rate) = asked.rate
            && !(rate > 0.0 && rate <= 10_000_000.0)
        {
            return Err(format!(
                "--rate: {rate} is not above 0 and at most 10,000,000 a second"
            ));
        }
        let paced = matches!(asked.workload, Workload::Call | Workload::Relay);
        if asked.rate.is_some() && !paced {
            return Err(format!(
                "--rate: peers of {} send nothing; use it with call or relay",
                asked.workload.as_str()
            ));
        }
        if asked.calls.is_some() && asked.workload != Workload::Call {
            return Err(format!(
                "--calls: {} makes no calls; use --duration",
                asked.workload.as_str()
            ));
        }
        let bounded = asked.calls.is_some() || asked.workload == Workload::Reconnect;
        let duration = asked
            .duration
            .or((!bounded).then_some(Duration::from_secs(10)));
        Ok(Self {
            workload: asked.workload,
            server,
            trust: options::trust(asked.tls, Some(&asked.server))
                .map_err(|error| error.to_string())?,
            dialect: asked.dialect,
            rooms: asked.rooms,
            rate: asked.rate,
            calls: asked.calls,
            duration,
            peers: asked.peers,
            window: asked.window,
            patience: asked.patience,
            server_pid: asked.server_pid,
            sources: asked.sources,
            json: asked.json,
        })
    }

    /// Sockets that are open at a time.
    pub(super) fn sockets(&self) -> u64 {
        match self.workload {
            Workload::Call | Workload::Relay => u64::from(self.rooms) * 2,
            Workload::Idle | Workload::Reconnect => u64::from(self.peers),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        signaling: Signaling,
    }

    fn plan(arguments: &[&str]) -> Result<Plan, String> {
        let line = std::iter::once(&"load").chain(arguments);
        let line = Line::try_parse_from(line).map_err(|error| error.to_string())?;
        Plan::new(line.signaling)
    }

    #[test]
    fn without_a_word_it_is_calls_for_ten_seconds() {
        let plan = plan(&[]).unwrap();
        assert_eq!(plan.workload, Workload::Call);
        assert_eq!(plan.duration, Some(Duration::from_secs(10)));
        assert_eq!(plan.sockets(), 200);
    }

    #[test]
    fn a_number_of_calls_needs_no_time() {
        assert_eq!(plan(&["--calls", "20"]).unwrap().duration, None);
        let both = plan(&["--calls", "20", "--duration", "2s"]).unwrap();
        assert_eq!(both.duration, Some(Duration::from_secs(2)));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_what_to_do() {
        for (arguments, words) in [
            (&["--rate", "0"][..], "above 0"),
            (&["--rate", "nan"], "above 0"),
            (&["idle", "--rate", "5"], "use it with call or relay"),
            (&["relay", "--calls", "5"], "use --duration"),
            (&["--server", "ftp://x"], "--server"),
            (&["--rooms", "0"], "--rooms"),
        ] {
            let error = plan(arguments).unwrap_err();
            assert!(error.contains(words), "{arguments:?}: {error}");
        }
    }
}

//! The command line of `rtc-client load signaling`, and what it means.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::crowd::args::Calls;
use super::part::Part;
use super::process;
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
  rtc-client load signaling rooms --rooms 5000 --ramp 500      fill rooms, talk in them, prove that nothing was lost
  rtc-client load signaling --nodes ws://127.0.0.1:8081,ws://127.0.0.1:8082 --rooms 100000 --report cluster.html
                                                               the same over the nodes of a cluster; docs/cluster.md

A call: two peers join, an offer and an answer of 3 KB, ten candidates of 150 bytes each way, both leave.
The server's own limits hold for the load, too: start it with higher ones where they are not what is measured.

Exit codes: 0 all of it worked, and each message came once and in order; 1 something failed, 2 usage, 3 no server";

/// Connections of one source address: a quarter of the ports that there are. The system looks among every second one first, and
/// when nearly all of those are taken, that takes it milliseconds each time.
const EACH_SOURCE: u64 = 7_000;

/// Processes of one load at most.
const PROCESSES: u32 = 250;

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
    /// What is asked of the server; `call`, or `rooms` where there are --nodes.
    #[arg(value_enum)]
    workload: Option<Workload>,

    /// The server (http, https, ws, wss).
    #[arg(
        long,
        value_name = "URL",
        env = "RTC_CLIENT_SERVER",
        default_value = "http://localhost:8080"
    )]
    server: String,

    /// The nodes of a cluster, instead of --server: the first peer of each room goes to one, the second to the next.
    #[arg(long, value_name = "URL,URL", value_delimiter = ',')]
    nodes: Vec<String>,

    /// With --nodes: both peers of a room go to the same one.
    #[arg(long, requires = "nodes")]
    same_node: bool,

    #[command(flatten)]
    tls: TlsFlags,

    /// What the peers speak.
    #[arg(long, value_enum, default_value_t)]
    dialect: Dialect,

    /// Rooms at a time, two peers in each; for `rooms`: all of them.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    rooms: u32,

    /// Open loop: so many calls, or messages of `relay`, a second, whether or not answers come. Without it: as fast as
    /// they do.
    #[arg(long, value_name = "N")]
    rate: Option<f64>,

    /// Stop after so many calls.
    #[arg(long, value_name = "N")]
    calls: Option<u64>,

    /// For `rooms`: so many are opened each second, whether or not the last ones are full. Without it: as fast as they fill.
    #[arg(long, value_name = "N")]
    ramp: Option<f64>,

    /// For `rooms`: when all are full, each peer says something once in this time.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    every: Duration,

    /// Stop after this long; for `idle` and `rooms`: how long all peers stay. Default: 10s, or none with --calls.
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

    /// The server's process on this machine, or all nodes': their processor time and memory are measured, too.
    #[arg(long, value_name = "PID,PID", value_delimiter = ',')]
    server_pid: Vec<u32>,

    /// Connect from so many addresses, 127.0.0.1 and up: one has some 28,000 ports. `rooms` takes as many as it needs.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=60_000))]
    sources: Option<u32>,

    /// Spread the load over so many processes, which are added up: each is one core's, and has its own limit of open files.
    /// `rooms` takes as many as it needs.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(PROCESSES)))]
    processes: Option<u32>,

    /// Print the figures as one JSON object.
    #[arg(long)]
    json: bool,

    /// Write the figures as a page, too.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,

    /// Which of several processes this is; said by the one that starts them.
    #[arg(long, hide = true)]
    part: Option<Part>,
}

/// What is asked of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Workload {
    /// Whole calls: join, offer, answer, candidates, leave.
    Call,
    /// Small messages between two peers of each room.
    Relay,
    /// Peers that are there and say nothing.
    Idle,
    /// Peers whose links are cut all at once.
    Reconnect,
    /// Rooms that fill, stay, talk a little, and are counted: who is there, and what came.
    Rooms,
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
            Self::Rooms => "rooms",
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
    /// One server, or the nodes of a cluster.
    pub(super) nodes: Vec<ServerAddress>,
    pub(super) same_node: bool,
    pub(super) trust: Trust,
    pub(super) dialect: Dialect,
    pub(super) rooms: u32,
    pub(super) rate: Option<f64>,
    pub(super) calls: Option<u64>,
    pub(super) ramp: Option<f64>,
    pub(super) every: Duration,
    pub(super) duration: Option<Duration>,
    pub(super) peers: u32,
    pub(super) window: u32,
    pub(super) patience: Duration,
    pub(super) server_pid: Vec<u32>,
    pub(super) sources: u32,
    pub(super) processes: u32,
    pub(super) json: bool,
    pub(super) report: Option<PathBuf>,
    /// Where this is one of several: what is asked here is its share already.
    pub(super) part: Option<Part>,
}

impl Plan {
    pub(super) fn new(asked: Signaling) -> Result<Self, String> {
        let nodes = nodes(&asked)?;
        let clustered = !asked.nodes.is_empty();
        let unsaid = if clustered || asked.ramp.is_some() {
            Workload::Rooms
        } else {
            Workload::Call
        };
        let workload = asked.workload.unwrap_or(unsaid);
        check(&asked, workload)?;
        let bounded = asked.calls.is_some() || workload == Workload::Reconnect;
        let duration = asked
            .duration
            .or((!bounded).then_some(Duration::from_secs(10)));
        let trust = options::trust(
            asked.tls,
            nodes.first().map(ServerAddress::home_url).as_deref(),
        );
        let mut plan = Self {
            workload,
            nodes,
            same_node: asked.same_node,
            trust: trust.map_err(|error| error.to_string())?,
            dialect: asked.dialect,
            rooms: asked.rooms,
            rate: asked.rate,
            calls: asked.calls,
            ramp: asked.ramp,
            every: asked.every,
            duration,
            peers: asked.peers,
            window: asked.window,
            patience: asked.patience,
            server_pid: asked.server_pid,
            sources: asked.sources.unwrap_or(1),
            processes: asked.processes.unwrap_or(1),
            json: asked.json,
            report: asked.report,
            part: asked.part,
        };
        if workload == Workload::Rooms {
            plan.take_what_is_needed(asked.sources, asked.processes);
        }
        if plan.processes > plan.pairs() {
            return Err(format!(
                "--processes: {} are more than there are rooms, {}; ask for fewer",
                plan.processes,
                plan.pairs()
            ));
        }
        Ok(match plan.part {
            Some(part) => plan.share(part),
            None => plan,
        })
    }

    /// So many source addresses and processes as one of either cannot do.
    fn take_what_is_needed(&mut self, sources: Option<u32>, processes: Option<u32>) {
        let few = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        let local = self.nodes.iter().all(|node| {
            let (host, _) = node.host_and_port();
            host.parse::<std::net::Ipv4Addr>()
                .is_ok_and(|ip| ip.is_loopback())
        });
        if sources.is_none() && local {
            self.sources = few(self.sockets().div_ceil(EACH_SOURCE)).clamp(1, 60_000);
        }
        if let (None, Some(most)) = (processes, process::sockets_allowed()) {
            self.processes = few(self.sockets().div_ceil((most & !1).max(2))).clamp(1, PROCESSES);
        }
    }

    /// What one of several processes does of all this.
    fn share(mut self, part: Part) -> Self {
        let whole = f64::from(self.pairs());
        let rooms = part.share(self.rooms);
        let pairs = part.share(self.peers.div_ceil(2));
        let own = if self.by_peers() { pairs } else { rooms };
        let weight = f64::from(own) / whole;
        self.rooms = rooms;
        // Only the last one can have a peer that is alone.
        let odd = self.peers % 2 == 1 && part.is_last();
        self.peers = pairs * 2 - u32::from(odd);
        self.rate = self.rate.map(|rate| rate * weight);
        self.ramp = self.ramp.map(|rate| rate * weight);
        self.calls = self.calls.map(|calls| part.share(calls));
        self.processes = 1;
        self
    }

    const fn by_peers(&self) -> bool {
        matches!(self.workload, Workload::Idle | Workload::Reconnect)
    }

    /// Rooms in all.
    fn pairs(&self) -> u32 {
        if self.by_peers() {
            self.peers.div_ceil(2)
        } else {
            self.rooms
        }
    }

    /// Sockets that are open at a time, in all processes.
    pub(super) fn sockets(&self) -> u64 {
        if self.by_peers() {
            u64::from(self.peers)
        } else {
            u64::from(self.rooms) * 2
        }
    }
}

fn nodes(asked: &Signaling) -> Result<Vec<ServerAddress>, String> {
    let (flag, typed) = if asked.nodes.is_empty() {
        ("--server", std::slice::from_ref(&asked.server))
    } else {
        ("--nodes", &asked.nodes[..])
    };
    let nodes = typed.iter().map(|typed| ServerAddress::parse(typed));
    let nodes: Vec<_> = nodes
        .collect::<Result<_, _>>()
        .map_err(|error| format!("{flag}: {error}"))?;
    if nodes.iter().any(ServerAddress::is_secure) && !nodes.iter().all(ServerAddress::is_secure) {
        return Err(format!(
            "{flag}: some of these are reached by TLS and some are not; name nodes of one kind"
        ));
    }
    Ok(nodes)
}

/// What does not fit together.
fn check(asked: &Signaling, workload: Workload) -> Result<(), String> {
    for (flag, rate) in [("--rate", asked.rate), ("--ramp", asked.ramp)] {
        if let Some(rate) = rate
            && !(rate > 0.0 && rate <= 10_000_000.0)
        {
            return Err(format!(
                "{flag}: {rate} is not above 0 and at most 10,000,000 a second"
            ));
        }
    }
    let word = workload.as_str();
    let paced = matches!(workload, Workload::Call | Workload::Relay);
    if asked.rate.is_some() && !paced {
        return Err(format!(
            "--rate: peers of {word} are not told when to speak by it; use it with call or relay, or --every with rooms"
        ));
    }
    if asked.calls.is_some() && workload != Workload::Call {
        return Err(format!("--calls: {word} makes no calls; use --duration"));
    }
    if workload != Workload::Rooms {
        if asked.ramp.is_some() {
            return Err(format!("--ramp: {word} fills no rooms; use it with rooms"));
        }
        return Ok(());
    }
    if asked.dialect != Dialect::Native {
        return Err(format!(
            "--dialect: who is in a room is told whole in rtc.v1 alone; rooms cannot be counted in {}",
            asked.dialect.as_str()
        ));
    }
    if asked.every < Duration::from_millis(1) {
        return Err("--every: a peer says something once in a millisecond at most".to_owned());
    }
    Ok(())
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
    fn nodes_or_a_ramp_mean_rooms() {
        let asked = [
            "--nodes",
            "ws://127.0.0.1:1,ws://127.0.0.1:2",
            "--rooms",
            "7000",
        ];
        let asked = plan(&asked).unwrap();
        assert_eq!(asked.workload, Workload::Rooms);
        assert_eq!((asked.nodes.len(), asked.sources), (2, 2));
        assert_eq!(plan(&["--ramp", "5"]).unwrap().workload, Workload::Rooms);
        let call = plan(&["call", "--nodes", "ws://127.0.0.1:1"]).unwrap();
        assert_eq!(call.workload, Workload::Call);
        let many = ["--nodes", "ws://127.0.0.1:1", "--rooms", "500000"];
        assert_eq!(plan(&many).unwrap().sources, 143);
        let far = ["--nodes", "ws://192.0.2.1:1", "--rooms", "500000"];
        assert_eq!(plan(&far).unwrap().sources, 1);
    }

    #[test]
    fn the_parts_are_the_whole() {
        for line in [
            &["rooms", "--rooms", "10", "--ramp", "100"][..],
            &["call", "--rooms", "10", "--calls", "1001", "--rate", "100"],
            &["idle", "--peers", "19"],
        ] {
            let part = |part: &str| plan(&[line, &["--processes", "3", "--part", part]].concat());
            let parts = ["0/3", "1/3", "2/3"].map(|one| part(one).unwrap());
            let whole = plan(line).unwrap();
            assert_eq!(
                parts.iter().map(Plan::sockets).sum::<u64>(),
                whole.sockets()
            );
            let sum = |rate: fn(&Plan) -> Option<f64>| parts.iter().filter_map(rate).sum::<f64>();
            assert!((sum(|plan| plan.rate) - whole.rate.unwrap_or(0.0)).abs() < 1e-9);
            assert!((sum(|plan| plan.ramp) - whole.ramp.unwrap_or(0.0)).abs() < 1e-9);
            let calls = parts.iter().filter_map(|plan| plan.calls).sum::<u64>();
            assert_eq!(calls, whole.calls.unwrap_or(0));
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_what_to_do() {
        for (arguments, words) in [
            (&["--rate", "0"][..], "above 0"),
            (&["--rate", "nan"], "above 0"),
            (&["idle", "--rate", "5"], "use it with call or relay"),
            (&["rooms", "--rate", "5"], "--every"),
            (&["idle", "--ramp", "5"], "use it with rooms"),
            (&["rooms", "--ramp", "0"], "above 0"),
            (&["rooms", "--dialect", "book"], "rtc.v1"),
            (&["rooms", "--every", "0s"], "--every"),
            (&["--nodes", "ws://a,wss://b"], "TLS"),
            (&["--nodes", "ws://a,ftp://b"], "--nodes"),
            (&["--processes", "101"], "fewer"),
            (&["relay", "--calls", "5"], "use --duration"),
            (&["--server", "ftp://x"], "--server"),
            (&["--rooms", "0"], "--rooms"),
        ] {
            let error = plan(arguments).unwrap_err();
            assert!(error.contains(words), "{arguments:?}: {error}");
        }
    }
}

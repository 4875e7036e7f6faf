//! The command line of `rtc-client load calls`, and what it means.

use std::time::Duration;

use clap::{Args, ValueEnum};
use rtc_protocol::AuthToken;

use crate::cli::{TlsFlags, duration};
use crate::net::impair::Spec;
use crate::options;
use crate::options::verdict::{VerdictFlags, VerdictOption};
use crate::session::reports::{ReportError, Reports};
use crate::trust::Trust;

const EXAMPLES: &str = "\
Examples:
  rtc-client load calls --rooms 50                            50 calls of two, picture and sound, for 20 seconds
  rtc-client load calls --rooms 200 --media audio --duration 60s
  rtc-client load calls --rooms 10 --peers 4 --ramp 2         meshes of four, two rooms more each second
  rtc-client load calls --rooms 10 --impair loss=5% --expect 'loss<6%' --expect 'connect<5s' --junit out.xml

Every peer receives the same frames, encoded once; they are compared byte by byte. Docs: docs/crowds.md

Exit codes: 0 all calls stood, 6 some never did, 7 some brought nothing, 12 an expectation does not hold, 1 something failed, 2 usage, 3 no server";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Calls {
    /// The server (http, https, ws, wss).
    #[arg(
        long,
        value_name = "URL",
        env = "RTC_CLIENT_SERVER",
        default_value = "http://localhost:8080"
    )]
    server: String,

    /// The room token, where the server asks for one that is good for all rooms.
    #[arg(long, value_name = "TOKEN", env = "RTC_TOKEN", hide_env_values = true)]
    token: Option<AuthToken>,

    #[command(flatten)]
    tls: TlsFlags,

    /// How many calls.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=5000))]
    rooms: u32,

    /// Peers in each, every one connected with every other.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(2..=6))]
    peers: u32,

    /// Rooms that are opened each second.
    #[arg(long, value_name = "N", default_value_t = 10.0)]
    ramp: f64,

    /// How long all of them stay, from the last one's opening.
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = duration)]
    duration: Duration,

    /// What everybody sends.
    #[arg(long, value_enum, default_value_t)]
    media: Senses,

    /// Of the picture.
    #[arg(long, value_name = "RATE", default_value = "500k")]
    bitrate: String,

    /// Of the picture.
    #[arg(long, value_name = "WxH", default_value = "640x360")]
    size: String,

    /// Pictures a second.
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=60))]
    fps: u32,

    /// How long a peer may take to be in its room.
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = duration)]
    patience: Duration,

    /// Make the network of all of them worse; as of join.
    #[arg(long, value_name = "SPEC")]
    impair: Vec<String>,

    /// Print the figures as one JSON object.
    #[arg(long)]
    json: bool,

    /// Show no live figures.
    #[arg(long)]
    quiet: bool,

    #[command(flatten)]
    verdict: VerdictFlags,
}

/// What is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Senses {
    /// Sound alone.
    Audio,
    /// Pictures alone.
    Video,
    /// Both.
    #[default]
    Both,
}

impl Senses {
    pub(super) const fn audio(self) -> bool {
        matches!(self, Self::Audio | Self::Both)
    }

    pub(super) const fn video(self) -> bool {
        matches!(self, Self::Video | Self::Both)
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Audio => "audio",
            Self::Video => "video",
            Self::Both => "both",
        }
    }
}

/// What is prepared.
#[derive(Clone, Debug)]
pub(super) struct Media {
    pub(super) senses: Senses,
    pub(super) bitrate: u32,
    pub(super) size: (u32, u32),
    pub(super) fps: u32,
}

/// What is to be done, checked.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) server: String,
    pub(super) token: Option<AuthToken>,
    pub(super) trust: Trust,
    pub(super) rooms: u32,
    pub(super) peers: u32,
    pub(super) ramp: f64,
    pub(super) duration: Duration,
    pub(super) media: Media,
    pub(super) patience: Duration,
    pub(super) impairment: Spec,
    pub(super) json: bool,
    pub(super) quiet: bool,
    pub(super) verdict: VerdictOption,
}

impl Plan {
    pub(super) fn new(asked: Calls) -> Result<Self, String> {
        let told = |error: options::OptionError| error.to_string();
        if !(asked.ramp > 0.0 && asked.ramp <= 10_000.0) {
            return Err(format!(
                "--ramp: {} is not above 0 and at most 10,000 rooms a second",
                asked.ramp
            ));
        }
        let mut impairment = Spec::default();
        for spec in &asked.impair {
            let read = impairment.add(spec, |path| std::fs::read_to_string(path));
            read.map_err(|error| format!("--impair {spec:?}: {error}"))?;
        }
        Ok(Self {
            trust: options::trust(asked.tls, Some(&asked.server)).map_err(told)?,
            server: asked.server,
            token: asked.token,
            rooms: asked.rooms,
            peers: asked.peers,
            ramp: asked.ramp,
            duration: asked.duration,
            media: Media {
                senses: asked.media,
                bitrate: options::bitrate(&asked.bitrate).map_err(told)?,
                size: options::size(&asked.size).map_err(told)?,
                fps: asked.fps,
            },
            patience: asked.patience,
            impairment,
            json: asked.json,
            quiet: asked.quiet || asked.json,
            verdict: VerdictOption::parse(asked.verdict, &asked.impair).map_err(told)?,
        })
    }

    /// Connections that are to stand.
    pub(super) fn pairs(&self) -> u64 {
        u64::from(self.rooms) * u64::from(self.peers) * u64::from(self.peers - 1) / 2
    }

    pub(super) fn impairment_is_empty(&self) -> bool {
        self.verdict.impairment.is_empty()
    }

    /// The files of the verdict, made before the first call.
    pub(super) fn reports(&self) -> Result<Reports, String> {
        Reports::open(&self.verdict.reports).map_err(|error: ReportError| error.to_string())
    }
}

#[cfg(test)]
impl Plan {
    /// Of such a command line.
    pub(super) fn of(arguments: &[&str]) -> Result<Self, String> {
        use clap::Parser;

        #[derive(Debug, Parser)]
        struct Line {
            #[command(flatten)]
            calls: Calls,
        }
        let line = std::iter::once(&"load").chain(arguments);
        let line = Line::try_parse_from(line).map_err(|error| error.to_string())?;
        Self::new(line.calls)
    }
}

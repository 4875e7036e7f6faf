//! The command lines of `pipe`, `send` and `receive`, and the call that each is.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser};
use rtc_protocol::AuthToken;
use tokio::sync::mpsc;

use crate::cli::{self, Cli, NetworkFlags, TlsFlags, duration};
use crate::event::PeerRef;
use crate::options::{CallOptions, DataOption, OptionError};
use crate::peer::{Channel, ChannelInit};

const PIPE_EXAMPLES: &str = "\
Examples:
  rtc-client pipe foo                         what is typed here is written there: type it at two machines
  tar c folder | rtc-client pipe foo          and at the other end: rtc-client pipe foo < /dev/null | tar x
  rtc-client pipe foo < request > answer

Exit codes: 0 both streams came to their ends and all was taken, 13 not all was: a reader is gone,
8 the connection was lost and did not come back, 6 nobody came (--wait), others as of join";

const FILE_EXAMPLES: &str = "\
Examples:
  rtc-client send foo film.mkv notes.txt      and at the other end:
  rtc-client receive foo --into Downloads     either may come first

A connection that is lost is waited for, and either side may be started again: what is there is not sent twice.
Exit codes: 0 all files are there, and the same; 13 some are not: said which and why;
1 a file here cannot be read or written; 8 the connection was lost; 6 nobody came (--wait); others as of join";

/// Where the far side is found, and by which way.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// A room's name, or its address: foo, http://HOST:8080/foo.
    #[arg(value_name = "ROOM")]
    pub(super) room: String,

    /// The server (http, https, ws, wss). Without it: localhost:8080, and where none is running there, one inside this client.
    #[arg(long, value_name = "URL", env = "RTC_CLIENT_SERVER")]
    server: Option<String>,

    /// The room token, where the server asks for one.
    #[arg(long, value_name = "TOKEN", env = "RTC_TOKEN", hide_env_values = true)]
    token: Option<AuthToken>,

    #[command(flatten)]
    tls: TlsFlags,

    /// The name that the others see.
    #[arg(long = "as", value_name = "NAME", env = "RTC_CLIENT_NAME")]
    name: Option<String>,

    /// Give up where nobody came for so long. Default: wait.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(super) wait: Option<Duration>,

    /// Give up a connection that was lost after so long.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    pub(super) patience: Duration,

    /// STUN or TURN server; as of join.
    #[arg(long, value_name = "URL[,USER[,CREDENTIAL]]", help_heading = "Network")]
    ice_server: Vec<String>,

    /// Go by way of a TURN server alone.
    #[arg(long, help_heading = "Network")]
    relay_only: bool,

    #[command(flatten)]
    network: NetworkFlags,

    /// Make our network worse; as of join.
    #[arg(long, value_name = "SPEC", help_heading = "Network")]
    impair: Vec<String>,
}

#[derive(Debug, Args)]
#[command(after_help = PIPE_EXAMPLES)]
pub(crate) struct Pipe {
    #[command(flatten)]
    pub(super) place: Place,

    /// The data channel's label; both sides need the same.
    #[arg(long, value_name = "LABEL", default_value = "pipe")]
    pub(super) label: String,

    /// The data channel's protocol.
    #[arg(long, value_name = "NAME", default_value = PROTOCOL)]
    pub(super) protocol: String,
}

#[derive(Debug, Args)]
#[command(after_help = FILE_EXAMPLES)]
pub(crate) struct Send {
    #[command(flatten)]
    pub(super) place: Place,

    /// What to send.
    #[arg(value_name = "FILE", required = true)]
    pub(super) files: Vec<PathBuf>,

    #[command(flatten)]
    pub(super) output: Output,
}

#[derive(Debug, Args)]
#[command(after_help = FILE_EXAMPLES)]
pub(crate) struct Receive {
    #[command(flatten)]
    pub(super) place: Place,

    /// The folder to put the files into.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(super) into: PathBuf,

    /// Put a file in the place of one of the same name.
    #[arg(long)]
    pub(super) overwrite: bool,

    #[command(flatten)]
    pub(super) output: Output,
}

/// How it is told how far it is.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Output {
    /// Print one JSON object a line on standard output.
    #[arg(long)]
    pub(super) json: bool,

    /// Say nothing but errors.
    #[arg(long, conflicts_with = "json")]
    pub(super) quiet: bool,
}

/// What channels of ours speak (docs/data.md).
pub(super) const PROTOCOL: &str = "rtc-transfer.v1";

/// The channel that files go by.
pub(super) fn file_channel() -> ChannelInit {
    ChannelInit::new("files", PROTOCOL)
}

impl Place {
    /// A call without picture and sound, for one channel.
    pub(super) fn call(
        self,
        channel: ChannelInit,
        opened: mpsc::Sender<(PeerRef, Channel)>,
    ) -> Result<CallOptions, OptionError> {
        let line = [
            "rtc-client",
            "join",
            "room",
            "--headless",
            "--video",
            "none",
            "--audio",
            "none",
        ];
        let Ok(Cli {
            command: cli::Command::Join(mut join),
            ..
        }) = Cli::try_parse_from(line)
        else {
            return Err(OptionError::new("ROOM", &self.room, "it cannot be joined"));
        };
        join.room = Some(self.room);
        let media = &mut join.media;
        media.server = self.server;
        media.token = self.token;
        media.tls = self.tls;
        media.name = self.name;
        media.ice_server = self.ice_server;
        media.relay_only = self.relay_only;
        media.network = self.network;
        media.impair = self.impair;
        let mut options = CallOptions::join(*join)?;
        options.data = Some(DataOption {
            channel,
            opened,
            patience: self.patience,
        });
        Ok(options)
    }
}

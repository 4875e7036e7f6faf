//! The command line of `rtc-client doctor`.

use clap::Args;
use rtc_protocol::AuthToken;

use crate::cli::TlsFlags;

const AFTER: &str = "\
Exit codes:
  0 all that a call needs works   2 usage   3 no signaling server
  5 a TURN server does not take the credential
  6 no way for media: neither STUN nor TURN works, or datagrams are too small";

/// See the command.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub(crate) struct Doctor {
    /// The server (http, https, ws, wss). Without it: localhost:8080, where a client would start one.
    #[arg(long, value_name = "URL", env = "RTC_CLIENT_SERVER")]
    pub(super) server: Option<String>,

    /// The room token, where the server asks for one.
    #[arg(long, value_name = "TOKEN", env = "RTC_TOKEN", hide_env_values = true)]
    pub(super) token: Option<AuthToken>,

    #[command(flatten)]
    pub(super) tls: TlsFlags,

    /// STUN or TURN server: stun:HOST:PORT or turn:HOST:PORT,user,credential; repeatable.
    /// Added to what the server hands out.
    #[arg(long, value_name = "URL[,USER[,CREDENTIAL]]")]
    pub(super) ice_server: Vec<String>,

    /// Look at no devices.
    #[arg(long)]
    pub(super) no_devices: bool,

    /// Print one JSON event.
    #[arg(long)]
    pub(super) json: bool,
}

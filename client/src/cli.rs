//! The command line as it is typed. What it means is decided in [`crate::options`].

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use rtc_protocol::AuthToken;

use rtc_server::tls::Fingerprint;

use crate::data;
use crate::doctor::args::Doctor;
use crate::load::args::Load;
use crate::options::pipes::PipeFlags;
use crate::options::verdict::VerdictFlags;
use crate::preview::args::Preview;
use crate::scenario::args::Test;

/// A full WebRTC peer for the command line.
#[derive(Debug, Parser)]
#[command(name = "rtc-client", version, about, max_term_width = 100, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,

    /// Say more on standard error: -v what happens, -vv how, -vvv everything.
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub(crate) verbose: u8,
}

/// Of which VP8 costs least, and what browsers have in hardware comes before what costs most.
const CODECS: &str = if cfg!(feature = "av1") {
    "vp8,h264,vp9,av1"
} else {
    "vp8,h264,vp9"
};

const EXAMPLES: &str = "\
Examples:
  rtc-client join foo                        a call in room foo; type it in two terminals
  rtc-client join http://localhost:8080/foo  the same room by the address a browser uses
  rtc-client join foo --video test --audio tone --display none --speaker none
  rtc-client join foo --headless --duration 10s --json
  rtc-client join foo --headless --duration 20s --expect 'video.fps>=25 after 2s' --junit out.xml --report out.html
  rtc-client join foo --video file:clip.webm --audio file:clip.webm --loop
  rtc-client join foo --record call.mkv
  ffmpeg -re -i clip.mp4 -f yuv4mpegpipe - | rtc-client join foo --video -
  rtc-client join --as alice                 wait to be called; a takes the call, r refuses it
  rtc-client call alice                      call her
  rtc-client preview                         how you look and sound, without a call
  rtc-client devices                         what there is to see, hear and show with
  rtc-client join foo --video screen         show a screen
  rtc-client publish https://HOST/whip/foo   to somebody's WHIP service; --token where it wants one
  rtc-client play https://HOST/whep/foo      from somebody's WHEP service
  rtc-client join foo --signaling codelab --server http://HOST:8080
                                             at somebody else's server: codelab, book, conference
  rtc-client call bob --as ann --signaling login --server ws://HOST:9090
                                             by name, at one that speaks login
  rtc-client join --signaling stdio          without a server: an offer to copy, an answer to paste
  rtc-client join --signaling 'exec:./relay' signals by a program of yours, as JSON lines
  rtc-client doctor                          what works between here and the server, and what to do
  tar c folder | rtc-client pipe foo         a pipe to rtc-client pipe foo of another machine
  rtc-client send foo film.mkv               to rtc-client receive foo
  rtc-client test call.toml                  a call of several peers from a file, judged
  rtc-client load signaling                  how many calls a second a server sets up
  rtc-client load calls --rooms 50           50 real calls at a time, what comes compared with what was sent

Exit codes:
  0 done   1 failed   2 usage   3 no server   4 room full   5 refused
  6 never connected   7 media never arrived   8 lost
  9 busy   10 no answer   11 nobody of that name
  12 what was expected did not hold   13 not all data were taken";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Join a room and call everybody in it; or, without a room, wait to be called by name.
    Join(Box<Join>),
    /// Call somebody by name.
    Call(Box<Call>),
    /// Send picture and sound to a WHIP service (RFC 9725): a media server, a platform, rtc-server.
    Publish(Box<Publish>),
    /// Play what a WHEP service sends.
    Play(Box<Play>),
    /// Show what camera and microphone give, without a call.
    Preview(Box<Preview>),
    /// List cameras, microphones, loudspeakers and screens.
    Devices {
        /// Print JSON instead of lines.
        #[arg(long)]
        json: bool,
    },
    /// Look at what works between here and a server, in half a minute at most: signaling, STUN, TURN, the path, devices.
    Doctor(Box<Doctor>),
    /// Pass UDP on over a path as bad as you like, between any two programs.
    Impair(Impair),
    /// List what can be expected of a call (--expect).
    Expectations,
    /// Standard input to a far side, and what comes from there to standard output, over a data channel.
    Pipe(Box<data::args::Pipe>),
    /// Send files to who receives them in the same room.
    Send(Box<data::args::Send>),
    /// Receive files from who sends them in the same room.
    Receive(Box<data::args::Receive>),
    /// Play calls of several peers from files, ours and real browsers, and judge them.
    Test(Test),
    /// Put load on a server and measure how it bears it.
    Load(Load),
    /// Print a completion script for a shell.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page (troff): `rtc-client man | man -l -`.
    Man,
}

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Join {
    /// A room's name, or its address: foo, http://HOST:8080/foo. Without it, --as NAME waits for one call by that name.
    #[arg(value_name = "ROOM")]
    pub(crate) room: Option<String>,

    /// Take a call without being asked; otherwise a takes it and r refuses it.
    #[arg(long, conflicts_with = "room", help_heading = "Calls")]
    pub(crate) auto_answer: bool,

    /// How the two sides come to know of each other: server; codelab, book, conference or login, the dialect of somebody else's server
    /// at --server; stdio (copied text: an offer is printed, the other side's answer is pasted), stdio:answer (the other way round);
    /// or exec:COMMAND, a program that carries JSON lines (docs/signaling.md).
    #[arg(long, value_name = "HOW", help_heading = "Calls")]
    pub(crate) signaling: Option<String>,

    #[command(flatten)]
    pub(crate) media: Media,
}

const PUBLISH_EXAMPLES: &str = "\
Examples:
  rtc-client publish https://example.org/whip/stream --token TOKEN
  rtc-client publish http://localhost:8080/whip/foo --video file:clip.webm --audio file:clip.webm
  rtc-client publish https://example.org/whip/stream --headless --duration 30s --codec h264 \
      --expect 'connect<2s' --expect 'rtt<200ms' --junit out.xml

Exit codes:
  3 nobody there, or no WHIP endpoint   5 refused: token, codecs, too busy   6 never connected   8 lost   12 not as expected";

/// What the endpoint's address and its service settle: taken, so that what is set for all commands does no harm, but not offered.
fn settled(arg: clap::Arg) -> clap::Arg {
    arg.hide(true)
}

#[derive(Debug, Args)]
#[command(after_help = PUBLISH_EXAMPLES, mut_arg("server", settled), mut_arg("name", settled))]
pub(crate) struct Publish {
    /// The WHIP endpoint: https://HOST/whip/STREAM.
    #[arg(value_name = "URL")]
    pub(crate) url: String,

    #[command(flatten)]
    pub(crate) media: Media,
}

const PLAY_EXAMPLES: &str = "\
Examples:
  rtc-client play https://example.org/whep/stream
  rtc-client play https://example.org/whep/stream --record stream.mkv --duration 1m
  rtc-client play http://localhost:8080/whep/foo --headless --duration 20s \
      --expect 'video.fps>=25 after 2s' --expect 'audio.gaps==0' --junit out.xml

Exit codes:
  3 nobody there, or no WHEP endpoint   5 refused: token, codecs, nothing on air   6 never connected   7 nothing came
  8 lost   12 not as expected";

#[derive(Debug, Args)]
#[command(after_help = PLAY_EXAMPLES, mut_arg("server", settled), mut_arg("name", settled))]
pub(crate) struct Play {
    /// The WHEP endpoint: https://HOST/whep/STREAM.
    #[arg(value_name = "URL")]
    pub(crate) url: String,

    #[command(flatten)]
    pub(crate) media: Media,
}

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Call {
    /// Whom: the name of somebody who waits with `join --as NAME`, of a page that logged in under it, or of a room's member.
    #[arg(value_name = "NAME")]
    pub(crate) callee: String,

    /// By which kind of server: server, or login, a server of somebody else's that speaks that dialect (docs/signaling.md).
    #[arg(long, value_name = "HOW", help_heading = "Calls")]
    pub(crate) signaling: Option<String>,

    #[command(flatten)]
    pub(crate) media: Media,
}

#[derive(Debug, Args)]
pub(crate) struct Media {
    /// The server (http, https, ws, wss). Without it: localhost:8080, and where none is
    /// running there, one inside this client.
    #[arg(long, value_name = "URL", env = "RTC_CLIENT_SERVER")]
    pub(crate) server: Option<String>,

    /// The room token, where the server asks for one.
    #[arg(long, value_name = "TOKEN", env = "RTC_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<AuthToken>,

    #[command(flatten)]
    pub(crate) tls: TlsFlags,

    /// The name that the others see.
    #[arg(long = "as", value_name = "NAME", env = "RTC_CLIENT_NAME")]
    pub(crate) name: Option<String>,

    /// camera, camera:WHICH, screen, screen:WHICH, test, file:PATH, - (standard input), pipe:FD, pipe:PATH or none;
    /// `devices` lists them. Default: camera.
    #[arg(long, value_name = "SOURCE", help_heading = "Sources")]
    pub(crate) video: Option<String>,

    /// mic, mic:WHICH, tone, tone:HZ, file:PATH, -, pipe:FD, pipe:PATH or none. Default: mic.
    #[arg(long, value_name = "SOURCE", help_heading = "Sources")]
    pub(crate) audio: Option<String>,

    /// Start files over at their end.
    #[arg(long = "loop", help_heading = "Sources")]
    pub(crate) looped: bool,

    #[command(flatten)]
    pub(crate) pipes: PipeFlags,

    /// Size of the picture that is asked of the camera or drawn by the test source, and the most that is taken of a
    /// screen. Default: 640x360, of a screen 1280x720.
    #[arg(long, value_name = "WxH", help_heading = "Sources")]
    pub(crate) size: Option<String>,

    /// Pictures a second that are asked of the camera or drawn by the test source.
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=120), help_heading = "Sources")]
    pub(crate) fps: u32,

    /// Codecs of the picture in order of preference: vp8, vp9, h264, av1.
    #[arg(
        long,
        value_name = "LIST",
        default_value = CODECS,
        help_heading = "Media"
    )]
    pub(crate) codec: String,

    /// Encrypt picture and sound end to end by what everybody in the room knows: a passphrase, or key: and 32 or 64
    /// hexadecimal digits (docs/e2ee.md). A command line can be read by others of this machine: the variable or
    /// --e2ee-file cannot.
    #[arg(
        long,
        value_name = "PASSPHRASE",
        env = "RTC_E2EE",
        hide_env_values = true,
        conflicts_with = "e2ee_file",
        help_heading = "Media"
    )]
    pub(crate) e2ee: Option<Secret>,

    /// As --e2ee, from the first line of a file.
    #[arg(long, value_name = "FILE", help_heading = "Media")]
    pub(crate) e2ee_file: Option<PathBuf>,

    /// Target for the picture: 1500k, 1.5m, 800000.
    #[arg(
        long,
        value_name = "RATE",
        default_value = "1500k",
        help_heading = "Media"
    )]
    pub(crate) bitrate: String,

    /// What of the picture is rather kept where path or processor cannot carry all of it:
    /// balanced, maintain-framerate or maintain-resolution.
    #[arg(
        long,
        value_name = "WHAT",
        default_value = "balanced",
        help_heading = "Media"
    )]
    pub(crate) degradation: String,

    /// Turn the picture clockwise by so many degrees before it is sent: 0, 90, 180 or 270. What a file holds encoded is not turned.
    #[arg(
        long,
        value_name = "DEGREES",
        default_value_t = 0,
        help_heading = "Sources"
    )]
    pub(crate) rotate: u32,

    /// Temporal layers of VP8, of which a server on the way may leave some out: L1T1, L1T2 or L1T3.
    #[arg(
        long,
        value_name = "MODE",
        default_value = "L1T1",
        help_heading = "Media"
    )]
    pub(crate) scalability: String,

    /// Send sound in stereo, coded for music; the microphone's sound is left as it is.
    #[arg(long, help_heading = "Media")]
    pub(crate) stereo: bool,

    /// Send nothing in silence (Opus DTX), and ask the others for the same.
    #[arg(long, help_heading = "Media")]
    pub(crate) dtx: bool,

    /// Send each packet of sound twice (RED), where the far side takes that: auto (while it loses 5 % or more), on or off.
    #[arg(
        long,
        value_name = "WHEN",
        default_value = "auto",
        help_heading = "Media"
    )]
    pub(crate) audio_red: String,

    /// Send repair packets with pictures (ULPFEC in RED), where the far side takes them: auto (by losses and round trip), on or off.
    #[arg(
        long,
        value_name = "WHEN",
        default_value = "auto",
        help_heading = "Media"
    )]
    pub(crate) fec: String,

    /// Press these keys of a telephone (DTMF) for everybody who gets connected: 0 to 9, *, #, A to D, and , for a pause of 2 s.
    #[arg(long, value_name = "KEYS", help_heading = "Media")]
    pub(crate) dtmf: Option<String>,

    #[command(flatten)]
    pub(crate) voice: VoiceFlags,

    /// Where far pictures go. Default: terminal on a terminal, else none.
    #[arg(long, value_enum, help_heading = "Sinks")]
    pub(crate) display: Option<Display>,

    /// How pictures are drawn in the terminal.
    #[arg(long, value_enum, default_value_t, help_heading = "Sinks")]
    pub(crate) graphics: Graphics,

    /// The window fills the screen.
    #[arg(long, help_heading = "Sinks")]
    pub(crate) fullscreen: bool,

    /// speaker, speaker:WHICH, file:PATH (WAV) or none. Default: speaker.
    #[arg(long, value_name = "SINK", help_heading = "Sinks")]
    pub(crate) speaker: Option<String>,

    /// Record the others into a .mkv, .webm or .mp4 file; - is standard output (Matroska).
    #[arg(long, value_name = "PATH", help_heading = "Sinks")]
    pub(crate) record: Option<PathBuf>,

    /// Everybody's own tracks in one file, one file for each, or one picture and one sound of all.
    #[arg(
        long,
        value_enum,
        default_value_t,
        value_name = "LAYOUT",
        requires = "record",
        help_heading = "Sinks"
    )]
    pub(crate) record_layout: RecordLayout,

    /// Touch no device, window or terminal screen: --video test --audio tone --display none --speaker none unless told.
    #[arg(long, help_heading = "Output")]
    pub(crate) headless: bool,

    /// Print lines instead of the screen.
    #[arg(long, conflicts_with = "json", help_heading = "Output")]
    pub(crate) plain: bool,

    /// Print one JSON event a line.
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,

    /// Take lines of standard input as the screen does: /video SOURCE, /audio SOURCE, /share, /unshare, /hold, /unhold,
    /// /mute, /camera, /dtmf KEYS, /quit; anything else is chat.
    #[arg(long, help_heading = "Output")]
    pub(crate) commands: bool,

    /// Do what another program writes to standard input, one JSON command a line, and answer each as an event; the end of
    /// standard input hangs up (docs/control.md).
    #[arg(
        long,
        requires = "json",
        conflicts_with = "commands",
        help_heading = "Output"
    )]
    pub(crate) control: bool,

    /// Hang up after this long: 10s, 2m, 1h.
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = "Ending")]
    pub(crate) duration: Option<Duration>,

    /// Hang up when the last of the others has left.
    #[arg(long, help_heading = "Ending")]
    pub(crate) until_alone: bool,

    /// STUN or TURN server: stun:HOST:PORT, turn:HOST:PORT,user,credential (UDP),
    /// turn:HOST:PORT?transport=tcp,user,credential or turns:HOST:PORT,user,credential (TLS); repeatable.
    /// Added to what the server hands out.
    #[arg(long, value_name = "URL[,USER[,CREDENTIAL]]", help_heading = "Network")]
    pub(crate) ice_server: Vec<String>,

    /// Reach the others by way of a TURN server alone; nobody learns this machine's addresses.
    #[arg(long, help_heading = "Network")]
    pub(crate) relay_only: bool,

    #[command(flatten)]
    pub(crate) network: NetworkFlags,

    /// Make our network worse, such as loss=5%,delay=80ms,jitter=20ms,rate=1mbit,queue=200ms,seed=7;
    /// up: or down: in front for one direction, ;10s:rate=300kbit behind for later; repeatable.
    #[arg(long, value_name = "SPEC", help_heading = "Network")]
    pub(crate) impair: Vec<String>,

    #[command(flatten)]
    pub(crate) verdict: VerdictFlags,
}

/// What of this machine's network is used.
#[derive(Debug, Args)]
#[command(next_help_heading = "Network")]
pub(crate) struct NetworkFlags {
    /// Use this network interface and no other, or with ! in front all but this one; repeatable.
    #[arg(long, value_name = "NAME")]
    pub(crate) interface: Vec<String>,

    /// Open UDP sockets at ports of this range: one for each address of this machine and each of the others.
    #[arg(long, value_name = "MIN-MAX")]
    pub(crate) ports: Option<String>,

    /// Use this one UDP port for all connections, at each address of this machine. With TURN servers by UDP, each connection has
    /// a socket for them beside it.
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) udp_port: Option<u16>,

    /// Use IPv4 alone.
    #[arg(long, conflicts_with = "ipv6")]
    pub(crate) ipv4: bool,

    /// Use IPv6 alone.
    #[arg(long)]
    pub(crate) ipv6: bool,

    /// Go by TCP, too, where UDP does not get through and no TURN server is (RFC 6544): both sides need it, and one of them
    /// ports that the other reaches, which are those of --ports.
    #[arg(long)]
    pub(crate) ice_tcp: bool,

    /// Tell the others names in place of this machine's addresses, which only its own network resolves (mDNS). Those of IPv6
    /// are not told at all.
    #[arg(long)]
    pub(crate) mdns: bool,
}

/// What was typed and is never printed.
#[derive(Clone)]
pub(crate) struct Secret(String);

impl Secret {
    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What is not done to the microphone's sound.
#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Media")]
pub(crate) struct VoiceFlags {
    /// Leave the others' sound from our loudspeaker in our microphone's (right with headphones).
    #[arg(long)]
    pub(crate) no_echo_cancellation: bool,

    /// Leave noise in the microphone's sound.
    #[arg(long)]
    pub(crate) no_noise_suppression: bool,

    /// Leave the microphone's sound as soft or loud as it is.
    #[arg(long)]
    pub(crate) no_auto_gain_control: bool,
}

/// Whom to believe to be the server.
#[derive(Clone, Debug, Args)]
pub(crate) struct TlsFlags {
    /// Certificates (PEM) of an authority to trust beside the system's.
    #[arg(long, value_name = "FILE", env = "RTC_CLIENT_TLS_CA")]
    pub(crate) tls_ca: Option<PathBuf>,

    /// Trust the server with this certificate and no other, whoever vouches for it: sha256:AB:CD:…, as the server
    /// says at its start; repeatable.
    #[arg(
        long,
        value_name = "HASH",
        env = "RTC_CLIENT_TLS_FINGERPRINT",
        value_delimiter = ','
    )]
    pub(crate) tls_fingerprint: Vec<Fingerprint>,
}

const IMPAIR_EXAMPLES: &str = "\
Examples:
  rtc-client impair --listen 127.0.0.1:5000 --to 127.0.0.1:6000 --impair loss=5%,delay=80ms
  rtc-client impair --listen 127.0.0.1:5000 --to 127.0.0.1:6000 \\
      --impair 'up:rate=1mbit,queue=200ms' --impair 'down:burst=1%:25%,seed=7'
  rtc-client impair --listen 127.0.0.1:5000 --to 127.0.0.1:6000 \\
      --impair 'rate=2.5mbit;10s:rate=500kbit;20s:rate=2.5mbit' --duration 30s --json
  rtc-client impair --turn 127.0.0.1:3478 --turn-user ann:secret --impair delay=100ms,loss=5%

What a SPEC may say: docs/impair.md";

#[derive(Debug, Args)]
#[command(after_help = IMPAIR_EXAMPLES)]
pub(crate) struct Impair {
    /// Where to listen (UDP).
    #[arg(
        long,
        value_name = "ADDR",
        required_unless_present = "turn",
        requires = "to"
    )]
    pub(crate) listen: Option<std::net::SocketAddr>,

    /// Where to pass on to; what comes back goes to whom it answers.
    #[arg(long, value_name = "ADDR", requires = "listen")]
    pub(crate) to: Option<std::net::SocketAddr>,

    /// Be a TURN server here (UDP) whose clients have that path to it: for browsers that may only relay.
    #[arg(long, value_name = "ADDR", conflicts_with_all = ["listen", "to"])]
    pub(crate) turn: Option<std::net::SocketAddr>,

    /// Who may relay by --turn. Without it: a name and a password that are told at the start.
    #[arg(long, value_name = "NAME:PASSWORD", requires = "turn")]
    pub(crate) turn_user: Option<rtc_server::turn::User>,

    /// How bad the path is; up: is towards --to, or towards the TURN server. Repeatable.
    #[arg(long, value_name = "SPEC")]
    pub(crate) impair: Vec<String>,

    /// End after this long: 10s, 2m, 1h.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) duration: Option<Duration>,

    /// Print JSON instead of lines.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Where far pictures go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Display {
    /// Into the terminal.
    Terminal,
    /// Into a window.
    Window,
    /// Nowhere.
    None,
}

/// What a recording holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum RecordLayout {
    /// Everybody's own picture and sound as tracks of one file, as they came.
    #[default]
    Tracks,
    /// A file for each of the others: call-bob.mkv.
    Files,
    /// One picture of all in a grid, and one sound.
    Mixed,
}

/// How pictures are drawn in the terminal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Graphics {
    /// The best that the terminal says it has.
    #[default]
    Auto,
    /// Half-block cells, which every terminal has.
    Blocks,
    /// Sixel.
    Sixel,
    /// The kitty graphics protocol.
    Kitty,
}

/// Reads `10s`, `1.5m`, `500ms`, `1h`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let split = text
        .find(|c: char| c.is_ascii_alphabetic())
        .ok_or("a time needs its unit: 500ms, 10s, 2m, 1h")?;
    let (number, unit) = text.split_at(split);
    let number: f64 = number
        .parse()
        .map_err(|_| format!("{number:?} is no number"))?;
    let seconds = match unit {
        "ms" => number / 1000.0,
        "s" => number,
        "m" => number * 60.0,
        "h" => number * 3600.0,
        _ => return Err(format!("{unit:?} is no unit of time; use ms, s, m or h")),
    };
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|d| *d <= Duration::from_secs(366 * 86_400))
        .ok_or_else(|| format!("{text:?} is not between 0 and a year"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_an_endpoint_settles_is_taken_but_not_offered() {
        let mut cli = Cli::command();
        let mut help = |name: &str| {
            let command = cli.find_subcommand_mut(name).unwrap();
            command.render_help().to_string()
        };
        for flag in ["--server", "--as"] {
            assert!(help("join").contains(&format!("{flag} <")), "{flag}");
            for command in ["publish", "play"] {
                assert!(!help(command).contains(&format!("{flag} <")), "{flag}");
                let url = "https://example.org/whip/a";
                let line = ["rtc-client", command, url, flag, "x"];
                assert!(Cli::try_parse_from(line).is_ok(), "{flag}");
            }
        }
    }

    #[test]
    fn times_have_units() {
        assert_eq!(duration("1.5m").unwrap(), Duration::from_secs(90));
        assert_eq!(duration("500ms").unwrap(), Duration::from_millis(500));
        for bad in ["10", "s", "-1s", "1d", "inf s", "1e99h", ""] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}

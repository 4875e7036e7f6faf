//! What was asked for, checked: every value here can be acted on.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

use rtc_fec::protect::When;
use rtc_protocol::dialect::whip::Flow;
use rtc_protocol::{AuthToken, Name};
use tokio::sync::mpsc;

mod encryption;
mod network;
mod record;
mod signaling;

use crate::cli::{self, Display, Graphics, Media};
use crate::e2ee::RoomSecret;
use crate::event::PeerRef;
use crate::media::codec::AVAILABLE;
use crate::media::convert::Rotation;
use crate::media::file::{PicturePipe, PipeFrom, SoundPipe};
use crate::media::frame::VideoCodec;
use crate::media::layers::Scalability;
use crate::media::send::adapt::Degradation;
use crate::media::send::redundancy::Redundancy;
use crate::media::tones::{Step, dialled};
use crate::media::voice::VoiceSettings;
use crate::net::impair::Spec;
use crate::net::interfaces::Choice;
use crate::peer::{Channel, ChannelInit};
use crate::signaling::ServerAddress;
use crate::trust::Trust;
use encryption::{e2ee, encryptable};
pub use network::IceServerOption;
pub(crate) use network::ice_server;
pub use record::{RecordLayout, RecordOption, RecordTo};
pub use signaling::SignalingOption;
use verdict::VerdictOption;

pub(crate) mod pipes;
pub mod preview;
pub mod verdict;

/// Where our picture comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VideoFrom {
    /// A camera: the first, or by index, name or path.
    Camera(Option<String>),
    /// A screen: the primary one, or by number or name.
    Screen(Option<String>),
    /// The test picture.
    Test,
    /// A file.
    File(PathBuf),
    /// What another program writes.
    Pipe(PicturePipe),
    /// Nowhere: no picture is sent.
    None,
}

impl VideoFrom {
    /// The pipe, if it is one.
    #[must_use]
    pub const fn pipe(&self) -> Option<&PipeFrom> {
        match self {
            Self::Pipe(pipe) => Some(&pipe.from),
            _ => None,
        }
    }
}

/// Where our sound comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AudioFrom {
    /// A microphone: the default one, or by name.
    Microphone(Option<String>),
    /// A tone of so many Hz.
    Tone(u32),
    /// A file.
    File(PathBuf),
    /// What another program writes.
    Pipe(SoundPipe),
    /// Nowhere: no sound is sent.
    None,
}

impl std::fmt::Display for VideoFrom {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let which =
            |f: &mut std::fmt::Formatter<'_>, kind: &str, which: &Option<String>| match which {
                Some(which) => write!(f, "{kind}:{which}"),
                None => f.write_str(kind),
            };
        match self {
            Self::Camera(camera) => which(f, "camera", camera),
            Self::Screen(screen) => which(f, "screen", screen),
            Self::Test => f.write_str("test"),
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Pipe(pipe) => write!(f, "{}", pipe.from),
            Self::None => f.write_str("none"),
        }
    }
}

impl AudioFrom {
    /// The pipe, if it is one.
    #[must_use]
    pub const fn pipe(&self) -> Option<&PipeFrom> {
        match self {
            Self::Pipe(pipe) => Some(&pipe.from),
            _ => None,
        }
    }
}

/// Where far sound goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SoundTo {
    /// A loudspeaker: the default one, or by name.
    Speaker(Option<String>),
    /// A WAV file.
    File(PathBuf),
    /// Nowhere.
    None,
}

/// What stands on the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// The full screen.
    Screen,
    /// Lines for people.
    Lines,
    /// Lines for programs.
    Json,
}

/// What a call is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To be in a room, as typed: a name or an address.
    Room(String),
    /// To call who goes by a name.
    Call(Name),
    /// To be called by a name, once.
    Wait {
        /// Which.
        name: Name,
        /// Whoever calls is let in.
        auto_answer: bool,
    },
}

/// A data channel that a call is held for.
#[derive(Clone, Debug)]
pub struct DataOption {
    /// What it is opened with.
    pub channel: ChannelInit,
    /// Who takes it when it is open, again and again.
    pub opened: mpsc::Sender<(PeerRef, Channel)>,
    /// A connection that stays unwell is given up after so long.
    pub patience: Duration,
}

/// Everything about one call.
#[derive(Clone, Debug)]
pub struct CallOptions {
    /// What it is for.
    pub purpose: Purpose,
    /// How the two sides come to know of each other.
    pub signaling: SignalingOption,
    /// `--server`.
    pub server: Option<String>,
    /// `--tls-ca`, `--tls-fingerprint`.
    pub trust: Trust,
    /// `--token`.
    pub token: Option<AuthToken>,
    /// What the others see.
    pub name: String,
    /// Our picture.
    pub video: VideoFrom,
    /// Our sound.
    pub audio: AudioFrom,
    /// Whether a missing device is an error: only where it was asked for by name.
    pub video_asked: bool,
    /// As `video_asked`, for sound.
    pub audio_asked: bool,
    /// Start files over.
    pub looped: bool,
    /// Columns and rows wished for.
    pub size: (u32, u32),
    /// Pictures a second wished for.
    pub fps: u32,
    /// Preferred first.
    pub codecs: Vec<VideoCodec>,
    /// `--e2ee`: what encrypts picture and sound end to end.
    pub e2ee: Option<RoomSecret>,
    /// Bits a second of the picture.
    pub bitrate: u32,
    /// What of the picture is rather kept.
    pub degradation: Degradation,
    /// How the picture is turned before it is sent.
    pub rotation: Rotation,
    /// Temporal layers.
    pub scalability: Scalability,
    /// Two channels, coded for music.
    pub stereo: bool,
    /// Silence is not sent.
    pub dtx: bool,
    /// Keys of a telephone that everybody hears at first.
    pub dtmf: Vec<Step>,
    /// When repair packets are sent with pictures.
    pub fec: When,
    /// When sound is sent twice.
    pub audio_red: Redundancy,
    /// What is done to a live microphone's sound.
    pub voice: VoiceSettings,
    /// Far pictures.
    pub display: Display,
    /// Drawn how.
    pub graphics: Graphics,
    /// The window fills the screen.
    pub fullscreen: bool,
    /// Far sound.
    pub speaker: SoundTo,
    /// As `video_asked`, for the loudspeaker.
    pub speaker_asked: bool,
    /// Recording.
    pub record: Option<RecordOption>,
    /// The terminal.
    pub view: View,
    /// Lines of standard input steer the call.
    pub commands: bool,
    /// No person sits here: an ending is judged, not forgiven.
    pub headless: bool,
    /// Hang up after.
    pub duration: Option<Duration>,
    /// Hang up when the last of the others has left.
    pub until_alone: bool,
    /// `--ice-server`.
    pub ice_servers: Vec<IceServerOption>,
    /// Only candidates of TURN servers are used.
    pub relay_only: bool,
    /// Which addresses and ports of this machine are used.
    pub network: Choice,
    /// All connections use this one UDP port.
    pub udp_port: Option<u16>,
    /// The others may come by TCP.
    pub ice_tcp: bool,
    /// Our addresses are told by names that only the local network resolves.
    pub hide_addresses: bool,
    /// `--impair`.
    pub impairment: Option<Spec>,
    /// A channel of this call carries somebody's data, and nothing else matters of it.
    pub data: Option<DataOption>,
    /// `--control`.
    pub control: bool,
    /// `--expect`, `--junit`, `--report`.
    pub verdict: VerdictOption,
}

/// What is captured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceOptions {
    /// Our picture.
    pub video: VideoFrom,
    /// Our sound.
    pub audio: AudioFrom,
    /// Whether a missing device is an error: only where it was asked for by name.
    pub video_asked: bool,
    /// As `video_asked`, for sound.
    pub audio_asked: bool,
    /// Start files over.
    pub looped: bool,
    /// Columns and rows wished for.
    pub size: (u32, u32),
    /// Pictures a second wished for.
    pub fps: u32,
}

/// A value that cannot be acted on.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{flag} {value:?}: {problem}")]
pub struct OptionError {
    flag: &'static str,
    value: String,
    problem: String,
}

impl OptionError {
    pub(crate) fn new(flag: &'static str, value: &str, problem: impl Into<String>) -> Self {
        Self {
            flag,
            value: value.to_owned(),
            problem: problem.into(),
        }
    }
}

impl CallOptions {
    /// What `rtc-client join` means.
    pub(crate) fn join(typed: cli::Join) -> Result<Self, OptionError> {
        let signaling = signaling::parse(typed.signaling.as_deref())?;
        let name = typed.media.name.as_deref();
        let purpose = signaling::purpose(&signaling, typed.room, name, typed.auto_answer)?;
        Self::from_cli(purpose, signaling, typed.media)
    }

    /// What `rtc-client call` means.
    pub(crate) fn call(typed: cli::Call) -> Result<Self, OptionError> {
        let name = checked_name("NAME", &typed.callee)?;
        let signaling = signaling::of_call(typed.signaling.as_deref())?;
        Self::from_cli(Purpose::Call(name), signaling, typed.media)
    }

    /// What `rtc-client publish` means.
    pub(crate) fn publish(typed: cli::Publish) -> Result<Self, OptionError> {
        let endpoint = signaling::endpoint(Flow::Publish, &typed.url)?;
        let options = Self::from_cli(Purpose::Room(typed.url), endpoint, typed.media)?;
        if (&options.video, &options.audio) == (&VideoFrom::None, &AudioFrom::None) {
            return Err(OptionError::new(
                "--video, --audio",
                "none",
                "there is nothing to publish; leave one of the two a source",
            ));
        }
        Ok(options)
    }

    /// What `rtc-client play` means.
    pub(crate) fn play(mut typed: cli::Play) -> Result<Self, OptionError> {
        let endpoint = signaling::endpoint(Flow::Play, &typed.url)?;
        let media = &mut typed.media;
        for (flag, source) in [("--video", &mut media.video), ("--audio", &mut media.audio)] {
            match source.replace("none".to_owned()) {
                Some(asked) if asked != "none" => {
                    return Err(OptionError::new(
                        flag,
                        &asked,
                        "a player sends nothing; leave it away, or use `rtc-client publish`",
                    ));
                }
                _ => {}
            }
        }
        Self::from_cli(Purpose::Room(typed.url), endpoint, typed.media)
    }

    /// What of it is captured.
    pub(crate) fn sources(&self) -> SourceOptions {
        SourceOptions {
            video: self.video.clone(),
            audio: self.audio.clone(),
            video_asked: self.video_asked,
            audio_asked: self.audio_asked,
            looped: self.looped,
            size: self.size,
            fps: self.fps,
        }
    }

    fn from_cli(
        purpose: Purpose,
        signaling: SignalingOption,
        join: Media,
    ) -> Result<Self, OptionError> {
        let copied = matches!(signaling, SignalingOption::Copied(_));
        let on_terminal = std::io::stdout().is_terminal() && std::io::stdin().is_terminal();
        let headless = join.headless;
        let view = if join.json {
            View::Json
        } else if headless || join.plain || copied || !on_terminal {
            View::Lines
        } else {
            View::Screen
        };
        let wished = join.size.as_deref().map(size).transpose()?;
        let video = match &join.video {
            Some(text) => match pipes::picture(text, &join.pipes, wished, join.fps)? {
                Some(pipe) => VideoFrom::Pipe(pipe),
                None => video(text)?,
            },
            None if headless => VideoFrom::Test,
            None => VideoFrom::Camera(None),
        };
        let audio = match &join.audio {
            Some(text) => match pipes::sound(text, &join.pipes) {
                Some(pipe) => AudioFrom::Pipe(pipe),
                None => audio(text)?,
            },
            None if headless => AudioFrom::Tone(TONE_HZ),
            None => AudioFrom::Microphone(None),
        };
        check_pipes(
            &purpose,
            join.commands || join.control || copied,
            &video,
            &audio,
        )?;
        if copied && (join.commands || join.control) {
            return Err(OptionError::new(
                "--signaling",
                "stdio",
                "standard input is where the other side's text is pasted; leave --commands and --control away, or use --signaling exec:COMMAND",
            ));
        }
        if join.commands && view == View::Screen {
            return Err(OptionError::new(
                "--commands",
                "",
                "on the screen lines are typed after Enter; add --plain, --json or --headless to steer the call by standard input",
            ));
        }
        let speaker = match &join.speaker {
            Some(text) => speaker(text)?,
            None if headless => SoundTo::None,
            None => SoundTo::Speaker(None),
        };
        let display = match (join.display, view) {
            (Some(Display::Terminal), View::Lines | View::Json) => {
                return Err(OptionError::new(
                    "--display",
                    "terminal",
                    "the picture in the terminal needs the screen: run it on a terminal, without --headless, --plain and --json",
                ));
            }
            (Some(display), _) => display,
            (None, View::Screen) => Display::Terminal,
            (None, _) => Display::None,
        };
        let address = match &purpose {
            Purpose::Room(typed) if typed.contains("://") => Some(typed),
            _ => join.server.as_ref(),
        };
        let trust = trust(join.tls, address.map(String::as_str))?;
        let e2ee = e2ee(join.e2ee.as_ref(), join.e2ee_file.as_deref())?;
        let codecs = match &e2ee {
            Some(_) => encryptable(&join.codec)?,
            None => codecs(&join.codec)?,
        };
        let record = join.record.map(|path| {
            let layout = join.record_layout;
            RecordOption::parse(path, layout, view, &codecs)
        });
        Ok(Self {
            name: match join.name {
                Some(name) => checked_name("--as", &name)?.to_string(),
                None => default_name(),
            },
            purpose,
            signaling,
            server: join.server,
            trust,
            token: join.token,
            video_asked: join.video.is_some(),
            audio_asked: join.audio.is_some(),
            speaker_asked: join.speaker.is_some(),
            looped: join.looped,
            size: match wished {
                Some(size) => size,
                None if matches!(video, VideoFrom::Screen(_)) => SCREEN_SIZE,
                None => SIZE,
            },
            video,
            audio,
            fps: join.fps,
            codecs,
            e2ee,
            bitrate: bitrate(&join.bitrate)?,
            degradation: Degradation::named(&join.degradation).ok_or_else(|| {
                OptionError::new(
                    "--degradation",
                    &join.degradation,
                    "write balanced, maintain-framerate or maintain-resolution",
                )
            })?,
            rotation: Rotation::degrees(join.rotate).ok_or_else(|| {
                let typed = join.rotate.to_string();
                OptionError::new("--rotate", &typed, "write 0, 90, 180 or 270")
            })?,
            scalability: Scalability::named(&join.scalability).ok_or_else(|| {
                OptionError::new(
                    "--scalability",
                    &join.scalability,
                    "write L1T1, L1T2 or L1T3",
                )
            })?,
            stereo: join.stereo,
            dtx: join.dtx,
            dtmf: match &join.dtmf {
                None => Vec::new(),
                Some(keys) => dialled(keys)
                    .map_err(|error| OptionError::new("--dtmf", keys, error.to_string()))?,
            },
            fec: When::named(&join.fec)
                .ok_or_else(|| OptionError::new("--fec", &join.fec, "write auto, on or off"))?,
            audio_red: Redundancy::named(&join.audio_red).ok_or_else(|| {
                OptionError::new("--audio-red", &join.audio_red, "write auto, on or off")
            })?,
            voice: voice(join.voice, join.stereo),
            display,
            graphics: join.graphics,
            fullscreen: join.fullscreen,
            speaker,
            record: record.transpose()?,
            view,
            commands: join.commands,
            headless,
            duration: join.duration,
            until_alone: join.until_alone,
            relay_only: join.relay_only,
            ice_tcp: join.network.ice_tcp,
            udp_port: join.network.udp_port,
            hide_addresses: join.network.mdns,
            network: network::choice(join.network)?,
            ice_servers: join
                .ice_server
                .iter()
                .map(|text| network::ice_server(text))
                .collect::<Result<_, _>>()?,
            impairment: impairment(&join.impair)?,
            data: None,
            control: join.control,
            verdict: VerdictOption::parse(join.verdict, &join.impair)?,
        })
    }
}

/// Whom to believe to be the server at `address`, where one was typed.
pub(crate) fn trust(typed: cli::TlsFlags, address: Option<&str>) -> Result<Trust, OptionError> {
    // What is no address is told of where it is used.
    let plain = address.filter(|url| ServerAddress::parse(url).is_ok_and(|a| !a.is_secure()));
    if let (Some(url), Some(print)) = (plain, typed.tls_fingerprint.first()) {
        // Whoever names a certificate takes it that it is looked at.
        return Err(OptionError::new(
            "--tls-fingerprint",
            &print.to_string(),
            format!("{url} shows no certificate; use https: or wss:"),
        ));
    }
    let shown = typed.tls_ca.as_ref().map(|path| path.display().to_string());
    Trust::new(typed.tls_ca, typed.tls_fingerprint)
        .map_err(|e| OptionError::new("--tls-ca", &shown.unwrap_or_default(), e.to_string()))
}

/// All of `--impair` together; none where it was not given, so that nothing stands in the way.
pub(crate) fn impairment(texts: &[String]) -> Result<Option<Spec>, OptionError> {
    let mut spec: Option<Spec> = None;
    for text in texts {
        spec.get_or_insert_default()
            .add(text, |path| std::fs::read_to_string(path))
            .map_err(|error| OptionError::new("--impair", text, error.to_string()))?;
    }
    Ok(spec)
}

/// Each pipe has one reader, and standard input is not also where a call is answered.
fn check_pipes(
    purpose: &Purpose,
    commands: bool,
    video: &VideoFrom,
    audio: &AudioFrom,
) -> Result<(), OptionError> {
    one_reader_each(video, audio)?;
    let asks = matches!(
        purpose,
        Purpose::Wait {
            auto_answer: false,
            ..
        }
    );
    if (asks || commands)
        && (video.pipe() == Some(&PipeFrom::Standard) || audio.pipe() == Some(&PipeFrom::Standard))
    {
        return Err(OptionError::new(
            "--video, --audio",
            "-",
            "standard input is where the call is answered or steered; take it with --auto-answer and without --commands and --control, or write into another: pipe:3",
        ));
    }
    Ok(())
}

fn one_reader_each(video: &VideoFrom, audio: &AudioFrom) -> Result<(), OptionError> {
    match (video.pipe(), audio.pipe()) {
        (Some(picture), Some(sound)) if picture == sound => Err(OptionError::new(
            "--audio",
            &sound.to_string(),
            "the picture is read from there; write the sound into another: --audio pipe:3 … 3< <(ffmpeg … -)",
        )),
        _ => Ok(()),
    }
}

/// The size where none was asked for.
const SIZE: (u32, u32) = (640, 360);

/// And of a screen: writing is to be read.
const SCREEN_SIZE: (u32, u32) = (1280, 720);

/// The size to ask of a source that is taken in the middle of a call.
pub(crate) fn size_for(video: &VideoFrom, size: (u32, u32)) -> (u32, u32) {
    match video {
        VideoFrom::Screen(_) if size == SIZE => SCREEN_SIZE,
        VideoFrom::Screen(_) => size,
        _ if size == SCREEN_SIZE => SIZE,
        _ => size,
    }
}

/// Music is left as it is, as browsers do with a stereo track.
const fn voice(typed: cli::VoiceFlags, music: bool) -> VoiceSettings {
    if music {
        return VoiceSettings::NOTHING;
    }
    VoiceSettings {
        echo_cancellation: !typed.no_echo_cancellation,
        noise_suppression: !typed.no_noise_suppression,
        auto_gain_control: !typed.no_auto_gain_control,
    }
}

/// The tone where none was asked for: the chamber A.
const TONE_HZ: u32 = 440;

fn checked_name(flag: &'static str, text: &str) -> Result<Name, OptionError> {
    Name::new(text).map_err(|e| OptionError::new(flag, text, e.to_string()))
}

fn default_name() -> String {
    ["USER", "USERNAME"]
        .iter()
        .filter_map(|key| std::env::var(key).ok())
        .find(|name| rtc_protocol::Name::new(name).is_ok())
        .unwrap_or_else(|| "guest".to_owned())
}

/// `--video`, but for pipes.
pub(crate) fn video(text: &str) -> Result<VideoFrom, OptionError> {
    match split(text) {
        ("camera", which) => Ok(VideoFrom::Camera(which.map(str::to_owned))),
        ("screen", which) => Ok(VideoFrom::Screen(which.map(str::to_owned))),
        ("test", None) => Ok(VideoFrom::Test),
        ("none", None) => Ok(VideoFrom::None),
        ("file", Some(path)) => Ok(VideoFrom::File(path.into())),
        _ => Err(OptionError::new(
            "--video",
            text,
            "use camera, camera:WHICH, screen, screen:WHICH, test, file:PATH, -, pipe:FD, pipe:PATH or none",
        )),
    }
}

/// `--audio`, but for pipes.
pub(crate) fn audio(text: &str) -> Result<AudioFrom, OptionError> {
    match split(text) {
        ("mic", which) => Ok(AudioFrom::Microphone(which.map(str::to_owned))),
        ("tone", None) => Ok(AudioFrom::Tone(TONE_HZ)),
        ("tone", Some(hz)) => hz
            .parse()
            .ok()
            .filter(|hz| (50..=12_000).contains(hz))
            .map(AudioFrom::Tone)
            .ok_or_else(|| OptionError::new("--audio", text, "a tone has 50 to 12000 Hz")),
        ("none", None) => Ok(AudioFrom::None),
        ("file", Some(path)) => Ok(AudioFrom::File(path.into())),
        _ => Err(OptionError::new(
            "--audio",
            text,
            "use mic, mic:WHICH, tone, tone:HZ, file:PATH, -, pipe:FD, pipe:PATH or none",
        )),
    }
}

fn speaker(text: &str) -> Result<SoundTo, OptionError> {
    match split(text) {
        ("speaker", which) => Ok(SoundTo::Speaker(which.map(str::to_owned))),
        ("none", None) => Ok(SoundTo::None),
        ("file", Some(path)) => Ok(SoundTo::File(path.into())),
        _ => Err(OptionError::new(
            "--speaker",
            text,
            "use speaker, speaker:WHICH, file:PATH or none",
        )),
    }
}

/// `kind:rest`; an empty rest counts as none.
fn split(text: &str) -> (&str, Option<&str>) {
    match text.split_once(':') {
        Some((kind, rest)) => (kind, Some(rest).filter(|rest| !rest.is_empty())),
        None => (text, None),
    }
}

pub(crate) fn size(text: &str) -> Result<(u32, u32), OptionError> {
    text.split_once(['x', 'X'])
        .and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)))
        .filter(|(w, h): &(u32, u32)| {
            (16..=4096).contains(w) && (16..=4096).contains(h) && w % 2 == 0 && h % 2 == 0
        })
        .ok_or_else(|| {
            OptionError::new(
                "--size",
                text,
                "write WIDTHxHEIGHT, both even and between 16 and 4096: 1280x720",
            )
        })
}

fn codecs(text: &str) -> Result<Vec<VideoCodec>, OptionError> {
    let mut list = Vec::new();
    for word in text.split(',').map(str::trim) {
        let codec = match word.to_ascii_lowercase().as_str() {
            "vp8" => VideoCodec::Vp8,
            "vp9" => VideoCodec::Vp9,
            "av1" => VideoCodec::Av1,
            "h264" | "h.264" | "avc" => VideoCodec::H264,
            _ => {
                return Err(OptionError::new(
                    "--codec",
                    text,
                    format!(
                        "{word:?} is no codec of ours; use vp8, vp9, h264 and av1, with commas between"
                    ),
                ));
            }
        };
        if !AVAILABLE.contains(&codec) {
            return Err(OptionError::new(
                "--codec",
                text,
                format!(
                    "this build is without {word}; leave it out, or build with --features {word}"
                ),
            ));
        }
        if !list.contains(&codec) {
            list.push(codec);
        }
    }
    Ok(list)
}

pub(crate) fn bitrate(text: &str) -> Result<u32, OptionError> {
    let lower = text.to_ascii_lowercase();
    let (number, factor) = if let Some(number) = lower.strip_suffix('k') {
        (number, 1e3)
    } else if let Some(number) = lower.strip_suffix('m') {
        (number, 1e6)
    } else {
        (lower.as_str(), 1.0)
    };
    number
        .parse::<f64>()
        .ok()
        .map(|n| n * factor)
        .filter(|bits| (30e3..=50e6).contains(bits))
        .map(|bits| bits as u32)
        .ok_or_else(|| {
            OptionError::new(
                "--bitrate",
                text,
                "write bits a second between 30k and 50m: 800k, 1.5m",
            )
        })
}

#[cfg(test)]
mod tests;

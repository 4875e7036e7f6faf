//! One call: everything between the command line and the engine.
//!
//! [`Session::start`] opens what is asked for and joins the room; from then on one task
//! owns the call. It takes news from the server, from each connection, from the sources
//! and sinks, and [`Action`]s from whoever drives it, and tells all of it as [`Event`]s.

mod call;
mod far;
mod figures;
mod link;
pub(crate) mod local;
pub mod outcome;
mod promise;
mod protection;
mod recording;
pub(crate) mod reports;
mod sending;
mod signals;
mod sinks;
mod verdict;

use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use crate::control::Line;
use crate::event::{Event, Kind, Summary};
use crate::exit::Ending;
use crate::measure::vmaf::VmafError;
use crate::media::capture::SourceError;
use crate::media::sink::record::RecordError;
use crate::media::sink::record::mixed::MixedError;
use crate::media::sink::wav::WavError;
use crate::net::shared::PortError;
use crate::options::CallOptions;
use crate::output::PictureBoard;
use crate::signaling::SignalingError;
pub use reports::ReportError;
pub(crate) use reports::Reports;
use rtc_verdict::{Record, judge::judge};

/// Events that wait for the view. A view that does not keep up loses statistics first;
/// nothing else is ever so frequent that the rest does not fit.
const EVENTS: usize = 1024;

/// Commands that wait for the call; who sends more waits.
const ACTIONS: usize = 64;

/// What whoever drives a call may ask.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Say a line to everybody.
    Chat(String),
    /// Press keys of a telephone: `0` to `9`, `*`, `#`, `A` to `D`, and commas for pauses of 2 s.
    Dial(String),
    /// Take a sense from another source, as `--video` and `--audio` name it; `none` sends nothing.
    Source(Kind, String),
    /// Show a screen instead of the picture.
    Share(Option<String>),
    /// Show again what was shown before.
    Unshare,
    /// Hold the call, or take it up again; without a word, the other way round.
    Hold(Option<bool>),
    /// Mute or unmute one of our senses.
    SetMuted(Kind, bool),
    /// The other way round.
    ToggleMuted(Kind),
    /// Take a line that the far side gave out.
    Paste(String),
    /// Take the call that rings.
    Answer,
    /// Do not take it.
    Decline,
    /// What a program asks, to be answered.
    Control(Line),
    /// What a program asks that cannot be done: that is the answer.
    Refuse {
        /// As the command had it.
        id: serde_json::Value,
        /// Why.
        error: String,
    },
    /// Leave the room.
    HangUp,
}

/// Why a call did not begin.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The server would not have us, or there is none.
    #[error(transparent)]
    Signaling(#[from] SignalingError),
    /// A source or the loudspeaker.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The recording.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A mixed recording.
    #[error(transparent)]
    Mixed(#[from] MixedError),
    /// The file for the others' sound.
    #[error(transparent)]
    Wav(#[from] WavError),
    /// `--mdns` without multicast.
    #[error(
        "--mdns: this machine has no multicast ({0}), so nobody could resolve its names; leave --mdns away, or use --relay-only"
    )]
    Hide(#[source] std::io::Error),
    /// `--udp-port`.
    #[error(transparent)]
    UdpPort(#[from] PortError),
    /// A report.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// What a report needs beside us.
    #[error(transparent)]
    Vmaf(#[from] VmafError),
    /// The system gave no thread.
    #[error("the system gave no thread: {0}")]
    Thread(#[from] std::io::Error),
}

impl StartError {
    /// How a program ends that meets it.
    #[must_use]
    pub fn ending(&self) -> Ending {
        match self {
            Self::Signaling(error) => signals::ending(error),
            Self::Source(_)
            | Self::Record(_)
            | Self::Mixed(_)
            | Self::Wav(_)
            | Self::Hide(_)
            | Self::UdpPort(_)
            | Self::Report(_)
            | Self::Vmaf(_)
            | Self::Thread(_) => Ending::Failed,
        }
    }
}

/// A running call; hangs up when dropped, without waiting for it.
pub struct Session {
    actions: mpsc::Sender<Action>,
    task: AbortOnDropHandle<Summary>,
}

impl Session {
    /// Opens sources and sinks, joins the room and calls everybody in it. The newest
    /// picture of everybody goes to `board`.
    ///
    /// # Errors
    /// When what was asked for cannot be opened, or the room cannot be joined.
    pub async fn start(
        options: CallOptions,
        board: PictureBoard,
    ) -> Result<(Self, mpsc::Receiver<Event>), StartError> {
        let (events, receiver) = mpsc::channel(EVENTS);
        let (actions, inbox) = mpsc::channel(ACTIONS);
        let asked = options.verdict.clone();
        let reports = tokio::task::spawn_blocking(move || Reports::open(&asked.reports));
        let reports = reports.await.map_err(std::io::Error::other)??;
        let kept = options.clone();
        let mut call = match call::Call::open(options, board, events).await {
            Ok(call) => call,
            Err(error) => {
                // Whoever reads the reports wants to know that, too.
                let record = Record::default();
                let outcomes = judge(&record, &kept.verdict.expectations);
                let report = reports::report(&kept, &record, &outcomes, (false, error.to_string()));
                if let Err(unwritten) = reports.write(&report) {
                    tracing::warn!("{unwritten}");
                }
                return Err(error);
            }
        };
        call.reports = reports;
        let task = AbortOnDropHandle::new(tokio::spawn(call.run(inbox)));
        Ok((Self { actions, task }, receiver))
    }

    /// Where to send actions; closed when the call is over.
    #[must_use]
    pub fn actions(&self) -> mpsc::Sender<Action> {
        self.actions.clone()
    }

    /// Asks one thing; nothing happens where the call is over.
    pub async fn act(&self, action: Action) {
        let _ = self.actions.send(action).await;
    }

    /// Waits for the end; what was told may still wait for its reader.
    pub async fn over(&self) {
        self.actions.closed().await;
    }

    /// Waits for the end and tells what came of it.
    pub async fn wait(self) -> Summary {
        match self.task.await {
            Ok(summary) => summary,
            Err(error) => Summary {
                exit_code: Ending::Failed.code(),
                outcome: format!("the call's task ended by itself: {error}"),
                ..Summary::default()
            },
        }
    }
}

//! A call driven by a Rust program: what `--control` is for other languages, without another process.
//!
//! ```no_run
//! # async fn example() -> Result<(), rtc_client::driven::DrivenError> {
//! let mut call = rtc_client::join("foo").server("http://localhost:8080").named("ann").start().await?;
//! call.wait_for(|event| matches!(event, rtc_client::event::Event::FirstFrame { .. })).await?;
//! let verdict = call.check(&["connect<2s", "video.repeated==0"]).await?;
//! assert!(verdict.iter().all(|one| one.held), "{verdict:#?}");
//! let summary = call.hang_up().await;
//! # Ok(()) }
//! ```

use std::time::Duration;

use clap::Parser;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

use crate::cli::{self, Cli};
use crate::control::{Command, Line};
use crate::event::{Event, ExpectationSummary, Summary};
use crate::options::{CallOptions, OptionError};
use crate::output::PictureBoard;
use crate::session::{Action, Session, StartError};

/// What is waited for comes within this, unless [`Join::patience`] says otherwise.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why a call did not do what was wanted.
#[derive(Debug, thiserror::Error)]
pub enum DrivenError {
    /// A flag that there is not, or without its value.
    #[error("{0}")]
    Flags(#[from] clap::Error),
    /// A flag's value that cannot be.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// It did not begin.
    #[error(transparent)]
    Start(#[from] StartError),
    /// It was over before that.
    #[error("the call was over before {0} came: {1}")]
    Over(&'static str, String),
    /// It did not come in time.
    #[error("{0} did not come within {1:?}; the last event was {2}")]
    Late(&'static str, Duration, String),
    /// A command that was not done.
    #[error("{0}")]
    Refused(String),
    /// An answer of another form.
    #[error("an answer that is none: {0}")]
    Answer(#[from] serde_json::Error),
}

/// A call that has not begun: headless, with the test picture and a tone, unless its flags say otherwise.
#[derive(Clone, Debug)]
pub struct Join {
    arguments: Vec<String>,
    patience: Duration,
}

/// Joins a room, or an address: `foo`, `https://HOST/foo`.
#[must_use]
pub fn join(room: &str) -> Join {
    let arguments = [
        "rtc-client",
        "join",
        room,
        "--headless",
        "--control",
        "--json",
    ];
    Join {
        arguments: arguments.map(str::to_owned).to_vec(),
        patience: PATIENCE,
    }
}

impl Join {
    /// The server: `--server`.
    #[must_use]
    pub fn server(self, url: &str) -> Self {
        self.flag("--server", url)
    }

    /// The name that the others see: `--as`.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        self.flag("--as", name)
    }

    /// What the call is held to at its end: `--expect`.
    #[must_use]
    pub fn expect(self, expectation: &str) -> Self {
        self.flag("--expect", expectation)
    }

    /// Any flag of `rtc-client join` that has a value.
    #[must_use]
    pub fn flag(mut self, name: &str, value: &str) -> Self {
        self.arguments.push(format!("{name}={value}"));
        self
    }

    /// Any flag of `rtc-client join` that has none.
    #[must_use]
    pub fn switch(mut self, name: &str) -> Self {
        self.arguments.push(name.to_owned());
        self
    }

    /// How long anything is waited for.
    #[must_use]
    pub const fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Begins, and waits until we are in the room.
    ///
    /// # Errors
    /// When a flag is wrong, a source cannot be opened, or the room cannot be joined.
    pub async fn start(self) -> Result<Driven, DrivenError> {
        let cli = Cli::try_parse_from(&self.arguments)?;
        let cli::Command::Join(typed) = cli.command else {
            return Err(DrivenError::Refused("this is no call".to_owned()));
        };
        let options = CallOptions::join(*typed)?;
        let board = PictureBoard::default();
        let (session, events) = Session::start(options, board.clone()).await?;
        let mut driven = Driven {
            session,
            board,
            events,
            seen: Vec::new(),
            asked: 0,
            patience: self.patience,
        };
        driven
            .find("joined", |event| matches!(event, Event::Joined { .. }))
            .await?;
        Ok(driven)
    }
}

/// A running call. Dropped, it hangs up.
pub struct Driven {
    session: Session,
    board: PictureBoard,
    events: mpsc::Receiver<Event>,
    seen: Vec<Event>,
    asked: u64,
    patience: Duration,
}

impl Driven {
    /// Everything that happened and was taken in so far.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.seen
    }

    /// The newest picture of everybody.
    #[must_use]
    pub const fn pictures(&self) -> &PictureBoard {
        &self.board
    }

    /// The first event, of those that have happened and those to come, that is as wanted.
    ///
    /// # Errors
    /// When it does not come in time, or the call is over.
    pub async fn wait_for(
        &mut self,
        wanted: impl Fn(&Event) -> bool,
    ) -> Result<Event, DrivenError> {
        self.find("what was waited for", wanted).await
    }

    /// Goes on for so long, or until the call is over.
    pub async fn run_for(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while let Ok(Some(event)) = timeout_at(until, self.events.recv()).await {
            self.seen.push(event);
        }
    }

    /// Does what a line of `--control` does, and gives its answer.
    ///
    /// # Errors
    /// When it could not be done, or nobody answered.
    pub async fn tell(&mut self, command: Command) -> Result<Value, DrivenError> {
        self.asked += 1;
        let ours = Value::from(self.asked);
        let line = Line {
            id: ours.clone(),
            command,
        };
        self.session.act(Action::Control(line)).await;
        let is_answer = |event: &Event| matches!(event, Event::Answer { id, .. } if *id == ours);
        match self.find("the answer", is_answer).await? {
            Event::Answer {
                error: Some(why), ..
            } => Err(DrivenError::Refused(why)),
            Event::Answer { result, .. } => Ok(result.unwrap_or_default()),
            _ => Ok(Value::Null),
        }
    }

    /// What came of the call so far, held to these.
    ///
    /// # Errors
    /// When one of them is no expectation.
    pub async fn check(&mut self, expect: &[&str]) -> Result<Vec<ExpectationSummary>, DrivenError> {
        let expect = expect.iter().map(|text| (*text).to_owned()).collect();
        let told = self.tell(Command::Check { expect }).await?;
        Ok(serde_json::from_value(told)?)
    }

    /// Hangs up, and says what came of the call and of each [`Join::expect`].
    pub async fn hang_up(self) -> Summary {
        let Self {
            session,
            mut events,
            ..
        } = self;
        session.act(Action::HangUp).await;
        // Its last events have to go somewhere.
        let rest = tokio::spawn(async move { while events.recv().await.is_some() {} });
        let summary = session.wait().await;
        let _ = rest.await;
        summary
    }

    async fn find(
        &mut self,
        what: &'static str,
        wanted: impl Fn(&Event) -> bool,
    ) -> Result<Event, DrivenError> {
        if let Some(event) = self.seen.iter().find(|event| wanted(event)) {
            return Ok(event.clone());
        }
        let looking = async {
            while let Some(event) = self.events.recv().await {
                self.seen.push(event.clone());
                if wanted(&event) {
                    return Some(event);
                }
            }
            None
        };
        match timeout(self.patience, looking).await {
            Ok(Some(event)) => Ok(event),
            Ok(None) => Err(DrivenError::Over(what, self.last())),
            Err(_) => Err(DrivenError::Late(what, self.patience, self.last())),
        }
    }

    fn last(&self) -> String {
        let last = self.seen.last();
        last.map_or_else(|| "none".to_owned(), |event| format!("{event:?}"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn what_is_wrong_with_a_flag_is_told_before_anything_begins() {
        let wrong = [
            join("foo").expect("video.fsp>=25"),
            join("foo").switch("--no-such-flag"),
            join("foo").flag("--size", "large"),
        ];
        for (join, why) in wrong
            .into_iter()
            .zip(["video.fps", "--no-such-flag", "--size"])
        {
            let told = join.start().await.err().unwrap().to_string();
            assert!(told.contains(why), "{told}");
        }
    }
}

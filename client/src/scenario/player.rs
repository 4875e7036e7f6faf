//! What all peers can, and the task that drives one.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rtc_scenario::action::Action;
use rtc_scenario::{Deed, Done, Kind, Seen};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::native::NativePlayer;
use super::page::PagePlayer;
use super::setting::Setting;
use crate::media::clock::Timestamp;

/// Deeds that wait for a peer; one that is that far behind is not given more, and that is told.
const DEEDS: usize = 64;

/// What a peer needs to know of its scenario.
#[derive(Clone)]
pub(super) struct Surroundings {
    pub(super) setting: Arc<Setting>,
    pub(super) server: String,
    /// Where what it says goes.
    pub(super) folder: PathBuf,
}

/// A peer of any kind.
pub(super) enum Player {
    Native(Box<NativePlayer>),
    Page(Box<PagePlayer>),
}

impl Player {
    /// Makes ready what takes long, before the clock runs.
    pub(super) async fn prepare(peer: usize, around: Surroundings) -> Result<Self, String> {
        let setting = Arc::clone(&around.setting);
        let Some(asked) = setting.scenario.peers.get(peer) else {
            return Err("there is no such peer".into());
        };
        match &asked.kind {
            Kind::Native(native) => {
                let player = NativePlayer::new(peer, native.clone(), around);
                Ok(Self::Native(Box::new(player)))
            }
            Kind::Browser(browser) => {
                let player = PagePlayer::prepare(peer, browser.clone(), around).await?;
                Ok(Self::Page(Box::new(player)))
            }
        }
    }

    /// Does one thing, and tells since when it is done.
    async fn act(&mut self, deed: &Deed, began: Timestamp) -> Result<Timestamp, String> {
        match self {
            Self::Native(player) => match &deed.action {
                Action::Native(action) => player.command(action).await,
                Action::Leave => player.leave(began).await,
                Action::Crash => player.crash(began).await,
                Action::Rejoin => player.join(began).await,
                Action::Nothing => Ok(Timestamp::now()),
                Action::Page(_) => Err("only a page can do that".into()),
            },
            Self::Page(player) => match &deed.action {
                Action::Page(action) => player.act(action, deed.patience).await,
                Action::Leave => player.leave(began).await,
                Action::Crash => player.crash(began).await,
                Action::Rejoin => player.join(began).await,
                Action::Nothing => Ok(Timestamp::now()),
                Action::Native(_) => Err("only rtc-client can do that".into()),
            },
        }
    }

    async fn finish(self, began: Timestamp) -> Seen {
        match self {
            Self::Native(player) => player.finish(began).await,
            Self::Page(player) => player.finish(began).await,
        }
    }
}

/// A peer with the task that drives it, which ends with this.
pub(super) struct Driven {
    deeds: mpsc::Sender<(usize, Deed)>,
    task: AbortOnDropHandle<(Seen, Vec<Done>)>,
}

impl Driven {
    pub(super) fn start(mut player: Player, began: Timestamp) -> Self {
        let (deeds, mut wanted) = mpsc::channel::<(usize, Deed)>(DEEDS);
        let task = async move {
            let mut done = Vec::new();
            while let Some((number, deed)) = wanted.recv().await {
                let (at, trouble) = match player.act(&deed, began).await {
                    Ok(at) => (at, None),
                    Err(why) => (Timestamp::now(), Some(why)),
                };
                done.push(Done {
                    deed: number,
                    at: at.since(began),
                    trouble,
                });
            }
            (player.finish(began).await, done)
        };
        Self {
            deeds,
            task: AbortOnDropHandle::new(tokio::spawn(task)),
        }
    }

    /// Has it do something as soon as what it was told before is done.
    pub(super) fn tell(&self, number: usize, deed: &Deed, at: Duration) -> Result<(), Done> {
        self.deeds
            .try_send((number, deed.clone()))
            .map_err(|_| Done {
                deed: number,
                at,
                trouble: Some(format!("it is {DEEDS} steps behind")),
            })
    }

    /// It leaves; gives what it saw and did.
    pub(super) async fn finish(self) -> (Seen, Vec<Done>) {
        drop(self.deeds);
        self.task.await.unwrap_or_else(|error| {
            let seen = Seen {
                words: format!("its task ended by itself: {error}"),
                ..Seen::default()
            };
            (seen, Vec::new())
        })
    }
}

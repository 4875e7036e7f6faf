//! By text that people carry: one line each way, by whatever chat or mail they have.
//!
//! `talk` has the rules, pure. What is pasted comes as [`super::Signaling::paste`]; what is to be copied goes out as
//! [`SignalingEvent::Copy`].

pub(crate) mod talk;
pub(crate) mod text;

use std::time::Instant;

use rtc_protocol::RoomId;
use tokio::sync::mpsc;

use super::error::SignalingError;
use super::event::SignalingEvent;
use super::link::Command;
use super::pair::{Owner, Pair, Turn};
use super::terms::Terms;
use super::via::{Begins, far_name};
use talk::{Talk, Told};

/// One exchange, whatever it carries.
pub(super) const TERMS: Terms = Terms {
    renegotiates: false,
    restarts: false,
    channels: true,
    receives: true,
    pair: true,
};

/// All that the task owns.
pub(super) struct Door {
    talk: Talk,
    pair: Pair,
    owner: Owner,
}

impl Door {
    pub(super) fn open(
        begins: Begins,
        room: &RoomId,
        commands: mpsc::Receiver<Command>,
        events: mpsc::Sender<SignalingEvent>,
    ) -> Result<Self, SignalingError> {
        let name = far_name("other").map_err(|_| SignalingError::Ended)?;
        let mut pair = Pair::new(room, &name);
        pair.welcome(Vec::new());
        pair.joined(begins == Begins::Us);
        Ok(Self {
            talk: Talk::new(begins),
            pair,
            owner: Owner::new(commands, events),
        })
    }

    pub(super) const fn pair(&self) -> &Pair {
        &self.pair
    }

    /// Takes text and gives text until our owner leaves. Nobody can be told of that.
    pub(super) async fn run(mut self) {
        loop {
            while let Some(told) = self.talk.next_told() {
                match told {
                    Told::Signal(signal) => self.pair.heard(signal),
                    Told::Copy(kind, text) => self.pair.tell(SignalingEvent::Copy { kind, text }),
                    Told::Useless(text) => self.pair.tell(SignalingEvent::Notice { text }),
                }
            }
            let now = Instant::now;
            match self.owner.turn(&mut self.pair, self.talk.deadline()).await {
                Turn::Command(Command::Signal(_, signal)) => self.talk.signal(now(), signal),
                Turn::Command(Command::Paste(text)) => self.talk.paste(&text),
                Turn::Time => self.talk.check(now()),
                Turn::Command(_) | Turn::Told => {}
                Turn::Leave(done) => {
                    if let Some(done) = done {
                        done.send(()).ok();
                    }
                    return;
                }
            }
        }
    }
}

//! What another program asks of the call, done and answered.

use std::sync::Arc;
use std::time::Instant;

use rtc_verdict::Expectation;
use serde_json::{Map, Value};

use super::super::reports;
use super::Call;
use crate::control::{Command, Line};
use crate::event::Event;
use crate::media::clock::Timestamp;
use crate::net::impair::Spec;
use crate::peer::Peer;

/// What a command came to: a result where it has one.
type Done = Result<Value, String>;

impl Call {
    /// Does one thing and answers it, now or when its result is there.
    pub(super) async fn control(&mut self, line: Line) {
        let done = match line.command {
            Command::Mute { what } => {
                self.mute(what, true).await;
                Ok(Value::Null)
            }
            Command::Unmute { what } => {
                self.mute(what, false).await;
                // A moderator's mute stays.
                if self.silent(what) {
                    Err("a moderator has muted it; only a moderator can unmute it".to_owned())
                } else {
                    Ok(Value::Null)
                }
            }
            Command::Source { what, source } => self.switch(what, &source).map(|()| Value::Null),
            Command::Share { which } => self.share(which.as_deref()).map(|()| Value::Null),
            Command::Unshare => self.unshare().map(|()| Value::Null),
            Command::Hold => {
                self.hold(Some(true)).await;
                Ok(Value::Null)
            }
            Command::Unhold => {
                self.hold(Some(false)).await;
                Ok(Value::Null)
            }
            Command::Chat { text } => {
                if self.chat(text).await == 0 {
                    Err("nobody has an open channel to be told by yet".to_owned())
                } else {
                    Ok(Value::Null)
                }
            }
            Command::OpenChannel { peer, init } => self.open_channel(init, peer.as_deref()).await,
            Command::Send {
                channel,
                text,
                data,
            } => self.send_on_channel(channel, text, data.as_deref()).await,
            Command::Channels => Ok(self.list_channels().await),
            Command::CloseChannel { channel } => self.close_channel(channel),
            Command::Dial { keys } => match crate::media::tones::dialled(&keys) {
                Ok(_) => {
                    self.dial(&keys);
                    Ok(Value::Null)
                }
                Err(error) => Err(error.to_string()),
            },
            Command::Stats => return self.ask_for_stats(line.id),
            Command::Accept => {
                self.answer().await;
                Ok(Value::Null)
            }
            Command::Decline => {
                self.decline().await;
                Ok(Value::Null)
            }
            Command::RestartIce => {
                self.restart_ice().await;
                Ok(Value::Null)
            }
            Command::Impair { spec } => self.impair(&spec),
            Command::Check { expect } => self.check(&expect),
            // Both are the reader's.
            Command::Wait { .. } | Command::HangUp { .. } => Ok(Value::Null),
        };
        self.answer_to(line.id, done);
    }

    fn answer_to(&self, id: Value, done: Done) {
        let (result, error) = match done {
            Ok(result) => (Some(result).filter(|result| !result.is_null()), None),
            Err(error) => (None, Some(error)),
        };
        self.tell(Event::Answer { id, result, error });
    }

    /// Takes a while: the engine is asked, and the call goes on meanwhile.
    fn ask_for_stats(&mut self, id: Value) {
        let linked = self.far.values().filter_map(|far| {
            let link = far.link.as_ref().filter(|link| link.connected())?;
            Some((far.who.id.clone(), Arc::clone(&link.peer)))
        });
        let peers: Vec<(String, Arc<Peer>)> = linked.collect();
        let events = self.events.clone();
        self.closing.spawn(async move {
            let mut all = Map::new();
            for (id, peer) in peers {
                all.insert(id, peer.stats().await);
            }
            let result = Some(Value::Object(all));
            let answer = Event::Answer {
                id,
                result,
                error: None,
            };
            if events.try_send(answer).is_err() {
                tracing::debug!("an answer was dropped: the view does not keep up");
            }
        });
    }

    async fn restart_ice(&mut self) {
        let linked = self.far.values().filter_map(|far| far.link.as_ref());
        let peers: Vec<Arc<Peer>> = linked.map(|link| Arc::clone(&link.peer)).collect();
        for peer in peers {
            peer.restart_ice().await;
        }
    }

    fn impair(&mut self, text: &str) -> Done {
        let path = self
            .impairment
            .as_ref()
            .ok_or("this call's network is not ours to impair")?;
        let mut spec = Spec::default();
        if !text.trim().is_empty() {
            spec.add(text, |path| std::fs::read_to_string(path))
                .map_err(|error| error.to_string())?;
        }
        path.change(&spec, Instant::now());
        for far in self.far.values() {
            self.measured
                .note(&far.who, &format!("the path is made {text:?}"));
        }
        Ok(Value::Null)
    }

    fn check(&self, texts: &[String]) -> Done {
        let expectations = texts.iter().map(|text| {
            let read = text.parse::<Expectation>();
            read.map_err(|error| error.to_string())
        });
        let expectations: Vec<Expectation> = expectations.collect::<Result<_, _>>()?;
        let now = Timestamp::now();
        let there = self.far.values().filter(|far| far.until.is_none());
        let standing = there.map(|far| (&far.who, far.media.standing(now)));
        let record = self.measured.so_far(now, standing);
        let outcomes = rtc_verdict::judge::judge(&record, &expectations);
        serde_json::to_value(reports::summaries(&outcomes)).map_err(|error| error.to_string())
    }
}

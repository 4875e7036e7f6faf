//! A name calls a name, over a plain WebSocket: one JSON object a message. Pure.

use std::time::{Duration, Instant};

use rtc_protocol::dialect::conference::data;
use rtc_protocol::{
    CallId, IceServer, LeaveReason, Name, PeerId, Raw, RefuseCode, SdpType, Signal, limits,
};
use serde::Deserialize;

use crate::ids::{self, Ids};
use crate::news::{News, Out, Refusal, member};
use crate::pair::word_of;
use crate::socketio::quoted;

/// Servers that do not say so themselves would have us call for ever.
const RINGING: Duration = Duration::from_millis(limits::RING_MS + 5_000);

/// Candidates of a call that rings here; those beyond it are not kept.
const HELD: usize = limits::HELD_CANDIDATES;

/// Logs in.
#[must_use]
pub fn login(name: &str) -> String {
    format!(r#"{{"type":"login","name":{}}}"#, quoted(name))
}

/// Carries an `offer`, `answer` or `candidate` to a name.
#[must_use]
pub fn carry(kind: &str, word: &str, name: &str) -> String {
    let name = quoted(name);
    format!(r#"{{"type":"{kind}","{kind}":{word},"name":{name}}}"#)
}

/// Ends a call with a name, or does not take it.
#[must_use]
pub fn leave(name: &str) -> String {
    format!(r#"{{"type":"leave","name":{}}}"#, quoted(name))
}

/// What a server says, as far as it is known; all fields of all types.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Told {
    /// What it is.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether we are logged in.
    pub success: Option<bool>,
    /// Why not, for programs.
    pub code: Option<String>,
    /// Why not, for people.
    pub message: Option<String>,
    /// Who says it, or whom it is about.
    pub name: Option<String>,
    /// A description.
    pub offer: Option<Raw>,
    /// A description.
    pub answer: Option<Raw>,
    /// One more way to be reached; none where there are no more.
    pub candidate: Option<Raw>,
    /// What our own server says of STUN and TURN.
    pub ice_servers: Option<Raw>,
}

impl Told {
    /// Reads one message; takes any text.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        // An array would pass for an object whose fields have no names.
        if !text.trim_start().starts_with('{') {
            return None;
        }
        serde_json::from_str(text).ok()
    }

    fn words(&self) -> String {
        let words = self.message.as_deref().or(self.code.as_deref());
        let words = words.unwrap_or("it gives no reason").chars();
        words.take(limits::REASON_CHARS).collect()
    }
}

/// Where we are with a call.
#[derive(Clone, Debug, PartialEq)]
enum Call {
    None,
    /// We call.
    Calling {
        taken: bool,
        /// Until when it may ring, once we have offered.
        until: Option<Instant>,
    },
    /// It rings here.
    Rings {
        call: CallId,
        held: Vec<Signal>,
    },
    /// It was taken.
    Stands,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Login {
    own: Name,
    /// Whom we call; nobody where we wait.
    callee: Option<Name>,
    ids: Ids,
    logged_in: bool,
    call: Call,
    /// The other side, as the server calls it, and as we do.
    far: Option<(String, PeerId)>,
}

impl Login {
    /// Under our own name; to call somebody, or to be called.
    #[must_use]
    pub const fn new(own: Name, callee: Option<Name>, seed: [u8; 32]) -> Self {
        Self {
            own,
            callee,
            ids: Ids::new(seed),
            logged_in: false,
            call: Call::None,
            far: None,
        }
    }

    pub(crate) fn connected(&self, out: &mut Out) {
        out.say(login(self.own.as_str()));
    }

    /// The link is down, and with it the name and the call, which the server ends.
    pub(crate) fn down(&mut self, out: &mut Out) {
        self.logged_in = false;
        if let Call::Rings { call, .. } = &self.call {
            out.tell(News::HungUp(call.clone()));
            self.call = Call::None;
            self.far = None;
        }
    }

    /// Whether there is any point in a new link.
    pub(crate) const fn mends(&self) -> bool {
        matches!(self.call, Call::None | Call::Rings { .. })
    }

    pub(crate) const fn is_inside(&self) -> bool {
        self.logged_in
    }

    pub(crate) fn hear(&mut self, told: &Told, out: &mut Out) -> Result<(), Refusal> {
        match (told.kind.as_str(), &told.name) {
            ("hello", _) => {
                let servers = told.ice_servers.as_ref();
                let servers = servers.and_then(|all| all.to::<Vec<IceServer>>().ok());
                if let Some(servers) = servers {
                    out.tell(News::IceServers(servers));
                }
            }
            ("login", _) if !self.logged_in => {
                if told.success != Some(true) {
                    return Err(match told.code.as_deref() {
                        // Servers without codes have this one reason.
                        None | Some("name-taken") => Refusal::NameTaken(told.words()),
                        Some(_) => Refusal::Said(told.words()),
                    });
                }
                self.logged_in = true;
                self.enter(out);
            }
            ("offer", Some(name)) => self.offered(name, told.offer.as_ref(), out),
            ("answer", _) => {
                if let Some(signal) = told.answer.as_ref().and_then(data::read) {
                    self.taken(out);
                    self.signalled(signal, out);
                }
            }
            ("candidate", _) => {
                let said = told.candidate.as_ref();
                let signal = said.map_or(Some(Signal::EndOfCandidates), data::read);
                if let Some(signal) = signal {
                    self.signalled(signal, out);
                }
            }
            ("leave", _) => self.hung_up(out),
            ("ringing", _) if matches!(self.call, Call::Calling { taken: false, .. }) => {
                out.tell(News::Ringing);
            }
            ("accept", _) => self.taken(out),
            ("refuse", _) if matches!(self.call, Call::Calling { taken: false, .. }) => {
                self.call = Call::None;
                let code = match told.code.as_deref() {
                    Some("busy") => RefuseCode::Busy,
                    Some("no-answer") => RefuseCode::NoAnswer,
                    _ => RefuseCode::Declined,
                };
                let words = told.message.as_ref().map(|_| told.words());
                out.tell(News::NotTaken(code, words));
            }
            ("error", _) => return self.refused(told, out),
            _ => {}
        }
        Ok(())
    }

    /// Logged in: calls, or waits.
    fn enter(&mut self, out: &mut Out) {
        let Some(callee) = self.callee.clone() else {
            return out.tell(News::Waiting);
        };
        let peer = self.ids.peer();
        self.far = Some((callee.to_string(), peer));
        let (taken, until) = (false, None);
        self.call = Call::Calling { taken, until };
        // We offer to who is there already.
        out.tell(News::Inside(vec![member(peer, callee, None)]));
    }

    fn offered(&mut self, name: &str, offer: Option<&Raw>, out: &mut Out) {
        let Some(signal @ Signal::Description(_)) = offer.and_then(data::read) else {
            return;
        };
        let known = self.far.as_ref().is_some_and(|(far, _)| far == name);
        match &mut self.call {
            Call::Rings { held, .. } if known => *held = vec![signal],
            Call::Stands | Call::Calling { .. } if known => self.signalled(signal, out),
            Call::None if self.callee.is_none() => {
                let (Ok(call), Ok(shown)) = (self.ids.call(), ids::name(name)) else {
                    return;
                };
                let peer = self.ids.peer();
                self.far = Some((name.to_owned(), peer));
                let held = vec![signal];
                out.tell(News::Rung(call.clone(), peer, shown));
                self.call = Call::Rings { call, held };
            }
            // One call at a time; this dialect has one word for that.
            _ => out.say(leave(name)),
        }
    }

    fn taken(&mut self, out: &mut Out) {
        if let Call::Calling { taken, until } = &mut self.call
            && !std::mem::replace(taken, true)
        {
            *until = None;
            out.tell(News::Accepted);
        }
    }

    fn signalled(&mut self, signal: Signal, out: &mut Out) {
        let Some((_, peer)) = self.far else { return };
        match &mut self.call {
            Call::None => {}
            Call::Rings { held, .. } if held.len() > HELD => {}
            Call::Rings { held, .. } => held.push(signal),
            Call::Calling { .. } | Call::Stands => out.tell(News::Signal(peer, signal)),
        }
    }

    fn hung_up(&mut self, out: &mut Out) {
        let far = self.far.take();
        match std::mem::replace(&mut self.call, Call::None) {
            Call::None => {}
            Call::Rings { call, .. } => out.tell(News::HungUp(call)),
            Call::Calling { taken: false, .. } => {
                if let Ok(call) = self.ids.call() {
                    out.tell(News::HungUp(call));
                }
            }
            Call::Calling { .. } | Call::Stands => {
                if let Some((_, peer)) = far {
                    out.tell(News::Left(peer, LeaveReason::Left));
                }
            }
        }
    }

    /// A refusal is the end of a call that is not taken, and of nothing else.
    fn refused(&mut self, told: &Told, out: &mut Out) -> Result<(), Refusal> {
        let words = told.words();
        let code = told.code.as_deref();
        let calling = matches!(self.call, Call::Calling { taken: false, .. });
        let of_call = !matches!(
            code,
            None | Some("rate-limited" | "too-many" | "no-call" | "going-away")
        );
        if calling && of_call {
            self.call = Call::None;
            match code {
                Some("no-such-user") => return Err(Refusal::NoSuchUser(words)),
                Some("busy" | "room-full") => return Err(Refusal::Busy(words)),
                _ => out.tell(News::NotTaken(RefuseCode::Declined, Some(words))),
            }
            return Ok(());
        }
        if code == Some("going-away") {
            out.tell(News::GoAway(words));
        } else {
            out.tell(News::Notice(format!("the server refused: {words}")));
        }
        Ok(())
    }

    /// Takes the call that rings.
    pub(crate) fn accept(&mut self, wanted: &CallId, out: &mut Out) {
        let (call, held) = match std::mem::replace(&mut self.call, Call::None) {
            Call::Rings { call, held } if call == *wanted => (call, held),
            other => {
                self.call = other;
                return;
            }
        };
        let Some((name, peer)) = self.far.clone() else {
            return out.tell(News::HungUp(call));
        };
        self.call = Call::Stands;
        out.tell(News::Inside(Vec::new()));
        if let Ok(name) = ids::name(&name) {
            out.tell(News::Came(member(peer, name, None)));
        }
        for signal in held {
            out.tell(News::Signal(peer, signal));
        }
    }

    /// Does not take it.
    pub(crate) fn refuse(&mut self, wanted: &CallId, out: &mut Out) {
        if let Call::Rings { call, .. } = &self.call
            && call == wanted
        {
            self.call = Call::None;
            if let Some((name, _)) = self.far.take() {
                out.say(leave(&name));
            }
        }
    }

    pub(crate) const fn deadline(&self) -> Option<Instant> {
        match self.call {
            Call::Calling { until, .. } => until,
            _ => None,
        }
    }

    pub(crate) fn check(&mut self, now: Instant, out: &mut Out) {
        if self.deadline().is_some_and(|until| now >= until) {
            self.leave(out);
            self.call = Call::None;
            out.tell(News::NotTaken(RefuseCode::NoAnswer, None));
        }
    }

    pub(crate) fn signal(&mut self, now: Instant, to: PeerId, signal: &Signal, out: &mut Out) {
        let Some((name, _)) = self.far.as_ref().filter(|(_, peer)| *peer == to) else {
            return;
        };
        let carried = match signal {
            Signal::Description(description) => {
                let kind = match description.kind {
                    SdpType::Answer => "answer",
                    _ => "offer",
                };
                word_of(description).map(|word| (kind, word))
            }
            Signal::Candidate(candidate) => Raw::of(candidate).ok().map(|word| ("candidate", word)),
            // Pages would make a candidate of whatever comes.
            Signal::EndOfCandidates | Signal::Restart => None,
        };
        let Some((kind, word)) = carried else { return };
        match &mut self.call {
            Call::None | Call::Rings { .. } => return,
            Call::Calling {
                taken: false,
                until,
            } if kind == "offer" => {
                until.get_or_insert(now + RINGING);
            }
            Call::Calling { .. } | Call::Stands => {}
        }
        out.say(carry(kind, word.get(), name));
    }

    pub(crate) fn leave(&mut self, out: &mut Out) {
        if let (Some((name, _)), true) = (&self.far, self.call != Call::None) {
            out.say(leave(name));
        }
    }
}

#[cfg(test)]
mod tests;

//! Rooms of many over Socket.IO, where whoever is inside offers to whoever comes. Pure.

use std::collections::HashMap;

use rtc_protocol::dialect::conference::data;
use rtc_protocol::dialect::socketio::Event;
use rtc_protocol::{Dialect, Kind, LeaveReason, Member, Name, PeerId, Raw, RoomId, Signal};
use serde::Deserialize;

use crate::ids::{self, Ids};
use crate::news::{News, Out, Refusal, member};
use crate::pair::word_of;
use crate::socketio::{self, Said, quoted};

/// Members that are kept; a room of more is none that we could be in.
const MEMBERS: usize = 256;

/// Asks to be in a room, as the request of this number.
#[must_use]
pub fn join(number: u64, room: &str, name: &str) -> String {
    socketio::request(number, "join", &[&quoted(room), &quoted(name)])
}

/// Says something to one member, or to everybody else.
#[must_use]
pub fn message(room: &str, word: &str, to: Option<&str>) -> String {
    let room = quoted(room);
    match to {
        Some(to) => socketio::event("message", &[&room, word, &quoted(to)]),
        None => socketio::event("message", &[&room, word]),
    }
}

/// Goes out of a room, as the request of this number.
#[must_use]
pub fn leave(number: u64, room: &str) -> String {
    socketio::request(number, "leave", &[&quoted(room)])
}

/// A member, as loosely as servers may write it.
#[derive(Deserialize)]
struct Entry {
    id: String,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    muted: Vec<Kind>,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Conference {
    room: RoomId,
    name: Name,
    /// Who we are to our own side, over all links.
    me: PeerId,
    ids: Ids,
    /// Who we are to the server, on this link.
    own: Option<String>,
    others: HashMap<String, PeerId>,
    requests: u64,
    /// The request that we are not in before.
    joining: Option<u64>,
    muted: [bool; 2],
}

impl Conference {
    /// For a room, under a name.
    #[must_use]
    pub fn new(room: RoomId, name: Name, me: PeerId, seed: [u8; 32]) -> Self {
        Self {
            room,
            name,
            me,
            ids: Ids::new(seed),
            own: None,
            others: HashMap::new(),
            requests: 0,
            joining: None,
            muted: [false; 2],
        }
    }

    fn next_request(&mut self) -> u64 {
        self.requests += 1;
        self.requests
    }

    pub(crate) fn connected(&mut self, out: &mut Out) {
        let number = self.next_request();
        self.joining = Some(number);
        out.say(join(number, self.room.as_str(), self.name.as_str()));
    }

    /// A new link is a new member to the server.
    pub(crate) fn down(&mut self) {
        self.own = None;
        self.joining = None;
    }

    pub(crate) const fn is_inside(&self) -> bool {
        self.own.is_some()
    }

    pub(crate) fn event(&mut self, event: &Event, out: &mut Out) -> Result<(), Refusal> {
        let text = |index: usize| {
            let arg = event.args.get(index);
            arg.and_then(|arg| arg.to::<String>().ok())
        };
        if event.name == "drain" {
            let reason = event.args.first().and_then(reason_of);
            out.tell(News::GoAway(reason.unwrap_or_default()));
            return Ok(());
        }
        if event.name == "error" {
            let said = Said::read(&event.args);
            let words = said.message.or(said.code).unwrap_or_default();
            out.tell(News::Notice(format!("the server refused: {words}")));
            return Ok(());
        }
        if text(0).as_deref() != Some(self.room.as_str()) {
            return Ok(());
        }
        match (event.name.as_str(), text(1)) {
            ("joined", Some(id)) => {
                let members = event.args.get(2).and_then(|all| all.to().ok());
                self.joined(id, members.unwrap_or_default(), out);
            }
            ("full", _) if self.own.is_none() => return Err(Refusal::Full),
            ("otherjoin", Some(id)) if self.own.is_some() => {
                let name = text(2).unwrap_or_default();
                if let Some(member) = self.enter(&id, &name, false) {
                    let peer = member.peer;
                    out.tell(News::Came(member));
                    out.tell(News::Signal(peer, Signal::Restart));
                }
            }
            ("message", _) => {
                let from = text(2).and_then(|from| self.others.get(&from).copied());
                let signal = event.args.get(1).and_then(data::read);
                if let (Some(from), Some(signal)) = (from, signal) {
                    out.tell(News::Signal(from, signal));
                }
            }
            ("bye", Some(id)) => {
                if let Some(peer) = self.others.remove(&id) {
                    out.tell(News::Left(peer, LeaveReason::Left));
                }
            }
            (name @ ("muted" | "unmuted"), Some(id)) => {
                let kind = event.args.get(2).and_then(|kind| kind.to::<Kind>().ok());
                let by = text(3).and_then(|by| self.who(&by));
                if let (Some(peer), Some(kind)) = (self.who(&id), kind) {
                    let (by, muted) = (by.unwrap_or(peer), name == "muted");
                    // What we asked for ourselves is no news.
                    if (peer, by, muted) != (self.me, self.me, self.muted[index(kind)]) {
                        out.tell(News::Muted(peer, kind, muted, by));
                    }
                }
            }
            ("kicked", Some(id)) if Some(&id) == self.own.as_ref() => {
                let by = text(2).and_then(|by| self.who(&by)).unwrap_or(self.me);
                out.tell(News::Kicked(by, text(3)));
            }
            _ => {}
        }
        Ok(())
    }

    fn who(&self, id: &str) -> Option<PeerId> {
        if self.own.as_deref() == Some(id) {
            return Some(self.me);
        }
        self.others.get(id).copied()
    }

    /// Somebody is there whom we did not know of.
    fn enter(&mut self, id: &str, name: &str, offers: bool) -> Option<Member> {
        let known = self.others.contains_key(id) || self.own.as_deref() == Some(id);
        if known || self.others.len() >= MEMBERS {
            return None;
        }
        let name = if name.is_empty() { "other" } else { name };
        let name = ids::name(name).ok()?;
        // Ids of our own server stay what they are.
        let peer = PeerId::new(id).unwrap_or_else(|_| self.ids.peer());
        self.others.insert(id.to_owned(), peer);
        let dialect = offers.then_some(Dialect::Conference);
        Some(member(peer, name, dialect))
    }

    fn joined(&mut self, id: String, entries: Vec<Entry>, out: &mut Out) {
        let first = self.own.is_none();
        if first {
            self.own = Some(id);
        }
        let before = if first {
            std::mem::take(&mut self.others)
        } else {
            HashMap::new()
        };
        let mut members = Vec::new();
        for entry in entries {
            let name = entry.name.unwrap_or_default();
            let Some(mut member) = self.enter(&entry.id, &name, true) else {
                continue;
            };
            // Who was there before our link broke is the same one still.
            if let Some(peer) = before.get(&entry.id) {
                member.peer = *peer;
                self.others.insert(entry.id, *peer);
            }
            member.muted = entry.muted;
            members.push(member);
        }
        if !first {
            // They offer by themselves.
            return members
                .into_iter()
                .for_each(|member| out.tell(News::Came(member)));
        }
        out.tell(News::Inside(members));
        for kind in [Kind::Audio, Kind::Video] {
            if self.muted[index(kind)] {
                self.say_mute(kind, out);
            }
        }
    }

    pub(crate) fn ack(&mut self, number: u64, args: &[Raw], out: &mut Out) -> Result<(), Refusal> {
        let said = Said::read(args);
        let joining = self.joining.take_if(|joining| *joining == number);
        if said.ok != Some(false) {
            return Ok(());
        }
        let words = said.message.or_else(|| said.code.clone());
        let words = words.unwrap_or_else(|| "it gives no reason".to_owned());
        if joining.is_none() || self.own.is_some() {
            out.tell(News::Notice(format!("the server refused: {words}")));
            return Ok(());
        }
        Err(match said.code.as_deref() {
            Some("room-full") => Refusal::Full,
            _ => Refusal::Said(words),
        })
    }

    pub(crate) fn signal(&self, to: PeerId, signal: &Signal, out: &mut Out) {
        let word = match signal {
            Signal::Description(description) => word_of(description),
            Signal::Candidate(candidate) => data::candidate_for_page(candidate),
            Signal::EndOfCandidates | Signal::Restart => None,
        };
        if let (Some(id), Some(word)) = (self.id_of(to), word) {
            out.say(message(self.room.as_str(), word.get(), Some(id)));
        }
    }

    fn id_of(&self, peer: PeerId) -> Option<&str> {
        let mut others = self.others.iter().filter(|_| self.own.is_some());
        others
            .find(|(_, known)| **known == peer)
            .map(|(id, _)| id.as_str())
    }

    /// An application's words.
    pub(crate) fn message(&self, to: Option<PeerId>, word: &Raw, out: &mut Out) {
        let id = to.map(|to| self.id_of(to));
        match id {
            Some(None) => {}
            _ if self.own.is_none() => {}
            _ => out.say(message(self.room.as_str(), word.get(), id.flatten())),
        }
    }

    pub(crate) fn mute(&mut self, kind: Kind, muted: bool, out: &mut Out) {
        self.muted[index(kind)] = muted;
        self.say_mute(kind, out);
    }

    fn say_mute(&self, kind: Kind, out: &mut Out) {
        let Some(own) = &self.own else { return };
        let event = match self.muted[index(kind)] {
            true => "mute",
            false => "unmute",
        };
        let room = quoted(self.room.as_str());
        let kind = match kind {
            Kind::Audio => "audio",
            Kind::Video => "video",
        };
        out.say(socketio::event(
            event,
            &[&room, &quoted(own), &quoted(kind)],
        ));
    }

    pub(crate) fn kick(&self, peer: PeerId, reason: Option<&str>, out: &mut Out) {
        let Some(id) = self.id_of(peer) else { return };
        let (room, id) = (quoted(self.room.as_str()), quoted(id));
        let reason = reason.map_or_else(|| "null".to_owned(), quoted);
        out.say(socketio::event("kick", &[&room, &id, &reason]));
    }

    pub(crate) fn leave(&mut self, out: &mut Out) {
        if self.own.take().is_some() {
            let number = self.next_request();
            out.say(leave(number, self.room.as_str()));
        }
    }
}

const fn index(kind: Kind) -> usize {
    match kind {
        Kind::Audio => 0,
        Kind::Video => 1,
    }
}

fn reason_of(arg: &Raw) -> Option<String> {
    #[derive(Deserialize)]
    struct Drain {
        reason: String,
    }
    let drain: Drain = arg.to().ok()?;
    Some(drain.reason.chars().take(256).collect())
}

#[cfg(test)]
mod tests;

//! The rules of one publisher's or player's session: `(now, input)` in, outputs out.
//!
//! ```text
//! Joining -> Waiting -> Exchange (offer out) -> Exchange (answer in, gathering) -> Standing <-> Exchange (ICE restart)
//! ```
//!
//! Each state ends in time: waiting for somebody who can answer, for the answer, for candidates, and the session itself.
//! The session is over when the HTTP side deletes it, when its partner leaves or says that the connection is lost, when
//! a moderator puts it out, or when it has lived as long as a session may.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::sdp::Answer;
use super::{Flow, Fragment, Offer, Partners, Precondition};
use crate::id::{Name, PeerId, RoomId};
use crate::message::{
    ClientFrame, ClientMessage, ErrorCode, IceServer, Member, Right, Role, ServerFrame,
    ServerMessage,
};
use crate::signal::{Candidate, Description, SdpType, Signal};
use crate::{LeaveReason, Raw};

/// Candidates of the partner that are kept for one answer; more are not given to the HTTP side.
const CANDIDATES: usize = 64;

/// Members that are thought of as partners; a room has fewer.
const MEMBERS: usize = crate::limits::ROOM_CAPACITY as usize;

/// The request that made the session.
const CREATION: u64 = 0;

/// How long things may take. OBS gives up its request after eight seconds: all of it stays below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// From the request until there is somebody in the room who can answer.
    pub partner: Duration,
    /// From the offer to the answer.
    pub answer: Duration,
    /// From the answer until all its candidates are there.
    pub gather: Duration,
    /// The whole session.
    pub life: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            partner: Duration::from_millis(2_000),
            answer: Duration::from_millis(3_000),
            gather: Duration::from_millis(2_500),
            life: Duration::from_secs(24 * 60 * 60),
        }
    }
}

/// What a session is made of.
#[derive(Clone, Debug)]
pub struct Plan {
    /// WHIP or WHEP.
    pub flow: Flow,
    /// Where.
    pub room: RoomId,
    /// The name that the others see.
    pub name: Option<Name>,
    /// The member that is to answer, by name or id; none for whoever can.
    pub wanted: Option<String>,
    /// The offer.
    pub offer: Offer,
    /// How long things may take.
    pub patience: Patience,
}

/// What a session is told.
#[derive(Clone, Debug)]
pub enum Input {
    /// By the room core.
    Heard(ServerFrame),
    /// A `PATCH` request.
    Patch {
        /// Its number, by which it is answered; never 0.
        request: u64,
        /// Its `If-Match`.
        precondition: Precondition,
        /// Its body.
        fragment: Fragment,
    },
    /// A `DELETE` request.
    Delete,
    /// Time has passed.
    Tick,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Say this to the room core.
    Core(ClientFrame),
    /// Answer this request; the one that made the session is number 0.
    Reply(u64, Reply),
    /// The session is over; the text is why, for the log.
    End(&'static str),
}

/// What a request is answered with.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// The session stands.
    Created {
        /// SDP, with every candidate in it.
        answer: String,
        /// Names the ICE generation.
        etag: String,
        /// For the `Link` headers.
        ice_servers: Vec<IceServer>,
    },
    /// Candidates are passed on.
    Trickled,
    /// ICE begins anew.
    Restarted {
        /// The other side's credentials and candidates.
        fragment: String,
        /// Names the new ICE generation.
        etag: String,
    },
    /// Nothing was done.
    Refused(Refusal),
}

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Nobody can answer.
    #[error(
        "nobody in room {room} can answer now; open the room in a browser or with `rtc-client join {room}`, and try again"
    )]
    Nobody {
        /// The room.
        room: RoomId,
    },
    /// Somebody is there, but not who is asked for.
    #[error(
        "no member of room {room} that can answer goes by {wanted:?}; leave ?to= out to take anybody"
    )]
    NotThere {
        /// The room.
        room: RoomId,
        /// The name or id.
        wanted: String,
    },
    /// The member did not answer in time.
    #[error("the member that was asked did not answer in time; try again")]
    NoAnswer,
    /// The member that was asked answered something of no use.
    #[error("the member that was asked sent no usable answer; try again")]
    BadAnswer,
    /// The member does not take what is offered.
    #[error(
        "the member that was asked does not take the {0} that is offered; offer other codecs, VP8 or H.264 and Opus"
    )]
    Unwanted(String),
    /// No place.
    #[error("{0}")]
    Full(String),
    /// The server stops.
    #[error("the server is about to stop; try again")]
    GoingAway,
    /// The room core said no.
    #[error("{1}")]
    Core(ErrorCode, String),
    /// RFC 9725 section 4.3.1.
    #[error("If-Match is missing; send the latest ETag, or * to restart ICE")]
    PreconditionMissing,
    /// RFC 9725 section 4.3.1.
    #[error("If-Match names another ICE session than the current one, {current}")]
    PreconditionFailed {
        /// The current tag.
        current: String,
    },
    /// One restart after the other.
    #[error("an ICE restart is under way; wait for its answer")]
    Restarting,
    /// The session ended while the request was open.
    #[error("the session has ended")]
    Ended,
}

/// Said by its partner in an application message to a publisher or player: the connection to it is gone for good.
///
/// HTTP tells nobody that a publisher has vanished; the one at the other end of its media knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartnerNotice {
    /// What has become of the connection.
    pub connection: ConnectionNotice,
}

/// See [`PartnerNotice`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConnectionNotice {
    /// Gone for good.
    Lost,
}

impl PartnerNotice {
    /// The notice that ends a session.
    pub const LOST: Self = Self {
        connection: ConnectionNotice::Lost,
    };
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    /// Asked into the room.
    Joining,
    /// Nobody there can answer yet.
    Waiting,
    /// An offer is out.
    Exchange(Box<Exchange>),
    /// Nothing is open.
    Standing,
    Ended,
}

/// An offer that is out, the answer to it, and what belongs to that.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Exchange {
    request: u64,
    offer: Offer,
    answer: Option<Answer>,
    candidates: Vec<Candidate>,
    gathered: bool,
    until: Instant,
}

/// See the module.
#[derive(Debug)]
pub struct Session {
    flow: Flow,
    room: RoomId,
    wanted: Option<String>,
    patience: Patience,
    born: Instant,
    /// The offer that stands or is out first; with the credentials of its generation.
    offer: Offer,
    generation: u64,
    me: Option<PeerId>,
    /// The others, in the order in which they came.
    members: Vec<Member>,
    partner: Option<PeerId>,
    ice_servers: Vec<IceServer>,
    stage: Stage,
}

impl Session {
    /// A session that asks to be let into its room.
    #[must_use]
    pub fn new(now: Instant, plan: Plan, out: &mut Vec<Output>) -> Self {
        let Plan {
            flow,
            room,
            name,
            wanted,
            offer,
            patience,
        } = plan;
        out.push(Output::Core(ClientFrame {
            id: Some(1),
            message: ClientMessage::Join {
                room: room.clone(),
                name,
                capacity: None,
            },
        }));
        Self {
            flow,
            room,
            wanted,
            patience,
            born: now,
            offer,
            generation: 1,
            me: None,
            members: Vec::new(),
            partner: None,
            ice_servers: Vec::new(),
            stage: Stage::Joining,
        }
    }

    /// When the next [`Input::Tick`] is due; none when the session is over.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        match &self.stage {
            Stage::Joining | Stage::Waiting => Some(self.born + self.patience.partner),
            Stage::Exchange(exchange) => Some(exchange.until),
            Stage::Standing => Some(self.born + self.patience.life),
            Stage::Ended => None,
        }
    }

    /// The tag of the current ICE generation (RFC 9725 section 4.3.1).
    #[must_use]
    pub fn etag(&self) -> String {
        format!("\"{}\"", self.generation)
    }

    /// Whether it is over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.stage == Stage::Ended
    }

    /// Gives its partner free; to be called when the session is dropped for whatever reason.
    pub fn release(&mut self, partners: &mut Partners) {
        if let Some(partner) = self.partner.take() {
            partners.release(&self.room, partner);
        }
    }

    /// Takes one input.
    pub fn step(
        &mut self,
        now: Instant,
        input: Input,
        partners: &mut Partners,
        out: &mut Vec<Output>,
    ) {
        if self.is_over() {
            if let Input::Patch { request, .. } = input {
                out.push(Output::Reply(request, Reply::Refused(Refusal::Ended)));
            }
            return;
        }
        match input {
            Input::Heard(frame) => self.heard(now, frame, partners, out),
            Input::Patch {
                request,
                precondition,
                fragment,
            } => self.patch(now, request, &precondition, &fragment, out),
            Input::Delete => self.end("deleted", Refusal::Ended, partners, out),
            Input::Tick => self.tick(now, partners, out),
        }
    }

    // --- from the room core ---

    fn heard(
        &mut self,
        now: Instant,
        frame: ServerFrame,
        partners: &mut Partners,
        out: &mut Vec<Output>,
    ) {
        match frame.message {
            ServerMessage::Welcome { ice_servers, .. } => self.ice_servers = ice_servers,
            ServerMessage::Error { code, message } if self.stage == Stage::Joining => {
                let refusal = match code {
                    ErrorCode::RoomFull => Refusal::Full(message),
                    ErrorCode::GoingAway => Refusal::GoingAway,
                    code => Refusal::Core(code, message),
                };
                self.end("not let in", refusal, partners, out);
            }
            ServerMessage::Joined {
                peer,
                role,
                members,
                ..
            } if self.stage == Stage::Joining => {
                self.me = Some(peer);
                self.members = members;
                self.members.truncate(MEMBERS);
                self.stage = Stage::Waiting;
                if role == Role::Moderator {
                    self.hand_over(out);
                }
                self.ask(now, partners, out);
            }
            ServerMessage::PeerJoined { member, .. } => {
                self.members.retain(|known| known.peer != member.peer);
                if self.members.len() < MEMBERS {
                    self.members.push(member);
                }
                self.hand_over(out);
                self.ask(now, partners, out);
            }
            ServerMessage::PeerLeft { peer, reason, .. } => {
                self.members.retain(|known| known.peer != peer);
                if self.partner == Some(peer) {
                    self.bereaved(now, reason, partners, out);
                }
            }
            ServerMessage::Granted { peer, .. } => {
                if let Some(member) = self.members.iter_mut().find(|m| m.peer == peer) {
                    member.role = Role::Moderator;
                }
                if self.me == Some(peer) {
                    self.hand_over(out);
                }
            }
            ServerMessage::Muted { peer, kind, .. } => {
                if let Some(member) = self.members.iter_mut().find(|m| m.peer == peer) {
                    member.muted.retain(|known| *known != kind);
                    member.muted.push(kind);
                }
            }
            ServerMessage::Unmuted { peer, kind, .. } => {
                if let Some(member) = self.members.iter_mut().find(|m| m.peer == peer) {
                    member.muted.retain(|known| *known != kind);
                }
            }
            ServerMessage::Signal { from, signal, .. } if self.partner == Some(from) => {
                if let Ok(signal) = Signal::from_raw(&signal) {
                    self.signal(now, signal, partners, out);
                }
            }
            ServerMessage::Message { from, data, .. }
                if self.partner == Some(from) && data.to::<PartnerNotice>().is_ok() =>
            {
                let why = "its partner lost the connection";
                self.end(why, Refusal::NoAnswer, partners, out);
            }
            ServerMessage::Kicked { .. } => {
                let words = "a moderator put you out of the room".to_owned();
                let refusal = Refusal::Core(ErrorCode::NotAllowed, words);
                self.end("put out", refusal, partners, out);
            }
            ServerMessage::GoAway { .. } => {
                self.end("the server stops", Refusal::GoingAway, partners, out);
            }
            _ => {}
        }
    }

    /// Nobody can ask an HTTP client to moderate: somebody who can gets the right.
    fn hand_over(&self, out: &mut Vec<Output>) {
        let moderated = self.members.iter().any(|m| m.role == Role::Moderator);
        let is_caller = |m: &&Member| {
            use crate::message::Dialect::{Whep, Whip};
            !matches!(m.dialect, Some(Whip | Whep))
        };
        if let (false, Some(heir)) = (moderated, self.members.iter().find(is_caller)) {
            // Refused where we do not moderate ourselves, and then it is not needed.
            out.push(Output::Core(
                ClientMessage::Grant {
                    room: self.room.clone(),
                    peer: heir.peer,
                    right: Right::Moderator,
                }
                .into(),
            ));
        }
    }

    /// Sends the offer to somebody, if there is somebody.
    fn ask(&mut self, now: Instant, partners: &mut Partners, out: &mut Vec<Output>) {
        if self.stage != Stage::Waiting {
            return;
        }
        let wanted = self.wanted.as_deref();
        self.partner = partners.pick(&self.room, &self.members, self.flow, wanted);
        if self.partner.is_some() {
            let offer = self.offer.clone();
            self.offer_to_partner(now, CREATION, offer, out);
        }
    }

    fn offer_to_partner(
        &mut self,
        now: Instant,
        request: u64,
        offer: Offer,
        out: &mut Vec<Output>,
    ) {
        self.tell_partner(
            &Signal::Description(Description {
                kind: SdpType::Offer,
                sdp: offer.text(),
            }),
            out,
        );
        self.stage = Stage::Exchange(Box::new(Exchange {
            request,
            offer,
            answer: None,
            candidates: Vec::new(),
            gathered: false,
            until: now + self.patience.answer,
        }));
    }

    fn tell_partner(&self, signal: &Signal, out: &mut Vec<Output>) {
        if let (Some(to), Ok(signal)) = (self.partner, signal.to_raw()) {
            out.push(Output::Core(
                ClientMessage::Signal {
                    room: self.room.clone(),
                    to: Some(to),
                    signal,
                }
                .into(),
            ));
        }
    }

    fn signal(
        &mut self,
        now: Instant,
        signal: Signal,
        partners: &mut Partners,
        out: &mut Vec<Output>,
    ) {
        // Without an open exchange there is no way to the HTTP side: late candidates, offers and requests for a
        // restart end here.
        let gather = self.patience.gather;
        let Stage::Exchange(exchange) = &mut self.stage else {
            return;
        };
        match signal {
            Signal::Description(Description {
                kind: SdpType::Answer,
                sdp,
            }) if exchange.answer.is_none() => match Answer::read(&sdp, &exchange.offer) {
                Some(answer) => {
                    exchange.gathered |= answer.complete;
                    exchange.answer = Some(answer);
                    exchange.until = now + gather;
                }
                None => return self.failed(Refusal::BadAnswer, partners, out),
            },
            Signal::Candidate(candidate) => {
                if exchange.candidates.len() < CANDIDATES {
                    exchange.candidates.push(candidate);
                }
            }
            // Of the new generation only: what ended before the answer was the old one.
            Signal::EndOfCandidates => exchange.gathered |= exchange.answer.is_some(),
            Signal::Description(_) | Signal::Restart => {}
        }
        if exchange.gathered && exchange.answer.is_some() {
            self.complete(partners, out);
        }
    }

    /// The answer is as good as it gets.
    fn complete(&mut self, partners: &mut Partners, out: &mut Vec<Output>) {
        let Stage::Exchange(exchange) = std::mem::replace(&mut self.stage, Stage::Standing) else {
            return;
        };
        let Exchange {
            request,
            offer,
            answer: Some(mut answer),
            candidates,
            ..
        } = *exchange
        else {
            return;
        };
        let refused = match self.flow {
            // RFC 9725 section 4.4.3: no publisher is to believe that all of its media arrive when some do not.
            Flow::Publish => answer.refused(&offer),
            Flow::Play => answer.refuses_all().then(|| "media".to_owned()),
        };
        if let (CREATION, Some(kind)) = (request, refused) {
            out.push(Output::Reply(
                request,
                Reply::Refused(Refusal::Unwanted(kind)),
            ));
            return self.end(
                "its partner does not take it",
                Refusal::Ended,
                partners,
                out,
            );
        }
        let generation = answer.credentials.ufrag.clone();
        let of_it = |c: &Candidate| {
            c.username_fragment
                .as_ref()
                .is_none_or(|u| *u == generation)
        };
        let candidates: Vec<Candidate> = candidates.into_iter().filter(of_it).collect();
        answer.finish(&candidates);
        self.offer = offer;
        let reply = if request == CREATION {
            Reply::Created {
                answer: answer.text(),
                etag: self.etag(),
                ice_servers: std::mem::take(&mut self.ice_servers),
            }
        } else {
            self.generation += 1;
            Reply::Restarted {
                fragment: answer.fragment().text(),
                etag: self.etag(),
            }
        };
        out.push(Output::Reply(request, reply));
    }

    /// The open exchange came to nothing. A session that stood before goes on standing (RFC 9725 section 4.3.3).
    fn failed(&mut self, refusal: Refusal, partners: &mut Partners, out: &mut Vec<Output>) {
        match &self.stage {
            Stage::Exchange(exchange) if exchange.request != CREATION => {
                out.push(Output::Reply(exchange.request, Reply::Refused(refusal)));
                self.stage = Stage::Standing;
            }
            _ => self.end("no answer", refusal, partners, out),
        }
    }

    /// The partner is gone: a session that does not stand yet looks for another, any other ends.
    fn bereaved(
        &mut self,
        now: Instant,
        reason: LeaveReason,
        partners: &mut Partners,
        out: &mut Vec<Output>,
    ) {
        self.release(partners);
        match &self.stage {
            Stage::Exchange(exchange) if exchange.request == CREATION => {
                self.stage = Stage::Waiting;
                self.ask(now, partners, out);
                if self.stage == Stage::Waiting && self.due().is_some_and(|due| due <= now) {
                    self.tick(now, partners, out);
                }
            }
            _ => {
                let why = match reason {
                    LeaveReason::Left => "its partner left",
                    LeaveReason::Lost => "its partner was lost",
                    LeaveReason::Kicked => "its partner was put out",
                };
                self.end(why, Refusal::Ended, partners, out);
            }
        }
    }

    // --- from HTTP ---

    fn patch(
        &mut self,
        now: Instant,
        request: u64,
        precondition: &Precondition,
        fragment: &Fragment,
        out: &mut Vec<Output>,
    ) {
        let refusal = match precondition {
            Precondition::Missing => Some(Refusal::PreconditionMissing),
            Precondition::Tags(tags) if !tags.contains(&self.etag()) => {
                let current = self.etag();
                Some(Refusal::PreconditionFailed { current })
            }
            Precondition::Any | Precondition::Tags(_) => None,
        };
        if let Some(refusal) = refusal {
            return out.push(Output::Reply(request, Reply::Refused(refusal)));
        }
        // New credentials mean a restart, whatever If-Match says (RFC 9725 section 4.3.3).
        let renewed = fragment
            .credentials
            .as_ref()
            .filter(|own| *own != self.offer.credentials());
        let Some(credentials) = renewed else {
            self.trickle(fragment, out);
            return out.push(Output::Reply(request, Reply::Trickled));
        };
        if self.stage != Stage::Standing {
            return out.push(Output::Reply(request, Reply::Refused(Refusal::Restarting)));
        }
        let offer = self.offer.restarted(credentials.clone());
        self.offer_to_partner(now, request, offer, out);
        self.trickle(fragment, out);
    }

    /// Passes candidates on. Those of sections that were never offered go nowhere, as RFC 9725 section 4.3.2 asks.
    fn trickle(&self, fragment: &Fragment, out: &mut Vec<Output>) {
        let offer = match &self.stage {
            Stage::Exchange(exchange) => &exchange.offer,
            _ => &self.offer,
        };
        let known = fragment.credentials.as_ref();
        let generation = known.unwrap_or_else(|| offer.credentials()).ufrag.clone();
        for section in &fragment.sections {
            let Some((index, mid)) = offer.locate(section.mid.as_deref()) else {
                continue;
            };
            for candidate in &section.candidates {
                let signal = Signal::Candidate(Candidate {
                    candidate: candidate.clone(),
                    sdp_mid: mid.clone(),
                    sdp_m_line_index: Some(index),
                    username_fragment: Some(generation.clone()),
                });
                self.tell_partner(&signal, out);
            }
        }
        // The bundle has one transport: its end is the end of all.
        if fragment.sections.iter().any(|section| section.ended) {
            self.tell_partner(&Signal::EndOfCandidates, out);
        }
    }

    // --- by the clock ---

    fn tick(&mut self, now: Instant, partners: &mut Partners, out: &mut Vec<Output>) {
        if self.due().is_none_or(|due| now < due) {
            return;
        }
        match &self.stage {
            Stage::Joining | Stage::Waiting => {
                let room = self.room.clone();
                let others = self.members.iter().any(|m| m.dialect.is_none());
                let refusal = match &self.wanted {
                    Some(wanted) if others => Refusal::NotThere {
                        room,
                        wanted: wanted.clone(),
                    },
                    _ => Refusal::Nobody { room },
                };
                self.end("nobody can answer", refusal, partners, out);
            }
            Stage::Exchange(exchange) if exchange.answer.is_some() => self.complete(partners, out),
            Stage::Exchange(_) => self.failed(Refusal::NoAnswer, partners, out),
            Stage::Standing => {
                self.end("as old as a session may be", Refusal::Ended, partners, out);
            }
            Stage::Ended => {}
        }
    }

    fn end(
        &mut self,
        why: &'static str,
        refusal: Refusal,
        partners: &mut Partners,
        out: &mut Vec<Output>,
    ) {
        self.release(partners);
        let open = match &self.stage {
            Stage::Joining | Stage::Waiting => Some(CREATION),
            Stage::Exchange(exchange) => Some(exchange.request),
            Stage::Standing | Stage::Ended => None,
        };
        if let Some(request) = open {
            out.push(Output::Reply(request, Reply::Refused(refusal)));
        }
        self.stage = Stage::Ended;
        out.push(Output::End(why));
    }
}

/// The message by which a partner ends a session.
impl TryFrom<PartnerNotice> for Raw {
    type Error = serde_json::Error;

    fn try_from(notice: PartnerNotice) -> Result<Self, Self::Error> {
        Self::of(&notice)
    }
}

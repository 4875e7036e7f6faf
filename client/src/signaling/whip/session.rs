//! The rules of one session, seen from who makes the offer. Pure: signals, answers and time go in, requests and events come out.
//!
//! One request is under way at a time, so that the generations of ICE, which `ETag` counts, never overlap.

use std::collections::VecDeque;
use std::time::Instant;

use hyper::header::{ETAG, HeaderName, LINK, LOCATION};
use hyper::{Method, StatusCode};
use rtc_protocol::dialect::whip::fragment::MEDIA_TYPE;
use rtc_protocol::dialect::whip::{Flow, Fragment};
use rtc_protocol::{Candidate, Description, IceServer, SdpType, Signal};
use url::Url;

use super::super::error::SignalingError;
use super::super::gather::Gathering;
use super::super::http::{Ask, HttpError, Reply, link, resolve};
use super::generation::{fragment, renewed};
use super::refusal::Refusal;

const SDP: &str = "application/sdp";
const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");

/// Candidates that come after the offer had to go, at once.
const LATE: usize = 128;

/// What our owner is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Told {
    Signal(Signal),
    /// Something was not done.
    Notice(String),
    /// Use these servers, and make a new offer.
    Again(Vec<IceServer>),
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Offer,
    Restart,
    Candidates,
    Delete,
}

/// Where a session is.
#[derive(Clone, Debug)]
struct Place {
    url: Url,
    /// Told by somebody whom a redirect led to, so it is not shown the token that the endpoint is.
    without_token: bool,
}

impl Place {
    fn ask(&self, method: Method) -> Ask {
        let mut ask = Ask::new(method, self.url.clone());
        ask.without_token = self.without_token;
        ask
    }
}

/// What a server made of our offer.
#[derive(Clone, Debug)]
struct Resource {
    /// None where it told no address: nothing can be asked of it then.
    place: Option<Place>,
    etag: Option<String>,
    takes_candidates: bool,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Session {
    flow: Flow,
    endpoint: Url,
    /// The servers that our owner gathers with.
    servers: Vec<IceServer>,
    gathering: Option<Gathering>,
    ready: Option<Gathering>,
    asked: Option<Asked>,
    resource: Option<Resource>,
    /// To be ended before anything else.
    doomed: Option<Place>,
    /// The last offer that went out, and what it was answered with.
    offer: String,
    answer: String,
    late: Vec<Candidate>,
    told: VecDeque<Told>,
    failure: Option<SignalingError>,
    began_again: bool,
    leaving: bool,
}

impl Session {
    pub(super) const fn new(flow: Flow, endpoint: Url, servers: Vec<IceServer>) -> Self {
        Self {
            flow,
            endpoint,
            servers,
            gathering: None,
            ready: None,
            asked: None,
            resource: None,
            doomed: None,
            offer: String::new(),
            answer: String::new(),
            late: Vec::new(),
            told: VecDeque::new(),
            failure: None,
            began_again: false,
            leaving: false,
        }
    }

    /// Takes what our side says.
    pub(super) fn signal(&mut self, now: Instant, signal: Signal) {
        match signal {
            Signal::Description(offer) if offer.kind == SdpType::Offer => {
                self.gathering = Some(Gathering::new(now, offer));
                self.ready = None;
                self.late.clear();
            }
            Signal::Candidate(candidate) => match &mut self.gathering {
                Some(gathering) => gathering.candidate(candidate),
                None if self.late.len() < LATE => self.late.push(candidate),
                None => {}
            },
            Signal::EndOfCandidates => {
                if let Some(gathering) = &mut self.gathering {
                    gathering.end();
                }
            }
            // A server makes no offers, and asks for none.
            Signal::Description(_) | Signal::Restart => {}
        }
        self.check(now);
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.gathering.as_ref().map(Gathering::until)
    }

    /// Looks whether an offer has waited for candidates for long enough.
    pub(super) fn check(&mut self, now: Instant) {
        if self.gathering.as_ref().is_some_and(|g| g.is_ready(now)) {
            self.ready = self.gathering.take();
        }
    }

    /// From now on nothing but the end is asked for.
    pub(super) fn leave(&mut self) {
        self.leaving = true;
        self.gathering = None;
        self.ready = None;
        self.late.clear();
    }

    pub(super) fn next_told(&mut self) -> Option<Told> {
        self.told.pop_front()
    }

    pub(super) const fn take_failure(&mut self) -> Option<SignalingError> {
        self.failure.take()
    }

    /// The next request; its answer, or that there is none, is to be told by [`Self::answered`].
    pub(super) fn next_request(&mut self) -> Option<Ask> {
        if self.asked.is_some() {
            return None;
        }
        if let Some(place) = self.doomed.take() {
            self.asked = Some(Asked::Delete);
            return Some(place.ask(Method::DELETE));
        }
        if self.leaving {
            let place = self.resource.take()?.place?;
            self.asked = Some(Asked::Delete);
            return Some(place.ask(Method::DELETE));
        }
        if let Some(offer) = self.ready.take() {
            let text = offer.text();
            offer.sdp().clone_into(&mut self.offer);
            let Some(resource) = &self.resource else {
                self.asked = Some(Asked::Offer);
                let mut ask = Ask::new(Method::POST, self.endpoint.clone());
                ask.body = Some((SDP, text));
                return Some(ask);
            };
            let fragment = fragment(offer.sdp(), offer.candidates(), offer.is_complete());
            let Some(place) = &resource.place else {
                self.told.push_back(Told::Notice(NO_RESTART.to_owned()));
                return None;
            };
            self.asked = Some(Asked::Restart);
            let mut ask = place.ask(Method::PATCH);
            // RFC 9725, section 4.3.3: a new generation is no matter of the one before.
            ask.if_match = Some("*".to_owned());
            ask.body = Some((MEDIA_TYPE, fragment.text()));
            return Some(ask);
        }
        if self.late.is_empty() {
            return None;
        }
        let resource = self.resource.as_ref()?;
        let late = std::mem::take(&mut self.late);
        let place = resource.place.as_ref();
        let Some(place) = place.filter(|_| resource.takes_candidates) else {
            tracing::debug!("{} candidates came too late for the offer", late.len());
            return None;
        };
        self.asked = Some(Asked::Candidates);
        let mut ask = place.ask(Method::PATCH);
        ask.if_match.clone_from(&resource.etag);
        ask.body = Some((MEDIA_TYPE, fragment(&self.offer, &late, false).text()));
        Some(ask)
    }

    /// Takes what came of the last request.
    pub(super) fn answered(&mut self, _now: Instant, reply: Result<Reply, HttpError>) {
        match (self.asked.take(), reply) {
            (Some(Asked::Offer), Ok(reply)) => self.created(&reply),
            (Some(Asked::Offer), Err(error)) => self.failure = Some(error.into()),
            (Some(Asked::Restart), Ok(reply)) => self.restarted(&reply),
            (Some(Asked::Restart), Err(error)) => {
                self.told.push_back(Told::Notice(error.to_string()));
            }
            (Some(Asked::Candidates), Ok(reply)) if !reply.status.is_success() => {
                tracing::debug!("candidates are not taken: {}", reply.status);
                // One that knows only another generation takes those of the next.
                let outdated = reply.status == StatusCode::PRECONDITION_FAILED;
                if let Some(resource) = self.resource.as_mut().filter(|_| !outdated) {
                    resource.takes_candidates = false;
                }
            }
            (Some(Asked::Delete), Ok(reply)) if !reply.status.is_success() => {
                tracing::debug!("the session was not there to be ended: {}", reply.status);
            }
            (Some(_), Err(error)) => tracing::debug!("{error}"),
            (_, Ok(_)) | (None, Err(_)) => {}
        }
    }

    fn created(&mut self, reply: &Reply) {
        if !matches!(reply.status, StatusCode::CREATED | StatusCode::OK) {
            self.failure = Some(Refusal::of(self.flow, reply).into());
            return;
        }
        let location = reply.header(&LOCATION);
        let place = match location.map(|to| resolve(&reply.url, to)) {
            Some(Ok(url)) => Some(Place {
                without_token: reply.without_token && url.origin() != self.endpoint.origin(),
                url,
            }),
            Some(Err(why)) => {
                tracing::warn!("the session cannot be ended: {why}");
                None
            }
            None => None,
        };
        if !reply.body.starts_with("v=0") {
            self.failure = Some(Refusal::without_answer(reply).into());
            self.doomed = place;
            return;
        }
        let takes = reply.headers(&ACCEPT_PATCH).any(|types| {
            let mut each = types.split(',');
            each.any(|one| one.trim().eq_ignore_ascii_case(MEDIA_TYPE))
        });
        let servers = link::ice_servers(reply.headers(&LINK));
        if self.must_begin_again(&servers) {
            self.doomed = place;
            self.began_again = true;
            self.servers.clone_from(&servers);
            self.told.push_back(Told::Again(servers));
            return;
        }
        if place.is_none() {
            self.told.push_back(Told::Notice(NO_LOCATION.to_owned()));
        }
        self.resource = Some(Resource {
            place,
            etag: reply.header(&ETAG).map(str::to_owned),
            takes_candidates: takes,
        });
        self.answered_with(reply.body.clone());
    }

    /// A TURN server that is named with the answer comes too late for the offer: our engine gathers with the servers that it was
    /// opened with. STUN servers are of no use here: the service sees our address by itself.
    fn must_begin_again(&self, servers: &[IceServer]) -> bool {
        let is_turn = |server: &&IceServer| server.urls.iter().any(|url| url.starts_with("turn"));
        let known = |url: &String| self.servers.iter().any(|known| known.urls.contains(url));
        let mut turn = servers.iter().filter(is_turn);
        !self.began_again && !self.leaving && turn.any(|server| !server.urls.iter().all(known))
    }

    fn restarted(&mut self, reply: &Reply) {
        let fragment = Fragment::read(&reply.body);
        let renewed = match (reply.status, &fragment) {
            (StatusCode::OK, Ok(fragment)) => renewed(&self.answer, fragment),
            _ => None,
        };
        let Some(answer) = renewed else {
            let (why, status) = (NO_RESTART, reply.status);
            let told = Told::Notice(format!("{why} (HTTP status {status})"));
            return self.told.push_back(told);
        };
        if let (Some(resource), Some(tag)) = (&mut self.resource, reply.header(&ETAG)) {
            resource.etag = Some(tag.to_owned());
        }
        self.answered_with(answer);
    }

    fn answered_with(&mut self, sdp: String) {
        self.answer.clone_from(&sdp);
        let kind = SdpType::Answer;
        let answer = Signal::Description(Description { kind, sdp });
        self.told.push_back(Told::Signal(answer));
    }
}

const NO_RESTART: &str = "the service looks for no new path: it does not restart ICE";
const NO_LOCATION: &str = "the service told no address of the session (Location), so it cannot be ended; the service finds out by itself";

#[cfg(test)]
mod tests;

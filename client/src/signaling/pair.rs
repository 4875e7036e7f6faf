//! What the ways of signaling without a room have in common: two peers, and nobody else.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use rtc_protocol::{
    IceServer, LeaveReason, Limits, Member, Name, PeerId, Role, RoomId, Signal, Token, limits,
};
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep_until;

use super::error::SignalingError;
use super::event::SignalingEvent;
use super::link::Command;

/// How long the whole goodbye may take.
pub(super) const GOODBYE: Duration = Duration::from_secs(3);

/// The two, and what our owner is still to be told of them.
///
/// What waits here is bounded by what comes in: nothing is taken from outside while [`Self::is_full`].
#[derive(Debug)]
pub(super) struct Pair {
    me: PeerId,
    room: RoomId,
    far: Member,
    /// The far side is known to our owner.
    told_of_far: bool,
    events: Pending,
}

/// What our owner is still to be told.
#[derive(Debug, Default)]
pub(super) struct Pending(VecDeque<SignalingEvent>);

impl Pending {
    pub(super) fn is_full(&self) -> bool {
        self.0.len() >= EVENTS
    }

    pub(super) fn tell(&mut self, event: SignalingEvent) {
        self.0.push_back(event);
    }
}

impl AsMut<Self> for Pending {
    fn as_mut(&mut self) -> &mut Self {
        self
    }
}

impl AsMut<Pending> for Pair {
    fn as_mut(&mut self) -> &mut Pending {
        &mut self.events
    }
}

/// Events that wait before nothing more is taken from outside.
const EVENTS: usize = 64;

/// What there is to be known before anybody is met.
pub(super) fn welcome(me: PeerId, ice_servers: Vec<IceServer>, server: &str) -> SignalingEvent {
    SignalingEvent::Welcome {
        me,
        ice_servers,
        limits: Limits {
            message_bytes: limits::MESSAGE_BYTES as u32,
            rooms_per_peer: 1,
            room_capacity: 2,
            queue_messages: limits::QUEUE_MESSAGES as u32,
        },
        server: server.to_owned(),
    }
}

impl Pair {
    /// Us, and a far side of this name, in a room of this name.
    pub(super) fn new(room: &RoomId, far: &Name) -> Self {
        let id = || Token::from_random(rand::random()).peer_id();
        Self {
            me: id(),
            room: room.clone(),
            far: Member {
                peer: id(),
                name: far.clone(),
                role: Role::Member,
                muted: Vec::new(),
                dialect: None,
            },
            told_of_far: false,
            events: Pending::default(),
        }
    }

    pub(super) const fn me(&self) -> PeerId {
        self.me
    }

    pub(super) const fn room(&self) -> &RoomId {
        &self.room
    }

    pub(super) fn is_full(&self) -> bool {
        self.events.is_full()
    }

    /// STUN and TURN servers to use from now on.
    pub(super) fn welcome(&mut self, ice_servers: Vec<IceServer>) {
        self.tell(welcome(self.me, ice_servers, self.far.name.as_str()));
    }

    /// We are there. Where the far side is, too, we are who came later, and make the offer.
    pub(super) fn joined(&mut self, far_is_there: bool) {
        self.told_of_far |= far_is_there;
        let members = Vec::from_iter(far_is_there.then(|| self.far.clone()));
        let (me, room) = (self.me, self.room.clone());
        self.tell(SignalingEvent::Joined {
            room,
            me,
            role: Role::Member,
            capacity: 2,
            members,
            url: String::new(),
        });
    }

    /// The far side says something; before its first word it comes.
    pub(super) fn heard(&mut self, signal: Signal) {
        if !std::mem::replace(&mut self.told_of_far, true) {
            let member = self.far.clone();
            self.tell(SignalingEvent::PeerJoined { member });
        }
        let from = self.far.peer;
        self.tell(SignalingEvent::Signal { from, signal });
    }

    /// The far side has gone.
    pub(super) fn left(&mut self) {
        if self.told_of_far {
            let (peer, reason) = (self.far.peer, LeaveReason::Left);
            self.tell(SignalingEvent::PeerLeft { peer, reason });
        }
    }

    pub(super) fn tell(&mut self, event: SignalingEvent) {
        self.events.tell(event);
    }
}

/// Our owner, as the task behind a handle sees it.
#[derive(Debug)]
pub(super) struct Owner {
    commands: mpsc::Receiver<Command>,
    events: mpsc::Sender<SignalingEvent>,
}

/// What a task has to look at.
pub(super) enum Turn {
    /// What our owner wants, other than to leave.
    Command(Command),
    /// Our owner leaves, and wants to know when that is done; or is gone.
    Leave(Option<oneshot::Sender<()>>),
    /// Something was told; there may be room for more.
    Told,
    /// It is time.
    Time,
}

impl Owner {
    pub(super) const fn new(
        commands: mpsc::Receiver<Command>,
        events: mpsc::Sender<SignalingEvent>,
    ) -> Self {
        Self { commands, events }
    }

    /// Waits for the next thing to look at. Nothing is lost where this is given up.
    pub(super) async fn turn(
        &mut self,
        pending: &mut impl AsMut<Pending>,
        deadline: Option<Instant>,
    ) -> Turn {
        let Pending(events) = pending.as_mut();
        tokio::select! {
            command = self.commands.recv() => match command {
                None => Turn::Leave(None),
                Some(Command::Leave(done)) => Turn::Leave(Some(done)),
                Some(command) => Turn::Command(command),
            },
            permit = self.events.reserve(), if !events.is_empty() => match permit {
                Err(_) => Turn::Leave(None),
                Ok(permit) => {
                    if let Some(event) = events.pop_front() {
                        permit.send(event);
                    }
                    Turn::Told
                }
            },
            () = sleep_until(deadline.unwrap_or_else(Instant::now).into()), if deadline.is_some() => Turn::Time,
        }
    }

    /// It is over: tells what there is left to tell, the end among it, and waits until our owner goes.
    pub(super) async fn end(
        &mut self,
        pending: &mut impl AsMut<Pending>,
        error: Option<SignalingError>,
    ) -> Option<oneshot::Sender<()>> {
        if let Some(error) = error {
            pending.as_mut().tell(SignalingEvent::Fatal(error));
        }
        loop {
            if let Turn::Leave(done) = self.turn(pending, None).await {
                return done;
            }
        }
    }
}

//! Members of a room who say numbers to each other while things go wrong, and what became of each: nothing comes twice,
//! nothing out of order, and what did not come is told to whoever said it.

use std::collections::BTreeSet;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use rtc_protocol::{ClientMessage, PeerId, Raw, ServerMessage};
use tokio::time::{interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::rig::{PATIENCE, Peer, id, room, token};

/// Between two numbers: far below the rate that a peer may have.
const PAUSE: Duration = Duration::from_millis(20);

/// Ids of requests from here on are asked for by tests themselves.
const ASKED: u64 = 1 << 32;

pub(crate) struct Talker {
    pub(crate) peer: Peer,
    own: PeerId,
    to: PeerId,
    room: String,
    said: u64,
    /// What was said came, as far as its sender was told.
    came: BTreeSet<u64>,
    /// It may not have.
    lost: BTreeSet<u64>,
    heard: Vec<u64>,
    /// Who is in the room beside it.
    pub(crate) others: BTreeSet<PeerId>,
    /// Who has ever gone out of it.
    pub(crate) gone: Vec<PeerId>,
}

/// Says and hears, until that is over.
pub(crate) async fn talk<T>(pairs: &mut [[Talker; 2]], until: impl Future<Output = T>) -> T {
    let over = CancellationToken::new();
    let talking = pairs.iter_mut().flatten().map(|one| one.talk(&over));
    let until = async {
        let done = until.await;
        over.cancel();
        done
    };
    tokio::join!(until, futures_util::future::join_all(talking)).0
}

/// The two members of a room of two, wherever they are.
pub(crate) async fn pair(
    name: &str,
    (one, who): (SocketAddr, char),
    (two, with): (SocketAddr, char),
) -> [Talker; 2] {
    let mut both = [
        Talker::inside(one, who, with, name).await,
        Talker::inside(two, with, who, name).await,
    ];
    // It is news to the first a moment later.
    while both[0].others.is_empty() {
        both[0].listen().await;
    }
    hear_each_other(&mut both).await;
    both
}

/// How much each of them has said until now.
pub(crate) fn said(pairs: &[[Talker; 2]]) -> Vec<[u64; 2]> {
    let said = |both: &[Talker; 2]| both.each_ref().map(|one| one.said);
    pairs.iter().map(said).collect()
}

/// Talks until each has heard the other say something new, and knows it to be in the room.
pub(crate) async fn hear_each_other(both: &mut [Talker; 2]) {
    let pairs = std::slice::from_mut(both);
    let since = said(pairs);
    hear(pairs, &since, 1).await;
}

/// Talks until each has heard so many things that the other one has said since then, and knows it to be in the room.
pub(crate) async fn hear(pairs: &mut [[Talker; 2]], since: &[[u64; 2]], many: usize) {
    let heard = |one: &Talker, since: u64| {
        one.heard.iter().filter(|number| **number > since).count() >= many
            && one.others.contains(&one.to)
    };
    let all = |pairs: &[[Talker; 2]]| {
        let mut all = pairs.iter().zip(since);
        all.all(|([one, two], [first, second])| heard(one, *second) && heard(two, *first))
    };
    let talking = async {
        while !all(pairs) {
            talk(pairs, sleep(PAUSE * 5)).await;
        }
    };
    let done = timeout(PATIENCE, talking).await;
    done.unwrap_or_else(|_| panic!("they do not hear each other: {pairs:#?}"));
}

/// What became of all that they said; gives how much of it may not have come.
pub(crate) async fn settled(both: &mut [Talker; 2]) -> usize {
    let open = |one: &Talker| one.came.len() + one.lost.len() < one.said as usize;
    let misses = |[one, two]: &[Talker; 2]| {
        let missed = |one: &Talker, two: &Talker| one.came.iter().any(|n| !two.heard.contains(n));
        missed(one, two) || missed(two, one)
    };
    let settled = async {
        while both.iter().any(open) || misses(both) {
            let [one, two] = &mut *both;
            tokio::select! {
                () = one.listen() => {}
                () = two.listen() => {}
            }
        }
    };
    let settled = timeout(PATIENCE, settled).await;
    assert!(settled.is_ok(), "something came to nothing: {both:#?}");
    for one in &*both {
        let follow = one.heard.windows(2).all(|two| two[0] < two[1]);
        assert!(follow, "twice, or out of order: {one:#?}");
    }
    both.iter().map(|one| one.lost.len()).sum()
}

impl Talker {
    async fn inside(address: SocketAddr, own: char, to: char, room: &str) -> Self {
        let (mut peer, _) = Peer::greeted(address, token(own), None).await;
        let others = peer.joins_in_the_end(room, Some(2)).await.unwrap();
        Self {
            peer,
            own: id(own),
            to: id(to),
            room: room.to_owned(),
            said: 0,
            came: BTreeSet::new(),
            lost: BTreeSet::new(),
            heard: Vec::new(),
            others: others.into_iter().collect(),
            gone: Vec::new(),
        }
    }

    async fn talk(&mut self, over: &CancellationToken) {
        let mut pause = interval(PAUSE);
        pause.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut over = pin!(over.cancelled());
        loop {
            tokio::select! {
                () = &mut over => return,
                _ = pause.tick() => self.says().await,
                () = self.listen() => {}
            }
        }
    }

    async fn says(&mut self) {
        self.said += 1;
        let signal = Raw::of(&serde_json::json!(self.said)).unwrap();
        let (room, to) = (room(&self.room), Some(self.to));
        let signal = ClientMessage::Signal { room, to, signal };
        self.peer.say_as(Some(self.said), signal).await;
    }

    /// Its server is gone: hears what had come until then.
    pub(crate) async fn cut_off(mut self) -> Self {
        while let Some(message) = self.peer.may_next().await {
            self.takes(message);
        }
        self
    }

    /// Waits until it knows what became of all that it said, where the other one's server is gone, and holds what each heard
    /// to what was said. (What that server had and did not hand on, is lost with it.)
    pub(crate) async fn hears_what_became_of_it(&mut self, gone: &mut Self) {
        let known = async {
            while self.came.len() + self.lost.len() < self.said as usize {
                self.listen().await;
            }
        };
        let known = timeout(PATIENCE, known).await;
        assert!(known.is_ok(), "something came to nothing: {self:#?}");
        for one in [self, gone] {
            let follow = one.heard.windows(2).all(|two| two[0] < two[1]);
            assert!(follow, "twice, or out of order: {one:#?}");
        }
    }

    /// Waits until it has been told that the other one is gone.
    pub(crate) async fn misses(&mut self) {
        let missed = async {
            while !self.gone.contains(&self.to) {
                self.listen().await;
            }
        };
        let missed = timeout(PATIENCE, missed).await;
        missed.unwrap_or_else(|_| panic!("nobody is missed: {self:#?}"));
    }

    /// Takes one message.
    async fn listen(&mut self) {
        let message = self.peer.next().await;
        self.takes(message);
    }

    fn takes(&mut self, message: ServerMessage) {
        let answered = self.peer.answers.filter(|id| *id < ASKED);
        match message {
            ServerMessage::Ack {} => self.came.extend(answered),
            ServerMessage::Error { .. } => self.lost.extend(answered),
            ServerMessage::Signal { from, signal, .. } if from == self.to => {
                self.heard.push(signal.to().unwrap());
            }
            ServerMessage::PeerJoined { member, .. } => drop(self.others.insert(member.peer)),
            ServerMessage::PeerLeft { peer, .. } => {
                self.others.remove(&peer);
                self.gone.push(peer);
            }
            ServerMessage::Kicked { .. } => panic!("{self:#?} was put out"),
            _ => {}
        }
    }
}

/// What a test that fails shows.
impl std::fmt::Debug for Talker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let open = (1..=self.said).filter(|n| !self.came.contains(n) && !self.lost.contains(n));
        let jumps = self.heard.windows(2).filter(|two| two[1] != two[0] + 1);
        f.debug_struct("Talker")
            .field("own", &self.own)
            .field("said", &self.said)
            .field("unanswered", &open.collect::<Vec<_>>())
            .field("lost", &self.lost.len())
            .field("heard", &self.heard.len())
            .field("jumps", &jumps.collect::<Vec<_>>())
            .field("last", &self.heard.last())
            .field("others", &self.others)
            .field("gone", &self.gone)
            .finish_non_exhaustive()
    }
}

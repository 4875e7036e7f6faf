//! The brokers of all regions, as one node reaches them: the one of its own region, and those of others.

use std::sync::Arc;
use std::time::Duration;

use rtc_protocol::PeerId;
use tokio::time::timeout;

use super::backplane::{Away, Backplane};
use super::regions::{Region, Regions};
use super::seats::{Answer, Request};
use super::words::NodeId;

/// For another region's broker to answer while somebody waits to say hello: many times the way between two continents.
const FAR: Duration = Duration::from_secs(1);

/// See the module; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Planes {
    regions: Regions,
    /// In the order of the regions.
    planes: Arc<[Arc<dyn Backplane>]>,
}

impl Planes {
    /// Of these regions, in their order.
    pub(super) fn new(regions: Regions, plane: impl FnMut(Region) -> Arc<dyn Backplane>) -> Self {
        let planes = regions.all().map(plane).collect();
        Self { regions, planes }
    }

    fn plane(&self, region: Region) -> Option<&Arc<dyn Backplane>> {
        self.planes.get(region.index())
    }

    /// All of them.
    pub(super) fn each(&self) -> impl Iterator<Item = (Region, &Arc<dyn Backplane>)> {
        self.regions.all().zip(self.planes.iter())
    }

    /// Which of its hellos this one of a peer is, and where it was before: as the own region knows, and if that knows
    /// nothing, as the peer's home does.
    pub(crate) async fn turn(
        &self,
        peer: PeerId,
        node: NodeId,
    ) -> Result<(u64, Option<NodeId>), Away> {
        let own = self.regions.own();
        let near = self.turn_at(own, peer, node).await;
        let home = self.regions.home(peer.as_str());
        // Who went on to another region may have moved on there, which is known at its home.
        let here = |before: &NodeId| self.regions.of(*before) == Some(own);
        let known = near.as_ref().ok().and_then(|(_, before)| *before);
        if home == own || known.as_ref().is_some_and(here) {
            return near;
        }
        match (near, timeout(FAR, self.turn_at(home, peer, node)).await) {
            // Of the two the higher, as each broker has its own clock.
            (Ok((turn, _)), Ok(Ok((higher, before)))) => Ok((turn.max(higher), before.or(known))),
            (Err(_), Ok(Ok(far))) => Ok(far),
            (near, _) => near,
        }
    }

    async fn turn_at(
        &self,
        region: Region,
        peer: PeerId,
        node: NodeId,
    ) -> Result<(u64, Option<NodeId>), Away> {
        let Some(plane) = self.plane(region) else {
            return Err(Away("the region has no broker".into()));
        };
        match plane.ask(Request::Turn { peer, node }).await? {
            Answer::Turn { turn, before } => Ok((turn, before)),
            other => Err(Away(format!("it answered {other:?}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use futures_util::future::BoxFuture;
    use rtc_protocol::Token;
    use std::time::Instant;

    use super::super::seats::Ledger;
    use super::*;

    /// A region's broker.
    #[derive(Debug)]
    enum Broker {
        /// Its clock, and what it knows.
        Answers(u64, Box<std::sync::Mutex<Ledger>>),
        IsAway,
        Hangs,
        IsNotAsked,
    }

    impl Backplane for Broker {
        fn ask(&self, request: Request) -> BoxFuture<'_, Result<Answer, Away>> {
            Box::pin(async move {
                match self {
                    Self::Answers(now, ledger) => Ok(ledger.lock().unwrap().ask(*now, request)),
                    Self::IsAway => Err(Away("in this test".into())),
                    Self::Hangs => std::future::pending().await,
                    Self::IsNotAsked => panic!("it is asked {request:?}"),
                }
            })
        }

        fn post(&self, _: Vec<(NodeId, Vec<u8>)>) -> BoxFuture<'_, Result<(), Away>> {
            Box::pin(std::future::pending())
        }

        fn collect(&self) -> BoxFuture<'_, Result<Vec<Vec<u8>>, Away>> {
            Box::pin(std::future::pending())
        }
    }

    fn answers(now: u64) -> Broker {
        Broker::Answers(now, Box::new(std::sync::Mutex::new(Ledger::new(1))))
    }

    /// The own region `a` and another, `b`, in which the peer has its home; it was last at this node, as they know.
    async fn of(near: (Broker, Option<NodeId>), far: (Broker, Option<NodeId>)) -> (Planes, PeerId) {
        let names = ["a", "b"].map(|name| name.parse().unwrap());
        let regions = Regions::new(&names[0], names.clone()).unwrap();
        let mut peers = (0..).map(|number| Token::from_random([number; 32]).peer_id());
        let peer = peers.find(|peer| regions.home(peer.as_str()) != regions.own());
        let peer = peer.unwrap();
        let mut planes: Vec<Arc<dyn Backplane>> = Vec::new();
        for (broker, known) in [near, far] {
            if let Some(node) = known {
                let here = Request::Here {
                    peer,
                    node,
                    turn: 1,
                };
                broker.ask(here).await.unwrap();
            }
            planes.push(Arc::new(broker));
        }
        let planes = Planes::new(regions, |region| Arc::clone(&planes[region.index()]));
        (planes, peer)
    }

    fn nodes() -> [NodeId; 3] {
        let names = ["a", "b"].map(|name| name.parse().unwrap());
        let there = Regions::new(&names[1], names.clone()).unwrap();
        let here = Regions::new(&names[0], names.clone()).unwrap();
        [here.node(1 << 32), here.node(2 << 32), there.node(3 << 32)]
    }

    #[tokio::test]
    async fn whom_the_own_region_knows_another_is_not_asked_for() {
        let [me, before, _] = nodes();
        let (planes, peer) = of((answers(5), Some(before)), (Broker::IsNotAsked, None)).await;
        assert_eq!(planes.turn(peer, me).await.unwrap(), (5, Some(before)));
    }

    #[tokio::test]
    async fn whom_it_does_not_know_or_who_went_on_is_known_at_home_whose_turn_is_the_higher_one() {
        let [me, moved, there] = nodes();
        for known in [None, Some(there)] {
            for (near, far) in [(5, 9), (9, 5)] {
                let far = (answers(far), Some(moved));
                let (planes, peer) = of((answers(near), known), far).await;
                assert_eq!(planes.turn(peer, me).await.unwrap(), (9, Some(moved)));
            }
        }
        let (planes, peer) = of((Broker::IsAway, None), (answers(7), Some(there))).await;
        assert_eq!(planes.turn(peer, me).await.unwrap(), (7, Some(there)));
    }

    #[tokio::test]
    async fn a_home_that_does_not_answer_is_waited_for_a_second() {
        let [me, _, there] = nodes();
        let (planes, peer) = of((answers(5), Some(there)), (Broker::Hangs, None)).await;
        let begun = Instant::now();
        assert_eq!(planes.turn(peer, me).await.unwrap(), (5, Some(there)));
        assert!(begun.elapsed() >= FAR);
        let (planes, peer) = of((Broker::IsAway, None), (Broker::Hangs, None)).await;
        assert!(planes.turn(peer, me).await.is_err());
    }
}

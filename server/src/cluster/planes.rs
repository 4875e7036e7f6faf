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

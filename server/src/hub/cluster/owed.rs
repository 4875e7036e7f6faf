//! Who was put out of a room while the broker of its home could not be told so: it is said again as long as it counts.

use std::time::{Duration, Instant};

use rtc_protocol::{PeerId, RoomId};

use super::super::{Hub, millis};
use super::{Cluster, Wish};
use crate::cluster::regions::Region;
use crate::cluster::seats::Request;

/// Of all rooms; beyond it the oldest go first.
const OWED: usize = 1_024;

/// What a broker has not been told.
#[derive(Debug)]
pub(super) struct Owed {
    room: RoomId,
    peer: PeerId,
    until: Instant,
}

impl Cluster {
    /// Says it now where that is to be.
    fn pay(&mut self, now: Instant, which: impl Fn(&RoomId) -> bool) {
        let owed = std::mem::take(&mut self.owed);
        let (due, rest) = owed.into_iter().partition(|one| which(&one.room));
        self.owed = rest;
        let due: Vec<Owed> = due;
        for Owed { room, peer, until } in due {
            let ms = millis(until.saturating_duration_since(now));
            if ms > 0 {
                let request = Request::PutOut { room, peer, ms };
                self.wishes.push(Wish::Ask(request));
            }
        }
    }
}

impl Hub {
    /// The broker could not be asked for something that needs no answer. All but this mends itself.
    pub fn not_asked(&mut self, now: Instant, request: Request) {
        let (Request::PutOut { room, peer, ms }, Some(cluster)) =
            (request, self.cluster.as_deref_mut())
        else {
            return;
        };
        let owed = &mut cluster.owed;
        owed.retain(|one| now < one.until && (&one.room, one.peer) != (&room, peer));
        if owed.len() >= OWED {
            owed.remove(0);
        }
        let until = now + Duration::from_millis(ms);
        owed.push(Owed { room, peer, until });
    }

    /// A region's broker is reached: of rooms with nobody of ours, that is all there is to wait for.
    pub(super) fn pays_region(&mut self, region: Region) {
        let (now, rooms) = (self.now, &self.rooms);
        if let Some(cluster) = self
            .cluster
            .as_deref_mut()
            .filter(|one| !one.owed.is_empty())
        {
            let regions = cluster.regions.clone();
            let there = |room: &RoomId| regions.home(room.as_str()) == region;
            cluster.pay(now, |room| there(room) && !rooms.contains_key(room));
        }
    }

    /// A room's home knows of it again.
    pub(super) fn pays_room(&mut self, room: &RoomId) {
        let now = self.now;
        if let Some(cluster) = self
            .cluster
            .as_deref_mut()
            .filter(|one| !one.owed.is_empty())
        {
            cluster.pay(now, |one| one == room);
        }
    }
}

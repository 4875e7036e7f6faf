//! Very many who want to be in one room at once, at several nodes around a real broker. `RTC_CROWD=100000` makes it as many.

use std::sync::Arc;
use std::time::Instant;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use rtc_protocol::{ClientFrame, ClientMessage, ErrorCode, ServerFrame, ServerMessage};
use tokio_util::task::AbortOnDropHandle;

use super::super::{LEASE, Membership};
use super::*;
use crate::hub::{Greeting, Pass};
use crate::mailbox::Outgoing;
use crate::seat::Seat;

const NODES: usize = 3;
const CAPACITY: u16 = 40;

fn crowd() -> usize {
    let wanted = std::env::var("RTC_CROWD").ok();
    wanted.and_then(|text| text.parse().ok()).unwrap_or(3_000)
}

/// A peer with its seat, and whether it got in.
async fn joins(switchboard: &Switchboard, number: usize) -> (Seat, Result<(), ErrorCode>) {
    let mut random = [0; 32];
    random[..8].copy_from_slice(&number.to_be_bytes());
    let greeting = Greeting {
        id: None,
        token: Token::from_random(random),
        returns: false,
        last_seq: None,
        name: None,
        dialect: None,
        pass: Pass::Unchecked,
    };
    let mut seat = Seat::take(switchboard, greeting, 512).await.unwrap();
    let join = ClientMessage::Join {
        room: RoomId::new("everybody").unwrap(),
        name: None,
        capacity: Some(CAPACITY),
    };
    let frame = ClientFrame {
        id: Some(1),
        message: join,
    };
    seat.say(frame).await;
    loop {
        let Some(Outgoing::Line(line)) = seat.hear().await else {
            panic!("{number} was closed");
        };
        match ServerFrame::parse(&line.text()).unwrap().message {
            ServerMessage::Joined { .. } => return (seat, Ok(())),
            ServerMessage::Error { code, .. } => return (seat, Err(code)),
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_crowd_that_wants_one_room_at_once_as_many_get_in_as_fit() {
    let (_server, url) = loop {
        if let Some(found) = redis().await {
            break found;
        }
    };
    let mut nodes = Vec::new();
    let mut tasks = Vec::new();
    for number in 1..=NODES {
        let me = NodeId::new(number as u64);
        let plane = |_| -> Arc<dyn Backplane> { Arc::new(Redis::new(me, vec![url.clone()])) };
        let (node, member) = Membership::at(Regions::default(), plane, me, LEASE);
        let config = crate::testing::config();
        let (switchboard, task) =
            Switchboard::new(config.hub(), 1 << 20, Metrics::default(), Some(node));
        tasks.push(AbortOnDropHandle::new(tokio::spawn(task)));
        let drive = member.drive(switchboard.clone());
        tasks.push(AbortOnDropHandle::new(tokio::spawn(drive)));
        nodes.push(switchboard);
    }
    let begun = Instant::now();
    let crowd = crowd();
    let mut joining: FuturesUnordered<_> = (0..crowd)
        .map(|number| joins(&nodes[number % NODES], number))
        .collect();
    let (mut seats, mut inside, mut again) = (Vec::new(), 0, 0);
    while let Some((seat, joined)) = joining.next().await {
        match joined {
            Ok(()) => inside += 1,
            Err(ErrorCode::RoomFull) => {}
            // The broker was asked too much at once; it is told so, as anybody would be.
            Err(ErrorCode::TryLater) => again += 1,
            Err(other) => panic!("{other:?}"),
        }
        seats.push(seat);
    }
    println!(
        "{crowd} joins in {:?}; {again} were told to try later",
        begun.elapsed()
    );
    let waits = timeout(PATIENCE, async {
        // Whoever is in is seen to be by all who are.
        loop {
            let rooms = nodes[0].rooms(None, 10).await;
            let all: Vec<usize> = rooms
                .finding
                .rooms
                .iter()
                .map(|room| room.members.len())
                .collect();
            if all == [inside] {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
    });
    waits.await.unwrap();
    assert_eq!(inside, usize::from(CAPACITY));
}

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

//! What connections leave behind. Alone in its process, because it counts the process's
//! file descriptors.

use std::time::Duration;

use rtc_client::net::interfaces::Choice;
use rtc_client::peer::{ConnectionState, Peer, PeerConfig, PeerEvent};
use tokio::sync::mpsc;

struct End {
    peer: Peer,
    events: mpsc::Receiver<PeerEvent>,
}

async fn open(polite: bool) -> End {
    let (tell, events) = mpsc::channel(64);
    let config = PeerConfig {
        polite,
        network: Choice {
            bind: vec![[127, 0, 0, 1].into()],
            ..Choice::default()
        },
        mdns: false,
        ..PeerConfig::default()
    };
    let peer = Peer::start(config, tell).await.unwrap();
    End { peer, events }
}

async fn connect() -> (End, End) {
    let (mut a, mut b) = (open(true).await, open(false).await);
    a.peer.negotiate().await;
    let mut chats = 0;
    while chats < 2 {
        let (far, event) = tokio::select! {
            event = a.events.recv() => (&b, event.unwrap()),
            event = b.events.recv() => (&a, event.unwrap()),
        };
        match event {
            PeerEvent::Signal(signal) => far.peer.handle_signal(signal).await,
            PeerEvent::ChatOpen => chats += 1,
            PeerEvent::Trouble(text) => panic!("{text}"),
            _ => {}
        }
    }
    (a, b)
}

/// Waits for what a dropped peer says last.
async fn closed(mut events: mpsc::Receiver<PeerEvent>) {
    let mut last = None;
    while let Some(event) = events.recv().await {
        last = Some(event);
    }
    assert!(matches!(
        last,
        Some(PeerEvent::State(ConnectionState::Closed))
    ));
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn fifty_connections_leave_no_task_and_no_descriptor() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let before = descriptors();
        for round in 0..25 {
            let (a, b) = connect().await;
            assert!(descriptors() >= before + 2);
            if round % 2 == 0 {
                a.peer.close().await;
                b.peer.close().await;
            } else {
                drop(a.peer);
                drop(b.peer);
                closed(a.events).await;
                closed(b.events).await;
            }
        }
        let tasks = || {
            tokio::runtime::Handle::current()
                .metrics()
                .num_alive_tasks()
        };
        tokio::time::timeout(Duration::from_secs(30), async {
            while tasks() > 0 || descriptors() > before {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await
        .unwrap_or_else(|_| {
            panic!(
                "{} tasks and {} descriptors are left, {before} were there",
                tasks(),
                descriptors()
            )
        });
    });
}

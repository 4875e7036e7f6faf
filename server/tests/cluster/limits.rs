//! Limits that hold in the cluster as a whole.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

use crate::rig::{Broker, PATIENCE, Process};
use crate::versions::numbered;

/// Who asks for metrics is at 127.0.0.1, and does not count.
const LIMITS: [&str; 6] = [
    "--max-per-address",
    "4",
    "--exempt",
    "127.0.0.1",
    "--header-timeout",
    "300",
];

const ANN: &str = "127.0.0.77:0";
const BOB: &str = "127.0.0.78:0";

/// A connection from this address, or what is answered where it is refused.
async fn comes(from: &str, to: &Process) -> Result<TcpStream, String> {
    let connected = async {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(from.parse::<SocketAddr>().unwrap()).unwrap();
        let mut stream = socket.connect(to.address).await.unwrap();
        let request = "GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = vec![0; 4096];
        let mut length = 0;
        while !answer[..length].ends_with(b"\n") || length < 12 {
            match stream.read(&mut answer[length..]).await.unwrap() {
                0 => break,
                more => length += more,
            }
        }
        let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
        match answer.starts_with("HTTP/1.1 200 ") {
            true => Ok(stream),
            false => Err(answer),
        }
    };
    timeout(PATIENCE, connected).await.expect("no answer")
}

/// So many connections, each of which gets in, at once or in the end.
async fn held(from: &str, to: &Process, many: usize) -> Vec<TcpStream> {
    let all_in = async {
        let mut held = Vec::new();
        while held.len() < many {
            match comes(from, to).await {
                Ok(stream) => held.push(stream),
                Err(_) => sleep(Duration::from_millis(50)).await,
            }
        }
        held
    };
    timeout(PATIENCE, all_in).await.expect("it is not let in")
}

/// Tries until it is refused; gives what it is told.
async fn refused(from: &str, by: &Process) -> String {
    let refused = async {
        loop {
            match comes(from, by).await {
                // It has told us that it was here, and goes.
                Ok(stream) => drop(stream),
                Err(answer) => return answer,
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, refused).await.expect("it is let in")
}

#[tokio::test]
async fn an_address_that_has_its_fill_at_two_nodes_is_refused_at_the_third_until_it_lets_go() {
    let broker = Broker::start().await;
    let [one, mut two, three] = [(); 3].map(|()| Process::start_with(&broker, &LIMITS));
    for node in [&one, &two, &three] {
        node.knows(3).await;
    }
    let at_one = held(ANN, &one, 2).await;
    let at_two = held(ANN, &two, 2).await;
    let answer = refused(ANN, &three).await;
    assert!(answer.starts_with("HTTP/1.1 429 "), "{answer}");
    assert!(answer.contains("at all servers here together"), "{answer}");
    three.counts("rtc_cluster_limits_hit_total 1").await;
    three.counts("rtc_cluster_holders_heard 1").await;
    one.counts("rtc_cluster_holders_told 1").await;
    // Each of the others is as full for it, and nobody else is held to that.
    for node in [&one, &two] {
        refused(ANN, node).await;
    }
    let _bob = held(BOB, &three, 4).await;
    drop(at_one);
    let mut at_three = held(ANN, &three, 2).await;
    refused(ANN, &three).await;
    // What a server held that has died counts no more.
    two.kill();
    drop(at_two);
    at_three.extend(held(ANN, &three, 2).await);
    let answer = comes(ANN, &three).await.unwrap_err();
    assert!(
        answer.contains("as many connections here as it may"),
        "{answer}"
    );
    assert_eq!(at_three.len(), 4);
}

#[tokio::test]
async fn an_address_has_its_fill_in_all_regions_together() {
    let (near, far) = tokio::join!(Broker::start(), Broker::start());
    let regions = format!("near={},far={}", near.url(), far.url());
    let start = |region| {
        let cluster = ["--region", region, "--regions", &regions];
        Process::run(&cluster, &LIMITS)
    };
    let (one, two) = (start("near"), start("far"));
    for (node, other) in [(&one, "far"), (&two, "near")] {
        let there = format!("rtc_cluster_region_nodes{{region=\"{other}\"}} 1");
        node.counts(&there).await;
    }
    let at_one = held(ANN, &one, 4).await;
    let answer = refused(ANN, &two).await;
    assert!(answer.contains("at all servers here together"), "{answer}");
    drop(at_one);
    held(ANN, &two, 4).await;
}

#[tokio::test]
async fn who_drains_tells_before_it_ends_that_nothing_is_held_there() {
    let broker = Broker::start().await;
    let [mut one, two] = [(); 2].map(|()| Process::start_with(&broker, &LIMITS));
    two.knows(2).await;
    let at_one = held(ANN, &one, 4).await;
    refused(ANN, &two).await;
    let mut itself = broker.connection().await;
    let mut list = async || {
        let mut all = redis::cmd("HVALS");
        all.arg(format!("{}:nodes", numbered()));
        let all: Vec<String> = all.query_async(&mut itself).await.unwrap();
        all.into_iter()
            .filter(|node| node.contains("\"held\":"))
            .count()
    };
    assert_eq!(list().await, 1);
    one.terminate();
    assert_eq!(one.ended().await, Some(0));
    assert_eq!(list().await, 0, "it stood there when it ended");
    drop(at_one);
    held(ANN, &two, 4).await;
}

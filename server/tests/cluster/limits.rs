//! Limits that hold in the cluster as a whole.

use std::net::SocketAddr;
use std::time::Duration;

use stun_types::attribute::{ErrorCode, Nonce, Realm, Username};
use stun_types::message::{
    IntegrityAlgorithm, LongTermKeyCredentials, Message, MessageWriteVec, Method,
};
use stun_types::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, UdpSocket};
use tokio::time::{sleep, timeout};
use turn_types::attribute::{Lifetime, RequestedTransport};
use turn_types::message::{ALLOCATE, REFRESH};

use crate::rig::{Broker, LEASE, LONG, PATIENCE, Peer, Process, token};
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
        Process::run(&cluster, LEASE, &LIMITS)
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

/// Waits until so many of two nodes tell of a holder.
async fn are_telling(broker: &Broker, wanted: usize) {
    let mut itself = broker.connection().await;
    let telling = async {
        loop {
            let mut all = redis::cmd("HVALS");
            all.arg(format!("{}:nodes", numbered()));
            let all: Vec<String> = all.query_async(&mut itself).await.unwrap();
            assert_eq!(all.len(), 2, "each is there all the time");
            let telling = all.iter().filter(|node| node.contains("\"held\":"));
            if telling.count() == wanted {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, telling).await.expect("they never do");
}

#[tokio::test]
async fn who_drains_tells_that_nothing_is_held_there() {
    let broker = Broker::start_for(LONG).await;
    let [one, two] = [(); 2].map(|()| Process::start_with(&broker, &LIMITS));
    two.knows(2).await;
    // Who does not go where it is sent keeps the server for as long as it may.
    let (_peer, _) = Peer::greeted(one.address, token('a'), None).await;
    let _at_one = held(ANN, &one, 4).await;
    refused(ANN, &two).await;
    are_telling(&broker, 1).await;
    one.terminate();
    are_telling(&broker, 0).await;
    held(ANN, &two, 4).await;
}

/// Somebody who may relay at each server.
struct Relayed(UdpSocket);

impl Relayed {
    async fn at(relay: SocketAddr) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.connect(relay).await.unwrap();
        Self(socket)
    }

    /// What is answered; said again where nobody does, as a relay may not be there yet, and datagrams may get lost.
    async fn asks(&self, request: &[u8]) -> Vec<u8> {
        let asked = async {
            loop {
                let mut answer = vec![0; 2048];
                let _ = self.0.send(request).await;
                let came = timeout(Duration::from_millis(500), self.0.recv(&mut answer));
                if let Ok(Ok(length)) = came.await
                    // What was said again may be answered twice (RFC 8489, section 6.1: the transaction's number).
                    && answer[8..20] == request[8..20]
                {
                    answer.truncate(length);
                    return answer;
                }
            }
        };
        timeout(PATIENCE, asked).await.expect("no answer")
    }

    /// The code of the refusal, or 0.
    async fn does(&self, method: Method, what: &dyn AttributeWrite) -> u16 {
        let begin = || Message::builder_request(method, MessageWriteVec::new());
        let challenge = self.asks(&begin().finish()).await;
        let challenge = Message::from_bytes(&challenge).unwrap();
        let nonce = challenge.attribute::<Nonce>().unwrap();
        let realm = challenge.attribute::<Realm>().unwrap();
        let user = Username::new("ann").unwrap();
        let mut request = begin();
        let shown: [&dyn AttributeWrite; 4] = [what, &user, &realm, &nonce];
        for attribute in shown {
            request.add_attribute(attribute).unwrap();
        }
        let realm = realm.realm().to_owned();
        let key = LongTermKeyCredentials::new("ann".into(), "secret".into(), realm);
        let sha1 = IntegrityAlgorithm::Sha1;
        request.add_message_integrity(&key.into(), sha1).unwrap();
        let answer = self.asks(&request.finish()).await;
        let answer = Message::from_bytes(&answer).unwrap();
        let refused = answer.attribute::<ErrorCode>();
        refused.map_or(0, |error| error.code())
    }

    async fn allocates(&self) -> u16 {
        let udp = RequestedTransport::new(RequestedTransport::UDP);
        self.does(ALLOCATE, &udp).await
    }

    async fn lets_go(&self) {
        assert_eq!(self.does(REFRESH, &Lifetime::new(0)).await, 0);
    }
}

#[tokio::test]
async fn a_credential_has_its_fill_at_the_relays_of_all_nodes_together() {
    let broker = Broker::start().await;
    // Addresses of this process's own, at which the port is free.
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let relays = [1, 2].map(|number| SocketAddr::from(([127, high | 128, low, number], 3478)));
    let [mut one, two] = relays.map(|relay| {
        let relay = relay.to_string();
        let more = ["--turn", &relay, "--turn-user", "ann:secret"];
        Process::start_with(
            &broker,
            &[&more[..], &["--turn-per-credential", "2"]].concat(),
        )
    });
    one.knows(2).await;
    two.knows(2).await;
    let [at_one, again, at_two] = [
        Relayed::at(relays[0]).await,
        Relayed::at(relays[0]).await,
        Relayed::at(relays[1]).await,
    ];
    assert_eq!((at_one.allocates().await, again.allocates().await), (0, 0));
    two.counts("rtc_cluster_holders_heard 1").await;
    // A second later the relay knows, too.
    let refused = async {
        loop {
            match at_two.allocates().await {
                0 => at_two.lets_go().await,
                code => return code,
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    let refused = timeout(PATIENCE, refused).await;
    assert_eq!(refused.expect("it is never refused"), 486);
    one.kill();
    let free = async {
        while at_two.allocates().await != 0 {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, free).await.expect("it is not let in");
}

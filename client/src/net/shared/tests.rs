#![allow(clippy::unwrap_used, clippy::panic)]

use std::future::poll_fn;
use std::io::IoSliceMut;
use std::net::Ipv4Addr;
use std::time::Duration;

use proptest::prelude::*;
use tokio::time::timeout;
use webrtc::runtime::{AsyncUdpSocket, RecvMeta, Transmit};

use super::demux::{Way, is_for_relay};
use super::*;

const PATIENCE: Duration = Duration::from_secs(20);
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const RTP: [u8; 4] = [0x80, 96, 0, 1];
const CHECK: u16 = 0x0001;
const YES: u16 = 0x0101;

/// A message of STUN with a SOFTWARE before its USERNAME.
fn stun(kind: u16, number: u8, username: Option<&str>) -> Vec<u8> {
    let mut attributes = vec![0x80, 0x22, 0, 1, b'x', 0, 0, 0];
    if let Some(name) = username {
        attributes.extend([0, 6]);
        attributes.extend(u16::try_from(name.len()).unwrap().to_be_bytes());
        attributes.extend(name.as_bytes());
        attributes.resize(attributes.len().next_multiple_of(4), 0);
    }
    let length = u16::try_from(attributes.len()).unwrap();
    let mut message = [kind.to_be_bytes(), length.to_be_bytes()].concat();
    message.extend([0x21, 0x12, 0xa4, 0x42]);
    message.extend([number; 12]);
    message.extend(attributes);
    message
}

fn from(port: u16) -> Way {
    Way {
        local: HERE,
        far: SocketAddr::from(([192, 0, 2, 1], port)),
    }
}

#[test]
fn a_check_is_for_whose_fragment_it_names_and_what_follows_it_for_the_same() {
    let mut demux = Demux::default();
    demux.claim(1, "ours");
    demux.claim(2, "other");
    assert_eq!(demux.came(from(1), &RTP), None);
    assert_eq!(demux.came(from(1), &stun(CHECK, 1, Some("nobody:x"))), None);
    assert_eq!(demux.came(from(1), &stun(CHECK, 1, None)), None);
    assert_eq!(
        demux.came(from(1), &stun(CHECK, 1, Some("ours:x"))),
        Some(1)
    );
    assert_eq!(demux.came(from(1), &RTP), Some(1));
    assert_eq!(
        demux.came(from(2), &stun(CHECK, 1, Some("other:x"))),
        Some(2)
    );
    assert_eq!(demux.came(from(2), &RTP), Some(2));
    demux.audit();
}

#[test]
fn an_answer_is_for_who_asked_and_only_from_where_it_was_asked_does_it_give_the_address() {
    let mut demux = Demux::default();
    demux.claim(1, "thief");
    // Somebody only claims to be there.
    demux.came(from(5), &stun(CHECK, 9, Some("thief:x")));
    assert_eq!(demux.came(from(5), &RTP), Some(1));
    demux.sent(2, from(5), &stun(CHECK, 1, Some("x:y")));
    assert_eq!(demux.came(from(6), &stun(YES, 1, None)), Some(2));
    assert_eq!(demux.came(from(5), &RTP), Some(1));
    assert_eq!(demux.came(from(5), &stun(YES, 1, None)), Some(2));
    assert_eq!(demux.came(from(5), &RTP), Some(2));
    // What was answered is not taken by a claim.
    demux.came(from(5), &stun(CHECK, 9, Some("thief:x")));
    assert_eq!(demux.came(from(5), &RTP), Some(2));
    // No: an error is an answer, and no proof.
    demux.sent(1, from(7), &stun(CHECK, 3, None));
    assert_eq!(demux.came(from(7), &stun(0x0111, 3, None)), Some(1));
    assert_eq!(demux.came(from(7), &RTP), None);
    demux.audit();
}

#[test]
fn who_leaves_is_forgotten_and_restarts_add_a_fragment() {
    let mut demux = Demux::default();
    for number in 0..6 {
        demux.claim(1, &format!("f{number}"));
    }
    let check = |number: u8| stun(CHECK, 1, Some(&format!("f{number}:x")));
    assert_eq!(demux.came(from(1), &check(1)), None);
    assert_eq!(demux.came(from(1), &check(2)), Some(1));
    assert_eq!(demux.came(from(1), &check(5)), Some(1));
    demux.sent(1, from(1), &check(0));
    demux.leave(1);
    for datagram in [&check(5)[..], &stun(YES, 1, None), &RTP] {
        assert_eq!(demux.came(from(1), datagram), None);
    }
    demux.audit();
}

#[test]
fn a_flood_of_claims_pushes_out_no_way_that_was_answered() {
    let mut demux = Demux::default();
    demux.claim(1, "ours");
    demux.sent(1, from(1), &stun(CHECK, 1, None));
    demux.came(from(1), &stun(YES, 1, None));
    for port in 2..2_000 {
        demux.came(from(port), &stun(CHECK, 1, Some("ours:x")));
    }
    assert_eq!(demux.came(from(1), &RTP), Some(1));
    assert_eq!(demux.came(from(2), &RTP), None);
    assert_eq!(demux.came(from(1_999), &RTP), Some(1));
    demux.audit();
}

#[test]
fn only_what_is_said_to_turn_servers_is_for_them() {
    let allocate = stun(0x0003, 1, None);
    let data = [0x40, 0, 0, 1, 9];
    for relayed in [&allocate[..], &stun(0x0016, 1, None), &data] {
        assert!(is_for_relay(relayed));
    }
    for other in [
        &stun(CHECK, 1, None)[..],
        &stun(0x0011, 1, None),
        &RTP,
        &[22, 254],
        &[],
    ] {
        assert!(!is_for_relay(other));
    }
}

proptest! {
    #[test]
    fn any_datagrams_are_handed_to_those_who_are_there(
        steps in proptest::collection::vec((0..4_u8, 0..3_u64, 0..4_u16, 0..4_u8), 0..200),
        noise in proptest::collection::vec(any::<u8>(), 0..60),
    ) {
        let mut demux = Demux::default();
        let mut there = [false; 3];
        for (what, member, port, number) in steps {
            let at = usize::try_from(member).unwrap();
            match what {
                0 => { demux.claim(member, &format!("f{number}")); there[at] = true; }
                1 => { demux.sent(member, from(port), &stun(CHECK, number, None)); there[at] = true; }
                2 => {
                    let user = format!("f{number}:x");
                    for datagram in [&stun(CHECK, number, Some(&user))[..], &stun(YES, number, None), &RTP, &noise] {
                        let to = demux.came(from(port), datagram);
                        prop_assert!(to.is_none_or(|to| there[usize::try_from(to).unwrap()]));
                    }
                }
                _ => { demux.leave(member); there[at] = false; }
            }
            demux.audit();
        }
    }
}

/// A port that is free at this moment.
fn free() -> u16 {
    let socket = std::net::UdpSocket::bind((HERE, 0)).unwrap();
    socket.local_addr().unwrap().port()
}

fn engines() -> std::net::UdpSocket {
    std::net::UdpSocket::bind((HERE, 0)).unwrap()
}

async fn send(socket: &Arc<dyn AsyncUdpSocket>, to: SocketAddr, contents: &[u8]) {
    let transmit = Transmit {
        destination: to,
        ecn: None,
        contents,
        segment_size: None,
        src_ip: None,
    };
    poll_fn(|cx| socket.poll_send(cx, &transmit)).await.unwrap();
}

async fn receive(socket: &Arc<dyn AsyncUdpSocket>) -> (SocketAddr, Vec<u8>) {
    let mut buffer = [0; 2_000];
    let mut metas = [RecvMeta::default()];
    let received = poll_fn(|cx| {
        let mut slices = [IoSliceMut::new(&mut buffer)];
        socket.poll_recv(cx, &mut slices, &mut metas)
    });
    timeout(PATIENCE, received).await.unwrap().unwrap();
    (metas[0].addr, buffer[..metas[0].len].to_vec())
}

#[tokio::test]
async fn connections_send_by_one_port_and_each_hears_what_is_for_it() {
    let shared = SharedUdp::new(free());
    shared.open(&[HERE]).unwrap();
    let port = SocketAddr::from((HERE, shared.0.port));
    let members = [(); 2].map(|()| Arc::new(shared.join()));
    let sockets = members
        .clone()
        .map(|member| member.socket(engines(), false).unwrap());
    let far = tokio::net::UdpSocket::bind((HERE, 0)).await.unwrap();
    let place = far.local_addr().unwrap();
    let mut buffer = [0; 2_000];
    for (number, (member, socket)) in members.iter().zip(&sockets).enumerate() {
        let fragment = format!("f{number}");
        member.claim(std::iter::once(&*fragment));
        let check = stun(CHECK, u8::try_from(number).unwrap(), Some("x:y"));
        send(socket, place, &check).await;
        let (count, from) = timeout(PATIENCE, far.recv_from(&mut buffer))
            .await
            .unwrap()
            .unwrap();
        assert_eq!((&buffer[..count], from), (&check[..], port));
        for said in [
            stun(CHECK, 9, Some(&format!("{fragment}:x"))),
            stun(YES, u8::try_from(number).unwrap(), None),
            RTP.to_vec(),
        ] {
            far.send_to(&said, port).await.unwrap();
            assert_eq!(receive(socket).await, (place, said));
        }
    }
}

#[tokio::test]
async fn what_is_for_a_relay_goes_by_the_connections_own_socket() {
    let shared = SharedUdp::new(free());
    let own = engines();
    let bound = own.local_addr().unwrap();
    let socket = Arc::new(shared.join()).socket(own, true).unwrap();
    assert_eq!(socket.local_addr().unwrap(), bound);
    let server = tokio::net::UdpSocket::bind((HERE, 0)).await.unwrap();
    let mut buffer = [0; 2_000];
    send(
        &socket,
        server.local_addr().unwrap(),
        &stun(0x0003, 1, None),
    )
    .await;
    let (_, from) = timeout(PATIENCE, server.recv_from(&mut buffer))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(from, bound);
    server.send_to(&stun(0x0103, 1, None), bound).await.unwrap();
    assert_eq!(receive(&socket).await.0, server.local_addr().unwrap());
}

#[tokio::test]
async fn the_port_is_open_for_as_long_as_anybody_has_it() {
    let port = free();
    let shared = SharedUdp::new(port);
    shared.open(&[HERE]).unwrap();
    let error = SharedUdp::new(port).open(&[HERE]).unwrap_err().to_string();
    assert!(error.contains(&format!("--udp-port {port}")), "{error}");
    let socket = Arc::new(shared.join()).socket(engines(), false).unwrap();
    drop(shared);
    assert!(std::net::UdpSocket::bind((HERE, port)).is_err());
    drop(socket);
    // Its reader is ended, and lets go of it.
    let freed = async {
        while std::net::UdpSocket::bind((HERE, port)).is_err() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, freed).await.unwrap();
}

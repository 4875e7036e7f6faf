//! The door of this machine: opened by the first, taken over by the next.

use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// Which of them run a server.
fn hosts(guests: &[Guest]) -> usize {
    guests.iter().filter(|guest| guest.started).count()
}

/// Three in a room, the first of which runs the server.
async fn three(port: u16) -> [Guest; 3] {
    let mut a = Guest::join(at_door(port)).await;
    assert!(a.started);
    let mut b = Guest::join(at_door(port)).await;
    let c = Guest::join(at_door(port)).await;
    assert!(!b.started && !c.started);
    a.sees(b.id()).await;
    a.sees(c.id()).await;
    b.sees(c.id()).await;
    [a, b, c]
}

/// Both are in the room again, one of them serves, and they hear each other.
async fn assert_taken_over(mut b: Guest, mut c: Guest) {
    assert!(!b.back().await && !c.back().await);
    let (with_b, with_c) = (c.id(), b.id());
    b.joined().await;
    c.joined().await;
    b.sees(with_b).await;
    c.sees(with_c).await;
    b.say(c.id(), "still there?").await;
    assert_eq!(c.hears().await, (b.id(), "still there?".to_owned()));
    assert_eq!(hosts(&[b, c]), 1);
}

#[tokio::test]
async fn the_first_starts_the_server_and_says_where() {
    let port = free_port();
    let (sender, mut events) = mpsc::channel(16);
    let first = Signaling::connect(at_door(port), sender).await.unwrap();
    assert_eq!(
        events.recv().await.unwrap(),
        SignalingEvent::ServerStarted {
            url: format!("http://localhost:{port}/")
        }
    );
    let mut second = Guest::join(at_door(port)).await;
    assert!(!second.started);
    assert_eq!(second.members, [first.id()]);
    // By the URL that a browser would use, too.
    let url = format!("http://localhost:{port}/foo");
    let target = Target::parse_with_port(&url, None, port).unwrap();
    let third = Guest::join(SignalingOptions::new(target)).await;
    second.sees(third.id()).await;
}

#[tokio::test]
async fn when_the_host_leaves_one_of_the_others_takes_the_door_over() {
    let [a, b, c] = three(free_port()).await;
    a.signaling.leave().await;
    assert_taken_over(b, c).await;
}

#[tokio::test]
async fn when_the_host_dies_one_of_the_others_takes_the_door_over() {
    let [a, b, c] = three(free_port()).await;
    drop(a);
    assert_taken_over(b, c).await;
}

#[tokio::test]
async fn the_last_one_takes_the_door_over_too_and_is_found_there() {
    let port = free_port();
    let [a, b, mut c] = three(port).await;
    let me = c.id();
    a.signaling.leave().await;
    b.signaling.leave().await;
    // Whether b was the host in between or not: at the end c is alone, and the door is open.
    let mut newcomer = Guest::join(at_door(port)).await;
    newcomer.sees(me).await;
    newcomer.say(me, "hello").await;
    assert_eq!(c.hears().await.1, "hello");
}

#[tokio::test]
async fn of_many_that_come_at_once_exactly_one_serves() {
    let port = free_port();
    let mut guests = join_all((0..6).map(|_| Guest::join(at_door(port)))).await;
    assert_eq!(hosts(&guests), 1);
    let everybody: Vec<PeerId> = guests.iter().map(Guest::id).collect();
    for guest in &mut guests {
        // The one that came last saw all in its list, the others were told.
        let me = guest.id();
        let mut missing: Vec<PeerId> = everybody
            .iter()
            .copied()
            .filter(|peer| *peer != me && !guest.members.contains(peer))
            .collect();
        while !missing.is_empty() {
            let came = guest
                .until(|event| match event {
                    SignalingEvent::PeerJoined { member } => Some(member.peer),
                    _ => None,
                })
                .await;
            missing.retain(|peer| *peer != came);
        }
    }
}

#[tokio::test]
async fn a_server_that_is_there_is_used_and_taken_over_when_it_dies() {
    let port = free_port();
    let (server, _, _) = serve(port).await;
    let mut a = Guest::join(at_door(port)).await;
    assert!(!a.started);
    drop(server);
    assert!(!a.back().await);
    assert!(a.started);
}

#[tokio::test]
async fn something_else_at_the_door_is_told_and_left_alone() {
    let port = free_port();
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port))
        .await
        .unwrap();
    let _other = AbortOnDropHandle::new(tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream
                .write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
                .await;
            let _ = stream.read(&mut request).await;
        }
    }));
    let error = Guest::try_join(at_door(port)).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::NoServer);
    let text = error.to_string();
    assert!(
        text.contains("something else listens there") && text.contains("--server"),
        "{text}"
    );
}

#[tokio::test]
async fn the_server_ends_with_its_client() {
    let port = free_port();
    let alone = Guest::join(at_door(port)).await;
    alone.signaling.leave().await;
    assert!(
        tokio::net::TcpStream::connect(("127.0.0.1", port))
            .await
            .is_err(),
        "the door is closed when leave returns"
    );
}

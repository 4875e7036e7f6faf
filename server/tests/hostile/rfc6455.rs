//! RFC 6455, section by section: frames, fragments, control frames, UTF-8, closing.

use rtc_protocol::{ClientFrame, ClientMessage, ErrorCode, LeaveReason, ServerMessage, close};

use crate::rig::*;

const PROTOCOL: End = End::Closed(close::PROTOCOL);
const NOT_UTF8: End = End::Closed(close::NOT_UTF8);

/// Says these bytes on fresh connections, before the hello and in a room, and asserts how each ends.
async fn ends(cases: &[(&str, Vec<u8>, End)]) {
    let (_running, address) = server().await;
    let mut watch = Watch::over(address).await;
    let mut mate = Wire::greeted(address, "mate").await;
    mate.say(ClientMessage::Join {
        room: room("r"),
        name: None,
        capacity: Some(64),
    })
    .await;
    let joined = mate.message().await;
    assert!(matches!(joined, ServerMessage::Joined { .. }), "{joined:?}");
    for (number, (what, bytes, expected)) in cases.iter().enumerate() {
        let mut early = Wire::open(address).await;
        early.try_write(bytes).await;
        assert_eq!(early.end().await, *expected, "before the hello: {what}");

        let mut inside = Wire::inside(address, &format!("a{number}"), "r").await;
        inside.try_write(bytes).await;
        assert_eq!(inside.end().await, *expected, "{what}");
    }
    let (mut came, mut lost) = (0, 0);
    while lost < cases.len() {
        match mate.message().await {
            ServerMessage::PeerJoined { .. } => came += 1,
            ServerMessage::PeerLeft {
                reason: LeaveReason::Lost,
                ..
            } => lost += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(came, lost);
    watch.all_is_well().await;
}

/// A message that has an answer of its own.
fn ping_text() -> Vec<u8> {
    text_of(ClientMessage::Ping { t: 7.0 })
}

fn text_of(message: ClientMessage) -> Vec<u8> {
    ClientFrame::from(message).to_json().into_bytes()
}

async fn pong(wire: &mut Wire) {
    assert_eq!(wire.message().await, ServerMessage::Pong { t: 7.0 });
}

// --- section 5.2: the head of a frame ---

#[tokio::test]
async fn reserved_bits_are_a_broken_frame_compressed_ones_too() {
    let text = ping_text();
    ends(&[
        (
            "RSV1, as permessage-deflate would set it",
            frame(FIN | 0x40 | TEXT, &text),
            PROTOCOL,
        ),
        ("RSV2", frame(FIN | 0x20 | TEXT, &text), PROTOCOL),
        ("RSV3", frame(FIN | 0x10 | TEXT, &text), PROTOCOL),
        ("RSV1 on a ping", frame(FIN | 0x40 | PING, b""), PROTOCOL),
        ("RSV1 on a fragment", frame(0x40 | TEXT, b"{"), PROTOCOL),
        (
            "all of them on a close",
            frame(FIN | 0x70 | CLOSE, &[3, 232]),
            PROTOCOL,
        ),
    ])
    .await;
}

#[tokio::test]
async fn reserved_opcodes_are_a_broken_frame() {
    let mut cases = Vec::new();
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        cases.push(("with a payload", frame(FIN | opcode, b"{}"), PROTOCOL));
        cases.push(("empty", frame(FIN | opcode, b""), PROTOCOL));
    }
    ends(&cases).await;
}

#[tokio::test]
async fn a_frame_without_a_mask_is_refused() {
    ends(&[
        ("text", unmasked(FIN | TEXT, b"{}"), PROTOCOL),
        ("empty text", unmasked(FIN | TEXT, b""), PROTOCOL),
        ("ping", unmasked(FIN | PING, b""), PROTOCOL),
        ("close", unmasked(FIN | CLOSE, &[3, 232]), PROTOCOL),
    ])
    .await;
}

#[tokio::test]
async fn lengths_are_taken_in_every_form_and_at_every_edge() {
    let (_running, address) = server().await;
    let mut a = Wire::greeted(address, "a").await;
    for len in [40, 125, 126, 127, 128, 65_535, 65_536] {
        let mut text = br#"{"type":"ping","t":7}"#.to_vec();
        text.resize(len, b' ');
        a.text(&text).await;
        pong(&mut a).await;
    }
    // A length in more bytes than it needs is against section 5.2, and harms nobody; it must not confuse.
    let short = frame(FIN | TEXT, &ping_text());
    let mut long = vec![short[0], 0x80 | 127];
    long.extend(u64::from(short[1] & 0x7f).to_be_bytes());
    long.extend(&short[2..]);
    a.write(&long).await;
    pong(&mut a).await;
    a.still_there().await;
}

#[tokio::test]
async fn a_length_that_cannot_be_is_refused_before_it_comes() {
    let head = |len: u64| [&[FIN | TEXT, 0xff][..], &len.to_be_bytes(), &[0; 4]].concat();
    ends(&[
        (
            "one byte over the limit",
            head(65_537),
            End::Closed(close::TOO_LARGE),
        ),
        ("4 GiB", head(1 << 32), End::Closed(close::TOO_LARGE)),
        (
            "the highest bit set",
            head(u64::MAX),
            End::Closed(close::TOO_LARGE),
        ),
    ])
    .await;
}

#[tokio::test]
async fn bytes_that_come_one_by_one_are_a_message_all_the_same() {
    let (_running, address) = server().await;
    let mut a = Wire::greeted(address, "a").await;
    for byte in frame(FIN | TEXT, &ping_text()) {
        a.write(&[byte]).await;
        tokio::task::yield_now().await;
    }
    pong(&mut a).await;
    // And many messages in one segment are many.
    a.write(&frame(FIN | TEXT, &ping_text()).repeat(20)).await;
    for _ in 0..20 {
        pong(&mut a).await;
    }
}

// --- section 5.4: fragments ---

#[tokio::test]
async fn fragments_are_put_together_with_control_frames_between_them() {
    let (_running, address) = server().await;
    let mut a = Wire::greeted(address, "a").await;
    let text = ping_text();
    for cut in 0..=text.len() {
        let (one, two) = text.split_at(cut);
        a.write(&frame(TEXT, one)).await;
        a.still_there().await;
        a.write(&frame(FIN | PONG, b"not asked for")).await;
        a.write(&frame(CONTINUATION, b"")).await;
        a.still_there().await;
        a.write(&frame(FIN | CONTINUATION, two)).await;
        pong(&mut a).await;
    }
    let mut bytes = frame(TEXT, b"");
    for byte in &text {
        bytes.extend(frame(CONTINUATION, &[*byte]));
        bytes.extend(frame(FIN | PING, &[*byte]));
    }
    bytes.extend(frame(FIN | CONTINUATION, b""));
    a.write(&bytes).await;
    for _ in &text {
        // A pong may answer several pings, and then answers the last of them (section 5.5.3).
        let heard = a.heard().await.unwrap();
        if heard.first == FIN | TEXT {
            return;
        }
        assert_eq!(heard.first, FIN | PONG);
    }
    pong(&mut a).await;
}

#[tokio::test]
async fn fragments_out_of_order_are_a_broken_frame() {
    let text = ping_text();
    ends(&[
        (
            "a continuation of nothing",
            frame(FIN | CONTINUATION, &text),
            PROTOCOL,
        ),
        ("an empty one", frame(FIN | CONTINUATION, b""), PROTOCOL),
        (
            "one that is not the last",
            frame(CONTINUATION, &text),
            PROTOCOL,
        ),
        (
            "text in the middle of text",
            [frame(TEXT, &text), frame(FIN | TEXT, &text)].concat(),
            PROTOCOL,
        ),
        (
            "binary in the middle of text",
            [frame(TEXT, &text), frame(FIN | BINARY, &text)].concat(),
            PROTOCOL,
        ),
        (
            "a new first fragment in the middle",
            [frame(TEXT, &text), frame(TEXT, &text)].concat(),
            PROTOCOL,
        ),
    ])
    .await;
}

#[tokio::test]
async fn fragments_are_held_to_the_limit_of_one_message() {
    let part = frame(CONTINUATION, &[b'x'; 4096]);
    let bytes = [frame(TEXT, b"\""), part.repeat(16)].concat();
    ends(&[("17 parts", bytes, End::Closed(close::TOO_LARGE))]).await;
    // Right at the limit they pass, and are nonsense like any other.
    let (_running, address) = server().await;
    let mut a = Wire::greeted(address, "a").await;
    a.write(&frame(TEXT, b"")).await;
    a.write(&part.repeat(16)).await;
    a.write(&frame(FIN | CONTINUATION, b"")).await;
    let refused = a.message().await;
    let ServerMessage::Error { code, .. } = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(code, ErrorCode::BadMessage);
    // Fragments without end and without content are no message, and hold nothing up.
    a.write(&frame(TEXT, b"")).await;
    for _ in 0..5_000 {
        a.write(&frame(CONTINUATION, b"")).await;
    }
    a.still_there().await;
}

// --- section 5.5: control frames ---

#[tokio::test]
async fn pings_are_answered_with_what_they_carry() {
    let (_running, address) = server().await;
    for mut wire in [Wire::open(address).await, Wire::greeted(address, "a").await] {
        for payload in [&b""[..], b"hello", &[0, 0xff, 0xfe, 0x80], &[b'x'; 125]] {
            wire.write(&frame(FIN | PING, payload)).await;
            let pong = Heard {
                first: FIN | PONG,
                payload: payload.to_vec(),
            };
            assert_eq!(wire.heard().await, Some(pong));
        }
        for byte in frame(FIN | PING, b"slowly") {
            wire.write(&[byte]).await;
        }
        assert_eq!(wire.heard().await.unwrap().payload, b"slowly");
        // Pongs that nobody asked for are nothing (section 5.5.3).
        wire.write(&frame(FIN | PONG, b"unasked").repeat(10)).await;
        wire.still_there().await;
    }
}

#[tokio::test]
async fn control_frames_are_short_and_whole() {
    ends(&[
        (
            "a ping of 126 bytes",
            frame(FIN | PING, &[b'x'; 126]),
            PROTOCOL,
        ),
        (
            "a pong of 126 bytes",
            frame(FIN | PONG, &[b'x'; 126]),
            PROTOCOL,
        ),
        (
            "a close of 126 bytes",
            close_frame(1000, &[b'x'; 124]),
            PROTOCOL,
        ),
        ("a ping in fragments", frame(PING, b"x"), PROTOCOL),
        ("a pong in fragments", frame(PONG, b"x"), PROTOCOL),
        ("a close in fragments", frame(CLOSE, &[3, 232]), PROTOCOL),
    ])
    .await;
}

// --- sections 5.6 and 8.1: text is UTF-8 ---

/// Byte sequences that are not UTF-8, the shortest of each kind (Unicode 16.0, table 3-7).
const NOT_TEXT: [&[u8]; 16] = [
    &[0x80],
    &[0xbf, 0x80],
    &[0xc3],
    &[0xe2, 0x82],
    &[0xf0, 0x9f, 0x98],
    &[0xc0, 0xaf],
    &[0xc1, 0xbf],
    &[0xe0, 0x80, 0xaf],
    &[0xf0, 0x80, 0x80, 0xaf],
    &[0xed, 0xa0, 0x80],
    &[0xed, 0xbf, 0xbf],
    &[0xf4, 0x90, 0x80, 0x80],
    &[0xf8, 0x88, 0x80, 0x80, 0x80],
    &[0xfc, 0x84, 0x80, 0x80, 0x80, 0x80],
    &[0xfe],
    &[0xff, 0xff],
];

#[tokio::test]
async fn text_that_is_no_utf8_closes_the_link() {
    let mut cases = Vec::new();
    for bytes in NOT_TEXT {
        let text = [b"{\"type\":\"", bytes, b"\"}"].concat();
        cases.push(("in the middle", frame(FIN | TEXT, &text), NOT_UTF8));
        cases.push((
            "at the end",
            frame(FIN | TEXT, &[b"{}", bytes].concat()),
            NOT_UTF8,
        ));
    }
    ends(&cases).await;
}

#[tokio::test]
async fn a_character_may_lie_across_fragments_and_a_wrong_one_is_told_at_once() {
    let (_running, address) = server().await;
    let mut a = Wire::greeted(address, "a").await;
    let text = "{\"type\":\"ping\",\"t\":7,\"x\":\"κόσμε 日本 😀\u{10ffff}\u{fffe}\"}".as_bytes();
    for cut in 0..=text.len() {
        a.write(&frame(TEXT, &text[..cut])).await;
        a.write(&frame(FIN | CONTINUATION, &text[cut..])).await;
        pong(&mut a).await;
    }
    // The last fragment never comes: the first one was enough.
    let cases: Vec<_> = NOT_TEXT
        .iter()
        .filter(|bytes| !matches!(bytes, [0xc3] | [0xe2, 0x82] | [0xf0, 0x9f, 0x98]))
        .map(|bytes| ("failing fast", frame(TEXT, bytes), NOT_UTF8))
        .chain([
            (
                "what began well goes on badly",
                [frame(TEXT, &[0xe2, 0x82]), frame(CONTINUATION, &[0x41])].concat(),
                NOT_UTF8,
            ),
            (
                "what began well does not go on",
                [frame(TEXT, &[0xf0, 0x9f]), frame(FIN | CONTINUATION, b"")].concat(),
                NOT_UTF8,
            ),
        ])
        .collect();
    ends(&cases).await;
}

#[tokio::test]
async fn binary_is_not_spoken_here() {
    let unsupported = End::Closed(close::UNSUPPORTED);
    ends(&[
        ("bytes", frame(FIN | BINARY, &[0, 0xff]), unsupported),
        ("nothing", frame(FIN | BINARY, b""), unsupported),
        ("JSON", frame(FIN | BINARY, &ping_text()), unsupported),
        (
            "in fragments",
            [frame(BINARY, b"{"), frame(FIN | CONTINUATION, b"}")].concat(),
            unsupported,
        ),
    ])
    .await;
}

// --- sections 5.5.1 and 7: closing ---

#[tokio::test]
async fn a_close_is_answered_with_its_own_code_and_then_the_stream_ends() {
    let (_running, address) = server().await;
    let mut codes = vec![
        1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013,
    ];
    codes.extend([3000, 3999, 4000, 4999]);
    for code in codes {
        for mut wire in [
            Wire::open(address).await,
            Wire::inside(address, "a", "r").await,
        ] {
            wire.write(&close_frame(code, "Grüße".as_bytes())).await;
            assert_eq!(wire.end().await, End::Closed(code));
        }
    }
    let mut wire = Wire::greeted(address, "a").await;
    wire.write(&frame(FIN | CLOSE, b"")).await;
    assert_eq!(wire.end().await, End::ClosedPlainly);
    let mut wire = Wire::greeted(address, "a").await;
    wire.write(&close_frame(1000, &[b'x'; 123])).await;
    assert_eq!(wire.end().await, End::Closed(1000), "the longest reason");
}

#[tokio::test]
async fn a_close_with_a_code_that_nobody_may_send_is_a_broken_frame() {
    let mut cases = vec![("one byte", frame(FIN | CLOSE, &[3]), PROTOCOL)];
    for code in [
        0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535,
    ] {
        cases.push(("a code", close_frame(code, b""), PROTOCOL));
    }
    for bytes in NOT_TEXT {
        cases.push(("a reason", close_frame(1000, bytes), NOT_UTF8));
    }
    ends(&cases).await;
}

#[tokio::test]
async fn nothing_is_heard_after_a_close() {
    let (_running, address) = server().await;
    let mut mate = Wire::inside(address, "mate", "r").await;
    let mut a = Wire::inside(address, "a", "r").await;
    let came = mate.message().await;
    assert!(matches!(came, ServerMessage::PeerJoined { .. }), "{came:?}");
    let words = ClientMessage::Message {
        room: room("r"),
        to: None,
        data: rtc_protocol::Raw::parse("1").unwrap(),
    };
    let late = frame(FIN | TEXT, &text_of(words));
    let bytes = [close_frame(1000, b""), late, frame(FIN | PING, b"")].concat();
    a.write(&bytes).await;
    assert_eq!(a.end().await, End::Closed(1000));
    let went = mate.message().await;
    assert!(
        matches!(
            went,
            ServerMessage::PeerLeft {
                reason: LeaveReason::Left,
                ..
            }
        ),
        "the words were not passed on: {went:?}"
    );
}

#[tokio::test]
async fn a_stream_that_ends_without_a_close_is_a_lost_peer() {
    use tokio::io::AsyncWriteExt as _;
    let (_running, address) = server().await;
    let mut mate = Wire::inside(address, "mate", "r").await;
    for before in [&b""[..], &[FIN | TEXT], &frame(TEXT, b"{")] {
        let mut a = Wire::inside(address, "a", "r").await;
        a.write(before).await;
        // Half-closed: we say no more, and would still listen.
        a.stream.shutdown().await.unwrap();
        assert_eq!(a.end().await, End::Cut);
        let came = mate.message().await;
        assert!(matches!(came, ServerMessage::PeerJoined { .. }), "{came:?}");
        let went = mate.message().await;
        assert!(
            matches!(
                went,
                ServerMessage::PeerLeft {
                    reason: LeaveReason::Lost,
                    ..
                }
            ),
            "{went:?}"
        );
    }
}

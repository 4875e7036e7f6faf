#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use proptest::prelude::*;
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::*;
use crate::event::{Event, Kind};
use crate::media::frame::Picture;
use crate::output::PictureBoard;
use crate::output::screen::blocks::Colours;
use crate::output::screen::paint::Means;
use crate::output::testing::{every_event, peer, report};
use crate::output::text::is_unsafe;

fn painter() -> Painter {
    Painter::new(Means::Blocks, Colours::True)
}

/// Draws on a screen of a size and gives its rows.
fn rows_of(model: &ScreenModel, board: &PictureBoard, width: u16, height: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    let now = Timestamp::from_micros(65_000_000);
    terminal
        .draw(|frame| {
            draw(
                model,
                &board.snapshot(),
                now,
                &mut painter(),
                frame.buffer_mut(),
            );
        })
        .unwrap();
    let buffer = terminal.backend().buffer();
    buffer
        .content
        .chunks(usize::from(width.max(1)))
        .map(|row| row.iter().map(|cell| cell.symbol()).collect::<String>())
        .map(|row| row.trim_end().to_owned())
        .collect()
}

fn call() -> (ScreenModel, PictureBoard) {
    let mut model = ScreenModel::default();
    let mut event = |event| model.event(Timestamp::default(), &event);
    event(Event::Joined {
        room: "foo".into(),
        me: peer("me", "alice"),
        peers: vec![peer("b", "bob")],
        url: "http://localhost:8080/foo".into(),
    });
    event(Event::Connected {
        peer: peer("b", "bob"),
        after_ms: 20.0,
    });
    event(Event::Chat {
        from: peer("b", "bob"),
        text: "hello there".into(),
        own: false,
    });
    event(Event::PeerMuted {
        peer: peer("b", "bob"),
        kind: Kind::Audio,
        muted: true,
    });
    let board = PictureBoard::new();
    let mut picture = Picture::black(32, 18, Timestamp::default());
    for (at, luma) in picture.y.iter_mut().enumerate() {
        *luma = if at / 32 % 2 == 0 { 235 } else { 16 };
    }
    board.put("b", Arc::new(picture));
    board.level("b", -30.0);
    (model, board)
}

#[test]
fn a_small_screen_shows_picture_chat_and_status() {
    let (model, board) = call();
    let rows = rows_of(&model, &board, 40, 14);
    assert_eq!(
        rows,
        [
            "      ▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀",
            "      ▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀",
            "      ▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀",
            "      ▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀",
            "      ▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀",
            "      ▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀",
            "      ▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀",
            "      ▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀",
            " bob [mic off]               ▮▮▮▮▮·····",
            "joined foo as alice; here: bob; browsers",
            "join at http://localhost:8080/foo",
            "bob: hello there",
            "Enter: write, ?: help",
            " foo  1:05  2 here",
        ]
    );
}

#[test]
fn a_wide_screen_lists_members_beside_the_pictures() {
    let (mut model, board) = call();
    model.muted = true;
    let rows = rows_of(&model, &board, 80, 12);
    let side: Vec<_> = rows
        .iter()
        .map(|row| row.chars().skip(57).collect::<String>())
        .collect();
    assert_eq!(side[0], "alice (… [mic off] ····");
    assert_eq!(side[1], "bob [mic off]      ▮▮··");
    assert!(rows[11].contains("MUTED"), "{rows:#?}");
}

#[test]
fn alone_one_is_told_where_others_join() {
    let mut model = ScreenModel::default();
    let board = PictureBoard::new();
    assert!(rows_of(&model, &board, 40, 8).concat().contains("joining…"));
    model.event(
        Timestamp::default(),
        &Event::Joined {
            room: "foo".into(),
            me: peer("me", "alice"),
            peers: vec![],
            url: "http://x/foo".into(),
        },
    );
    assert!(
        rows_of(&model, &board, 40, 8)
            .concat()
            .contains("waiting for others at http://x/foo")
    );
}

#[test]
fn details_carry_the_names_of_w3c() {
    let (mut model, board) = call();
    model.event(
        Timestamp::default(),
        &Event::Stats {
            peer: peer("b", "bob"),
            report: report("libvpx"),
            lip_sync: None,
        },
    );
    model.panel = Panel::Details;
    let text = rows_of(&model, &board, 60, 60).join("\n");
    for line in [
        "  inbound-rtp video",
        "    framesDecoded                    300",
        "    currentRoundTripTime             0.012",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    model.scroll = usize::MAX;
    assert!(
        rows_of(&model, &board, 60, 20)
            .concat()
            .contains("mimeType")
    );
}

#[test]
fn typing_shows_the_line_and_a_cursor() {
    let (mut model, board) = call();
    model.typing = true;
    model.input.insert("李 hi");
    let mut buffer = Buffer::empty(Rect::new(0, 0, 30, 6));
    let cursor = draw(
        &model,
        &board.snapshot(),
        Timestamp::default(),
        &mut painter(),
        &mut buffer,
    );
    assert_eq!(cursor, Some(Position::new(7, 4)));
}

#[test]
fn every_size_is_drawn() {
    let (mut model, board) = call();
    board.put(SELF, Arc::new(Picture::black(32, 18, Timestamp::default())));
    for panel in [Panel::Pictures, Panel::Details, Panel::Help] {
        for typing in [false, true] {
            model.panel = panel;
            model.typing = typing;
            for width in [0, 1, 2, 3, 5, 9, 29, 30, 71, 72, 73, 200] {
                for height in [0, 1, 2, 3, 4, 5, 9, 10, 12, 22, 90] {
                    rows_of(&model, &board, width, height);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_control_of_a_far_peer_reaches_a_cell(text in any::<String>(), width in 1_u16..120, height in 1_u16..40) {
        let mut model = ScreenModel::default();
        // The peer's leaving last would hide it.
        for event in every_event(&text).into_iter().filter(|e| !matches!(e, Event::PeerLeft { .. })) {
            model.event(Timestamp::default(), &event);
        }
        for panel in [Panel::Pictures, Panel::Details] {
            model.panel = panel;
            let rows = rows_of(&model, &PictureBoard::new(), width, height);
            prop_assert!(!rows.concat().chars().any(is_unsafe), "{rows:?}");
        }
        prop_assert!(!model.title().chars().any(is_unsafe));
    }
}

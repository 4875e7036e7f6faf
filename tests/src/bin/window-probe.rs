//! A window with made-up peers, each of whose pictures carries a mark, for tests that look at it.
//!
//! `window-probe [PEERS]` shows until standard input closes, and says each second how often the window was drawn.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rtc_client::event::{Event, PeerRef};
use rtc_client::measure::marks::{self, Mark};
use rtc_client::media::capture::test_picture;
use rtc_client::media::clock::Timestamp;
use rtc_client::media::sink::window::Window;
use rtc_client::output::PictureBoard;
use rtc_client::output::board::SELF;
use tokio::sync::mpsc;

const FPS: u32 = 30;

/// Pictures of each peer that are drawn beforehand.
const DRAWN: u32 = 8;

/// Our own picture's place among the numbers.
const OWN: u32 = 9;

/// The numbers of a peer's pictures begin at its place times this.
const APART: u32 = 1_000_000;

fn main() -> anyhow::Result<()> {
    let peers: u32 = std::env::args()
        .nth(1)
        .map_or(Ok(4), |count| count.parse())?;
    let board = PictureBoard::new();
    let (actions, _wanted) = mpsc::channel(16);
    let window = Window::start(board.clone(), actions, false)?;
    let peer = |place: u32| PeerRef {
        id: format!("peer{place}"),
        name: format!("Zoë {place}"),
    };
    window.event(&Event::Joined {
        room: "grid".into(),
        me: PeerRef {
            id: "me".into(),
            name: "me".into(),
        },
        peers: (0..peers).map(peer).collect(),
        url: String::new(),
    });
    for place in 0..peers {
        let (peer, after_ms) = (peer(place), 1.0);
        window.event(&Event::Connected { peer, after_ms });
    }
    let over = Arc::new(AtomicBool::new(false));
    let ended = Arc::clone(&over);
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        ended.store(true, Ordering::Relaxed);
    });
    let drawn: Vec<_> = (0..DRAWN)
        .map(|number| test_picture::render(number * 10, 640, 360))
        .collect();
    let began = Instant::now();
    let mut number = 0_u32;
    let mut before = 0;
    while !over.load(Ordering::Relaxed) {
        for place in 0..peers {
            let mut picture = drawn[((number + place) % DRAWN) as usize].clone();
            let number = place * APART + number;
            let at = Timestamp::now();
            marks::stamp(&mut picture, Mark { number, at });
            board.put(&peer(place).id, Arc::new(picture));
            board.level(&peer(place).id, -12.0 * (place as f32));
        }
        let mut own = drawn[0].clone();
        let mark = Mark {
            number: OWN * APART + number,
            at: Timestamp::now(),
        };
        marks::stamp(&mut own, mark);
        board.put(SELF, Arc::new(own));
        number += 1;
        if number.is_multiple_of(FPS) {
            let now = window.drawn();
            println!("{}", now - before);
            before = now;
        }
        let due = began + Duration::from_secs(1) * number / FPS;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    Ok(())
}

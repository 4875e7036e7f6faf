//! A made-up call on the screen or in a window: for looking at the views, and for trying them in other terminals.
//!
//! `cargo run -p rtc-client --example screen -- [--window] [--peers 3] [--fps 30] [--seconds 60] [--panic-after 2] [--graphics blocks]`

#![expect(clippy::panic, reason = "it shows what a panic leaves behind")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use rtc_client::event::{Event, Kind, PeerRef};
use rtc_client::media::clock::Timestamp;
use rtc_client::media::frame::Picture;
use rtc_client::media::sink::window::Window;
use rtc_client::output::board::SELF;
use rtc_client::output::screen::Graphics;
use rtc_client::output::{Action, PictureBoard, Screen, ScreenOptions, View};
use tokio::sync::mpsc;

#[derive(Parser)]
struct Arguments {
    /// A window in place of the terminal.
    #[arg(long)]
    window: bool,
    /// It fills the screen.
    #[arg(long)]
    fullscreen: bool,
    #[arg(long, default_value_t = 1)]
    peers: usize,
    /// Pictures a second of each peer.
    #[arg(long, default_value_t = 30.0)]
    fps: f64,
    #[arg(long, default_value_t = 3600.0)]
    seconds: f64,
    /// Panics on a thread of its own after so many seconds.
    #[arg(long)]
    panic_after: Option<f64>,
    #[arg(long, value_enum, default_value_t)]
    graphics: Graphics,
    #[arg(long, default_value_t = 640)]
    width: u32,
    #[arg(long, default_value_t = 360)]
    height: u32,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let board = PictureBoard::new();
    let (sender, mut actions) = mpsc::channel(16);
    let mut view: Box<dyn View> = if arguments.window {
        Box::new(Window::start(board.clone(), sender, arguments.fullscreen)?)
    } else {
        let options = ScreenOptions {
            graphics: arguments.graphics,
        };
        Box::new(Screen::start(options, board.clone(), sender)?)
    };

    let me = peer("me", "alice");
    let peers: Vec<PeerRef> = (0..arguments.peers)
        .map(|at| peer(&format!("peer{at}"), ["bob", "李小龍", "Zoë"][at % 3]))
        .collect();
    view.event(&Event::Joined {
        room: "foo".into(),
        me: me.clone(),
        peers: peers.clone(),
        url: "http://localhost:8080/foo".into(),
    })?;
    for peer in &peers {
        view.event(&Event::Connected {
            peer: peer.clone(),
            after_ms: 20.0,
        })?;
    }

    let stop = Arc::new(AtomicBool::new(false));
    let player = play(&arguments, peers, board, Arc::clone(&stop));
    if let Some(after) = arguments.panic_after {
        std::thread::spawn(move || {
            // The moment of the panic is what the caller asked for.
            std::thread::sleep(Duration::from_secs_f64(after));
            panic!("a panic as asked for");
        });
    }

    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    // How long the example plays is what the caller asked for; nothing is waited for.
    let end = tokio::time::sleep(Duration::from_secs_f64(arguments.seconds));
    tokio::pin!(end);
    let (mut muted, mut camera_off) = (false, false);
    loop {
        let action = tokio::select! {
            action = actions.recv() => action,
            _ = terminate.recv() => None,
            () = &mut end => None,
        };
        let event = match action {
            Some(Action::Chat(text)) => Event::Chat {
                from: me.clone(),
                text,
                own: true,
            },
            Some(Action::ToggleMute) => {
                muted = !muted;
                mute(&me, Kind::Audio, muted)
            }
            Some(Action::ToggleCamera) => {
                camera_off = !camera_off;
                mute(&me, Kind::Video, camera_off)
            }
            _ => break,
        };
        view.event(&event)?;
    }
    stop.store(true, Ordering::Relaxed);
    drop(view);
    let _ = player.join();
    println!("hung up");
    Ok(())
}

fn mute(peer: &PeerRef, kind: Kind, muted: bool) -> Event {
    Event::PeerMuted {
        peer: peer.clone(),
        kind,
        muted,
    }
}

fn peer(id: &str, name: &str) -> PeerRef {
    PeerRef {
        id: id.into(),
        name: name.into(),
    }
}

fn play(
    arguments: &Arguments,
    peers: Vec<PeerRef>,
    board: PictureBoard,
    stop: Arc<AtomicBool>,
) -> std::thread::JoinHandle<()> {
    let (width, height) = (arguments.width, arguments.height);
    let every = Duration::from_secs_f64(1.0 / arguments.fps.max(0.1));
    // Made beforehand, so that only showing them costs something.
    let pictures: Vec<Arc<Picture>> = (0..30)
        .map(|number| Arc::new(moving(width, height, number)))
        .collect();
    std::thread::spawn(move || {
        let mut due = Instant::now();
        for number in 0.. {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            for (at, peer) in peers.iter().enumerate() {
                board.put(&peer.id, Arc::clone(&pictures[(number + at * 7) % 30]));
                board.level(&peer.id, -60.0 + ((number + at * 13) % 60) as f32);
            }
            board.put(SELF, Arc::clone(&pictures[29 - number % 30]));
            due += every;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    })
}

/// Colour bars that wander over a gradient with a little noise, as a camera's picture has.
fn moving(width: u32, height: u32, number: u32) -> Picture {
    let mut picture = Picture::black(width, height, Timestamp::now());
    let mut noise = number.wrapping_mul(2_654_435_761) | 1;
    for (at, luma) in picture.y.iter_mut().enumerate() {
        let (x, y) = (at as u32 % width, at as u32 / width);
        noise ^= noise << 13;
        noise ^= noise >> 17;
        noise ^= noise << 5;
        let wave = (x * 256 / width + y * 64 / height + number * 9) % 220;
        *luma = 16 + (wave as u8).saturating_add((noise % 4) as u8);
    }
    let stride = picture.chroma_stride();
    for at in 0..picture.u.len() {
        let (x, y) = (at % stride, at / stride);
        let bar = (x * 8 / stride + number as usize / 4) % 8;
        picture.u[at] = 60 + (bar * 18) as u8;
        picture.v[at] = 200 - (y * 120 / picture.v.len().div_ceil(stride)) as u8;
    }
    picture
}

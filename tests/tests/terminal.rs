//! The full-screen view in a real terminal (tmux): looked at, typed at, resized, left.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::process::Command;
use std::time::{Duration, Instant};

use rtc_e2e::alone::alone;
use rtc_e2e::process::{Client, PATIENCE, binary};
use rtc_e2e::server::TestServer;

/// A tmux of the test's own; its server ends with it.
struct Terminal {
    socket: String,
}

impl Terminal {
    fn start(columns: u16, rows: u16) -> Self {
        let terminal = Self {
            socket: format!("rtc-e2e-{}-{columns}x{rows}", std::process::id()),
        };
        let (x, y) = (columns.to_string(), rows.to_string());
        terminal.tmux(&[
            "-f",
            "/dev/null",
            // Shrunk under a program, tmux keeps pieces of the alternate screen in its history, and shows them
            // when it grows again; what is looked at here is the program.
            "set-option",
            "-g",
            "history-limit",
            "0",
            ";",
            "new-session",
            "-d",
            "-x",
            &x,
            "-y",
            &y,
            "env PS1='$ ' bash --norc --noprofile",
        ]);
        terminal.wait("$");
        terminal
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let output = Command::new("tmux")
            .args(["-L", &self.socket])
            .args(arguments)
            .output()
            .expect("tmux is there: apt-get install tmux");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    fn type_text(&self, text: &str) {
        self.tmux(&["send-keys", "-l", text]);
    }

    fn key(&self, key: &str) {
        self.tmux(&["send-keys", key]);
    }

    fn wait(&self, text: &str) -> String {
        self.wait_until(text, |screen| screen.contains(text))
    }

    fn wait_until(&self, what: &str, good: impl Fn(&str) -> bool) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let screen = self.screen();
            if good(&screen) {
                return screen;
            }
            assert!(Instant::now() < until, "no {what} on\n{screen}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn run(&self, line: &str) {
        self.type_text(line);
        self.key("Enter");
    }

    /// The terminal's settings, as the shell sees them.
    fn settings(&self, mark: &str) -> String {
        self.run(&format!("clear; stty -a | grep -v rows; echo {mark}-$?"));
        let screen = self.wait(&format!("{mark}-0"));
        screen
            .lines()
            .filter(|l| l.contains(';') || l.starts_with(['-', 'i', 'o', 'e']))
            .collect::<Vec<_>>()
            .join("\n")
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}

async fn call_in(terminal: &Terminal, server: &TestServer) -> Client {
    let url = server.url();
    let mut robot = Client::start(&[
        "join",
        "screen",
        "--headless",
        "--server",
        &url,
        "--as",
        "robot",
        "--size",
        "320x180",
    ])
    .unwrap();
    robot.wait_for("joined", |_| true).await.unwrap();
    let program = binary("rtc-client").unwrap();
    terminal.run(&format!(
        "clear; {} join screen --server {url} --as human --video test --audio tone --speaker none; echo ended-$?",
        program.display()
    ));
    robot.wait_for("first-frame", |_| true).await.unwrap();
    robot
}

#[tokio::test(flavor = "multi_thread")]
async fn the_screen_shows_a_call_and_leaves_the_terminal_as_it_was() {
    let _alone = alone().await;
    let server = TestServer::start().await.unwrap();
    let terminal = Terminal::start(100, 30);
    let before = terminal.settings("before");
    let mut robot = call_in(&terminal, &server).await;

    // The far picture is drawn in half blocks, and moves.
    let first = terminal.wait_until("picture", |s| s.contains("robot") && s.contains('▀'));
    let colours = || terminal.tmux(&["capture-pane", "-p", "-e"]);
    let still = colours();
    terminal.wait_until("moving picture", |_| colours() != still);
    assert!(first.contains("human"), "{first}");

    // Our own picture beside it goes and comes by a key.
    let own = |screen: &str| {
        let mut beside = screen
            .lines()
            .take(6)
            .flat_map(|line| line.chars().skip(76));
        beside.any(|c| c == '▀')
    };
    terminal.wait_until("own picture", own);
    terminal.key("p");
    terminal.wait_until("room without the own picture", |screen| !own(screen));
    terminal.key("p");
    terminal.wait_until("own picture back", own);

    // A line of chat goes out and shows.
    terminal.key("Tab");
    terminal.type_text("grüß dich");
    terminal.key("Enter");
    let heard = robot.wait_for("chat", |_| true).await.unwrap();
    assert_eq!(heard["text"], "grüß dich");
    terminal.wait("grüß dich");
    terminal.key("Escape");

    // Mute is told to the others.
    terminal.key("m");
    let muted = robot.wait_for("peer-muted", |_| true).await.unwrap();
    assert_eq!(
        (&muted["kind"], &muted["muted"]),
        (&"audio".into(), &true.into())
    );

    // No size is too small.
    for (x, y) in [("1", "1"), ("20", "4"), ("120", "40")] {
        terminal.tmux(&["resize-window", "-x", x, "-y", y]);
    }
    terminal.wait_until("picture after resizing", |s| {
        s.contains("robot") && s.contains('▀')
    });

    terminal.key("q");
    let ended = terminal.wait("ended-0");
    assert!(!ended.contains('▀'), "the screen is given back: {ended}");
    assert_eq!(terminal.settings("after"), before);
    robot.signal("INT").unwrap();
    robot.ended(Duration::ZERO).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_polite_kill_gives_the_terminal_back() {
    let _alone = alone().await;
    let server = TestServer::start().await.unwrap();
    let terminal = Terminal::start(80, 24);
    let before = terminal.settings("before");
    let robot = call_in(&terminal, &server).await;
    terminal.wait_until("picture", |s| s.contains('▀'));
    let pane = terminal.tmux(&["display-message", "-p", "#{pane_pid}"]);
    let killed = Command::new("pkill")
        .args(["-TERM", "-P", pane.trim(), "rtc-client"])
        .status()
        .unwrap();
    assert!(killed.success());
    terminal.wait("ended-0");
    assert_eq!(terminal.settings("after"), before);
    drop(robot);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_shows_picture_level_and_figures() {
    let _alone = alone().await;
    let terminal = Terminal::start(110, 32);
    let before = terminal.settings("before");
    let program = binary("rtc-client").unwrap();
    terminal.run(&format!(
        "clear; {} preview --video test --size 320x180 --audio tone; echo ended-$?",
        program.display()
    ));
    terminal.wait_until("preview", |screen| {
        ["▀", "▮", "320x180", "fps", "0 dropped", "dB"]
            .iter()
            .all(|part| screen.contains(part))
    });
    terminal.key("q");
    terminal.wait("ended-0");
    assert_eq!(terminal.settings("after"), before);
}

//! One scenario, from its server to its verdict.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rtc_scenario::judge::judge;
use rtc_scenario::report::{Run, Scene, ShownPeer, ShownStep};
use rtc_scenario::{Done, Plan, Seen};
use rtc_server::{Config, Folder, Running, Server};
use tempfile::TempDir;
use tokio::time::{Instant, sleep_until};

use super::player::{Driven, Player, Surroundings};
use super::setting::Setting;
use crate::media::clock::Timestamp;

/// Plays it; whatever goes wrong is a part of what came of it.
pub(super) async fn play(setting: Setting) -> Scene {
    let setting = Arc::new(setting);
    let mut scene = Scene {
        name: setting.scenario.name.clone(),
        facts: facts(&setting),
        ..Scene::default()
    };
    match perform(&setting).await {
        Err(words) => scene.trouble = Some(words),
        Ok(played) => {
            let (plan, seen, done) = (played.plan, played.seen, played.done);
            scene.facts.push(("server".into(), played.server));
            scene.tests = judge(&setting.scenario, &plan, &seen, &done);
            scene.lasted = played.lasted;
            scene.steps = steps(&setting, &plan, &done);
            let peers = setting.scenario.peers.iter().zip(seen);
            scene.peers = peers
                .map(|(peer, seen)| ShownPeer {
                    name: peer.name.clone(),
                    kind: peer.kind.name().to_owned(),
                    seen,
                })
                .collect();
        }
    }
    scene
}

/// What came of all peers.
struct Played {
    plan: Plan,
    seen: Vec<Seen>,
    done: Vec<Done>,
    lasted: Duration,
    server: String,
}

async fn perform(setting: &Arc<Setting>) -> Result<Played, String> {
    let folder = Artefacts::open(setting.keep.as_deref())?;
    let started = match &setting.server {
        Some(_) => None,
        None => Some(serve(setting.root.as_deref()).await?),
    };
    let server = match (&setting.server, &started) {
        (Some(url), _) => url.clone(),
        (None, Some((_, url))) => url.clone(),
        (None, None) => return Err("there is no server".into()),
    };
    let around = Surroundings {
        setting: Arc::clone(setting),
        server: server.clone(),
        folder: folder.path().to_owned(),
    };
    let mut players = Vec::new();
    for number in 0..setting.scenario.peers.len() {
        players.push(Player::prepare(number, around.clone()).await?);
    }
    let plan = setting.scenario.plan(setting.seed);
    let began = Timestamp::now();
    let start = Instant::now();
    let driven: Vec<Driven> = players
        .into_iter()
        .map(|player| Driven::start(player, began))
        .collect();
    let mut done = Vec::new();
    for (number, deed) in plan.deeds.iter().enumerate() {
        sleep_until(start + deed.at).await;
        if let Some(peer) = driven.get(deed.peer)
            && let Err(refused) = peer.tell(number, deed, start.elapsed())
        {
            done.push(refused);
        }
    }
    sleep_until(start + plan.duration).await;
    let lasted = start.elapsed();
    let mut seen = Vec::new();
    let finished = futures_util::future::join_all(driven.into_iter().map(Driven::finish)).await;
    for (one, deeds) in finished {
        seen.push(one);
        done.extend(deeds);
    }
    if let Some((running, _)) = started {
        running.shutdown().await;
    }
    Ok(Played {
        plan,
        seen,
        done,
        lasted,
        server,
    })
}

/// A server of this run's own, at a free port.
async fn serve(root: Option<&Path>) -> Result<(Running, String), String> {
    let mut config = Config::localhost(0);
    if let Some(root) = root {
        let folder =
            Folder::new(root).map_err(|error| format!("root {}: {error}", root.display()))?;
        config.root = Some(folder);
    }
    let server = Server::bind(config)
        .await
        .map_err(|error| format!("no server can be started: {error}"))?;
    let running = server.start();
    let port = running
        .local_addrs()
        .first()
        .map(std::net::SocketAddr::port);
    let port = port.ok_or("the server has no address")?;
    // Browsers give camera and microphone to pages of this machine, by its name or its number.
    Ok((running, format!("http://127.0.0.1:{port}")))
}

/// Where what peers say goes: kept where that is asked for, gone with this otherwise.
enum Artefacts {
    Kept(PathBuf),
    Passing(TempDir),
}

impl Artefacts {
    fn open(keep: Option<&Path>) -> Result<Self, String> {
        let Some(folder) = keep else {
            let folder = tempfile::Builder::new()
                .prefix("rtc-client-test-")
                .tempdir();
            return folder
                .map(Self::Passing)
                .map_err(|error| format!("no folder can be made: {error}"));
        };
        std::fs::create_dir_all(folder)
            .map_err(|error| format!("--keep {}: {error}", folder.display()))?;
        Ok(Self::Kept(folder.to_owned()))
    }

    fn path(&self) -> &Path {
        match self {
            Self::Kept(path) => path,
            Self::Passing(folder) => folder.path(),
        }
    }
}

fn facts(setting: &Setting) -> Vec<(String, String)> {
    [
        ("file", setting.file.display().to_string()),
        ("room", setting.room.clone()),
        ("seed", setting.seed.to_string()),
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}

fn steps(setting: &Setting, plan: &Plan, done: &[Done]) -> Vec<ShownStep> {
    let shown = |one: &Done| {
        let deed = plan.deeds.get(one.deed)?;
        let number = deed.step?;
        let step = setting.scenario.steps.get(number)?;
        Some(ShownStep {
            number: number + 1,
            at: one.at,
            peer: setting.scenario.peers.get(deed.peer)?.name.clone(),
            text: step.text.clone(),
            ends: deed.ends,
            trouble: one.trouble.clone(),
        })
    };
    let mut steps: Vec<ShownStep> = done.iter().filter_map(shown).collect();
    steps.sort_by_key(|step| step.at);
    steps
}

/// What came of it, for people.
pub(super) fn told(run: &Run) -> String {
    let mut text = String::new();
    let mut line = |words: &str| {
        // Names and words are those of pages and far peers.
        let _ = writeln!(text, "{}", crate::output::text::clean(words));
    };
    for scene in &run.scenes {
        let held = scene.tests.iter().filter(|test| test.held).count();
        let verdict = if scene.held() { "passed" } else { "FAILED" };
        line(&format!(
            "{verdict}: {}: {held} of {} as expected",
            scene.name,
            scene.tests.len()
        ));
        if let Some(trouble) = &scene.trouble {
            line(&format!("  it could not be run: {trouble}"));
        }
        for test in scene.tests.iter().filter(|test| !test.held) {
            line(&format!("  NOT AS EXPECTED: {}: {}", test.name, test.words));
        }
    }
    text
}

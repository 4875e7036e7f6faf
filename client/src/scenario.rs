//! `rtc-client test call.toml`: calls of several peers, each a process of its own, driven by a file and judged (docs/scenarios.md).
//!
//! - [`args`]: the command line and what it means
//! - `setting`: what is known before anybody joins: words, arguments, folders; all mistakes are told here
//! - `stage`: one scenario, from its server to its verdict
//! - `player`: what all peers can, and the task that drives one
//! - `page`: a real browser with a page of somebody's; `observed`: from what its connections tell to a record, pure
//! - `native`: one of ours, a process of this same program behind its control interface
//!
//! Peers are processes and not parts of this one: one that hangs or dies takes nobody with it, it can be killed as a step, and what
//! each costs is known. They hand over what they measured as a record with every value, so that it is judged here as exactly as there.

pub(crate) mod args;
mod native;
mod observed;
mod page;
mod player;
mod setting;
mod stage;

use std::path::PathBuf;
use std::sync::Arc;

use rtc_scenario::report::{Run, Scene};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::exit::Ending;
use crate::options::verdict::ReportForm;
use crate::quit::Quit;
use crate::run::{complain, print};
use crate::session::Reports;

use args::Plan;
use setting::Setting;

/// Does what was asked for; every ending has been told when it returns.
pub(crate) fn run(typed: args::Test) -> Ending {
    match prepared(typed) {
        Ok((plan, settings, reports)) => play_all(&plan, settings, reports),
        Err((ending, lines)) => {
            for line in lines {
                complain(&line);
            }
            ending
        }
    }
}

type Prepared = (Plan, Vec<Setting>, Reports);

/// Everything that can be wrong without a call is found before one.
fn prepared(typed: args::Test) -> Result<Prepared, (Ending, Vec<String>)> {
    let plan = Plan::new(typed).map_err(|words| (Ending::Usage, vec![words]))?;
    let (mut settings, mut faults) = (Vec::new(), Vec::new());
    for file in &plan.files {
        match Setting::read(file, &plan, &settings) {
            Ok(setting) => settings.push(setting),
            Err(mut lines) => faults.append(&mut lines),
        }
    }
    if !faults.is_empty() {
        return Err((Ending::Usage, faults));
    }
    let failed = |error: String| (Ending::Failed, vec![error]);
    let reports = Reports::open(&plan.reports).map_err(|error| failed(error.to_string()))?;
    Ok((plan, settings, reports))
}

fn play_all(plan: &Plan, settings: Vec<Setting>, reports: Reports) -> Ending {
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("the system gave no threads: {error}"));
            return Ending::Failed;
        }
    };
    let played = runtime.block_on(async {
        let mut quit =
            Quit::listen().map_err(|error| format!("the system gives no signals: {error}"))?;
        tokio::select! {
            scenes = play(plan.parallel, settings) => Ok(scenes),
            // Whoever takes part is a child of ours and ends with its handle.
            () = quit.asked() => Err("asked to end before the scenarios had".to_owned()),
        }
    });
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    let scenes = match played {
        Ok(scenes) => scenes,
        Err(words) => {
            complain(&words);
            return Ending::Failed;
        }
    };
    let run = Run { scenes };
    let written = reports.write_by(|form| match form {
        ReportForm::Html => Ok(run.html()),
        ReportForm::Tap => Ok(run.tap()),
        ReportForm::Json | ReportForm::Record => run.json().map_err(|error| error.to_string()),
        ReportForm::Junit => run.junit().map_err(|error| error.to_string()),
    });
    let _ = print(stage::told(&run).as_bytes());
    match written {
        Err(error) => {
            complain(&error.to_string());
            Ending::Failed
        }
        Ok(()) => ending(&run),
    }
}

/// So many at a time, in the order of the command line.
async fn play(parallel: usize, settings: Vec<Setting>) -> Vec<Scene> {
    let places = Arc::new(Semaphore::new(parallel));
    let mut tasks = JoinSet::new();
    let names: Vec<String> = settings
        .iter()
        .map(|one| one.scenario.name.clone())
        .collect();
    for (number, setting) in settings.into_iter().enumerate() {
        let places = Arc::clone(&places);
        tasks.spawn(async move {
            let _place = places.acquire_owned().await;
            (number, stage::play(setting).await)
        });
    }
    // One whose task broke is one that could not be run.
    let broken = |name: String| Scene {
        name,
        trouble: Some("its task ended by itself".into()),
        ..Scene::default()
    };
    let mut scenes: Vec<Scene> = names.into_iter().map(broken).collect();
    while let Some(played) = tasks.join_next().await {
        if let Ok((number, scene)) = played
            && let Some(place) = scenes.get_mut(number)
        {
            *place = scene;
        }
    }
    scenes
}

/// A scenario that could not be run, then a call that came to a bad end, then what was not as expected.
fn ending(run: &Run) -> Ending {
    if run.held() {
        return Ending::Done;
    }
    if run.scenes.iter().any(|scene| scene.trouble.is_some()) {
        return Ending::Failed;
    }
    let peers = run.scenes.iter().flat_map(|scene| &scene.peers);
    let mut codes = peers.filter_map(|peer| peer.seen.code);
    codes.next().map_or(Ending::Unexpected, Ending::from_code)
}

/// Where reports of one kind go.
type Wanted = Vec<(ReportForm, PathBuf)>;

//! The run as JSON.

use std::collections::BTreeMap;

use rtc_verdict::report::{PeerForm, peer_form};
use serde::Serialize;

use super::{ReportError, Run, Scene, ShownPeer, ShownStep};
use crate::judge::Test;

/// Version of this form; raised when a member changes its meaning or goes.
pub const VERSION: u32 = 1;

#[derive(Serialize)]
struct Form<'a> {
    v: u32,
    held: bool,
    scenarios: Vec<SceneForm<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SceneForm<'a> {
    name: &'a str,
    held: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    trouble: Option<&'a str>,
    facts: BTreeMap<&'a str, &'a str>,
    seconds: f64,
    tests: &'a [Test],
    steps: Vec<Step<'a>>,
    peers: Vec<Peer<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Step<'a> {
    number: usize,
    at: f64,
    peer: &'a str,
    text: &'a str,
    ends: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    trouble: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Peer<'a> {
    name: &'a str,
    kind: &'a str,
    held: bool,
    words: &'a str,
    complaints: &'a [String],
    processor: Option<f64>,
    sees: Vec<PeerForm<'a>>,
}

pub(super) fn write(run: &Run) -> Result<String, ReportError> {
    let form = Form {
        v: VERSION,
        held: run.held(),
        scenarios: run.scenes.iter().map(scene).collect(),
    };
    Ok(serde_json::to_string_pretty(&form)?)
}

fn scene(scene: &Scene) -> SceneForm<'_> {
    SceneForm {
        name: &scene.name,
        held: scene.held(),
        trouble: scene.trouble.as_deref(),
        facts: scene
            .facts
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect(),
        seconds: scene.lasted.as_secs_f64(),
        tests: &scene.tests,
        steps: scene.steps.iter().map(step).collect(),
        peers: scene.peers.iter().map(peer).collect(),
    }
}

fn step(step: &ShownStep) -> Step<'_> {
    Step {
        number: step.number,
        at: step.at.as_secs_f64(),
        peer: &step.peer,
        text: &step.text,
        ends: step.ends,
        trouble: step.trouble.as_deref(),
    }
}

fn peer(peer: &ShownPeer) -> Peer<'_> {
    let record = &peer.seen.record;
    Peer {
        name: &peer.name,
        kind: &peer.kind,
        held: peer.seen.held,
        words: &peer.seen.words,
        complaints: &peer.seen.complaints,
        processor: peer.seen.processor,
        sees: record
            .peers()
            .map(|one| peer_form(one, record.duration()))
            .collect(),
    }
}

//! Picture and sound of real calls: in time, and together.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use rtc_e2e::alone::alone;
use rtc_e2e::process::Client;
use rtc_e2e::server::TestServer;
use serde_json::Value;

/// What is told of the pictures received.
fn pictures(stats: &Value) -> &Value {
    stats["report"]
        .as_object()
        .and_then(|all| {
            all.values()
                .find(|d| d["type"] == "inbound-rtp" && d["kind"] == "video")
        })
        .unwrap_or(&Value::Null)
}

/// Two clients; what the one whose network is as asked tells in each of these seconds.
async fn watched(impair: &str, seconds: usize) -> Vec<Value> {
    let _alone = alone().await;
    let server = TestServer::start().await.unwrap();
    let url = server.url();
    let common = ["join", "time", "--headless", "--server", &url];
    let mut near = Client::start(&[&common[..], &["--impair", impair]].concat()).unwrap();
    near.wait_for("joined", |_| true).await.unwrap();
    let _far = Client::start(&common).unwrap();
    let mut told = Vec::new();
    while told.len() < seconds {
        let stats = near.wait_for("stats", |e| e["lipSync"].is_object()).await;
        told.push(stats.unwrap());
    }
    told
}

/// The middle one of how far apart picture and sound were in the last ten seconds.
fn apart(told: &[Value]) -> f64 {
    let last = &told[told.len() - 10..];
    let mut all: Vec<f64> = last
        .iter()
        .map(|stats| stats["lipSync"]["latestMs"].as_f64().unwrap())
        .collect();
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

#[tokio::test(flavor = "multi_thread")]
async fn picture_and_sound_stay_together_on_a_path_that_shakes() {
    let told = watched("delay=40ms,jitter=30ms,seed=3", 16).await;
    assert!(apart(&told).abs() <= 40.0, "{} ms", apart(&told));
    let last = pictures(told.last().unwrap());
    let number = |key: &str| {
        last[key]
            .as_f64()
            .unwrap_or_else(|| panic!("{key} in {last:#}"))
    };
    let emitted = number("jitterBufferEmittedCount");
    assert!(emitted > 100.0, "{last:#}");
    let target = number("jitterBufferTargetDelay") / emitted;
    assert!((0.005..0.6).contains(&target), "{target} s, {last:#}");
    assert!(number("jitterBufferMinimumDelay") <= number("jitterBufferTargetDelay"));
    assert!(number("jitterBufferDelay") > 0.0);
    assert!(number("totalInterFrameDelay") > 1.0);
    // What is shown now was taken a moment ago, by the clock of a peer on this machine.
    let taken = number("estimatedPlayoutTimestamp") - 2_208_988_800_000.0;
    let now = told.last().unwrap()["time"].as_f64().unwrap() * 1e3;
    assert!(
        (-200.0..3_000.0).contains(&(now - taken)),
        "{} ms",
        now - taken
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn picture_and_sound_stay_together_on_a_good_path() {
    let told = watched("seed=1", 12).await;
    assert!(apart(&told).abs() <= 40.0, "{} ms", apart(&told));
}

//! The load tool against the real server: every message accounted for, and clear words where it cannot work.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::SocketAddr;
use std::process::{Output, Stdio};
use std::time::Duration;

use rtc_e2e::process::binary;
use rtc_e2e::redis::Redis;
use rtc_server::tls::Tls;
use rtc_server::{Config, testing};
use serde_json::Value;
use tokio::process::Command;

async fn load(server: &str, arguments: &[&str]) -> Output {
    Command::new(binary("rtc-client").unwrap())
        .args(["load", "signaling", "--server", server])
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap()
}

/// The figures, of a run in which nothing failed.
async fn figures(address: SocketAddr, arguments: &[&str]) -> Value {
    let arguments = [arguments, &["--json"]].concat();
    let output = load(&format!("http://{address}"), &arguments).await;
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {stderr}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Who was cut may take its time on a busy machine, and yet finds its session.
fn patient() -> Config {
    Config {
        resume_window: Duration::from_secs(10),
        ..testing::config()
    }
}

#[tokio::test]
async fn each_message_of_each_call_is_accounted_for() {
    let (server, address) = testing::start(testing::config()).await.unwrap();
    let all = figures(address, &["call", "--calls", "20", "--rooms", "3"]).await;
    assert_eq!(all["calls"]["begun"], 20);
    assert_eq!(all["calls"]["done"], 20);
    // An offer, an answer and ten candidates each way.
    assert_eq!(all["messages"]["sent"], 20 * 22);
    assert_eq!(all["messages"]["heard"], 20 * 22);
    assert!(all["wholeMs"]["p50"].as_f64().unwrap() > 0.0);
    assert!(all["messageMs"]["p99"].as_f64().unwrap() >= all["messageMs"]["p50"].as_f64().unwrap());
    drop(server);
}

#[tokio::test]
async fn calls_at_a_rate_are_as_many_as_the_rate_says() {
    let (server, address) = testing::start(testing::config()).await.unwrap();
    let arguments = ["call", "--rate", "40", "--duration", "1s"];
    let all = figures(address, &arguments).await;
    assert_eq!(all["calls"]["done"], 40);
    assert!(all["ownDelayMs"]["p50"].is_number());
    drop(server);
}

#[tokio::test]
async fn small_messages_at_a_rate_all_arrive() {
    let (server, address) = testing::start(testing::config()).await.unwrap();
    let arguments = ["relay", "--rooms", "3", "--rate", "200", "--duration", "1s"];
    let all = figures(address, &arguments).await;
    assert_eq!(all["messages"]["sent"], 200);
    assert_eq!(all["messages"]["heard"], 200);
    drop(server);
}

#[tokio::test]
async fn cut_peers_come_back_into_their_sessions() {
    let (server, address) = testing::start(patient()).await.unwrap();
    let all = figures(address, &["reconnect", "--peers", "21"]).await;
    assert_eq!(all["calls"]["done"], 21);
    drop(server);
}

#[tokio::test]
async fn peers_of_every_dialect_complete_their_calls() {
    let (server, address) = testing::start(testing::config()).await.unwrap();
    for dialect in ["native", "codelab", "book", "login", "conference"] {
        for pace in [&["--rooms", "4"][..], &["--rate", "100"]] {
            let arguments = [&["call", "--calls", "12", "--dialect", dialect], pace].concat();
            let all = figures(address, &arguments).await;
            assert_eq!(all["calls"]["done"], 12, "{dialect} {pace:?}");
            assert_eq!(all["messages"]["heard"], 12 * 22, "{dialect} {pace:?}");
        }
    }
    drop(server);
}

#[tokio::test]
async fn peers_of_every_dialect_relay_small_messages_and_come_back() {
    for dialect in ["native", "codelab", "book", "login", "conference"] {
        // One for each: peers of rtc.v1 that have ended without a word keep their places for a while.
        let (server, address) = testing::start(testing::config()).await.unwrap();
        let relay = ["relay", "--rooms", "2", "--rate", "200", "--duration", "1s"];
        let all = figures(address, &[&relay[..], &["--dialect", dialect]].concat()).await;
        assert_eq!(all["messages"]["heard"], 200, "{dialect}");
        drop(server);
        let (server, address) = testing::start(patient()).await.unwrap();
        let cut = ["reconnect", "--peers", "8", "--dialect", dialect];
        let all = figures(address, &cut).await;
        assert_eq!(all["calls"]["done"], 8, "{dialect}");
        drop(server);
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn idle_peers_are_there_all_the_time_and_the_server_is_measured() {
    let (server, address) = testing::start(testing::config()).await.unwrap();
    // The server lives in this process.
    let pid = std::process::id().to_string();
    let arguments = [
        "idle",
        "--peers",
        "20",
        "--duration",
        "3s",
        "--server-pid",
        &pid,
    ];
    let all = figures(address, &arguments).await;
    assert_eq!(all["calls"]["done"], 20);
    assert!(all["serverProcess"]["residentBytes"].as_u64().unwrap() > 0);
    drop(server);
}

/// Of a run of `rooms`: all were full of their members, and all that was said came once and in order.
fn proved(all: &Value, rooms: u64) {
    assert_eq!(all["rooms"]["counted"], rooms, "{all}");
    assert_eq!(all["rooms"]["exact"], rooms, "{all}");
    assert_eq!(all["calls"]["done"], rooms * 2, "{all}");
    assert_eq!(all["messages"]["heard"], all["messages"]["sent"], "{all}");
    assert_eq!(all["messages"]["repeated"], 0, "{all}");
    assert_eq!(all["messages"]["outOfOrder"], 0, "{all}");
}

#[tokio::test]
async fn rooms_fill_talk_and_are_counted_in_the_end() {
    let (server, address) = testing::start(testing::config()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("load.html");
    let arguments = [
        "rooms", "--rooms", "20", "--ramp", "100", "--every", "200ms",
    ];
    let more = ["--duration", "1s", "--report", page.to_str().unwrap()];
    let all = figures(address, &[&arguments[..], &more].concat()).await;
    proved(&all, 20);
    // Forty peers, every 200 ms for a second.
    assert_eq!(all["messages"]["sent"], 200);
    assert!(all["wholeMs"]["p99"].is_number() && all["messageMs"]["p99"].is_number());
    let page = std::fs::read_to_string(page).unwrap();
    assert!(
        page.contains("20 of 20 rooms had just their members"),
        "{page}"
    );
    assert!(page.contains("200 of 200 messages arrived"), "{page}");
    drop(server);
}

#[tokio::test]
async fn several_processes_are_added_up() {
    let (server, address) = testing::start(testing::config()).await.unwrap();
    let three = ["--processes", "3"];
    let rooms = [
        "rooms",
        "--rooms",
        "10",
        "--every",
        "100ms",
        "--duration",
        "1s",
    ];
    let all = figures(address, &[&rooms[..], &three].concat()).await;
    proved(&all, 10);
    assert_eq!(all["processes"], 3);
    assert_eq!(all["messages"]["sent"], 200);
    let calls = ["call", "--rooms", "4", "--calls", "20"];
    let all = figures(address, &[&calls[..], &three].concat()).await;
    assert_eq!(all["calls"]["done"], 20);
    assert_eq!(all["messages"]["heard"], 20 * 22);
    let idle = ["idle", "--peers", "21", "--duration", "1s"];
    let all = figures(address, &[&idle[..], &three].concat()).await;
    assert_eq!(all["calls"]["done"], 21);
    drop(server);
}

#[tokio::test]
async fn what_goes_wrong_in_one_of_several_processes_is_told() {
    let narrow = Config {
        default_capacity: 1,
        ..testing::config()
    };
    let (server, address) = testing::start(narrow).await.unwrap();
    let arguments = [
        "rooms",
        "--rooms",
        "6",
        "--processes",
        "2",
        "--duration",
        "1s",
    ];
    let output = load(&format!("http://{address}"), &arguments).await;
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("room-full"), "{stderr}");
    assert_eq!(stderr.trim_end().lines().count(), 1, "{stderr}");
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(stdout.contains("0 of 6 rooms"), "{stdout}");
    drop(server);
}

fn node(broker: &Redis) -> Config {
    Config {
        cluster: Some(rtc_server::cluster::ClusterConfig::around(
            vec![broker.url().parse().unwrap()],
            Duration::from_secs(4),
        )),
        ..testing::config()
    }
}

#[tokio::test]
async fn the_peers_of_a_room_meet_at_different_nodes() {
    let broker = Redis::start().await.unwrap();
    let (one, at_one) = testing::start(node(&broker)).await.unwrap();
    let (two, at_two) = testing::start(node(&broker)).await.unwrap();
    let nodes = format!("ws://{at_one},ws://{at_two}");
    let all = ["--nodes", &nodes, "--rooms", "12", "--every", "200ms"];
    let all = figures(at_one, &[&all[..], &["--duration", "1s"]].concat()).await;
    proved(&all, 12);
    assert_eq!(all["messages"]["sent"], 120);
    // Half of all peers are at each.
    assert_eq!(all["nodes"].as_array().unwrap().len(), 2);
    for workload in [
        &["call", "--calls", "10"][..],
        &["relay", "--rate", "200", "--duration", "1s"],
    ] {
        for same in [&[][..], &["--same-node"]] {
            let arguments = [workload, same, &["--nodes", &nodes, "--rooms", "4"]].concat();
            let all = figures(at_one, &arguments).await;
            assert_eq!(all["messages"]["heard"], all["messages"]["sent"]);
            assert_eq!(all["messages"]["outOfOrder"], 0);
        }
    }
    drop((one, two, broker));
}

#[tokio::test]
async fn what_a_server_refuses_is_told_and_is_a_failure() {
    let narrow = rtc_server::Config {
        default_capacity: 1,
        ..testing::config()
    };
    let (server, address) = testing::start(narrow).await.unwrap();
    let server_url = format!("http://{address}");
    let output = load(&server_url, &["call", "--calls", "3"]).await;
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("3 of 3 calls failed"), "{stderr}");
    assert!(stderr.contains("room-full"), "{stderr}");
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(stdout.contains("3 failed"), "{stdout}");
    drop(server);
}

#[tokio::test]
async fn where_no_server_is_one_is_told_what_to_do() {
    // Taken and given back: nobody is there.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let output = load(&format!("http://{address}"), &["--calls", "1"]).await;
    assert_eq!(output.status.code(), Some(3));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(stderr.trim_end().lines().count(), 1, "{stderr}");
    assert!(
        stderr.contains("rtc-server") && stderr.contains("--server"),
        "{stderr}"
    );
}

#[cfg(unix)]
#[tokio::test]
async fn more_peers_than_the_system_has_files_are_refused_at_once() {
    let arguments = ["idle", "--peers", "4000000000"];
    let output = load("http://127.0.0.1:1", &arguments).await;
    // A system without a limit would try, and find nobody.
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_ne!(output.status.code(), Some(0), "{stderr}");
    assert!(
        stderr.contains("ulimit") || stderr.contains("no server"),
        "{stderr}"
    );
}

#[tokio::test]
async fn a_server_is_loaded_by_tls_if_its_certificate_is_known() {
    let tls = Tls::self_signed().unwrap();
    let print = tls.fingerprint().to_string();
    let config = Config {
        tls: Some(tls),
        ..testing::config()
    };
    let (server, address) = testing::start(config).await.unwrap();
    let calls = ["call", "--calls", "4", "--rooms", "2", "--json"];
    let known = [&calls[..], &["--tls-fingerprint", &print]].concat();
    let url = format!("https://{address}");
    let output = load(&url, &known).await;
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let all: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(all["calls"]["done"], 4);
    assert_eq!(load(&url, &calls).await.status.code(), Some(1));
    drop(server);
}

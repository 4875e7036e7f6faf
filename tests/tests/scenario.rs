//! `rtc-client test`: calls of several peers from files, ours and real browsers, and what is told of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::process::Output;

use rtc_e2e::alone::alone;
use rtc_e2e::browser::{Browser, ChromeOptions};
use rtc_e2e::process::{PATIENCE, binary};
use serde_json::Value;
use tokio::process::Command;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn example(name: &str) -> String {
    let path = repository().join("docs/examples").join(name);
    path.display().to_string()
}

async fn test(arguments: &[&str]) -> Output {
    Command::new(binary("rtc-client").unwrap())
        .arg("test")
        .args(arguments)
        .kill_on_drop(true)
        .output()
        .await
        .unwrap()
}

/// What it printed, for whoever reads a failure.
fn told(output: &Output) -> String {
    let [out, err] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    format!("{:?}\n{out}\n{err}", output.status)
}

/// JUnit's XML as CI systems want it.
async fn is_junit(file: &Path) {
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/junit.xsd");
    let checked = Command::new("xmllint")
        .args(["--noout", "--schema"])
        .arg(&schema)
        .arg(file)
        .output()
        .await
        .expect("xmllint: apt-get install libxml2-utils");
    assert!(checked.status.success(), "{}", told(&checked));
}

/// The page shows all of it in a browser that reaches nobody.
async fn is_a_page_without_network(file: &Path, verdict: &str) {
    let options = ChromeOptions {
        flags: vec!["--host-resolver-rules=MAP * ~NOTFOUND".into()],
        ..ChromeOptions::default()
    };
    let browser = Browser::launch(&options).await.unwrap();
    let page = browser
        .open(&format!("file://{}", file.display()))
        .await
        .unwrap();
    let shown = format!("document.querySelector('.verdict')?.textContent === '{verdict}'");
    page.wait_for(&shown, PATIENCE).await.unwrap();
    let decoded = "document.images.length >= 2 && [...document.images].every((image) => image.naturalWidth > 100)";
    page.wait_for(decoded, PATIENCE).await.unwrap();
    let charts = "[...document.querySelectorAll('svg')].filter((svg) => svg.querySelector('polyline')?.getBBox().width > 100 && svg.querySelector('.mark')).length";
    let charts = page.eval(charts).await.unwrap().as_u64().unwrap();
    assert!(charts >= 6, "{charts} charts with lines and marks");
    assert!(page.complaints().is_empty(), "{:?}", page.complaints());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_peers_of_ours_lose_their_network_leave_and_come_again() {
    let _alone = alone().await;
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let output = test(&[
        &example("two-peers.toml"),
        "--junit",
        &at("a.xml"),
        "--tap",
        &at("a.tap"),
        "--json",
        &at("a.json"),
        "--report",
        &at("a.html"),
        "--keep",
        &at("kept"),
    ])
    .await;
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    is_junit(&folder.path().join("a.xml")).await;
    let tap = std::fs::read_to_string(at("a.tap")).unwrap();
    assert!(tap.ends_with("ok 1 - two peers talk\n"), "{tap}");
    let json: Value =
        serde_json::from_str(&std::fs::read_to_string(at("a.json")).unwrap()).unwrap();
    let steps = json["scenarios"][0]["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 4, "{steps:#?}");
    // Ann saw Bob twice: he left and came again.
    let ann = &json["scenarios"][0]["peers"][0];
    assert_eq!(ann["sees"].as_array().unwrap().len(), 2);
    #[cfg(target_os = "linux")]
    assert!(
        ann["processor"].as_f64() > Some(0.0),
        "{}",
        ann["processor"]
    );
    for kept in [
        "ann.1.jsonl",
        "ann.1.stderr",
        "ann.1.record",
        "bob.2.record",
    ] {
        assert!(
            folder.path().join("kept/two-peers").join(kept).is_file(),
            "{kept}"
        );
    }
    is_a_page_without_network(&folder.path().join("a.html"), "passed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_of_ours_and_chromium_on_our_page_are_judged_alike() {
    let _alone = alone().await;
    let folder = tempfile::tempdir().unwrap();
    let junit = folder.path().join("a.xml");
    let output = test(&[
        &example("chromium.toml"),
        "--junit",
        &junit.display().to_string(),
    ])
    .await;
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    is_junit(&junit).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_of_ours_and_firefox_on_a_plain_page_are_judged_alike() {
    let _alone = alone().await;
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("a.json");
    let keep = folder.path().join("kept");
    let output = test(&[
        &example("firefox.toml"),
        "--json",
        &json.display().to_string(),
        "--keep",
        &keep.display().to_string(),
    ])
    .await;
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert!(keep.join("firefox/bob.1.png").is_file());
    let json: Value = serde_json::from_str(&std::fs::read_to_string(json).unwrap()).unwrap();
    let measured = &json["scenarios"][0]["peers"][1]["sees"][0]["quantities"];
    // What is taken for measured in a browser is told by this one, too; freezes are by newer ones only.
    for name in [
        "video.fps",
        "video.width",
        "video.bitrate",
        "audio.seconds",
        "audio.level",
        "audio.concealed",
        "audio.mos",
        "network.rtt",
        "network.loss",
        "network.received",
        "video.latency",
    ] {
        let name = if name == "video.fps" {
            "video.frames"
        } else {
            name
        };
        assert!(
            measured[name]["values"].as_u64() > Some(0),
            "{name}: {:#?}",
            measured.as_object().unwrap().keys()
        );
    }
}

/// The README's own commands, word for word, in a folder that has what a fresh clone has.
#[tokio::test(flavor = "multi_thread")]
async fn the_readme_can_be_followed_literally() {
    let _alone = alone().await;
    let readme = std::fs::read_to_string(repository().join("README.md")).unwrap();
    let section = readme
        .split("\n## ")
        .find(|section| section.starts_with("Test your own app in five minutes"))
        .unwrap();
    let blocks: Vec<&str> = section
        .split("```sh\n")
        .skip(1)
        .map(|block| block.split("```").next().unwrap())
        .collect();
    assert!(blocks.len() >= 3, "{section}");
    let folder = tempfile::tempdir().unwrap();
    let copied = Command::new("cp")
        .arg("-r")
        .arg(repository().join("docs"))
        .arg(folder.path())
        .status()
        .await
        .unwrap();
    assert!(copied.success());
    let programs = binary("rtc-client").unwrap();
    let path = format!(
        "{}:{}",
        programs.parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    let run = Command::new("bash")
        .args(["-e", "-c", &blocks.join("\n")])
        .current_dir(folder.path())
        .env("PATH", path)
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let words = told(&run);
    assert!(run.status.success(), "{words}");
    assert!(
        words.contains("passed: my app") && words.contains("FAILED: my app"),
        "{words}"
    );
    assert!(words.contains("exit code 12"), "{words}");
    let junit = folder.path().join("out.xml");
    is_junit(&junit).await;
    let xml = std::fs::read_to_string(junit).unwrap();
    let failed = xml
        .lines()
        .position(|line| line.contains("bob: video.fps&gt;=90"))
        .unwrap();
    assert!(
        xml.lines().nth(failed + 1).unwrap().contains("<failure"),
        "{xml}"
    );
    is_a_page_without_network(&folder.path().join("out.html"), "passed").await;
}

/// Hanging up at the end forgives nothing; a step that leaves does.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_never_connected_fails_with_its_exit_code() {
    let _alone = alone().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("call.toml");
    let path = file.display().to_string();
    let alone = "duration = \"3s\"\n[[peer]]\nname = \"ann\"\nvideo = \"none\"\n";
    std::fs::write(&file, alone).unwrap();
    let output = test(&[&path]).await;
    assert_eq!(output.status.code(), Some(6), "{}", told(&output));
    let words = "ann: the call: exit code 6: nobody else came";
    assert!(told(&output).contains(words), "{}", told(&output));

    let leave = "[[step]]\nat = \"2s\"\npeer = \"ann\"\ndo = \"leave\"\n";
    std::fs::write(&file, format!("{alone}{leave}")).unwrap();
    let output = test(&[&path]).await;
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_judged_never_passes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("call.toml");
    let path = file.display().to_string();
    let peer = "[[peer]]\nname = \"ann\"\n";
    for (text, code, words) in [
        (
            format!("{peer}expekt = \"fps>=25\"\n"),
            2,
            "call.toml: line 3, column 1: a peer has no key expekt; is it expect?",
        ),
        (
            format!("{peer}expect = \"fsp>=25\"\n"),
            2,
            "is not measured",
        ),
        (format!("{peer}args = [\"--wat\"]\n"), 2, "--wat"),
        (String::new(), 2, "1 to 16 [[peer]]"),
    ] {
        std::fs::write(&file, text).unwrap();
        let output = test(&[&path]).await;
        assert_eq!(output.status.code(), Some(code), "{}", told(&output));
        assert!(told(&output).contains(words), "{}", told(&output));
    }
    let output = test(&["/no/such.toml"]).await;
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    // No server there: the call's own exit code.
    std::fs::write(&file, format!("duration = \"1s\"\n{peer}")).unwrap();
    let output = test(&[&path, "--server", "http://127.0.0.1:9"]).await;
    assert_eq!(output.status.code(), Some(3), "{}", told(&output));
    // A browser that is not there: how to give its path is told.
    let browser = "[[peer]]\nname = \"bob\"\nkind = \"chromium\"\nurl = \"{server}/\"\n";
    std::fs::write(&file, browser).unwrap();
    let output = Command::new(binary("rtc-client").unwrap())
        .args(["test", &path])
        .env("CHROMIUM", "/no/such/browser")
        .output()
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    assert!(
        told(&output).contains("--browser chromium=PATH"),
        "{}",
        told(&output)
    );
}

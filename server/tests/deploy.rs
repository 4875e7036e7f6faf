//! What stands in docs/cluster/ fits together, and fits this server: flags, variables, ports, paths, names of metrics. Whether Docker
//! and Kubernetes do with it what they should is not seen here.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use rtc_server::cluster::ClusterConfig;
use rtc_server::cluster::regions::RegionName;
use rtc_server::{Config, testing};
use serde::Deserialize;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

fn text(file: &str) -> String {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/cluster");
    std::fs::read_to_string(folder.join(file)).unwrap()
}

/// All documents of a file.
fn documents(file: &str) -> Vec<Value> {
    let text = text(file);
    serde_yaml_ng::Deserializer::from_str(&text)
        .map(|document| {
            let value = serde_yaml_ng::Value::deserialize(document);
            let mut value = value.unwrap_or_else(|error| panic!("{file}: {error}"));
            value.apply_merge().unwrap();
            serde_json::to_value(value).unwrap()
        })
        .collect()
}

fn compose() -> Value {
    documents("compose.yaml").remove(0)
}

/// The one of a kind with this name.
fn kubernetes(kind: &str, name: &str) -> Value {
    let all = documents("kubernetes.yaml").into_iter();
    let mut found = all.filter(|one| one["kind"] == kind && one["metadata"]["name"] == name);
    let one = found.next().unwrap_or_else(|| panic!("no {kind} {name}"));
    assert!(found.next().is_none(), "two of {kind} {name}");
    one
}

fn container() -> Value {
    kubernetes("Deployment", "rtc-server")["spec"]["template"]["spec"]["containers"][0].clone()
}

fn strings(list: &Value) -> Vec<String> {
    let list = list.as_array().unwrap().iter();
    list.map(|one| one.as_str().unwrap().to_owned()).collect()
}

/// The value of a flag that is given once.
fn flag<'a>(flags: &'a [String], name: &str) -> &'a str {
    let mut found = flags
        .iter()
        .filter_map(|flag| flag.strip_prefix(name)?.strip_prefix('='));
    let value = found
        .next()
        .unwrap_or_else(|| panic!("{name} is not in {flags:?}"));
    assert!(found.next().is_none(), "{name} is there twice");
    value
}

fn port(listen: &str) -> u64 {
    listen.parse::<SocketAddr>().unwrap().port().into()
}

fn server() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rtc-server"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("RTC_SERVER_")) {
        command.env_remove(name);
    }
    command
}

/// What the program says to these settings, whose variables' secrets are made up.
fn accepted(flags: &[String], variables: &[(String, String)]) {
    let made_up = |value: &str| {
        let (mut rest, mut whole) = (value, String::new());
        while let Some(at) = rest.find('$') {
            let end = at + rest[at..].find([')', '}']).unwrap() + 1;
            whole += &rest[..at];
            whole += "secret";
            rest = &rest[end..];
        }
        whole + rest
    };
    let output = server()
        .args(flags)
        .envs(variables.iter().map(|(name, value)| (name, made_up(value))))
        .args(["config", "check"])
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{flags:?} {variables:?}: {stderr}");
}

/// The program reads each variable of its own: there is a flag of that name.
fn known(variables: &[(String, String)]) {
    let help = server().arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    for (name, _) in variables {
        let flag = name.strip_prefix("RTC_SERVER_").unwrap();
        let flag = format!("--{} ", flag.to_lowercase().replace('_', "-"));
        assert!(help.contains(&flag), "{name}: there is no {flag}");
    }
}

fn own(name: &str) -> bool {
    name.starts_with("RTC_SERVER_")
}

#[test]
fn the_nodes_of_compose_start_with_flags_that_there_are() {
    let compose = compose();
    for node in ["node1", "node2", "node3"] {
        let node = &compose["services"][node];
        let variables = node["environment"].as_object().unwrap().iter();
        let variables: Vec<_> = variables
            .filter(|(name, _)| own(name))
            .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
            .collect();
        accepted(&strings(&node["command"]), &variables);
        known(&variables);
    }
}

#[test]
fn compose_leaves_a_node_the_time_and_the_files_it_needs() {
    let compose = compose();
    let node = &compose["services"]["node1"];
    let flags = strings(&node["command"]);
    let grace = node["stop_grace_period"].as_str().unwrap();
    let grace: u64 = grace.trim_end_matches('s').parse().unwrap();
    assert!(grace > 300, "--drain-deadline is 300 s");
    let files = node["ulimits"]["nofile"].as_u64().unwrap();
    let peers: u64 = flag(&flags, "--max-connections").parse().unwrap();
    assert!(files > peers + 1_000);
    let mut proxied = flags.iter().filter(|flag| flag.starts_with("--exempt="));
    let subnet = &compose["networks"]["inside"]["ipam"]["config"][0]["subnet"];
    let subnet = subnet.as_str().unwrap();
    assert!(proxied.any(|flag| flag.ends_with(subnet)));
}

#[test]
fn the_proxy_of_compose_asks_the_nodes_at_their_port_and_keeps_what_is_theirs() {
    let compose = compose();
    let proxy = compose["configs"]["proxy"]["content"].as_str().unwrap();
    let services = compose["services"].as_object().unwrap();
    let nodes: Vec<_> = services
        .iter()
        .filter(|(_, one)| one["image"] == "rtc-server")
        .collect();
    assert_eq!(nodes.len(), 3);
    for (name, node) in nodes {
        let port = port(flag(&strings(&node["command"]), "--listen"));
        assert!(proxy.contains(&format!("server {name}:{port} ")), "{name}");
        let before = strings(&services["proxy"]["depends_on"]);
        assert!(before.contains(name));
    }
    let published = services["proxy"]["ports"][0].as_str().unwrap();
    let inside = published.rsplit(':').next().unwrap();
    assert!(proxy.contains(&format!("listen {inside};")));
    for kept in ["metrics", "healthz", "readyz", "api/"] {
        assert!(proxy.contains(kept), "{kept} is seen from outside");
    }
    // Written for compose: each dollar of nginx is two.
    assert!(!proxy.replace("$$", "").contains('$'));
}

#[test]
fn the_brokers_address_is_the_brokers() {
    let compose = compose();
    let url = compose["services"]["node1"]["environment"]["RTC_SERVER_CLUSTER"].clone();
    assert!(url.as_str().unwrap().ends_with("@broker:6379"));
    assert!(compose["services"]["broker"].is_object());
    let variables = container()["env"].as_array().unwrap().clone();
    let url = variables
        .iter()
        .find(|one| one["name"] == "RTC_SERVER_CLUSTER")
        .unwrap();
    let service = kubernetes("Service", "rtc-broker");
    let port = &service["spec"]["ports"][0]["port"];
    let place = format!("@rtc-broker:{port}");
    assert!(url["value"].as_str().unwrap().ends_with(&place));
    let broker = kubernetes("StatefulSet", "rtc-broker");
    let broker = &broker["spec"]["template"];
    assert_eq!(service["spec"]["selector"], broker["metadata"]["labels"]);
    let ports = &broker["spec"]["containers"][0]["ports"][0];
    assert_eq!(service["spec"]["ports"][0]["targetPort"], ports["name"]);
    assert_eq!(ports["containerPort"], *port);
}

#[test]
fn the_nodes_of_kubernetes_start_with_flags_that_there_are() {
    let container = container();
    let variables = container["env"].as_array().unwrap().iter();
    let variables: Vec<_> = variables
        .filter_map(|one| {
            Some((
                one["name"].as_str()?.to_owned(),
                one["value"].as_str()?.to_owned(),
            ))
        })
        .filter(|(name, _)| own(name))
        .collect();
    assert_eq!(variables.len(), 1);
    accepted(&strings(&container["args"]), &variables);
    known(&variables);
}

#[test]
fn what_selects_the_nodes_of_kubernetes_finds_them() {
    let nodes = kubernetes("Deployment", "rtc-server");
    let labels = &nodes["spec"]["template"]["metadata"]["labels"];
    let service = kubernetes("Service", "rtc-server");
    assert_eq!(service["spec"]["selector"], *labels);
    assert_eq!(nodes["spec"]["selector"]["matchLabels"], *labels);
    let budget = kubernetes("PodDisruptionBudget", "rtc-server");
    assert_eq!(budget["spec"]["selector"]["matchLabels"], *labels);
    let scaler = kubernetes("HorizontalPodAutoscaler", "rtc-server");
    let target = &scaler["spec"]["scaleTargetRef"];
    for field in ["kind", "apiVersion"] {
        assert_eq!(target[field], nodes[field]);
    }
    assert_eq!(target["name"], nodes["metadata"]["name"]);
}

#[test]
fn the_ports_of_kubernetes_are_those_that_are_listened_at() {
    let container = container();
    let listened = port(flag(&strings(&container["args"]), "--listen"));
    assert_eq!(container["ports"][0]["containerPort"], listened);
    let named = &container["ports"][0]["name"];
    let service = kubernetes("Service", "rtc-server");
    assert_eq!(service["spec"]["ports"][0]["targetPort"], *named);
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        assert_eq!(container[probe]["httpGet"]["port"], *named, "{probe}");
    }
    let nodes = kubernetes("Deployment", "rtc-server");
    let scraped = &nodes["spec"]["template"]["metadata"]["annotations"]["prometheus.io/port"];
    assert_eq!(*scraped, listened.to_string());
}

#[test]
fn kubernetes_lets_a_node_drain() {
    let nodes = kubernetes("Deployment", "rtc-server");
    let pod = &nodes["spec"]["template"]["spec"];
    let grace = pod["terminationGracePeriodSeconds"].as_u64().unwrap();
    let container = container();
    let before = &container["lifecycle"]["preStop"]["sleep"]["seconds"];
    let deadline = strings(&container["args"]);
    let deadline: u64 = flag(&deadline, "--drain-deadline").parse().unwrap();
    // Two seconds more for the goodbyes.
    assert!(grace > deadline + before.as_u64().unwrap() + 2);
    // No node goes before its successor is ready.
    assert_eq!(
        nodes["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"],
        0
    );
}

/// The body of an answer.
async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    (status, body.to_owned())
}

#[tokio::test]
async fn what_is_probed_and_scraped_answers() {
    let (_running, address) = testing::start(testing::config()).await.unwrap();
    let container = container();
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        let path = container[probe]["httpGet"]["path"].as_str().unwrap();
        assert_eq!(get(address, path).await.0, 200, "{probe}");
    }
    let nodes = kubernetes("Deployment", "rtc-server");
    let scraped = &nodes["spec"]["template"]["metadata"]["annotations"]["prometheus.io/path"];
    assert_eq!(get(address, scraped.as_str().unwrap()).await.0, 200);
}

/// Names of metrics in a text: words that begin as ours do.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    words
        .filter(|word| word.starts_with("rtc_") || word.starts_with("process_"))
        .map(str::to_owned)
        .collect()
}

/// All names that a server's scrape holds, which is in one of two regions.
async fn scraped() -> BTreeSet<String> {
    let lease = std::time::Duration::from_secs(10);
    // Nobody answers there.
    let broker = |port| vec![format!("redis://127.0.0.1:{port}").parse().unwrap()];
    let own: RegionName = "a".parse().unwrap();
    let brokers = [(own.clone(), broker(1)), ("b".parse().unwrap(), broker(2))];
    let cluster = ClusterConfig::of_regions(&own, brokers.into(), lease).unwrap();
    let config = Config {
        cluster: Some(cluster),
        ..testing::config()
    };
    let (_running, address) = testing::start(config).await.unwrap();
    let begun = std::time::Instant::now();
    loop {
        let (_, text) = get(address, "/metrics").await;
        // Regions are named when the node begins to take part.
        if text.contains("{region=\"b\"}") {
            let samples = text.lines().filter(|line| !line.starts_with('#'));
            let names = samples.map(|line| line.split(['{', ' ']).next().unwrap().to_owned());
            return names.collect();
        }
        assert!(begun.elapsed().as_secs() < 30, "{text}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// Every text anywhere in a value.
fn texts(value: &Value, all: &mut Vec<String>) {
    match value {
        Value::String(text) => all.push(text.clone()),
        Value::Array(list) => list.iter().for_each(|one| texts(one, all)),
        Value::Object(fields) => fields.values().for_each(|one| texts(one, all)),
        _ => {}
    }
}

#[tokio::test]
async fn the_dashboard_asks_for_metrics_that_a_server_tells() {
    let board: Value = serde_json::from_str(&text("grafana.json")).unwrap();
    let panels = board["panels"].as_array().unwrap();
    let mut asked = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "two with one id");
        if panel["type"] == "row" {
            continue;
        }
        for target in panel["targets"].as_array().unwrap() {
            let expression = names(target["expr"].as_str().unwrap());
            assert!(!expression.is_empty(), "{target}");
            asked.extend(expression);
        }
    }
    let mut rest = Vec::new();
    texts(&board["templating"], &mut rest);
    asked.extend(rest.iter().flat_map(|text| names(text)));
    let told = scraped().await;
    #[cfg(target_os = "linux")]
    assert_eq!(asked.difference(&told).collect::<Vec<_>>(), [""; 0]);
    // What happens between nodes is all on it.
    let between: Vec<_> = told
        .iter()
        .filter(|name| name.contains("cluster"))
        .collect();
    assert!(!between.is_empty());
    for name in between {
        assert!(asked.contains(name), "{name} is on no panel");
    }
}

#[tokio::test]
async fn the_autoscaler_follows_a_metric_that_the_adapter_makes_of_ours() {
    let adapter = documents("prometheus-adapter.yaml").remove(0);
    let rule = &adapter["rules"]["custom"][0];
    let asked: BTreeSet<_> = ["seriesQuery", "metricsQuery"]
        .iter()
        .flat_map(|field| names(rule[*field].as_str().unwrap()))
        .collect();
    assert!(asked.is_subset(&scraped().await), "{asked:?}");
    assert!(asked.contains(rule["name"]["matches"].as_str().unwrap()));
    let scaler = kubernetes("HorizontalPodAutoscaler", "rtc-server");
    let metric = &scaler["spec"]["metrics"][0]["pods"];
    assert_eq!(metric["metric"]["name"], rule["name"]["as"]);
    // It adds nodes long before those that there are are full.
    let aim: u64 = metric["target"]["averageValue"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let full = strings(&container()["args"]);
    let full: u64 = flag(&full, "--max-connections").parse().unwrap();
    assert!(aim * 3 <= full * 2);
}

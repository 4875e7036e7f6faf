//! A broker over TLS: who is let in, who is not and is told why.

use std::process::{Command, Stdio};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use crate::rig::{Broker, Kept, LEASE, PATIENCE, Peer, Process, free_port, id, login_at};

/// Authorities, and who they vouch for: each a certificate and a key in files.
struct Papers(TempDir);

impl Papers {
    /// `ca` vouches for a `broker`, a `node`, and a broker `elsewhere`; `other` for a `stranger`.
    fn new() -> Self {
        let papers = Self(tempfile::tempdir().unwrap());
        let ca = papers.authority("ca");
        papers.vouched("broker", "127.0.0.1", &ca);
        papers.vouched("elsewhere", "elsewhere.example", &ca);
        papers.vouched("node", "node.example", &ca);
        let other = papers.authority("other");
        papers.vouched("stranger", "node.example", &other);
        papers
    }

    fn authority(&self, name: &str) -> Issuer<'static, KeyPair> {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        self.write(name, &params.self_signed(&key).unwrap(), &key);
        Issuer::new(params, key)
    }

    fn vouched(&self, name: &str, host: &str, issuer: &Issuer<'_, KeyPair>) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([host.to_owned()]).unwrap();
        self.write(name, &params.signed_by(&key, issuer).unwrap(), &key);
    }

    fn write(&self, name: &str, certificate: &rcgen::Certificate, key: &KeyPair) {
        std::fs::write(self.at(name, "pem"), certificate.pem()).unwrap();
        std::fs::write(self.at(name, "key"), key.serialize_pem()).unwrap();
    }

    fn at(&self, name: &str, kind: &str) -> String {
        let path = self.0.path().join(format!("{name}.{kind}"));
        path.to_str().unwrap().to_owned()
    }

    /// What a Redis is told to be one of these, at this port.
    fn of(&self, name: &str, port: u16) -> Vec<String> {
        let told = [
            ("--tls-port", port.to_string()),
            ("--tls-cert-file", self.at(name, "pem")),
            ("--tls-key-file", self.at(name, "key")),
            ("--tls-ca-cert-file", self.at("ca", "pem")),
        ];
        let words = told.map(|(word, value)| [word.to_owned(), value]);
        words.into_iter().flatten().collect()
    }

    /// A broker that is this one and wants certificates of its clients, which is what Redis does where nothing is said. Without
    /// TLS it is for the test alone. More that it is told.
    async fn broker(&self, name: &str, more: &[&str]) -> Broker {
        let more: Vec<String> = more.iter().map(|&word| word.to_owned()).collect();
        Broker::start_as(LEASE, || {
            [self.of(name, free_port()), more.clone()].concat()
        })
        .await
    }

    /// Flags of a node that trusts that authority and is this one.
    fn node(&self, authority: &str, name: &str) -> Vec<String> {
        vec![
            format!("--cluster-ca={}", self.at(authority, "pem")),
            format!("--cluster-cert={}", self.at(name, "pem")),
            format!("--cluster-key={}", self.at(name, "key")),
        ]
    }
}

/// Where a broker speaks TLS, but for the scheme.
fn login(broker: &Broker) -> String {
    login_at(port(broker))
}

fn port(broker: &Broker) -> u16 {
    broker.told("--tls-port").parse().unwrap()
}

fn start(brokers: &str, flags: &[String]) -> Process {
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    Process::start_at(brokers, &flags)
}

/// Two peers, each at one of the nodes, hear each other.
async fn meet(nodes: [&Process; 2]) {
    let [near, far] = nodes.map(|node| node.address);
    let (mut ann, _) = Peer::inside(near, 'a', "foo").await;
    let (mut ben, members) = Peer::inside(far, 'b', "foo").await;
    assert_eq!(members, [id('a')]);
    ann.sees_come(id('b')).await;
    ann.signal("foo", None, "to").await;
    assert_eq!(ben.hears(id('a')).await, "to");
    ben.signal("foo", None, "fro").await;
    assert_eq!(ann.hears(id('b')).await, "fro");
}

#[tokio::test]
async fn nodes_that_show_a_certificate_meet_over_tls() {
    let papers = Papers::new();
    let broker = papers.broker("broker", &[]).await;
    let url = format!("rediss://{}", login(&broker));
    let flags = papers.node("ca", "node");
    let nodes = [start(&url, &flags), start(&url, &flags)];
    meet([&nodes[0], &nodes[1]]).await;
}

#[tokio::test]
async fn nodes_meet_at_a_redis_cluster_over_tls() {
    let papers = Papers::new();
    // One that has all places, at two addresses of it; it names others, and itself, by their ports for TLS.
    let told = ["--tls-cluster", "yes", "--cluster-enabled", "yes"];
    let broker = Broker::start_as(LEASE, || {
        let bus = free_port().to_string();
        let told = [&told[..], &["--cluster-port", &bus]].concat();
        let told = told.into_iter().map(str::to_owned).collect();
        [papers.of("broker", free_port()), told].concat()
    })
    .await;
    let mut places = redis::cmd("CLUSTER");
    places.arg("ADDSLOTSRANGE").arg(0).arg(16_383);
    let mut connection = broker.connection().await;
    places.exec_async(&mut connection).await.unwrap();
    let one = format!("rediss://{}", login(&broker));
    let url = format!("{one},{one}/0");
    let flags = papers.node("ca", "node");
    let nodes = [start(&url, &flags), start(&url, &flags)];
    meet([&nodes[0], &nodes[1]]).await;
}

/// Waits until a Sentinel has its port, which is when it writes to its file who it is; false when it has ended without.
async fn has_begun(sentinel: &mut Kept, file: &str) -> bool {
    while sentinel.0.try_wait().unwrap().is_none() {
        if std::fs::read_to_string(file).is_ok_and(|text| text.contains("sentinel myid")) {
            return true;
        }
        sleep(Duration::from_millis(10)).await;
    }
    false
}

#[tokio::test]
async fn nodes_meet_at_the_primary_that_a_sentinel_names_over_tls() {
    let papers = Papers::new();
    let broker = papers.broker("broker", &[]).await;
    let login = login(&broker);
    let password = login.split(['@', ':']).nth(1).unwrap();
    let file = papers.at("sentinel", "conf");
    let conf = format!(
        "port 0\nbind 127.0.0.1\nrequirepass {password}\ntls-replication yes\n\
         sentinel monitor main 127.0.0.1 {} 1\nsentinel auth-pass main {password}\n",
        port(&broker)
    );
    // Drawn anew whenever a port was somebody else's.
    let begun = async {
        loop {
            std::fs::write(&file, &conf).unwrap();
            let at = free_port();
            let sentinel = Command::new("redis-server")
                .args([&file, "--sentinel"])
                .args(papers.of("broker", at))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .spawn();
            let mut sentinel = Kept(sentinel.unwrap());
            if has_begun(&mut sentinel, &file).await {
                return (sentinel, at);
            }
        }
    };
    let (_sentinel, at) = timeout(PATIENCE, begun).await.unwrap();
    let url = format!("sentinels://{}/main", login_at(at));
    let flags = papers.node("ca", "node");
    let nodes = [start(&url, &flags), start(&url, &flags)];
    meet([&nodes[0], &nodes[1]]).await;
}

/// Why a node with these flags does not reach the broker there.
async fn is_told(brokers: &str, flags: &[String], why: &str) {
    let node = start(brokers, flags);
    node.says(why).await;
    node.counts("rtc_cluster_broker_reached 0").await;
}

#[tokio::test]
async fn who_does_not_trust_the_broker_or_is_not_trusted_does_not_reach_it_and_says_why() {
    let papers = Papers::new();
    let broker = papers.broker("broker", &[]).await;
    let elsewhere = papers.broker("elsewhere", &[]).await;
    let url = format!("rediss://{}", login(&broker));
    let other = format!("rediss://{}", login(&elsewhere));
    let plain = format!("redis://{}", login(&broker));
    let right = papers.node("ca", "node");
    let stranger = papers.node("ca", "stranger");
    let deceived = papers.node("other", "node");
    tokio::join!(
        is_told(&url, &deceived, "with --cluster-ca"),
        is_told(&url, &right[1..], "with --cluster-ca"),
        is_told(&url, &right[..1], "it wants a certificate"),
        is_told(&url, &stranger, "whom it trusts"),
        is_told(&other, &right, "for another host"),
        is_told(&plain, &[], "write rediss://"),
    );
}

#[tokio::test]
async fn a_certificate_that_is_replaced_is_shown_at_the_next_connection() {
    let papers = Papers::new();
    let broker = papers.broker("broker", &[]).await;
    let url = format!("rediss://{}", login(&broker));
    let node = start(&url, &papers.node("ca", "stranger"));
    node.says("whom it trusts").await;
    for kind in ["key", "pem"] {
        std::fs::copy(papers.at("node", kind), papers.at("stranger", kind)).unwrap();
    }
    node.counts("rtc_cluster_broker_reached 1").await;
}

/// How it ends when it is started so, and when its settings are looked at; what it says.
fn end(arguments: &[String]) -> (Option<i32>, String) {
    let ends = [&[][..], &["config", "check"]].map(|task| {
        let mut program = Command::new(env!("CARGO_BIN_EXE_rtc-server"));
        program.args(["--listen", "127.0.0.1:0"]).args(arguments);
        let output = program.args(task).stdin(Stdio::null()).output().unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap(),
        )
    });
    let [starts, checks] = ends;
    assert_eq!(starts, checks);
    starts
}

#[test]
fn files_that_cannot_be_used_are_told_with_their_path_when_it_starts_and_when_settings_are_checked()
{
    let papers = Papers::new();
    std::fs::write(papers.at("empty", "pem"), "").unwrap();
    let flag = |name: &str, file: &str, kind| format!("--cluster-{name}={}", papers.at(file, kind));
    let own = |cert: &str, key: &str| vec![flag("cert", cert, "pem"), flag("key", key, "key")];
    for (flags, code, told) in [
        (
            vec![flag("ca", "none", "pem")],
            1,
            ["none.pem", "check --cluster-ca"],
        ),
        (
            vec![flag("ca", "empty", "pem")],
            1,
            ["empty.pem", "no certificate"],
        ),
        (own("node", "none"), 1, ["none.key", "--cluster-cert and"]),
        (
            own("node", "stranger"),
            1,
            ["stranger.key cannot be used", "--cluster-cert and"],
        ),
        (
            own("node", "node")[..1].to_vec(),
            2,
            ["--cluster-key", "required"],
        ),
        (
            own("node", "node")[1..].to_vec(),
            2,
            ["--cluster-cert", "required"],
        ),
    ] {
        let url = "--cluster=rediss://127.0.0.1:1".to_owned();
        let (ended, stderr) = end(&[vec![url], flags].concat());
        assert_eq!(ended, Some(code), "{stderr}");
        assert!(told.iter().all(|one| stderr.contains(one)), "{stderr}");
    }
    for (cluster, told) in [
        ("rediss://127.0.0.1:1,redis://127.0.0.1:2", "only the first"),
        ("redis://127.0.0.1:1", "over TLS"),
    ] {
        let cluster = format!("--cluster={cluster}");
        let (ended, stderr) = end(&[vec![cluster], own("node", "node")].concat());
        assert_eq!(ended, Some(2), "{stderr}");
        assert!(stderr.contains(told), "{stderr}");
    }
}

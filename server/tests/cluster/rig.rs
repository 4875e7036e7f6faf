//! A broker of one's own, nodes around it, and peers.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use redis::AsyncConnectionConfig;
use redis::aio::MultiplexedConnection;
use rtc_protocol::{
    ClientFrame, ClientMessage, ErrorCode, PeerId, Raw, RoomId, ServerFrame, ServerMessage, Token,
};
use rtc_server::cluster::ClusterConfig;
use rtc_server::{Config, Running, testing};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::way::Way;

/// Far more than anything here takes; only ever waited out by a failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// As short as a test can wait for its end, and as long as a busy machine may keep a node from renewing.
pub(crate) const LEASE: Duration = Duration::from_secs(4);

/// Where places must not run out, however busy the machine is.
pub(crate) const LONG: Duration = Duration::from_secs(10);

/// Nobody else's, so that no other broker is taken for this one.
const PASSWORD: &str = "of-the-tests-of-rtc-server";

/// A program that ends with whoever has it.
pub(crate) struct Kept(pub(crate) Child);

impl Kept {
    /// As the system kills: nobody is told.
    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    fn signal(&self, name: &str) {
        let pid = self.0.id().to_string();
        let done = Command::new("kill").args([name, &pid]).status();
        assert!(done.unwrap().success());
    }

    /// Returns when it does nothing more: on a busy machine its threads go on for a moment after the signal.
    fn stop(&self) {
        self.signal("-STOP");
        let threads = format!("/proc/{}/task", self.0.id());
        let stopped = || {
            let mut all = std::fs::read_dir(&threads).unwrap();
            all.all(|thread| {
                let stat = std::fs::read_to_string(thread.unwrap().path().join("stat"));
                // Where one has just ended, all are looked at once more.
                stat.is_ok_and(|stat| stat.rsplit(") ").next().unwrap().starts_with('T'))
            })
        };
        let begun = Instant::now();
        while !stopped() {
            assert!(begun.elapsed() < PATIENCE, "it does not stop");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A `redis-server` that keeps nothing on disk; ends with the test.
pub(crate) struct Broker {
    child: Kept,
    port: u16,
    /// Of the nodes around it.
    lease: Duration,
    folder: TempDir,
    /// More that it is told.
    more: Vec<String>,
}

/// A broker's address.
pub(crate) fn url_at(port: u16) -> String {
    format!("redis://{}", login_at(port))
}

/// The same without its scheme.
pub(crate) fn login_at(port: u16) -> String {
    format!(":{PASSWORD}@127.0.0.1:{port}")
}

/// Where nobody listens just now; somebody else may a moment later.
pub(crate) fn free_port() -> u16 {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    taken.local_addr().unwrap().port()
}

impl Broker {
    pub(crate) async fn start() -> Self {
        Self::start_for(LEASE).await
    }

    /// Its nodes keep places for so long.
    pub(crate) async fn start_for(lease: Duration) -> Self {
        Self::start_as(lease, Vec::new).await
    }

    /// And is told more, drawn anew whenever a port was somebody else's.
    pub(crate) async fn start_as(lease: Duration, more: impl Fn() -> Vec<String>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let there = async {
            loop {
                let (port, more) = (free_port(), more());
                let mut child = Self::run(port, &folder, &more);
                if is_there(&mut child, port).await {
                    return (child, port, more);
                }
            }
        };
        let (child, port, more) = timeout(PATIENCE, there).await.unwrap();
        Self {
            child,
            port,
            lease,
            folder,
            more,
        }
    }

    /// What it was told behind that word.
    pub(crate) fn told(&self, word: &str) -> &str {
        let at = self.more.iter().position(|one| one == word).unwrap();
        &self.more[at + 1]
    }

    fn run(port: u16, folder: &TempDir, more: &[String]) -> Kept {
        let port = port.to_string();
        let child = Command::new("redis-server")
            .args(["--port", &port, "--bind", "127.0.0.1", "--requirepass"])
            .args([PASSWORD, "--save", "", "--appendonly", "no", "--dir"])
            .arg(folder.path())
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is needed: scripts/setup test installs it");
        Kept(child)
    }

    /// Kills it; what it knew is gone.
    pub(crate) fn kill(&mut self) {
        self.child.kill();
    }

    /// The same address, knowing nothing; tried until whoever has it meanwhile lets go of it.
    pub(crate) async fn come_back_empty(&mut self) {
        let there = async {
            loop {
                self.child = Self::run(self.port, &self.folder, &self.more);
                if is_there(&mut self.child, self.port).await {
                    return;
                }
                sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(PATIENCE, there).await.unwrap();
    }

    pub(crate) fn url(&self) -> String {
        url_at(self.port)
    }

    /// The same over a way that takes so long and can be cut.
    pub(crate) async fn far(&self, delay: Duration) -> Way {
        Way::to(self.port, delay).await
    }

    /// Has it go by these rules, if none of its nodes has brought any.
    pub(crate) async fn goes_by(&self, rules: &str) {
        let mut load = redis::cmd("FUNCTION");
        load.arg("LOAD").arg(rules);
        load.exec_async(&mut self.connection().await).await.unwrap();
    }

    /// To ask it things by itself.
    pub(crate) async fn connection(&self) -> MultiplexedConnection {
        let client = redis::Client::open(self.url()).unwrap();
        let patient = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE));
        let made = client.get_multiplexed_async_connection_with_config(&patient);
        made.await.unwrap()
    }

    /// It does nothing more until it goes on, and knows what it knew.
    pub(crate) fn stop(&self) {
        self.child.stop();
    }

    pub(crate) fn go_on(&self) {
        self.child.signal("-CONT");
    }

    pub(crate) fn config(&self) -> Config {
        Config {
            cluster: Some(ClusterConfig::around(
                vec![self.url().parse().unwrap()],
                self.lease,
            )),
            // Peers here are not looked after while a test looks elsewhere.
            heartbeat: PATIENCE,
            ..testing::config()
        }
    }

    /// A node of its own, in this process.
    pub(crate) async fn node(&self) -> (Running, SocketAddr) {
        testing::start(self.config()).await.unwrap()
    }
}

/// Waits until this one answers at that port; false when it has ended, as somebody else was there first.
async fn is_there(child: &mut Kept, port: u16) -> bool {
    let auth = format!("AUTH {PASSWORD}\r\n");
    while child.0.try_wait().unwrap().is_none() {
        let answer = async {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
            stream.write_all(auth.as_bytes()).await.ok()?;
            let mut answer = [0; 3];
            stream.read_exact(&mut answer).await.ok()?;
            Some(answer)
        };
        if let Ok(Some([b'+', b'O', b'K'])) = timeout(Duration::from_secs(1), answer).await {
            return true;
        }
        sleep(Duration::from_millis(10)).await;
    }
    false
}

/// What nodes bring to a broker.
pub(crate) const RULES: &str = include_str!("../../src/cluster/seats.lua");

/// The administrator's token, of those nodes that have one: by `--admin-token env:RTC_TEST_ADMIN`.
pub(crate) const ADMIN: &str = "a-token-of-the-administrator-of-tests";

/// A node as a process of its own.
pub(crate) struct Process {
    child: Kept,
    pub(crate) address: SocketAddr,
    /// What it has said.
    lines: Arc<Mutex<Vec<String>>>,
}

impl Process {
    /// Around brokers at these addresses.
    pub(crate) fn start_at(brokers: &str, more: &[&str]) -> Self {
        Self::run(&["--cluster", brokers], LEASE, more)
    }

    pub(crate) fn start(broker: &Broker) -> Self {
        Self::start_with(broker, &["--resume-window", "1"])
    }

    pub(crate) fn start_with(broker: &Broker, more: &[&str]) -> Self {
        Self::run(&["--cluster", &broker.url()], broker.lease, more)
    }

    /// In one of several regions.
    pub(crate) fn start_in(region: &str, regions: &str) -> Self {
        Self::run(
            &["--region", region, "--regions", regions],
            LEASE,
            &["--admin-token", "env:RTC_TEST_ADMIN"],
        )
    }

    /// Around a broker that is not reached where it is.
    pub(crate) fn start_by(way: &Way, broker: &Broker) -> Self {
        Self::run(&["--cluster", &url_at(way.port)], broker.lease, &[])
    }

    pub(crate) fn run(cluster: &[&str], lease: Duration, more: &[&str]) -> Self {
        let program = Command::new(env!("CARGO_BIN_EXE_rtc-server"));
        Self::run_by(program, cluster, lease, more)
    }

    /// With more in its environment.
    pub(crate) fn start_within(broker: &Broker, environment: &[(&str, String)]) -> Self {
        let mut program = Command::new(env!("CARGO_BIN_EXE_rtc-server"));
        program.envs(environment.iter().cloned());
        Self::run_by(program, &["--cluster", &broker.url()], broker.lease, &[])
    }

    fn run_by(mut program: Command, cluster: &[&str], lease: Duration, more: &[&str]) -> Self {
        let child = program
            .args(["--listen", "127.0.0.1:0", "--heartbeat", "30"])
            .args(cluster)
            .arg("--cluster-lease")
            .arg(lease.as_secs().to_string())
            .args(more)
            .env("RTC_TEST_ADMIN", ADMIN)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut child = Kept(child);
        let mut lines = BufReader::new(child.0.stderr.take().unwrap()).lines();
        let address = loop {
            let line = lines.next().unwrap().unwrap();
            if let Some(url) = line.strip_prefix("listening at http://") {
                break url.trim_end_matches('/').parse().unwrap();
            }
        };
        let said = Arc::<Mutex<Vec<String>>>::default();
        let kept = Arc::clone(&said);
        // Read on, so that it never waits for us.
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                kept.lock().unwrap().push(line);
            }
        });
        Self {
            child,
            address,
            lines: said,
        }
    }

    /// Waits until it says a line with this in it.
    pub(crate) async fn says(&self, wanted: &str) {
        let said = async {
            loop {
                let lines = self.lines.lock().unwrap().clone();
                if lines.iter().any(|line| line.contains(wanted)) {
                    return;
                }
                sleep(Duration::from_millis(50)).await;
            }
        };
        let said = timeout(PATIENCE, said).await;
        said.unwrap_or_else(|_| panic!("it never says {wanted}: {:?}", self.lines));
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill();
    }

    /// Asks it to drain and end.
    pub(crate) fn terminate(&self) {
        self.child.signal("-TERM");
    }

    /// It does nothing more, and holds all that it has.
    pub(crate) fn stop(&mut self) {
        self.child.stop();
    }

    /// Waits for its end; gives the exit code.
    pub(crate) async fn ended(&mut self) -> Option<i32> {
        let ended = async {
            loop {
                if let Some(status) = self.child.0.try_wait().unwrap() {
                    return status.code();
                }
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, ended).await.expect("it does not end")
    }

    /// The body of an answer over HTTP.
    async fn fetch(&self, method: &str, path: &str, token: &str, body: &str) -> String {
        let address = self.address;
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        let fetched = async {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer
        };
        let answer = timeout(PATIENCE, fetched).await.expect("no answer");
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        body.to_owned()
    }

    pub(crate) async fn asks(&self, method: &str, path: &str, body: &str) -> serde_json::Value {
        serde_json::from_str(&self.fetch(method, path, ADMIN, body).await).unwrap()
    }

    /// Whether new peers may come.
    pub(crate) async fn is_ready(&self) -> bool {
        self.fetch("GET", "/readyz", "-", "").await == "ready\n"
    }

    /// Waits until it knows of so many nodes, itself among them.
    pub(crate) async fn knows(&self, nodes: usize) {
        self.counts(&format!("rtc_cluster_nodes {nodes}")).await;
    }

    /// Waits until this line is among its metrics.
    pub(crate) async fn counts(&self, wanted: &str) {
        let known = async {
            loop {
                let metrics = self.fetch("GET", "/metrics", "-", "").await;
                if metrics.lines().any(|line| line == wanted) {
                    return;
                }
                sleep(Duration::from_millis(50)).await;
            }
        };
        let known = timeout(PATIENCE, known).await;
        known.unwrap_or_else(|_| panic!("it never tells {wanted}"));
    }
}

pub(crate) fn token(who: char) -> Token {
    Token::new(&who.to_string().repeat(24)).unwrap()
}

pub(crate) fn id(who: char) -> PeerId {
    token(who).peer_id()
}

pub(crate) fn room(name: &str) -> RoomId {
    RoomId::new(name).unwrap()
}

pub(crate) struct Peer {
    socket: WebSocketStream<TcpStream>,
    pub(crate) last: u64,
    /// Numbers may begin anew.
    pub(crate) anew: bool,
    /// The request that the last message answers.
    pub(crate) answers: Option<u64>,
}

impl Peer {
    /// Connected and greeted; tells whether the session was resumed.
    pub(crate) async fn greeted(
        address: SocketAddr,
        token: Token,
        last: Option<u64>,
    ) -> (Self, bool) {
        let mut request = format!("ws://{address}/ws").into_client_request().unwrap();
        let set = request.headers_mut();
        set.insert("sec-websocket-protocol", "rtc.v1".parse().unwrap());
        let stream = TcpStream::connect(address).await.unwrap();
        let (socket, _) = tokio_tungstenite::client_async(request, stream)
            .await
            .unwrap();
        let mut peer = Self {
            socket,
            last: 0,
            anew: false,
            answers: None,
        };
        let hello = ClientMessage::Hello {
            resume: Some(token),
            last_seq: last,
            name: None,
            auth: None,
            agent: None,
        };
        peer.say(hello).await;
        match peer.next().await {
            ServerMessage::Welcome { resumed, .. } => (peer, resumed),
            other => panic!("{other:?}"),
        }
    }

    /// Connected, greeted and in the room; gives who was there.
    pub(crate) async fn inside(address: SocketAddr, who: char, name: &str) -> (Self, Vec<PeerId>) {
        let mut peer = Self::greeted(address, token(who), None).await.0;
        let members = peer.joins_in_the_end(name, None).await.unwrap();
        (peer, members)
    }

    /// Joins again and again while it is told to try later; how that ends.
    pub(crate) async fn joins_in_the_end(
        &mut self,
        name: &str,
        capacity: Option<u16>,
    ) -> Result<Vec<PeerId>, ErrorCode> {
        let joined = async {
            loop {
                match self.join(name, capacity).await {
                    Err(ErrorCode::TryLater) => sleep(Duration::from_millis(50)).await,
                    other => return other,
                }
            }
        };
        timeout(PATIENCE, joined).await.expect("it may never join")
    }

    /// Who was there, or why not.
    pub(crate) async fn join(
        &mut self,
        name: &str,
        capacity: Option<u16>,
    ) -> Result<Vec<PeerId>, ErrorCode> {
        let (room, name) = (room(name), None);
        self.say(ClientMessage::Join {
            room,
            name,
            capacity,
        })
        .await;
        loop {
            match self.next().await {
                ServerMessage::Joined { members, .. } => {
                    return Ok(members.into_iter().map(|member| member.peer).collect());
                }
                ServerMessage::Error { code, .. } => return Err(code),
                _ => {}
            }
        }
    }

    pub(crate) async fn say(&mut self, message: ClientMessage) {
        self.say_as(Some(7), message).await;
    }

    pub(crate) async fn say_as(&mut self, id: Option<u64>, message: ClientMessage) {
        let frame = ClientFrame { id, message };
        self.socket
            .send(Message::Text(frame.to_json().into()))
            .await
            .unwrap();
    }

    pub(crate) async fn signal(&mut self, name: &str, to: Option<PeerId>, text: &str) {
        let signal = Raw::of(&serde_json::json!({ "said": text })).unwrap();
        let room = room(name);
        self.say(ClientMessage::Signal { room, to, signal }).await;
    }

    /// The next message that is no heartbeat; panics when none comes.
    pub(crate) async fn next(&mut self) -> ServerMessage {
        self.may_next().await.expect("the connection has ended")
    }

    /// None when the connection has ended.
    pub(crate) async fn may_next(&mut self) -> Option<ServerMessage> {
        loop {
            let came = timeout(PATIENCE, self.socket.next()).await;
            let message = came.expect("nothing came in time")?;
            let text = match message {
                Ok(Message::Text(text)) => text,
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(_) => continue,
            };
            let frame = ServerFrame::parse(&text).unwrap();
            if let Some(seq) = frame.seq {
                let follows = seq == self.last + 1 || self.anew;
                assert!(follows, "a gap before {:?}", frame.message);
                self.last = seq;
            }
            self.answers = frame.id;
            match frame.message {
                ServerMessage::Ping { t, .. } => {
                    self.say_as(None, ClientMessage::Pong { t }).await;
                }
                message => return Some(message),
            }
        }
    }

    /// The same for a session of which it is not known whether it goes on.
    pub(crate) async fn may_next_of_any_number(&mut self) -> Option<ServerMessage> {
        self.anew = true;
        self.may_next().await
    }

    /// Passes over what comes until something does that is wanted.
    pub(crate) async fn until<T>(
        &mut self,
        mut wanted: impl FnMut(&ServerMessage) -> Option<T>,
    ) -> T {
        let come = async {
            loop {
                let message = self.next().await;
                if let Some(found) = wanted(&message) {
                    return found;
                }
            }
        };
        timeout(PATIENCE, come)
            .await
            .expect("it did not come in time")
    }

    /// Somebody comes into a room that this peer is in.
    pub(crate) async fn sees_come(&mut self, who: PeerId) {
        self.until(|message| match message {
            ServerMessage::PeerJoined { member, .. } if member.peer == who => Some(()),
            _ => None,
        })
        .await;
    }

    /// Somebody goes out of one.
    pub(crate) async fn sees_go(&mut self, who: PeerId) -> rtc_protocol::LeaveReason {
        self.until(|message| match message {
            ServerMessage::PeerLeft { peer, reason, .. } if *peer == who => Some(*reason),
            _ => None,
        })
        .await
    }

    /// Somebody says something there.
    pub(crate) async fn hears(&mut self, who: PeerId) -> String {
        self.until(|message| match message {
            ServerMessage::Signal { from, signal, .. } if *from == who => {
                let said: serde_json::Value = signal.to().unwrap();
                Some(said["said"].as_str().unwrap().to_owned())
            }
            _ => None,
        })
        .await
    }
}
